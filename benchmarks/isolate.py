"""Measurements in a fresh process, so that nothing that ran before influences them."""

from __future__ import annotations

import importlib
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def run_in_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run a function of a module in its own process and return its result."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def measure_module(name: str) -> Any:
    """Return the results of a benchmark module."""
    return importlib.import_module(f"benchmarks.{name}").measure()

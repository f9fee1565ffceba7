"""A measurement in a fresh process, so that nothing before it counts."""

from __future__ import annotations

import importlib
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def in_a_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function of a module returns when it runs in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def measured_by(module: str) -> Any:
    """Return what a benchmark measures."""
    return importlib.import_module(f"benchmarks.{module}").measure()

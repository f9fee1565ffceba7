"""Measurements in a fresh process, so that nothing that ran before influences them."""

from __future__ import annotations

import ctypes
import importlib
import multiprocessing
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def run_in_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run a function of a module in its own process and return its result."""
    return run_in_processes(function, [arguments])[0]


def run_in_processes(function: Callable[..., Any], arguments: list[tuple[Any, ...]]) -> list[Any]:
    """Run a function of a module once for each arguments, at the same time, each run in its own process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(arguments), context, _end_with_parent) as pool:
        return list(pool.map(function, *zip(*arguments, strict=True)))


def _end_with_parent() -> None:
    """Let the kernel kill this process when the one that started it has ended, killed or not."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def measure_module(name: str) -> Any:
    """Return the results of a benchmark module."""
    return importlib.import_module(f"benchmarks.{name}").measure()

"""The outcome of a long run, and helpers that all runs share."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from typing import Any

import numpy as np

from benchmarks.report import Figure

SETTLED_SHARE = 0.3
"""Share of a run after which its memory is judged."""
MIN_SAMPLES = 20
"""Samples of memory that are needed to judge its growth."""


@dataclass
class Outcome:
    """The figures of a run and the checks that failed in it."""

    figures: list[Figure] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def check(self, passed: bool, failure: str) -> None:
        """Record a failed check. The same failure is recorded once."""
        if not passed and failure not in self.failures and len(self.failures) < 50:
            self.failures.append(failure)

    def figure(self, name: str, value: float, unit: str, target: str | None = None) -> None:
        """Record a figure. A missed target is a failed check."""
        figure = Figure(name, value, unit, target)
        self.figures.append(figure)
        self.check(figure.verdict != "MISSED", f"{name}: {value:,.3f} {unit}, but must be {target}")


def growth_percent(samples: list[tuple[float, float]]) -> float:
    """Return the growth of the values from the first to the last sample, in percent.

    It is the slope of a line through the maximum of each quarter: memory oscillates as buffers are filled and freed,
    but a leak raises the peaks.

    >>> values = [100.0, 90.0, 101.0, 91.0, 102.0, 92.0, 103.0, 93.0]
    >>> round(growth_percent(list(enumerate(values))), 2)
    4.0
    """
    peaks = [max(quarter) for quarter in np.array_split([value for _, value in samples], 4)]
    slope, level = np.polyfit(np.arange(4), peaks, 1)
    return float(100 * 4 * slope / level)  # from the first quarter's start to the last quarter's end: four quarters


_LOG_INTERVAL_S = 60.0
_last_logged = 0.0


def progress(text: str) -> None:
    """Print the progress: in one line of a terminal, or once a minute to a file."""
    global _last_logged
    if sys.stdout.isatty():
        print(f"\r{text}\x1b[K", end="", flush=True)
    elif text and time.monotonic() >= _last_logged + _LOG_INTERVAL_S:
        _last_logged = time.monotonic()
        print(text, flush=True)


@contextmanager
def server_process(target: Callable[..., None], *arguments: Any) -> Iterator[Pipe]:
    """Run a server in another process and yield a pipe to it. Closing the pipe ends the server."""
    context = multiprocessing.get_context("spawn")
    own_end, server_end = context.Pipe()
    process = context.Process(target=target, args=(server_end, *arguments), daemon=True)
    process.start()
    server_end.close()
    try:
        yield own_end
    finally:
        own_end.close()
        process.join(20)
        if process.is_alive():
            process.kill()


def wait_for_end(pipe: Pipe) -> None:
    """Wait until the other end of the pipe is closed."""
    try:
        pipe.recv()
    except EOFError:
        pass

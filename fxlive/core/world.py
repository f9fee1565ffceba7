"""The world outside: clocks, randomness and threads. A simulation has another, in which a seed decides everything.

Sockets and timers are those of the running event loop, and files those of `capture.format.disk.Disk`: a simulation has
its own loop and its own disk.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Generator

Steps = Generator[float | None, bool, None]
"""The work of a worker. It yields the longest wait before its next step in seconds (None: until it is woken), and is
sent whether it was woken."""


class Worker:
    """Work that runs beside everything else, on a daemon thread of its own.

    Parameters
    ----------
    name
        The name of the thread.

    Examples
    --------
    >>> def steps():
    ...     print("woken" if (yield None) else "not woken")
    >>> worker = Worker("example")
    >>> worker.start(steps())
    >>> worker.wake()
    >>> worker.join(10.0)
    woken
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._woken = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, steps: Steps) -> None:
        """Run the steps one after the other."""
        self._thread = threading.Thread(target=self._run, args=(steps,), name=self._name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Continue with the next step at once."""
        self._woken.set()

    def is_woken(self) -> bool:
        """Return whether the next wait ends at once."""
        return self._woken.is_set()

    def is_alive(self) -> bool:
        """Return whether there are steps left."""
        return self._thread is not None and self._thread.is_alive()

    def join(self, timeout_s: float) -> None:
        """Wait for the end of the last step, for so many seconds at most."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self, steps: Steps) -> None:
        try:
            wait_s = next(steps)
            while True:
                woken = self._woken.wait(wait_s)
                if woken:
                    self._woken.clear()
                wait_s = steps.send(woken)
        except StopIteration:
            pass


class World:
    """The real world."""

    def now_us(self) -> int:
        """Return the present in microseconds since 1970 UTC, for labels."""
        return time.time_ns() // 1000

    def monotonic_s(self) -> float:
        """Return the reading, in seconds, of a clock for durations: it runs on when the wall clock is set."""
        return time.monotonic()

    def monotonic_us(self) -> int:
        """Return the reading of the clock for durations, in microseconds."""
        return int(self.monotonic_s() * 1e6)

    def random(self) -> float:
        """Return a random number from 0 to below 1."""
        return random.random()

    def worker(self, name: str) -> Worker:
        """Return a worker, which is yet to be started."""
        return Worker(name)


WORLD = World()
"""The real world."""

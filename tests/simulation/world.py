"""The world of a simulation: the loop has its clocks, its workers are callbacks, and a seed decides the rest."""

from __future__ import annotations

import asyncio
import random

from fxlive.core.world import Steps, Worker, World
from tests.simulation.loop import SimulatedLoop

_LONGEST_DELAY_S = 0.02


class SimulatedWorld(World):
    """A world in which the seed decides.

    Parameters
    ----------
    loop
        The loop whose virtual time the clocks show.
    seed
        Decides random numbers and how long workers take to begin a step.
    start_us
        The wall clock at the loop's time 0, in microseconds since 1970 UTC.
    """

    def __init__(self, loop: SimulatedLoop, seed: int, start_us: int) -> None:
        self._loop = loop
        self._random = random.Random(f"world {seed}")
        self._start_us = start_us
        self.workers: list[SimulatedWorker] = []
        """All workers that were made."""
        self.wall_offset_us = 0
        """How far the wall clock has been set ahead."""

    def now_us(self) -> int:
        """Return the present in microseconds since 1970 UTC."""
        return self._start_us + int(self._loop.time() * 1e6) + self.wall_offset_us

    def monotonic_s(self) -> float:
        """Return the loop's time."""
        return self._loop.time()

    def random(self) -> float:
        """Return a random number by the seed."""
        return self._random.random()

    def worker(self, name: str) -> SimulatedWorker:
        """Return a worker of the loop."""
        self.workers.append(SimulatedWorker(self._loop, name, self._random))
        return self.workers[-1]


class SimulatedWorker(Worker):
    """Work whose steps are callbacks of the loop, each begun after a delay by the seed."""

    def __init__(self, loop: SimulatedLoop, name: str, rng: random.Random) -> None:
        super().__init__(name)
        self.name = name
        self._loop = loop
        self._rng = rng
        self._steps: Steps | None = None
        self._wait_s: float | None = 0.0
        self._is_woken = self._begun = False
        self._timer: object = None

    def start(self, steps: Steps) -> None:
        """Begin the first step soon."""
        self._steps = steps
        self._call_later(0.0)

    def wake(self) -> None:
        """Continue soon."""
        self._is_woken = True
        if self._steps is not None and self._begun:
            self._call_later(0.0)

    def is_woken(self) -> bool:
        """Return whether the next wait ends at once."""
        return self._is_woken

    def is_alive(self) -> bool:
        """Return whether there are steps left."""
        return self._steps is not None

    def join(self, timeout_s: float) -> None:
        """Run the steps that are left, as if the loop stood still while a thread ran them."""
        ends = self._loop.time() + timeout_s
        while self._steps is not None:
            wait_s = 0.0 if self._is_woken or not self._begun else self._wait_s
            if wait_s is None or self._loop.time() + wait_s > ends:
                return
            self._loop.advance(wait_s)
            self._step()

    def _call_later(self, wait_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()  # type: ignore[attr-defined]
        self._timer = self._loop.call_later(wait_s + self._rng.uniform(0.0, _LONGEST_DELAY_S), self._step)

    def _step(self) -> None:
        if self._steps is None:
            return
        woken, self._is_woken = self._is_woken and self._begun, self._is_woken and not self._begun
        running = asyncio._get_running_loop()
        asyncio._set_running_loop(None)  # as on a thread of its own
        try:
            self._wait_s = self._steps.send(woken) if self._begun else next(self._steps)
        except BaseException as error:
            self._steps = None
            if not isinstance(error, StopIteration):
                raise
            return
        finally:
            asyncio._set_running_loop(running)
            self._begun = True
        if self._is_woken:
            self._call_later(0.0)
        elif self._wait_s is not None:
            self._call_later(self._wait_s)

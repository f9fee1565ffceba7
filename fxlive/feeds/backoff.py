"""When to try again after a connection failed or was lost: pure functions of what happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fxlive.core.arguments import whole

FIRST_WAIT_S = 1.0
JITTER = 0.2
STABLE_AFTER_S = 30.0
DEFAULT_ATTEMPTS = 5


def wait_s(attempt: int, random: Callable[[], float], retry_after_s: float | None = None) -> float:
    """Return the wait before reconnect number `attempt` (from 0): 1, 2, 4, 8, 16 s, each give or take 20 %.

    Parameters
    ----------
    random
        Gives numbers in [0, 1).
    retry_after_s
        What the server asked for; never less than that.

    >>> [wait_s(n, lambda: 0.5) for n in range(5)]
    [1.0, 2.0, 4.0, 8.0, 16.0]
    """
    wait = FIRST_WAIT_S * 2.0 ** min(attempt, 4) * (1 + JITTER * (2 * random() - 1))
    return max(wait, retry_after_s or 0.0)


@dataclass
class Attempts:
    """How many reconnects have failed in a row, and how long the next wait is.

    A connection that is up and subscribed begins a new count of failures; only one that lasted 30 s also takes the
    waits back to the first. Without a `limit` no failure is the last.
    """

    limit: int | None = DEFAULT_ATTEMPTS
    failures: int = 0
    step: int = 0

    def __post_init__(self) -> None:
        if self.limit is not None:
            self.limit = whole("reconnect_attempts", self.limit, 1, "None for as many as it takes")

    def failed(self) -> bool:
        """Note a failed attempt; return whether it was the last one allowed."""
        self.failures += 1
        return self.limit is not None and self.failures >= self.limit

    def ended(self, lasted_s: float) -> None:
        """Note that a connection that was up and subscribed ended after so many seconds."""
        self.failures = 0
        if lasted_s >= STABLE_AFTER_S:
            self.step = 0

    def next_wait_s(self, random: Callable[[], float], retry_after_s: float | None = None) -> float:
        """Return the wait before the next attempt, and make the one after it longer."""
        wait = wait_s(self.step, random, retry_after_s)
        self.step += 1
        return wait

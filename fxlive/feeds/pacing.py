"""How long to wait before the next reconnect, connection or message.

Pure bookkeeping: the caller passes the time (seconds on the monotonic clock) and the source of random numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from fxlive.core.arguments import whole

MAX_SUBSCRIPTIONS = 50
CONNECTIONS_PER_MINUTE = 10
MESSAGES_PER_SECOND = 100
"""The platform's limits: subscriptions of one connection, connections to one URL, messages sent on one connection."""

_MINUTE_S = 61.0  # one connection may take longer than the next to reach the platform

FIRST_WAIT_S = 1.0
JITTER = 0.2
STABLE_AFTER_S = 30.0
DEFAULT_ATTEMPTS = 5


class RateLimit:
    """Allow at most `limit` events in any period of `period_s` seconds.

    >>> rate_limit = RateLimit(2, 60.0)
    >>> rate_limit.wait_s(0.0), rate_limit.note(0.0), rate_limit.note(1.0), rate_limit.wait_s(2.0)
    (0.0, None, None, 58.0)
    """

    def __init__(self, limit: int, period_s: float) -> None:
        self._limit = limit
        self._period_s = period_s
        self._times: deque[float] = deque(maxlen=limit)

    def wait_s(self, now: float) -> float:
        """Return the seconds until the next event is allowed; 0 if it is allowed now."""
        if len(self._times) < self._limit:
            return 0.0
        return min(self._period_s, max(0.0, self._times[0] + self._period_s - now))

    def note(self, now: float) -> None:
        """Count an event that happens now."""
        self._times.append(now)

    def postpone(self, noted: float, now: float) -> None:
        """Count an event that was noted before as one that happens now."""
        if noted in self._times:
            self._times.remove(noted)
            self._times.append(now)


_connection_limits: dict[str, RateLimit] = {}


def connection_limit(url: str) -> RateLimit:
    """Return the limit of connections to a URL, which all sessions of the process share."""
    return _connection_limits.setdefault(url, RateLimit(CONNECTIONS_PER_MINUTE, _MINUTE_S))


def backoff_s(attempt: int, random: Callable[[], float], retry_after_s: float | None = None) -> float:
    """Return the wait before reconnect number `attempt` (from 0): 1, 2, 4, 8, then 16 s, each +- 20 %.

    Parameters
    ----------
    random
        Returns numbers in [0, 1).
    retry_after_s
        The wait that the server asked for; the result is never shorter.

    >>> [backoff_s(attempt, lambda: 0.5) for attempt in range(5)]
    [1.0, 2.0, 4.0, 8.0, 16.0]
    """
    wait = FIRST_WAIT_S * 2.0 ** min(attempt, 4) * (1 + JITTER * (2 * random() - 1))
    return max(wait, retry_after_s or 0.0)


@dataclass
class ReconnectAttempts:
    """Counts the reconnects that failed in a row, and returns the wait before the next one.

    A connection that was up and subscribed resets the count of failures. It resets the waits only if it lasted at
    least 30 s. Without a `limit`, no failure is final.
    """

    limit: int | None = DEFAULT_ATTEMPTS
    failures: int = 0
    step: int = 0

    def __post_init__(self) -> None:
        if self.limit is not None:
            self.limit = whole("reconnect_attempts", self.limit, 1, "None for as many as it takes")

    def note_failure(self) -> bool:
        """Count a failed reconnect; return whether it was the last one allowed."""
        self.failures += 1
        return self.limit is not None and self.failures >= self.limit

    def note_end(self, lasted_s: float) -> None:
        """Note that a connection that was up and subscribed for `lasted_s` seconds has ended."""
        self.failures = 0
        if lasted_s >= STABLE_AFTER_S:
            self.step = 0

    def next_wait_s(self, random: Callable[[], float], retry_after_s: float | None = None) -> float:
        """Return the wait before the next reconnect, as `backoff_s`; the one after it is longer."""
        wait = backoff_s(self.step, random, retry_after_s)
        self.step += 1
        return wait

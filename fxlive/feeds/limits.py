"""The platform's rate limits, kept on our side: pure bookkeeping of moments that the caller gives (seconds)."""

from __future__ import annotations

from collections import deque

MAX_SUBSCRIPTIONS = 50
CONNECTIONS_PER_MINUTE = 10
MESSAGES_PER_SECOND = 100


class Window:
    """At most so many events in any period of so many seconds.

    >>> window = Window(2, 60.0)
    >>> window.wait_s(0.0), window.note(0.0), window.note(1.0), window.wait_s(2.0)
    (0.0, None, None, 58.0)
    """

    def __init__(self, limit: int, period_s: float) -> None:
        self._limit = limit
        self._period_s = period_s
        self._moments: deque[float] = deque(maxlen=limit)

    def wait_s(self, now: float) -> float:
        """Return how long to wait before the next event may happen; 0 when it may happen now."""
        if len(self._moments) < self._limit:
            return 0.0
        return min(self._period_s, max(0.0, self._moments[0] + self._period_s - now))

    def note(self, now: float) -> None:
        """Note that an event happens now."""
        self._moments.append(now)


_connections: dict[str, Window] = {}


def connections_to(url: str) -> Window:
    """Return the count of connections to a URL, one for the whole process."""
    return _connections.setdefault(url, Window(CONNECTIONS_PER_MINUTE, 60.0))

"""The rate limit that the platform applies to connections and requests."""

from __future__ import annotations

from collections import deque


class Window:
    """A sliding window that allows at most `limit` events in any `window_s` seconds. None allows any number."""

    def __init__(self, limit: int | None, window_s: float) -> None:
        self._limit = limit
        self._window_s = window_s
        self._times: deque[float] = deque()

    def wait(self, now_s: float) -> float:
        """Count an event at `now_s` and return 0. If it exceeds the limit, return the seconds until it is allowed."""
        if self._limit is None:
            return 0.0
        times = self._times
        while times and times[0] <= now_s - self._window_s:
            times.popleft()
        if len(times) < self._limit:
            times.append(now_s)
            return 0.0
        return times[0] + self._window_s - now_s if times else self._window_s

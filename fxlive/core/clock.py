"""The clocks: the wall clock for labels, and the monotonic clock for durations."""

from __future__ import annotations

import time


def now_us() -> int:
    """Return the present in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def monotonic_us() -> int:
    """Return the reading, in microseconds, of a clock that runs on when the wall clock is set."""
    return time.monotonic_ns() // 1000

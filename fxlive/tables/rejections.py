"""The newest rejected messages, bounded in number and in bytes."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Sequence

import pandas as pd

from fxlive.core.dtypes import STR
from fxlive.tables.gaps import times_array
from fxlive.wire.batch import Rejection

MAX_REJECTED = 10_000
MAX_REJECTED_BYTES = 64 * 2**20


class RejectionLog:
    """The newest rejections: at most 10,000, and 64 MB. When it is full, the oldest are dropped.

    >>> log = RejectionLog(max_bytes=2_000)
    >>> log.extend([Rejection(number, "malformed", "x" * 1_000) for number in range(5)])
    >>> [rejection.received_at for rejection in log], log.total
    ([4], 5)
    """

    def __init__(self, max_items: int = MAX_REJECTED, max_bytes: int = MAX_REJECTED_BYTES) -> None:
        self.total = 0
        """The number of all rejections, including those that were dropped."""
        self.bytes = 0
        self.max_items = max_items
        self.max_bytes = max_bytes
        self._rejections: deque[Rejection] = deque()

    def __len__(self) -> int:
        return len(self._rejections)

    def __iter__(self) -> Iterator[Rejection]:
        return iter(self._rejections)

    def extend(self, rejections: Sequence[Rejection]) -> None:
        """Add rejections, the newest last."""
        self.total += len(rejections)
        for rejection in rejections:
            self._rejections.append(rejection)
            self.bytes += _size(rejection)
            while len(self._rejections) > self.max_items or self.bytes > self.max_bytes:
                self.bytes -= _size(self._rejections.popleft())

    def clear(self) -> None:
        """Remove all rejections."""
        self._rejections.clear()
        self.total = self.bytes = 0


def _size(rejection: Rejection) -> int:
    return 200 + sys.getsizeof(rejection.raw) + sys.getsizeof(rejection.reason)


def rejected_frame(rejected: Sequence[Rejection]) -> pd.DataFrame:
    """Return rejections as a frame, indexed by `received_at`: `reason` and `raw`."""
    return pd.DataFrame(
        {
            "reason": pd.array([r.reason for r in rejected], dtype=STR),
            "raw": pd.array([r.raw for r in rejected], dtype=STR),
        },
        index=pd.DatetimeIndex(times_array([r.received_at for r in rejected]), name="received_at"),
    )

"""Counters: how many messages of a channel came, when, and how late."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

import numpy as np

from fxlive.wire.batch import Rows

_LATENCIES = 8_192
_RATE_SECONDS = 10


@dataclass
class Counters:
    """What has come on one channel: how much, when, and how late (microseconds)."""

    messages: int = 0
    duplicates: int = 0
    last_received_at: int | None = None
    latencies: deque[int] = field(default_factory=lambda: deque(maxlen=_LATENCIES))
    _first_received_at: int | None = None
    _seconds: OrderedDict[int, int] = field(default_factory=OrderedDict)

    def note(self, rows: Rows) -> None:
        """Count the rows of a batch."""
        first, last = int(rows.received_at[0]), int(rows.received_at[-1])
        self.messages += len(rows)
        if self._first_received_at is None:
            self._first_received_at = first
        self.last_received_at = last
        self.latencies.extend((rows.received_at[-_LATENCIES:] - rows.timestamp[-_LATENCIES:]).tolist())
        seconds = {last // 1_000_000: len(rows)}
        if first // 1_000_000 not in seconds:  # of a replay that goes fast, or far
            counted = np.unique(rows.received_at // 1_000_000, return_counts=True)
            seconds = dict(zip(*(values.tolist() for values in counted), strict=True))
        for second, count in seconds.items():
            self._seconds[second] = self._seconds.get(second, 0) + count
        while len(self._seconds) > _RATE_SECONDS + 1:
            self._seconds.popitem(last=False)

    def rate(self, now: int) -> float:
        """Return the messages a second over the last ten seconds before `now` (microseconds), or since the first."""
        second = now // 1_000_000
        seconds = tuple(self._seconds.items())  # all at once: the feed's thread may be adding to them
        recent = {s: n for s, n in seconds if second - _RATE_SECONDS < s <= second}
        if not recent or self._first_received_at is None:
            return 0.0
        since = max(self._first_received_at, (second - _RATE_SECONDS + 1) * 1_000_000)
        return sum(recent.values()) / max(1.0, (now - since) / 1e6)

    def latency_ms(self, quantiles: tuple[float, ...]) -> list[float]:
        """Return quantiles of the time from event to receipt, in milliseconds; NaN before anything came."""
        return quantiles_ms(list(self.latencies), quantiles)


def quantiles_ms(micros: list[int], quantiles: tuple[float, ...]) -> list[float]:
    """Return quantiles of times in microseconds, in milliseconds; NaN for an empty list."""
    if not micros:
        return [float("nan")] * len(quantiles)
    return [float(q) for q in np.quantile(np.array(micros), quantiles) / 1000]

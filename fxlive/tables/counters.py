"""Counters: the number, rate and latency of a channel's messages."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

import numpy as np

from fxlive.wire.batch import Rows
from fxlive.wire.statuses import is_unknown

_LATENCIES = 8_192
_RATE_SECONDS = 10
_MAX_UNKNOWN_STATUSES = 100
_MAX_STATUS_CHARS = 64
_FURTHER = "(further values)"


@dataclass
class Counters:
    """The number of messages and duplicates of one channel, their time of receipt and latency (microseconds).

    `reused_ids` counts the messages with an id that another message had, and with other content. `unknown_statuses`
    counts the statuses of trades and orders that are neither known as open nor as closed, up to 100 different ones.
    """

    messages: int = 0
    duplicates: int = 0
    reused_ids: int = 0
    last_received_at: int | None = None
    unknown_statuses: dict[str, int] = field(default_factory=dict)
    latencies: deque[int] = field(default_factory=lambda: deque(maxlen=_LATENCIES))
    _first_received_at: int | None = None
    _seconds: OrderedDict[int, int] = field(default_factory=OrderedDict)

    def count(self, rows: Rows) -> None:
        """Count the rows of a batch."""
        self.messages += len(rows)
        first, last = int(rows.received_at[0]), int(rows.received_at[-1])
        if self._first_received_at is None:
            self._first_received_at = first
        self.last_received_at = last
        for status in rows.values.get("status", ()) if rows.channel.name in ("trades", "orders") else ():
            if status is not None and is_unknown(rows.channel.name, status):
                self._count_unknown(status[:_MAX_STATUS_CHARS])
        self.latencies.extend((rows.received_at[-_LATENCIES:] - rows.timestamp[-_LATENCIES:]).tolist())
        seconds = {last // 1_000_000: len(rows)}
        if first // 1_000_000 not in seconds:  # a batch of a fast replay or of a seek spans several seconds
            counts = np.unique(rows.received_at // 1_000_000, return_counts=True)
            seconds = dict(zip(*(values.tolist() for values in counts), strict=True))
        for second, count in seconds.items():
            self._seconds[second] = self._seconds.get(second, 0) + count
        while len(self._seconds) > _RATE_SECONDS + 1:
            self._seconds.popitem(last=False)

    def _count_unknown(self, status: str) -> None:
        unknown = self.unknown_statuses
        name = status if status in unknown or len(unknown) < _MAX_UNKNOWN_STATUSES else _FURTHER
        unknown[name] = unknown.get(name, 0) + 1

    def rate(self, now: int) -> float:
        """Return the messages per second over the ten seconds before `now` (microseconds), or since the first."""
        second = now // 1_000_000
        seconds = tuple(self._seconds.items())  # an atomic copy, because the feed's thread may be adding to it
        recent = {s: n for s, n in seconds if second - _RATE_SECONDS < s <= second}
        if not recent or self._first_received_at is None:
            return 0.0
        since = max(self._first_received_at, (second - _RATE_SECONDS + 1) * 1_000_000)
        return sum(recent.values()) / max(1.0, (now - since) / 1e6)

    def latency_ms(self, quantiles: tuple[float, ...]) -> list[float]:
        """Return quantiles of the time from event to receipt, in milliseconds; NaN without messages."""
        return quantiles_ms(list(self.latencies), quantiles)


def quantiles_ms(micros: list[int], quantiles: tuple[float, ...]) -> list[float]:
    """Return quantiles, in milliseconds, of durations in microseconds; NaN for an empty list."""
    if not micros:
        return [float("nan")] * len(quantiles)
    return [float(q) for q in np.quantile(np.array(micros), quantiles) / 1000]

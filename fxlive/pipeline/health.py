"""Health: how a session fares, at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import pandas as pd

from fxlive.feeds.interface import State
from fxlive.pipeline.pipeline import Pipeline
from fxlive.tables.counters import Counters
from fxlive.tables.store import Store

_LATENCIES_MS = (-1000.0, 3_600_000.0)  # others are the difference of two clocks


@dataclass(frozen=True, repr=False)
class Health:
    """How a session fares, at one moment.

    `error` says why it has failed, or why it is away just now. Times are in seconds where named `_s`, in milliseconds
    where named `_ms`. Latency is from the envelope's timestamp to receipt, corrected by the clock offset where that is
    known; it is NaN where the timestamps are not of this hour, or of a time that is yet to come (a market that is
    played again, or faster). `callback_error` tells what callbacks and alerts have raised. `channels` has a row for
    each channel.
    """

    state: State
    error: str | None
    connected_s: float | None
    reconnects: int
    gaps: int
    messages: int
    rate_per_s: float
    duplicates: int
    rejected: int
    dropped: int
    callback_errors: int
    callback_error: str | None
    latency_p50_ms: float
    latency_p99_ms: float
    clock_offset_ms: float | None
    stale: tuple[str, ...]
    drift: Mapping[str, Mapping[str, str]]
    channels: pd.DataFrame = field(compare=False)

    def __repr__(self) -> str:
        told = "\n".join(f"  {name:<17} {value}" for name, value in self._told().items())
        return f"<fxlive health>\n{told}\n{self.channels.to_string(float_format='{:.1f}'.format)}"

    def _repr_html_(self) -> str:
        told = pd.Series({name: str(value) for name, value in self._told().items()})
        return f"{told.to_frame().to_html(header=False)}{self.channels.to_html(float_format='{:.1f}'.format)}"

    def _told(self) -> dict[str, Any]:
        values = {name.name: getattr(self, name.name) for name in fields(self) if name.name != "channels"}
        return {name: round(value, 1) if isinstance(value, float) else value for name, value in values.items()}


def health_of(pipeline: Pipeline) -> Health:
    """Return how everything fares now."""
    counters = dict(pipeline.store.counters)
    rows = {name: _of_channel(pipeline, name, counted) for name, counted in counters.items()}
    channels = pd.DataFrame.from_dict(rows, orient="index").rename_axis("channel")
    p50, p99 = latency_ms(pipeline)
    offset_us = pipeline.feed.clock_offset_us
    return Health(
        state=pipeline.state,
        error=pipeline.why,
        connected_s=pipeline.connected_s,
        reconnects=pipeline.reconnects,
        gaps=len(pipeline.store.gaps),
        messages=int(channels["messages"].sum()),
        rate_per_s=float(channels["rate_per_s"].sum()),
        duplicates=int(channels["duplicates"].sum()),
        rejected=pipeline.store.rejections,
        dropped=pipeline.dropped,
        callback_errors=pipeline.callback_errors.count,
        callback_error=str(pipeline.callback_errors) if pipeline.callback_errors.count else None,
        latency_p50_ms=p50,
        latency_p99_ms=p99,
        clock_offset_ms=None if offset_us is None else offset_us / 1000,
        stale=tuple(name for name in counters if pipeline.stale(name)),
        drift=pipeline.store.drift(),
        channels=channels,
    )


def latency_ms(pipeline: Pipeline, counters: Counters | None = None) -> tuple[float, float]:
    """Return median and 99th percentile of the latency of a channel, or of all, in milliseconds, as in `Health`."""
    of: Counters | Store = pipeline.store if counters is None else counters
    offset_ms = (pipeline.feed.clock_offset_us or 0) / 1000
    p50, p99 = (value + offset_ms for value in of.latency_ms((0.5, 0.99)))
    return (p50, p99) if _LATENCIES_MS[0] < p50 < _LATENCIES_MS[1] else (float("nan"), float("nan"))


def _of_channel(pipeline: Pipeline, name: str, counters: Counters) -> dict[str, Any]:
    p50, p99 = latency_ms(pipeline, counters)
    last, age_s = counters.last_received_at, pipeline.age_s(name)
    return {
        "subscribed": name in pipeline.feed.subscriptions,
        "rows": len(pipeline.store.tables[name]) if name in pipeline.store.tables else 0,
        "messages": counters.messages,
        "rate_per_s": counters.rate(pipeline.now_us()),
        "duplicates": counters.duplicates,
        "last_received_at": pd.NaT if last is None else pd.Timestamp(last, unit="us", tz="UTC"),
        "age_s": float("nan") if age_s is None else age_s,
        "stale": pipeline.stale(name),
        "latency_p50_ms": p50,
        "latency_p99_ms": p99,
    }

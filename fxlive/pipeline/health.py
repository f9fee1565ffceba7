"""Health: the state and the figures of a session at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import pandas as pd

from fxlive.core.shown_text import printable
from fxlive.feeds.interface import State
from fxlive.pipeline.bounds import bounds_frame, bounds_of
from fxlive.pipeline.pipeline import Pipeline
from fxlive.tables.counters import Counters
from fxlive.tables.store import Store

_LATENCIES_MS = (-1000.0, 3_600_000.0)  # a latency outside this range is the difference of two clocks


@dataclass(frozen=True, repr=False)
class Health:
    """The state and the figures of a session at one moment.

    Names end with their unit: seconds (`_s`) or milliseconds (`_ms`).

    - `error`: why the session failed, or why it is reconnecting; None if neither.
    - `latency_p50_ms`, `latency_p99_ms`: from a message's timestamp to its receipt, corrected by the clock offset if
      that is known. NaN if the median is above one hour or below -1 s: then the timestamps follow another clock, as in
      a simulated or replayed market.
    - `clock_offset_ms`: how far the platform's clock is ahead of ours; None if unknown.
    - `callback_errors`, `callback_error`: the number of exceptions that callbacks and alerts raised, and a text with
      the last of them.
    - `heartbeats`: the number of messages that only say that the connection lives.
    - `unreadable`: the number of values that could not be read, by channel and column. They are missing in their rows;
      their text is in the column `extra`.
    - `bounds`: one row per buffer that the platform can fill: what it holds in bytes and items, its limits, the share
      of a limit that is used, and how much was dropped. Of several of one kind, the fullest.
    - `drift`: the undocumented fields of each channel, with the dtypes of their columns.
    - `duplicates`: the messages dropped because the same id had come before with the same content. `reused_ids`: the
      messages kept although their id had come before, because their content differs.
    - `time_outliers`: the messages kept whose timestamp is far ahead of the channel's others. They are left out of
      `latest`, `last=`, bars and charts.
    - `unknown_statuses`: the statuses of trades and orders that are neither known as open nor as closed, and how often
      each has come, by channel. Nothing is concluded from them: such an order, and the position of such a trade, stay
      in `latest`.
    - `channels`: one row per channel. `kept_rows` is the number of open positions or working orders that have left the
      window, `kept_dropped` how many of them were dropped because there were more than 100,000.
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
    unknown_statuses: Mapping[str, Mapping[str, int]]
    heartbeats: int
    unreadable: Mapping[str, Mapping[str, int]]
    bounds: pd.DataFrame = field(compare=False)
    channels: pd.DataFrame = field(compare=False)
    reused_ids: int = 0
    time_outliers: int = 0

    def __repr__(self) -> str:
        lines = "\n".join(f"  {name:<17} {value}" for name, value in self._figures().items())
        tables = "\n".join(table.to_string(float_format="{:.1f}".format) for table in self._tables())
        return f"<fxlive health>\n{lines}\n{tables}"

    def _repr_html_(self) -> str:
        figures = pd.Series({name: str(value) for name, value in self._figures().items()})
        tables = "".join(table.to_html(float_format="{:.1f}".format) for table in self._tables())
        return f"{figures.to_frame().to_html(header=False)}{tables}"

    def _figures(self) -> dict[str, Any]:
        values = {name.name: getattr(self, name.name) for name in fields(self) if name.compare}
        return {
            name: round(value, 1) if isinstance(value, float) else printable(value) for name, value in values.items()
        }

    def _tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        return self.channels.rename(index=printable), self.bounds.rename(index=printable)


def health_of(pipeline: Pipeline) -> Health:
    """Return the health of a running pipeline."""
    counters = dict(pipeline.store.counters)
    rows = {name: _channel_row(pipeline, name, counted) for name, counted in counters.items()}
    channels = pd.DataFrame.from_dict(rows, orient="index").rename_axis("channel")
    p50, p99 = latency_ms(pipeline)
    offset_us = pipeline.feed.clock_offset_us
    return Health(
        state=pipeline.state,
        error=pipeline.problem,
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
        unknown_statuses={n: dict(c.unknown_statuses) for n, c in counters.items() if c.unknown_statuses},
        heartbeats=pipeline.store.heartbeats,
        unreadable=pipeline.store.unreadable(),
        bounds=bounds_frame(bounds_of(pipeline)),
        channels=channels,
        reused_ids=int(channels["reused_ids"].sum()),
        time_outliers=int(channels["time_outliers"].sum()),
    )


def latency_ms(pipeline: Pipeline, counters: Counters | None = None) -> tuple[float, float]:
    """Return the median and the 99th percentile of the latency in milliseconds, as in `Health`.

    Of the channel of these counters; by default of all channels.
    """
    source: Counters | Store = pipeline.store if counters is None else counters
    offset_ms = (pipeline.feed.clock_offset_us or 0) / 1000
    p50, p99 = (value + offset_ms for value in source.latency_ms((0.5, 0.99)))
    return (p50, p99) if _LATENCIES_MS[0] < p50 < _LATENCIES_MS[1] else (float("nan"), float("nan"))


def _channel_row(pipeline: Pipeline, name: str, counters: Counters) -> dict[str, Any]:
    p50, p99 = latency_ms(pipeline, counters)
    table = pipeline.store.tables.get(name)
    kept_rows, kept_dropped, _ = (0, 0, 0) if table is None else table.kept
    unreadable = {} if table is None else table.unreadable
    last, age_s = counters.last_received_at, pipeline.age_s(name)
    return {
        "subscribed": name in pipeline.feed.subscriptions,
        "rows": 0 if table is None else len(table),
        "kept_rows": kept_rows,
        "kept_dropped": kept_dropped,
        "messages": counters.messages,
        "rate_per_s": counters.rate(pipeline.now_us()),
        "duplicates": counters.duplicates,
        "reused_ids": counters.reused_ids,
        "time_outliers": 0 if table is None else table.progress.outliers,
        "unreadable": sum(unreadable.values()),
        "last_received_at": pd.NaT if last is None else pd.Timestamp(last, unit="us", tz="UTC"),
        "age_s": float("nan") if age_s is None else age_s,
        "stale": pipeline.stale(name),
        "latency_p50_ms": p50,
        "latency_p99_ms": p99,
    }

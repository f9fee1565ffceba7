"""Metric tiles: the numbers of `analytics` with change and history, and the platform's components as chips."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from fxlive.core.arguments import time_of
from fxlive.core.instruments import Instruments
from fxlive.errors import UnknownOption
from fxlive.figures.downsampling import downsample
from fxlive.pipeline.pipeline import Pipeline
from fxlive.tables.table import RollingTable
from fxlive.widgets.base import LiveWidget
from fxlive.widgets.charts.layers import Badge, DataStatus, in_window
from fxlive.wire.messages import Kind

ANALYTICS = "analytics"
SYSTEM = "system"
MAX_GROUPS = 50
"""Groups of tiles that are shown. A platform that invents periods must not fill the page."""

PERIODS = ("MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "QUARTER", "YEAR", "ALL", "TOTAL")
"""Periods that are accepted before their first message."""

_KEY = ("type", "period")
_METRICS = "metrics_"
_COMPONENTS = "components_"
_BUCKETS = 200  # of a sparkline: downsampling keeps the extremes of each
_MAX_MESSAGE_CHARS = 500

_GOOD_WORDS = frozenset({"HEALTHY", "OK", "UP", "OPERATIONAL", "ONLINE", "CONNECTED", "RUNNING", "GREEN"})
_DEGRADED_WORDS = frozenset({"DEGRADED", "WARNING", "SLOW", "PARTIAL", "DELAYED", "MAINTENANCE", "YELLOW"})
_DOWN_WORDS = frozenset(
    {"DOWN", "UNHEALTHY", "ERROR", "FAILED", "CRITICAL", "OFFLINE", "DISCONNECTED", "OUTAGE", "STOPPED", "RED"}
)


@dataclass(frozen=True)
class MetricFormat:
    """How a metric is shown: its label, its unit, and whether a higher or a lower value is better."""

    label: str
    unit: Literal["percent", "money", "count", "number"]
    good: Literal["up", "down", "neither"]


# From the platform's document: winRate is in percent, profit and drawdown in the account's currency.
_DOCUMENTED: dict[str, tuple[Literal["percent", "money", "count"], Literal["up", "down", "neither"]]] = {
    "metrics_total_trades": ("count", "neither"),
    "metrics_win_rate": ("percent", "up"),
    "metrics_net_profit": ("money", "up"),
    "metrics_current_drawdown": ("money", "down"),
}


def metric_format(column: str) -> MetricFormat:
    """Return how a column of `analytics` is shown.

    A column that the platform's document does not name has no unit and no better direction. Drawdowns are an exception:
    for them lower is better.

    Examples
    --------
    >>> metric_format("metrics_win_rate").label, metric_format("metrics_max_drawdown").good
    ('Win rate', 'down')
    """
    words = column.removeprefix(_METRICS).replace("_", " ").strip()
    label = words[:1].upper() + words[1:] or column
    if column in _DOCUMENTED:
        return MetricFormat(label, *_DOCUMENTED[column])
    return MetricFormat(label, "number", "down" if "drawdown" in column else "neither")


def condition_of(status: str) -> Literal["good", "degraded", "down", "unknown"]:
    """Return the condition of a component from the platform's word for its status.

    >>> condition_of("HEALTHY"), condition_of("degraded"), condition_of("Down"), condition_of("?")
    ('good', 'degraded', 'down', 'unknown')
    """
    word = status.strip().upper()
    if word in _GOOD_WORDS:
        return "good"
    return "degraded" if word in _DEGRADED_WORDS else "down" if word in _DOWN_WORDS else "unknown"


@dataclass
class Group:
    """The tiles of one type and period: codes and names of the two, and the columns that have values."""

    codes: tuple[int, int]
    names: tuple[str, str]
    columns: list[str]


class MetricTiles(LiveWidget):
    """Tiles for the numbers of `analytics`, and chips for the platform's components.

    Parameters
    ----------
    pipeline
        Pipeline of the session.
    period
        Show only this period; None shows all.
    window_us
        How far back the sparklines go from the newest message of a period, in microseconds.
    currency
        Currency of the account.
    **options
        As for `LiveWidget`.
    """

    def __init__(
        self, pipeline: Pipeline, *, period: str | None, window_us: int, currency: str = "USD", **options: Any
    ) -> None:
        self._tables = pipeline.store.tables
        self._feed = pipeline.feed
        self._status = DataStatus(pipeline, ANALYTICS, SYSTEM)
        self._period = period
        self._window_us = window_us
        self._currency = currency
        self._groups: list[Group] = []
        self._left_out = 0
        self._cursor: int | None = None
        self._system_stop = -1
        self._system: dict[str, Any] | None = None
        self._badge: Badge | None = None
        self._waiting = ""
        super().__init__("tiles", **options)

    @property
    def _table(self) -> RollingTable:
        return self._tables[ANALYTICS]

    # On the background thread.

    def epoch(self) -> int | None:
        """Return how often the tables were cleared; None while they are being filled again."""
        return self._status.epoch()

    def reset(self) -> None:
        """Remove the tiles and the chips."""
        self._groups, self._system = [], None

    def snapshot(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Return every tile with its recent history, and every chip."""
        columns, buffers = self._table.columns_of(Kind.NUMBER), []
        stop, (stamps, types, periods, *values) = self._read(None, columns)
        self._cursor = stop
        before, formers = self._groups, []
        self._groups, self._left_out = [], 0
        for codes, rows in self._rows_by_group(stop, stamps, types, periods):
            series = {name: column[rows] for name, column in zip(columns, values, strict=True)}
            series = {name: column for name, column in series.items() if not np.isnan(column).all()}
            if not series:
                continue
            if len(self._groups) == MAX_GROUPS:
                self._left_out += 1
                continue
            self._groups.append(Group(codes, self._names(codes), list(series)))
            formers.append([_former_value(column) for column in series.values()])
            x = stamps[rows] / 1000.0
            if len(x) > 2 * _BUCKETS:
                keep = downsample(x, tuple(series.values()), max((x[-1] - x[0]) / _BUCKETS, 1.0))
                x, series = x[keep], {name: column[keep] for name, column in series.items()}
            buffers += [_buffer(column) for column in (x, *series.values())]
        self._restart_views |= self._started and self._groups != before  # other views have other tiles
        several_types = len({group.names[0] for group in self._groups}) > 1
        self._badge, self._waiting = self._status.badge(), self._waiting_text()
        self._update_system()
        content = {
            "all": True,
            "groups": [
                {
                    "title": _title(group.names, several_types=several_types),
                    "metrics": [vars(metric_format(column)) for column in group.columns],
                    "former": former,
                }
                for group, former in zip(self._groups, formers, strict=True)
            ],
            "left_out": self._left_out,
            "window_ms": self._window_us / 1000.0,
            "currency": self._currency,
            "system": self._system,
            "waiting": self._waiting,
            "badge": vars(self._badge),
        }
        return content, buffers

    def changes(self) -> tuple[dict[str, Any], list[bytes]]:
        """Return the new points, and the chips if they have changed."""
        content: dict[str, Any] = {}
        buffers: list[bytes] = []
        if self._table.stop != self._cursor:
            columns = self._table.columns_of(Kind.NUMBER)
            stop, (stamps, types, periods, *values) = self._read(self._cursor, columns)
            indices = {group.codes: index for index, group in enumerate(self._groups)}
            for codes, rows in self._rows_by_group(stop, stamps, types, periods):
                series = {name: column[rows] for name, column in zip(columns, values, strict=True)}
                with_values = {name for name, column in series.items() if not np.isnan(column).all()}
                index = indices.get(codes)
                if index is None:
                    if with_values and not self._left_out:
                        return self._snapshot_for_all()
                    continue
                if not with_values.issubset(self._groups[index].columns):
                    return self._snapshot_for_all()
                content.setdefault("g", []).append(index)
                buffers.append(_buffer(stamps[rows] / 1000.0))
                buffers += [_buffer(series[name]) for name in self._groups[index].columns]
            self._cursor = stop
        badge = self._status.badge()
        if badge != self._badge:
            self._badge, content["badge"] = badge, vars(badge)
        if self._update_system():
            content["system"] = self._system
        if not self._groups and (waiting := self._waiting_text()) != self._waiting:
            self._waiting = content["waiting"] = waiting
        return content, buffers

    def _snapshot_for_all(self) -> tuple[dict[str, Any], list[bytes]]:
        """Return a snapshot with which all views restart."""
        content, buffers = self.snapshot({})
        self._restart_views = False
        return content, buffers

    def _read(self, start: int | None, columns: list[str]) -> tuple[int, list[Any]]:
        return self._table.values(start, "timestamp", *_KEY, *columns)

    def _rows_by_group(self, stop: int, stamps: Any, types: Any, periods: Any) -> Iterator[tuple[tuple[int, int], Any]]:
        """Yield codes and row indices of each type and period that is shown: rows in the window, sorted by time."""
        drawn = self._table.are_drawn(stamps, stop)
        keys: npt.NDArray[np.int64] = types.astype(np.int64) << 32 | periods.astype(np.int64)
        for key in sorted(set(keys.tolist())):
            codes = (key >> 32, key & 0xFFFFFFFF)
            if self._period is None or self._names(codes)[1].upper() == self._period:
                rows = in_window(stamps, np.flatnonzero(keys == key), self._window_us, drawn)
                if len(rows):
                    yield codes, rows

    def _names(self, codes: tuple[int, int]) -> tuple[str, str]:
        kind, period = (self._table.label(name, code) or "" for name, code in zip(_KEY, codes, strict=True))
        return kind, period

    def _waiting_text(self) -> str:
        if ANALYTICS not in self._feed.subscriptions and not self._table.stop:
            return 'No metrics: "analytics" is not subscribed'
        return f"Waiting for analytics{'' if self._period is None else f' of {self._period}'}"

    def _update_system(self) -> bool:
        """Read the newest system status. Return whether it has changed."""
        table = self._tables[SYSTEM]
        if table.stop == self._system_stop:
            return False
        self._system_stop = table.stop
        row = table.newest(None) or {}
        former, self._system = self._system, (_system_content(row) if row else None)
        return former != self._system


def _system_content(row: dict[str, Any]) -> dict[str, Any]:
    """Return the chips of a row of `system`: first the whole system, then each component that has a value."""
    status = str(row["status"])
    components = {
        name.removeprefix(_COMPONENTS).replace("_", " "): str(value)
        for name, value in row.items()
        if name.startswith(_COMPONENTS) and value is not None and value == value  # not NaN
    }
    chips = [
        {"name": name, "status": word, "condition": condition_of(word)}
        for name, word in {"system": status, **components}.items()
    ]
    return {"chips": chips, "message": (row.get("message") or "")[:_MAX_MESSAGE_CHARS], "at": row["timestamp"] / 1000.0}


def _title(names: tuple[str, str], *, several_types: bool) -> str:
    """Return the heading of the tiles of a (type, period). It names the type only if there are several types.

    >>> _title(("PERFORMANCE_UPDATE", "DAY"), several_types=False), _title(("RISK_UPDATE", "WEEK"), several_types=True)
    ('Day', 'Week, risk update')
    """
    kind, period = (name.replace("_", " ").lower() for name in names)
    text = f"{period}, {kind}" if several_types else period
    return text[:1].upper() + text[1:]


def _former_value(values: Any) -> float | None:
    """Return the last value that differs from the newest; None if all are equal.

    >>> _former_value(np.array([1.0, 2.0, 5.0, np.nan, 5.0]))
    2.0
    """
    values = values[~np.isnan(values)]
    others = np.flatnonzero(values != values[-1])
    return float(values[others[-1]]) if len(others) else None


def _buffer(values: Any) -> bytes:
    return np.ascontiguousarray(values, np.float64).tobytes()


def metrics_chart(
    pipeline: Pipeline,
    session: str,
    period: str | None,
    window: Any,
    *,
    currency: str | None = None,
    name: str | None = None,
    **options: Any,
) -> MetricTiles:
    """Return the metric tiles of a session. Implements `Session.metrics_chart`."""
    span = time_of("window", window)
    if period is not None:
        period = known_period(period, [str(p) for _, p in pipeline.store.tables[ANALYTICS].latest().index])
    return MetricTiles(
        pipeline,
        period=period,
        window_us=int(span / pd.Timedelta("1us")),
        currency=currency or Instruments().account_currency,
        session=session,
        name=name or f"metrics {period} {span}",
        **options,
    )


def known_period(period: str, seen: list[str]) -> str:
    """Return a period in upper case.

    Raises
    ------
    UnknownOption
        If it is neither among the periods received (`seen`) nor in `PERIODS`. The message lists both.

    Examples
    --------
    >>> known_period("day", []), known_period("fortnight", ["FORTNIGHT"])
    ('DAY', 'FORTNIGHT')
    """
    known = list(dict.fromkeys([*(p.upper() for p in seen), *PERIODS]))
    if str(period).upper() not in known:
        raise UnknownOption("period", period, known)
    return str(period).upper()

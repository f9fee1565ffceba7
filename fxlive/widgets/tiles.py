"""Metric tiles: each number of `analytics` with its change and its recent past, and the platform's parts as chips."""

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
from fxlive.figures.thinning import thinned
from fxlive.pipeline.pipeline import Pipeline
from fxlive.tables.table import RollingTable
from fxlive.widgets.base import LiveWidget
from fxlive.widgets.charts.layers import Badge, Fares, in_window
from fxlive.wire.messages import Kind

ANALYTICS = "analytics"
SYSTEM = "system"
MAX_GROUPS = 50
"""Of tiles: a platform that makes up periods must not fill the page."""

PERIODS = ("MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "QUARTER", "YEAR", "ALL", "TOTAL")
"""The periods that may still come, besides those that have."""

_KEY = ("type", "period")
_METRICS = "metrics_"
_COMPONENTS = "components_"
_STRETCHES = 200  # of a sparkline: each is drawn by its extremes
_MESSAGE_CHARS = 500

_WELL = frozenset({"HEALTHY", "OK", "UP", "OPERATIONAL", "ONLINE", "CONNECTED", "RUNNING", "GREEN"})
_FALTERS = frozenset({"DEGRADED", "WARNING", "SLOW", "PARTIAL", "DELAYED", "MAINTENANCE", "YELLOW"})
_BROKEN = frozenset(
    {"DOWN", "UNHEALTHY", "ERROR", "FAILED", "CRITICAL", "OFFLINE", "DISCONNECTED", "OUTAGE", "STOPPED", "RED"}
)


@dataclass(frozen=True)
class Look:
    """How a metric is shown: its name in words, its unit, and which way it is good."""

    label: str
    unit: Literal["percent", "money", "count", "number"]
    good: Literal["up", "down", "neither"]


# What the reference says: winRate is in percent, profit and drawdown in the account's currency.
_DOCUMENTED: dict[str, tuple[Literal["percent", "money", "count"], Literal["up", "down", "neither"]]] = {
    "metrics_total_trades": ("count", "neither"),
    "metrics_win_rate": ("percent", "up"),
    "metrics_net_profit": ("money", "up"),
    "metrics_current_drawdown": ("money", "down"),
}


def look_of(column: str) -> Look:
    """Return how a column of `analytics` is shown.

    Of a column that the reference does not name nobody says its unit, nor which way it is good; but no drawdown is.

    Examples
    --------
    >>> look_of("metrics_win_rate").label, look_of("metrics_max_drawdown").good, look_of("metrics_sharpe_ratio").unit
    ('Win rate', 'down', 'number')
    """
    words = column.removeprefix(_METRICS).replace("_", " ").strip()
    label = words[:1].upper() + words[1:] or column
    if column in _DOCUMENTED:
        return Look(label, *_DOCUMENTED[column])
    return Look(label, "number", "down" if "drawdown" in column else "neither")


def well(status: str) -> Literal["well", "falters", "broken", "unknown"]:
    """Return how bad the status of a component is.

    >>> well("HEALTHY"), well("degraded"), well("Down"), well("?")
    ('well', 'falters', 'broken', 'unknown')
    """
    word = status.strip().upper()
    return "well" if word in _WELL else "falters" if word in _FALTERS else "broken" if word in _BROKEN else "unknown"


@dataclass
class Group:
    """The tiles of one type and period: the codes of the two, their names, and the columns that have had values."""

    codes: tuple[int, int]
    names: tuple[str, str]
    columns: list[str]


class MetricTiles(LiveWidget):
    """Tiles that follow the numbers of `analytics`, and chips that follow the platform's components.

    Parameters
    ----------
    pipeline
        What brings them.
    period
        Show only this one; None shows all.
    window_us
        How far back the sparklines go from the newest message of a period, in microseconds.
    currency
        Of the account.
    **options
        As for `LiveWidget`.
    """

    def __init__(
        self, pipeline: Pipeline, *, period: str | None, window_us: int, currency: str = "USD", **options: Any
    ) -> None:
        self._tables = pipeline.store.tables
        self._feed = pipeline.feed
        self._fares = Fares(pipeline, ANALYTICS, SYSTEM)
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
        """Return how often the channels were cleared."""
        return self._fares.epoch()

    def forget(self) -> None:
        """Forget the tiles and the chips."""
        self._groups, self._system = [], None

    def window(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Return every tile with its recent past, and every chip."""
        columns, buffers = self._table.columns_of(Kind.NUMBER), []
        self._cursor, (stamps, types, periods, *values) = self._read(None, columns)
        before, formers = self._groups, []
        self._groups, self._left_out = [], 0
        for codes, rows in self._of_keys(stamps, types, periods):
            held = {name: column[rows] for name, column in zip(columns, values, strict=True)}
            held = {name: column for name, column in held.items() if not np.isnan(column).all()}
            if not held:
                continue
            if len(self._groups) == MAX_GROUPS:
                self._left_out += 1
                continue
            self._groups.append(Group(codes, self._names(codes), list(held)))
            formers.append([_former(column) for column in held.values()])
            x = stamps[rows] / 1000.0
            if len(x) > 2 * _STRETCHES:
                keep = thinned(x, tuple(held.values()), max((x[-1] - x[0]) / _STRETCHES, 1.0))
                x, held = x[keep], {name: column[keep] for name, column in held.items()}
            buffers += [_buffer(column) for column in (x, *held.values())]
        self._anew |= self._begun and self._groups != before  # the tiles are others than those that some view has
        several = len({group.names[0] for group in self._groups}) > 1
        self._badge, self._waiting = self._fares.badge(), self._wait()
        self._new_system()
        content = {
            "all": True,
            "groups": [
                {
                    "title": _title(group.names, several=several),
                    "metrics": [vars(look_of(column)) for column in group.columns],
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
        """Return the points that have come, and the chips where they are new."""
        content: dict[str, Any] = {}
        buffers: list[bytes] = []
        if self._table.stop != self._cursor:
            columns = self._table.columns_of(Kind.NUMBER)
            stop, (stamps, types, periods, *values) = self._read(self._cursor, columns)
            places = {group.codes: place for place, group in enumerate(self._groups)}
            for codes, rows in self._of_keys(stamps, types, periods):
                held = {name: column[rows] for name, column in zip(columns, values, strict=True)}
                new = {name for name, column in held.items() if not np.isnan(column).all()}
                place = places.get(codes)
                if place is None:
                    if new and not self._left_out:
                        return self._everything()
                    continue
                if not new.issubset(self._groups[place].columns):
                    return self._everything()
                content.setdefault("g", []).append(place)
                buffers.append(_buffer(stamps[rows] / 1000.0))
                buffers += [_buffer(held[name]) for name in self._groups[place].columns]
            self._cursor = stop
        badge = self._fares.badge()
        if badge != self._badge:
            self._badge, content["badge"] = badge, vars(badge)
        if self._new_system():
            content["system"] = self._system
        if not self._groups and (waiting := self._wait()) != self._waiting:
            self._waiting = content["waiting"] = waiting
        return content, buffers

    def _everything(self) -> tuple[dict[str, Any], list[bytes]]:
        """Return what lets all views begin again, with the tiles that there are now."""
        everything = self.window({})
        self._anew = False
        return everything

    def _read(self, start: int | None, columns: list[str]) -> tuple[int, list[Any]]:
        return self._table.values(start, "timestamp", *_KEY, *columns)

    def _of_keys(self, stamps: Any, types: Any, periods: Any) -> Iterator[tuple[tuple[int, int], Any]]:
        """Give the rows of each type and period that is shown, within the window and in the order of their times."""
        keys: npt.NDArray[np.int64] = types.astype(np.int64) << 32 | periods.astype(np.int64)
        for key in sorted(set(keys.tolist())):
            codes = (key >> 32, key & 0xFFFFFFFF)
            if self._period is None or self._names(codes)[1].upper() == self._period:
                yield codes, in_window(stamps, np.flatnonzero(keys == key), self._window_us)

    def _names(self, codes: tuple[int, int]) -> tuple[str, str]:
        kind, period = (self._table.label(name, code) or "" for name, code in zip(_KEY, codes, strict=True))
        return kind, period

    def _wait(self) -> str:
        if ANALYTICS not in self._feed.subscriptions and not self._table.stop:
            return 'Nothing to wait for: "analytics" is not subscribed'
        return f"Waiting for analytics{'' if self._period is None else f' of {self._period}'}"

    def _new_system(self) -> bool:
        """Take up the newest system status; returns whether there is another than before."""
        table = self._tables[SYSTEM]
        if table.stop == self._system_stop:
            return False
        self._system_stop = table.stop
        row = table.newest(None) or {}
        former, self._system = self._system, (_system(row) if row else None)
        return former != self._system


def _system(row: dict[str, Any]) -> dict[str, Any]:
    """Return the chips of a row of `system`: the whole first, then each component that it speaks of."""
    status = str(row["status"])
    components = {
        name.removeprefix(_COMPONENTS).replace("_", " "): str(value)
        for name, value in row.items()
        if name.startswith(_COMPONENTS) and value is not None and value == value  # nor is NaN
    }
    chips = [
        {"name": name, "status": said, "is": well(said)} for name, said in {"system": status, **components}.items()
    ]
    return {"chips": chips, "message": (row.get("message") or "")[:_MESSAGE_CHARS], "at": row["timestamp"] / 1000.0}


def _title(names: tuple[str, str], *, several: bool) -> str:
    """Return what stands above the tiles of a type and period: the type only where there are several.

    >>> _title(("PERFORMANCE_UPDATE", "DAY"), several=False), _title(("RISK_UPDATE", "WEEK"), several=True)
    ('Day', 'Week, risk update')
    """
    kind, period = (name.replace("_", " ").lower() for name in names)
    text = f"{period}, {kind}" if several else period
    return text[:1].upper() + text[1:]


def _former(values: Any) -> float | None:
    """Return the value before the newest that differs from it; None where there is none.

    >>> _former(np.array([1.0, 2.0, 5.0, np.nan, 5.0]))
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
    """Return the tiles of a session; what the session's method of this name does."""
    span = time_of("window", window)
    if period is not None:
        period = known_period(period, [str(p) for _, p in pipeline.store.tables[ANALYTICS].latest().index])
    return MetricTiles(
        pipeline,
        period=period,
        window_us=int(span / pd.Timedelta("1us")),
        currency=currency or Instruments().account_currency,
        name=f"{session}: {name or f'metrics {period} {span}'}",
        **options,
    )


def known_period(period: str, seen: list[str]) -> str:
    """Return the period that is meant, in upper case: one that has come, or one that may still come.

    Raises
    ------
    UnknownOption
        Where it is neither; lists both.

    Examples
    --------
    >>> known_period("day", []), known_period("fortnight", ["FORTNIGHT"])
    ('DAY', 'FORTNIGHT')
    """
    known = list(dict.fromkeys([*(p.upper() for p in seen), *PERIODS]))
    if str(period).upper() not in known:
        raise UnknownOption("period", period, known)
    return str(period).upper()

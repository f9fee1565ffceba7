"""Grid: the newest row of each key of a channel as a live table. Only changed rows are sent.

Python supplies the rows and the format of each column. The view sorts, filters, selects and scrolls.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fxlive.core.arguments import whole
from fxlive.core.instruments import Instruments
from fxlive.core.timestamps import NAT
from fxlive.errors import UnknownColumn, UnknownOption
from fxlive.pipeline.pipeline import Pipeline
from fxlive.tables.table import RollingTable
from fxlive.widgets.base import LiveWidget
from fxlive.widgets.charts.layers import Badge, DataStatus
from fxlive.widgets.tables.row_tracker import RowTracker
from fxlive.wire.channels import channel_name
from fxlive.wire.messages import Kind
from fxlive.wire.undocumented.columns import MAX_EXACT_INTEGER

MOST_ROWS_A_TICK = 250
"""Further rows wait for the next ticks, first come, first served. A grid sends at most about 400 KB a second."""

MAX_CHARS = 1_000
"""Longest text that is sent to the page; longer ones are cut."""

# Shown only if they are named in `columns`: they say little about the content of the row.
_LEFT_OUT = {"received_at", "id", "data_timestamp"}
# The first columns, which a narrow table shows too.
_FIRST = {
    "positions": ("symbol", "type", "volume", "unrealized_pnl"),
    "trades": ("symbol", "action", "volume", "profit"),
}
_NEWEST_FIRST = {"trades", "orders", "alerts"}

_PRICES = {"price", "bid", "ask", "last", "open", "close", "day_high", "day_low", "stop_loss", "take_profit", "change"}
_MONEY = re.compile(r"(^|_)(profit|pnl|commission|swap|margin|margin_level|drawdown|balance|equity)$")
_SIGNED = re.compile(r"(^|_)(profit|pnl|net|change|change_percent)$")
_COUNTS = re.compile(r"^(duration|ticket)$|(^|_)(count|trades)$")


def _column_format(name: str, kind: Kind, keys: Iterable[str]) -> dict[str, Any]:
    """Return how a column is shown.

    For numbers this includes their decimals: a count, "price" for those of the row's symbol, or None for as many as the
    column needs. `grouped` numbers have thousands separators, `signed` ones are coloured by sign, and `steady` ones do
    not flash when they change.
    """
    column: dict[str, Any] = {"name": name, "kind": _KINDS[kind], "key": name in keys}
    if column["kind"] != "number":
        return column
    money = name != "take_profit" and bool(_MONEY.search(name))
    signed = name != "take_profit" and bool(_SIGNED.search(name))
    if name in _PRICES or name.endswith("_price"):
        column["digits"] = "price"
    elif kind in (Kind.KEY_INTEGER, Kind.INTEGER) or _COUNTS.search(name):
        column["digits"] = 0
    else:
        column["digits"] = 2 if money or name.startswith("metrics_") else 4 if name == "change_percent" else None
    return {**column, "grouped": money, "signed": signed, "steady": name == "duration"}


_KINDS = {
    Kind.NUMBER: "number",
    Kind.KEY_INTEGER: "number",
    Kind.INTEGER: "number",
    Kind.FLAG: "flag",
    Kind.TIME: "time",
    Kind.SYMBOL: "name",
    Kind.CODE: "name",
    Kind.TEXT: "text",
    Kind.LIST: "text",
}


class Grid(LiveWidget):
    """A live table of the newest row of each key of a channel.

    Parameters
    ----------
    rows
        The rows to show.
    status
        Status of the channel.
    columns
        The columns to show, in order. None for the default ones, including columns that appear later.
    sort
        The columns to sort by initially, each with 1 for ascending or -1 for descending.
    height
        Height in rows.
    **options
        As for `LiveWidget`.
    """

    def __init__(
        self,
        rows: RowTracker,
        status: DataStatus,
        *,
        columns: list[str] | None,
        sort: list[tuple[str, int]],
        height: int,
        **options: Any,
    ) -> None:
        self._rows = rows
        self._table = rows.table
        self._status = status
        self._chosen = columns
        self._columns = columns or _default_columns(rows.table)
        self._sort = sort
        self._height = height
        self._unsent: dict[Any, None] = {}  # keys whose row is to be sent, oldest first
        self._gone: list[int] = []
        self._names: dict[str, int] = {}  # values of columns with few values; sent once, rows contain the number
        self._names_sent = 0
        self._columns_sent = self._columns
        self._digits: dict[str, float] = {}
        self._badge: Badge | None = None  # as last sent to all views; None before the first view
        self._away: float | None = None
        super().__init__("grid", **options)

    def epoch(self) -> int | None:
        """Return how often the table was cleared; None while it is being filled again."""
        return self._status.epoch()

    def reset(self) -> None:
        """Treat the next snapshot as the first."""
        self._badge = None

    def snapshot(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Return the format of the columns, and every row."""
        self._update()  # the other views get these changes with the next update
        if self._chosen is None:
            self._columns = _default_columns(self._table)
        buffers = self._encoded(list(self._rows.numbers))
        badge, away = self._status.badge(), self._last_away()
        if self._badge is None:  # the first view
            self._mark_all_sent(badge, away)
        content = {
            "columns": [
                _column_format(name, self._table.kind(name), self._table.channel.key) for name in self._columns
            ],
            "names": [0, list(self._names)],
            "sort": self._sort,
            "height": self._height,
            "most": self._rows.max_rows,
            "channel": self._table.channel.name,
            "away": away,
            "badge": vars(badge),
        }
        return content, buffers

    def changes(self) -> tuple[dict[str, Any], list[bytes]]:
        """Return new and changed rows, the numbers of removed ones, and badge and gap if they have changed."""
        if self._badge is None:
            return {}, []
        badge, away = self._status.badge(), self._last_away()
        if self._chosen is None and _default_columns(self._table) != self._columns_sent:
            snapshot = self.snapshot({})  # all views restart with the new columns
            self._mark_all_sent(badge, away)
            return snapshot
        self._update()
        content: dict[str, Any] = {}
        if self._gone:
            content["gone"], self._gone = self._gone, []
        if badge != self._badge:
            self._badge, content["badge"] = badge, vars(badge)
        if away != self._away:
            self._away = content["away"] = away
        buffers: list[bytes] = []
        if self._unsent:
            keys = list(self._unsent)[:MOST_ROWS_A_TICK]
            for key in keys:
                del self._unsent[key]
            buffers = self._encoded(keys)
            if len(self._names) > self._names_sent:
                content["names"] = [self._names_sent, list(self._names)[self._names_sent :]]
                self._names_sent = len(self._names)
        return content, buffers

    def _update(self) -> None:
        changed, gone = self._rows.update()
        if gone:
            self._gone += gone
            self._unsent = {key: None for key in self._unsent if key in self._rows.numbers}
        self._unsent.update(dict.fromkeys(changed))

    def _mark_all_sent(self, badge: Badge, away: float | None) -> None:
        """Note that every view has the current state."""
        self._unsent.clear()
        self._gone.clear()
        self._columns_sent = self._columns
        self._names_sent = len(self._names)
        self._badge, self._away = badge, away

    def _encoded(self, keys: list[Any]) -> list[bytes]:
        """Return rows as buffers for the page (records.js).

        The first is float64, column by column: the rows' numbers, the decimals of their prices, the time of the last
        message about them in milliseconds (infinite for what has ended: it needs none), then each column of the grid.
        The second has the columns that float64 cannot represent, as JSON.
        """
        if not keys:
            return []
        known = self._table.columns
        names = dict.fromkeys((*self._columns, "received_at", *(["symbol"] if "symbol" in known else [])))
        ends = self._table.channel.ends
        columns = self._table.newest_of(keys, *names, *([] if ends is None else [ends[0]]))
        lines = np.full((3 + len(self._columns), len(keys)), np.nan)
        lines[0] = [self._rows.numbers[key] for key in keys]
        if "symbol" in columns:
            lines[1] = [self._price_digits(symbol) for symbol in columns["symbol"]]
        lines[2] = self._confirmed_ms(keys, columns)
        texts: dict[int, list[str | None]] = {}
        for index, name in enumerate(self._columns):
            values = columns[name]
            match self._table.kind(name):
                case Kind.TIME:
                    lines[3 + index] = _milliseconds(values)
                case Kind.SYMBOL | Kind.CODE:
                    numbers = self._names
                    lines[3 + index] = [
                        np.nan if v is None else numbers.setdefault(v[:MAX_CHARS], len(numbers)) for v in values
                    ]
                case Kind.TEXT | Kind.LIST:
                    texts[index] = [None if value is None else _text(value) for value in values]
                case Kind.KEY_INTEGER | Kind.INTEGER:
                    lines[3 + index] = np.array(values, np.float64)
                    if any(value is not None and abs(value) > MAX_EXACT_INTEGER for value in values):
                        texts[index] = [None if value is None else str(value) for value in values]
                case _:
                    lines[3 + index] = np.array(values, np.float64)  # None becomes NaN
        if not texts:
            return [lines.tobytes()]
        return [lines.tobytes(), json.dumps(texts, separators=(",", ":"), ensure_ascii=False).encode()]

    def _confirmed_ms(self, keys: list[Any], columns: dict[str, list[Any]]) -> Any:
        """Return when a message last confirmed each row; a row is unconfirmed if that is not after the last gap."""
        times, away, ends = _milliseconds(columns["received_at"]), self._last_away(), self._table.channel.ends
        if ends is None:
            return times
        if away is not None:
            confirmed = np.array(self._table.are_confirmed(keys), np.bool_)
            times = np.where(confirmed, np.fmax(times, away + 0.001), np.fmin(times, away))
        has_ended = [ends[1](value) for value in columns[ends[0]]]
        return np.where(has_ended, np.inf, times)

    def _price_digits(self, symbol: str | None) -> float:
        if symbol is None:
            return np.nan
        digits = self._digits.get(symbol)
        if digits is None:
            try:
                digits = float(round(-math.log10(Instruments()[symbol].point)))
            except KeyError:  # not a currency pair
                digits = np.nan
            self._digits[symbol] = digits
        return digits

    def _last_away(self) -> float | None:
        """Return the start of the last gap, in milliseconds; None for channels whose rows do not end.

        A position or order is unconfirmed if no message about it came after that: its end may have been missed.
        """
        gaps = self._status.gaps() if self._table.channel.ends is not None else ()
        return gaps[-1][0] if gaps else None


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else ", ".join(value)
    return text if len(text) <= MAX_CHARS else f"{text[:MAX_CHARS]}…"


def _milliseconds(micros: list[int | None]) -> Any:
    times = np.array(micros, np.float64)
    return np.where(times == NAT, np.nan, times) / 1000.0


def _default_columns(table: RollingTable) -> list[str]:
    names = [name for name in table.columns if name not in _LEFT_OUT and name not in table.channel.key]
    first = _FIRST.get(table.channel.name, ())
    ordered = [*first, *(name for name in names if name not in first)]
    return [*table.channel.key, *ordered, "timestamp"] if table.channel.key else ["timestamp", *ordered]


def _checked(table: RollingTable, columns: Sequence[str]) -> list[str]:
    known = [*table.columns, "timestamp"]
    for name in [columns] if isinstance(columns, str) else columns:
        if name not in known:
            raise UnknownColumn(name, table.channel.name, known)
    chosen = list(dict.fromkeys([columns] if isinstance(columns, str) else columns))
    if not chosen:
        raise UnknownOption("columns", columns, known)
    return chosen


def _sorting(table: RollingTable, shown: list[str], sort: str | None) -> list[tuple[str, int]]:
    """Return the columns to sort by, each with 1 for ascending or -1 for descending."""
    if sort is not None:
        name = sort.removeprefix("-")
        if name not in shown:
            raise UnknownColumn(name, table.channel.name, shown)
        return [(name, -1 if sort.startswith("-") else 1)]
    if table.channel.name in _NEWEST_FIRST or not table.channel.key:
        return [("timestamp", -1)]
    return [(name, 1) for name in table.channel.key]


def grid(
    pipeline: Pipeline,
    session: str,
    channel: str,
    *,
    columns: Sequence[str] | None = None,
    sort: str | None = None,
    height: int = 12,
    max_rows: int = 5_000,
    name: str | None = None,
    where: Mapping[str, Any] | None = None,
    **options: Any,
) -> Grid:
    """Return a live table of a channel. Implements `Session.grid`."""
    channel = channel_name(channel, tuple(pipeline.store.tables))
    table = pipeline.store.tables[channel]
    chosen = None if columns is None else _checked(table, columns)
    shown = " ".join([channel, *(f"{column}={value!r}" for column, value in (where or {}).items())])
    return Grid(
        RowTracker(table, whole("max_rows", max_rows, 1), where),
        DataStatus(pipeline, channel),
        columns=chosen,
        sort=_sorting(table, chosen or _default_columns(table), sort),
        height=whole("height", height, 1),
        session=session,
        name=name or f"grid {shown}",
        **options,
    )

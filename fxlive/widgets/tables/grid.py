"""Grid: the newest row of each key of a channel as a live table; what has changed is sent, row by row.

Python says what the rows are and how each column reads; sorting, filtering, selecting and scrolling are the view's.
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
from fxlive.widgets.charts.layers import Badge, Fares
from fxlive.widgets.tables.following import Followed
from fxlive.wire.channels import channel_name
from fxlive.wire.messages import Kind
from fxlive.wire.undocumented import MAX_EXACT_INTEGER

MOST_ROWS_A_TICK = 250
"""More wait for the next tick, the longest waiting first: so a grid sends some 400 KB a second at the most."""

MAX_CHARS = 1_000
"""How much of a text goes to the page."""

# The message's id and when it came say little of what the row is about; who wants them names them.
_LEFT_OUT = {"received_at", "id", "data_timestamp"}
# What a narrow table shows too: whose money it is, and how much.
_FIRST = {
    "positions": ("symbol", "type", "volume", "unrealized_pnl"),
    "trades": ("symbol", "action", "volume", "profit"),
}
_NEWEST_FIRST = {"trades", "orders", "alerts"}

_PRICES = {"price", "bid", "ask", "last", "open", "close", "day_high", "day_low", "stop_loss", "take_profit", "change"}
_MONEY = re.compile(r"(^|_)(profit|pnl|commission|swap|margin|margin_level|drawdown|balance|equity)$")
_SIGNED = re.compile(r"(^|_)(profit|pnl|net|change|change_percent)$")
_COUNTS = re.compile(r"^(duration|ticket)$|(^|_)(count|trades)$")


def _look(name: str, kind: Kind, keys: Iterable[str]) -> dict[str, Any]:
    """Return how a column reads: its kind, the decimals of its numbers (None: as many as they have), its colours."""
    look: dict[str, Any] = {"name": name, "kind": _KINDS[kind], "key": name in keys}
    if look["kind"] != "number":
        return look
    money = name != "take_profit" and bool(_MONEY.search(name))
    signed = name != "take_profit" and bool(_SIGNED.search(name))
    if name in _PRICES or name.endswith("_price"):
        look["digits"] = "price"
    elif kind in (Kind.KEY_INTEGER, Kind.INTEGER) or _COUNTS.search(name):
        look["digits"] = 0
    else:
        look["digits"] = 2 if money or name.startswith("metrics_") else 4 if name == "change_percent" else None
    return {**look, "grouped": money, "signed": signed, "steady": name == "duration"}


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
        Which rows of the channel are shown.
    fares
        Says how the channel fares.
    columns
        The columns to show, in order; None for those that say something, also such as come later.
    sort
        The columns to sort by at first, each with 1 for the least first or -1 for the greatest.
    height
        In rows.
    **options
        As for `LiveWidget`.
    """

    def __init__(
        self,
        rows: Followed,
        fares: Fares,
        *,
        columns: list[str] | None,
        sort: list[tuple[str, int]],
        height: int,
        **options: Any,
    ) -> None:
        self._rows = rows
        self._table = rows.table
        self._fares = fares
        self._chosen = columns
        self._columns = columns or _default_columns(rows.table)
        self._sort = sort
        self._height = height
        self._waiting: dict[Any, None] = {}  # keys whose row is new, the longest waiting first
        self._gone: list[int] = []
        self._names: dict[str, int] = {}  # each text of few values goes to the page once; rows hold its number
        self._names_told = 0
        self._columns_told = self._columns
        self._digits: dict[str, float] = {}
        self._badge: Badge | None = None  # as all views know it; None before the first
        self._away: float | None = None
        super().__init__("grid", **options)

    def epoch(self) -> int | None:
        """Return how often the channel was cleared."""
        return self._fares.epoch()

    def forget(self) -> None:
        """Have no view know anything."""
        self._badge = None

    def window(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Return how the columns read, and every row."""
        self._follow()  # what is new goes to the other views too, with the next changes
        if self._chosen is None:
            self._columns = _default_columns(self._table)
        buffers = self._encoded(list(self._rows.numbers))
        badge, away = self._fares.badge(), self._last_away()
        if self._badge is None:  # the first view
            self._all_is_told(badge, away)
        content = {
            "columns": [_look(name, self._table.kind(name), self._table.channel.key) for name in self._columns],
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
        """Return the rows that are new, the numbers of those that are gone, and what else is new."""
        if self._badge is None:
            return {}, []
        badge, away = self._fares.badge(), self._last_away()
        if self._chosen is None and _default_columns(self._table) != self._columns_told:
            whole = self.window({})  # all views begin again, with the new columns
            self._all_is_told(badge, away)
            return whole
        self._follow()
        content: dict[str, Any] = {}
        if self._gone:
            content["gone"], self._gone = self._gone, []
        if badge != self._badge:
            self._badge, content["badge"] = badge, vars(badge)
        if away != self._away:
            self._away = content["away"] = away
        buffers: list[bytes] = []
        if self._waiting:
            keys = list(self._waiting)[:MOST_ROWS_A_TICK]
            for key in keys:
                del self._waiting[key]
            buffers = self._encoded(keys)
            if len(self._names) > self._names_told:
                content["names"] = [self._names_told, list(self._names)[self._names_told :]]
                self._names_told = len(self._names)
        return content, buffers

    def _follow(self) -> None:
        changed, gone = self._rows.follow()
        if gone:
            self._gone += gone
            self._waiting = {key: None for key in self._waiting if key in self._rows.numbers}
        self._waiting.update(dict.fromkeys(changed))

    def _all_is_told(self, badge: Badge, away: float | None) -> None:
        """Note that every view knows everything."""
        self._waiting.clear()
        self._gone.clear()
        self._columns_told = self._columns
        self._names_told = len(self._names)
        self._badge, self._away = badge, away

    def _encoded(self, keys: list[Any]) -> list[bytes]:
        """Return rows as one buffer of float64, a line for each of: their numbers, the decimals of their prices, when
        they came, and each column. Columns that no number can be are in a second buffer, as JSON.
        """
        if not keys:
            return []
        known = self._table.columns
        names = dict.fromkeys((*self._columns, "received_at", *(["symbol"] if "symbol" in known else [])))
        columns = self._table.newest_of(keys, *names)
        lines = np.full((3 + len(self._columns), len(keys)), np.nan)
        lines[0] = [self._rows.numbers[key] for key in keys]
        if "symbol" in columns:
            lines[1] = [self._price_digits(symbol) for symbol in columns["symbol"]]
        lines[2] = _milliseconds(columns["received_at"])
        texts: dict[int, list[str | None]] = {}
        for place, name in enumerate(self._columns):
            values = columns[name]
            match self._table.kind(name):
                case Kind.TIME:
                    lines[3 + place] = _milliseconds(values)
                case Kind.SYMBOL | Kind.CODE:
                    number = self._names
                    lines[3 + place] = [
                        np.nan if v is None else number.setdefault(v[:MAX_CHARS], len(number)) for v in values
                    ]
                case Kind.TEXT | Kind.LIST:
                    texts[place] = [None if value is None else _text(value) for value in values]
                case Kind.KEY_INTEGER | Kind.INTEGER:
                    lines[3 + place] = np.array(values, np.float64)
                    if any(value is not None and abs(value) > MAX_EXACT_INTEGER for value in values):
                        texts[place] = [None if value is None else str(value) for value in values]
                case _:
                    lines[3 + place] = np.array(values, np.float64)  # None becomes NaN
        if not texts:
            return [lines.tobytes()]
        return [lines.tobytes(), json.dumps(texts, separators=(",", ":"), ensure_ascii=False).encode()]

    def _price_digits(self, symbol: str | None) -> float:
        if symbol is None:
            return np.nan
        digits = self._digits.get(symbol)
        if digits is None:
            try:
                digits = float(round(-math.log10(Instruments()[symbol].point)))
            except KeyError:  # no currency pair
                digits = np.nan
            self._digits[symbol] = digits
        return digits

    def _last_away(self) -> float | None:
        """Return when what goes on may have ended unheard, in milliseconds: rows that came before are unconfirmed."""
        gaps = self._fares.gaps() if self._table.channel.ends is not None else ()
        return gaps[-1][0] if gaps else None


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else ", ".join(value)
    return text if len(text) <= MAX_CHARS else f"{text[:MAX_CHARS]}…"


def _milliseconds(micros: list[int | None]) -> Any:
    times = np.array(micros, np.float64)
    return np.where(times == NAT, np.nan, times) / 1000.0


def _default_columns(table: RollingTable) -> list[str]:
    said = [name for name in table.columns if name not in _LEFT_OUT and name not in table.channel.key]
    first = _FIRST.get(table.channel.name, ())
    known = [*first, *(name for name in said if name not in first)]
    return [*table.channel.key, *known, "timestamp"] if table.channel.key else ["timestamp", *known]


def _checked(table: RollingTable, columns: Sequence[str]) -> list[str]:
    known = [*table.columns, "timestamp"]
    for name in [columns] if isinstance(columns, str) else columns:
        if name not in known:
            raise UnknownColumn(name, table.channel.name, known)
    wanted = list(dict.fromkeys([columns] if isinstance(columns, str) else columns))
    if not wanted:
        raise UnknownOption("columns", columns, known)
    return wanted


def _sorting(table: RollingTable, shown: list[str], sort: str | None) -> list[tuple[str, int]]:
    """Return the columns to sort by, each with 1 for the least first or -1 for the greatest."""
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
    """Return a live table of a channel; what the session's method of this name does."""
    channel = channel_name(channel, tuple(pipeline.store.tables))
    table = pipeline.store.tables[channel]
    chosen = None if columns is None else _checked(table, columns)
    shown = " ".join([channel, *(f"{column}={value!r}" for column, value in (where or {}).items())])
    return Grid(
        Followed(table, whole("max_rows", max_rows, 1), where),
        Fares(pipeline, channel),
        columns=chosen,
        sort=_sorting(table, chosen or _default_columns(table), sort),
        height=whole("height", height, 1),
        name=f"{session}: {name or f'grid {shown}'}",
        **options,
    )

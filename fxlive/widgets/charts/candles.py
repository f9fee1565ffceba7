"""Candles: the bars of one symbol. An update sends the bars from the first changed one on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fxlive.analytics.bars import BarStream, Price
from fxlive.core.instruments import PIP
from fxlive.errors import UnknownOption
from fxlive.figures.labels import plotly_label, short_duration
from fxlive.tables.table import RollingTable
from fxlive.widgets.charts.layers import DOWN, UP, Column, Points, RevisablePoints

MOST_BARS = 5_000


class BarLayer:
    """The bars of one symbol.

    Parameters
    ----------
    table
        Table of market data.
    symbol
        Such as ``"EURUSD"``.
    freq
        Duration of a bar.
    window
        How much to show, back from the newest bar.
    price
        Price that the bars are built from: ``"mid"``, ``"bid"``, ``"ask"`` or ``"last"``.

    Raises
    ------
    UnknownOption
        If the window has more than 5,000 bars.
    """

    thin = False
    replaces = True
    holds = False
    columns = tuple(Column(name) for name in ("x", "open", "high", "low", "close"))

    def __init__(
        self, table: RollingTable, symbol: str, freq: pd.Timedelta, window: pd.Timedelta, price: Price = "mid"
    ) -> None:
        if window / freq > MOST_BARS:
            shortest = f"{int(window / MOST_BARS / pd.Timedelta('1s')) + 1}s"
            raise UnknownOption("freq", str(freq), (f"at least {shortest} for a window of {short_duration(window)}",))
        name = plotly_label(symbol)
        self.traces = (go.Candlestick(name=name, increasing_line_color=UP, decreasing_line_color=DOWN, line_width=1),)
        self._table = table
        self._symbol = symbol
        self._window_us = int(window / pd.Timedelta("1us"))
        self._stream = BarStream(freq, price, pip=PIP)
        self._next_row: int | None = None
        self._started = False
        self._bars = RevisablePoints(len(self.columns), self._window_us / 1000.0)

    def read(self, start: int | None) -> Points:
        """Return the bars that have changed since position `start`, or with None all bars of the window."""
        self._catch_up()
        return self._bars.read(start)

    def _catch_up(self) -> None:
        names = ("timestamp", "symbol", "bid", "ask", "last")
        self._next_row, (stamps, symbols, *prices) = self._table.values(self._next_row, *names)
        code = self._table.code("symbol", self._symbol)
        rows = np.flatnonzero(symbols == code) if code is not None else np.empty(0, np.intp)
        rows = rows[self._table.are_drawn(stamps, self._next_row, self._symbol)[rows]]  # without outliers
        if not len(rows):
            return
        if not self._started:  # from the beginning of the first bar in the window
            grid = self._stream.grid
            oldest = grid.starts(grid.keys(np.array([stamps[rows].max() - self._window_us])))[0]
            rows = rows[stamps[rows] >= oldest]
        bars = self._stream.update(stamps[rows], *(price[rows] for price in prices))
        if len(bars.start):
            self._started = True
            start_ms = bars.start / 1000.0
            self._bars.replace(float(start_ms[0]), (start_ms, bars.open, bars.high, bars.low, bars.close))

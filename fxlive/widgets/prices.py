"""The price chart: bid and ask of one symbol or its bars, with fills and open positions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fxlive.errors import UnknownOption
from fxlive.instruments import Instruments, is_pair, known_symbol
from fxlive.pipeline import Pipeline
from fxlive.table import RollingTable
from fxlive.widgets.candles import MOST_BARS, BarLayer
from fxlive.widgets.chart import Contents, LiveChart, Pickers
from fxlive.widgets.layers import DOWN, UP, Column, Fares, Layer, Mark, Moved, Points, in_window

QUOTES = "market-data"
_X = Column("x")


class QuoteLayer:
    """Bid and ask of one symbol, with the spread between them.

    Parameters
    ----------
    table
        Of market data.
    symbol
        Such as ``"EURUSD"``.
    window_us
        How much to show, in microseconds back from the symbol's newest quote.
    """

    thin = True
    replaces = holds = False
    columns = (Column("x", (0, 1)), Column("y", (0,)), Column("y", (1,)))

    def __init__(self, table: RollingTable, symbol: str, window_us: int) -> None:
        self._table = table
        self._symbol = symbol
        self._window_us = window_us
        line = {"width": 1.5, "shape": "hv"}
        self.traces = (
            go.Scatter(name="Bid", mode="lines", line=line),
            go.Scatter(name="Ask", mode="lines", line=line, fill="tonexty", fillcolor=_SPREAD),
        )

    def read(self, start: int | None) -> Points:
        """Return the quotes that have come since row `start`, or with None all of the window."""
        return quotes_of(self._table, self._symbol, start, self._window_us)


_SPREAD = "rgba(128, 128, 128, 0.18)"


def quotes_of(table: RollingTable, symbol: str, start: int | None, window_us: int) -> Points:
    """Return time (milliseconds), bid and ask of a symbol's quotes since row `start`, in the order of their times."""
    stop, (stamps, symbols, bid, ask) = table.values(start, "timestamp", "symbol", "bid", "ask")
    code = table.code("symbol", symbol)
    rows = np.flatnonzero(symbols == code) if code is not None else np.empty(0, np.intp)
    rows = in_window(stamps, rows, window_us)
    return Points((stamps[rows] / 1000.0, bid[rows], ask[rows]), stop)


class FillLayer:
    """The fills of one symbol on one side, as markers as large as their volume.

    Parameters
    ----------
    table
        Of trades.
    symbol, action
        Such as ``"EURUSD"``; ``"BUY"`` or ``"SELL"``.
    window_us
        How much to show, in microseconds back from the newest of them.
    """

    thin = False
    replaces = holds = False
    columns = (_X, Column("y"), Column("marker.size"), Column("customdata"))

    def __init__(self, table: RollingTable, symbol: str, action: Literal["BUY", "SELL"], window_us: int) -> None:
        self._table = table
        self._symbol = symbol
        self._action = action
        self._window_us = window_us
        buy = action == "BUY"
        self.traces = (
            go.Scatter(
                name="Buys" if buy else "Sells",
                mode="markers",
                marker={
                    "symbol": "triangle-up" if buy else "triangle-down",
                    "color": UP if buy else DOWN,
                    "line": {"width": 1, "color": "white"},
                },
                hovertemplate=f"{action.title()} %{{customdata:.2f}} at %{{y}}<extra></extra>",
            ),
        )

    def read(self, start: int | None) -> Points:
        """Return time, price, size in pixels and volume of the fills since row `start`."""
        table = self._table
        stop, (stamps, symbols, actions, price, volume) = table.values(
            start, "timestamp", "symbol", "action", "open_price", "volume"
        )
        symbol, action = table.code("symbol", self._symbol), table.code("action", self._action)
        known = symbol is not None and action is not None
        rows = np.flatnonzero((symbols == symbol) & (actions == action)) if known else np.empty(0, np.intp)
        rows = in_window(stamps, rows, self._window_us)
        size = 8.0 + 4.0 * np.log10(1.0 + 10.0 * np.nan_to_num(volume[rows]))
        return Points((stamps[rows] / 1000.0, price[rows], size, volume[rows]), stop)


class OpenPositions:
    """The open positions of one symbol, as lines at their price, stop loss and take profit."""

    def __init__(self, pipeline: Pipeline, symbol: str) -> None:
        tables = pipeline.store.tables
        self._table = tables["positions"]
        self._symbol = symbol
        self._moved = Moved(lambda: tables["positions"], lambda: tables["trades"])

    def __call__(self) -> list[Mark] | None:
        """Return the lines; None where no position has moved since the last call."""
        if not self._moved.moved():
            return None
        latest = self._table.latest()
        mine = latest[(latest["symbol"] == self._symbol).to_numpy()]
        columns = ("type", "volume", "open_price", "stop_loss", "take_profit")
        return [mark for row in zip(*(mine[name].tolist() for name in columns), strict=True) for mark in _marks(*row)]


def _marks(side: str, volume: float, price: float, stop_loss: float, take_profit: float) -> Iterator[Mark]:
    buy = str(side).upper().startswith("BUY")
    if not math.isnan(price):
        yield Mark(price, f"{'Long' if buy else 'Short'} {volume:g} from {price:g}", "buy" if buy else "sell")
    if stop_loss > 0:  # nor is NaN
        yield Mark(stop_loss, f"SL {stop_loss:g}", "stop_loss")
    if take_profit > 0:
        yield Mark(take_profit, f"TP {take_profit:g}", "take_profit")


def price_contents(pipeline: Pipeline, symbol: str, kind: str, freq: Any, window: Any) -> Contents:
    """Return what a chart of a symbol's prices shows."""
    if kind not in ("line", "candles"):
        raise UnknownOption("kind", kind, ("line", "candles"))
    span = time_of("window", window)
    tables = pipeline.store.tables
    window_us = int(span / pd.Timedelta("1us"))
    prices: Layer
    if kind == "candles":
        prices = BarLayer(tables[QUOTES], symbol, time_of("freq", freq), span)
    else:
        prices = QuoteLayer(tables[QUOTES], symbol, window_us)
    layers: list[Layer] = [prices]
    layers += [FillLayer(tables["trades"], symbol, action, window_us) for action in ("BUY", "SELL")]
    return Contents(
        price_figure(symbol),
        lambda: layers,
        Fares(pipeline, QUOTES),
        window_ms=span / pd.Timedelta("1ms"),
        marks=OpenPositions(pipeline, symbol),
        waiting=f"Waiting for the first tick of {symbol}",
    )


class PricePickers(Pickers):
    """Symbol, bars and window of a price chart, to be chosen in the page.

    Parameters
    ----------
    pipeline
        What brings the prices.
    symbol, bars, window
        What is chosen at first; bars are ``"line"`` for none.
    """

    def __init__(self, pipeline: Pipeline, symbol: str, bars: str = "line", window: str = "15min") -> None:
        super().__init__(symbol=symbol, bars=bars, window=window)
        self._pipeline = pipeline

    def options(self) -> dict[str, list[str]]:
        """Return the symbols so far, and the bars that the window has room for."""
        table, span = self._pipeline.store.tables[QUOTES], pd.Timedelta(self._chosen["window"])
        return {
            "symbol": sorted({*table.categories("symbol"), self._chosen["symbol"]}),
            "bars": ["line", *(freq for freq in _BARS if span / pd.Timedelta(freq) <= MOST_BARS)],
            "window": list(_WINDOWS),
        }

    def contents(self) -> Contents:
        """Return what is chosen now; bars that are too short for the window become the shortest that are not."""
        possible = self.options()["bars"]
        if self._chosen["bars"] not in possible:
            self._chosen["bars"] = possible[1]
        bars = self._chosen["bars"]
        kind, freq = ("line", "1s") if bars == "line" else ("candles", bars)
        return price_contents(self._pipeline, self._chosen["symbol"], kind, freq, self._chosen["window"])


_BARS = ("1s", "5s", "15s", "1min", "5min", "15min", "1h")
_WINDOWS = ("1min", "5min", "15min", "1h", "4h", "1D")


def price_chart(
    pipeline: Pipeline,
    session: str,
    symbol: str,
    kind: str,
    freq: Any,
    window: Any,
    *,
    name: str | None = None,
    **options: Any,
) -> LiveChart:
    """Return a live chart of a symbol's prices; what the session's method of this name does."""
    symbol = known_symbol(symbol, [str(s) for s in pipeline.store.tables[QUOTES].latest().index])
    contents = price_contents(pipeline, symbol, kind, freq, window)
    what = f"{kind} {short(time_of('freq', freq))}" if kind == "candles" else kind
    default = f"{symbol} {what} {short(time_of('window', window))}"
    return LiveChart(contents, name=f"{session}: {name or default}", **options)


def price_figure(symbol: str) -> go.Figure:
    """Return how a chart of a symbol's prices looks."""
    digits = round(-math.log10(Instruments()[symbol].point)) if is_pair(symbol) else None
    return go.Figure(
        layout={
            "title": {"text": symbol},
            "xaxis": {"type": "date", "rangeslider": {"visible": False}},
            "yaxis": {"tickformat": None if digits is None else f".{digits}f", "side": "right"},
            "hovermode": "x unified",
            "legend": {"traceorder": "normal"},
        }
    )


def time_of(option: str, value: Any) -> pd.Timedelta:
    """Return a length of time that an option names, such as "15min".

    Raises
    ------
    UnknownOption
        Where it is none, or not longer than nothing.
    """
    try:
        span = pd.Timedelta(value)
    except ValueError as error:
        raise UnknownOption(option, value, ('a time such as "15min"',)) from error
    if not span > pd.Timedelta(0):
        raise UnknownOption(option, value, ('a time such as "15min"',))
    return span


def short(span: pd.Timedelta) -> str:
    """Return a length of time in few characters.

    >>> short(pd.Timedelta("15min")), short(pd.Timedelta("90s")), short(pd.Timedelta("250ms"))
    ('15min', '90s', '250ms')
    """
    for unit in ("D", "h", "min", "s", "ms"):
        if span % pd.Timedelta(1, unit) == pd.Timedelta(0):
            return f"{span // pd.Timedelta(1, unit)}{unit}"
    return str(span)

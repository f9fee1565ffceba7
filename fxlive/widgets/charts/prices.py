"""The price chart: bid and ask of one symbol, or its bars, with fills and open positions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fxlive.core.arguments import time_of
from fxlive.core.instruments import Instruments, is_pair, known_symbol
from fxlive.errors import UnknownOption
from fxlive.figures.labels import plotly_label, short_duration
from fxlive.pipeline.pipeline import Pipeline
from fxlive.tables.latest import LatestCursor
from fxlive.tables.table import RollingTable
from fxlive.widgets.charts.candles import MOST_BARS, BarLayer
from fxlive.widgets.charts.chart import LiveChart
from fxlive.widgets.charts.contents import Contents, Pickers
from fxlive.widgets.charts.layers import (
    DOWN,
    UP,
    Column,
    DataStatus,
    Layer,
    Points,
    PriceLine,
    RevisablePoints,
    TableWatcher,
    in_window,
)
from fxlive.wire.statuses import is_executed, side_of

QUOTES = "market-data"
_X = Column("x")


class QuoteLayer:
    """Bid and ask of one symbol, with the spread between them.

    Parameters
    ----------
    table
        Table of market data.
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
        """Return the quotes from row `start` on, or with None all of the window."""
        return quotes_of(self._table, self._symbol, start, self._window_us)


_SPREAD = "rgba(128, 128, 128, 0.18)"


def quotes_of(table: RollingTable, symbol: str, start: int | None, window_us: int) -> Points:
    """Return time (milliseconds), bid and ask of a symbol's quotes from row `start` on, sorted by time."""
    stop, (stamps, symbols, bid, ask) = table.values(start, "timestamp", "symbol", "bid", "ask")
    code = table.code("symbol", symbol)
    rows = np.flatnonzero(symbols == code) if code is not None else np.empty(0, np.intp)
    rows = in_window(stamps, rows, window_us, table.are_drawn(stamps, stop, symbol))
    return Points((stamps[rows] / 1000.0, bid[rows], ask[rows]), stop)


class FillLayer:
    """The fills of one symbol on one side, as markers whose size grows with the volume.

    An execution that is reported several times counts by its last report.

    Parameters
    ----------
    table
        Table of trades.
    symbol, action
        Such as ``"EURUSD"``; ``"BUY"`` or ``"SELL"``.
    window_us
        How much to show, in microseconds back from the newest of them.
    """

    thin = replaces = holds = False
    columns = (_X, Column("y"), Column("marker.size"), Column("customdata"))

    def __init__(self, table: RollingTable, symbol: str, action: Literal["BUY", "SELL"], window_us: int) -> None:
        self._table = table
        self._symbol = symbol
        self._action = action
        self._cursor: LatestCursor | None = None
        self._fills: dict[str, tuple[int, float, float]] = {}
        self._points = RevisablePoints(len(self.columns), window_us / 1000.0)
        self._newest_ms = -np.inf
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
        """Return time, price, size in pixels and volume of the fills since position `start`, or with None all."""
        moves = self._table.moves(self._cursor, _MOST_FILLS)
        self._cursor = moves.cursor
        if moves.whole:
            self._fills.clear()
            self._points.restart()
            self._newest_ms = -np.inf
        for execution in moves.gone:
            self._fills.pop(execution, None)
        if moves.changed:
            self._update(list(moves.changed))
        return self._points.read(start)

    def _update(self, executions: list[str]) -> None:
        names = ("timestamp", "symbol", "action", "status", "open_price", "volume")
        values = self._table.newest_of(executions, *names)
        new: list[tuple[int, float, float]] = []
        repeated = False  # an execution that is drawn already was reported again
        for execution, *row in zip(executions, *(values[name] for name in names), strict=True):
            time, symbol, action, status, price, volume = row
            is_side = action is not None and side_of(action) == side_of(self._action)
            is_fill = symbol == self._symbol and is_side and is_executed(status)
            repeated |= self._fills.pop(execution, None) is not None
            if is_fill and price == price:  # the price is not NaN
                self._fills[execution] = (time, price, volume)
                new.append((time, price, volume))
        if repeated or (new and min(new)[0] / 1000.0 < self._newest_ms):
            self._points.restart()
            new, self._newest_ms = list(self._fills.values()), -np.inf
        if new:
            times, prices, volumes = np.array(sorted(new)).T
            size = 8.0 + 4.0 * np.log10(1.0 + 10.0 * np.abs(np.nan_to_num(volumes)))
            after = np.nextafter(self._newest_ms, np.inf)  # a fill does not replace others of the same time
            self._points.replace(after, (times / 1000.0, prices, size, volumes))
            self._newest_ms = times[-1] / 1000.0


_MOST_FILLS = 5_000


class OpenPositions:
    """The open positions of one symbol, as lines at their price, stop loss and take profit.

    Positions that no message has confirmed since the last gap are fainter, and say so.
    """

    def __init__(self, pipeline: Pipeline, symbol: str) -> None:
        tables = pipeline.store.tables
        self._table = tables["positions"]
        self._symbol = symbol
        self._watcher = TableWatcher(lambda: tables["positions"], lambda: tables["trades"])

    def __call__(self) -> list[PriceLine] | None:
        """Return the lines; None if positions and trades have not changed since the last call."""
        if not self._watcher.changed():
            return None
        latest = self._table.latest()
        positions = latest[(latest["symbol"] == self._symbol).to_numpy()]
        names = ("type", "volume", "open_price", "stop_loss", "take_profit", "confirmed")
        rows = zip(*(positions[name].tolist() for name in names), strict=True)
        return [line for row in rows for line in self._lines(*row)]

    def _lines(
        self, side: str, volume: float, price: float, stop_loss: float, take_profit: float, confirmed: bool
    ) -> Iterator[PriceLine]:
        digits = digits_of(self._symbol)

        def text(value: float) -> str:
            return f"{value:.10g}" if digits is None else f"{value:.{digits}f}"

        buy, volume = side_of(str(side)) > 0, abs(volume)
        note = "" if confirmed else ", not confirmed"
        if not math.isnan(price):
            yield PriceLine(
                price,
                f"{'Long' if buy else 'Short'} {volume:.10g} from {text(price)}{note}",
                "buy" if buy else "sell",
                confirmed,
            )
        if stop_loss > 0:  # False for NaN
            yield PriceLine(stop_loss, f"SL {text(stop_loss)}{note}", "stop_loss", confirmed)
        if take_profit > 0:
            yield PriceLine(take_profit, f"TP {text(take_profit)}{note}", "take_profit", confirmed)


def price_contents(pipeline: Pipeline, symbol: str, kind: str, freq: Any, window: Any) -> Contents:
    """Return the contents of a price chart."""
    if kind not in ("line", "candles"):
        raise UnknownOption("kind", kind, ("line", "candles"))
    span = time_of("window", window)
    tables = pipeline.store.tables
    window_us = int(span / pd.Timedelta("1us"))
    freq = time_of("freq", freq) if kind == "candles" else None

    def begin() -> Callable[[], list[Layer]]:
        prices: Layer
        if freq is None:
            prices = QuoteLayer(tables[QUOTES], symbol, window_us)
        else:
            prices = BarLayer(tables[QUOTES], symbol, freq, span)
        fills = [FillLayer(tables["trades"], symbol, action, window_us) for action in ("BUY", "SELL")]
        layers: list[Layer] = [prices, *fills]
        return lambda: layers

    return Contents(
        price_figure(symbol),
        begin,
        DataStatus(pipeline, QUOTES),
        window_ms=span / pd.Timedelta("1ms"),
        price_lines=OpenPositions(pipeline, symbol),
        waiting=f"Waiting for the first tick of {symbol[:60]}",
        bar_ms=0.0 if freq is None else freq / pd.Timedelta("1ms"),
    )


class PricePickers(Pickers):
    """Menus for the symbol, the bars and the window of a price chart.

    Parameters
    ----------
    pipeline
        Pipeline of the session.
    symbol, bars, window
        The initial choice; bars may be ``"line"`` for bid and ask.
    """

    def __init__(self, pipeline: Pipeline, symbol: str, bars: str = "line", window: str = "15min") -> None:
        super().__init__(symbol=symbol, bars=bars, window=window)
        self._pipeline = pipeline

    def options(self) -> dict[str, list[str]]:
        """Return the symbols quoted so far, the bars that fit into the chosen window, and the windows."""
        table, span = self._pipeline.store.tables[QUOTES], pd.Timedelta(self._chosen["window"])
        return {
            "symbol": sorted({*table.categories("symbol"), self._chosen["symbol"]}),
            "bars": ["line", *(freq for freq in _BARS if span / pd.Timedelta(freq) <= MOST_BARS)],
            "window": list(_WINDOWS),
        }

    def contents(self) -> Contents:
        """Return the contents for the chosen values. Bars too short for the window become the shortest possible."""
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
    """Return a live chart of a symbol's prices. Implements `Session.price_chart`."""
    symbol = known_symbol(symbol, [str(s) for s in pipeline.store.tables[QUOTES].latest().index])
    contents = price_contents(pipeline, symbol, kind, freq, window)
    style = f"{kind} {short_duration(time_of('freq', freq))}" if kind == "candles" else kind
    default = f"{symbol} {style} {short_duration(time_of('window', window))}"
    return LiveChart(contents, session=session, name=name or default, **options)


def price_figure(symbol: str) -> go.Figure:
    """Return the figure of a price chart: title and axes, without points."""
    digits = digits_of(symbol)
    return go.Figure(
        layout={
            "title": {"text": plotly_label(symbol)},
            "xaxis": {"type": "date", "rangeslider": {"visible": False}},
            "yaxis": {"tickformat": None if digits is None else f".{digits}f", "side": "right"},
            "hovermode": "x unified",
            "legend": {"traceorder": "normal"},
        }
    )


def digits_of(symbol: str) -> int | None:
    """Return the number of decimals of a symbol's prices; None if the symbol is not a currency pair.

    >>> digits_of("EURUSD"), digits_of("USDJPY"), digits_of("US500")
    (5, 3, None)
    """
    return round(-math.log10(Instruments()[symbol].point)) if is_pair(symbol) else None

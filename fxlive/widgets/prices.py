"""The price chart: bid and ask of one symbol."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fxlive.errors import UnknownOption, UnknownSymbol
from fxlive.instruments import Instruments
from fxlive.pipeline import Pipeline
from fxlive.widgets.chart import Badge, Floats, LiveChart, Points

KINDS = ("line",)
_CHANNEL = "market-data"


class QuoteLines:
    """Bid and ask of one symbol, as the lines of a chart.

    Parameters
    ----------
    pipeline
        What brings the quotes.
    symbol
        Such as ``"EURUSD"``.
    window_us
        How much to show, in microseconds back from the symbol's newest quote.
    """

    def __init__(self, pipeline: Pipeline, symbol: str, window_us: int) -> None:
        self._pipeline = pipeline
        self._symbol = symbol
        self._window_us = window_us

    def points(self, start: int | None) -> Points:
        """Return the quotes that have come since row `start`, or with None all of the window."""
        table = self._pipeline.store.tables[_CHANNEL]
        stop = table.stop  # before the frame: a quote between the two comes once more, rather than never
        if start is not None and start >= stop:
            return Points(np.empty(0), (np.empty(0), np.empty(0)), stop)
        frame = table.frame(start)
        symbols: Any = frame["symbol"].array
        if not len(frame) or self._symbol not in symbols.categories:
            return Points(np.empty(0), (np.empty(0), np.empty(0)), stop)
        mine = np.flatnonzero(symbols.codes == symbols.categories.get_loc(self._symbol))
        moments = frame.index.asi8[mine]  # type: ignore[attr-defined]
        if len(moments):
            young = moments >= moments.max() - self._window_us
            mine, moments = mine[young], moments[young]
        return Points(moments / 1000.0, (_values(frame["bid"], mine), _values(frame["ask"], mine)), stop)

    def badge(self) -> Badge:
        """Return how the quotes fare: stale goes by the channel, as in `health()`."""
        state = self._pipeline.state
        if state in ("connecting", "reconnecting"):
            return Badge("disconnected")
        if state == "closed":
            return Badge("closed")
        if state == "failed":
            return Badge("failed")
        if self._pipeline.stale(_CHANNEL):
            last = self._pipeline.store.counters[_CHANNEL].last_received_at
            return Badge("stale", None if last is None else last / 1000.0)
        return Badge("live")


def _values(column: pd.Series[Any], rows: Any) -> Floats:
    values: Floats = column.to_numpy()[rows]
    return values


def price_chart(pipeline: Pipeline, session: str, symbol: str, kind: str, window: Any, name: str | None) -> LiveChart:
    """Return a live chart of a symbol's prices; what the session's method of this name does."""
    if kind not in KINDS:
        raise UnknownOption("kind", kind, KINDS)
    try:
        span = pd.Timedelta(window)
    except ValueError as error:
        raise UnknownOption("window", window, ('a time such as "15min"',)) from error
    if not span > pd.Timedelta(0):
        raise UnknownOption("window", window, ('a time such as "15min"',))
    symbol = known_symbol(symbol, [str(s) for s in pipeline.store.tables[_CHANNEL].latest().index])
    digits = round(-math.log10(Instruments()[symbol].point)) if _is_pair(symbol) else None
    figure = go.Figure(
        [
            go.Scatter(name=side, mode="lines", line={"width": 1.5, "shape": "hv"}, connectgaps=False)
            for side in ("Bid", "Ask")
        ],
        {
            "title": {"text": f"{symbol}"},
            "xaxis": {"type": "date", "title": {"text": "UTC"}},
            "yaxis": {"tickformat": None if digits is None else f".{digits}f", "side": "right"},
            "hovermode": "x unified",
        },
    )
    return LiveChart(
        figure,
        QuoteLines(pipeline, symbol, int(span / pd.Timedelta("1us"))),
        name=f"{session}: {name or f'{symbol} {kind} {span}'}",
        window_ms=span / pd.Timedelta("1ms"),
        waiting=f"Waiting for the first tick of {symbol}",
    )


def known_symbol(symbol: str, seen: list[str]) -> str:
    """Return the symbol that is meant: one that has been seen, however written, or any pair that may still tick.

    Raises
    ------
    UnknownSymbol
        Where it is neither; lists those that have been seen.

    Examples
    --------
    >>> known_symbol("eur/usd", ["EURUSD"]), known_symbol("GBPUSD", ["EURUSD"])
    ('EURUSD', 'GBPUSD')
    """
    if symbol in seen:
        return symbol
    letters = _letters(symbol)
    alike = [other for other in seen if _letters(other) == letters]
    if alike:
        return alike[0]
    if not _is_pair(symbol):
        raise UnknownSymbol(symbol, seen)
    return letters if "." not in symbol else symbol


def _letters(symbol: str) -> str:
    return "".join(c for c in str(symbol).split(".")[0] if c.isalnum()).upper()


def _is_pair(symbol: str) -> bool:
    letters = _letters(symbol)
    return len(letters) == 6 and letters.isalpha()

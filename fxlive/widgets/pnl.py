"""The P&L chart: unrealized, realized and total over time, and the drawdown beneath."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fxlive.analytics.events import BYS, By
from fxlive.analytics.pnl import PnlPoints, PnlStream, known_since
from fxlive.errors import UnknownOption
from fxlive.pipeline import Pipeline
from fxlive.store import Store
from fxlive.widgets.chart import Contents, LiveChart, Pickers
from fxlive.widgets.layers import DOWN, Column, Fares, Floats, Layer, Points, Revised
from fxlive.widgets.prices import short, time_of

CHANNELS = ("positions", "trades")
_LINE = {"shape": "hv", "width": 1.5}


class PnlBook:
    """Profit and loss of a store, by group, kept up with what comes.

    Parameters
    ----------
    store
        Holds positions and trades.
    by
        As in `pnl`.
    window_ms
        How much to keep.
    """

    def __init__(self, store: Store, by: By | None, window_ms: float) -> None:
        self.groups: dict[str | None, Revised] = {}
        self._tables = [store.tables[channel] for channel in CHANNELS]
        self._next_rows: list[int | None] = [None, None]
        self._stream = PnlStream(by)
        self._window_ms = window_ms

    def catch_up(self) -> None:
        """Take what has come."""
        stops = [table.stop for table in self._tables]
        if stops == self._next_rows:
            return
        frames = [table.frame(start) for table, start in zip(self._tables, self._next_rows, strict=True)]
        self._next_rows = list(stops)
        for group, points in self._stream.update(*frames).items():
            if group not in self.groups:
                self.groups[group] = Revised(len(_columns(points)), self._window_ms)
            self.groups[group].replace(points.since / 1000.0, _columns(points))


def _columns(points: PnlPoints) -> tuple[Floats, ...]:
    return (points.times / 1000.0, points.total, points.unrealized, points.realized, -points.drawdown)


class PnlLayer:
    """Some series of one group.

    Parameters
    ----------
    book, group
        Whose they are.
    series
        Their places among the columns of the book, and how each looks.
    """

    thin = replaces = holds = True

    def __init__(self, book: PnlBook, group: str | None, series: dict[int, go.Scatter]) -> None:
        self.traces = list(series.values())
        self.columns = (Column("x", tuple(range(len(series)))), *(Column("y", (n,)) for n in range(len(series))))
        self._book = book
        self._group = group
        self._places = [0, *series]

    def read(self, start: int | None) -> Points:
        """Return the points that have changed since `start`, or with None all of the window."""
        self._book.catch_up()
        of_group = self._book.groups.get(self._group)
        if of_group is None:
            return Points(tuple(np.empty(0) for _ in self._places), 0)
        points = of_group.read(start)
        return Points(tuple(points.columns[place] for place in self._places), points.stop, points.anew)


class PnlLayers:
    """The layers of a P&L chart: the whole, and with `by` the total of each group, as they come.

    Parameters
    ----------
    store, by, window_ms
        As for `PnlBook`.
    """

    def __init__(self, store: Store, by: By | None, window_ms: float) -> None:
        whole = PnlBook(store, None, window_ms)
        drawdown = go.Scatter(
            name="Drawdown",
            mode="lines",
            line={**_LINE, "width": 1, "color": DOWN},
            fill="tozeroy",
            fillcolor="rgba(239, 83, 80, 0.25)",
            yaxis="y2",
        )
        total = go.Scatter(name="Total", mode="lines", line={**_LINE, "width": 2.5})
        parts = [go.Scatter(name=name, mode="lines", line=_LINE) for name in ("Unrealized", "Realized")]
        series = {1: total, 4: drawdown} if by else {1: total, 2: parts[0], 3: parts[1], 4: drawdown}
        self._layers: list[Layer] = [PnlLayer(whole, None, series)]
        self._book = PnlBook(store, by, window_ms) if by else None
        self._known: set[str | None] = set()

    def __call__(self) -> Sequence[Layer]:
        """Return the layers there are now."""
        if self._book is not None:
            self._book.catch_up()
            for group in [group for group in self._book.groups if group not in self._known]:
                self._known.add(group)
                look = go.Scatter(name=str(group), mode="lines", line=_LINE)
                self._layers.append(PnlLayer(self._book, group, {1: look}))
        return self._layers


def pnl_contents(pipeline: Pipeline, by: By | None, window: Any) -> Contents:
    """Return what a chart of profit and loss shows."""
    if by is not None and by not in BYS:
        raise UnknownOption("by", by, ("None", *BYS))
    span = time_of("window", window)
    window_ms = span / pd.Timedelta("1ms")
    tables = pipeline.store.tables
    since = known_since(*(tables[channel].frame() for channel in CHANNELS))
    moment = pd.Timestamp(pipeline.now_us(), unit="us", tz="UTC") if since is None else pd.Timestamp(since)
    figure = go.Figure(
        layout={
            "title": {
                "text": "P&L" + (f" by {by}" if by else ""),
                "subtitle": {"text": f"known since {moment:%H:%M:%S} UTC", "font": {"size": 11}},
            },
            "xaxis": {"type": "date", "anchor": "y2"},
            "yaxis": {"side": "right", "domain": [0.3, 1.0], "tickformat": ",.2~f", "zeroline": True},
            "yaxis2": {
                "side": "right",
                "domain": [0.0, 0.24],
                "rangemode": "tozero",
                "tickformat": ",.2~f",
                "nticks": 3,
                "anchor": "x",
            },
            "hovermode": "x unified",
            "margin": {"t": 48},
        }
    )
    return Contents(
        figure,
        PnlLayers(pipeline.store, by, window_ms),
        Fares(pipeline, *CHANNELS),
        window_ms=window_ms,
        waiting="Waiting for the first position or trade",
    )


class PnlPickers(Pickers):
    """Groups and window of a P&L chart, to be chosen in the page.

    Parameters
    ----------
    pipeline
        What brings positions and trades.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(by="total", window="1h")
        self._pipeline = pipeline

    def options(self) -> dict[str, list[str]]:
        """Return the groups, and some windows."""
        return {"by": ["total", *BYS], "window": ["15min", "1h", "4h", "1D"]}

    def contents(self) -> Contents:
        """Return what is chosen now."""
        by: Any = None if self._chosen["by"] == "total" else self._chosen["by"]
        return pnl_contents(self._pipeline, by, self._chosen["window"])


def pnl_chart(
    pipeline: Pipeline, session: str, by: By | None, window: Any, *, name: str | None = None, **options: Any
) -> LiveChart:
    """Return a live chart of profit and loss; what the session's method of this name does."""
    contents = pnl_contents(pipeline, by, window)
    default = f"pnl by {by} {short(time_of('window', window))}"
    return LiveChart(contents, name=f"{session}: {name or default}", **options)

"""The P&L chart: unrealized, realized and total over time, and the drawdown beneath."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fxlive.analytics.pnl import known_since
from fxlive.analytics.profit.events import BYS, By
from fxlive.analytics.profit.stream import PnlPoints, PnlStream
from fxlive.core.arguments import time_of
from fxlive.core.background import submit
from fxlive.errors import UnknownOption
from fxlive.figures.labels import MOST_LINES, left_out, short, shown_name
from fxlive.pipeline.pipeline import Pipeline
from fxlive.tables.store import Store
from fxlive.widgets.charts.chart import Contents, LiveChart, Pickers
from fxlive.widgets.charts.layers import DOWN, Column, Fares, Layer, Points, Revised

CHANNELS = ("positions", "trades")
MOST = pd.Timedelta("1D")
MOST_ROWS_A_TICK = 2_000
"""Of each channel: some 20 ms of the feed's thread."""
_LINE = {"shape": "hv", "width": 1.5}


class PnlBook:
    """Profit and loss of a store, by group, kept up with what comes.

    What is there at first is worked out on another thread where it is much, so that the feed does not wait for it; and
    so it is again when rows have left the window before they were counted, because nobody was looking.

    Parameters
    ----------
    store
        Holds positions and trades.
    by
        As in `pnl`.
    now
        Gives the moment at which it begins, in microseconds.
    window_ms
        How much to keep, back from the newest point.
    """

    def __init__(self, store: Store, by: By | None, now: Callable[[], int], window_ms: float) -> None:
        self.window_ms = window_ms
        self.groups: dict[str | None, Revised] = {}
        self.since = _moment(now())
        """When the first row that counts came."""
        self._by = by
        self._now = now
        self._tables = [store.tables[channel] for channel in CHANNELS]
        self._next_rows = [-1, -1]
        self._clearings = 0
        self._stream = PnlStream(by)
        self._beginning: Future[dict[str | None, PnlPoints]] | None = None
        self.catch_up()

    def wait(self) -> None:
        """Wait, on a thread of one's own, until what was there at first has been worked out."""
        if self._beginning is not None:
            self._beginning.result()

    def catch_up(self) -> None:
        """Take what has come, some thousand rows at a time."""
        if self._beginning is not None:
            if not self._beginning.done():
                return
            points, self._beginning = self._beginning.result(), None
            self._take(points)
        cleared = sum(table.clearings for table in self._tables) != self._clearings
        if cleared:
            self.groups.clear()  # a chart of them begins again, with the groups that come
            self.since = _moment(self._now())
        if cleared or any(row < table.first for row, table in zip(self._next_rows, self._tables, strict=True)):
            self._begin()
            return
        frames = []
        for place, table in enumerate(self._tables):
            frame = table.frame(self._next_rows[place]).iloc[:MOST_ROWS_A_TICK]
            self._next_rows[place] += len(frame)
            frames.append(frame)
        if any(map(len, frames)):
            self._take(self._stream.update(*frames))

    def _begin(self) -> None:
        frames = [table.frame() for table in self._tables]
        self._next_rows = [table.stop for table in self._tables]
        self._clearings = sum(table.clearings for table in self._tables)
        known = known_since(*frames)
        self.since = self.since if known is None else _moment(known)
        self._stream = PnlStream(self._by)
        for group in self.groups.values():
            group.restart()
        if sum(map(len, frames)) <= MOST_ROWS_A_TICK:
            self._take(self._stream.begin(*frames))
        else:
            self._beginning = submit(asyncio.to_thread(self._stream.begin, *frames))

    def _take(self, points: Mapping[str | None, PnlPoints]) -> None:
        for name, of_group in points.items():
            columns = (
                of_group.times / 1000.0,
                of_group.total,
                of_group.unrealized,
                of_group.realized,
                -of_group.drawdown,
            )
            if name not in self.groups:
                self.groups[name] = Revised(len(columns), self.window_ms)
            self.groups[name].replace(of_group.since / 1000.0, columns)


def _moment(time: int | str) -> str:
    stamp = pd.Timestamp(time, unit="us", tz="UTC") if isinstance(time, int) else pd.Timestamp(time)
    return f"{stamp:%Y-%m-%d %H:%M:%S} UTC"


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
        """Return the points that have changed since `start`, or with None all of them."""
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
    whole, groups
        The books of both; None for no groups.
    """

    def __init__(self, whole: PnlBook, groups: PnlBook | None) -> None:
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
        series = {1: total, 4: drawdown} if groups else {1: total, 2: parts[0], 3: parts[1], 4: drawdown}
        self._layers: list[Layer] = [PnlLayer(whole, None, series)]
        self._book = groups
        self._known: set[str | None] = set()

    @property
    def left_out(self) -> int:
        """How many groups came when there were as many lines as can be told apart."""
        return 0 if self._book is None else len(self._book.groups) - len(self._known)

    def __call__(self) -> Sequence[Layer]:
        """Return the layers there are now."""
        if self._book is not None:
            self._book.catch_up()
            for group in [group for group in self._book.groups if group not in self._known]:
                if len(self._known) == MOST_LINES:
                    break
                self._known.add(group)
                look = go.Scatter(name=shown_name(str(group)), mode="lines", line=_LINE)
                self._layers.append(PnlLayer(self._book, group, {1: look}))
        return self._layers


class PnlBooks:
    """The books of one pipeline, each made when it is asked for.

    Parameters
    ----------
    pipeline
        What brings positions and trades.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self._books: dict[By | None, PnlBook] = {}

    def of(self, by: By | None, window_ms: float) -> PnlBook:
        """Return the book of a grouping, or that of the whole, that goes back so far."""
        book = self._books.get(by)
        if book is None or book.window_ms < window_ms:
            book = self._books[by] = PnlBook(self.pipeline.store, by, self.pipeline.now_us, window_ms)
        return book


def pnl_contents(books: PnlBooks, by: By | None, window: Any) -> Contents:
    """Return what a chart of profit and loss shows."""
    if by is not None and by not in BYS:
        raise UnknownOption("by", by, ("None", *BYS))
    span = time_of("window", window)
    if span > MOST:
        raise UnknownOption("window", window, (f"at most {short(MOST)}",))
    window_ms = span / pd.Timedelta("1ms")
    whole, groups = books.of(None, window_ms), None if by is None else books.of(by, window_ms)
    figure = go.Figure(
        layout={
            "title": {"text": "P&L" + (f" by {by}" if by else "")},
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

    def begin() -> PnlLayers:
        whole.catch_up()  # which says since when it is known
        return PnlLayers(whole, groups)

    def ready() -> None:
        for book in (whole, groups):
            if book is not None:
                book.wait()

    return Contents(
        figure,
        begin,
        Fares(books.pipeline, *CHANNELS),
        window_ms=window_ms,
        waiting="Waiting for the first position or trade",
        subtitle=lambda layers: ", ".join(filter(None, [f"known since {whole.since}", left_out(layers.left_out)])),
        ready=ready,
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
        self._books = PnlBooks(pipeline)

    def options(self) -> dict[str, list[str]]:
        """Return the groups, and some windows."""
        return {"by": ["total", *BYS], "window": ["15min", "1h", "4h", "1D"]}

    def contents(self) -> Contents:
        """Return what is chosen now."""
        by: Any = None if self._chosen["by"] == "total" else self._chosen["by"]
        return pnl_contents(self._books, by, self._chosen["window"])


def pnl_chart(
    pipeline: Pipeline, session: str, by: By | None, window: Any, *, name: str | None = None, **options: Any
) -> LiveChart:
    """Return a live chart of profit and loss; what the session's method of this name does."""
    contents = pnl_contents(PnlBooks(pipeline), by, window)
    default = f"pnl {f'by {by} ' if by else ''}{short(time_of('window', window))}"
    return LiveChart(contents, name=f"{session}: {name or default}", **options)

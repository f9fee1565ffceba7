"""The P&L chart: unrealized, realized and total P&L over time, and the drawdown below."""

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
from fxlive.figures.labels import MAX_LINES, hidden_lines_note, plotly_label, short_duration
from fxlive.pipeline.pipeline import Pipeline
from fxlive.tables.store import Store
from fxlive.tables.table import RollingTable
from fxlive.widgets.charts.chart import LiveChart
from fxlive.widgets.charts.contents import Contents, Pickers
from fxlive.widgets.charts.layers import DOWN, Column, DataStatus, Layer, Points, RevisablePoints

CHANNELS = ("positions", "trades")
MAX_WINDOW = pd.Timedelta("1D")
MOST_ROWS_A_TICK = 2_000
"""Rows of each channel that one tick takes: about 20 ms of the feed's thread."""
_LINE = {"shape": "hv", "width": 1.5}


class PnlSeries:
    """P&L of a store by group, updated with each new row.

    If the store has many rows at first, they are computed on another thread, so that the feed does not wait. The same
    happens when rows were evicted before they were counted, because no chart was visible.

    Parameters
    ----------
    store
        Has the tables of positions and trades.
    by
        Grouping, as in `pnl`.
    now
        Returns the current time in microseconds.
    window_ms
        How much to keep, back from the newest point.
    """

    def __init__(self, store: Store, by: By | None, now: Callable[[], int], window_ms: float) -> None:
        self.window_ms = window_ms
        self.groups: dict[str | None, RevisablePoints] = {}
        self.since = _utc_text(now())
        """Time of the first row that is counted, as text."""
        self._by = by
        self._now = now
        self._tables = [store.tables[channel] for channel in CHANNELS]
        self._next_rows = [-1, -1]
        self._clearings = 0
        self._stream = PnlStream(by)
        self._computing: Future[dict[str | None, PnlPoints]] | None = None
        self.catch_up()

    def wait(self) -> None:
        """Block until the initial rows have been computed. Not to be called on the background thread."""
        if self._computing is not None:
            self._computing.result()

    def catch_up(self) -> None:
        """Count new rows, at most `MOST_ROWS_A_TICK` of each channel."""
        if self._computing is not None:
            if not self._computing.done():
                return
            points, self._computing = self._computing.result(), None
            self._add(points)
        cleared = sum(table.clearings for table in self._tables) != self._clearings
        if cleared:
            self.groups.clear()  # charts restart with the groups that follow
            self.since = _utc_text(self._now())
        if cleared or any(row < table.first for row, table in zip(self._next_rows, self._tables, strict=True)):
            self._recompute()
            return
        frames = []
        for index, table in enumerate(self._tables):
            frame = table.frame(self._next_rows[index]).iloc[:MOST_ROWS_A_TICK]
            self._next_rows[index] += len(frame)
            frames.append(_until_end(frame, table))
        if any(map(len, frames)):
            self._add(self._stream.update(*frames))

    def _recompute(self) -> None:
        frames = [_until_end(table.frame(), table) for table in self._tables]
        self._next_rows = [table.stop for table in self._tables]
        self._clearings = sum(table.clearings for table in self._tables)
        known = known_since(*frames)
        self.since = self.since if known is None else _utc_text(known)
        self._stream = PnlStream(self._by)
        for group in self.groups.values():
            group.restart()
        if sum(map(len, frames)) <= MOST_ROWS_A_TICK:
            self._add(self._stream.begin(*frames))
        else:
            self._computing = submit(asyncio.to_thread(self._stream.begin, *frames))

    def _add(self, points: Mapping[str | None, PnlPoints]) -> None:
        for name, new in points.items():
            columns = (new.times / 1000.0, new.total, new.unrealized, new.realized, -new.drawdown)
            if name not in self.groups:
                self.groups[name] = RevisablePoints(len(columns), self.window_ms)
            self.groups[name].replace(new.since / 1000.0, columns)


def _until_end(frame: pd.DataFrame, table: RollingTable) -> pd.DataFrame:
    """Return rows of a table; amounts with a timestamp far ahead count at the end of the channel's time."""
    end = pd.Timestamp(table.progress.end, unit="us", tz="UTC") if len(frame) else None
    if end is None or frame.index.max() <= end:
        return frame
    return frame.set_axis(frame.index.where(frame.index <= end, end).rename(frame.index.name))


def _utc_text(time: int | str) -> str:
    stamp = pd.Timestamp(time, unit="us", tz="UTC") if isinstance(time, int) else pd.Timestamp(time)
    return f"{stamp:%Y-%m-%d %H:%M:%S} UTC"


class PnlLayer:
    """Some of the series of one group.

    Parameters
    ----------
    pnl, group
        The P&L and the group in it.
    series
        The trace of each series, by its index among the columns: 1 total, 2 unrealized, 3 realized, 4 drawdown.
    """

    thin = replaces = holds = True

    def __init__(self, pnl: PnlSeries, group: str | None, series: dict[int, go.Scatter]) -> None:
        self.traces = list(series.values())
        self.columns = (Column("x", tuple(range(len(series)))), *(Column("y", (n,)) for n in range(len(series))))
        self._pnl = pnl
        self._group = group
        self._indices = [0, *series]

    def read(self, start: int | None) -> Points:
        """Return the points that have changed since position `start`, or with None all of them."""
        self._pnl.catch_up()
        group = self._pnl.groups.get(self._group)
        if group is None:
            return Points(tuple(np.empty(0) for _ in self._indices), 0)
        points = group.read(start)
        return Points(tuple(points.columns[index] for index in self._indices), points.stop, points.restart)


class PnlLayers:
    """The layers of a P&L chart: that of the account, and one for the total of each group.

    Parameters
    ----------
    account, groups
        P&L of the whole account, and by group; None without groups.
    """

    def __init__(self, account: PnlSeries, groups: PnlSeries | None) -> None:
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
        self._layers: list[Layer] = [PnlLayer(account, None, series)]
        self._groups = groups
        self._drawn: set[str | None] = set()

    @property
    def left_out(self) -> int:
        """Number of groups without a line, because the chart already has the maximum number of lines."""
        return 0 if self._groups is None else len(self._groups.groups) - len(self._drawn)

    def __call__(self) -> Sequence[Layer]:
        """Return the layers of the account and of all groups so far."""
        if self._groups is not None:
            self._groups.catch_up()
            for group in [group for group in self._groups.groups if group not in self._drawn]:
                if len(self._drawn) == MAX_LINES:
                    break
                self._drawn.add(group)
                trace = go.Scatter(name=plotly_label(str(group)), mode="lines", line=_LINE)
                self._layers.append(PnlLayer(self._groups, group, {1: trace}))
        return self._layers


class PnlCache:
    """The P&L of one pipeline by grouping. Each is made when it is first needed.

    Parameters
    ----------
    pipeline
        Pipeline of the session.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self._series: dict[By | None, PnlSeries] = {}

    def get(self, by: By | None, window_ms: float) -> PnlSeries:
        """Return the P&L of a grouping, or with None that of the account, that covers at least this window."""
        series = self._series.get(by)
        if series is None or series.window_ms < window_ms:
            series = self._series[by] = PnlSeries(self.pipeline.store, by, self.pipeline.now_us, window_ms)
        return series


def pnl_contents(cache: PnlCache, by: By | None, window: Any) -> Contents:
    """Return the contents of a P&L chart."""
    if by is not None and by not in BYS:
        raise UnknownOption("by", by, ("None", *BYS))
    span = time_of("window", window)
    if span > MAX_WINDOW:
        raise UnknownOption("window", window, (f"at most {short_duration(MAX_WINDOW)}",))
    window_ms = span / pd.Timedelta("1ms")
    account, groups = cache.get(None, window_ms), None if by is None else cache.get(by, window_ms)
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
        account.catch_up()  # updates `account.since`, which the subtitle shows
        return PnlLayers(account, groups)

    def ready() -> None:
        for series in (account, groups):
            if series is not None:
                series.wait()

    return Contents(
        figure,
        begin,
        DataStatus(cache.pipeline, *CHANNELS),
        window_ms=window_ms,
        waiting="Waiting for the first position or trade",
        subtitle=lambda layers: ", ".join(
            filter(None, [f"known since {account.since}", hidden_lines_note(layers.left_out)])
        ),
        ready=ready,
    )


class PnlPickers(Pickers):
    """Menus for the grouping and the window of a P&L chart.

    Parameters
    ----------
    pipeline
        Pipeline of the session.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(by="total", window="1h")
        self._cache = PnlCache(pipeline)

    def options(self) -> dict[str, list[str]]:
        """Return the groupings and the windows."""
        return {"by": ["total", *BYS], "window": ["15min", "1h", "4h", "1D"]}

    def contents(self) -> Contents:
        """Return the contents for the chosen values."""
        by: Any = None if self._chosen["by"] == "total" else self._chosen["by"]
        return pnl_contents(self._cache, by, self._chosen["window"])


def pnl_chart(
    pipeline: Pipeline, session: str, by: By | None, window: Any, *, name: str | None = None, **options: Any
) -> LiveChart:
    """Return a live chart of profit and loss. Implements `Session.pnl_chart`."""
    contents = pnl_contents(PnlCache(pipeline), by, window)
    default = f"pnl {f'by {by} ' if by else ''}{short_duration(time_of('window', window))}"
    return LiveChart(contents, session=session, name=name or default, **options)

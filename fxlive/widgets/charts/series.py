"""Charts of a channel's numeric columns over time, with a line for each column and each value of a grouping column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fxlive.core.arguments import time_of
from fxlive.errors import FxliveError, UnknownColumn, UnknownOption
from fxlive.figures.labels import MAX_LINES, hidden_lines_note, plotly_label, short_duration
from fxlive.pipeline.pipeline import Pipeline
from fxlive.tables.table import RollingTable
from fxlive.widgets.charts.chart import LiveChart
from fxlive.widgets.charts.contents import Contents
from fxlive.widgets.charts.layers import Column, DataStatus, Points, in_window
from fxlive.wire.messages import Kind

_GROUPS = (Kind.SYMBOL, Kind.CODE, Kind.KEY_INTEGER)


class SeriesLayer:
    """Some columns over time: of all rows, or of those with one value in the grouping column.

    Parameters
    ----------
    table
        Table of any channel.
    y
        Numeric columns.
    window_us
        How much to show, in microseconds back from the newest row.
    by, value, label
        The grouping column, its value in these rows, and that value as text; None for all rows.
    """

    thin = True
    replaces = holds = False

    def __init__(
        self,
        table: RollingTable,
        y: Sequence[str],
        window_us: int,
        by: str | None = None,
        value: int | None = None,
        label: str | None = None,
    ) -> None:
        self._table = table
        self._names = ["timestamp", *([] if by is None else [by]), *y]
        self._by = by
        self._value = value
        self._window_us = window_us
        self.columns = (
            Column("x", tuple(range(len(y)))),
            *(Column("y", (index,)) for index in range(len(y))),
        )
        titles = [label if label and len(y) == 1 else f"{label} {name}" if label else name for name in y]
        titles = [plotly_label(title) for title in titles]
        self.traces = [go.Scatter(name=t, mode="lines", line={"width": 1.5, "shape": "hv"}) for t in titles]

    def read(self, start: int | None) -> Points:
        """Return the points of the rows from row `start` on, or with None all of the window."""
        stop, [stamps, *values] = self._table.values(start, *self._names)
        if self._by is None:
            rows = np.arange(len(stamps))
        else:
            groups, *values = values
            rows = np.flatnonzero(groups == self._value)
        rows = in_window(stamps, rows, self._window_us, self._table.are_drawn(stamps, stop))
        return Points((stamps[rows] / 1000.0, *(column[rows] for column in values)), stop)


class SeriesLayers:
    """The layers of a series chart: one for each value of `by`, in the order of their first rows.

    Parameters
    ----------
    table, y, window_us, by
        As for `SeriesLayer`.
    """

    def __init__(self, table: RollingTable, y: Sequence[str], window_us: int, by: str | None) -> None:
        self._table = table
        self._y = y
        self._window_us = window_us
        self._by = by
        self._next_row: int | None = None
        self._layers: dict[int, SeriesLayer] = {}
        self._ungrouped = [SeriesLayer(table, y, window_us)] if by is None else None
        self.left_out: set[int] = set()
        """Values without a line, because the chart already had the maximum number of lines."""

    def __call__(self) -> list[SeriesLayer]:
        """Return the layers of all values so far."""
        if self._ungrouped is not None or self._by is None:
            return self._ungrouped or []
        self._next_row, [groups] = self._table.values(self._next_row, self._by)
        for value in map(int, pd.unique(groups)):
            label = self._table.label(self._by, value)
            if label is None or value in self._layers:
                continue
            if len(self._layers) == MAX_LINES:
                self.left_out.add(value)
            else:
                self._layers[value] = SeriesLayer(self._table, self._y, self._window_us, self._by, value, label)
        return list(self._layers.values())


def series_chart(
    pipeline: Pipeline,
    session: str,
    channel: str,
    y: Sequence[str],
    by: str | None,
    window: Any,
    *,
    name: str | None = None,
    **options: Any,
) -> LiveChart:
    """Return a live chart of columns of a channel. Implements `Session.chart`."""
    table = pipeline.store.tables[channel]
    y = [y] if isinstance(y, str) else list(y)
    numbers = table.columns_of(Kind.NUMBER)
    for column in y:
        if column not in numbers:
            raise UnknownColumn(column, f"{channel}, as a column of numbers,", numbers)
    if not y:
        raise UnknownOption("y", y, numbers)
    if by is not None and by not in table.columns_of(*_GROUPS):
        raise UnknownOption("by", by, table.columns_of(*_GROUPS))
    span = time_of("window", window)
    window_us = int(span / pd.Timedelta("1us"))
    layers = SeriesLayers(table, y, window_us, by)
    layers()
    if layers.left_out:
        raise FxliveError(
            f"{by} has more than {MAX_LINES} values, the most that one chart can show. "
            "Group by a column with fewer values, or use frame()."
        )
    figure = go.Figure(
        layout={
            "title": {"text": plotly_label(f"{channel}: {', '.join(y)}" + (f" by {by}" if by else ""))},
            "xaxis": {"type": "date"},
            "yaxis": {"side": "right"},
            "hovermode": "x unified",
            "showlegend": True,
        }
    )
    contents = Contents(
        figure,
        lambda: SeriesLayers(table, y, window_us, by),
        DataStatus(pipeline, channel),
        window_ms=span / pd.Timedelta("1ms"),
        waiting=f"Waiting for the first message of {channel}",
        subtitle=lambda layers: hidden_lines_note(len(layers.left_out)),
    )
    default = f"{channel} {', '.join(y)} {f'by {by} ' if by else ''}{short_duration(span)}"
    return LiveChart(contents, session=session, name=name or default, **options)

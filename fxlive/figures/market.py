"""Still figures of quotes, fills, open positions and gaps, of any columns over time, and of the platform's metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from fxlive.analytics.inputs import texts
from fxlive.figures.labels import plotly_label
from fxlive.figures.style import DOWN, SOFT, UP, figure
from fxlive.tables.open_rows.unconfirmed import are_unconfirmed
from fxlive.wire.statuses import is_executed, side_of

MAX_SHAPES = 500
"""The most positions or gaps that a figure draws: each is a shape, and shapes are slow."""
_STEPS = {"mode": "lines", "line": {"width": 1.5, "shape": "hv"}}
_SPREAD = "rgba(128, 128, 128, 0.18)"


class StillFigure(go.Figure):  # type: ignore[misc]
    """A figure that does not update. It has the attribute `figure` of a live chart, so it can stand in for one."""

    @property
    def figure(self) -> StillFigure:
        """The figure itself."""
        return self


def quotes_figure(quotes: pd.DataFrame) -> go.Figure:
    """Return bid and ask over time, with the spread between them shaded."""
    traces = []
    if len(quotes):
        ask = {"fill": "tonexty", "fillcolor": _SPREAD, **_STEPS}
        traces = [
            go.Scatter(x=quotes.index, y=quotes["bid"], name="Bid", **_STEPS),
            go.Scatter(x=quotes.index, y=quotes["ask"], name="Ask", **ask),
        ]
    return figure("", traces)


def mark_fills(fig: go.Figure, trades: pd.DataFrame) -> None:
    """Add a marker for each fill at its time and price; its size grows with the volume."""
    filled = np.array([is_executed(status) for status in texts(trades, "status")], bool)
    filled &= trades["open_price"].notna().to_numpy()
    sides = np.array([side_of(action or "") for action in texts(trades, "action")], np.int64)
    for side, name, symbol, colour in (("BUY", "Buys", "triangle-up", UP), ("SELL", "Sells", "triangle-down", DOWN)):
        fills = trades[filled & (sides == side_of(side))]
        if len(fills):
            size = 8.0 + 4.0 * np.log10(1.0 + 10.0 * fills["volume"].abs().fillna(0.0))
            marker = {"symbol": symbol, "color": colour, "size": size, "line": {"width": 1, "color": "white"}}
            hover = f"{side.title()} %{{customdata:.2f}} at %{{y}}<extra></extra>"
            points = {"x": fills.index, "y": fills["open_price"], "customdata": fills["volume"]}
            fig.add_scatter(**points, name=name, mode="markers", marker=marker, hovertemplate=hover)


def lines_figure(lines: Mapping[str, pd.Series[float]], title: str) -> go.Figure:
    """Return a line over time for each name; a missing value interrupts its line."""
    traces = [
        go.Scatter(x=line.index, y=line, name=plotly_label(name), **_STEPS) for name, line in lines.items() if len(line)
    ]
    return figure(title, traces, yaxis={"side": "right"}, showlegend=True)


def metrics_figure(lines: Mapping[tuple[str, str], pd.Series[float]], title: str) -> go.Figure:
    """Return a subplot for each metric, with a line for each name; the keys of `lines` are (metric, name)."""
    metrics = list(dict.fromkeys(metric for metric, _ in lines))
    if not metrics:
        return figure(title, [])
    columns = min(3, len(metrics))
    rows = -(-len(metrics) // columns)
    titles = [plotly_label(metric.replace("_", " ")) for metric in metrics]
    fig = make_subplots(rows, columns, subplot_titles=titles)
    for (metric, name), line in lines.items():
        row, column = divmod(metrics.index(metric), columns)
        trace = go.Scatter(x=line.index, y=line, name=plotly_label(f"{metric} {name}"), **_STEPS)
        fig.add_trace(trace, row + 1, column + 1)
    style = figure(title, [go.Scatter()]).layout
    fig.update_layout(
        title=style.title, template=style.template, colorway=style.colorway, modebar=style.modebar, showlegend=False
    )
    return fig.update_layout(height=120 + 180 * rows)


def mark_gaps(fig: go.Figure, gaps: Iterable[tuple[Any, Any]]) -> None:
    """Shade the newest 500 gaps, given as (start, end), in which messages may be missing."""
    box = {"type": "rect", "yref": "paper", "y0": 0, "y1": 1, "fillcolor": SOFT, "opacity": 0.25, "line": {"width": 0}}
    newest = list(gaps)[-MAX_SHAPES:]
    fig.update_layout(shapes=[*fig.layout.shapes, *({**box, "x0": start, "x1": end} for start, end in newest)])


def mark_positions(fig: go.Figure, positions: pd.DataFrame) -> None:
    """Draw up to 500 open positions as lines at their price, stop loss and take profit.

    Those that no message has confirmed since the last gap, by the column `confirmed`, are dashed, and say so.
    """
    columns = ("type", "open_price", "stop_loss", "take_profit")
    rows = zip(*(positions[name].tolist() for name in columns), are_unconfirmed(positions).tolist(), strict=True)
    for side, price, stop_loss, take_profit, doubtful in list(rows)[:MAX_SHAPES]:
        note = ", not confirmed" if doubtful else ""
        buy = side_of(str(side)) > 0
        if price > 0:  # False for NaN
            line = {"width": 1, "color": UP if buy else DOWN, "dash": "dash" if doubtful else None}
            fig.add_hline(price, line=line, annotation_text=f"{plotly_label(side)}{note}")
        for level, text in ((stop_loss, "SL"), (take_profit, "TP")):
            if level > 0:
                fig.add_hline(level, line={"width": 1, "dash": "dot", "color": SOFT}, annotation_text=f"{text}{note}")

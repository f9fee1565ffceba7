"""Still figures of quotes and fills, of any numbers over time, and of the platform's analytics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from fxlive.figures.style import DOWN, SOFT, UP, figure

MOST_MARKS = 500
"""Of positions and gaps: a figure draws each as a shape of its own."""
_NO_FILLS = ("PENDING", "REJECTED", "CANCELLED", "CANCELED", "EXPIRED")
_STEPS = {"mode": "lines", "line": {"width": 1.5, "shape": "hv"}}
_SPREAD = "rgba(128, 128, 128, 0.18)"


class Still(go.Figure):  # type: ignore[misc]
    """A figure of what was; where a live chart is expected it may stand in its place, for it is its own `figure`."""

    @property
    def figure(self) -> Still:
        """The figure itself: that of a live chart is what is styled."""
        return self


def quotes_figure(quotes: pd.DataFrame) -> go.Figure:
    """Return bid and ask of quotes over time, with the spread between them."""
    traces = []
    if len(quotes):
        ask = {"fill": "tonexty", "fillcolor": _SPREAD, **_STEPS}
        traces = [
            go.Scatter(x=quotes.index, y=quotes["bid"], name="Bid", **_STEPS),
            go.Scatter(x=quotes.index, y=quotes["ask"], name="Ask", **ask),
        ]
    return figure("", traces)


def mark_fills(made: go.Figure, trades: pd.DataFrame) -> None:
    """Draw what was filled of trades, by their times, as markers as large as their volume."""
    filled = ~trades["status"].astype("str").str.upper().isin(_NO_FILLS) & trades["open_price"].notna()
    sides = trades["action"].astype("str").str.upper()
    for side, name, symbol, colour in (("BUY", "Buys", "triangle-up", UP), ("SELL", "Sells", "triangle-down", DOWN)):
        mine = trades[(filled & (sides == side)).to_numpy()]
        if len(mine):
            size = 8.0 + 4.0 * np.log10(1.0 + 10.0 * mine["volume"].fillna(0.0))
            marker = {"symbol": symbol, "color": colour, "size": size, "line": {"width": 1, "color": "white"}}
            hover = f"{side.title()} %{{customdata:.2f}} at %{{y}}<extra></extra>"
            points = {"x": mine.index, "y": mine["open_price"], "customdata": mine["volume"]}
            made.add_scatter(**points, name=name, mode="markers", marker=marker, hovertemplate=hover)


def lines_figure(lines: Mapping[str, pd.Series[float]], title: str) -> go.Figure:
    """Return lines over time, each with its name; gaps are where values are missing."""
    traces = [go.Scatter(x=line.index, y=line, name=name, **_STEPS) for name, line in lines.items() if len(line)]
    return figure(title, traces, yaxis={"side": "right"}, showlegend=True)


def metrics_figure(lines: Mapping[tuple[str, str], pd.Series[float]], title: str) -> go.Figure:
    """Return a small picture for each metric, with a line for each name; the keys are metric and name."""
    metrics = list(dict.fromkeys(metric for metric, _ in lines))
    if not metrics:
        return figure(title, [])
    columns = min(3, len(metrics))
    rows = -(-len(metrics) // columns)
    made = make_subplots(
        rows, columns, subplot_titles=[escape(metric.replace("_", " "), quote=False) for metric in metrics]
    )
    for (metric, name), line in lines.items():
        place = metrics.index(metric)
        trace = go.Scatter(x=line.index, y=line, name=escape(f"{metric} {name}", quote=False), **_STEPS)
        made.add_trace(trace, place // columns + 1, place % columns + 1)
    look = figure(title, [go.Scatter()]).layout
    made.update_layout(
        title=look.title, template=look.template, colorway=look.colorway, modebar=look.modebar, showlegend=False
    )
    return made.update_layout(height=120 + 180 * rows)


def mark_gaps(made: go.Figure, gaps: Iterable[tuple[Any, Any]]) -> None:
    """Shade times in which something may be missing."""
    box = {"type": "rect", "yref": "paper", "y0": 0, "y1": 1, "fillcolor": SOFT, "opacity": 0.25, "line": {"width": 0}}
    some = list(gaps)[-MOST_MARKS:]
    made.update_layout(shapes=[*made.layout.shapes, *({**box, "x0": start, "x1": end} for start, end in some)])


def mark_positions(made: go.Figure, positions: pd.DataFrame) -> None:
    """Draw open positions as lines at their price, stop loss and take profit."""
    columns = ("type", "open_price", "stop_loss", "take_profit")
    rows = zip(*(positions[name].tolist() for name in columns), strict=True)
    for side, price, stop_loss, take_profit in list(rows)[:MOST_MARKS]:
        buy = str(side).upper().startswith("BUY")
        if price > 0:  # nor is NaN
            made.add_hline(price, line={"width": 1, "color": UP if buy else DOWN}, annotation_text=str(side))
        for level, text in ((stop_loss, "SL"), (take_profit, "TP")):
            if level > 0:
                made.add_hline(level, line={"width": 1, "dash": "dot", "color": SOFT}, annotation_text=text)

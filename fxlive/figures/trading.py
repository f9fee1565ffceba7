"""Figures of prices, profit and loss, and performance."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from fxlive.figures.labels import plotly_label, plotly_text
from fxlive.figures.style import DOWN, LINE, SOFT, UP, figure


def bars_figure(bars: pd.DataFrame, title: str = "") -> go.Figure:
    """Return bars as candlesticks.

    Parameters
    ----------
    bars
        As `fxlive.analytics.bars.bars` returns them.
    title
        The title of the figure, such as the symbol.
    """
    traces = []
    if len(bars):
        traces = [
            go.Candlestick(
                x=bars.index,
                **{side: bars[side] for side in ("open", "high", "low", "close")},
                increasing={"line": {"color": UP}},
                decreasing={"line": {"color": DOWN}},
                name=plotly_label(title),
            )
        ]
    return figure(
        title, traces, xaxis={"title": {"text": "UTC"}, "rangeslider": {"visible": False}}, yaxis={"side": "right"}
    )


def pnl_figure(pnl: pd.DataFrame, title: str = "Profit and loss") -> go.Figure:
    """Return profit and loss over time with the drawdown below it; for groups, the total of each.

    Parameters
    ----------
    pnl
        As `fxlive.analytics.pnl.pnl` returns it, with or without `by`.
    title
        The title of the figure.
    """
    steps = {"mode": "lines", "line": {"shape": "hv", "width": 1.5}}
    traces: list[go.Scatter] = []
    if pnl.index.nlevels > 1:
        for name, group in pnl.groupby(level=0):
            series = group.droplevel(0)["total"]
            traces.append(go.Scatter(x=series.index, y=series, name=plotly_label(name), **steps))
        return figure(title, traces, yaxis={"title": {"text": "total"}})
    if len(pnl):
        for column, colour in (("total", LINE), ("realized", UP), ("unrealized", SOFT)):
            style = {"shape": "hv", "width": 2 if column == "total" else 1, "color": colour}
            traces.append(go.Scatter(x=pnl.index, y=pnl[column], name=column, mode="lines", line=style))
        drawdown = {"shape": "hv", "width": 1, "color": DOWN}
        traces.append(
            go.Scatter(x=pnl.index, y=-pnl["drawdown"], name="drawdown", yaxis="y2", fill="tozeroy", line=drawdown)
        )
    return figure(
        title,
        traces,
        xaxis={"anchor": "y2"},  # the labels of the time axis are below both plots, not between them
        yaxis={"domain": [0.3, 1], "title": {"text": "account currency"}},
        yaxis2={"domain": [0, 0.22], "title": {"text": "drawdown"}, "anchor": "x"},
    )


def returns_figure(returns: pd.Series[float], title: str = "Returns by period") -> go.Figure:
    """Return a histogram of returns in percent.

    Parameters
    ----------
    returns
        As `fxlive.analytics.risk.period_returns` returns them.
    title
        The title of the figure.
    """
    percent = 100 * returns.dropna()
    traces = [go.Histogram(x=percent, name="periods", marker={"color": LINE})] if len(percent) else []
    return figure(
        title, traces, xaxis={"title": {"text": "return, %"}}, yaxis={"title": {"text": "periods"}}, bargap=0.05
    )


def explain_figure(explained: pd.Series[float], title: str = "Where the change comes from") -> go.Figure:
    """Return the parts of a change of profit and loss as a waterfall.

    Parameters
    ----------
    explained
        As `fxlive.analytics.explain.explain` returns it.
    title
        The title of the figure.
    """
    bars = go.Waterfall(
        x=[plotly_text(str(name).replace("_", " ")) for name in explained.index],
        y=explained.to_numpy(),
        measure=["relative"] * (len(explained) - 1) + ["total"],
        increasing={"marker": {"color": UP}},
        decreasing={"marker": {"color": DOWN}},
        totals={"marker": {"color": LINE}},
    )
    return figure(title, [bars], yaxis={"title": {"text": "account currency"}}, showlegend=False)

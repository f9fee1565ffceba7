"""Figures of execution quality, of the feed, and of the market's spreads."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from fxlive.figures.labels import plotly_label
from fxlive.figures.style import LINE, figure


def slippage_figure(fills: pd.DataFrame, title: str = "Slippage") -> go.Figure:
    """Return a histogram of the slippage of fills in pips, by symbol; positive is a cost.

    Parameters
    ----------
    fills
        As `fxlive.analytics.execution.execution` returns them.
    title
        The title of the figure.
    """
    known = fills.dropna(subset="slippage_pips")
    traces = [
        go.Histogram(x=group["slippage_pips"].round(6), name=plotly_label(symbol))
        for symbol, group in known.groupby(known["symbol"].astype("str"))
    ]
    return figure(title, traces, barmode="stack", xaxis={"title": {"text": "pips"}}, yaxis={"title": {"text": "fills"}})


def markout_figure(fills: pd.DataFrame, by: str = "symbol", title: str = "Markouts") -> go.Figure:
    """Return the mean markout of fills in pips by time after the fill; positive is in favour of the fill.

    Parameters
    ----------
    fills
        As `fxlive.analytics.execution.execution` returns them.
    by
        The column to group by, such as ``"symbol"`` or ``"strategy_id"``.
    title
        The title of the figure.
    """
    names = {column: column.split("_")[1] for column in fills.columns if column.startswith("markout_")}
    means = fills.groupby(fills[by].astype("str"))[list(names)].mean()
    counts = fills.groupby(fills[by].astype("str")).size().to_dict()
    traces = [
        go.Scatter(
            x=list(names.values()),
            y=row.to_numpy(),
            name=f"{plotly_label(group)} ({counts[str(group)]})",
            mode="lines+markers",
        )
        for group, row in means.iterrows()
    ]
    return figure(
        title,
        traces,
        xaxis={"title": {"text": "after the fill"}, "type": "category"},
        yaxis={"title": {"text": "pips"}},
    )


def latency_figure(latency: pd.DataFrame, title: str = "Latency") -> go.Figure:
    """Return the quantiles of latency over time, in milliseconds.

    Parameters
    ----------
    latency
        As `fxlive.analytics.market.latency` returns it.
    title
        The title of the figure.
    """
    columns = [c for c in latency.columns if c != "count"] if len(latency) else []
    traces = [
        go.Scatter(x=latency.index, y=latency[c], name=plotly_label(c.removesuffix("_ms")), mode="lines+markers")
        for c in columns
    ]
    return figure(title, traces, yaxis={"title": {"text": "ms"}, "rangemode": "tozero"})


def spread_figure(profile: pd.DataFrame, title: str = "Spreads by the hour") -> go.Figure:
    """Return the median spread of each symbol in pips by hour of the day.

    Parameters
    ----------
    profile
        As `fxlive.analytics.market.spread_profile` returns it.
    title
        The title of the figure.
    """
    traces = []
    for symbol, group in profile.groupby(level="symbol"):
        hours = group.index.get_level_values("hour")
        traces.append(go.Scatter(x=hours, y=group["median_pips"], name=plotly_label(symbol), mode="lines+markers"))
    return figure(
        title,
        traces,
        xaxis={"title": {"text": "hour"}, "dtick": 2},
        yaxis={"title": {"text": "pips"}, "rangemode": "tozero"},
    )


def fill_time_figure(lives: pd.DataFrame, title: str = "Time to fill") -> go.Figure:
    """Return the time to fill of limit and stop orders, in seconds, over their distance from the market in pips.

    Parameters
    ----------
    lives
        As `fxlive.analytics.execution.order_life` returns them.
    title
        The title of the figure.
    """
    resting = lives.dropna(subset=["time_to_fill_s", "distance_pips"])
    points = {"x": resting["distance_pips"], "y": resting["time_to_fill_s"]}
    style = {"color": LINE, "opacity": 0.6}
    traces = [go.Scatter(**points, mode="markers", name="orders", marker=style)] if len(resting) else []
    return figure(
        title,
        traces,
        xaxis={"title": {"text": "distance when placed, pips"}},
        yaxis={"title": {"text": "seconds"}},
        hovermode="closest",
    )

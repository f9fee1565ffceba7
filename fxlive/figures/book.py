"""Figures of the open positions: exposure, shocks, and the correlation of symbols."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fxlive.figures.labels import plotly_label, plotly_text
from fxlive.figures.style import DOWN, UP, figure


def exposure_figure(by_currency: pd.DataFrame, title: str = "Exposure by currency") -> go.Figure:
    """Return a bar for the net value of each currency: green is held, red is owed.

    Parameters
    ----------
    by_currency
        The table of that name of `fxlive.analytics.exposure.Exposure`.
    title
        The title of the figure.
    """
    net = by_currency["net_value"]
    colours = np.where(net >= 0, UP, DOWN).tolist()
    traces = (
        [go.Bar(x=list(map(plotly_text, net.index)), y=net, marker={"color": colours}, name="net")] if len(net) else []
    )
    return figure(title, traces, yaxis={"title": {"text": "account currency"}}, showlegend=False)


def shock_figure(shocks: pd.DataFrame, title: str = "Profit at shocked rates") -> go.Figure:
    """Return a line for each currency: the change of profit over the size of its move.

    Parameters
    ----------
    shocks
        The table of that name of `fxlive.analytics.exposure.Exposure`.
    title
        The title of the figure.
    """
    traces = [
        go.Scatter(x=shocks.index, y=shocks[c], name=plotly_label(c), mode="lines+markers") for c in shocks.columns
    ]
    return figure(title, traces, xaxis={"title": {"text": "move, %"}}, yaxis={"title": {"text": "account currency"}})


def correlation_figure(correlation: pd.DataFrame, title: str = "Correlation") -> go.Figure:
    """Return the correlation matrix as a heat map from -1 to 1.

    Parameters
    ----------
    correlation
        As `fxlive.analytics.market.correlation` returns it.
    title
        The title of the figure.
    """
    names = list(map(plotly_text, correlation.index))
    heat = go.Heatmap(
        z=correlation.to_numpy(), x=names, y=names, zmin=-1, zmax=1, colorscale="RdBu", texttemplate="%{z:.2f}"
    )
    return figure(title, [heat] if names else [], hovermode="closest")

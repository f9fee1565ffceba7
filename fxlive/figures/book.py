"""Figures of what is held: exposure, shocks, and how the symbols move together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fxlive.figures.style import DOWN, UP, figure


def exposure_figure(by_currency: pd.DataFrame, title: str = "Exposure by currency") -> go.Figure:
    """Return the net worth held in each currency: green is held, red is owed.

    Parameters
    ----------
    by_currency
        Of `fxlive.analytics.exposure.Exposure`.
    title
        What to call it.
    """
    net = by_currency["net_value"]
    colours = np.where(net >= 0, UP, DOWN).tolist()
    traces = [go.Bar(x=net.index, y=net, marker={"color": colours}, name="net")] if len(net) else []
    return figure(title, traces, yaxis={"title": {"text": "account currency"}}, showlegend=False)


def shock_figure(shocks: pd.DataFrame, title: str = "Profit at shocked rates") -> go.Figure:
    """Return what moves of each currency would change profit by.

    Parameters
    ----------
    shocks
        Of `fxlive.analytics.exposure.Exposure`.
    title
        What to call it.
    """
    traces = [go.Scatter(x=shocks.index, y=shocks[c], name=c, mode="lines+markers") for c in shocks.columns]
    return figure(title, traces, xaxis={"title": {"text": "move, %"}}, yaxis={"title": {"text": "account currency"}})


def correlation_figure(correlation: pd.DataFrame, title: str = "Correlation") -> go.Figure:
    """Return how the symbols move together, -1 to 1.

    Parameters
    ----------
    correlation
        As `fxlive.analytics.market.correlation` returns it.
    title
        What to call it.
    """
    names = correlation.index.tolist()
    heat = go.Heatmap(
        z=correlation.to_numpy(), x=names, y=names, zmin=-1, zmax=1, colorscale="RdBu", texttemplate="%{z:.2f}"
    )
    return figure(title, [heat] if names else [], hovermode="closest")

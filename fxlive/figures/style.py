"""The common style of the still figures, and their conversion to HTML."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from fxlive.figures.labels import plotly_text

UP, DOWN, LINE, SOFT = "#26a69a", "#ef5350", "#3367d6", "#9aa0a6"
COLOURS = ("#3367d6", "#e8710a", "#188038", "#a142f4", "#d93025", "#12b5cb", "#9aa0a6", "#f9ab00")
NO_UPLOAD = "sendChartToCloud"
"""The mode bar button of plotly 7 that uploads a figure's data. Figures remove it in their layout."""


def figure(title: str, traces: list[Any], **layout: Any) -> go.Figure:
    """Return a figure in the common style; without traces it displays "Nothing to show yet"."""
    fig = go.Figure(traces)
    fig.update_layout(
        title={"text": plotly_text(title)},
        template="plotly_white",
        margin={"l": 60, "r": 30, "t": 60, "b": 50},
        colorway=list(COLOURS),
        hovermode="x unified",
        legend={"orientation": "h", "y": -0.15},
        modebar={"remove": [NO_UPLOAD]},
    )
    fig.update_layout(**layout)
    if not traces:
        fig.add_annotation(text="Nothing to show yet", showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper")
    return fig


def as_html(fig: go.Figure) -> str:
    """Return a figure as an HTML element, for a page that contains plotly's script."""
    config = {"displaylogo": False, "showSendToCloud": False, "responsive": True}
    html: str = fig.to_html(full_html=False, include_plotlyjs=False, config=config)
    return html


def plotly_script() -> str:
    """Return the JavaScript of the installed plotly."""
    text: str = get_plotlyjs()
    return text

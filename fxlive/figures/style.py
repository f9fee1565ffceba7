"""What the still figures have in common, and how they become HTML."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

UP, DOWN, LINE, SOFT = "#26a69a", "#ef5350", "#3367d6", "#9aa0a6"
COLOURS = ("#3367d6", "#e8710a", "#188038", "#a142f4", "#d93025", "#12b5cb", "#9aa0a6", "#f9ab00")
NO_UPLOAD = "sendChartToCloud"
"""The button of plotly 7 that uploads a figure's data; what a layout removes is not drawn wherever it is shown."""


def figure(title: str, traces: list[Any], **layout: Any) -> go.Figure:
    """Return a figure in the common style; without any point it says that there is nothing to show."""
    made = go.Figure(traces)
    made.update_layout(
        title={"text": title},
        template="plotly_white",
        margin={"l": 60, "r": 30, "t": 60, "b": 50},
        colorway=list(COLOURS),
        hovermode="x unified",
        legend={"orientation": "h", "y": -0.15},
        modebar={"remove": [NO_UPLOAD]},
    )
    made.update_layout(**layout)
    if not traces:
        made.add_annotation(text="Nothing to show yet", showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper")
    return made


def as_html(made: go.Figure) -> str:
    """Return a figure as an HTML element, for a page that holds plotly's script."""
    config = {"displaylogo": False, "showSendToCloud": False, "responsive": True}
    html: str = made.to_html(full_html=False, include_plotlyjs=False, config=config)
    return html


def script() -> str:
    """Return plotly's script, from the installed package."""
    text: str = get_plotlyjs()
    return text

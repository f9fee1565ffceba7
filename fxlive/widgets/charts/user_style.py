"""What a user has made of the looks of a chart, so that it stays when the chart shows something else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import plotly.graph_objects as go
from plotly.utils import PlotlyJSONEncoder

Kin = tuple[tuple[str, str], ...]


@dataclass
class Style:
    """What is different from the looks that a chart has by itself.

    `layout` is what of the layout, `traces` what of the traces of layers, by their kinds and names. `added` are the
    traces that came from the user.
    """

    layout: dict[str, Any] = field(default_factory=dict)
    traces: dict[Kin, list[dict[str, Any]]] = field(default_factory=dict)
    added: list[Any] = field(default_factory=list)

    def put_on(self, figure: go.Figure) -> None:
        """Make a figure look so, as far as it can."""
        figure.update_layout(self.layout)
        figure.add_traces(self.added)

    def of(self, traces: Sequence[Any]) -> list[Any]:
        """Return the traces of a layer in this style."""
        changed = self.traces.get(kin(traces), [{} for _ in traces])
        return [type(trace)(trace).update(change) for trace, change in zip(traces, changed, strict=True)]


def kin(traces: Sequence[Any]) -> Kin:
    """Return what the traces of a layer share with those of a layer that shows the like of something else."""
    return tuple((trace.type, trace.name) for trace in traces)


def plain(look: Any) -> Any:
    """Return a look, or a part of plotly's, as JSON values."""
    return json.loads(json.dumps(look, cls=PlotlyJSONEncoder))


def differences(before: Any, after: Any) -> dict[str, Any]:
    """Return what is different in the second of two looks, at any depth; None for what it has no more.

    Examples
    --------
    >>> differences({"line": {"width": 1, "color": "red"}, "name": "bid"}, {"line": {"width": 2, "color": "red"}})
    {'line': {'width': 2}, 'name': None}
    """
    before, after = plain(before), plain(after)
    changed = {}
    for key in {**before, **after}:
        old, new = before.get(key), after.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            if inner := differences(old, new):
                changed[key] = inner
        elif old != new:
            changed[key] = new
    return changed

"""The user's changes to the style of a chart, kept when the chart shows something else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import plotly.graph_objects as go
from plotly.utils import PlotlyJSONEncoder

LayerKey = tuple[tuple[str, str], ...]
"""Type and name of each trace of a layer. Layers of equal keys show the same kind of data, so they share a style."""


@dataclass
class UserStyle:
    """The user's changes to the default style of a chart.

    `layout` has those of the layout, `traces` those of each layer's traces, by the layer's key. `added` are the traces
    that the user has added.
    """

    layout: dict[str, Any] = field(default_factory=dict)
    traces: dict[LayerKey, list[dict[str, Any]]] = field(default_factory=dict)
    added: list[Any] = field(default_factory=list)

    def apply_to(self, figure: go.Figure) -> None:
        """Give a figure the user's layout and added traces."""
        figure.update_layout(self.layout)
        figure.add_traces(self.added)

    def styled(self, traces: Sequence[Any]) -> list[Any]:
        """Return copies of a layer's traces in the user's style."""
        changes = self.traces.get(layer_key(traces), [{} for _ in traces])
        return [type(trace)(trace).update(change) for trace, change in zip(traces, changes, strict=True)]


def layer_key(traces: Sequence[Any]) -> LayerKey:
    """Return the key of a layer with these traces."""
    return tuple((trace.type, trace.name) for trace in traces)


def as_json(value: Any) -> Any:
    """Return a figure, or a part of one, as JSON values."""
    return json.loads(json.dumps(value, cls=PlotlyJSONEncoder))


def differences(before: Any, after: Any) -> dict[str, Any]:
    """Return the values of `after` that differ from `before`, at any depth; None for those that `after` lacks.

    Examples
    --------
    >>> differences({"line": {"width": 1, "color": "red"}, "name": "bid"}, {"line": {"width": 2, "color": "red"}})
    {'line': {'width': 2}, 'name': None}
    """
    before, after = as_json(before), as_json(after)
    changed = {}
    for key in {**before, **after}:
        old, new = before.get(key), after.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            if inner := differences(old, new):
                changed[key] = inner
        elif old != new:
            changed[key] = new
    return changed

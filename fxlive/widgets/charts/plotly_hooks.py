"""The private names of plotly that fxlive uses, all in this module: the hooks that plotly calls when a figure changes.

They exist for plotly's own live figure, `FigureWidget`, and plotly does not promise to keep them. If an upgrade removes
one, `MISSING_HOOKS` names it, and charts compare their figure with the last one sent instead of waiting for a hook.
`tests/widgets/test_private_names.py` names the missing one, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go

HOOKS = (
    "_send_relayout_msg",
    "_send_restyle_msg",
    "_send_update_msg",
    "_send_addTraces_msg",
    "_send_deleteTraces_msg",
    "_send_moveTraces_msg",
)
MISSING_HOOKS = tuple(hook for hook in HOOKS if not hasattr(go.Figure, hook))


class ObservedFigure(go.Figure):  # type: ignore[misc]  # plotly has no types
    """A figure that calls `_on_change` when its layout or traces have changed."""

    _on_change: Callable[[], None] | None = None


def _notify(figure: ObservedFigure, *arguments: Any, **options: Any) -> None:
    if figure._on_change is not None:
        figure._on_change()


for _hook in HOOKS:
    setattr(ObservedFigure, _hook, _notify)

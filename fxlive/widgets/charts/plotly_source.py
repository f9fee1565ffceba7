"""plotly.js for the page: taken from the installed plotly, packed, and held by one widget that all charts point to."""

from __future__ import annotations

import gzip

import plotly.offline
import traitlets
from ipywidgets import Widget

# Beyond level 4 packing takes twice the time for a twentieth less.
_LEVEL = 4


class PlotlySource(Widget):  # type: ignore[misc]  # ipywidgets has no types
    """The source of plotly.js, packed with gzip: a model without a view, which the browser holds once.

    It goes to the page when it is made, not when a chart asks: a cell that is running may keep the answer waiting.
    """

    source = traitlets.Bytes().tag(sync=True)


_shared: PlotlySource | None = None


def plotly_source() -> PlotlySource:
    """Return the source that the charts of this process share, made on the first call and after it was closed."""
    global _shared
    if _shared is None or _shared.comm is None:
        _shared = PlotlySource(source=gzip.compress(plotly.offline.get_plotlyjs().encode(), _LEVEL, mtime=0))
    return _shared

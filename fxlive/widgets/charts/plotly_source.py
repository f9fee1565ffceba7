"""plotly.js for the page: taken from the installed plotly, compressed, and held by one widget that all charts share."""

from __future__ import annotations

import gzip

import plotly.offline
import traitlets
from ipywidgets import Widget

# Levels above 4 take twice the time and save 5 %.
_LEVEL = 4


class PlotlySource(Widget):  # type: ignore[misc]  # ipywidgets has no types
    """The source of plotly.js, compressed with gzip: a model without a view, held once by the browser.

    It is sent when it is made and not when a chart asks for it, because a running cell may delay the reply.
    """

    source = traitlets.Bytes().tag(sync=True)


_shared: PlotlySource | None = None


def plotly_source() -> PlotlySource:
    """Return the source that the charts of this process share. One is made on the first call and after a close."""
    global _shared
    if _shared is None or _shared.comm is None:
        _shared = PlotlySource(source=gzip.compress(plotly.offline.get_plotlyjs().encode(), _LEVEL, mtime=0))
    return _shared

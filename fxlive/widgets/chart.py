"""LiveChart: a plotly figure in the page to which only what is new is sent."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import anywidget
import numpy as np
import numpy.typing as npt
import plotly
import plotly.graph_objects as go
import traitlets
from plotly.utils import PlotlyJSONEncoder

from fxlive.widgets.plotly_source import plotly_source
from fxlive.widgets.refresher import Refresher, shared_refresher

_STATIC = Path(__file__).parent / "static"

# A view says every 10 s that it is still there.
_SILENCE_S = 35.0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Points:
    """Some points of all lines of a chart.

    `x` is in milliseconds since 1970 UTC, `ys` has the values of each line at these times, and `stop` is the number of
    the row from which the next points come.
    """

    x: Floats
    ys: tuple[Floats, ...]
    stop: int


@dataclass(frozen=True)
class Badge:
    """How the data behind a chart fares; `since` is in milliseconds since 1970 UTC."""

    state: Literal["live", "stale", "disconnected", "closed", "failed"]
    since: float | None = None


class Source(Protocol):
    """Where a chart's points come from."""

    def points(self, start: int | None) -> Points:
        """Return the points that have come since row `start`, or with None all of the window."""

    def badge(self) -> Badge:
        """Return how the data fares."""


class _Figure(go.Figure):  # type: ignore[misc]  # plotly has no types
    """A figure that says when its look has changed; what it calls are plotly's own hooks for live figures."""

    _on_style: Callable[[], None] | None = None

    def _changed(self, *arguments: Any, **options: Any) -> None:
        if self._on_style is not None:
            self._on_style()

    _send_relayout_msg = _send_restyle_msg = _send_update_msg = _changed
    _send_addTraces_msg = _send_deleteTraces_msg = _send_moveTraces_msg = _changed  # noqa: N815 - plotly's names


class LiveChart(anywidget.AnyWidget):
    """A chart that follows the market while your cell runs.

    Its look is `figure`, an ordinary plotly figure. The data goes to the browser as binary, and only what is new since
    the last drawing; the whole window goes when a view asks for it.

    Parameters
    ----------
    figure
        How it looks; its first traces are the lines, in the order of the source's values.
    source
        Where the points come from.
    name
        What to call it; a new chart of the same name takes the place of the former.
    window_ms
        How much the chart shows, back from the newest point.
    waiting
        What it says while there are no points.
    refresher
        What makes it move; default: the one that all widgets share.
    clock
        Gives seconds.
    """

    _esm = _STATIC / "chart.js"
    _css = _STATIC / "chart.css"
    _plotly = traitlets.Unicode().tag(sync=True)
    _plotly_version = traitlets.Unicode(plotly.__version__).tag(sync=True)

    def __init__(
        self,
        figure: go.Figure,
        source: Source,
        *,
        name: str,
        window_ms: float,
        waiting: str = "Waiting for the first value",
        refresher: Refresher | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._figure = _Figure(figure)
        self._default_template = self._figure.layout.template
        self._lines = len(self._figure.data)
        self._figure._on_style = self._style_changed
        self._source = source
        self._window_ms = window_ms
        self._waiting = waiting
        self._refresher = refresher or shared_refresher()
        self._clock = clock
        self._views: dict[str, float] = {}  # those that can be seen, and when each was last heard of
        self._next_row: int | None = None
        self._badge: Badge | None = None
        self._restyled = False
        self._quiet = False
        super().__init__(_plotly=plotly_source().model_id)
        self.on_msg(self._heard)
        former = _named.get(name)
        _named[name] = self
        if former is not None:
            former.close()

    @property
    def figure(self) -> go.Figure:
        """The figure: style it and the chart follows; it holds the window as it is now, for a still picture.

        Examples
        --------
        ``chart.figure.update_layout(title="My view")``, ``chart.figure.write_html("prices.html")``.
        """
        points = self._source.points(None)
        self._quiet = True
        try:
            for trace, values in zip(self._figure.data[: self._lines], points.ys, strict=False):
                trace.x, trace.y = points.x.astype("datetime64[ms]"), values
        finally:
            self._quiet = False
        return self._figure

    def close(self) -> None:
        """Take the chart out of the page, for good."""
        if _named.get(self.name) is self:
            del _named[self.name]
        self._views.clear()
        self._refresher.soon(self._refresher.forget, self)
        super().close()

    # From the browser, on whichever thread widget messages are handled; answered on the background thread, so that
    # everything a view gets is sent from one thread and in order.

    def _heard(self, _: Any, content: Any, buffers: Any) -> None:
        self._refresher.soon(self._handle, content)

    def _handle(self, content: dict[str, Any]) -> None:
        view = str(content.get("view"))
        match content.get("type"):
            case "window":
                self.refresh()  # the other views are brought to the row from which all go on together
                self._views[view] = self._clock()
                self._send_window(view)
                self._refresher.watch(self)
            case "visible" if content.get("visible"):
                self._views[view] = self._clock()
                self._refresher.watch(self)
            case "visible" | "gone":
                self._views.pop(view, None)

    # To the browser, on the background thread.

    @property
    def visible(self) -> bool:
        """Whether any view of it can be seen."""
        if self.comm is None:
            return False
        # A kernel without subshells hears nothing while a cell runs. In one with them, a view that was given up too
        # early is back with its next word, and gets what it missed.
        if getattr(getattr(self.comm, "kernel", None), "_supports_kernel_subshells", True):
            oldest = self._clock() - _SILENCE_S
            for view in [view for view, heard in self._views.items() if heard < oldest]:
                del self._views[view]
        return bool(self._views)

    def refresh(self) -> int:
        """Send what is new, and return how many messages that took."""
        if self._next_row is None or not self.visible:
            return 0
        content: dict[str, Any] = {}
        if self._restyled:
            self._restyled = False
            try:
                content["figure"] = self._look()
            except RuntimeError:  # it is being styled at this very moment, on the thread of a cell
                self._restyled = True
        badge = self._source.badge()
        if badge != self._badge:
            self._badge = badge
            content["badge"] = vars(badge)
        points = self._source.points(self._next_row)
        self._next_row = points.stop
        if not len(points.x) and not content:
            return 0
        self.send({"type": "points", **content}, _buffers(points))
        return 1

    def _send_window(self, view: str) -> None:
        self._badge = self._source.badge()
        points = self._source.points(None)
        self._next_row = points.stop
        content = {
            "type": "window",
            "view": view,
            "chart": self.model_id,
            "figure": self._look(),
            "badge": vars(self._badge),
            "lines": self._lines,
            "window_ms": self._window_ms,
            "waiting": self._waiting,
        }
        self.send(content, _buffers(points))

    def _look(self) -> dict[str, Any]:
        """Return the figure without the points of its lines, and without a template unless the user has chosen one."""
        look: dict[str, Any] = self._figure.to_plotly_json()
        for trace in look["data"][: self._lines]:
            trace.pop("x", None)
            trace.pop("y", None)
        if self._figure.layout.template == self._default_template:
            look["layout"].pop("template", None)
        plain: dict[str, Any] = json.loads(json.dumps(look, cls=PlotlyJSONEncoder))
        return plain

    def _style_changed(self) -> None:
        if not self._quiet:
            self._restyled = True

    # ipykernel answers a comm's messages on the thread whose request it last sent something for, which for messages
    # from the background is the cell that runs: what the browser says would wait for the cell's end. Without that
    # note it goes by what the browser asks for, which is a thread of its own.

    def open(self) -> None:
        """Open the way to the browser."""
        super().open()
        self._forget_thread()

    def _send(self, msg: Any, buffers: Any = None) -> None:
        super()._send(msg, buffers)
        self._forget_thread()

    def _forget_thread(self) -> None:
        getattr(self.comm, "__dict__", {}).pop("_reply_subshell_id", None)


_named: dict[str, LiveChart] = {}


def _buffers(points: Points) -> list[bytes]:
    return [np.ascontiguousarray(values, np.float64).tobytes() for values in (points.x, *points.ys)]

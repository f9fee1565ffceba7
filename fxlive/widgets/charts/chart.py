"""LiveChart: a plotly figure in the page to which only what is new is sent."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import plotly
import plotly.graph_objects as go
import traitlets

from fxlive.errors import FxliveError, UnknownOption
from fxlive.figures.thinning import thinned
from fxlive.widgets.base import LiveWidget
from fxlive.widgets.charts.layers import Badge, Fares, Floats, Layer, Mark, Points
from fxlive.widgets.charts.plotly_source import plotly_source
from fxlive.widgets.charts.user_style import Kin, Style, differences, kin, plain

_PIXELS = 1_000
_PER_PIXEL = 1.5  # a stretch of time of so many pixels is drawn by its extremes
_MOST_NEW = 500


class _Figure(go.Figure):  # type: ignore[misc]  # plotly has no types
    """A figure that says when its look has changed; what it calls are plotly's own hooks for live figures."""

    _on_style: Callable[[], None] | None = None
    own = 0
    """How many of its traces, the first, are the chart's."""

    @property
    def data(self) -> Any:
        """The traces; those of the chart stay where they are."""
        return go.Figure.data.fget(self)

    @data.setter
    def data(self, traces: Any) -> None:
        own = self.data[: self.own]
        if len(traces) < len(own) or any(a is not b for a, b in zip(traces, own, strict=False)):
            raise FxliveError(
                "A live chart's own traces cannot be removed or moved. Hide one instead: "
                "chart.figure.update_traces(visible=False, selector={'name': ...})."
            )
        go.Figure.data.fset(self, traces)

    def _changed(self, *arguments: Any, **options: Any) -> None:
        if self._on_style is not None:
            self._on_style()

    _send_relayout_msg = _send_restyle_msg = _send_update_msg = _changed
    _send_addTraces_msg = _send_deleteTraces_msg = _send_moveTraces_msg = _changed  # noqa: N815 - plotly's names


@dataclass(frozen=True)
class Contents:
    """What a chart shows.

    `figure` is how it looks; the traces of the layers are put in front of any it has. `begin` is called where the data
    begins, or begins again, and gives what gives the layers, when asked: there may be more each time, in the same
    order. `fares` says how the data behind them fares. `window_ms` is
    how much is shown, back from the newest point. `marks` gives the horizontal lines, None where they are as before.
    `waiting` is what the chart says while there are no points. `subtitle` is what stands below the title, where the
    figure has none; it is given what `begin` gave. `ready` waits, on a thread of one's own, until there is something to
    see. `bar_ms` is how long a time a point stands for, where that is not a moment.
    """

    figure: go.Figure
    begin: Callable[[], Callable[[], Sequence[Layer]]]
    fares: Fares
    window_ms: float
    marks: Callable[[], list[Mark] | None] = lambda: None
    waiting: str = "Waiting for the first value"
    subtitle: Callable[[Any], str] = lambda _: ""
    ready: Callable[[], None] = lambda: None
    bar_ms: float = 0.0


class Pickers(ABC):
    """What a user may choose in the chart itself.

    Parameters
    ----------
    **chosen
        The value of each picker at first.
    """

    def __init__(self, **chosen: str) -> None:
        self._chosen = chosen

    @abstractmethod
    def options(self) -> dict[str, list[str]]:
        """Return the values that each picker can have."""

    @abstractmethod
    def contents(self) -> Contents:
        """Return what the chart shows with what is chosen now."""

    def choices(self) -> list[tuple[str, str, list[str]]]:
        """Return each picker's name, its value, and the values it can have."""
        return [(name, self._chosen[name], values) for name, values in self.options().items()]

    def pick(self, name: str, value: str) -> Contents:
        """Return what the chart shows once a picker has this value."""
        options = self.options().get(name, [])
        if value not in options:
            raise UnknownOption(name, value, options)
        self._chosen[name] = value
        return self.contents()


class LiveChart(LiveWidget):
    """A chart that follows the market while your cell runs.

    Its look is `figure`, an ordinary plotly figure. The data goes to the browser as binary, and only what is new since
    the last drawing; the whole window goes when a view asks for it.

    Parameters
    ----------
    contents
        What it shows.
    pickers
        What of it the user may choose in the page; None for nothing.
    tz
        The zone of its time axis, such as ``"Europe/London"``, ``"UTC"``, or ``"local"`` for the browser's.
    **options
        As for `LiveWidget`.
    """

    _plotly = traitlets.Unicode().tag(sync=True)
    _plotly_version = traitlets.Unicode(plotly.__version__).tag(sync=True)
    tz = traitlets.Unicode("UTC", help="The zone of the time axis; may be changed while it is shown.").tag(sync=True)

    def __init__(
        self, contents: Contents, *, pickers: Pickers | None = None, tz: str | None = None, **options: Any
    ) -> None:
        self._pickers = pickers
        self._choices: Any = None
        self._restyled = self._quiet = False
        self._take(contents, Style())
        super().__init__("chart", _plotly=plotly_source().model_id, tz="UTC" if tz is None else tz, **options)

    def _take(self, contents: Contents, style: Style) -> None:
        self._contents = contents
        self._figure = _Figure(contents.figure)
        self._default_template = self._figure.layout.template
        style.put_on(self._figure)
        self._style = style
        self._figure._on_style = self._style_changed
        self._layers = contents.begin()
        self._shown: list[Layer] = []
        self._cursors: list[int | None] = []
        self._styled: dict[Kin, list[Any]] = {}  # the traces of layers that were
        self._marks: list[Mark] = []
        self._badge: Badge | None = None
        self._gaps: Any = None
        self._subtitle = self._zone_title = ""
        self._newest_ms = -np.inf
        self._anew = True  # all views are to begin again

    @traitlets.validate("tz")
    def _check_zone(self, proposal: Any) -> str:
        zone: str = proposal["value"]
        if zone != "local":
            try:
                ZoneInfo(zone)
            except (ValueError, OSError, KeyError):
                raise UnknownOption("tz", zone, ("UTC", "local", 'a zone such as "Europe/London"')) from None
        return zone

    def __getattr__(self, name: str) -> Any:
        """Say where the methods of a figure are."""
        if not name.startswith("_") and hasattr(go.Figure, name):
            raise AttributeError(f"A live chart has no {name}, its figure has: chart.figure.{name}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def figure(self) -> go.Figure:
        """The figure: style it and the chart follows; it holds the window as it is now, for a still picture.

        Examples
        --------
        ``chart.figure.update_layout(title="My view")``, ``chart.figure.write_html("prices.html")``.
        """
        self._contents.ready()
        windows = self.refresher.ask(self._whole)
        zone = "UTC" if self.tz == "local" else self.tz
        self._quiet = True
        try:
            if not self._figure.layout.xaxis.title.text or self._figure.layout.xaxis.title.text == self._zone_title:
                self._zone_title = self._figure.layout.xaxis.title.text = zone
            traces = iter(self._figure.data)
            for layer, points in windows:
                own = [next(traces) for _ in layer.traces]
                for column, values in zip(layer.columns, points.columns, strict=True):
                    shown = _wall_times(values, zone) if column.attribute == "x" else values
                    for trace in column.traces:
                        own[trace].update({column.attribute.replace(".", "_"): shown})
        finally:
            self._quiet = False
        return self._figure

    # On the background thread.

    def epoch(self) -> int | None:
        """Return how often the data was cleared."""
        return self._contents.fares.epoch()

    def forget(self) -> None:
        """Begin the layers again; those that come back look as the user has styled them."""
        self._layers = self._contents.begin()
        traces, at = list(self._figure.data), 0
        for layer in self._shown:
            own, at = traces[at : at + len(layer.traces)], at + len(layer.traces)
            self._styled[kin(layer.traces)] = own
        self._quiet = True
        try:
            self._figure.own = 0
            self._figure.data = traces[at:]
        finally:
            self._quiet = False
        self._shown, self._cursors = [], []
        self._newest_ms = -np.inf

    def _whole(self) -> list[tuple[Layer, Points]]:
        """Return all that is in the window, copied for another thread, each line drawn on for as long as it holds."""
        self._settled()
        if self._take_layers():
            self._anew = self._begun
        self._take_subtitle()
        windows = self._windows()
        newest = max((points.columns[0][-1] for points in windows if len(points)), default=0.0)
        whole = []
        for layer, points in zip(self._shown, windows, strict=True):
            more = int(layer.holds and len(points) > 0 and points.columns[0][-1] < newest)
            x, *ys = (np.concatenate([column, column[len(column) - more :]]) for column in points.columns)
            x[len(x) - more :] = newest
            whole.append((layer, Points((x, *ys), points.stop)))
        return whole

    def _windows(self) -> list[Points]:
        """Return the points in the window of each layer, and of a line the one before, which holds until then."""
        layers = [layer.read(None) for layer in self._shown]
        newest = max((points.columns[0][-1] for points in layers if len(points)), default=0.0)
        windows = []
        for layer, points in zip(self._shown, layers, strict=True):
            first = int(np.searchsorted(points.columns[0], newest - self._contents.window_ms)) - layer.thin
            windows.append(points.take(slice(max(0, first), None)))
        return windows

    def _take_subtitle(self) -> None:
        text, shown = self._contents.subtitle(self._layers), self._figure.layout.title.subtitle.text or ""
        if text != self._subtitle and shown == self._subtitle:  # nor is it the user's own
            self._subtitle = text
            self._figure.update_layout(title_subtitle={"text": text, "font": {"size": 11}})

    def _take_layers(self) -> bool:
        """Take up the layers that are new; returns whether there were any."""
        fresh = self._layers()[len(self._shown) :]
        if not fresh:
            return False
        own = sum(len(layer.traces) for layer in self._shown)
        self._quiet = True
        try:
            looks = [
                trace
                for layer in fresh
                for trace in self._styled.pop(kin(layer.traces), None) or self._style.of(layer.traces)
            ]
            self._figure.add_traces(looks)
            if len(self._figure.data) > own + len(looks):  # the user has added some
                traces, new = list(self._figure.data), len(looks)
                self._figure.data = traces[:own] + traces[-new:] + traces[own:-new]
            self._figure.own = own + len(looks)
        finally:
            self._quiet = False
        self._shown += fresh
        self._cursors += [None] * len(fresh)
        return True

    def window(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Return the look and every point that a view of so many pixels can show."""
        self._take_layers()
        self._take_subtitle()
        shown = self._contents
        buffers: list[bytes] = []
        for place, (layer, points) in enumerate(zip(self._shown, self._windows(), strict=True)):
            self._note(place, points)
            buffers += _buffers(self._fit(layer, points, shown.window_ms, request))
        self._badge, self._gaps = shown.fares.badge(), self._recent_gaps()
        self._choices = self._pickers and self._pickers.choices()
        marks = shown.marks()
        self._marks = self._marks if marks is None else marks
        content = {
            "figure": self._look(),
            "layers": [
                {
                    "traces": len(layer.traces),
                    "columns": [[column.attribute, *column.traces] for column in layer.columns],
                    "thin": layer.thin,
                    "replaces": layer.replaces,
                    "holds": layer.holds,
                }
                for layer in self._shown
            ],
            "badge": vars(self._badge),
            "gaps": self._gaps,
            "marks": [vars(mark) for mark in self._marks],
            "pickers": self._choices or [],
            "window_ms": shown.window_ms,
            "bar_ms": shown.bar_ms,
            "waiting": shown.waiting,
        }
        return content, buffers

    def _note(self, place: int, points: Points) -> None:
        self._cursors[place] = points.stop
        if len(points):
            self._newest_ms = max(self._newest_ms, float(points.columns[0][-1]))

    def _recent_gaps(self) -> Any:
        return self._contents.fares.gaps(self._newest_ms - self._contents.window_ms)

    def changes(self) -> tuple[dict[str, Any], list[bytes]]:
        """Return the points that have come, and what else is new."""
        if self._take_layers():  # all views begin again, with the new layers
            return self.window({})
        shown = self._contents
        self._take_subtitle()
        content: dict[str, Any] = {}
        if self._restyled:
            self._restyled = False
            try:
                content["figure"] = self._look()
            except RuntimeError:  # it is being styled at this very moment, on the thread of a cell
                self._restyled = True
        badge, gaps, marks = shown.fares.badge(), self._recent_gaps(), shown.marks()
        if badge != self._badge:
            self._badge, content["badge"] = badge, vars(badge)
        if gaps != self._gaps:
            self._gaps = content["gaps"] = gaps
        if marks is not None and marks != self._marks:
            self._marks, content["marks"] = marks, [vars(mark) for mark in marks]
        choices = self._pickers and self._pickers.choices()
        if choices != self._choices:
            self._choices = content["pickers"] = choices
        buffers: list[bytes] = []
        for place, layer in enumerate(self._shown):
            points = layer.read(self._cursors[place])
            self._note(place, points)
            if points.anew:  # all views begin again
                return self.window({})
            if len(points):
                content.setdefault("l", []).append(place)
                if len(points) > _MOST_NEW:
                    points = self._fit(layer, points, shown.window_ms, {})
                buffers += _buffers(points)
        return content, buffers

    def act(self, action: str, request: dict[str, Any]) -> None:
        """Show what the user has picked."""
        if action != "pick" or self._pickers is None:
            return super().act(action, request)
        contents = self._pickers.pick(str(request["name"]), str(request["value"]))

        def show() -> None:
            self._take(contents, self._own_style())
            if self.refresher.paused:  # what the user asks for is shown nevertheless
                self._asked.extend({"type": "window", "view": view} for view in self._views)

        self.refresher.soon(show)

    def _own_style(self) -> Style:
        """Return what the user has made of the looks of the chart."""
        look = self._look()
        own, given = sum(len(layer.traces) for layer in self._shown), len(self._contents.figure.data)
        style = Style(traces=dict(self._style.traces), added=list(self._figure.data[own + given :]))
        traces = iter(look["data"])
        for layer in self._shown:
            style.traces[kin(layer.traces)] = [differences(trace, next(traces)) for trace in layer.traces]
        before = go.Layout(self._contents.figure.layout)
        before.template = None
        style.layout = differences(before, {"title": {}, **look["layout"]})
        style.layout.get("title", {}).pop("subtitle", None)  # it is of what was shown
        return style

    def reply(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Return the points between two times in all the detail that a view can show, for one that has zoomed in."""
        if request["type"] != "detail":
            return super().reply(request)
        since, until = float(request["since"]), float(request["until"])
        places = [place for place, layer in enumerate(self._shown) if layer.thin]
        buffers: list[bytes] = []
        for place in places:
            points = self._shown[place].read(None)
            x = points.columns[0]
            points = points.take(slice(*np.searchsorted(x, [since, until])))
            buffers += _buffers(self._fit(self._shown[place], points, until - since, request))
        return {"since": since, "until": until, "l": places}, buffers

    def _fit(self, layer: Layer, points: Points, span_ms: float, request: dict[str, Any]) -> Points:
        """Return the points, of a thin layer only those that a view can show."""
        if not layer.thin:
            return points
        width = span_ms / max(float(request.get("pixels") or _PIXELS), 100.0) * _PER_PIXEL
        x, *ys = points.columns
        return points.take(thinned(x, tuple(ys), width))

    def _look(self) -> dict[str, Any]:
        """Return the figure without the points of its layers, and without a template unless the user has chosen one."""
        look: dict[str, Any] = self._figure.to_plotly_json()
        traces = iter(look["data"])
        for layer in self._shown:
            own = [next(traces) for _ in layer.traces]
            for column in layer.columns:
                *path, last = column.attribute.split(".")
                for trace in column.traces:
                    inside: Any = own[trace]
                    for step in path:
                        inside = inside.get(step, {})
                    inside.pop(last, None)
        if self._figure.layout.template == self._default_template:
            look["layout"].pop("template", None)
        if self._zone_title and self._figure.layout.xaxis.title.text == self._zone_title:
            look["layout"]["xaxis"].pop("title")  # the page has its own
        plain_look: dict[str, Any] = plain(look)
        return plain_look

    def _style_changed(self) -> None:
        if not self._quiet:
            self._restyled = True


def _wall_times(x: Floats, zone: str) -> pd.DatetimeIndex:
    """Return times in milliseconds since 1970 UTC as a clock in a zone shows them: plotly knows no zones."""
    return pd.DatetimeIndex(x.astype("datetime64[ms]"), tz="UTC").tz_convert(zone).tz_localize(None)


def _buffers(points: Points) -> list[bytes]:
    return [np.ascontiguousarray(values, np.float64).tobytes() for values in points.columns]

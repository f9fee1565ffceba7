"""LiveChart: a plotly figure in the page that is updated with new points only."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import plotly
import plotly.graph_objects as go
import traitlets

from fxlive.errors import FxliveError, UnknownOption
from fxlive.figures.downsampling import downsample
from fxlive.widgets.base import LiveWidget
from fxlive.widgets.charts.contents import Contents, Pickers
from fxlive.widgets.charts.layers import Badge, Floats, Layer, Points, PriceLine
from fxlive.widgets.charts.plotly_hooks import MISSING_HOOKS, ObservedFigure
from fxlive.widgets.charts.plotly_source import plotly_source
from fxlive.widgets.charts.user_style import LayerKey, UserStyle, as_json, differences, layer_key

_DEFAULT_PIXELS = 1_000
_BUCKET_PIXELS = 1.5  # downsampling keeps the extremes of each bucket of this width
_MAX_NEW_POINTS = 500  # of a layer in one update; more are downsampled


class ChartFigure(ObservedFigure):
    """The figure of a chart. The user may style it and add traces, but not remove or reorder the chart's own."""

    own_traces = 0
    """Number of the chart's own traces, which come first."""

    @property
    def data(self) -> Any:
        """The traces: first the chart's own, then those that the user has added."""
        return go.Figure.data.fget(self)

    @data.setter
    def data(self, traces: Any) -> None:
        own = self.data[: self.own_traces]
        if len(traces) < len(own) or any(a is not b for a, b in zip(traces, own, strict=False)):
            raise FxliveError(
                "A live chart's own traces cannot be removed or moved. Hide one instead: "
                "chart.figure.update_traces(visible=False, selector={'name': ...})."
            )
        go.Figure.data.fset(self, traces)


class LiveChart(LiveWidget):
    """A chart that follows the market while your cell runs.

    Its style is that of `figure`, an ordinary plotly figure. The points are sent to the browser as binary: the whole
    window when a view asks for it, then only new points.

    Parameters
    ----------
    contents
        The data and the default style.
    pickers
        Menus in the page that change the contents; None for no menus.
    tz
        Zone of the time axis, such as ``"Europe/London"``, ``"UTC"``, or ``"local"`` for that of the browser.
    **options
        As for `LiveWidget`.
    """

    _plotly = traitlets.Unicode().tag(sync=True)
    _plotly_version = traitlets.Unicode(plotly.__version__).tag(sync=True)
    tz = traitlets.Unicode("UTC", help="Zone of the time axis; may be changed while the chart is shown.").tag(sync=True)

    def __init__(
        self, contents: Contents, *, pickers: Pickers | None = None, tz: str | None = None, **options: Any
    ) -> None:
        self._pickers = pickers
        self._choices: Any = None
        self._restyled = self._ignore_style_changes = False
        self._polled_look: Any = None
        self._set_contents(contents, UserStyle())
        super().__init__("chart", _plotly=plotly_source().model_id, tz="UTC" if tz is None else tz, **options)

    def _set_contents(self, contents: Contents, style: UserStyle) -> None:
        self._contents = contents
        self._figure = ChartFigure(contents.figure)
        self._default_template = self._figure.layout.template
        style.apply_to(self._figure)
        self._style = style
        self._figure._on_change = self._on_style_change
        self._current_layers = contents.begin()
        self._layers: list[Layer] = []  # those whose traces are in the figure
        self._cursors: list[int | None] = []  # where to read on in each of them
        self._former_traces: dict[LayerKey, list[Any]] = {}  # traces of layers removed by a reset
        self._price_lines: list[PriceLine] = []
        self._badge: Badge | None = None
        self._gaps: Any = None
        self._subtitle = self._zone_title = ""
        self._newest_ms = -np.inf
        self._restart_views = True

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
        """Raise an AttributeError, which for a method of a figure points to `chart.figure`."""
        if not name.startswith("_") and hasattr(go.Figure, name):
            raise AttributeError(f"A live chart has no {name}, its figure has: chart.figure.{name}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def figure(self) -> go.Figure:
        """The figure. Style it and the chart follows. It contains the points of the window at the time of the call.

        Examples
        --------
        ``chart.figure.update_layout(title="My view")``, ``chart.figure.write_html("prices.html")``.
        """
        self._contents.ready()
        windows = self.refresher.call(self._windows_for_figure)
        zone = "UTC" if self.tz == "local" else self.tz
        self._ignore_style_changes = True
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
            self._ignore_style_changes = False
        return self._figure

    # On the background thread.

    def epoch(self) -> int | None:
        """Return how often the data was cleared; None while it is being filled again."""
        return self._contents.status.epoch()

    def reset(self) -> None:
        """Remove all layers. Layers that come back keep the user's style."""
        self._current_layers = self._contents.begin()
        traces, at = list(self._figure.data), 0
        for layer in self._layers:
            own, at = traces[at : at + len(layer.traces)], at + len(layer.traces)
            self._former_traces[layer_key(layer.traces)] = own
        self._ignore_style_changes = True
        try:
            self._figure.own_traces = 0
            self._figure.data = traces[at:]
        finally:
            self._ignore_style_changes = False
        self._layers, self._cursors = [], []
        self._newest_ms = -np.inf

    def _windows_for_figure(self) -> list[tuple[Layer, Points]]:
        """Return each layer with copies of its points in the window, with the last value held up to the newest point.

        Copies, because the caller reads them on another thread.
        """
        self._data_is_complete()
        if self._add_new_layers():
            self._restart_views = self._started
        self._update_subtitle()
        windows = self._windows()
        newest = max((points.columns[0][-1] for points in windows if len(points)), default=0.0)
        result = []
        for layer, points in zip(self._layers, windows, strict=True):
            extra = int(layer.holds and len(points) > 0 and points.columns[0][-1] < newest)
            x, *ys = (np.concatenate([column, column[len(column) - extra :]]) for column in points.columns)
            x[len(x) - extra :] = newest
            result.append((layer, Points((x, *ys), points.stop)))
        return result

    def _windows(self) -> list[Points]:
        """Return each layer's points in the window. A line also has the point before, whose value holds until then."""
        layers = [layer.read(None) for layer in self._layers]
        newest = max((points.columns[0][-1] for points in layers if len(points)), default=0.0)
        windows = []
        for layer, points in zip(self._layers, layers, strict=True):
            first = int(np.searchsorted(points.columns[0], newest - self._contents.window_ms)) - layer.thin
            windows.append(points.take(slice(max(0, first), None)))
        return windows

    def _update_subtitle(self) -> None:
        text, shown = self._contents.subtitle(self._current_layers), self._figure.layout.title.subtitle.text or ""
        if text != self._subtitle and shown == self._subtitle:  # else the user has set one
            self._subtitle = text
            self._figure.update_layout(title_subtitle={"text": text, "font": {"size": 11}})

    def _add_new_layers(self) -> bool:
        """Add the traces of new layers to the figure, behind the chart's others. Return whether there were any."""
        new_layers = self._current_layers()[len(self._layers) :]
        if not new_layers:
            return False
        own = sum(len(layer.traces) for layer in self._layers)
        self._ignore_style_changes = True
        try:
            new_traces = [
                trace
                for layer in new_layers
                for trace in self._former_traces.pop(layer_key(layer.traces), None) or self._style.styled(layer.traces)
            ]
            self._figure.add_traces(new_traces)
            if len(self._figure.data) > own + len(new_traces):  # move them before those that the user has added
                traces, count = list(self._figure.data), len(new_traces)
                self._figure.data = traces[:own] + traces[-count:] + traces[own:-count]
            self._figure.own_traces = own + len(new_traces)
        finally:
            self._ignore_style_changes = False
        self._layers += new_layers
        self._cursors += [None] * len(new_layers)
        return True

    def snapshot(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Return the style, and the points of the window that a view of the requested width can show."""
        self._add_new_layers()
        self._update_subtitle()
        contents = self._contents
        buffers: list[bytes] = []
        for index, (layer, points) in enumerate(zip(self._layers, self._windows(), strict=True)):
            self._advance(index, points)
            buffers += _buffers(self._downsampled(layer, points, contents.window_ms, request))
        self._badge, self._gaps = contents.status.badge(), self._recent_gaps()
        self._choices = self._pickers and self._pickers.choices()
        price_lines = contents.price_lines()
        self._price_lines = self._price_lines if price_lines is None else price_lines
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
                for layer in self._layers
            ],
            "badge": vars(self._badge),
            "gaps": self._gaps,
            "price_lines": [line.content() for line in self._price_lines],
            "pickers": self._choices or [],
            "window_ms": contents.window_ms,
            "bar_ms": contents.bar_ms,
            "waiting": contents.waiting,
        }
        return content, buffers

    def _advance(self, index: int, points: Points) -> None:
        self._cursors[index] = points.stop
        if len(points):
            self._newest_ms = max(self._newest_ms, float(points.columns[0][-1]))

    def _recent_gaps(self) -> Any:
        return self._contents.status.gaps(self._newest_ms - self._contents.window_ms)

    def changes(self) -> tuple[dict[str, Any], list[bytes]]:
        """Return the new points, and the style, badge, gaps, price lines and pickers if they have changed."""
        if self._add_new_layers():  # all views restart with the new layers
            return self.snapshot({})
        contents = self._contents
        self._update_subtitle()
        content: dict[str, Any] = {}
        if (look := self._changed_look()) is not None:
            content["figure"] = look
        badge, gaps, price_lines = contents.status.badge(), self._recent_gaps(), contents.price_lines()
        if badge != self._badge:
            self._badge, content["badge"] = badge, vars(badge)
        if gaps != self._gaps:
            self._gaps = content["gaps"] = gaps
        if price_lines is not None and price_lines != self._price_lines:
            self._price_lines, content["price_lines"] = price_lines, [line.content() for line in price_lines]
        choices = self._pickers and self._pickers.choices()
        if choices != self._choices:
            self._choices = content["pickers"] = choices
        buffers: list[bytes] = []
        for index, layer in enumerate(self._layers):
            points = layer.read(self._cursors[index])
            self._advance(index, points)
            if points.restart:
                return self.snapshot({})
            if len(points):
                content.setdefault("l", []).append(index)
                if len(points) > _MAX_NEW_POINTS:
                    points = self._downsampled(layer, points, contents.window_ms, {})
                buffers += _buffers(points)
        return content, buffers

    def act(self, action: str, request: dict[str, Any]) -> None:
        """Show the contents that the user has picked in a menu."""
        if action != "pick" or self._pickers is None:
            return super().act(action, request)
        contents = self._pickers.pick(str(request["name"]), str(request["value"]))

        def show() -> None:
            self._set_contents(contents, self._user_style())
            if self.refresher.paused:  # the user's own request is shown even so
                self._requests.extend({"type": "snapshot", "view": view} for view in self._views)

        self.refresher.call_soon(show)

    def _user_style(self) -> UserStyle:
        """Return how the user has changed the style of the current contents."""
        look = self._look()
        own, given = sum(len(layer.traces) for layer in self._layers), len(self._contents.figure.data)
        style = UserStyle(traces=dict(self._style.traces), added=list(self._figure.data[own + given :]))
        traces = iter(look["data"])
        for layer in self._layers:
            style.traces[layer_key(layer.traces)] = [differences(trace, next(traces)) for trace in layer.traces]
        default = go.Layout(self._contents.figure.layout)
        default.template = None
        style.layout = differences(default, {"title": {}, **look["layout"]})
        style.layout.get("title", {}).pop("subtitle", None)  # it describes the former contents
        return style

    def reply(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Return the points between two times in full detail, for a view that has zoomed in."""
        if request["type"] != "detail":
            return super().reply(request)
        since, until = float(request["since"]), float(request["until"])
        indices = [index for index, layer in enumerate(self._layers) if layer.thin]
        buffers: list[bytes] = []
        for index in indices:
            points = self._layers[index].read(None)
            x = points.columns[0]
            points = points.take(slice(*np.searchsorted(x, [since, until])))
            buffers += _buffers(self._downsampled(self._layers[index], points, until - since, request))
        return {"since": since, "until": until, "l": indices}, buffers

    def _downsampled(self, layer: Layer, points: Points, span_ms: float, request: dict[str, Any]) -> Points:
        """Return the points; those of a `thin` layer downsampled to the requested width in pixels."""
        if not layer.thin:
            return points
        bucket_ms = span_ms / max(float(request.get("pixels") or _DEFAULT_PIXELS), 100.0) * _BUCKET_PIXELS
        x, *ys = points.columns
        return points.take(downsample(x, tuple(ys), bucket_ms))

    def _changed_look(self) -> dict[str, Any] | None:
        """Return the style if it has changed since the last call; None otherwise."""
        if not self._restyled and not MISSING_HOOKS:
            return None
        self._restyled = False
        try:
            look = self._look()
        except RuntimeError:  # a cell is styling it at this moment, on another thread
            self._restyled = True
            return None
        if MISSING_HOOKS and look == self._polled_look:
            return None
        self._polled_look = look
        return look

    def _look(self) -> dict[str, Any]:
        """Return the figure as JSON values: without the layers' points, and with a template only if the user set it."""
        look: dict[str, Any] = self._figure.to_plotly_json()
        traces = iter(look["data"])
        for layer in self._layers:
            own = [next(traces) for _ in layer.traces]
            for column in layer.columns:
                *path, last = column.attribute.split(".")
                for trace in column.traces:
                    target: Any = own[trace]
                    for step in path:
                        target = target.get(step, {})
                    target.pop(last, None)
        if self._figure.layout.template == self._default_template:
            look["layout"].pop("template", None)
        if self._zone_title and self._figure.layout.xaxis.title.text == self._zone_title:
            look["layout"]["xaxis"].pop("title")  # the page shows the zone itself
        result: dict[str, Any] = as_json(look)
        return result

    def _on_style_change(self) -> None:
        if not self._ignore_style_changes:
            self._restyled = True


def _wall_times(x: Floats, zone: str) -> pd.DatetimeIndex:
    """Return times (milliseconds since 1970 UTC) as naive local times of a zone, because plotly has no time zones."""
    return pd.DatetimeIndex(x.astype("datetime64[ms]"), tz="UTC").tz_convert(zone).tz_localize(None)


def _buffers(points: Points) -> list[bytes]:
    return [np.ascontiguousarray(values, np.float64).tobytes() for values in points.columns]

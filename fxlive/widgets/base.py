"""LiveWidget: the base class of every widget. It is refreshed in the background while it is visible.

A view is one place in a page that shows a widget. It sends few messages: it asks for everything ("snapshot"), reports
whether it is visible ("visible") and that it was removed ("gone"). The widget replies to a request, and sends later
changes to all views at once. Other requests and actions belong to the kind of widget.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import sys
import time
from abc import ABCMeta, abstractmethod
from collections import deque
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import anywidget
import traitlets
from IPython.core.getipython import get_ipython
from IPython.display import publish_display_data

from fxlive.widgets.ipywidgets_private import HandledOnOwnThread, open_boxes
from fxlive.widgets.page import STATIC, Part, shared_page
from fxlive.widgets.refresher import Refresher, shared_refresher

log = logging.getLogger("fxlive")

_MAX_SILENCE_S = 35.0  # a visible view reports every 10 s (PULSE_MS in live.js)
_IN_TRANSIT_S = 1.0  # a message sent before a cell began may arrive this long after its beginning
_MIN_OPEN_S = 3.0  # anywidget reports an error in the page for a model that is closed within two seconds
STILL_METADATA_KEY = "fxlive_still"
"""Key in an output's metadata: the model ids of the widgets whose still pictures go there."""

_keys = itertools.count(1)


class WidgetId(NamedTuple):
    """The name of a widget's session and its own name. A new widget of the same id replaces the former."""

    session: str
    name: str

    def __str__(self) -> str:
        return f"{self.session}: {self.name}"


_widgets: dict[WidgetId, LiveWidget] = {}


def close_widgets_of(session: str) -> None:
    """Close the widgets of the session of this name, because another session replaces it."""
    for widget in [widget for key, widget in list(_widgets.items()) if key.session == session]:
        widget.close()


class _AbstractWidgetMeta(ABCMeta, traitlets.MetaHasTraits):
    """Metaclass of widget classes with abstract methods."""


class LiveWidget(HandledOnOwnThread, anywidget.AnyWidget, metaclass=_AbstractWidgetMeta):
    """A widget that is refreshed on the background thread while it is visible. Subclasses supply the content.

    Parameters
    ----------
    kind
        Name of the module in static/ that draws it.
    session
        Name of the session that it belongs to.
    name
        Name of the widget within the session. A new widget of the same name replaces the former.
    refresher
        Refreshes the widget. Default: the one that all widgets share.
    clock
        Returns the time in seconds.
    silence_s
        Takes two times of that clock: when a view was last heard from, and now. Returns for how many seconds the view
        has been silent although the kernel would have heard it.
    """

    # As text: anywidget watches an `_esm` file, and keeps every widget that was made from it alive.
    _esm = (STATIC / "loader.js").read_text(encoding="utf-8")
    _page = traitlets.Unicode().tag(sync=True)
    _kind = traitlets.Unicode().tag(sync=True)
    _key = traitlets.Int().tag(sync=True)
    pausable = True
    # Class attributes, because a widget whose constructor raised is closed as well.
    name = ""
    _id = WidgetId("", "")
    _started = False  # a view has received a snapshot, so that changes to it can be sent
    _restart_views = False  # the next update is a snapshot for all views
    _action_error: Exception | None = None  # raised by `act` and not yet reported to the views

    def __init__(
        self,
        kind: str,
        *,
        session: str,
        name: str,
        refresher: Refresher | None = None,
        clock: Callable[[], float] = time.monotonic,
        silence_s: Callable[[float, float], float] | None = None,
        **traits: Any,
    ) -> None:
        self._id = WidgetId(session, name)
        self.name = str(self._id)
        self.refresher = refresher or shared_refresher()
        self._clock = clock
        self._silence_s = silence_s or _cell_monitor().silence_s
        self._closable_at = clock() + _MIN_OPEN_S
        self._views: dict[str, float] = {}  # the visible views, and when each was last heard from
        self._requests: deque[dict[str, Any]] = deque()
        self._shown_epoch = self.epoch() or 0
        super().__init__(_page=shared_page().model_id, _kind=kind, _key=next(_keys), **traits)
        self.on_msg(self._on_message)
        former = _widgets.get(self._id)
        _widgets[self._id] = self
        if former is not None:
            self.refresher.call_later(former.close_delay_s(), former.close)

    # To be implemented by subclasses. Called on the background thread.

    @abstractmethod
    def snapshot(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Return everything that a new view needs. `changes` returns the changes after it."""

    @abstractmethod
    def changes(self) -> tuple[dict[str, Any], list[bytes]]:
        """Return the changes for all views since the last call or the snapshot; empty if there are none."""

    def epoch(self) -> int | None:
        """Return how often the data was cleared and filled again; None while it is being filled."""
        return 0

    def reset(self) -> None:
        """Forget the data of the former epoch. All views get a snapshot next."""

    def reply(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Return the reply to a request other than "snapshot"."""
        raise ValueError(f"unknown request of a view: {request.get('type')!r}")

    def act(self, action: str, request: dict[str, Any]) -> None:
        """Run the action of a button. Called on a worker thread, so it may block."""
        raise ValueError(f"unknown action {action!r}")

    # Opening and closing.

    def close_delay_s(self) -> float:
        """Return for how many seconds the widget should stay open before another replaces it."""
        return max(0.0, self._closable_at - self._clock())

    def close(self) -> None:
        """Remove the widget from the page, for good."""
        if _widgets.get(self._id) is self:
            del _widgets[self._id]
        if self._started:
            self._views.clear()
            self.refresher.call_soon(self.refresher.unwatch, self)
        if not sys.is_finalizing():
            # A box that still contains a closed widget would keep a reloaded page waiting for ever.
            for box in open_boxes():
                if self in box.children:
                    box.children = tuple(child for child in box.children if child is not self)
        super().close()

    def _ipython_display_(self) -> None:
        """Show the widget, and below it an output for the still picture that a saved notebook keeps."""
        data, metadata = super()._repr_mimebundle_() or ({}, {})
        publish: Any = publish_display_data
        publish({**data, "text/plain": plain_text(self)}, metadata)
        if in_kernel():  # a terminal takes no picture
            publish(*still_output(self))

    def __repr__(self) -> str:
        return f"<fxlive {type(self).__name__} {self.name!r}>"

    # Messages from the page. They arrive on any thread and are handled on the background thread, so that everything
    # a view receives is sent from one thread and in order.

    def _on_message(self, _: Any, content: Any, buffers: Any) -> None:
        self.refresher.call_soon(self._handle, content)

    def _handle(self, content: dict[str, Any]) -> None:
        view = str(content.get("view"))
        match content.get("type"):
            case "gone":
                self._views.pop(view, None)
            case "visible" if not content.get("visible"):
                self._views.pop(view, None)
            case "visible":
                self._mark_visible(view)
            case "do":
                asyncio.get_running_loop().run_in_executor(None, self._run_action, content)
            case _:
                self._requests.append(content)
                self._mark_visible(view)

    def _mark_visible(self, view: str) -> None:
        self._views[view] = self._clock()
        self.refresher.watch(self)

    def _run_action(self, content: dict[str, Any]) -> None:
        try:
            self.act(str(content.get("action")), content)
        except Exception as error:
            log.exception("action %r of %r failed", content.get("action"), self)
            self._action_error = error

    # Messages to the page, when the refresher asks for them.

    @property
    def visible(self) -> bool:
        """Whether any view of it is visible."""
        if self.comm is None:
            return False
        # A view that is dropped too early comes back with its next message, and then gets the changes that it missed.
        now = self._clock()
        for view in [view for view, heard_at in self._views.items() if self._silence_s(heard_at, now) > _MAX_SILENCE_S]:
            del self._views[view]
        return bool(self._views)

    def next_update(self) -> Part | None:
        """Return the update for all views; None if there is nothing new."""
        if not self._started or not self._data_is_complete():
            return None
        if self._action_error is not None:
            error, self._action_error = self._action_error, None
            return self.failure(error)
        if self._restart_views:
            content, buffers = self._snapshot({})
            self._restart_views = False
        else:
            content, buffers = self.changes()
        return Part(self._key, content, buffers) if content or buffers else None

    def _data_is_complete(self) -> bool:
        """Return False while the data is being filled again. Reset the widget if the data is of a new epoch."""
        epoch = self.epoch()
        if epoch is not None and epoch != self._shown_epoch:
            self._shown_epoch, self._restart_views = epoch, True
            self.reset()
        return epoch is not None

    def _snapshot(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        content, buffers = self.snapshot(request)
        return {"a": "snapshot", "model": self.model_id, "epoch": self._shown_epoch, **content}, buffers

    def next_reply(self) -> Part | None:
        """Return the reply to the oldest open request of a view; None if there is none."""
        if not self._requests or not self._data_is_complete():
            return None
        request = self._requests.popleft()
        if request["type"] == "snapshot":
            content, buffers = self._snapshot(request)
            # While drawing is paused, the other views miss what this one gets: they restart afterwards.
            behind = self._restart_views or (self.refresher.paused and self.pausable)
            self._restart_views = behind and self._started  # without a start there are no other views
            self._started = True
        else:
            content, buffers = self.reply(request)
            content = {"a": request["type"], **content}
        return Part(self._key, {"v": request.get("view"), **content}, buffers)

    def failure(self, error: Exception) -> Part:
        """Return the report of an error of `act` or of one of the methods above. A click makes a view ask again."""
        self._requests.clear()
        self._started = False
        return Part(self._key, {"failed": f"{type(error).__name__}: {error}"})


class CellMonitor:
    """Distinguishes a silent view from a kernel that does not receive the view's messages.

    While a cell runs, ipykernel 6 receives no messages from the page; ipykernel 7 does. So during a cell a view counts
    as silent only if a message of it arrived during this cell.

    Parameters
    ----------
    shell
        IPython's shell. None outside IPython, where there are no cells.
    """

    def __init__(self, shell: Any) -> None:
        self._cell_began_at: float | None = None
        self._cell_ended_at = -math.inf
        if shell is not None:
            self._on_cell_begin()  # the first widget is made in a cell
            shell.events.register("pre_run_cell", self._on_cell_begin)
            shell.events.register("post_run_cell", self._on_cell_end)

    def silence_s(self, heard_at: float, now: float) -> float:
        """Return for how many seconds a view has been silent although the kernel would have heard it.

        Times are in seconds of the monotonic clock.
        """
        if self._cell_began_at is None:
            return now - max(heard_at, self._cell_ended_at)
        heard_in_this_cell = heard_at > self._cell_began_at + _IN_TRANSIT_S
        return now - heard_at if heard_in_this_cell else 0.0

    def _on_cell_begin(self, _: Any = None) -> None:
        self._cell_began_at = time.monotonic()

    def _on_cell_end(self, _: Any = None) -> None:
        self._cell_began_at, self._cell_ended_at = None, time.monotonic()


@cache
def _cell_monitor() -> CellMonitor:
    return CellMonitor(get_ipython())


def in_kernel() -> bool:
    """Return whether outputs go to a page and not to a terminal."""
    return hasattr(get_ipython(), "kernel")


def plain_text(widget: object) -> str:
    """Return the text for front-ends that cannot show widgets."""
    return (
        f"{widget!r}\nWidgets are shown in JupyterLab, Notebook 7 and VS Code. "
        "Elsewhere use fxlive.latest(...), or the figure of a chart: chart.figure.show(), or without a browser "
        'chart.figure.write_html("chart.html").'
    )


def still_output(*widgets: LiveWidget) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return data and metadata of the output in which the page puts the still pictures of widgets (stills.js)."""
    metadata = {STILL_METADATA_KEY: [widget.model_id for widget in widgets]}
    return {"text/html": '<div class="fxlive-still"></div>', "text/plain": ""}, metadata

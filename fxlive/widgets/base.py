"""LiveWidget: what every widget of fxlive is: something in the page that is told what is new while somebody looks.

A widget and its views speak of little: a view asks for everything ("window"), says whether it can be seen, and says
when it is gone; the widget answers, and tells all views what is new. What else a view asks or does is the widget's own.
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
from typing import Any

import anywidget
import traitlets
from IPython.core.getipython import get_ipython
from IPython.display import publish_display_data
from ipywidgets import Box
from ipywidgets.widgets.widget import _instances

from fxlive.widgets.page import STATIC, Part, forget_thread, shared_page
from fxlive.widgets.refresher import Refresher, shared_refresher

log = logging.getLogger("fxlive")

# A view says every 10 s that it is still there.
_SILENCE_S = 35.0
_ON_ITS_WAY_S = 1.0  # what was said before a cell may be heard so long after it began
# anywidget throws an error in the page where a model is closed within two seconds of its opening.
_SETTLING_S = 3.0
STILL = "fxlive_still"
"""The key in an output's metadata that says whose still picture it is."""

_keys = itertools.count(1)
_named: dict[str, LiveWidget] = {}


def close_widgets_of(session: str) -> None:
    """Close the widgets of a session of this name: another has taken its place."""
    for name in [name for name in _named if name.startswith(f"{session}: ")]:
        _named[name].close()


class _Abstract(ABCMeta, traitlets.MetaHasTraits):
    """What makes classes of widgets that say nothing yet of what there is to see."""


class LiveWidget(anywidget.AnyWidget, metaclass=_Abstract):
    """A widget that is refreshed on the background thread while it can be seen; a subclass says what there is to see.

    Parameters
    ----------
    kind
        The module in static/ that draws it.
    name
        What to call it; a new widget of the same name takes the place of the former.
    refresher
        What makes it move; default: the one that all widgets share.
    clock
        Gives seconds.
    silence_s
        Takes the times of that clock at which a view was last heard of, and of now; gives for how many seconds it has
        been silent though it would have been heard.
    """

    # As text: of a file anywidget would keep every widget alive that was ever made of it.
    _esm = (STATIC / "loader.js").read_text(encoding="utf-8")
    _page = traitlets.Unicode().tag(sync=True)
    _kind = traitlets.Unicode().tag(sync=True)
    _key = traitlets.Int().tag(sync=True)
    pausable = True
    name = ""  # this and the next also of one that could not be made, which is closed all the same
    _begun = False  # some view has had a window, so that there are changes to it
    _anew = False  # all views are to begin again
    _undone: Exception | None = None  # what a view has asked for and could not be done, until they are told

    def __init__(
        self,
        kind: str,
        *,
        name: str,
        refresher: Refresher | None = None,
        clock: Callable[[], float] = time.monotonic,
        silence_s: Callable[[float, float], float] | None = None,
        **traits: Any,
    ) -> None:
        self.name = name
        self.refresher = refresher or shared_refresher()
        self._clock = clock
        self._silence_s = silence_s or _cells().silence_s
        self._settled_at = clock() + _SETTLING_S
        self._views: dict[str, float] = {}  # those that can be seen, and when each was last heard of
        self._asked: deque[dict[str, Any]] = deque()
        self._of_epoch = self.epoch() or 0
        super().__init__(_page=shared_page().model_id, _kind=kind, _key=next(_keys), **traits)
        self.on_msg(self._heard)
        former = _named.get(name)
        _named[name] = self
        if former is not None:
            self.refresher.later(former.unsettled_s(), former.close)

    # What a subclass says. All of it is called on the background thread.

    @abstractmethod
    def window(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Return everything that a view needs to begin; what is new from here on is `changes`."""

    @abstractmethod
    def changes(self) -> tuple[dict[str, Any], list[bytes]]:
        """Return what is new since the last call or `window`, for all views; empty where nothing is."""

    def epoch(self) -> int | None:
        """Return how often what it shows was cleared and begun anew; None while that is going on."""
        return 0

    def forget(self) -> None:
        """Drop what is known of the data: it is of another epoch. All views get a window next."""

    def reply(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Return the answer to anything else that a view asks."""
        raise ValueError(f"a view asked for {request.get('type')!r}")

    def act(self, action: str, request: dict[str, Any]) -> None:
        """Do what a user has asked for with a button; on a thread of its own, so it may take its time."""
        raise ValueError(f"there is nothing called {action!r} to do")

    # Life.

    def unsettled_s(self) -> float:
        """Return for how many seconds more it is not to be closed where another takes its place."""
        return max(0.0, self._settled_at - self._clock())

    def close(self) -> None:
        """Take the widget out of the page, for good."""
        if _named.get(self.name) is self:
            del _named[self.name]
        if self._begun:
            self._views.clear()
            self.refresher.soon(self.refresher.forget, self)
        if not sys.is_finalizing():
            # A box that held on to a widget that is gone would keep a page that is loaded anew waiting for ever.
            for box in list(_instances.values()):
                if isinstance(box, Box) and self in box.children:
                    box.children = tuple(child for child in box.children if child is not self)
        super().close()

    def _ipython_display_(self) -> None:
        """Show the widget, and below it room for a still picture, which is what stays in a saved notebook."""
        data, metadata = super()._repr_mimebundle_() or ({}, {})
        publish: Any = publish_display_data
        publish({**data, "text/plain": in_words(self)}, metadata)
        if in_a_kernel():  # in a terminal there is nobody to take the picture
            publish(*still_of(self))

    def __repr__(self) -> str:
        return f"<fxlive {type(self).__name__} {self.name!r}>"

    # From the browser, on whichever thread widget messages are handled; dealt with on the background thread, so that
    # everything a view gets is sent from one thread and in order.

    def _heard(self, _: Any, content: Any, buffers: Any) -> None:
        self.refresher.soon(self._handle, content)

    def _handle(self, content: dict[str, Any]) -> None:
        view = str(content.get("view"))
        match content.get("type"):
            case "gone":
                self._views.pop(view, None)
            case "visible" if not content.get("visible"):
                self._views.pop(view, None)
            case "visible":
                self._see(view)
            case "do":
                asyncio.get_running_loop().run_in_executor(None, self._do, content)
            case _:
                self._asked.append(content)
                self._see(view)

    def _see(self, view: str) -> None:
        self._views[view] = self._clock()
        self.refresher.watch(self)

    def _do(self, content: dict[str, Any]) -> None:
        try:
            self.act(str(content.get("action")), content)
        except Exception as error:
            log.exception("%r could not do %r", self, content.get("action"))
            self._undone = error

    # To the browser, when the refresher asks.

    @property
    def visible(self) -> bool:
        """Whether any view of it can be seen."""
        if self.comm is None:
            return False
        # A view that was given up too early is back with its next word, and gets what it missed.
        now = self._clock()
        for view in [view for view, heard in self._views.items() if self._silence_s(heard, now) > _SILENCE_S]:
            del self._views[view]
        return bool(self._views)

    def news(self) -> Part | None:
        """Return what all views are to be told; None where nothing is new."""
        if not self._begun or not self._settled():
            return None
        if self._undone is not None:
            error, self._undone = self._undone, None
            return self.failed(error)
        if self._anew:
            content, buffers = self._window({})
            self._anew = False
        else:
            content, buffers = self.changes()
        return Part(self._key, content, buffers) if content or buffers else None

    def _settled(self) -> bool:
        """Return whether the data is whole; what was known of that of a former epoch is dropped."""
        epoch = self.epoch()
        if epoch is not None and epoch != self._of_epoch:
            self._of_epoch, self._anew = epoch, True
            self.forget()
        return epoch is not None

    def _window(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        content, buffers = self.window(request)
        return {"a": "window", "model": self.model_id, "epoch": self._of_epoch, **content}, buffers

    def answer(self) -> Part | None:
        """Return the answer to the next view that has asked for something; None where none has."""
        if not self._asked or not self._settled():
            return None
        request = self._asked.popleft()
        if request["type"] == "window":
            content, buffers = self._window(request)
            # While drawing is paused the other views do not get what this one has: they are to begin again after it.
            behind = self._anew or (self.refresher.paused and self.pausable)
            self._anew = behind and self._begun  # the first view is all there are
            self._begun = True
        else:
            content, buffers = self.reply(request)
            content = {"a": request["type"], **content}
        return Part(self._key, {"v": request.get("view"), **content}, buffers)

    def failed(self, error: Exception) -> Part:
        """Return what to tell the views when one of these, or `act`, has raised; they ask anew when clicked."""
        self._asked.clear()
        self._begun = False
        return Part(self._key, {"failed": f"{type(error).__name__}: {error}"})

    def open(self) -> None:
        """Open the way to the browser."""
        super().open()
        forget_thread(self)

    def _send(self, msg: Any, buffers: Any = None) -> None:
        super()._send(msg, buffers)
        forget_thread(self)


class Cells:
    """Knows when the kernel hears what a view says: always but in a cell, and in that where it has heard something.

    ipykernel 6 hears nothing while a cell runs; 7 does.

    Parameters
    ----------
    shell
        IPython's; None where there is none, and so no cell.
    """

    def __init__(self, shell: Any) -> None:
        self._began_at: float | None = None
        self._ended_at = -math.inf
        if shell is not None:
            self._begun()  # what makes the first widget is a cell
            shell.events.register("pre_run_cell", self._begun)
            shell.events.register("post_run_cell", self._ended)

    def silence_s(self, heard: float, now: float) -> float:
        """Return for how many seconds who was last heard at a time has been silent though it would have been heard.

        Times are by the monotonic clock.
        """
        if self._began_at is None:
            return now - max(heard, self._ended_at)
        hears = heard > self._began_at + _ON_ITS_WAY_S
        return now - heard if hears else 0.0

    def _begun(self, _: Any = None) -> None:
        self._began_at = time.monotonic()

    def _ended(self, _: Any = None) -> None:
        self._began_at, self._ended_at = None, time.monotonic()


@cache
def _cells() -> Cells:
    return Cells(get_ipython())


def in_a_kernel() -> bool:
    """Return whether what is shown goes to a page rather than to a terminal."""
    return hasattr(get_ipython(), "kernel")


def in_words(widget: object) -> str:
    """Return what a front-end shows of a widget that can show none."""
    return (
        f"{widget!r}\nIt shows in JupyterLab, Notebook 7 and VS Code. "
        "Elsewhere: fxlive.latest(...), or the figure of a chart: chart.figure.show(), and where there is no browser "
        'chart.figure.write_html("chart.html").'
    )


def still_of(*widgets: LiveWidget) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return the output, data and metadata, in which the page puts the still pictures of some widgets (stills.js)."""
    return {"text/html": '<div class="fxlive-still"></div>', "text/plain": ""}, {STILL: [w.model_id for w in widgets]}

"""The refresher: it draws all widgets, on the background thread, and never more than the page can take.

What the widgets have to say at one tick goes to the page as one message, so all of them together send ten a second.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from fxlive.core.background import background_loop
from fxlive.widgets.page import Part, shared_page

T = TypeVar("T")

log = logging.getLogger("fxlive")

RATE_HZ = 10.0
WINDOW_BYTES_PER_S = 600_000
"""Of whole windows, for all views together: jupyter_server drops messages beyond a megabyte a second."""
MAX_SHARE = 0.25
"""How much of the thread's time may go into drawing: it is the feed's thread too."""


class Refreshable(Protocol):
    """What the refresher draws."""

    @property
    def visible(self) -> bool:
        """Whether anybody sees it."""

    @property
    def pausable(self) -> bool:
        """Whether it stands still while drawing is paused."""

    def news(self) -> Part | None:
        """Return what all views are to be told: what has changed since the last call."""

    def answer(self) -> Part | None:
        """Return the answer to the next view that has asked for something; None where none has."""

    def failed(self, error: Exception) -> Part:
        """Return what to tell the views when one of these has raised."""


def _post(parts: Sequence[Part], paused: bool) -> None:
    shared_page().post(parts, paused)


class Refresher:
    """Asks each visible widget, some times a second, for what is new since it last drew.

    Everything but `soon`, `later`, `pause` and `ask` is to be called on the background loop. While no widget is visible
    nothing runs.

    Parameters
    ----------
    post
        Takes the parts of one tick, and whether drawing is paused.
    rate_hz
        How often each widget is asked, at most.
    loop
        Gives the loop to run on.
    """

    def __init__(
        self,
        post: Callable[[Sequence[Part], bool], None] = _post,
        rate_hz: float = RATE_HZ,
        loop: Callable[[], asyncio.AbstractEventLoop] = background_loop,
    ) -> None:
        self.rate_hz = rate_hz
        self.paused = False
        self._post = post
        self._loop = loop
        self._watched: deque[Refreshable] = deque()
        self._budget_bytes = float(WINDOW_BYTES_PER_S)
        self._task: asyncio.Task[None] | None = None

    def soon(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call a function on the background loop; from any thread."""
        self._loop().call_soon_threadsafe(function, *arguments)

    def later(self, delay_s: float, function: Callable[[], Any]) -> None:
        """Call a function on the background loop, after so many seconds; from any thread."""
        self.soon(self._loop().call_later, delay_s, function)

    def pause(self, paused: bool = True) -> None:
        """Let the widgets stand still, or go on; every view says which. From any thread."""
        self.paused = paused
        self.soon(lambda: self._post([], self.paused))

    def ask(self, function: Callable[[], T]) -> T:
        """Call a function on the background loop and return what it returns; from any other thread."""
        future: concurrent.futures.Future[T] = concurrent.futures.Future()

        def work() -> None:
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)

        self.soon(work)
        return future.result()

    def watch(self, widget: Refreshable) -> None:
        """Begin to refresh a widget that has become visible."""
        if widget not in self._watched:
            self._watched.append(widget)
        if self._task is None or self._task.done():
            self._task = self._loop().create_task(self._run())

    def forget(self, widget: Refreshable) -> None:
        """Refresh a widget no more."""
        if widget in self._watched:
            self._watched.remove(widget)

    def tick(self) -> int:
        """Ask each visible widget, and send what they say; returns how many parts that was.

        Answers to views come behind the news of the same widget, so that a view that begins goes on from the same
        rows as the others. They are large, and wait for the next tick where there are too many.
        """
        parts: list[Part] = []
        most = float(WINDOW_BYTES_PER_S)
        self._budget_bytes = min(self._budget_bytes + most / self.rate_hz, most)
        for _ in range(len(self._watched)):
            widget = self._watched.popleft()  # in turns, so that none waits for ever
            if not widget.visible:
                continue
            self._watched.append(widget)
            try:
                news = None if self.paused and widget.pausable else widget.news()
                if news is not None:
                    parts.append(news)
                while self._budget_bytes > 0 and (answer := widget.answer()) is not None:
                    self._budget_bytes -= answer.size_bytes
                    parts.append(answer)
            except Exception as error:  # one widget's fault must not stop the others
                log.exception("a widget could not be refreshed")
                self._watched.remove(widget)  # until a view asks again
                parts.append(widget.failed(error))
        if parts:
            self._post(parts, self.paused)
        return len(parts)

    async def _run(self) -> None:
        while self._watched:
            began = time.perf_counter()
            try:
                self.tick()
            except Exception:  # the page is gone, say: the next view that asks begins anew
                log.exception("what is new could not be sent")
            spent = time.perf_counter() - began
            await asyncio.sleep(max(1.0 / self.rate_hz - spent, spent * (1 / MAX_SHARE - 1)))


_shared: Refresher | None = None


def shared_refresher() -> Refresher:
    """Return the one refresher of this process."""
    global _shared
    if _shared is None:
        _shared = Refresher()
    return _shared

"""The refresher: sends the updates of all widgets from the background thread, and no more than the page can take.

The updates of all widgets at one tick are one message, so all widgets together send ten messages a second.
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
REPLY_BYTES_PER_S = 600_000
"""Limit for replies to all views together: jupyter_server drops messages beyond a megabyte a second."""
QUIET_S = 2.0
"""After so many seconds without updates, an empty tick tells the page whether it has missed the last ones."""
MAX_SHARE = 0.25
"""Share of the background thread's time that refreshing may take. The feed runs on the same thread."""


class Refreshable(Protocol):
    """A widget as the refresher needs it."""

    @property
    def visible(self) -> bool:
        """Whether any view of it is visible."""

    @property
    def pausable(self) -> bool:
        """Whether it gets no updates while drawing is paused."""

    def next_update(self) -> Part | None:
        """Return the update for all views: the changes since the last call; None if there are none."""

    def next_reply(self) -> Part | None:
        """Return the reply to the oldest open request of a view; None if there is none."""

    def failure(self, error: Exception) -> Part:
        """Return the report to the views that one of these methods raised."""


def _post(parts: Sequence[Part], paused: bool) -> None:
    shared_page().post(parts, paused)


class Refresher:
    """Collects updates from each visible widget several times a second and sends them.

    Only `call_soon`, `call_later`, `call` and `pause` may be used outside the background loop. While no widget is
    visible, nothing runs.

    Parameters
    ----------
    post
        Takes the parts of one tick, and whether drawing is paused.
    rate_hz
        Maximum number of ticks a second.
    loop
        Returns the event loop to run on.
    clock
        Returns the time in seconds.
    """

    def __init__(
        self,
        post: Callable[[Sequence[Part], bool], None] = _post,
        rate_hz: float = RATE_HZ,
        loop: Callable[[], asyncio.AbstractEventLoop] = background_loop,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rate_hz = rate_hz
        self.paused = False
        self._post = post
        self._loop = loop
        self._clock = clock
        self._posted_at: float | None = None  # when the last parts were sent; None once an empty tick has followed them
        self._watched: deque[Refreshable] = deque()
        self._budget_bytes = float(REPLY_BYTES_PER_S)
        self._task: asyncio.Task[None] | None = None

    def call_soon(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Schedule a function on the background loop. From any thread."""
        self._loop().call_soon_threadsafe(function, *arguments)

    def call_later(self, delay_s: float, function: Callable[[], Any]) -> None:
        """Schedule a function on the background loop after a delay in seconds. From any thread."""
        self.call_soon(self._loop().call_later, delay_s, function)

    def call(self, function: Callable[[], T]) -> T:
        """Call a function on the background loop and return its result. From any other thread."""
        future: concurrent.futures.Future[T] = concurrent.futures.Future()

        def run() -> None:
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)

        self.call_soon(run)
        return future.result()

    def pause(self, paused: bool = True) -> None:
        """Pause the updates of widgets, or resume them. Every view shows which. From any thread."""
        self.paused = paused
        self.call_soon(lambda: self._post([], self.paused))

    def watch(self, widget: Refreshable) -> None:
        """Start to refresh a widget that has become visible."""
        if widget not in self._watched:
            self._watched.append(widget)
        if self._task is None or self._task.done():
            self._task = self._loop().create_task(self._run())

    def unwatch(self, widget: Refreshable) -> None:
        """Stop refreshing a widget."""
        if widget in self._watched:
            self._watched.remove(widget)

    def tick(self) -> int:
        """Collect and send the updates and replies of all visible widgets; return the number of parts sent.

        A widget's replies follow its update, so that a new view continues from the same rows as the others. Replies
        are large: those beyond the budget wait for the next tick.
        """
        parts: list[Part] = []
        limit = float(REPLY_BYTES_PER_S)
        self._budget_bytes = min(self._budget_bytes + limit / self.rate_hz, limit)
        for _ in range(len(self._watched)):
            widget = self._watched.popleft()  # in turns, so that every widget gets its share of the budget
            if not widget.visible:
                continue
            self._watched.append(widget)
            try:
                update = None if self.paused and widget.pausable else widget.next_update()
                if update is not None:
                    parts.append(update)
                while self._budget_bytes > 0 and (reply := widget.next_reply()) is not None:
                    self._budget_bytes -= reply.size_bytes
                    parts.append(reply)
            except Exception as error:  # an error in one widget must not stop the others
                log.exception("a widget could not be refreshed")
                self._watched.remove(widget)  # until a view asks again
                parts.append(widget.failure(error))
        if parts:
            self._posted_at = self._clock()
            self._post(parts, self.paused)
        elif self._posted_at is not None and self._clock() - self._posted_at > QUIET_S:
            self._posted_at = None
            self._post([], self.paused)  # its number tells the page if the last tick was lost
        return len(parts)

    async def _run(self) -> None:
        while self._watched:
            began = time.perf_counter()
            try:
                self.tick()
            except Exception:  # for example because the page was closed: the next request of a view starts again
                log.exception("widget updates could not be sent")
            spent = time.perf_counter() - began
            await asyncio.sleep(max(1.0 / self.rate_hz - spent, spent * (1 / MAX_SHARE - 1)))


_shared: Refresher | None = None


def shared_refresher() -> Refresher:
    """Return the one refresher of this process."""
    global _shared
    if _shared is None:
        _shared = Refresher()
    return _shared

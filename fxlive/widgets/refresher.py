"""The refresher: it draws all widgets, on the background thread, and never more than the page can take."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from fxlive.loop import background_loop

log = logging.getLogger("fxlive")

RATE_HZ = 10.0
MAX_MESSAGES_PER_S = 49.0
"""Of all widgets together: jupyter_server drops messages beyond 1,000 a second, and a page can draw no more."""


class Refreshable(Protocol):
    """What the refresher draws."""

    @property
    def visible(self) -> bool:
        """Whether anybody sees it."""

    def refresh(self) -> int:
        """Send what is new, and return how many messages that took: none where nothing changed."""


class Refresher:
    """Asks each visible widget, some times a second, for what is new since it last drew.

    Everything but `soon` is to be called on the background loop. While no widget is visible nothing runs.

    Parameters
    ----------
    rate_hz
        How often each widget is asked, at most.
    max_messages_per_s
        How much all widgets may send together; where that is less than they want, they take turns.
    loop
        Gives the loop to run on.
    """

    def __init__(
        self,
        rate_hz: float = RATE_HZ,
        max_messages_per_s: float = MAX_MESSAGES_PER_S,
        loop: Callable[[], asyncio.AbstractEventLoop] = background_loop,
    ) -> None:
        self.rate_hz = rate_hz
        self._allowance = max(1.0, max_messages_per_s / rate_hz)
        self._left = 0.0
        self._loop = loop
        self._turn: deque[Refreshable] = deque()
        self._task: asyncio.Task[None] | None = None

    def soon(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call a function on the background loop; from any thread."""
        self._loop().call_soon_threadsafe(function, *arguments)

    def watch(self, widget: Refreshable) -> None:
        """Begin to refresh a widget that has become visible."""
        if widget not in self._turn:
            self._turn.append(widget)
        if self._task is None or self._task.done():
            self._task = self._loop().create_task(self._run())

    def forget(self, widget: Refreshable) -> None:
        """Refresh a widget no more."""
        if widget in self._turn:
            self._turn.remove(widget)

    def tick(self) -> int:
        """Give each visible widget its turn as far as the allowance goes; returns how many messages were sent."""
        # What is left over is kept below one message, so that a quiet second does not allow a burst in the next.
        self._left = min(self._left, 1.0) + self._allowance
        sent = 0
        for _ in range(len(self._turn)):
            if self._left < 1.0:
                break  # the others are first next time
            widget = self._turn.popleft()
            if not widget.visible:
                continue
            self._turn.append(widget)
            try:
                count = widget.refresh()
            except Exception:  # one widget's fault must not stop the others
                log.exception("a widget could not be refreshed")
                count = 1
            self._left -= count
            sent += count
        return sent

    async def _run(self) -> None:
        while self._turn:
            self.tick()
            await asyncio.sleep(1.0 / self.rate_hz)


_shared: Refresher | None = None


def shared_refresher() -> Refresher:
    """Return the one refresher of this process."""
    global _shared
    if _shared is None:
        _shared = Refresher()
    return _shared

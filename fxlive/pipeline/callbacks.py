"""Who is told of new messages: callbacks, each on a thread of its own, and streams, on the caller's loop.

Each listens behind a bounded mailbox. One that is slow loses its oldest messages, counted, and never slows the feed;
one that raises is counted and logged, its last error is kept, and it goes on with the next message.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable
from typing import Any

from fxlive.pipeline.mailbox import MAILBOX_SIZE, AnyMessage, Mailbox

log = logging.getLogger("fxlive")

Callback = Callable[[Any], Any]


class Errors:
    """How often what a user gave to be called has raised (`count`), and what at last, in words (`last`).

    The words alone are kept: an exception would keep the variables of all that it passed through. What is noted is
    counted in the `whole` too.

    >>> errors = Errors()
    >>> errors.note(KeyError("profit"))
    >>> str(errors)
    "1 errors, the last KeyError: 'profit'"
    """

    def __init__(self, whole: Errors | None = None) -> None:
        self.count = 0
        self.last: str | None = None
        self._whole = whole
        self._lock = threading.Lock()

    def __str__(self) -> str:
        return f"{self.count:,} errors" + (f", the last {self.last}" if self.last else "")

    def note(self, error: BaseException) -> None:
        """Count an error, whatever it is."""
        try:
            said = (str(error).strip().splitlines() or [""])[0][:200]
        except Exception:  # an exception of the user's, which may have no words
            said = ""
        with self._lock:
            self.count += 1
            self.last = type(error).__name__ + (f": {said}" if said else "")
        if self._whole is not None:
            self._whole.note(error)


class Called:
    """Something of the user's that is called: how often, and what it has raised."""

    def __init__(self, errors: Errors | None) -> None:
        self.calls = 0
        self._errors = errors or Errors()

    @property
    def errors(self) -> int:
        """How often it has raised."""
        return self._errors.count

    @property
    def error(self) -> str | None:
        """What it raised last, in words; None where it has not."""
        return self._errors.last


class Handle(Called):
    """A registered callback: `cancel()` ends it; `calls`, `errors`, `error` (the last, in words) and `dropped` say how
    it fares.

    It can still be called like the function that it holds.
    """

    def __init__(
        self,
        channel: str,
        callback: Callback,
        on_error: Callable[[Any], Any] | None,
        size: int = MAILBOX_SIZE,
        *,
        errors: Errors | None = None,
    ) -> None:
        super().__init__(errors)
        self.channel = channel
        self._callback = callback
        self._on_error = on_error
        self._wakes = threading.Event()
        self.mailbox = Mailbox(channel, self._wakes.set, size)
        name = getattr(callback, "__name__", type(callback).__name__)
        self._thread = threading.Thread(target=self._work, name=f"fxlive on {channel}: {name}", daemon=True)
        self._thread.start()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._callback(*args, **kwargs)

    def __repr__(self) -> str:
        state = "cancelled" if self.mailbox.closed else "active"
        counts = f"{self.calls} calls, {self._errors}, {self.dropped} dropped"
        return f"<callback on {self.channel}: {state}, {counts}>"

    @property
    def dropped(self) -> int:
        """How many messages it was too slow for."""
        return self.mailbox.dropped

    def cancel(self) -> None:
        """Tell it no more, not even what waits in its queue."""
        self.mailbox.discard()

    def _work(self) -> None:
        with asyncio.Runner() as runner:
            while True:
                self._wakes.wait()
                self._wakes.clear()
                while (message := self.mailbox.take()) is not None:
                    self._tell(message, runner)
                if self.mailbox.closed:
                    return

    def _tell(self, message: AnyMessage, runner: asyncio.Runner) -> None:
        self.calls += 1
        try:
            result = self._callback(message)
            if inspect.iscoroutine(result):
                runner.run(result)
        except BaseException as error:  # sys.exit() and a cancelled task end no more than the callback itself
            self._errors.note(error)
            log.exception("a callback on %s raised", self.channel)
            if self._on_error is not None:
                try:
                    self._on_error(error)
                except BaseException:
                    log.exception("the on_error of a callback on %s raised", self.channel)


class Stream:
    """An async iterator over the messages of a channel, from the moment it was made; ends when the session closes.

    `dropped` counts the messages that it was too slow for.
    """

    def __init__(self, channel: str, size: int = MAILBOX_SIZE) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                "A stream is read in async code: async for message in session.stream(...). In a plain cell, use "
                "session.on(...) with a callback."
            ) from None
        news = asyncio.Event()
        on_its_way = threading.Lock()  # held from a wake-up's being scheduled until it arrives: one at a time

        def arrive() -> None:
            on_its_way.release()  # first, so that what comes from here on schedules another
            news.set()

        def wake() -> None:  # holds no reference to the stream, so that a forgotten one ends
            if on_its_way.acquire(blocking=False):
                try:
                    loop.call_soon_threadsafe(arrive)
                except RuntimeError:  # the reader's loop has closed, which is no matter of the feed's
                    pass

        self._news = news
        self.mailbox = Mailbox(channel, wake, size)

    @property
    def dropped(self) -> int:
        """How many messages it was too slow for."""
        return self.mailbox.dropped

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> AnyMessage:
        while True:
            self._news.clear()
            message = self.mailbox.take()
            if message is not None:
                return message
            if self.mailbox.closed:
                if self.mailbox.error is not None:
                    raise self.mailbox.error
                raise StopAsyncIteration
            await self._news.wait()

    async def aclose(self) -> None:
        """Read no more."""
        self.mailbox.discard()

    def __del__(self) -> None:
        if hasattr(self, "mailbox"):
            self.mailbox.closed = True

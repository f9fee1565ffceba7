"""Callbacks of the user, each called on a thread of its own, behind a bounded mailbox.

A slow callback loses its oldest messages, which are counted; it never slows the feed. An exception that a callback
raises is counted and logged, and the callback goes on with the next message.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable
from typing import Any

from fxlive.core.shown_text import counted, printable
from fxlive.core.world import WORLD, Steps, World
from fxlive.pipeline.mailbox import MAILBOX_SIZE, AnyMessage, Mailbox

log = logging.getLogger("fxlive")

Callback = Callable[[Any], Any]


class ErrorCounter:
    """Counts exceptions raised by a user's function (`count`) and keeps the text of the last one (`last`).

    The exception itself is not kept: its traceback would keep the local variables of all its frames alive. If a
    `total` is given, every exception is counted there too.

    >>> errors = ErrorCounter()
    >>> errors.note(KeyError("profit"))
    >>> str(errors)
    "1 error, the last KeyError: 'profit'"
    """

    def __init__(self, total: ErrorCounter | None = None) -> None:
        self.count = 0
        self.last: str | None = None
        self._total = total
        self._lock = threading.Lock()

    def __str__(self) -> str:
        return counted(self.count, "error") + (f", the last {self.last}" if self.last else "")

    def note(self, error: BaseException) -> None:
        """Count an exception of any type."""
        try:
            text = printable((str(error).strip().splitlines() or [""])[0][:200])
        except Exception:  # the __str__ of the user's exception raised
            text = ""
        with self._lock:
            self.count += 1
            self.last = type(error).__name__ + (f": {text}" if text else "")
        if self._total is not None:
            self._total.note(error)


class UserFunction:
    """A function of the user: counts its calls and the exceptions that it raised."""

    def __init__(self, errors: ErrorCounter | None) -> None:
        self.calls = 0
        self._errors = errors or ErrorCounter()

    @property
    def errors(self) -> int:
        """The number of exceptions that it raised."""
        return self._errors.count

    @property
    def error(self) -> str | None:
        """The type and text of the last exception that it raised; None if it raised none."""
        return self._errors.last


class Handle(UserFunction):
    """A registered callback: `cancel()` ends it.

    `calls`, `errors` (a count), `error` (the text of the last exception) and `dropped` (messages) describe it. It can
    still be called like the function that it wraps.
    """

    def __init__(
        self,
        channel: str,
        callback: Callback,
        on_error: Callable[[Any], Any] | None,
        size: int = MAILBOX_SIZE,
        *,
        errors: ErrorCounter | None = None,
        world: World = WORLD,
    ) -> None:
        super().__init__(errors)
        self.channel = channel
        self._callback = callback
        self._on_error = on_error
        name = getattr(callback, "__name__", type(callback).__name__)
        self._worker = world.worker(f"fxlive on {channel}: {name}")
        self.mailbox = Mailbox(channel, self._worker.wake, size)
        self._worker.start(self._work())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._callback(*args, **kwargs)

    def __repr__(self) -> str:
        state = "cancelled" if self.mailbox.closed else "active"
        counts = f"{counted(self.calls, 'call')}, {self._errors}, {self.dropped} dropped"
        return f"<callback on {printable(self.channel)}: {state}, {counts}>"

    @property
    def dropped(self) -> int:
        """The number of messages that were dropped because the callback was too slow."""
        return self.mailbox.dropped

    def cancel(self) -> None:
        """Stop calling it. Messages that wait in its queue are discarded."""
        self.mailbox.discard()

    def _work(self) -> Steps:
        with asyncio.Runner() as runner:  # also the thread's event loop, for callbacks that ask asyncio for it
            while True:
                yield None
                while (message := self.mailbox.take()) is not None:
                    self._call(message, runner)
                if self.mailbox.closed:
                    return

    def _call(self, message: AnyMessage, runner: asyncio.Runner) -> None:
        self.calls += 1
        try:
            result = self._callback(message)
            if inspect.iscoroutine(result):
                runner.run(result)
        except BaseException as error:  # sys.exit() or a cancelled task must not end this thread
            self._errors.note(error)
            log.exception("a callback on %s raised", self.channel)
            if self._on_error is not None:
                try:
                    self._on_error(error)
                except BaseException:
                    log.exception("the on_error of a callback on %s raised", self.channel)

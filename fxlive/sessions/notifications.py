"""Telling: callbacks, streams, alerts of one's own and waiting, of a running session."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Self, overload

import pandas as pd

from fxlive.core.arguments import span_s, whole
from fxlive.errors import UnknownOption
from fxlive.feeds.interface import State
from fxlive.pipeline.alerts import Watch
from fxlive.pipeline.callbacks import ErrorCounter, Handle
from fxlive.pipeline.pipeline import Pipeline
from fxlive.pipeline.streams import Stream
from fxlive.sessions.reading.readable import Readings


class Telling(Readings):
    """The methods that tell what a pipeline brings, as it comes."""

    _pipeline: Pipeline

    @property
    @abstractmethod
    def state(self) -> State:
        """One of connecting, connected, reconnecting, closed and failed."""

    @overload
    def on(
        self, channel: str, callback: None = None, on_error: Callable[[Exception], Any] | None = None
    ) -> Callable[[Callable[[Any], Any]], Handle]: ...

    @overload
    def on(
        self, channel: str, callback: Callable[[Any], Any], on_error: Callable[[Exception], Any] | None = None
    ) -> Handle: ...

    def on(
        self,
        channel: str,
        callback: Callable[[Any], Any] | None = None,
        on_error: Callable[[Exception], Any] | None = None,
    ) -> Any:
        """Call a function, plain or async, with every new message of a channel; also usable as a decorator.

        It runs on a thread of its own, behind a queue of 10,000 messages; when it is too slow the oldest are dropped
        and counted. What it raises is logged, counted and given to `on_error`.

        Parameters
        ----------
        channel
            Such as ``"trades"``.
        callback
            Takes the message: ``message.data.symbol``, ``message.timestamp`` (text), ``message.id``.
        on_error
            Takes the exception; default: nobody is told.

        Returns
        -------
        Handle
            With `cancel()`, `calls`, `errors`, `error` (the last) and `dropped`; all but the first are in its repr.

        Raises
        ------
        UnknownOption
            Where `callback` or `on_error` is no function.

        Examples
        --------
        >>> import fxlive
        >>> session = fxlive.Session.offline()
        >>> @session.on("trades")
        ... def told(trade):
        ...     print(trade.data.symbol, trade.data.profit)
        >>> told.cancel()
        """
        name = self._channel(channel)
        if on_error is not None:
            _function("on_error", on_error, "exception")

        def listen(function: Callable[[Any], Any]) -> Handle:
            return self._pipeline.listen(name, _function("callback", function, "message"), on_error)

        return listen if callback is None else listen(callback)

    def stream(self, channel: str) -> Stream:
        """Return an async iterator over the messages of a channel that come from now on.

        ``async for trade in session.stream("trades"): ...``; it ends when the session is closed, and raises when the
        session fails.
        """
        return self._pipeline.stream(self._channel(channel))

    def when(
        self,
        condition: Callable[[Self], Any],
        hold: str | float | pd.Timedelta = 0,
        *,
        every: str | float | pd.Timedelta = 0.1,
    ) -> Callable[[Callable[[Any], Any]], Watch]:
        """Call a function when a condition of one's own has held for a while; usable as a decorator.

        It is told once, and again only after the condition has ceased to hold. Condition and function run on a thread
        of their own; what they raise is logged and counted. It ends when the session is closed; while the session is
        ``failed`` it waits for a `reconnect`.

        Parameters
        ----------
        condition
            Takes the session and returns a frame (holds where it has rows), a mask (where one is True), a number (where
            it is not 0 or missing), or a bool; None, text and a dict are errors, which count as what it raises. It
            should be quick: it is asked ten times a second. ``last="2s"`` counts back from the newest row, so the rows
            of a feed that died look new: ask ``frame.attrs["stale"]`` or the session's `state`.
        hold
            How long it must hold, such as ``"10s"``, by the session's clock; default: told at once.
        every
            How often it is looked at; a hundred times a second at most.

        Returns
        -------
        Callable
            Takes the function, which is given what the condition returned; returns a `Watch` with `cancel()`, `calls`,
            `errors` and `error` (the last).

        Raises
        ------
        UnknownOption
            Where `hold` or `every` is no time, or `every` none that is longer than nothing, or what should be called is
            no function.

        Examples
        --------
        >>> import fxlive
        >>> session = fxlive.Session.offline()
        >>> losing = session.when(lambda s: s.latest("positions").query("unrealized_pnl < -100"), hold="10s")
        >>> watch = losing(lambda positions: print(positions[["symbol", "unrealized_pnl"]]))
        >>> watch.cancel()

        ``fxlive.firings(condition, ((t, capture.at(t)) for t in times), "10s")`` tells when it would have been
        told in a recorded session.
        """
        _function("condition", condition, "session")
        hold_s, every_s = span_s("hold", hold), max(0.01, span_s("every", every, zero=False))
        self._pipeline.check_open()

        def begin(callback: Callable[[Any], Any]) -> Watch:
            return Watch(
                lambda: condition(self),
                _function("callback", callback, "value"),
                hold_s=hold_s,
                every_s=every_s,
                clock=self._pipeline.now_us,
                ended=lambda: self.state == "closed",
                paused=lambda: self.state == "failed",  # a reconnect revives it
                errors=ErrorCounter(self._pipeline.callback_errors),
            )

        return begin

    def wait_for(self, channel: str, rows: int = 1, timeout: str | float | pd.Timedelta = 5.0) -> pd.DataFrame:
        """Block until a channel's frame has at least so many rows, and return it.

        Raises
        ------
        WaitTimeout
            When `timeout` (seconds, or a time such as ``"10s"``) is over.
        ConnectionFailed, SessionClosed
            Where the session ends before that.
        UnknownOption
            Where `rows` is no number of rows, or `timeout` no time; neither can be negative.
        """
        name = self._channel(channel)
        timeout_s = span_s("timeout", timeout)
        rows = whole("rows", rows, 0)
        tables = self._pipeline.store.tables
        unsubscribed = "" if self._pipeline.asked_for(name) else f" ({name} is not subscribed)"
        description = f"{rows:,} row(s) of {name}{unsubscribed}"
        self._pipeline.wait_until(lambda: len(tables[name]) >= rows, timeout_s, description)
        return self.frame(name)

    async def wait_for_async(
        self, channel: str, rows: int = 1, timeout: str | float | pd.Timedelta = 5.0
    ) -> pd.DataFrame:
        """Wait, as `wait_for`, for ``await``."""
        return await asyncio.to_thread(self.wait_for, channel, rows, timeout)


def _function(what: str, function: Any, argument: str) -> Callable[[Any], Any]:
    """Return what is to be called, where it can be: a thread of ours has nobody to tell."""
    if not callable(function):
        raise UnknownOption(what, function, (f"a function of one {argument}",))
    called: Callable[[Any], Any] = function
    return called

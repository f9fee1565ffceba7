"""Callbacks, streams, user alerts and waiting. The functions become methods of `Session`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar, overload

import pandas as pd

from fxlive.core.arguments import span_s, whole
from fxlive.errors import UnknownOption
from fxlive.pipeline.alerts import Watch
from fxlive.pipeline.callbacks import ErrorCounter, Handle
from fxlive.pipeline.streams import Stream
from fxlive.sessions.running import Running
from fxlive.wire.channels import channel_name

S = TypeVar("S", bound=Running)

_SHORTEST_INTERVAL_S = 0.01


@overload
def on(
    self: Running, channel: str, callback: None = None, on_error: Callable[[Exception], Any] | None = None
) -> Callable[[Callable[[Any], Any]], Handle]: ...


@overload
def on(
    self: Running, channel: str, callback: Callable[[Any], Any], on_error: Callable[[Exception], Any] | None = None
) -> Handle: ...


def on(
    self: Running,
    channel: str,
    callback: Callable[[Any], Any] | None = None,
    on_error: Callable[[Exception], Any] | None = None,
) -> Any:
    """Call a function, plain or async, with every new message of a channel; also usable as a decorator.

    The function runs on a thread of its own, behind a queue of 10,000 messages. If it is too slow, the oldest messages
    are dropped and counted. Exceptions are logged, counted and passed to `on_error`.

    Parameters
    ----------
    channel
        Such as ``"trades"``.
    callback
        Takes the message: ``message.data.symbol``, ``message.timestamp`` (text), ``message.id``.
    on_error
        Takes the exception. Default: exceptions are only logged and counted.

    Returns
    -------
    Handle
        With `cancel()`, `calls`, `errors`, `error` (the text of the last) and `dropped`.

    Raises
    ------
    InvalidChannel
        If the channel is unknown.
    UnknownOption
        If `callback` or `on_error` is not callable.

    Examples
    --------
    >>> import fxlive
    >>> session = fxlive.Session.offline()
    >>> @session.on("trades")
    ... def print_trade(trade):
    ...     print(trade.data.symbol, trade.data.profit)
    >>> print_trade.cancel()
    """
    name = _channel(self, channel)
    if on_error is not None:
        _check_callable("on_error", on_error, "exception")

    def register(function: Callable[[Any], Any]) -> Handle:
        return self._pipeline.listen(name, _check_callable("callback", function, "message"), on_error)

    return register if callback is None else register(callback)


def stream(self: Running, channel: str) -> Stream:
    """Return an async iterator over the new messages of a channel.

    It ends when the session is closed, and raises the session's error when the session fails.

    Examples
    --------
    ``async for trade in session.stream("trades"): ...``
    """
    return self._pipeline.stream(_channel(self, channel))


def when(
    self: S,
    condition: Callable[[S], Any],
    hold: str | float | pd.Timedelta = 0,
    *,
    every: str | float | pd.Timedelta = 0.1,
) -> Callable[[Callable[[Any], Any]], Watch]:
    """Call a function once a condition has held for a while; usable as a decorator.

    It fires once per period in which the condition holds. Condition and function run on a thread of their own;
    exceptions are logged and counted. The watch ends when the session is closed; while the session is ``failed`` it
    waits for a `reconnect`.

    Parameters
    ----------
    condition
        Takes the session and returns a DataFrame (true if it has rows), a boolean Series (true if any value is True),
        a number (true if it is neither 0 nor missing), or a bool. None, text and dicts are errors and counted like
        exceptions. It is evaluated ten times a second, so it should be quick. ``last="2s"`` counts back from the newest
        row, so the rows of a feed that stopped look new: check ``frame.attrs["stale"]`` or the session's `state`.
    hold
        How long the condition must hold, such as ``"10s"``, by the session's clock. Default: fire at once.
    every
        The interval between evaluations, at least 0.01 s.

    Returns
    -------
    Callable
        Takes the function, which is called with the value of the condition; returns a `Watch` with `cancel()`,
        `calls`, `errors` and `error` (the text of the last).

    Raises
    ------
    UnknownOption
        If `hold` or `every` is not a time span, or `every` is 0, or condition or function is not callable.
    SessionClosed
        If the session is closed or has failed.

    Examples
    --------
    >>> import fxlive
    >>> session = fxlive.Session.offline()
    >>> losing = session.when(lambda s: s.latest("positions").query("unrealized_pnl < -100"), hold="10s")
    >>> watch = losing(lambda positions: print(positions[["symbol", "unrealized_pnl"]]))
    >>> watch.cancel()

    ``fxlive.firings(condition, ((t, capture.at(t)) for t in times), "10s")`` evaluates a condition on a capture.
    """
    _check_callable("condition", condition, "session")
    hold_s = span_s("hold", hold)
    every_s = max(_SHORTEST_INTERVAL_S, span_s("every", every, zero=False))
    self._pipeline.check_open()

    def begin(callback: Callable[[Any], Any]) -> Watch:
        return Watch(
            lambda: condition(self),
            _check_callable("callback", callback, "value"),
            hold_s=hold_s,
            every_s=every_s,
            clock=self._pipeline.steady_us,
            ended=lambda: self._pipeline.state == "closed",
            paused=lambda: self._pipeline.state == "failed",  # until a reconnect
            errors=ErrorCounter(self._pipeline.callback_errors),
            world=self._pipeline.world,
        )

    return begin


def wait_for(self: Running, channel: str, rows: int = 1, timeout: str | float | pd.Timedelta = 5.0) -> pd.DataFrame:
    """Block until the frame of a channel has at least `rows` rows, and return it.

    Raises
    ------
    WaitTimeout
        If `timeout` (seconds, or a time span such as ``"10s"``) passes first.
    ConnectionFailed, SessionClosed
        If the session fails or is closed first.
    UnknownOption
        If `rows` is not a whole number, or `timeout` is not a time span; neither may be negative.
    """
    name = _channel(self, channel)
    timeout_s = span_s("timeout", timeout)
    rows = whole("rows", rows, 0)
    pipeline = self._pipeline
    tables = pipeline.store.tables
    awaited = f"{rows:,} {'row' if rows == 1 else 'rows'} of {name}"
    awaited += "" if pipeline.asked_for(name) else " (not subscribed)"
    pipeline.wait_until(lambda: len(tables[name]) >= rows, timeout_s, awaited)
    return self[name]


async def wait_for_async(
    self: Running, channel: str, rows: int = 1, timeout: str | float | pd.Timedelta = 5.0
) -> pd.DataFrame:
    """Wait until the frame of a channel has at least `rows` rows; the awaitable form of `wait_for`."""
    return await asyncio.to_thread(wait_for, self, channel, rows, timeout)


def _channel(session: Running, name: str) -> str:
    return channel_name(name, tuple(session._pipeline.store.tables))


def _check_callable(option: str, function: Any, argument: str) -> Callable[[Any], Any]:
    """Return a function that is to be called later on another thread; raise UnknownOption if it is not callable."""
    if not callable(function):
        raise UnknownOption(option, function, (f"a function of one {argument}",))
    checked: Callable[[Any], Any] = function
    return checked

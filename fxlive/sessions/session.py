"""Session: a connection to the platform and everything it has received."""

from __future__ import annotations

import asyncio
import logging
import shutil
import ssl
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import pandas as pd

from fxlive.core.arguments import span_s, time_of, whole
from fxlive.core.background import bridge, call, submit
from fxlive.core.secret import Secret, secret_of_environment
from fxlive.core.world import WORLD, World
from fxlive.errors import ConnectionDenied, ConnectionFailed, FxliveError, RateLimitError, UnknownOption
from fxlive.feeds.address import query_token
from fxlive.feeds.auth import TokenSource
from fxlive.feeds.interface import Feed, State
from fxlive.feeds.live import LiveFeed
from fxlive.feeds.memory import MemoryFeed
from fxlive.feeds.pacing import DEFAULT_ATTEMPTS
from fxlive.pipeline.health import Health, health_of
from fxlive.pipeline.pipeline import STALE_AFTER_S, Pipeline
from fxlive.sessions import charts, exporting, notifications, subscriptions
from fxlive.sessions.display import session_html, session_text
from fxlive.sessions.reading.live_source import LiveSource
from fxlive.sessions.reading.readable import Readable
from fxlive.sessions.registry import Registry
from fxlive.sessions.subscriptions import Channels, requested_filters
from fxlive.tables.store import Store
from fxlive.wire.channels import channel_name

if TYPE_CHECKING:
    from fxlive.capture.writing.recorder import Recorder
    from fxlive.widgets.status import Controls


log = logging.getLogger("fxlive")


class Session(Readable):
    """A connection to the platform and everything it has received, as rolling DataFrames.

    A session only reads: it cannot send an order. Its methods may be called from any thread.

    Parameters
    ----------
    url
        Of the platform, ``wss://host/api/ws``. Default: the environment variable FXLIVE_URL.
    token
        The JWT, or a function (plain or async) that returns one and is called for each connection. Default: the
        environment variable FXLIVE_TOKEN.
    channels
        The channels to subscribe to, or a dict of filters by channel. Default: all seven.
    window
        Keep the rows of the last ``"15min"`` (or a Timedelta) before a channel's newest timestamp. Default: no limit.
    max_rows
        The maximum number of rows of each channel; the oldest are evicted.
    record
        A folder in which to record everything from the first message on, as `record` does.
    name
        The name of the session. An open session of the same name is replaced once this one is connected.
    timeout
        The time limit for connecting and for each confirmation: seconds, or a time span such as ``"10s"``.
    auth
        ``"header"`` or ``"query"``: where the token is sent.
    ca
        A file of certificates of a private authority (or an ``ssl.SSLContext``), for ``wss://``.
    stale_after
        The silence after which a channel is stale, by channel, such as ``{"trades": "5min"}``, or in seconds. Default:
        10 s for market-data, no limit for other channels.
    reconnect_when_stale
        Whether a stale channel makes the session reconnect.
    reconnect_attempts
        How many failed reconnects in a row end the session; None for no limit.
    proxy
        None for the proxy of the environment (``HTTPS_PROXY`` and the like, except for hosts in ``no_proxy``), False
        for no proxy, or a URL such as ``"http://user:password@proxy:3128"`` or ``"socks5h://proxy:1080"``.
    feed
        Where messages come from instead of `url`, for tests and for other sources; then the options of a connection
        are not used.
    clock
        Returns the present in microseconds since 1970 UTC, if the feed does not run in real time.
    world
        The clocks, randomness and threads; a simulation has others.

    Examples
    --------
    ``with fxlive.Session(url, token) as session:`` or ``async with fxlive.Session(url, token) as session:`` opens and
    closes a session; ``fxlive.connect(url, token)`` opens it and leaves it open.
    """

    def __init__(
        self,
        url: str | None = None,
        token: TokenSource | None = None,
        *,
        channels: Channels = None,
        window: str | pd.Timedelta | None = None,
        max_rows: int = 1_000_000,
        record: str | Path | None = None,
        name: str = "default",
        timeout: str | float | pd.Timedelta = 10.0,
        auth: Literal["header", "query"] = "header",
        ca: str | Path | ssl.SSLContext | None = None,
        stale_after: Mapping[str, str | float | pd.Timedelta] = STALE_AFTER_S,
        reconnect_when_stale: bool = False,
        reconnect_attempts: int | None = DEFAULT_ATTEMPTS,
        proxy: str | Literal[False] | None = None,
        feed: Feed | None = None,
        clock: Callable[[], int] | None = None,
        world: World = WORLD,
    ) -> None:
        address, secret = Secret(url), None if token is None else Secret(token)
        proxy_option = proxy if proxy is None or proxy is False else Secret(proxy)
        del url, token, proxy  # a traceback may show local variables
        if feed is None:
            address = address or secret_of_environment("FXLIVE_URL") or Secret("")
            if not address:
                raise ConnectionFailed("No URL given. Pass url=..., set FXLIVE_URL, or try fxlive.demo().")
            feed = LiveFeed(
                address,
                secret or (None if query_token(address) else secret_of_environment("FXLIVE_TOKEN")),
                requested_filters(channels),
                auth=auth,
                ca=ca,
                timeout_s=span_s("timeout", timeout),
                reconnect_attempts=reconnect_attempts,
                proxy=proxy_option,
                world=world,
            )
        window_us = None if window is None else time_of("window", window) // pd.Timedelta("1us")
        self._pipeline = Pipeline(
            feed,
            Store(max_rows=whole("max_rows", max_rows, 1), window_us=window_us),
            stale_after_s=_limits_s(stale_after),
            reconnect_when_stale=reconnect_when_stale,
            clock=clock,
            monotonic=world.monotonic_us if isinstance(feed, LiveFeed) and clock is None else None,
            world=world,
        )
        super().__init__(LiveSource(self._pipeline, name))
        self._on_close: list[Callable[[], None]] = []
        self._record_to = record
        self.recording: Recorder | None = None

    @classmethod
    def offline(cls, name: str = "offline") -> Session:
        """Return a session without a connection, for trying things out: every frame is empty.

        >>> Session.offline().frame("trades").empty
        True
        """
        return Session(feed=MemoryFeed(), name=name)

    # Opening and closing.

    def open(self) -> Self:
        """Connect and subscribe; return when both are done. Then an open session of the same name is closed.

        Raises
        ------
        ConnectionFailed, SubscriptionError
            If that fails; then an open session of the same name stays open, and a note says so.
        CaptureError
            If the folder given as `record` cannot be written to.
        """
        try:
            call(self._open())
        except Exception:
            raise
        except BaseException:  # an interrupt: `call` has cancelled the coroutine, which may have opened the session
            call(self._pipeline.close())
            self._discard_recording()
            self._after_close()
            raise
        return self

    async def open_async(self) -> Self:
        """Connect and subscribe; the awaitable form of `open`."""
        try:
            await bridge(self._open())
        except asyncio.CancelledError:
            submit(self._close())
            raise
        return self

    async def _open(self) -> None:
        """Prepare the recording, connect, and only then replace the open session of the same name."""
        self._pipeline.check_startable()
        first_time = self._pipeline.state == "connecting"
        former = registry.named(self.name)
        if self._record_to is not None:
            await self._start_recording(self._record_to)
        try:
            await self._pipeline.start()
        except BaseException as error:
            if not isinstance(error, Exception):
                await self._pipeline.close()
            await asyncio.to_thread(self._discard_recording)
            if former is not None and former is not self:
                error.add_note(_note_about(former, error))
            raise
        former = registry.add(self)
        if first_time or former is not None:
            _close_widgets_of(self.name)
        if former is not None:  # also if the caller is cancelled, or it would stay half closed
            await asyncio.shield(asyncio.ensure_future(former._close()))

    async def _start_recording(self, path: str | Path) -> None:
        """Create the recorder on another thread, because a disk may be slow, and record from the first message on."""
        former, creating = self.recording, asyncio.ensure_future(asyncio.to_thread(self._new_recorder, path))
        try:
            self.recording = await asyncio.shield(creating)
        except asyncio.CancelledError:
            self.recording = await creating
            await asyncio.to_thread(self._discard_recording)
            raise
        self._pipeline.record_into(self.recording)
        if former is not None:  # of an earlier opening that failed
            await asyncio.to_thread(former.stop)

    def close(self) -> None:
        """Close the connection; received data stays readable. May be called twice."""
        call(self._pipeline.close())
        self._after_close()

    async def close_async(self) -> None:
        """Close the connection; the awaitable form of `close`."""
        await bridge(self._close())

    async def _close(self) -> None:
        await self._pipeline.close()
        await asyncio.to_thread(self._after_close)

    def _after_close(self) -> None:
        """End the recording, which may wait for the disk, and everything that depends on the session."""
        self._end_recording()
        registry.remove(self)
        while self._on_close:
            try:
                self._on_close.pop(0)()
            except Exception:  # of a user's function: the others are still to be called
                log.exception("a function given to when_closed raised")

    def when_closed(self, function: Callable[[], None]) -> None:
        """Call a function once the session has been closed, for example one that stops its server."""
        self._on_close.append(function)

    def reconnect(self) -> None:
        """Drop the connection and connect again; if the session has failed, start over.

        The time without a connection is a row of `gaps()`.
        """
        call(self._pipeline.restart())

    def __enter__(self) -> Self:
        return self if registry.named(self.name) is self else self.open()

    def __exit__(self, *exception: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self if registry.named(self.name) is self else await self.open_async()

    async def __aexit__(self, *exception: object) -> None:
        await self.close_async()

    def _before_fork(self) -> None:
        self._pipeline.store.lock.acquire()

    def _after_fork(self, *, in_child: bool) -> None:
        lock = self._pipeline.store.lock
        if in_child:
            self._pipeline.abandon()
            self.recording = None
        lock.release()

    # State.

    @property
    def url(self) -> str:
        """The address of the platform, without a token."""
        return self._pipeline.feed.url

    @property
    def state(self) -> State:
        """``"connecting"``, ``"connected"``, ``"reconnecting"``, ``"closed"`` or ``"failed"``."""
        return self._pipeline.state

    @property
    def error(self) -> FxliveError | None:
        """Why the session failed; None if it has not."""
        return self._pipeline.error

    def health(self) -> Health:
        """Return state, rates, latency, duplicates, undocumented fields, and a table of the channels."""
        return health_of(self._pipeline)

    # Subscribing, notifications and charts: defined in modules of their own.

    subscribe = subscriptions.subscribe
    subscribe_async = subscriptions.subscribe_async
    unsubscribe = subscriptions.unsubscribe
    unsubscribe_async = subscriptions.unsubscribe_async

    on = notifications.on
    stream = notifications.stream
    when = notifications.when
    wait_for = notifications.wait_for
    wait_for_async = notifications.wait_for_async

    price_chart = charts.price_chart
    pnl_chart = charts.pnl_chart
    chart = charts.chart
    metrics_chart = charts.metrics_chart
    grid = charts.grid
    alerts_feed = charts.alerts_feed
    status_bar = charts.status_bar
    dashboard = charts.dashboard

    @property
    def subscriptions(self) -> dict[str, dict[str, Any]]:
        """The filters of each subscribed channel."""
        return self._pipeline.feed.subscriptions

    # Recording and exporting.

    export = exporting.export

    def record(self, path: str | Path) -> Recorder:
        """Record everything that arrives from now on as Parquet, until stopped or closed; a crash loses nothing older
        than a second.

        Parameters
        ----------
        path
            The parent folder; each recording makes a folder of its own in it.

        Returns
        -------
        Recorder
            With `stop()`, and `status`: rows, bytes, rate, free disk space, and the error if there is one. A recording
            that was running is stopped first.

        Raises
        ------
        CaptureError
            If the folder cannot be made or written to.
        NoSession
            If the session was never opened; the option ``record=`` records from the first message on.

        Examples
        --------
        >>> import tempfile
        >>> session = Session.offline()
        >>> session.record(tempfile.mkdtemp()).stop().state
        'stopped'
        """
        self._pipeline.check_open()
        self._pipeline.check_opened()
        former, self.recording = self.recording, self._new_recorder(path)
        self._pipeline.record_into(self.recording)  # before the former ends, so that nothing is lost between them
        if former is not None:
            former.stop()
        return self.recording

    def _new_recorder(self, path: str | Path) -> Recorder:
        from fxlive.capture.writing.recorder import Recorder  # a third of fxlive's import time

        return Recorder(path, name=self.name, url=self.url, store=self._pipeline.store, world=self._pipeline.world)

    def _end_recording(self) -> None:
        self._pipeline.recording = None
        if self.recording is not None:
            self.recording.stop()

    def _discard_recording(self) -> None:
        """Delete the capture of a connection that failed, if it is empty."""
        self._end_recording()
        if self.recording is not None and self.recording.status.rows == 0:
            shutil.rmtree(self.recording.path, ignore_errors=True)

    # Display.

    def _controls(self) -> Controls:
        from fxlive.widgets.status import Controls

        return Controls(
            record=self.record,
            recording=lambda: self.recording,
            export=self.export,
            reconnect=self.reconnect,
            close=self.close,
        )

    def __repr__(self) -> str:
        if not hasattr(self, "_source"):  # in a traceback that shows local variables: its arguments were invalid
            return "<fxlive session: invalid arguments>"
        if self._pipeline.never_opened:
            return f"<fxlive session {self.name!r}: never opened, address {self.url}. Call session.open().>"
        return session_text(self.name, self.url, self.health())

    def _repr_html_(self) -> str | None:
        return None if self._pipeline.never_opened else session_html(self.name, self.url, self.health())


registry: Registry[Session] = Registry()
"""The open sessions of this process."""


def _note_about(former: Session, error: BaseException) -> str:
    """Return what a failed attempt to open a session means for the open session of the same name."""
    name = former.name
    if isinstance(error, RateLimitError | ConnectionDenied):
        return (
            f"The session {name!r} is still open, and the platform may allow no second connection. Close it with "
            f"fxlive.close({name!r}), then connect again."
        )
    state = "still open" if former.state in ("connected", "reconnecting") else former.state
    return f"The session {name!r} that was opened before is {state}."


def _close_widgets_of(name: str) -> None:
    """Close the widgets of a former session of the same name: they would keep its tables in memory."""
    widgets = sys.modules.get("fxlive.widgets.base")
    if widgets is not None:
        try:
            widgets.close_widgets_of(name)
        except Exception:  # of a user's observer: the session is open all the same
            log.exception("the widgets of the former session %r could not be closed", name)


def _limits_s(stale_after: Mapping[str, str | float | pd.Timedelta]) -> dict[str, float]:
    """Return the silence after which each channel is stale, in seconds; defaults for channels that are not named."""
    given: object = stale_after
    if not isinstance(given, Mapping):
        raise UnknownOption("stale_after", given, ('times by channel such as {"market-data": "10s"}',))
    limits = {channel_name(channel): span_s(f"stale_after of {channel}", time) for channel, time in given.items()}
    return {**STALE_AFTER_S, **limits}

"""What the user holds: Session, a running pipeline with everything that can be read of it, and how one is opened."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import sys
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import pandas as pd

from fxlive.core.arguments import span_s, time_of, whole
from fxlive.core.background import bridge, call, submit
from fxlive.core.clock import now_us
from fxlive.errors import ConnectionFailed, FxliveError, SubscriptionError, UnknownOption
from fxlive.feeds.address import query_token
from fxlive.feeds.auth import TokenSource
from fxlive.feeds.interface import Feed, State
from fxlive.feeds.live import LiveFeed
from fxlive.feeds.memory import MemoryFeed
from fxlive.feeds.pacing import DEFAULT_ATTEMPTS
from fxlive.pipeline.health import Health, health_of
from fxlive.pipeline.pipeline import STALE_AFTER_S, Pipeline
from fxlive.sessions.charts import Pictures
from fxlive.sessions.display import session_html, session_text
from fxlive.sessions.notifications import Telling
from fxlive.sessions.subscriptions import Channels, Subscribing, wanted
from fxlive.tables.store import Store
from fxlive.wire.channels import CHANNELS, channel_name

if TYPE_CHECKING:
    from fxlive.capture.writing.recorder import Recorder
    from fxlive.widgets.status import Controls

open_sessions: dict[str, Session] = {}
session_order: list[Session] = []


class Session(Telling, Subscribing, Pictures):
    """A connection to the platform and everything it has brought: rolling DataFrames that follow the market.

    It only reads: it has no way to send an order. Every method may be called from any thread.

    Parameters
    ----------
    url
        Of the platform, ``wss://host/api/ws``; default: the environment's FXLIVE_URL.
    token
        The JWT, or a function (plain or async) that returns one and is called again for each connection; default: the
        environment's FXLIVE_TOKEN.
    channels
        The channels to subscribe to (default: all seven), or a dict of filters by channel.
    window
        Keep the rows of the last ``"15min"`` (or a Timedelta) before a channel's newest timestamp; default: no such
        bound.
    max_rows
        Keep the newest so many rows of each channel.
    record
        A folder in which to record everything from the first message on, as `record` does.
    name
        What to call it; ``fxlive.sessions()`` lists the open ones.
    timeout
        How long connecting and each acknowledgement may take: seconds, or a time such as ``"10s"``.
    auth
        ``"header"`` or ``"query"``: where the platform wants the token.
    ca
        A file of certificates of a private authority (or an ``ssl.SSLContext``), for ``wss://``.
    stale_after
        How long a channel may be silent before it is stale, by channel, such as ``{"trades": "5min"}``, or in seconds;
        market-data 10 s unless it is named here.
    reconnect_when_stale
        Whether a stale channel makes the session reconnect.
    reconnect_attempts
        How many failed reconnects in a row are final; None: it tries for ever.

    Examples
    --------
    ``with fxlive.Session(url, token) as session:`` or ``async with fxlive.Session(url, token) as session:`` open it and
    close it; ``fxlive.connect(url, token)`` opens it and keeps it.
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
    ) -> None:
        url = url or os.environ.get("FXLIVE_URL")
        if not url:
            raise ConnectionFailed("There is no URL. Pass url=..., set FXLIVE_URL, or try fxlive.demo().")
        feed = LiveFeed(
            url,
            token or (None if query_token(url) else os.environ.get("FXLIVE_TOKEN")),
            wanted(channels),
            auth=auth,
            ca=ca,
            timeout_s=span_s("timeout", timeout),
            reconnect_attempts=reconnect_attempts,
        )
        self._begin(feed, name, window, max_rows, _limits_s(stale_after), reconnect_when_stale, record)

    def _begin(
        self,
        feed: Feed,
        name: str,
        window: str | pd.Timedelta | None,
        max_rows: int,
        stale_after_s: Mapping[str, float] = STALE_AFTER_S,
        reconnect_when_stale: bool = False,
        record: str | Path | None = None,
        clock: Callable[[], int] = now_us,
    ) -> None:
        self.name = name
        kept = None if window is None else time_of("window", window)
        window_us = None if kept is None else kept // pd.Timedelta("1us")
        store = Store(max_rows=whole("max_rows", max_rows, 1), window_us=window_us)
        self._pipeline = Pipeline(
            feed, store, stale_after_s=stale_after_s, reconnect_when_stale=reconnect_when_stale, clock=clock
        )
        self._on_close: list[Callable[[], None]] = []
        self._record_to = record
        self.recording: Recorder | None = None

    @classmethod
    def offline(cls, name: str = "offline") -> Self:
        """Return a session that is connected to nothing, for trying things out: every frame is empty.

        >>> Session.offline().frame("trades").empty
        True
        """
        session = cls.__new__(cls)
        session._begin(MemoryFeed(), name, None, 1_000_000)
        return session

    # Life.

    def open(self) -> Self:
        """Connect and subscribe; returns when both are done. An open session of the same name is closed first.

        Raises
        ------
        ConnectionFailed, SubscriptionError
            Where that fails; nothing is left open. A note says where a session was closed for it.
        """
        former = open_sessions.get(self.name, self)
        if former is not self:  # first, or its recording and that of this one would overlap
            former.close()
        self._pipeline.check_startable()
        self._close_former_widgets()
        if self._record_to is not None:
            self._begin_recording(self._record_to)
        try:
            call(self._pipeline.start())
            return self._register()
        except Exception as error:
            self._discard_recording()
            self._tell_of_former(error, former)
            raise
        except BaseException:  # an interrupt, perhaps just when the connection was there
            submit(self._pipeline.close())
            self._discard_recording()
            self._unregister()
            raise

    async def open_async(self) -> Self:
        """Connect and subscribe, as `open`, for ``await``."""
        former = open_sessions.get(self.name, self)
        if former is not self:
            await former.close_async()
        self._pipeline.check_startable()
        self._close_former_widgets()
        if self._record_to is not None:
            self._begin_recording(self._record_to)
        try:
            await bridge(self._pipeline.start())
            return self._register()
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                submit(self._pipeline.close())
            self._discard_recording()
            self._tell_of_former(error, former)
            raise

    def _tell_of_former(self, error: BaseException, former: Session) -> None:
        if former is not self:
            error.add_note(
                f"The session {self.name!r} that was open was closed for this one; its frames stay readable."
            )

    def _close_former_widgets(self) -> None:
        """Close what a former session of this name has shown: it would keep its tables, and show what is no more."""
        widgets = sys.modules.get("fxlive.widgets.base")
        if widgets is not None and self._pipeline.state == "connecting":  # not where this one is opened again
            widgets.close_widgets_of(self.name)

    def _register(self) -> Self:
        former, open_sessions[self.name] = open_sessions.get(self.name, self), self
        session_order.append(self)
        if former is not self:  # opened by another thread meanwhile
            submit(former._pipeline.close())
            former._unregister()
        return self

    def close(self) -> None:
        """Close the connection; what has come stays readable. May be called twice."""
        call(self._pipeline.close())
        self._end_recording()
        self._unregister()

    async def close_async(self) -> None:
        """Close the connection, as `close`, for ``await``."""
        await bridge(self._pipeline.close())
        await asyncio.to_thread(self._end_recording)
        self._unregister()

    def _unregister(self) -> None:
        for ended in self._on_close:
            ended()
        self._on_close.clear()
        if open_sessions.get(self.name) is self:
            del open_sessions[self.name]
        if self in session_order:
            session_order.remove(self)

    def when_closed(self, function: Callable[[], None]) -> None:
        """Call a function once the session has been closed, such as one that ends its server."""
        self._on_close.append(function)

    def reconnect(self) -> None:
        """Drop the connection and come back; after a failure, try from the beginning.

        What may have been lost meanwhile is a row of `gaps()`.
        """
        call(self._pipeline.restart())

    def __enter__(self) -> Self:
        return self if self.name in open_sessions and open_sessions[self.name] is self else self.open()

    def __exit__(self, *exception: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self if self.name in open_sessions and open_sessions[self.name] is self else await self.open_async()

    async def __aexit__(self, *exception: object) -> None:
        await self.close_async()

    # Reading, besides what Readings has.

    @property
    def url(self) -> str:
        """Where it is connected to, without any token."""
        return self._pipeline.feed.url

    @property
    def state(self) -> State:
        """One of connecting, connected, reconnecting, closed and failed."""
        return self._pipeline.state

    @property
    def error(self) -> FxliveError | None:
        """Why the session failed; None while it has not."""
        return self._pipeline.error

    @property
    def channels(self) -> list[str]:
        """The channels that can be read: the seven documented ones, and any other that has sent something."""
        return list(self._pipeline.store.tables)

    @property
    def symbols(self) -> list[str]:
        """The symbols that any channel has had, sorted."""
        return sorted(self._pipeline.store.symbols)

    def gaps(self) -> pd.DataFrame:
        """Return the times in which messages may have been lost.

        Returns
        -------
        DataFrame
            `start`, `end` (``datetime64[us, UTC]``, NaT while it lasts), `duration_s`, `reason`, `channels` (a tuple).
        """
        return self._pipeline.store.gaps_frame()

    def rejected(self) -> pd.DataFrame:
        """Return the newest 10,000 messages that could not be taken.

        Returns
        -------
        DataFrame
            Indexed by `received_at`; `reason` and `raw`, the first 64 KB of the text.
        """
        return self._pipeline.store.rejected_frame()

    def health(self) -> Health:
        """Return how the session fares: state, rates, latency, duplicates, drift, and a table by channel."""
        return health_of(self._pipeline)

    def _window(self, channel: str) -> pd.DataFrame:
        return self._pipeline.store.tables[channel].frame()

    def _newest(self, channel: str) -> pd.DataFrame:
        return self._pipeline.store.tables[channel].latest()

    def _windows(self) -> dict[str, pd.DataFrame]:
        return self._pipeline.store.snapshot()

    def _attrs(self) -> dict[Hashable, Any]:
        return {"state": self.state}

    def _check_asked_for(self, *channels: str) -> None:
        for name in channels:
            if not self._pipeline.asked_for(name):
                raise SubscriptionError(
                    f"{name} is not subscribed, and nothing is known of it: the figures would be 0. "
                    f"Call session.subscribe({name!r}).",
                    channel=name,
                )

    def _rolled(self, channel: str) -> bool:
        return self._pipeline.store.tables[channel].first > 0

    def _labelled(self, frame: pd.DataFrame, channel: str) -> pd.DataFrame:
        frame = super()._labelled(frame, channel)
        frame.attrs["stale"] = self._pipeline.stale(channel)
        gaps = self._pipeline.store.gaps
        if frame.index.name != "timestamp" and channel in CHANNELS and CHANNELS[channel].ends and gaps:
            before = frame["received_at"] <= pd.Timestamp(gaps[-1].start, unit="us", tz="UTC")
            frame.attrs["unconfirmed"] = frame.index[before].tolist()
        return frame

    # Recording.

    def record(self, path: str | Path) -> Recorder:
        """Record everything that comes from now on as Parquet, safe against a crash, until it is stopped or closed.

        Parameters
        ----------
        path
            The parent folder; each recording makes a folder of its own in it.

        Returns
        -------
        Recorder
            With `stop()`, and `status`: rows, bytes, rate, disk left, and what is wrong where something is. A recording
            that was running is stopped first.

        Raises
        ------
        CaptureError
            Where the folder cannot be made or written to.
        NoSession
            Where the session was never opened; ``record=`` records from the first message on.

        Examples
        --------
        >>> import tempfile
        >>> session = Session.offline()
        >>> session.record(tempfile.mkdtemp()).stop().state
        'stopped'
        """
        self._pipeline.check_open()
        self._pipeline.check_opened()
        former = self.recording
        recording = self._begin_recording(path)  # before the former ends, so that nothing falls between them
        if former is not None:
            former.stop()
        return recording

    def _begin_recording(self, path: str | Path) -> Recorder:
        from fxlive.capture.writing.recorder import Recorder  # a third of fxlive's import time, and not for everyone

        self.recording = Recorder(path, name=self.name, url=self.url, store=self._pipeline.store)
        self._pipeline.record_into(self.recording)
        return self.recording

    def _end_recording(self) -> None:
        self._pipeline.recording = None
        if self.recording is not None:
            self.recording.stop()

    def _discard_recording(self) -> None:
        """Leave no empty capture behind a connection that never was."""
        self._end_recording()
        if self.recording is not None and self.recording.status.rows == 0:
            shutil.rmtree(self.recording.path, ignore_errors=True)

    # Showing itself.

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
        if self._pipeline.never_opened:
            return f"<fxlive session {self.name!r}: never opened, would connect to {self.url}. Call session.open().>"
        return session_text(self.name, self.url, self.health())

    def _repr_html_(self) -> str | None:
        return None if self._pipeline.never_opened else session_html(self.name, self.url, self.health())


def _limits_s(stale_after: Mapping[str, str | float | pd.Timedelta]) -> dict[str, float]:
    """Return how long each channel may be silent, in seconds; those that are not named as by default."""
    given: object = stale_after
    if not isinstance(given, Mapping):
        raise UnknownOption("stale_after", given, ('times by channel such as {"market-data": "10s"}',))
    asked = {channel_name(channel): span_s(f"stale_after of {channel}", time) for channel, time in given.items()}
    return {**STALE_AFTER_S, **asked}

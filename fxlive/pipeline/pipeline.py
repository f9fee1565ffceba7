"""Pipeline: runs a feed into recorder and store, drops duplicates, tells the listeners, and has a lifecycle."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from fxlive.core.background import INTERRUPTIBLE_S
from fxlive.errors import FxliveError, NoSession, SessionClosed, WaitTimeout
from fxlive.feeds.interface import Feed, State
from fxlive.feeds.memory import MemoryFeed
from fxlive.pipeline.callbacks import Errors, Handle, Stream
from fxlive.pipeline.duplicates import Seen
from fxlive.pipeline.mailbox import Mailbox
from fxlive.tables.counters import Counters
from fxlive.tables.gaps import Gap
from fxlive.tables.store import MAX_UNDOCUMENTED_CHANNELS, Store
from fxlive.wire.batch import Batch, Rejection, Rows
from fxlive.wire.channels import CHANNELS

log = logging.getLogger("fxlive")

MAX_CHANNELS = len(CHANNELS) + MAX_UNDOCUMENTED_CHANNELS
STALE_AFTER_S: dict[str, float] = {"market-data": 10.0}


def now_us() -> int:
    """Return the present in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


class Recording(Protocol):
    """What writes batches to disk; both calls return at once and raise nothing."""

    def put(self, batch: Batch) -> None:
        """Record a batch."""

    def gap(self, start_us: int, end_us: int | None, reason: str, channels: Iterable[str]) -> None:
        """Record a time in which messages may have been lost, at its beginning and again at its end."""


class Pipeline:
    """A running feed with all that follows it.

    Parameters
    ----------
    feed
        Where batches come from.
    store
        Where they go.
    stale_after_s
        How long a channel may be silent before it is stale, by channel.
    reconnect_when_stale
        Whether a stale channel asks for a reconnect.
    clock
        Gives the time in microseconds since 1970 UTC; a replay has a clock of its own.
    """

    def __init__(
        self,
        feed: Feed,
        store: Store,
        *,
        stale_after_s: Mapping[str, float] = STALE_AFTER_S,
        reconnect_when_stale: bool = False,
        clock: Callable[[], int] = now_us,
    ) -> None:
        self.feed = feed
        self.store = store
        self.state: State = "connecting"
        self.error: FxliveError | None = None
        self.reconnects = 0
        self.recording: Recording | None = None
        self._clock = clock
        self._stale_after_s = dict(stale_after_s)
        self._reconnect_when_stale = reconnect_when_stale
        self._connected_at: int | None = None
        self._silent_s: dict[str, float] = {}
        self._seen: dict[str, Seen] = {}
        self._mailboxes: tuple[Mailbox, ...] = ()
        self._handles: tuple[Handle, ...] = ()
        self.callback_errors = Errors()
        """What callbacks and alerts of the user's have raised, also those that have ended."""
        self._moved = threading.Condition()
        self._ticker: asyncio.Task[None] | None = None
        self._starting: asyncio.Future[None] | None = None

    # Life.

    async def start(self) -> None:
        """Start the feed; raises what it raises, and then nothing is left open."""
        self.check_startable()
        self.error = None
        self._set_state("connecting")
        self._starting = asyncio.ensure_future(self.feed.start(self))
        try:
            await self._starting
        except BaseException as error:
            await self.feed.close()
            if self.state == "closed":  # by another thread meanwhile
                raise SessionClosed("The session was closed while it was connecting.") from None
            self._end("failed", error if isinstance(error, FxliveError) else None)
            raise
        if self._ticker is None:
            self._ticker = asyncio.get_running_loop().create_task(self._tick())

    def check_startable(self) -> None:
        """Raise where the session is open, or was closed."""
        if self.state == "closed":
            self.check_open()
        if self.state in ("connected", "reconnecting"):
            raise FxliveError("The session is open already.")

    def abandon(self) -> None:
        """Be closed, in a forked process: the connection, the loop and the threads are the parent's."""
        self._moved = threading.Condition()
        self._ticker = self._starting = self.recording = None
        self._mailboxes = self._handles = ()
        self.feed = MemoryFeed()
        self.state = "closed"

    async def restart(self) -> None:
        """Connect anew: at once where the feed runs, from the beginning where it has failed."""
        if self.state == "failed":
            await self.start()
        elif self.state == "closed":
            raise SessionClosed("The session is closed. Open a new one with fxlive.connect(...).")
        else:
            self.check_opened()
            self.feed.reconnect("asked for")

    async def close(self) -> None:
        """End for good; may be called twice, and while it starts."""
        self._connected_at = None
        self._end("closed", None)
        if self._ticker is not None:
            self._ticker.cancel()
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            await asyncio.wait({self._starting})
        await self.feed.close()

    def _end(self, state: State, error: FxliveError | None) -> None:
        if self.state == "closed":
            return
        self.error = error or self.error
        self._set_state(state)
        # A reconnect revives callbacks; a stream has raised by then.
        kept = {handle.mailbox for handle in self._handles} if state == "failed" else set()
        with self._moved:
            ended = [mailbox for mailbox in self._mailboxes if mailbox not in kept]
            self._mailboxes = tuple(mailbox for mailbox in self._mailboxes if mailbox in kept)
        for mailbox in ended:
            mailbox.close(self.error)
        if state == "closed":
            self._handles = ()

    def _set_state(self, state: State) -> None:
        if self.state != "closed":
            self.state = state
        self._notify()

    # What the feed calls, on the background loop.

    def deliver(self, batch: Batch, *, silently: bool = False) -> None:
        """Take a batch in: this is the whole way in. What comes `silently` is neither recorded nor told."""
        taken = batch
        try:
            for name, rows in list(batch.rows.items()):
                fresh = self._without_duplicates(name, rows)
                if len(fresh):
                    batch.rows[name] = fresh
                else:
                    del batch.rows[name]
            self.store.add(batch)
        except Exception as error:  # a fault of ours must not end the connection, nor lose a message silently
            log.exception("a batch could not be taken in")
            reason = f"internal error: {type(error).__name__}: {error}"
            raw = [repr(message)[:65_536] for rows in batch.rows.values() for message in rows.messages]
            rejected = [Rejection(batch.received_at, reason, text) for text in raw]
            self.store.reject(rejected)
            taken = Batch(batch.received_at, {}, batch.control, [*batch.rejected, *rejected])
        if self.recording is not None and not silently:
            self.recording.put(taken)
        for mailbox in () if silently else self._mailboxes:
            if mailbox.channel in batch.rows:
                mailbox.put(batch.rows[mailbox.channel].messages)
        for name in batch.rows:
            self._silent_s[name] = 0.0
        self._notify()

    def _without_duplicates(self, name: str, rows: Rows) -> Rows:
        seen = self._seen.get(name)
        if seen is None:
            if len(self._seen) >= MAX_CHANNELS:  # the store will not take more either
                return rows
            seen = self._seen[name] = Seen()
        duplicates = set(seen.duplicates(rows.values["id"]))
        if not duplicates:
            return rows
        self.store.counters.setdefault(name, Counters()).duplicates += len(duplicates)
        return rows.take([place for place in range(len(rows)) if place not in duplicates])

    def not_received(self, batch: Batch) -> Batch:
        """Return a batch of another connection without the messages that have arrived here, too."""
        rows = {}
        for name, received in batch.rows.items():
            seen = self._seen.get(name)
            if seen is not None:
                ids = received.values["id"]
                received = received.take([place for place, message_id in enumerate(ids) if message_id not in seen])
            if len(received):
                rows[name] = received
        return Batch(batch.received_at, rows, batch.control, batch.rejected)

    def record_into(self, recording: Recording) -> None:
        """Hand everything that comes to a recording from now on; and the gap that lasts, which it would not know of."""
        self.recording = recording
        gap = self.store.gaps[-1] if self.store.gaps else None
        if gap is not None and gap.end is None:
            recording.gap(gap.start, None, gap.reason, gap.channels)

    def connected(self, at: int) -> None:
        """Note that the feed is up, for the first time or again."""
        if self.state == "reconnecting":
            self.reconnects += 1
        gap = self.store.close_gap(at)
        if gap is not None and self.recording is not None:
            self.recording.gap(gap.start, at, gap.reason, gap.channels)
        self._connected_at = at
        self._silent_s.clear()
        self._set_state("connected")

    def lost(self, at: int, reason: str, channels: tuple[str, ...] | None = None) -> None:
        """Note that the feed is away: from here on there is a gap, of what is subscribed unless channels are named."""
        log.warning("connection lost: %s", reason)
        channels = tuple(self.feed.subscriptions) if channels is None else channels
        self.store.open_gap(at, reason, channels)
        if self.recording is not None:
            self.recording.gap(at, None, reason, channels)
        self._connected_at = None
        self._set_state("reconnecting")

    def missed(self, start: int, end: int | None, reason: str, channels: tuple[str, ...]) -> None:
        """Note a gap during which the feed was not away."""
        self.store.note_gap(Gap(start, end, reason, channels))
        if self.recording is not None:
            self.recording.gap(start, end, reason, channels)
        self._notify()

    def rewound(self, at: int) -> None:
        """Forget everything that has come: the feed goes on from another moment."""
        self.store.clear()
        self._seen.clear()
        self._silent_s.clear()
        self._connected_at = at
        self._set_state("connected")

    def failed(self, error: FxliveError) -> None:
        """Note that the feed has ended for good."""
        log.error("the session failed: %s", error)
        self._connected_at = None
        self._end("failed", error)

    async def _tick(self) -> None:
        """Once a second, count how long each channel has been silent while this loop could run."""
        while True:
            await asyncio.sleep(1.0)
            if self.state != "connected":
                continue
            for name in self.feed.subscriptions.keys() & self._stale_after_s.keys():
                self._silent_s[name] = silent = self._silent_s.get(name, 0.0) + 1.0
                if self._reconnect_when_stale and silent > self._stale_after_s[name]:
                    self._silent_s[name] = 0.0
                    self.feed.reconnect(f"{name} was silent for {silent:.0f} s")

    # Listeners and waiting.

    def listen(
        self, channel: str, callback: Callable[[Any], Any], on_error: Callable[[Exception], Any] | None
    ) -> Handle:
        """Tell a callback of every new message of a channel."""
        self.check_open()
        handle = Handle(channel, callback, on_error, errors=Errors(self.callback_errors))
        with self._moved:
            self._handles = (*(h for h in self._handles if not h.mailbox.closed), handle)
        self._add_mailbox(handle.mailbox)
        return handle

    def stream(self, channel: str) -> Stream:
        """Return an async iterator over the new messages of a channel."""
        self.check_open()
        stream = Stream(channel)
        self._add_mailbox(stream.mailbox)
        return stream

    def _add_mailbox(self, mailbox: Mailbox) -> None:
        with self._moved:  # replaced as a whole, so that `deliver` can iterate without a lock
            self._mailboxes = (*(m for m in self._mailboxes if not m.closed), mailbox)

    def check_open(self) -> None:
        """Raise SessionClosed where the session has ended."""
        if self.state == "closed":
            raise SessionClosed("The session is closed. Open a new one with fxlive.connect(...).")
        if self.state == "failed":
            raise SessionClosed(f"The session has failed: {self.error} Call session.reconnect() or connect anew.")

    @property
    def never_opened(self) -> bool:
        """Whether there is a feed to open, and nobody has; one of memory is there for what can be done without."""
        return self.state == "connecting" and self._starting is None and not isinstance(self.feed, MemoryFeed)

    def check_opened(self) -> None:
        """Raise NoSession where it was never opened: nothing will ever come, which would look like a silent market."""
        if self.never_opened:
            raise NoSession("The session was never opened. Call session.open(), or fxlive.connect(...).")

    def wait_until(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Block until a condition holds, looking again after each batch and change of state.

        Raises
        ------
        WaitTimeout
            When the time is over.
        ConnectionFailed, SessionClosed
            Where the session ends before that.
        """
        ends = time.monotonic() + timeout_s
        with self._moved:
            while not condition():
                if self.state == "failed" and self.error is not None:
                    raise self.error
                if self.state in ("closed", "failed"):
                    raise SessionClosed(f"The session was closed while waiting for {what}.")
                left = ends - time.monotonic()
                if left <= 0:
                    raise WaitTimeout(f"{what} did not come within {timeout_s:g} s; state: {self._shown_state()}")
                self._moved.wait(min(left, INTERRUPTIBLE_S))

    def _shown_state(self) -> str:
        if self.state == "connecting" and self._starting is None:
            return "never opened. Call session.open(), or fxlive.connect(...) in the first place."
        return f"{self.feed.halt or self.state}."

    def _notify(self) -> None:
        with self._moved:
            self._moved.notify_all()

    # How it fares.

    def now_us(self) -> int:
        """Return the present in microseconds, by the clock of the feed."""
        return self._clock()

    def age_s(self, channel: str) -> float | None:
        """Return the seconds since the last message of a channel; None where there was none."""
        counters = self.store.counters.get(channel)
        if counters is None or counters.last_received_at is None:
            return None
        return max(0.0, (self._clock() - counters.last_received_at) / 1e6)

    def asked_for(self, channel: str) -> bool:
        """Return whether a channel is subscribed, or something of it has come; all are where nothing was begun yet."""
        subscribed = self.feed.subscriptions
        return not subscribed or channel in subscribed or self.store.counters[channel].messages > 0

    def stale(self, channel: str) -> bool:
        """Return whether a channel is subscribed, and silent for longer than its limit, also while we are away."""
        limit = self._stale_after_s.get(channel)
        if limit is None or self.state in ("connecting", "closed") or channel not in self.feed.subscriptions:
            return False
        last = max(self.store.counters[channel].last_received_at or 0, self._connected_at or 0)
        return self._clock() - last > limit * 1e6

    @property
    def why(self) -> str | None:
        """Why it has failed, or is away just now; None where it is neither."""
        if self.error is not None:
            return str(self.error)
        away = self.state == "reconnecting" and self.store.gaps
        return (self.feed.trouble or self.store.gaps[-1].reason) if away else None

    @property
    def connected_s(self) -> float | None:
        """For how many seconds it has been connected; None while it is not."""
        return None if self._connected_at is None else max(0.0, (self._clock() - self._connected_at) / 1e6)

    @property
    def dropped(self) -> int:
        """How many messages callbacks and streams were too slow for."""
        return sum(mailbox.dropped for mailbox in self._mailboxes)

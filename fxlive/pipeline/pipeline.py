"""The pipeline: deduplicates the batches of a feed, stores, records and dispatches them; holds the session's state."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from fxlive.core.background import INTERRUPTIBLE_S
from fxlive.core.world import WORLD, World
from fxlive.errors import FxliveError, NoSession, SessionClosed, WaitTimeout
from fxlive.feeds.interface import NEVER_OPENED, Feed, State
from fxlive.feeds.memory import MemoryFeed
from fxlive.pipeline.callbacks import Callback, ErrorCounter, Handle
from fxlive.pipeline.duplicates import RecentMessages
from fxlive.pipeline.mailbox import Mailbox
from fxlive.pipeline.streams import Stream
from fxlive.tables.counters import Counters
from fxlive.tables.gaps import Gap
from fxlive.tables.store import MAX_UNDOCUMENTED_CHANNELS, Store, reject_rows
from fxlive.wire.batch import Batch, Rows
from fxlive.wire.channels import CHANNELS

log = logging.getLogger("fxlive")

MAX_CHANNELS = len(CHANNELS) + MAX_UNDOCUMENTED_CHANNELS
STALE_AFTER_S: dict[str, float] = {"market-data": 10.0}


class Recording(Protocol):
    """A writer of batches to disk. Both methods return at once and raise nothing."""

    def put(self, batch: Batch) -> None:
        """Record a batch."""

    def gap(self, start_us: int, end_us: int | None, reason: str, channels: Iterable[str]) -> None:
        """Record a gap. Called when it begins, with `end_us` None, and again when it has ended."""


class Pipeline:
    """A running feed, and everything that its batches pass through.

    It is the `Sink` of its feed, which calls `deliver`, `connected`, `lost`, `missed`, `rewound` and `failed` on the
    background loop. The coroutines run there too. All other methods may be called from any thread.

    Parameters
    ----------
    feed
        The source of batches.
    store
        Keeps the rows of all channels.
    stale_after_s
        After how many seconds of silence a channel is stale, by channel. Other channels are never stale.
    reconnect_when_stale
        Whether to reconnect when a channel is stale.
    clock
        Returns the time in microseconds since 1970 UTC; by default that of `world`. A replay has a clock of its own.
    monotonic
        A clock in microseconds that nobody sets, for ages, staleness and the length of gaps. Default: `clock`, for a
        feed whose messages come from another time.
    world
        The clocks, and the threads of callbacks.
    """

    def __init__(
        self,
        feed: Feed,
        store: Store,
        *,
        stale_after_s: Mapping[str, float] = STALE_AFTER_S,
        reconnect_when_stale: bool = False,
        clock: Callable[[], int] | None = None,
        monotonic: Callable[[], int] | None = None,
        world: World = WORLD,
    ) -> None:
        self.feed = feed
        self.store = store
        self.state: State = "connecting"
        self.error: FxliveError | None = None
        self.reconnects = 0
        self.recording: Recording | None = None
        self.world = world
        self._clock = clock or world.now_us
        self._monotonic = monotonic
        self._heard_at: dict[str, int] = {}  # by channel; these times are readings of the clock for durations
        self._last_heard_at = 0
        self._lost_at: int | None = None
        self._stale_after_s = dict(stale_after_s)
        self._reconnect_when_stale = reconnect_when_stale
        self._connected_at: int | None = None
        self._silent_s: dict[str, float] = {}
        self._recent: dict[str, RecentMessages] = {}
        self._mailboxes: tuple[Mailbox, ...] = ()
        self._handles: tuple[Handle, ...] = ()
        self.callback_errors = ErrorCounter()
        """The exceptions of all callbacks and alerts of the user, including those that have ended."""
        self._changed = threading.Condition()
        self._ticker: asyncio.Task[None] | None = None
        self._starting: asyncio.Future[None] | None = None

    # Lifecycle.

    async def start(self) -> None:
        """Start the feed. If that fails, raise its error and leave nothing open."""
        self.check_startable()
        self.error = None
        self._set_state("connecting")
        self._starting = asyncio.ensure_future(self.feed.start(self))
        try:
            await self._starting
        except BaseException as error:
            await self.feed.close()
            if self.state == "closed":  # another thread closed it meanwhile
                raise SessionClosed("The session was closed while it was connecting.") from None
            self._end("failed", error if isinstance(error, FxliveError) else None)
            raise
        if self._ticker is None:
            self._ticker = asyncio.get_running_loop().create_task(self._tick())

    def check_startable(self) -> None:
        """Raise an error if the session is open or was closed."""
        if self.state == "closed":
            self.check_open()
        if self.state in ("connected", "reconnecting"):
            raise FxliveError("The session is already open.")

    def abandon(self) -> None:
        """Mark as closed in a forked child. The connection, the loop and the threads belong to the parent process."""
        self._changed = threading.Condition()
        self._ticker = self._starting = self.recording = None
        self._mailboxes = self._handles = ()
        self.feed = MemoryFeed()
        self.state = "closed"

    async def restart(self) -> None:
        """Reconnect a running feed; start a failed one again."""
        if self.state == "failed":
            await self.start()
        elif self.state == "closed":
            raise SessionClosed("The session is closed. Open a new one with fxlive.connect(...).")
        else:
            self.check_opened()
            self.feed.reconnect("reconnect requested")

    async def close(self) -> None:
        """Close the feed for good. May be called twice, and during `start`."""
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
        # After a failure callbacks stay registered for a later reconnect. Streams end: they raise the error.
        kept = {handle.mailbox for handle in self._handles} if state == "failed" else set()
        with self._changed:
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

    # Called by the feed, on the background loop.

    def deliver(self, batch: Batch, *, silently: bool = False) -> None:
        """Deduplicate, store, record and dispatch a batch. With `silently`, do not record or dispatch it."""
        for name, rows in list(batch.rows.items()):
            try:
                fresh = self._without_duplicates(name, rows, batch)
            except Exception as error:
                log.exception("duplicates of %s could not be found", name)
                reject_rows(batch, name, error)
                continue
            if len(fresh):
                batch.rows[name] = fresh
            else:
                del batch.rows[name]
        self._store(batch)
        if self.recording is not None and not silently:
            self.recording.put(batch)
        for mailbox in () if silently else self._mailboxes:
            if mailbox.channel in batch.rows:
                mailbox.put(batch.rows[mailbox.channel].messages, batch.size_of(mailbox.channel))
        self._last_heard_at = self._duration_clock(batch.received_at)
        for name, rows in batch.rows.items():
            self._silent_s[name] = 0.0
            self._heard_at[name] = self._duration_clock(int(rows.received_at[-1]))
        self._notify()

    def _store(self, batch: Batch) -> None:
        """Add a batch to the store. A bug of ours must neither end the connection nor lose a message silently."""
        stops = {name: self.store.stop_of(name) for name in batch.rows}
        rejections = self.store.rejections
        try:
            self.store.add(batch)
        except Exception as error:
            log.exception("a batch could not be stored")
            known = list(batch.rejected) if self.store.rejections == rejections else []
            counted = len(batch.rejected)
            for name in [name for name in batch.rows if self.store.stop_of(name) == stops[name]]:
                reject_rows(batch, name, error)
            self.store.reject([*known, *batch.rejected[counted:]])

    def _duration_clock(self, at: int) -> int:
        """Return the present on the clock for durations; if that is `clock`, it is `at`."""
        return at if self._monotonic is None else self._monotonic()

    def _without_duplicates(self, name: str, rows: Rows, batch: Batch) -> Rows:
        recent = self._recent.get(name)
        if recent is None:
            if len(self._recent) >= MAX_CHANNELS:  # the store rejects further channels, too
                return rows
            recent = self._recent[name] = RecentMessages()
        found, reused_ids = recent.find(rows)
        if not found and not reused_ids:
            return rows
        duplicates = set(found)
        fresh = rows.take([position for position in range(len(rows)) if position not in duplicates]) if found else rows
        if found and (confirmed := self.store.confirm(rows.take(found))):
            batch.confirmed[name] = confirmed
        counters = self.store.counters.setdefault(name, Counters())  # last: nothing fails once they are counted
        counters.duplicates += len(found)
        counters.reused_ids += reused_ids
        return fresh

    def record_into(self, recording: Recording) -> None:
        """Pass everything to a recording from now on, beginning with the gap that is open, if any."""
        self.recording = recording
        if self.store.gaps and (gap := self.store.gaps[-1]).end is None:
            recording.gap(gap.start, None, gap.reason, gap.channels)

    def connected(self, at: int) -> None:
        """Close the gap, and set the state to connected."""
        if self.state == "reconnecting":
            self.reconnects += 1
        self._close_gap(self._duration_clock(at))
        self._connected_at = self._last_heard_at = self._duration_clock(at)
        self._lost_at = None
        self._silent_s.clear()
        self._set_state("connected")

    def lost(self, at: int, reason: str, channels: tuple[str, ...] | None = None) -> None:
        """Open a gap, and set the state to reconnecting. By default the gap is of all subscribed channels."""
        log.warning("connection lost: %s", reason)
        channels = tuple(self.feed.subscriptions) if channels is None else channels
        if self.open_gap_us is not None:  # an attempt to reconnect has brought rows and failed
            self._close_gap(self._last_heard_at)
            at = max(at, self.store.gaps[-1].end or at)  # gaps that overlap would be one in a replay
        self.store.open_gap(at, reason, channels)
        if self.recording is not None:
            self.recording.gap(at, None, reason, channels)
        self._connected_at = None
        self._lost_at = at if self._monotonic is None else self._last_heard_at
        self._set_state("reconnecting")

    def _close_gap(self, ended_at: int) -> None:
        """End the open gap, if any, at a time on the clock for durations."""
        if self.open_gap_us is not None and self._lost_at is not None:
            gap = self.store.close_gap(self.store.gaps[-1].start + max(0, ended_at - self._lost_at))
            if gap is not None and self.recording is not None:
                self.recording.gap(gap.start, gap.end, gap.reason, gap.channels)

    def missed(self, start: int, end: int | None, reason: str, channels: tuple[str, ...]) -> None:
        """Note a gap that is not a lost connection."""
        self.store.add_gap(Gap(start, end, reason, channels))
        if self.recording is not None:
            self.recording.gap(start, end, reason, channels)
        self._notify()

    def confirmed(self, channel: str, keys: Sequence[Any], at: int) -> None:
        """Note that positions or orders were confirmed, at a time of receipt, by messages that are not delivered."""
        confirmed = self.store.tables[channel].confirm(keys, at)
        if confirmed and self.recording is not None:
            self.recording.put(Batch(at, confirmed={channel: confirmed}))
        self._notify()

    def rewound(self, at: int) -> None:
        """Clear all tables: the feed goes on from another moment."""
        self.store.clear()
        self._recent.clear()
        self._silent_s.clear()
        self._heard_at.clear()
        self._connected_at = self._last_heard_at = self._duration_clock(at)
        self._set_state("connected")

    def failed(self, error: FxliveError) -> None:
        """Set the state to failed: the feed has ended for good."""
        log.error("the session failed: %s", error)
        self._connected_at = None
        self._end("failed", error)

    async def _tick(self) -> None:
        """Once a second, count the silence of each channel. Only seconds in which this loop could run are counted."""
        while True:
            await asyncio.sleep(1.0)
            if self.state != "connected":
                continue
            for name in [name for name in self._stale_after_s if name in self.feed.subscriptions]:
                self._silent_s[name] = silent = self._silent_s.get(name, 0.0) + 1.0
                if self._reconnect_when_stale and silent > self._stale_after_s[name]:
                    self._silent_s[name] = 0.0
                    self.feed.reconnect(f"{name} was silent for {silent:.0f} s")

    # Callbacks, streams and waiting.

    def listen(self, channel: str, callback: Callback, on_error: Callback | None) -> Handle:
        """Call a callback with every new message of a channel."""
        self.check_open()
        handle = Handle(channel, callback, on_error, errors=ErrorCounter(self.callback_errors), world=self.world)
        with self._changed:
            self._handles = (*(h for h in self._handles if not h.mailbox.closed), handle)
        self._add_mailbox(handle.mailbox)
        return handle

    def stream(self, channel: str) -> Stream:
        """Return an async iterator over the new messages of a channel. Call it on the loop that reads the stream."""
        self.check_open()
        stream = Stream(channel)
        self._add_mailbox(stream.mailbox)
        return stream

    def _add_mailbox(self, mailbox: Mailbox) -> None:
        with self._changed:  # a new tuple each time, so that `deliver` iterates without a lock
            self._mailboxes = (*(m for m in self._mailboxes if not m.closed), mailbox)

    def check_open(self) -> None:
        """Raise SessionClosed if the session was closed or has failed."""
        if self.state == "closed":
            raise SessionClosed("The session is closed. Open a new one with fxlive.connect(...).")
        if self.state == "failed":
            raise SessionClosed(f"The session has failed: {self.error} Call session.reconnect(), or connect again.")

    @property
    def never_opened(self) -> bool:
        """Whether `start` was never called. An offline session has nothing to start: False."""
        return self.state == "connecting" and self._starting is None and not isinstance(self.feed, MemoryFeed)

    def check_opened(self) -> None:
        """Raise NoSession if it was never opened: no message would ever arrive, as if the market were silent."""
        if self.never_opened:
            raise NoSession(NEVER_OPENED)

    def wait_until(self, condition: Callable[[], bool], timeout_s: float, description: str) -> None:
        """Block until a condition holds. It is evaluated after each batch and each change of state.

        Parameters
        ----------
        description
            Names the condition in error messages: "waiting for ...".

        Raises
        ------
        WaitTimeout
            If the condition does not hold within `timeout_s` seconds.
        ConnectionFailed, SessionClosed
            If the session ends before that.
        """
        ends = self.world.monotonic_s() + timeout_s
        with self._changed:
            while not condition():
                if self.state == "failed" and self.error is not None:
                    raise self.error
                if self.state in ("closed", "failed"):
                    raise SessionClosed(f"The session was closed while waiting for {description}.")
                if (left := ends - self.world.monotonic_s()) <= 0:
                    waited = f"Timed out after {timeout_s:g} s waiting for {description}."
                    raise WaitTimeout(f"{waited} Session state: {self._state_text()}.")
                self._changed.wait(min(left, INTERRUPTIBLE_S))

    def _state_text(self) -> str:
        if self.state == "connecting" and self._starting is None:
            return "never opened. Call session.open(), or fxlive.connect(...)"
        return self.feed.halt or self.state

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    # State and figures.

    def now_us(self) -> int:
        """Return the present in microseconds since 1970 UTC. For a replay that is the replay's time."""
        return self._clock()

    def steady_us(self) -> int:
        """Return the reading, in microseconds, of the clock for durations: only differences have a meaning."""
        return self._clock() if self._monotonic is None else self._monotonic()

    @property
    def open_gap_us(self) -> int | None:
        """The length of the open gap so far, in microseconds; None without an open gap."""
        if self._lost_at is None or not self.store.gaps or self.store.gaps[-1].end is not None:
            return None
        return max(0, self.steady_us() - self._lost_at)

    def age_s(self, channel: str) -> float | None:
        """Return the seconds since the last message of a channel; None if there was none."""
        heard_at = self._heard_at.get(channel)
        return None if heard_at is None else max(0.0, (self.steady_us() - heard_at) / 1e6)

    def asked_for(self, channel: str) -> bool:
        """Return whether a channel is subscribed or has sent messages. True for all channels if none is subscribed."""
        subscribed = self.feed.subscriptions
        return not subscribed or channel in subscribed or self.store.counters[channel].messages > 0

    def stale(self, channel: str) -> bool:
        """Return whether a channel is subscribed, and silent for longer than its limit, connected or not."""
        limit = self._stale_after_s.get(channel)
        if limit is None or self.state in ("connecting", "closed") or channel not in self.feed.subscriptions:
            return False
        known = [at for at in (self._heard_at.get(channel), self._connected_at) if at is not None]
        return not known or self.steady_us() - max(known) > limit * 1e6

    @property
    def problem(self) -> str | None:
        """Why the session failed, or why it is reconnecting; None if neither."""
        if self.error is not None:
            return str(self.error)
        reconnecting = self.state == "reconnecting" and self.store.gaps
        return (self.feed.reconnect_error or self.store.gaps[-1].reason) if reconnecting else None

    @property
    def connected_s(self) -> float | None:
        """The seconds since it connected; None while it is not connected."""
        return None if self._connected_at is None else max(0.0, (self.steady_us() - self._connected_at) / 1e6)

    @property
    def mailboxes(self) -> tuple[Mailbox, ...]:
        """The queues of callbacks and streams."""
        return self._mailboxes

    @property
    def dropped(self) -> int:
        """The number of messages dropped because callbacks and streams were too slow."""
        return sum(mailbox.dropped for mailbox in self._mailboxes)

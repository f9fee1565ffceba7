"""A capture as a feed: its batches are delivered again, with their recorded spacing or faster.

The feed has a clock of its own, in the time of the capture. It runs `speed` times as fast as the monotonic clock, and
stands still while the replay is paused, seeks or has ended. Without a speed it stands at the last batch delivered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fxlive.core.world import WORLD, World
from fxlive.errors import CaptureError, FxliveError, InvalidSubscription
from fxlive.feeds.interface import Filters, Halt, Sink

if TYPE_CHECKING:  # importing Arrow's datasets takes long: only opening a capture imports them
    from fxlive.capture.format.notes import Gap
    from fxlive.capture.reading.playback import Block, Playback

log = logging.getLogger("fxlive")

MAX_ROWS_AT_ONCE = 5_000
_FOREVER = 2**63 - 1
_SHORT_S, _LONG_S = 0.0005, 3600.0  # the least and the longest sleep before the clock is read again


class ReplayFeed:
    """A feed that delivers the batches of captures.

    Parameters
    ----------
    playback
        The recorded batches.
    name
        A name for the URL, ``capture:name``.
    speed
        How many times as fast as recorded to play; None: as fast as possible.
    paused
        Whether to begin paused.
    max_rows
        How many rows of each channel the tables keep: a `seek` need not deliver more.
    world
        The clock by which the capture is replayed.
    """

    clock_offset_us: int | None = None
    reconnect_error: str | None = None

    def __init__(
        self, playback: Playback, name: str, *, speed: float | None, paused: bool, max_rows: int, world: World = WORLD
    ) -> None:
        self.url = f"capture:{name}"
        self.playback = playback
        self.speed = speed
        self.paused = paused
        self._max_rows = max_rows
        self._world = world
        self._unsubscribed: set[str] = set()
        self._sink: Sink | None = None
        self._clock_us = playback.start_us  # the reading of the clock at the monotonic time `_clock_set_at`
        self._clock_set_at = self._world.monotonic_s()
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()
        self._player: asyncio.Task[None] | None = None
        self._seek_done: asyncio.Future[None] | None = None  # of the last seek: done when all its rows are delivered
        self._seek_lock = asyncio.Lock()
        self.seeks = 0
        """The number of seeks so far."""

    # The clock.

    def now_us(self) -> int:
        """Return the present time of the capture in microseconds since 1970 UTC. May be called from any thread."""
        if self.halt is not None or self.speed is None or self._sink is None:
            return self._clock_us
        return min(
            self._clock_us + int((self._world.monotonic_s() - self._clock_set_at) * 1e6 * self.speed),
            self.playback.end_us,
        )

    def _set_clock(self, time_us: int) -> None:
        self._clock_us, self._clock_set_at = time_us, self._world.monotonic_s()

    @property
    def ended(self) -> bool:
        """Whether everything has been played."""
        return self._ended.is_set()

    @property
    def halt(self) -> Halt | None:
        """Why it is not playing; None while it plays."""
        if self._seek_done is not None and not self._seek_done.done():
            return "seeking"
        return "ended" if self.ended else "paused" if self.paused else None

    # The methods of a feed.

    @property
    def subscriptions(self) -> dict[str, dict[str, Any]]:
        """The channels that are played, each without filters."""
        return {name: {} for name in self.playback.channels if name not in self._unsubscribed}

    async def start(self, sink: Sink) -> None:
        """Start to play."""
        self._sink = sink
        self._set_clock(self.playback.start_us)
        sink.connected(self.playback.start_us)
        self._play_from(self.playback.blocks(), None)

    async def subscribe(self, channels: Mapping[str, Filters | None]) -> None:
        """Play channels again that were unsubscribed.

        Raises
        ------
        InvalidSubscription
            If filters are given. Select rows of the frame instead.
        """
        for name, filters in channels.items():
            if filters:
                raise InvalidSubscription(
                    "A replay does not support filters. "
                    f"Call frame({name!r}, {', '.join(f'{key}=...' for key in filters)}) instead.",
                    channel=name,
                )
        self._unsubscribed -= channels.keys()

    async def unsubscribe(self, channels: Sequence[str]) -> None:
        """Leave out channels from now on."""
        self._unsubscribed |= set(channels)

    def reconnect(self, reason: str) -> None:
        """Do nothing: a replay has no connection."""

    async def close(self) -> None:
        """Stop playing for good."""
        self._set_clock(self.now_us())
        self._sink = None
        await self._stop()

    async def _stop(self) -> None:
        if self._player is not None:
            self._player.cancel()
            await asyncio.wait({self._player})
        if self._seek_done is not None:
            _settle(self._seek_done)

    # Further methods, called on the background loop.

    async def set_speed(self, speed: float | None) -> None:
        """Set the speed, from now on."""
        self._set_clock(self.now_us())
        self.speed = speed
        self._changed.set()

    async def set_paused(self, paused: bool) -> None:
        """Pause or resume."""
        self._set_clock(self.now_us())
        self.paused = paused
        self._changed.set()

    async def seek(self, to_us: int) -> None:
        """Go to another time of the capture. Return when the rows up to that time are delivered, and no others.

        Return early if another seek begins, or if the feed is closed.
        """
        async with self._seek_lock:
            await self._stop()
            sink = self._sink
            if sink is None:
                return
            to_us = min(max(to_us, self.playback.start_us), self.playback.end_us)
            self._set_clock(to_us)
            self._ended.clear()
            self.seeks += 1
            done = self._seek_done = asyncio.get_running_loop().create_future()
            sink.rewound(self.playback.start_us)
            self._play_from(self.playback.blocks(window_of_us=to_us, max_rows=self._max_rows), (to_us, done))
        await asyncio.shield(done)

    async def wait_until_ended(self) -> None:
        """Wait until everything has been played."""
        await self._ended.wait()

    # Playing.

    def _play_from(self, blocks: Iterator[Block], target: tuple[int, asyncio.Future[None]] | None) -> None:
        self._player = asyncio.get_running_loop().create_task(self._play(blocks, target))

    async def _play(self, blocks: Iterator[Block], target: tuple[int, asyncio.Future[None]] | None) -> None:
        """Play blocks. Up to the time of a seek's `target`, deliver at once and silently; then settle its future."""
        sink = self._sink
        assert sink is not None
        next_block = asyncio.create_task(asyncio.to_thread(next, blocks, None))
        gaps = _GapEvents(self.playback, sink)
        try:
            while (block := await next_block) is not None:
                gaps.report(self.playback.take_new_losses())
                next_block = asyncio.create_task(asyncio.to_thread(next, blocks, None))
                while (due := block.due) != _FOREVER:
                    if target is not None and due > target[0]:
                        gaps.report_until(target[0])
                        self._set_clock(target[0])
                        _settle(target[1])
                        target = None
                    if target is None:
                        await self._wait_for(min(due, gaps.next_us))
                    gaps.report_until(min(due, target[0]) if target is not None else min(due, self._limit()))
                    limit = min(self._limit() if target is None else target[0], max(gaps.next_us, due))
                    batch = block.take(limit, MAX_ROWS_AT_ONCE)
                    if batch is not None:
                        for name in self._unsubscribed & batch.rows.keys():
                            del batch.rows[name]
                        sink.deliver(batch, silently=target is not None)
                        if target is None and self.speed is None:
                            self._clock_us = max(self._clock_us, batch.received_at)
                    await asyncio.sleep(0)
            gaps.report_until(_FOREVER)
            gaps.report(self.playback.take_new_losses())
            self._set_clock(self.playback.end_us)
            self._ended.set()
            if target is not None:
                _settle(target[1])
        except asyncio.CancelledError:
            next_block.cancel()
            raise
        except Exception as error:
            log.exception("a capture could not be played")
            failure = error if isinstance(error, FxliveError) else CaptureError(f"{self.url} cannot be read: {error}")
            if target is not None and not target[1].done():
                target[1].set_exception(failure)
            sink.failed(failure)

    def _limit(self) -> int:
        """Return the time up to which everything is due, in microseconds."""
        return _FOREVER if self.speed is None else self.now_us()

    async def _wait_for(self, due: int) -> None:
        while self.paused or self._limit() < due:
            self._changed.clear()
            wait_s = _LONG_S if self.paused or self.speed is None else (due - self.now_us()) / 1e6 / self.speed
            try:
                await asyncio.wait_for(self._changed.wait(), min(max(wait_s, _SHORT_S), _LONG_S))
            except TimeoutError:
                pass


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class _GapEvents:
    """The begin and end of each gap of a playback, and its confirmations, reported to the sink in the order of time."""

    def __init__(self, playback: Playback, sink: Sink) -> None:
        self._sink = sink
        begins = [(gap.start, 1, gap) for gap in playback.disconnections]
        ends = [(gap.end, 0, gap) for gap in playback.disconnections if gap.end is not None]
        losses = [(gap.start, 2, gap) for gap in playback.losses]
        # Before a gap that begins at the time of their receipt.
        confirmations = [(at, -1, names) for at, *names in playback.confirmations]
        self._events: list[tuple[int, int, Any]] = [*begins, *ends, *losses, *confirmations]
        self._events.sort(key=lambda event: event[:2])
        self._next = 0

    def report(self, losses: Sequence[Gap]) -> None:
        """Report gaps that were found while the capture was read, such as damaged files."""
        for gap in losses:
            self._sink.missed(gap.start, gap.end, gap.reason, gap.channels)

    @property
    def next_us(self) -> int:
        return self._events[self._next][0] if self._next < len(self._events) else _FOREVER

    def report_until(self, time_us: int) -> None:
        """Report the events before a time."""
        while self.next_us < time_us:
            at, kind, gap = self._events[self._next]
            self._next += 1
            if kind == 0:
                self._sink.connected(at)
            elif kind == 1:
                self._sink.lost(gap.start, gap.reason, gap.channels)
            elif kind == -1:
                channel, key = gap
                self._sink.confirmed(channel, [key], at)
            else:
                self._sink.missed(gap.start, gap.end, gap.reason, gap.channels)

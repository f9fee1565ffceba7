"""ReplayFeed: a capture as a feed: the batches that once arrived, with the spacing that they had, or any other.

Its clock is the capture's: it runs `speed` times as fast as ours while the replay runs, stands while that is paused,
and is where the replay is where the speed is None.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fxlive.errors import CaptureError, FxliveError, InvalidSubscription
from fxlive.feeds.interface import Filters, Halt, Sink

if TYPE_CHECKING:  # Arrow's datasets are loaded by who opens a capture
    from fxlive.capture.format.notes import Gap
    from fxlive.capture.reading.tape import Block, Tape

log = logging.getLogger("fxlive")

MAX_ROWS_AT_ONCE = 5_000
_FOREVER = 2**63 - 1
_SHORT_S, _LONG_S = 0.0005, 3600.0  # how long it sleeps before it looks at the clock again


class ReplayFeed:
    """Plays a tape.

    Parameters
    ----------
    tape
        What to play.
    name
        What to call it.
    speed
        How many times as fast as it was; None: as fast as it goes.
    paused
        Whether it waits for `resume` before it begins.
    max_rows
        How many rows of a channel whoever listens keeps; a `seek` need not bring more.
    """

    clock_offset_us: int | None = None
    reconnect_error: str | None = None

    def __init__(self, tape: Tape, name: str, *, speed: float | None, paused: bool, max_rows: int) -> None:
        self.url = f"capture:{name}"
        self.tape = tape
        self.speed = speed
        self.paused = paused
        self._max_rows = max_rows
        self._off: set[str] = set()
        self._sink: Sink | None = None
        self._at = tape.start_us  # where the clock stood at the moment `_since`
        self._since = time.monotonic()
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()
        self._player: asyncio.Task[None] | None = None
        self._sought: asyncio.Future[None] | None = None  # done when everything up to the moment sought last is there
        self._turn = asyncio.Lock()  # of those that seek
        self.seeks = 0
        """How often it went to another moment."""

    # The clock.

    def now_us(self) -> int:
        """Return the time of the capture that it is, in microseconds since 1970 UTC."""
        if self.halt is not None or self.speed is None or self._sink is None:
            return self._at
        return min(self._at + int((time.monotonic() - self._since) * 1e6 * self.speed), self.tape.end_us)

    def _set_clock(self, at_us: int) -> None:
        self._at, self._since = at_us, time.monotonic()

    @property
    def ended(self) -> bool:
        """Whether everything has been played."""
        return self._ended.is_set()

    @property
    def halt(self) -> Halt | None:
        """What keeps it from playing; None while it plays."""
        if self._sought is not None and not self._sought.done():
            return "seeking"
        return "ended" if self.ended else "paused" if self.paused else None

    # As a feed.

    @property
    def subscriptions(self) -> dict[str, dict[str, Any]]:
        """The channels that are played; a capture knows no filters."""
        return {name: {} for name in self.tape.channels if name not in self._off}

    async def start(self, sink: Sink) -> None:
        """Begin to play."""
        self._sink = sink
        self._set_clock(self.tape.start_us)
        sink.connected(self.tape.start_us)
        self._play_from(self.tape.blocks(), None)

    async def subscribe(self, channels: Mapping[str, Filters | None]) -> None:
        """Play channels again that were given up.

        Raises
        ------
        InvalidSubscription
            For filters: select rows of the frame instead.
        """
        for name, filters in channels.items():
            if filters:
                raise InvalidSubscription(
                    f"A replay has no filters: write frame({name!r}, {', '.join(f'{k}=...' for k in filters)}).",
                    channel=name,
                )
        self._off -= channels.keys()

    async def unsubscribe(self, channels: Sequence[str]) -> None:
        """Leave channels out from now on."""
        self._off |= set(channels)

    def reconnect(self, reason: str) -> None:
        """Do nothing: there is no connection that could be better."""

    async def close(self) -> None:
        """End for good."""
        self._set_clock(self.now_us())
        self._sink = None
        await self._stop()

    async def _stop(self) -> None:
        if self._player is not None:
            self._player.cancel()
            await asyncio.wait({self._player})
        if self._sought is not None:
            _settle(self._sought)

    # What can be done with it, on the loop.

    async def set_speed(self, speed: float | None) -> None:
        """Go on at another speed."""
        self._set_clock(self.now_us())
        self.speed = speed
        self._changed.set()

    async def set_paused(self, paused: bool) -> None:
        """Stand still, or go on."""
        self._set_clock(self.now_us())
        self.paused = paused
        self._changed.set()

    async def seek(self, to_us: int) -> None:
        """Go to another moment; returns when everything up to it is there, and nothing else is.

        It returns early where another seek takes its place, or the feed is closed.
        """
        async with self._turn:
            await self._stop()
            sink = self._sink
            if sink is None:
                return
            to_us = min(max(to_us, self.tape.start_us), self.tape.end_us)
            self._set_clock(to_us)
            self._ended.clear()
            self.seeks += 1
            there = self._sought = asyncio.get_running_loop().create_future()
            sink.rewound(self.tape.start_us)
            self._play_from(self.tape.blocks(window_of_us=to_us, max_rows=self._max_rows), (to_us, there))
        await asyncio.shield(there)

    async def wait_until_ended(self) -> None:
        """Wait until everything has been played."""
        await self._ended.wait()

    # Playing.

    def _play_from(self, blocks: Iterator[Block], to: tuple[int, asyncio.Future[None]] | None) -> None:
        self._player = asyncio.get_running_loop().create_task(self._play(blocks, to))

    async def _play(self, blocks: Iterator[Block], to: tuple[int, asyncio.Future[None]] | None) -> None:
        """Play everything; up to a moment that is sought at once and without telling anybody."""
        sink = self._sink
        assert sink is not None
        ahead = asyncio.create_task(asyncio.to_thread(next, blocks, None))
        events = _Events(self.tape, sink)
        try:
            while (block := await ahead) is not None:
                events.note(self.tape.found_missing())
                ahead = asyncio.create_task(asyncio.to_thread(next, blocks, None))
                while (due := block.due) != _FOREVER:
                    if to is not None and due > to[0]:
                        events.until(to[0])
                        self._set_clock(to[0])
                        _settle(to[1])
                        to = None
                    if to is None:
                        await self._wait_for(min(due, events.next_us))
                    events.until(min(due, to[0]) if to is not None else min(due, self._limit()))
                    limit = min(self._limit() if to is None else to[0], max(events.next_us, due))
                    batch = block.take(limit, MAX_ROWS_AT_ONCE)
                    if batch is not None:
                        for name in self._off & batch.rows.keys():
                            del batch.rows[name]
                        sink.deliver(batch, silently=to is not None)
                        if to is None and self.speed is None:
                            self._at = max(self._at, batch.received_at)
                    await asyncio.sleep(0)
            events.until(_FOREVER)
            events.note(self.tape.found_missing())
            self._set_clock(self.tape.end_us)
            self._ended.set()
            if to is not None:
                _settle(to[1])
        except asyncio.CancelledError:
            ahead.cancel()
            raise
        except Exception as error:
            log.exception("a capture could not be played")
            failure = error if isinstance(error, FxliveError) else CaptureError(f"{self.url} cannot be read: {error}")
            if to is not None and not to[1].done():
                to[1].set_exception(failure)
            sink.failed(failure)

    def _limit(self) -> int:
        """Return up to which moment everything is due."""
        return _FOREVER if self.speed is None else self.now_us()

    async def _wait_for(self, due: int) -> None:
        while self.paused or self._limit() < due:
            self._changed.clear()
            left = _LONG_S if self.paused or self.speed is None else (due - self.now_us()) / 1e6 / self.speed
            try:
                await asyncio.wait_for(self._changed.wait(), min(max(left, _SHORT_S), _LONG_S))
            except TimeoutError:
                pass


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class _Events:
    """The gaps of a tape, told when their time has come."""

    def __init__(self, tape: Tape, sink: Sink) -> None:
        self._sink = sink
        away = [(gap.start, 1, gap) for gap in tape.absences]
        back = [(gap.end, 0, gap) for gap in tape.absences if gap.end is not None]
        losses = [(gap.start, 2, gap) for gap in tape.losses]
        self._events = sorted([*away, *back, *losses], key=lambda event: event[:2])
        self._told = 0

    def note(self, losses: Sequence[Gap]) -> None:
        """Tell of gaps that have just come to light."""
        for gap in losses:
            self._sink.missed(gap.start, gap.end, gap.reason, gap.channels)

    @property
    def next_us(self) -> int:
        return self._events[self._told][0] if self._told < len(self._events) else _FOREVER

    def until(self, time_us: int) -> None:
        """Tell what comes before a moment."""
        while self.next_us < time_us:
            at, kind, gap = self._events[self._told]
            self._told += 1
            if kind == 0:
                self._sink.connected(at)
            elif kind == 1:
                self._sink.lost(gap.start, gap.reason, gap.channels)
            else:
                self._sink.missed(gap.start, gap.end, gap.reason, gap.channels)

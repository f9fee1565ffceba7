"""A client as the server sees it: its subscriptions, the way its frames go out, and what is wrong with its line."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from fxlive.simulator import wire
from fxlive.simulator.serving.limits import Window
from fxlive.simulator.serving.requests import Filter
from fxlive.simulator.serving.tokens import Claims
from fxlive.simulator.trading.platform import Message

_UNSUBSCRIBED = Filter({})
_REORDER_WAIT_S = 1.0


class Client:
    """One open connection.

    Frames are written many at a time, straight to the transport: the library's own send() costs a coroutine and a
    system call for each message, four times what everything else here does together.
    """

    def __init__(
        self, connection: ServerConnection, claims: Claims, session_id: str, requests: Window, backlog_bytes: int
    ) -> None:
        self.connection = connection
        self.claims = claims
        self.session_id = session_id
        self.requests = requests
        self.subscriptions: dict[str, Filter | None] = {}
        self.line = Line(self, backlog_bytes)
        self._closing: asyncio.TimerHandle | None = None

    @property
    def open(self) -> bool:
        """Whether frames still have a way to the client."""
        return self.connection.protocol.state is State.OPEN and not self.connection.transport.is_closing()

    def select(self, messages: Sequence[Message], counts: dict[str, int]) -> list[bytes]:
        """Frames of the messages that the client has subscribed to, counted by channel."""
        frames = []
        subscriptions = self.subscriptions
        for message in messages:
            channel = message.channel
            wanted = subscriptions.get(channel, _UNSUBSCRIBED)
            if wanted is None or (wanted is not _UNSUBSCRIBED and wanted.keeps(message)):
                frames.append(message.frame)
                counts[channel] += 1
        return frames

    def send(self, frames: list[bytes]) -> None:
        """Send messages of channels."""
        if self.line.clear:
            self.write(frames)
        else:
            self.line.send(frames)

    def answer(self, frame: bytes) -> None:
        """Send an answer or an error: delayed and silenced like all else, but never repeated or out of order."""
        if self.line.clear:
            self.write([frame])
        else:
            self.line.answer(frame)

    def write(self, frames: list[bytes]) -> None:
        """Write whole frames, now."""
        if frames and self.open:
            self.connection.transport.write(b"".join(frames))

    async def room(self) -> None:
        """Wait until the client has taken most of what was written."""
        await self.line.room()
        # A connection that ends meanwhile has all the room it needs.
        with contextlib.suppress(OSError):
            await self.connection.drain()

    def close(self, code: int = 1006, reason: str = "") -> None:
        """End the connection with this close code; 1006 cuts it without a word."""
        if code == 1006:
            self.connection.transport.abort()
        elif self.open:
            self.connection.protocol.send_close(code, reason)
            self.connection.send_data()
            # Not connection.close(): that waits for room in a full buffer, and a stalled client never makes any.
            self._closing = self.connection.loop.call_later(1.0, self.connection.transport.abort)

    def closed(self) -> None:
        """Release what the connection held."""
        if self._closing is not None:
            self._closing.cancel()
        self.line.stop()

    async def keep_alive(self, interval_s: float, timeout_s: float | None) -> None:
        """Ping the client, and end the connection when no pong comes in time.

        The library's own keepalive waits for room in the write buffer before its timeout starts, so that a client that
        has stalled under load would never be found out.
        """
        with contextlib.suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(interval_s)
                try:
                    async with asyncio.timeout(timeout_s):
                        await (await self.connection.ping())
                except TimeoutError:
                    self.close(1011, "keepalive ping timeout")
                    return


class Line:
    """What is wrong with the way to one client: silence, slowness, repetition, disorder, unknown fields."""

    def __init__(self, client: Client, backlog_bytes: int) -> None:
        self.clear = True
        self._client = client
        self._silent = self._deaf = False
        self._duplicate = 0
        self._hold = 0
        self._held: list[bytes] = []
        self._held_timer: asyncio.TimerHandle | None = None
        self._insert = b""
        self._delay_s = 0.0
        self._bytes_per_s: float | None = None
        self._outbox: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._backlog_bytes = backlog_bytes
        self._pump: asyncio.Task[None] | None = None
        self._low = asyncio.Event()
        self._low.set()

    def silence(self, silent: bool, *, deaf: bool = False) -> None:
        """Let nothing out; when deaf, read nothing either, so that not even pings are answered."""
        self._silent = silent
        transport = self._client.connection.transport
        if deaf != self._deaf and not transport.is_closing():
            self._deaf = deaf
            if deaf:
                transport.pause_reading()
            else:
                transport.resume_reading()
        self._update()

    def duplicate(self, count: int) -> None:
        """Send each of the next messages twice."""
        self._duplicate += count
        self._update()

    def reorder(self, count: int) -> None:
        """Hold the next messages back until there are so many (or a second has passed), then send the last first."""
        self._hold = count
        self._update()

    def slow(self, bytes_per_s: float | None, delay_s: float) -> None:
        """Send at most so many bytes a second, and wait before each message."""
        self._bytes_per_s = bytes_per_s
        self._delay_s = delay_s
        self._update()

    def insert(self, fields: bytes) -> None:
        """Put these fields (JSON, with a comma at the end) into the data of every message."""
        self._insert = fields
        self._update()

    def send(self, frames: list[bytes]) -> None:
        """Send messages of channels the hard way."""
        if self._silent:
            return
        if self._insert:
            frames = [_inserted(frame, self._insert) for frame in frames]
        if self._duplicate:
            twice = frames[: self._duplicate]
            self._duplicate -= len(twice)
            frames = [frame for one in twice for frame in (one, one)] + frames[len(twice) :]
        if self._hold:
            frames = self._reordered(frames)
        self._out(frames)
        self._update()

    def answer(self, frame: bytes) -> None:
        """Send an answer the hard way."""
        if not self._silent:
            self._out([frame])

    async def room(self) -> None:
        """Wait until little is left to send."""
        await self._low.wait()

    def stop(self) -> None:
        """Let go of everything that is still to be sent."""
        self._outbox.clear()
        self._low.set()
        if self._pump is not None:
            self._pump.cancel()
        if self._held_timer is not None:
            self._held_timer.cancel()

    def _update(self) -> None:
        self.clear = not (
            self._silent or self._duplicate or self._hold or self._held or self._insert or self._outbox or self._pump
            or self._delay_s or self._bytes_per_s
        )  # fmt: skip

    def _reordered(self, frames: list[bytes]) -> list[bytes]:
        self._held += frames[: self._hold]
        rest = frames[self._hold :]
        self._hold -= len(frames) - len(rest)
        if self._hold:
            if self._held_timer is None:
                self._held_timer = asyncio.get_running_loop().call_later(_REORDER_WAIT_S, self._release)
            return []
        held = self._unheld()
        return held + rest

    def _release(self) -> None:
        self._hold = 0
        self._out(self._unheld())
        self._update()

    def _unheld(self) -> list[bytes]:
        held, self._held = self._held[::-1], []
        if self._held_timer is not None:
            self._held_timer.cancel()
            self._held_timer = None
        return held

    def _out(self, frames: list[bytes]) -> None:
        if not (self._delay_s or self._bytes_per_s or self._outbox or self._pump):
            self._client.write(frames)
            return
        self._outbox.extend(frames)
        self._waiting_bytes += sum(map(len, frames))
        if self._waiting_bytes > self._backlog_bytes:
            self._low.clear()
        if self._pump is None and self._outbox:
            self._pump = asyncio.get_running_loop().create_task(self._drip())

    async def _drip(self) -> None:
        while self._outbox and self._client.open:
            frame = self._outbox.popleft()
            self._waiting_bytes -= len(frame)
            pause_s = self._delay_s + (len(frame) / self._bytes_per_s if self._bytes_per_s else 0.0)
            await asyncio.sleep(pause_s)
            self._client.write([frame])
            if self._waiting_bytes <= self._backlog_bytes // 2:
                self._low.set()
        self._pump = None
        self._low.set()
        self._update()


def _inserted(frame: bytes, fields: bytes) -> bytes:
    return wire.frame(wire.payload(frame).replace(b'"data":{', b'"data":{' + fields, 1))

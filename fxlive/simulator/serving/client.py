"""The server's side of a connection: subscriptions, sending, and the faults of the link to the client."""

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

    Frames are joined and written directly to the transport. The library's own send() costs a coroutine and a system
    call per message, four times as much as everything else here together.
    """

    def __init__(
        self, connection: ServerConnection, claims: Claims, session_id: str, requests: Window, backlog_bytes: int
    ) -> None:
        self.connection = connection
        self.claims = claims
        self.session_id = session_id
        self.requests = requests
        self.snapshot_share = 1.0
        """The share of a channel's current rows that it receives when it subscribes."""
        self.subscriptions: dict[str, Filter | None] = {}
        self.link = Link(self, backlog_bytes)
        self._closing: asyncio.TimerHandle | None = None

    @property
    def open(self) -> bool:
        """Whether frames can still be sent."""
        return self.connection.protocol.state is State.OPEN and not self.connection.transport.is_closing()

    def select(self, messages: Sequence[Message], counts: dict[str, int]) -> list[bytes]:
        """Return the frames of the messages that the client has subscribed to, and add them to `counts` by channel."""
        frames = []
        subscriptions = self.subscriptions
        for message in messages:
            channel = message.channel
            channel_filter = subscriptions.get(channel, _UNSUBSCRIBED)
            if channel_filter is None or (channel_filter is not _UNSUBSCRIBED and channel_filter.matches(message)):
                frames.append(message.frame)
                counts[channel] += 1
        return frames

    def send(self, frames: list[bytes]) -> None:
        """Send messages of channels."""
        if self.link.clear:
            self.write(frames)
        else:
            self.link.send(frames)

    def answer(self, frame: bytes) -> None:
        """Send an answer or an error. Delays and silences apply to it, but it is never duplicated or reordered."""
        if self.link.clear:
            self.write([frame])
        else:
            self.link.answer(frame)

    def write(self, frames: list[bytes]) -> None:
        """Write whole frames immediately, without the faults of the link."""
        if frames and self.open:
            self.connection.transport.write(b"".join(frames))

    async def drain(self) -> None:
        """Wait until the client has received most of the data."""
        await self.link.drain()
        # If the connection ends meanwhile, there is nothing to wait for.
        with contextlib.suppress(OSError):
            await self.connection.drain()

    def close(self, code: int = 1006, reason: str = "") -> None:
        """End the connection with this close code. 1006 cuts it without a close frame."""
        if code == 1006:
            self.connection.transport.abort()
        elif self.open:
            self.connection.protocol.send_close(code, reason)
            self.connection.send_data()
            # Not connection.close(): that waits for space in the write buffer, which a stalled client never makes.
            self._closing = self.connection.loop.call_later(1.0, self.connection.transport.abort)

    def release(self) -> None:
        """Cancel timers and discard unsent frames after the connection has ended."""
        if self._closing is not None:
            self._closing.cancel()
        self.link.stop()

    async def keep_alive(self, interval_s: float, timeout_s: float | None) -> None:
        """Ping the client, and end the connection when a pong is not received in time.

        The library's own keepalive waits for space in the write buffer before its timeout starts. It would never
        detect a client that has stalled under load.
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


class Link:
    """The link to one client, with its faults: silence, slow sending, duplicates, wrong order, unknown fields.

    `clear` is True while no fault is active; then frames may be written directly.
    """

    def __init__(self, client: Client, backlog_bytes: int) -> None:
        self.clear = True
        self._client = client
        self._silent = self._deaf = False
        self._duplicate_count = 0
        self._reorder_count = 0
        self._held_frames: list[bytes] = []
        self._release_timer: asyncio.TimerHandle | None = None
        self._inserted_fields = b""
        self._delay_s = 0.0
        self._bytes_per_s: float | None = None
        self._outbox: deque[bytes] = deque()
        self._outbox_bytes = 0
        self._backlog_bytes = backlog_bytes
        self._slow_sender: asyncio.Task[None] | None = None
        self._drained = asyncio.Event()
        self._drained.set()

    def silence(self, silent: bool, *, deaf: bool = False) -> None:
        """Send nothing while silent. When deaf, read nothing either, so that pings are not answered."""
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
        """Send each of the next `count` messages twice."""
        self._duplicate_count += count
        self._update()

    def reorder(self, count: int) -> None:
        """Hold back the next `count` messages (or those of one second), then send them in reverse order."""
        self._reorder_count = count
        self._update()

    def slow(self, bytes_per_s: float | None, delay_s: float) -> None:
        """Send at most `bytes_per_s`, and wait `delay_s` before each message."""
        self._bytes_per_s = bytes_per_s
        self._delay_s = delay_s
        self._update()

    def insert(self, fields: bytes) -> None:
        """Insert these fields (JSON, with a trailing comma) into the data of every message."""
        self._inserted_fields = fields
        self._update()

    def send(self, frames: list[bytes]) -> None:
        """Send messages of channels, with the active faults."""
        if self._silent:
            return
        if self._inserted_fields:
            frames = [_insert(frame, self._inserted_fields) for frame in frames]
        if self._duplicate_count:
            originals = frames[: self._duplicate_count]
            self._duplicate_count -= len(originals)
            frames = [copy for frame in originals for copy in (frame, frame)] + frames[len(originals) :]
        if self._reorder_count:
            frames = self._reorder(frames)
        self._deliver(frames)
        self._update()

    def answer(self, frame: bytes) -> None:
        """Send an answer, with the active faults."""
        if not self._silent:
            self._deliver([frame])

    async def drain(self) -> None:
        """Wait until at most half of the allowed backlog is left to send."""
        await self._drained.wait()

    def stop(self) -> None:
        """Discard the unsent frames and stop all timers and tasks."""
        self._outbox.clear()
        self._drained.set()
        if self._slow_sender is not None:
            self._slow_sender.cancel()
        if self._release_timer is not None:
            self._release_timer.cancel()

    def _update(self) -> None:
        self.clear = not (
            self._silent or self._duplicate_count or self._reorder_count or self._held_frames or self._inserted_fields
            or self._outbox or self._slow_sender or self._delay_s or self._bytes_per_s
        )  # fmt: skip

    def _reorder(self, frames: list[bytes]) -> list[bytes]:
        """Hold frames back, and return those to send now: none, or the held ones reversed and the rest."""
        self._held_frames += frames[: self._reorder_count]
        rest = frames[self._reorder_count :]
        self._reorder_count -= len(frames) - len(rest)
        if self._reorder_count:
            if self._release_timer is None:
                self._release_timer = asyncio.get_running_loop().call_later(_REORDER_WAIT_S, self._release)
            return []
        return self._take_held() + rest

    def _release(self) -> None:
        self._reorder_count = 0
        self._deliver(self._take_held())
        self._update()

    def _take_held(self) -> list[bytes]:
        reversed_frames, self._held_frames = self._held_frames[::-1], []
        if self._release_timer is not None:
            self._release_timer.cancel()
            self._release_timer = None
        return reversed_frames

    def _deliver(self, frames: list[bytes]) -> None:
        if not (self._delay_s or self._bytes_per_s or self._outbox or self._slow_sender):
            self._client.write(frames)
            return
        self._outbox.extend(frames)
        self._outbox_bytes += sum(map(len, frames))
        if self._outbox_bytes > self._backlog_bytes:
            self._drained.clear()
        if self._slow_sender is None and self._outbox:
            self._slow_sender = asyncio.get_running_loop().create_task(self._send_slowly())

    async def _send_slowly(self) -> None:
        while self._outbox and self._client.open:
            frame = self._outbox.popleft()
            self._outbox_bytes -= len(frame)
            pause_s = self._delay_s + (len(frame) / self._bytes_per_s if self._bytes_per_s else 0.0)
            await asyncio.sleep(pause_s)
            self._client.write([frame])
            if self._outbox_bytes <= self._backlog_bytes // 2:
                self._drained.set()
        self._slow_sender = None
        self._drained.set()
        self._update()


def _insert(frame: bytes, fields: bytes) -> bytes:
    return wire.frame(wire.payload(frame).replace(b'"data":{', b'"data":{' + fields, 1))

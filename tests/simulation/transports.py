"""Connections in memory: two transports and the two streams of bytes between them."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, cast

from tests.simulation.loop import SimulatedLoop

Ends = Literal["both", "client", "server"]

WINDOW_BYTES = 256 * 1024
"""Bytes that the kernels on both sides hold. Only bytes beyond them count as a transport's write buffer."""
_LARGEST_READ = 256 * 1024
_HIGH_WATER = 64 * 1024


@dataclass
class Conditions:
    """How bytes travel. Changes apply to what is sent from then on.

    Attributes
    ----------
    delay_s
        The least and the most time that a piece travels; the seed decides. Pieces never overtake each other.
    bytes_per_s
        The bandwidth of each direction; None for no limit.
    split, join
        The probability that a write is split into pieces, and that pieces that arrive are held and joined.
    """

    delay_s: tuple[float, float] = (0.0005, 0.02)
    bytes_per_s: float | None = None
    split: float = 0.3
    join: float = 0.3


class Stream:
    """One direction of a connection."""

    def __init__(self, loop: SimulatedLoop, name: str, conditions: Conditions) -> None:
        self.name = name
        self.held_until = 0.0
        self.sender: Transport
        self.receiver: Transport
        self._loop, self._conditions, self._random = loop, conditions, loop.stream(f"stream {name}")
        self._unsent = bytearray()
        self._ended = False  # the sender has written its last byte
        self._end_sent = False
        self._flight: deque[tuple[float, bytes]] = deque()  # with the times of arrival; b"" is the end
        self._in_flight = 0
        self._last_arrival = 0.0
        self._sending: asyncio.Handle | None = None
        self._arriving: asyncio.Handle | None = None
        self._severed = False

    @property
    def overflow(self) -> int:
        """The bytes that the sender's kernel has no room for."""
        return max(0, len(self._unsent) + self._in_flight - WINDOW_BYTES)

    def write(self, data: Iterable[bytes | bytearray | memoryview]) -> None:
        for piece in data:
            self._unsent += piece
        self._plan_sending(self._random.choice((0.0, 0.0, 0.002)))  # later writes may join this one

    def finish(self) -> None:
        """Send the end of the stream, after all that is unsent."""
        self._ended = True
        self._plan_sending(0.0)

    def discard_overflow(self) -> None:
        """Forget what the kernel has not taken."""
        if self.overflow:
            del self._unsent[-self.overflow :]

    def sever(self) -> None:
        """Lose all that is in flight and all that is sent from now on."""
        self._severed = True
        if self._arriving is not None:
            self._arriving.cancel()

    def reset(self) -> None:
        """Let the receiver notice a reset, after the delay of a piece."""
        if not self._severed:
            self._loop.call_at(self._arrival(), self._reset_arrives)

    def resume(self) -> None:
        """Deliver what has arrived while the receiver did not read."""
        if self._flight:
            self._plan_arrival(self._flight[0][0])

    def _plan_sending(self, in_s: float) -> None:
        if self._sending is None:
            self._sending = self._loop.call_later(in_s, self._send)

    def _send(self) -> None:
        self._sending = None
        rate = self._conditions.bytes_per_s
        while self._unsent and (room := WINDOW_BYTES - self._in_flight) > 0:
            size = min(len(self._unsent), room, _LARGEST_READ)
            if rate is not None:
                size = min(size, max(1, int(rate * 0.05)))
            if self._random.random() < self._conditions.split:
                size = 1 + int((size - 1) * self._random.random() ** 3)  # often within the head of a frame
            self._launch(bytes(self._unsent[:size]))
            del self._unsent[:size]
            if rate is not None:
                self._plan_sending(size / rate)
                break
        if self._ended and not self._unsent and not self._end_sent:
            self._end_sent = True
            self._launch(b"")

    def _launch(self, data: bytes) -> None:
        self._flight.append((self._arrival(), data))
        self._in_flight += len(data)
        if len(self._flight) == 1:
            self._plan_arrival(self._last_arrival)

    def _arrival(self) -> float:
        """Return when what is sent now arrives: not before what was sent earlier."""
        travels_until = max(self._loop.time() + self._random.uniform(*self._conditions.delay_s), self.held_until)
        self._last_arrival = max(self._last_arrival, travels_until)
        return self._last_arrival

    def _plan_arrival(self, at: float) -> None:
        if self._arriving is None and not self._severed:
            self._arriving = self._loop.call_at(at, self._arrive)

    def _arrive(self) -> None:
        self._arriving = None
        if self._loop.time() < self.held_until:
            self._plan_arrival(self.held_until)
        elif self.receiver.reading:
            arrived = self._take_arrived()
            if arrived is None:  # held until the latest piece arrives, to be joined with it
                self._plan_arrival(self._flight[-1][0])
                return
            self._in_flight -= len(arrived)
            if self._unsent:
                self._plan_sending(0.0)
            self._loop.trace(f"{self.name} {len(arrived) or 'end'}")
            self.receiver.arrives(arrived)
            self.sender.drained()
            self.resume()

    def _take_arrived(self) -> bytes | None:
        now = self._loop.time()
        if self._flight[-1][0] > now and self._random.random() < self._conditions.join:
            return None
        pieces = [self._flight.popleft()[1]]
        size = len(pieces[0])
        while pieces[0] and self._flight and self._flight[0][0] <= now and self._flight[0][1] and size < _LARGEST_READ:
            pieces.append(self._flight.popleft()[1])
            size += len(pieces[-1])
        return b"".join(pieces)

    def _reset_arrives(self) -> None:
        if self._severed:
            return
        if self._loop.time() < self.held_until:
            self._loop.call_at(self.held_until, self._reset_arrives)
            return
        self.receiver.reset()


class Transport(asyncio.Transport):
    """One end of a connection."""

    def __init__(self, loop: SimulatedLoop, name: str, incoming: Stream, outgoing: Stream, extra: dict[str, Any]):
        super().__init__(extra)
        self.name = name
        self.claimed = False
        """Whether a protocol has been given to it."""
        self.on_lost: Callable[[], None] = lambda: None
        self._loop, self._incoming, self._outgoing = loop, incoming, outgoing
        incoming.receiver, outgoing.sender = self, self
        self._protocol: asyncio.Protocol
        self._begun = self._paused = self._closing = self._lost = self._ended = False
        self._error: Exception | None = None
        self._low, self._high = _HIGH_WATER // 4, _HIGH_WATER
        self._writing_paused = False

    def start(self, protocol: asyncio.Protocol) -> None:
        """Give the connection to a protocol."""
        self.claimed = True
        self.set_protocol(protocol)
        self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._protocol.connection_made(self)
        if self._lost:
            self._loop.call_soon(self._lose)
        else:
            self._begun = True
            self._incoming.resume()

    # For the streams

    @property
    def reading(self) -> bool:
        """Whether bytes that arrive are taken. A closed end takes them, too, and throws them away."""
        return self._closing or (self._begun and not self._paused)

    def arrives(self, data: bytes) -> None:
        """Give the protocol what has been read; b"" is the end."""
        if self._closing:
            if data and self._lost:
                self._outgoing.reset()  # as a kernel does for a closed socket
            return
        try:
            if data:
                self._protocol.data_received(data)
            elif not self._protocol.eof_received():
                self.close()
        except (SystemExit, KeyboardInterrupt):
            raise
        except Exception as error:
            context = {"message": "Fatal error: the protocol failed.", "exception": error, "transport": self}
            self._loop.call_exception_handler(context)
            self._end(error)

    def drained(self) -> None:
        """Note that the write buffer may have become smaller."""
        size = self.get_write_buffer_size()
        if self._writing_paused and not self._lost and size <= self._low:
            self._writing_paused = False
            self._protocol.resume_writing()
        if self._closing and not size:
            self._lose_soon(None)

    def reset(self) -> None:
        """Notice that the connection is broken."""
        if not self._lost:
            self._loop.trace(f"{self.name} reset")
            self._outgoing.sever()
            self._lose_soon(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))

    # asyncio's interface

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        if isinstance(protocol, asyncio.BufferedProtocol):
            raise NotImplementedError("the simulated network has no buffered protocols")
        self._protocol = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._outgoing.finish()
            self._incoming.resume()
            if not self.get_write_buffer_size():
                self._lose_soon(None)

    def abort(self) -> None:
        self._end(None)

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.writelines((data,))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        if self._ended:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._closing:
            return
        self._outgoing.write(list_of_data)
        self._check_high_water()

    def write_eof(self) -> None:
        if not self._closing and not self._ended:
            self._ended = True
            self._outgoing.finish()

    def can_write_eof(self) -> bool:
        return True

    def is_reading(self) -> bool:
        return not self._closing and not self._paused

    def pause_reading(self) -> None:
        if not self._closing:
            self._paused = True

    def resume_reading(self) -> None:
        if not self._closing:
            self._paused = False
            self._incoming.resume()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if high is None:
            high = _HIGH_WATER if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._low, self._high = low, high
        self._check_high_water()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        return self._outgoing.overflow

    # Its end

    def _check_high_water(self) -> None:
        if not self._writing_paused and self.get_write_buffer_size() > self._high:
            self._writing_paused = True
            self._protocol.pause_writing()

    def _end(self, error: Exception | None) -> None:
        """Close without waiting for the write buffer. The other end sees the end of the stream or a reset."""
        if self._lost:
            return
        self._outgoing.discard_overflow()
        if self._loop.stream(f"abort {self.name}").random() < 0.5:
            self._outgoing.finish()
        else:
            self._outgoing.reset()
        self._lose_soon(error)

    def _lose_soon(self, error: Exception | None) -> None:
        if self._lost:
            return
        self._closing = self._lost = True
        self._error = error
        self._incoming.resume()
        self._loop.call_soon(self._lose)

    def _lose(self) -> None:
        try:
            if self.claimed:
                self._protocol.connection_lost(self._error)
        finally:
            sock = self.get_extra_info("socket")
            if self.claimed and isinstance(sock, socket.socket):
                sock.close()
            self.on_lost()


class Connection:
    """A connection, from the moment the server's kernel accepts it."""

    def __init__(
        self,
        loop: SimulatedLoop,
        number: int,
        conditions: Conditions,
        client: Any,
        server: Any,
        sock: socket.socket | None,
    ) -> None:
        self.number = number
        up = Stream(loop, f"connection {number} to server", conditions)
        down = Stream(loop, f"connection {number} to client", conditions)
        self.client = Transport(
            loop, f"client {number}", down, up, {"sockname": client, "peername": server, "socket": sock}
        )
        self.server = Transport(loop, f"server {number}", up, down, {"sockname": server, "peername": client})
        self._loop, self._streams = loop, (up, down)

    def cut(self, notices: Ends = "both") -> None:
        """Break the connection. The ends that do not notice it wait for an answer for ever."""
        self._loop.trace(f"connection {self.number} cut, noticed by {notices}")
        for stream in self._streams:
            stream.sever()
        random = self._loop.stream("cuts")
        for name, end in (("client", self.client), ("server", self.server)):
            if notices in ("both", name):
                self._loop.call_later(random.uniform(0.0, 0.05), end.reset)

    def hold(self, for_s: float, *, lost: bool = False) -> None:
        """Deliver nothing for some seconds. Then deliver all of it, or, if `lost`, reset both ends."""
        self._loop.trace(f"connection {self.number} held for {for_s:.3f} s{', then lost' if lost else ''}")
        for stream in self._streams:
            stream.held_until = max(stream.held_until, self._loop.time() + for_s)
        if lost:
            self._loop.call_later(for_s, self.cut)

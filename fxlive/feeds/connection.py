"""One WebSocket connection, on the sans-I/O layer of `websockets`.

What a read of the socket brings is handed on at once, as one list of messages with one time of receipt: there is no
queue between the socket and the tables. So a flood becomes larger batches, and what we cannot keep up with waits in
the kernel's buffer, where TCP tells the server.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable

from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from fxlive.core.clock import now_us
from fxlive.feeds.framing import cut_frames
from fxlive.feeds.handshake import SWITCHING_PROTOCOLS, read_head

MAX_MESSAGE_BYTES = 64 * 2**20
_MAX_INTERIM_RESPONSES = 100
_CLOSE_WAIT_S = 2.0

# websockets logs requests, and so tokens, at the level DEBUG: never let it.
_quiet = logging.getLogger("fxlive.websockets")
_quiet.setLevel(logging.WARNING)

Handler = Callable[[list[bytes], int], None]


class Connection(asyncio.Protocol):
    """A WebSocket connection that hands on what arrives.

    Parameters
    ----------
    url
        Of the server, with a token in it where the server wants it there.
    handler
        Called with the messages of each read and the time of receipt in microseconds.
    """

    def __init__(self, url: str, handler: Handler) -> None:
        loop = asyncio.get_running_loop()
        self._protocol = ClientProtocol(
            parse_uri(url),
            extensions=[ClientPerMessageDeflateFactory(client_max_window_bits=True)],
            max_size=MAX_MESSAGE_BYTES,
            logger=_quiet,
        )
        self._handler = handler
        self._transport: asyncio.Transport | None = None
        self._parts: list[bytes] = []  # of a fragmented message
        self._rest = bytearray()  # of a response or frame that is not complete
        self._needed = 0
        self._interim_responses = 0
        self._handshake: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.silent_ticks = 0
        self.last_received_at = now_us()

    @property
    def ending(self) -> bool:
        """Whether it has ended, or is about to: the other side has said that it closes."""
        return self._protocol.state is not State.OPEN

    @property
    def close_code(self) -> int | None:
        """The code with which the server closed; 1006 where the connection broke; None while it is open."""
        return self._protocol.close_code if self.closed.done() else None

    @property
    def refused(self) -> str | None:
        """Why we ended it, where what came was too large or against the protocol."""
        sent = self._protocol.close_sent
        return None if sent is None or sent.code == 1000 else f"{sent.code}: {sent.reason}"

    @property
    def close_reason(self) -> str:
        """The words with which the server closed."""
        return self._protocol.close_reason or ""

    async def open(self, authorization: str | None, ssl_context: ssl.SSLContext | None) -> None:
        """Connect and shake hands.

        Raises
        ------
        OSError
            Where nothing answers, or its certificate is not trusted.
        websockets.exceptions.InvalidHandshake
            Where the server refuses, or is no WebSocket server.
        """
        uri = self._protocol.uri
        loop = asyncio.get_running_loop()
        await loop.create_connection(
            lambda: self, uri.host, uri.port, ssl=ssl_context, server_hostname=uri.host if ssl_context else None
        )
        request = self._protocol.connect()
        if authorization is not None:
            request.headers["Authorization"] = authorization
        self._protocol.send_request(request)
        self._flush()
        await self._handshake

    def send(self, text: str) -> None:
        """Send a text message; on a connection that is ending nothing happens, and `closed` will tell."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_text(text.encode())
            self._flush()

    def ping(self) -> None:
        """Ask for a sign of life."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_ping(b"fxlive")
            self._flush()

    async def close(self) -> None:
        """Close in an orderly way, or after two seconds in any way."""
        if not self.closed.done():
            if self._handshake.done() and self._protocol.state is State.OPEN:
                self._protocol.send_close(1000)
                self._flush()
                await asyncio.wait({self.closed}, timeout=_CLOSE_WAIT_S)
            self.abort()
            await asyncio.wait({self.closed}, timeout=_CLOSE_WAIT_S)

    def abort(self) -> None:
        """End the connection at once."""
        self._handshake.cancel()  # nobody waits for it any more; an error of it would be printed as never retrieved
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        received_at = now_us()
        self.silent_ticks = 0
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return
            data, self._rest = bytes(self._rest), bytearray()
        messages: list[bytes] = []
        self._read(data, messages)
        self._flush()
        if messages:
            self.last_received_at = received_at
            self._handler(messages, received_at)

    def eof_received(self) -> None:
        self._end_of_stream()
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        if self._protocol.state is not State.CLOSED:
            self._end_of_stream()
        if not self._handshake.done():
            self._handshake.set_exception(error or ConnectionResetError("the server hung up during the handshake"))
        if not self.closed.done():
            self.closed.set_result(None)

    def _read(self, data: bytes, messages: list[bytes]) -> None:
        """Append the messages in `data`, and keep what is incomplete for the next time."""
        at = 0
        while at < len(data):
            if self._protocol.state is State.OPEN:
                at, stop = cut_frames(data, at, messages, MAX_MESSAGE_BYTES, plain=not self._parts)
                if stop > len(data):
                    self._rest, self._needed = bytearray(data[at:]), stop - at
                    return
            elif self._handshake.done():
                stop = len(data)
            else:
                try:
                    head = read_head(data, at)
                except ValueError as error:
                    self._fail_handshake(InvalidMessage(f"the server sent {error}"))
                    return
                if head is None:
                    self._rest, self._needed = bytearray(data[at:]), len(data) - at + 1
                    return
                if head.interim and self._interim_responses < _MAX_INTERIM_RESPONSES:
                    self._interim_responses += 1
                    at = head.stop
                    continue
                if head.status != SWITCHING_PROTOCOLS:
                    self._fail_handshake(InvalidStatus(Response(head.status, "", Headers(head.headers))))
                    return
                stop = head.stop  # the library reads the head alone: frames may follow it at once
            self._protocol.receive_data(data[at:stop])
            self._take_events(messages)
            at = stop

    def _fail_handshake(self, error: InvalidHandshake) -> None:
        """Fail the handshake and hang up, without waiting for a response's body."""
        self._handshake.set_exception(error)
        self.abort()

    def _take_events(self, messages: list[bytes]) -> None:
        """Append the messages that the library has read."""
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                if event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                    self._parts.append(bytes(event.data))
                    if event.fin:
                        messages.append(b"".join(self._parts))
                        self._parts = []
            elif not self._handshake.done():
                self._end_handshake()
        if self._protocol.handshake_exc is not None and not self._handshake.done():
            self._handshake.set_exception(self._protocol.handshake_exc)

    def _end_of_stream(self) -> None:
        if self._rest:
            self._protocol.receive_data(bytes(self._rest))
            self._rest.clear()
        self._protocol.receive_eof()
        self._take_events([])

    def _end_handshake(self) -> None:
        if self._protocol.handshake_exc is None:
            self._handshake.set_result(None)
        else:
            self._handshake.set_exception(self._protocol.handshake_exc)

    def _flush(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            elif self._transport.can_write_eof():
                self._transport.write_eof()
        if self._protocol.close_expected():
            asyncio.get_running_loop().call_later(_CLOSE_WAIT_S, self.abort)

"""One WebSocket connection, on the sans-I/O layer of `websockets`.

What a read of the socket brings is handed on at once, as one list of messages with one time of receipt: there is no
queue between the socket and the tables. So a flood becomes larger batches, and what we cannot keep up with waits in
the kernel's buffer, where TCP tells the server.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable

from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

MAX_MESSAGE_BYTES = 64 * 2**20
_CLOSE_WAIT_S = 2.0

# websockets logs requests, and so tokens, at the level DEBUG: never let it.
_quiet = logging.getLogger("fxlive.websockets")
_quiet.setLevel(logging.WARNING)

Handler = Callable[[list[bytes], int], None]


def now_us() -> int:
    """Return the time in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


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
        self._parts: list[bytes] = []
        self._handshake: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.silent_ticks = 0
        self.last_received_at = now_us()

    @property
    def close_code(self) -> int | None:
        """The code with which the server closed; 1006 where the connection broke; None while it is open."""
        return self._protocol.close_code if self.closed.done() else None

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
        """Send a text message."""
        self._protocol.send_text(text.encode())
        self._flush()

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._protocol.send_ping(b"fxlive")
        self._flush()

    async def close(self) -> None:
        """Close in an orderly way, or after two seconds in any way."""
        if not self.closed.done():
            if self._handshake.done() and self._protocol.state.name == "OPEN":
                self._protocol.send_close(1000)
                self._flush()
                await asyncio.wait({self.closed}, timeout=_CLOSE_WAIT_S)
            self.abort()

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        received_at = now_us()
        self.silent_ticks = 0
        self._protocol.receive_data(data)
        self._take_events(received_at)
        self._flush()

    def eof_received(self) -> None:
        self._protocol.receive_eof()
        self._take_events(now_us())
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        if self._protocol.state.name != "CLOSED":
            self._protocol.receive_eof()
            self._take_events(now_us())
        if not self._handshake.done():
            self._handshake.set_exception(error or ConnectionResetError("the server hung up during the handshake"))
        if not self.closed.done():
            self.closed.set_result(None)

    def _take_events(self, received_at: int) -> None:
        messages: list[bytes] = []
        for event in self._protocol.events_received():
            if type(event) is Frame:
                opcode = event.opcode
                if opcode is Opcode.TEXT or opcode is Opcode.BINARY or opcode is Opcode.CONT:
                    if event.fin and not self._parts:
                        messages.append(event.data)  # type: ignore[arg-type]
                        continue
                    self._parts.append(event.data)  # type: ignore[arg-type]
                    if event.fin:
                        messages.append(b"".join(self._parts))
                        self._parts = []
            elif type(event) is Response and not self._handshake.done():
                self._end_handshake()
        if self._protocol.handshake_exc is not None and not self._handshake.done():
            self._handshake.set_exception(self._protocol.handshake_exc)
        if messages:
            self.last_received_at = received_at
            self._handler(messages, received_at)

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

"""One WebSocket connection, on the sans-I/O layer of `websockets`.

The messages of one read of the socket are passed on at once, as one list with one time of receipt. There is no queue
between the socket and the tables: more messages make larger batches, and if we are too slow, the kernel's buffer fills
and TCP's back-pressure slows the server.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidMessage
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import WebSocketURI, parse_uri

from fxlive.core.world import WORLD, World
from fxlive.feeds.framing import cut_frames
from fxlive.feeds.handshake import SWITCHING_PROTOCOLS, Refused, explanation, read_head
from fxlive.feeds.network.dialing import USER_AGENT, dial
from fxlive.feeds.network.proxies import Proxy

MAX_MESSAGE_BYTES = 64 * 2**20
_MAX_INTERIM_RESPONSES = 100
_CLOSE_WAIT_S = 2.0

# At level DEBUG, websockets logs what is sent and received. No configuration can reach this logger: it is not one of
# those that `getLogger` returns, it has no parent and no handler, and it is disabled.
_silent = logging.Logger("fxlive.websockets")  # noqa: LOG001 - see above
_silent.disabled = True

Handler = Callable[[list[bytes], int], None]


LAST_PING = b"fxlive: the last"
"""The content of the last ping before our side ends a connection. The reply shows that nothing before it was lost."""


class Connection(asyncio.Protocol):
    """A WebSocket connection that passes the messages of each read to a handler.

    Parameters
    ----------
    uri
        The server's URL, without secrets.
    handler
        Called with the messages of each read, and their time of receipt in microseconds since 1970 UTC.
    world
        Its clock.
    """

    def __init__(self, uri: WebSocketURI | str, handler: Handler, world: World = WORLD) -> None:
        loop = asyncio.get_running_loop()
        self._protocol = ClientProtocol(
            parse_uri(uri) if isinstance(uri, str) else uri,
            extensions=[ClientPerMessageDeflateFactory(client_max_window_bits=True)],
            max_size=MAX_MESSAGE_BYTES,
            logger=_silent,
        )
        self._handler = handler
        self.world = world
        self._transport: asyncio.Transport | None = None
        self._fragments: list[bytes] = []  # of an incomplete message
        self._unread = bytearray()  # the beginning of an incomplete response or frame
        self._eof = False
        self._last_pong = b""
        self._unread_target = 0  # the length at which `_unread` is parsed again
        self._interim_responses = 0
        self._handshake: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.fault: Exception | None = None  # an exception of our own code, which ended the connection
        self.silent_ticks = 0  # the feed adds 1 a second; every read resets it
        self.last_received_at = self.world.now_us()
        self.last_message_us = self.world.monotonic_us()
        """When the last messages were received, on the clock for durations."""
        self.has_rows = False
        """Whether messages of channels have been received."""
        self.subscribed_us = self.last_message_us
        """When the answer to the last subscription was received, on the same clock."""

    @property
    def ending(self) -> bool:
        """Whether it has ended or is being closed by either side."""
        return self._protocol.state is not State.OPEN

    @property
    def complete(self) -> bool:
        """Whether everything that the server sent before `LAST_PING` or the end has been received."""
        return self._eof or self._protocol.close_rcvd is not None or self._last_pong == LAST_PING

    @property
    def close_code(self) -> int | None:
        """The close code of the server, or 1006 if the connection broke; None while it is open."""
        return self._protocol.close_code if self.closed.done() else None

    @property
    def protocol_error(self) -> str | None:
        """Why our side ended it because of invalid or too large data (code and text); None if it did not."""
        sent = self._protocol.close_sent
        return None if sent is None or sent.code == 1000 else f"{sent.code}: {sent.reason}"

    @property
    def close_reason(self) -> str:
        """The close reason of the server; may be empty."""
        return self._protocol.close_reason or ""

    async def open(
        self,
        authorized: Callable[[bytes], bytes],
        ssl_context: ssl.SSLContext | None,
        proxy: Proxy | None,
    ) -> None:
        """Connect, and perform the opening handshake.

        Parameters
        ----------
        authorized
            Adds the secrets to the bytes of the request. Its result is written and stored nowhere.

        Raises
        ------
        OSError
            If nothing answers, or the certificate is not trusted.
        ProxyError
            If the proxy does not answer or refuses.
        Refused
            If the server refuses.
        websockets.exceptions.InvalidHandshake
            If it is not a WebSocket server.
        """
        await dial(self, self._protocol.uri, ssl_context, proxy)
        request = self._protocol.connect()
        request.headers["User-Agent"] = USER_AGENT  # some firewalls refuse requests without it
        self._protocol.send_request(request)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(authorized(b"".join(self._protocol.data_to_send())))
        await self._handshake

    def send(self, text: str) -> None:
        """Send a text message. If the connection is ending, do nothing: `closed` will be done soon."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_text(text.encode())
            self._flush()

    def ping(self, content: bytes = b"fxlive") -> None:
        """Send a ping, to which the server must reply."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_ping(content)
            self._flush()

    async def close(self) -> None:
        """Perform the closing handshake, for at most 2 s; then end the connection."""
        if not self.closed.done():
            if self._handshake.done() and self._protocol.state is State.OPEN:
                self._protocol.send_close(1000)
                self._flush()
                await asyncio.wait({self.closed}, timeout=_CLOSE_WAIT_S)
            self.abort()
            await asyncio.wait({self.closed}, timeout=_CLOSE_WAIT_S)

    def abort(self) -> None:
        """End the connection at once, without a closing handshake."""
        self._handshake.cancel()  # an error set later would be logged as never retrieved
        if self._transport is not None:
            self._transport.abort()

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # by its methods: other loops' are not of this class

    def data_received(self, data: bytes) -> None:
        try:
            self._take(data)
        except Exception as error:  # asyncio would log it, and report a lost connection
            self._fail(error)

    def eof_received(self) -> None:
        self._eof = True
        if not self._unread:
            self._fail_unanswered(None)
        try:
            self._end_of_stream()
            self._flush()
        except Exception as error:
            self._fail(error)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail_unanswered(error)
        try:
            if self._protocol.state is not State.CLOSED:
                self._end_of_stream()
        except Exception as fault:
            self._fail(fault)
        if not self.closed.done():
            self.closed.set_result(None)

    def _take(self, data: bytes) -> None:
        received_at = self.world.now_us()
        self.silent_ticks = 0
        if self._unread:
            self._unread += data
            if len(self._unread) < self._unread_target:
                return
            data, self._unread = bytes(self._unread), bytearray()
        messages: list[bytes] = []
        self._read(data, messages)
        self._flush()
        if messages:
            self.last_received_at, self.last_message_us = received_at, self.world.monotonic_us()
            self._handler(messages, received_at)

    def _fail(self, fault: Exception) -> None:
        """End the connection because of an exception of our own code."""
        self.fault = self.fault or fault
        self._fail_handshake(fault)

    def _read(self, data: bytes, messages: list[bytes]) -> None:
        """Append the messages in `data` to `messages`. Keep the beginning of an incomplete one for the next call."""
        at = 0
        while at < len(data):
            if self._protocol.state is State.OPEN:
                at, stop = cut_frames(data, at, messages, MAX_MESSAGE_BYTES, plain=not self._fragments)
                if stop > len(data):
                    self._unread, self._unread_target = bytearray(data[at:]), stop - at
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
                    self._unread, self._unread_target = bytearray(data[at:]), len(data) - at + 1
                    return
                if head.interim and self._interim_responses < _MAX_INTERIM_RESPONSES:
                    self._interim_responses += 1
                    at = head.stop
                    continue
                if head.status != SWITCHING_PROTOCOLS:
                    self._fail_handshake(Refused(head, explanation(head, data[head.stop :])))
                    return
                stop = head.stop  # the library parses the head alone: frames may follow it in the same read
            self._protocol.receive_data(data[at:stop])
            self._take_events(messages)
            at = stop

    def _fail_handshake(self, error: Exception) -> None:
        """Fail the handshake and end the connection, without waiting for the response's body."""
        if not self._handshake.done():
            self._handshake.set_exception(error)
        self.abort()

    def _fail_unanswered(self, error: Exception | None) -> None:
        """Fail a handshake to which there will be no answer, because of an error or because the server hung up."""
        if not self._handshake.done():
            self._handshake.set_exception(error or ConnectionResetError("the server hung up during the handshake"))

    def _take_events(self, messages: list[bytes]) -> None:
        """Append the messages that the library has parsed."""
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                if event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                    self._fragments.append(bytes(event.data))
                    if event.fin:
                        messages.append(b"".join(self._fragments))
                        self._fragments = []
                elif event.opcode is Opcode.PONG:
                    self._last_pong = bytes(event.data)
            elif not self._handshake.done():
                self._end_handshake()
        if self._protocol.handshake_exc is not None and not self._handshake.done():
            self._handshake.set_exception(self._protocol.handshake_exc)

    def _end_of_stream(self) -> None:
        if self._unread:
            self._protocol.receive_data(bytes(self._unread))
            self._unread.clear()
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

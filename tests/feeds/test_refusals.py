"""Refused handshakes: the status and the headers give the typed error, whether or not a body follows.

No test measures time. If a session waited for the body until its timeout, the error would be "did not answer".
"""

from __future__ import annotations

import queue
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.server import ServerProtocol

import fxlive
from fxlive.feeds.connection import Connection
from fxlive.feeds.handshake import MAX_HEAD_BYTES
from tests.handmade import (  # noqa: F401
    PATIENCE_S,
    QUIET_HOST,
    TOKEN,
    acknowledged,
    clean_slate,
    quick,
    quote,
    refused,
    tcp_server,
    wait_until,
)

TIMEOUT_S = 60.0
ONE_READ_BYTES = 262_144  # the maximum of asyncio

UNAUTHORIZED = b"HTTP/1.1 401 Unauthorized\r\nServer: nginx\r\n"

BODIES = {
    "no body, length 0": (b"Content-Length: 0\r\n", b""),
    "no body, no length": (b"", b""),
    "five bytes": (b"Content-Length: 5\r\n", b"wrong"),
    "no length": (b"", b"wrong"),
    "keep-alive": (b"Connection: keep-alive\r\nContent-Length: 5\r\n", b"wrong"),
    "close": (b"Connection: close\r\nContent-Length: 5\r\n", b"wrong"),
    "length never sent in full": (b"Content-Length: 500\r\n", b"wrong"),
    "length of which nothing is sent": (b"Content-Length: 500\r\n", b""),
    "length of 20 digits": (b"Content-Length: 99999999999999999999\r\n", b"wrong"),
    "length that is not a number": (b"Content-Length: five\r\n", b"wrong"),
    "two lengths": (b"Content-Length: 5\r\nContent-Length: 6\r\n", b"wrong"),
    "more than the length": (b"Content-Length: 2\r\n", b"wrong"),
    "chunked": (b"Transfer-Encoding: chunked\r\n", b"5\r\nwrong\r\n0\r\n\r\n"),
    "chunked, never ended": (b"Transfer-Encoding: chunked\r\n", b"5\r\nwrong\r\n"),
    "chunked, malformed": (b"Transfer-Encoding: chunked\r\n", b"wrong\r\n"),
    "gzip": (
        b"Content-Encoding: gzip\r\nTransfer-Encoding: gzip, chunked\r\n",
        b"5\r\n\x1f\x8b\x08\x00\x00\r\n0\r\n\r\n",
    ),
    "blank lines in the body": (b"", b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
}


class Wire:
    """Records the reads of our connections, and sends segments one by one, each after the former has been read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reads: list[int] = []
        self.requests: list[bytes] = []
        self.most_kept = 0  # the most bytes that a connection kept of an incomplete response
        self._events: queue.Queue[str] = queue.Queue()
        data_received, connection_lost = Connection.data_received, Connection.connection_lost

        def note_data(connection: Connection, data: bytes) -> None:
            data_received(connection, data)
            self.reads.append(len(data))
            self.most_kept = max(self.most_kept, len(connection._unread))
            self._events.put("read")

        def note_end(connection: Connection, error: Exception | None) -> None:
            connection_lost(connection, error)
            self._events.put("ended")

        monkeypatch.setattr(Connection, "data_received", note_data)
        monkeypatch.setattr(Connection, "connection_lost", note_end)

    def send(self, connection: socket.socket, segments: Sequence[bytes]) -> None:
        """Send the segments, until the client hangs up."""
        while not self._events.empty():  # events of an earlier connection
            self._events.get()
        for segment in segments:
            with suppress(OSError):
                connection.sendall(segment)
            if self._events.get(timeout=PATIENCE_S) == "ended":
                return

    @contextmanager
    def server(self, *segments: bytes) -> Iterator[str]:
        """Answer each request with these segments, and leave the connection open."""

        def answer(connection: socket.socket) -> None:
            self.requests.append(connection.recv(65_536))
            self.send(connection, segments)
            with suppress(OSError):
                while connection.recv(4096):
                    pass

        with tcp_server(answer) as address:
            yield f"ws://{address}/api/ws"


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    return Wire(monkeypatch)


def check_refused_token(error: fxlive.FxliveError) -> None:
    assert type(error) is fxlive.AuthenticationError
    assert error.status == 401
    assert "refused the token (401): it is wrong or has expired. Get a new one." in str(error)


def single_bytes(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


# Bodies and segments


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("segments", ["one", "headers first", "single bytes"])
def test_a_refused_token_is_reported_with_any_body_on_a_connection_that_stays_open(
    wire: Wire, body: str, segments: str
) -> None:
    headers, content = BODIES[body]
    head = UNAUTHORIZED + headers + b"\r\n"
    sent = {"one": [head + content], "headers first": [head, content], "single bytes": single_bytes(head + content)}
    with wire.server(*filter(None, sent[segments])) as url:
        check_refused_token(refused(url, timeout=TIMEOUT_S))
    assert sum(wire.reads) == len(head + content if segments == "one" else head)  # the body is not read
    assert len(wire.requests) == 1


@pytest.mark.parametrize("cut", range(1, 5))
def test_the_end_of_the_headers_may_be_split_across_segments(wire: Wire, cut: int) -> None:
    head = UNAUTHORIZED + b"Content-Length: 5\r\n\r\n"
    with wire.server(head[:-cut], head[-cut:] + b"wrong") as url:
        check_refused_token(refused(url, timeout=TIMEOUT_S))
    assert wire.reads == [len(head) - cut, cut + 5]


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.0 401 Unauthorized\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 401\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 401 Unauthorized\nContent-Length: 5\n\n",
        b"HTTP/1.1 401 Unauthorized\r\nthis is not a header\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 401 Unauthorized\r\nX-Bell: \x07\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 401 Unauthorized\r\nX-Long: " + b"x" * 20_000 + b"\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 401 Unauthorized\r\n" + b"X-Many: x\r\n" * 1_000 + b"Content-Length: 5\r\n\r\n",
    ],
    ids=["HTTP/1.0", "no reason", "bare line feeds", "no header", "control character", "long header", "many headers"],
)
def test_a_refused_token_is_reported_by_servers_that_are_not_strict(wire: Wire, head: bytes) -> None:
    with wire.server(head) as url:
        check_refused_token(refused(url, timeout=TIMEOUT_S))


def test_a_refused_token_is_reported_over_tls(wire: Wire, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "its.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", QUIET_HOST).configure_cert(context)

    def answer(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(65_536)
            wire.send(tls, [UNAUTHORIZED + b"Content-Length: 500\r\n\r\nwrong"])
            with suppress(OSError):
                tls.recv(1)

    with tcp_server(answer) as address:
        check_refused_token(refused(f"wss://{address}/api/ws", ca=str(tmp_path / "its.pem"), timeout=TIMEOUT_S))


# Statuses


@pytest.mark.parametrize("content", [b"", b"Sorry"], ids=["no body", "body"])
@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (200, fxlive.ConnectionFailed, "answered with 200 instead of a WebSocket. Is the path right?"),
        (204, fxlive.ConnectionFailed, "answered with 204 instead of a WebSocket."),
        (301, fxlive.ConnectionFailed, "answered with 301 instead of a WebSocket."),
        (304, fxlive.ConnectionFailed, "answered with 304 instead of a WebSocket."),
        (308, fxlive.ConnectionFailed, "answered with 308 instead of a WebSocket."),
        (400, fxlive.ConnectionFailed, "answered with 400 instead of a WebSocket."),
        (401, fxlive.AuthenticationError, "refused the token (401)"),
        (403, fxlive.ConnectionDenied, "does not allow this user in (403)"),
        (404, fxlive.ConnectionFailed, "answered with 404 instead of a WebSocket. Is the path right?"),
        (426, fxlive.ConnectionFailed, "answered with 426 instead of a WebSocket."),
        (429, fxlive.RateLimitError, "too many connections (429). Try again in 7 s."),
        (500, fxlive.ServerUnavailable, "is not available (500). Try again later."),
        (502, fxlive.ServerUnavailable, "is not available (502). Try again later."),
        (503, fxlive.ServerUnavailable, "is not available (503). Try again later."),
    ],
)
def test_the_status_gives_the_type_of_the_error_with_and_without_a_body(
    wire: Wire, status: int, kind: type[fxlive.ConnectionFailed], text: str, content: bytes
) -> None:
    head = b"HTTP/1.1 %d Its Reason\r\nRetry-After: 7\r\nLocation: /there\r\nContent-Length: %d\r\n\r\n"
    with wire.server(head % (status, len(content)) + content) as url:
        error = refused(url, timeout=TIMEOUT_S)
    assert type(error) is kind
    assert getattr(error, "status", None) == status
    assert text in str(error)
    if isinstance(error, fxlive.RateLimitError | fxlive.ServerUnavailable):
        assert error.retry_after_s == 7.0
    assert len(wire.requests) == 1  # a redirect is not followed


def test_the_first_of_two_retry_after_headers_counts(wire: Wire) -> None:
    with wire.server(b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nRetry-After: 8\r\n\r\n") as url:
        error = refused(url, timeout=TIMEOUT_S)
    assert isinstance(error, fxlive.RateLimitError)
    assert error.retry_after_s == 7.0


def test_a_refused_token_is_renewed_once_by_a_token_function(wire: Wire) -> None:
    calls: list[int] = []

    def token() -> str:
        calls.append(1)
        return f"{TOKEN}-{len(calls)}"

    with wire.server(UNAUTHORIZED + b"Content-Length: 500\r\n\r\nwrong") as url:
        check_refused_token(refused(url, token, timeout=TIMEOUT_S))
    assert [f"{TOKEN}-{n}".encode() in request for n, request in enumerate(wire.requests, 1)] == [True, True]
    assert len(calls) == 2


def test_a_refusal_while_reconnecting_ends_the_session_with_its_error(quick: None) -> None:  # noqa: F811
    connections: list[socket.socket] = []

    def answer(connection: socket.socket) -> None:
        connections.append(connection)
        if len(connections) == 1:
            peer = Peer(connection)
            connection.sendall(peer.accept())
            peer.serve()
        else:
            connection.recv(65_536)
            connection.sendall(UNAUTHORIZED + b"Content-Length: 500\r\n\r\nwrong")
            with suppress(OSError):
                connection.recv(1)

    with (
        tcp_server(answer) as address,
        fxlive.connect(f"ws://{address}/api/ws", TOKEN, channels=["market-data"], timeout=TIMEOUT_S) as session,
    ):
        connections[0].shutdown(socket.SHUT_RDWR)
        wait_until(lambda: session.state == "failed")
        assert session.error is not None
        check_refused_token(session.error)
        assert len(connections) == 2


# Interim responses


@pytest.mark.parametrize(
    "interim",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n" * 3,
    ],
    ids=["100", "103", "three of 102"],
)
@pytest.mark.parametrize("segments", ["one", "two", "single bytes"])
def test_interim_responses_are_skipped_before_a_refusal(wire: Wire, interim: bytes, segments: str) -> None:
    final = UNAUTHORIZED + b"Content-Length: 5\r\n\r\n"
    sent = {"one": [interim + final], "two": [interim, final], "single bytes": single_bytes(interim + final)}
    with wire.server(*sent[segments]) as url:
        check_refused_token(refused(url, timeout=TIMEOUT_S))


# An accepted WebSocket


class Peer:
    """A WebSocket server on a socket, which can send frames in the same segment as the accepting response."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._protocol = ServerProtocol()
        self._received = self._events()

    def _events(self) -> Iterator[Any]:
        while data := self._connection.recv(65_536):
            self._protocol.receive_data(data)
            yield from self._protocol.events_received()

    def accept(self, *messages: str) -> bytes:
        """Return the bytes of the accepting response, followed by these messages."""
        request = next(self._received)
        assert isinstance(request, Request)
        self._protocol.send_response(self._protocol.accept(request))
        for message in messages:
            self._protocol.send_text(message.encode())
        return b"".join(self._protocol.data_to_send())

    def serve(self) -> None:
        """Acknowledge every request until the client hangs up."""
        with suppress(OSError):
            for event in self._received:
                if isinstance(event, Frame) and event.opcode == 1:
                    self._protocol.send_text(acknowledged(bytes(event.data)).encode())
                self._connection.sendall(b"".join(self._protocol.data_to_send()))
                if self._protocol.close_expected():
                    return


def bids_of_first_frames(wire: Wire, interim: bytes, cuts: Sequence[int] | None) -> list[float]:
    """Send the accepting response and two quotes, cut into segments; return the bids of the session's frame."""

    def answer(connection: socket.socket) -> None:
        peer = Peer(connection)
        sent = interim + peer.accept(quote(1), quote(2))
        starts = range(len(sent)) if cuts is None else [0, *(at % len(sent) for at in cuts)]
        wire.send(connection, [sent[a:b] for a, b in zip(starts, [*starts[1:], len(sent)], strict=True)])
        peer.serve()

    with (
        tcp_server(answer) as address,
        fxlive.connect(f"ws://{address}/api/ws", TOKEN, channels=["market-data"], timeout=TIMEOUT_S) as session,
    ):
        return session.wait_for("market-data", rows=2, timeout=TIMEOUT_S)["bid"].tolist()


@pytest.mark.parametrize("interim", [b"", b"HTTP/1.1 100 Continue\r\n\r\n"], ids=["", "100 before"])
def test_frames_in_the_segment_of_the_accepting_response_are_not_lost(wire: Wire, interim: bytes) -> None:
    assert bids_of_first_frames(wire, interim, []) == [1.0, 2.0]


def test_an_accepting_response_and_its_first_frames_may_come_in_single_bytes(wire: Wire) -> None:
    assert bids_of_first_frames(wire, b"HTTP/1.1 100 Continue\r\n\r\n", None) == [1.0, 2.0]


@pytest.mark.usefixtures("quick")
def test_an_accepting_response_and_its_first_frames_may_be_cut_anywhere(wire: Wire) -> None:
    frames = sum(len(quote(number)) + 4 for number in (1, 2))
    for back in range(1, frames + 12):  # from the end of the frames to eight bytes before the end of the headers
        if back % 7 == 0 or abs(back - frames) < 9:
            assert bids_of_first_frames(wire, b"", [-back]) == [1.0, 2.0], f"cut {back} bytes before the end"


# Other protocols, and endless responses


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"-ERR unknown command 'GET'\r\n",
        b"\x15\x03\x03\x00\x02\x02\x46",
        b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
        b"<html>It works</html>",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.0 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: wrong\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ],
    ids=["ssh", "redis", "tls alert", "http/2", "html", "no status", "101 of HTTP/1.0", "wrong key", "no upgrade"],
)
@pytest.mark.parametrize("segments", ["one", "single bytes"])
def test_another_protocol_is_recognised_while_its_connection_stays_open(
    wire: Wire, garbage: bytes, segments: str
) -> None:
    with wire.server(*([garbage] if segments == "one" else single_bytes(garbage))) as url:
        error = refused(url, timeout=TIMEOUT_S)
    assert type(error) is fxlive.ConnectionFailed
    assert "answers, but not as a WebSocket server" in str(error)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (b"", fxlive.ServerUnavailable, "hung up during the handshake. Does the server want wss?"),
        (b"HTTP/1.1 40", fxlive.ConnectionFailed, "answers, but not as a WebSocket server"),
        (UNAUTHORIZED, fxlive.ConnectionFailed, "answers, but not as a WebSocket server"),
    ],
)
def test_a_server_that_hangs_up_before_its_answer_is_complete_is_recognised(
    answer: bytes, kind: type[Exception], words: str
) -> None:
    def hang_up(connection: socket.socket) -> None:
        with suppress(OSError):
            connection.recv(65_536)
            connection.sendall(answer)

    with tcp_server(hang_up) as address:
        error = refused(f"ws://{address}/api/ws", timeout=TIMEOUT_S)
    assert type(error) is kind
    assert words in str(error)


@pytest.mark.parametrize(
    ("beginning", "repeated", "kind"),
    [
        (UNAUTHORIZED + b"\r\n", b"x", fxlive.AuthenticationError),
        (UNAUTHORIZED + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", fxlive.AuthenticationError),
        (UNAUTHORIZED + b"Content-Length: 999999999999\r\n\r\n", b"x", fxlive.AuthenticationError),
        (UNAUTHORIZED + b"X-Long: ", b"x", fxlive.ConnectionFailed),
        (UNAUTHORIZED, b"X-Many: x\r\n", fxlive.ConnectionFailed),
        (b"HTTP/1.1 ", b"x", fxlive.ConnectionFailed),
        (b"", b"x", fxlive.ConnectionFailed),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", fxlive.ConnectionFailed),
    ],
    ids=["body", "chunks", "body with a length", "header", "headers", "status line", "garbage", "interim responses"],
)
def test_an_endless_response_is_given_up_after_a_few_reads(
    wire: Wire, beginning: bytes, repeated: bytes, kind: type[fxlive.ConnectionFailed]
) -> None:
    stopped = threading.Event()

    def answer(connection: socket.socket) -> None:
        connection.recv(65_536)
        try:
            connection.sendall(beginning)
            while True:
                connection.sendall(repeated * 8_192)
        except OSError:
            stopped.set()

    with tcp_server(answer) as address:
        error = refused(f"ws://{address}/api/ws", timeout=TIMEOUT_S)
        assert stopped.wait(PATIENCE_S)
    assert type(error) is kind
    assert "did not answer" not in str(error)
    assert sum(wire.reads) <= MAX_HEAD_BYTES + ONE_READ_BYTES
    assert wire.most_kept <= MAX_HEAD_BYTES

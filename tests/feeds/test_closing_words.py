"""What a server says when it refuses or closes: its words, its Retry-After, its redirect; and faults of our own."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest
from websockets.http11 import Request
from websockets.sync.server import ServerConnection

import fxlive
from fxlive.core.background import background_loop
from fxlive.feeds import pacing
from fxlive.feeds.connection import Connection
from fxlive.feeds.network.retry_after import asked_wait_s
from tests.handmade import (  # noqa: F401
    PATIENCE_S,
    TOKEN,
    acknowledged,
    clean_slate,
    grant_everything,
    platform,
    quick,
    quote,
    refused,
    tcp_server,
    wait_until,
)


def answering(head: str, body: bytes = b"") -> Callable[[socket.socket], None]:
    def answer(client: socket.socket) -> None:
        client.recv(65_536)
        client.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)

    return answer


def refusal(head: str, body: bytes = b"") -> Any:
    with tcp_server(answering(head, body)) as address:
        return refused(f"ws://{address}/api/ws")


# Retry-After

NOW = 1_795_794_000.0


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        ("7", 7.0),
        ("7.5", 7.5),
        ("0", 0.0),
        ("1795794060", 60.0),  # Unix time
        ("1795794060.5", 60.5),
        ("1795794060000", 60.0),  # in milliseconds
        ("1795793000", 0.0),  # past
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW - 90, usegmt=True), 0.0),
        ("9" * 400, float("inf")),
        *((text, None) for text in ("-5", "soon", "", "nan", "inf", "1e3", "0x10", "٣", "7 s", "7, 8", "Mon, 99 Foo")),
    ],
)
def test_every_form_of_retry_after_is_read(text: str, wait_s: float | None) -> None:
    assert asked_wait_s(text, NOW) == wait_s


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("asked", "wait_s", "shown"),
    [
        ("45", 45.0, "45 s"),
        ("99999999", 600.0, "It asks for more, but fxlive waits at most 600 s."),
        ("9" * 400, 600.0, "It asks for more, but fxlive waits at most 600 s."),
        (formatdate(NOW + 45, usegmt=True), 45.0, "45 s"),
        (str(int(NOW) + 45), 45.0, "45 s"),
        (str(int(NOW + 45) * 1000), 45.0, "45 s"),
    ],
)
def test_retry_after_is_shown_and_honoured_up_to_ten_minutes(
    status: int, asked: str, wait_s: float, shown: str
) -> None:
    # The server's own clock counts: it may differ from ours.
    error = refusal(f"HTTP/1.1 {status} No\nDate: {formatdate(NOW, usegmt=True)}\nRetry-After: {asked}")
    assert error.retry_after_s == wait_s
    assert shown in str(error)


def test_without_a_date_of_the_server_our_clock_counts() -> None:
    error = refusal(f"HTTP/1.1 429 No\nRetry-After: {int(time.time()) + 300}")
    assert 200 < error.retry_after_s <= 300


def test_no_wait_is_longer_than_a_server_may_ask_for() -> None:
    attempts = pacing.ReconnectAttempts(None)
    error = refusal(f"HTTP/1.1 503 No\nRetry-After: {'9' * 400}")
    assert max(attempts.next_wait_s(lambda: 0.5, error.retry_after_s) for _ in range(20)) == 600.0


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://other.example/api/v2/ws", "wss://other.example/api/v2/ws"),
        ("wss://me:pw@other.example/ws?token=abc#x", "wss://other.example/ws"),
        ("/there", "ws://{address}/there"),
        ("//other.example/ws", "ws://other.example/ws"),
        ("https://[half", "an invalid address"),
        (f"https://other.example/{TOKEN}/ws", "wss://other.example/***/ws"),
        ("https://other.example/" + "x" * 5_000, "wss://other.example/" + "x" * 100),
    ],
)
def test_a_redirect_is_named_and_not_followed(status: int, location: str, shown: str) -> None:
    with tcp_server(answering(f"HTTP/1.1 {status} Moved\nLocation: {location}")) as address:
        error = refused(f"ws://{address}/api/ws")
    assert type(error) is fxlive.ConnectionFailed
    assert error.status == status
    assert f"answered with {status} instead of a WebSocket. It points to {shown.format(address=address)}" in str(error)
    assert str(error).endswith("which fxlive does not follow. Pass that address if you trust it.")
    assert len(str(error)) < 500


# Words


@pytest.mark.parametrize(
    ("headers", "body", "words"),
    [
        ("Content-Type: application/json", b'{"error": "Token expired"}', "Token expired"),
        ("Content-Type: application/json", b'{"message": "No seat", "error": "denied"}', "No seat"),
        ("Content-Type: application/json", b'{"error": {"message": "Deep"}}', "Deep"),
        ("Content-Type: application/problem+json", b'{"title": "Locked", "status": 401}', "Locked"),
        ("Content-Type: text/plain; charset=utf-8", "Zu früh\r\n\x1b[31m rot".encode(), "Zu früh [31m rot"),
        ("Transfer-Encoding: chunked", b"5\r\nwrong\r\n0\r\n\r\n", "wrong"),
        ("Content-Length: 3", b"yesNOT THIS", "yes"),
        ("", b"x" * 5_000, "x" * 197 + "..."),
        ("", f"your token {TOKEN}".encode(), "your token ***"),
    ],
)
def test_the_words_of_a_refusal_that_come_at_once_are_shown(headers: str, body: bytes, words: str) -> None:
    error = refusal(f"HTTP/1.1 401 Unauthorized\n{headers or 'Server: x'}", body)
    assert type(error) is fxlive.AuthenticationError
    assert f" says {words!r}. It refused the token (401): " in str(error)
    assert str(error).endswith("Get a new one.")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ("Content-Type: text/html", b"<h1>Unauthorized</h1>"),
        ("Server: x", b"<!doctype html><p>no</p>"),
        ("Content-Encoding: gzip", b"\x1f\x8b\x08\0\0"),
        ("Content-Type: image/png", b"\x89PNG"),
        ("Server: x", b"\xff\xfe\0w"),
        ("Content-Type: application/json", b'{"code": 17}'),
        ("Content-Type: application/json", b'["no", "words"]'),
        ("Transfer-Encoding: chunked", b"wrong"),
        ("Content-Length: 0", b""),
        ("Server: x", b" \r\n "),
    ],
)
def test_a_body_that_is_not_text_is_not_shown(headers: str, body: bytes) -> None:
    error = refusal(f"HTTP/1.1 401 Unauthorized\n{headers}", body)
    assert "says" not in str(error)
    assert type(error) is fxlive.AuthenticationError


# Close codes


@pytest.mark.parametrize(
    ("reason", "kind", "explanation"),
    [
        ("no pong", fxlive.ConnectionFailed, "Our replies to its pings came too late"),
        ("stopping: too many requests", fxlive.RateLimitError, "A rule was broken"),
        ("keepalive ping timeout", fxlive.ConnectionFailed, "Our replies to its pings came too late"),
        ("rate limit exceeded", fxlive.RateLimitError, "A rule was broken, such as a rate limit."),
        ("", fxlive.RateLimitError, "A rule was broken, such as a rate limit."),
        ("account locked", fxlive.RateLimitError, ""),
    ],
)
def test_a_close_by_1008_gives_the_words_of_the_server_first(reason: str, kind: type, explanation: str) -> None:
    with platform(lambda client: client.close(1008, reason)) as url:
        error = refused(url)
    words = f"The platform closed the connection (1008{f': {reason}' if reason else ''})."
    assert str(error) == f"{words} {explanation}".strip() or str(error).startswith(f"{words} {explanation}")
    assert type(error) is kind
    if not explanation:
        assert str(error) == words


# The URL and the request


@pytest.mark.parametrize("user", ["me:pw-of-the-user", "me", "me:", ":pw-of-the-user"])
@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_credentials_in_the_url_are_refused_in_words(scheme: str, user: str) -> None:
    error = refused(f"{scheme}://{user}@host/api/ws")
    assert type(error) is fxlive.ConnectionFailed
    assert f"'{scheme}://host/api/ws' must not hold a user or a password" in str(error)
    assert "pass the platform's token as token=" in str(error)
    assert "pw-of-the-user" not in f"{error!r} {vars(error)}"


def test_the_request_names_its_user_agent() -> None:
    requests: list[Request] = []
    with platform(grant_everything, process_request=lambda _, request: requests.append(request)) as url:
        fxlive.connect(url, TOKEN).close()
    assert requests[0].headers["User-Agent"] == "fxlive"


# Faults of our own


def test_an_exception_in_a_callback_of_the_handshake_is_the_cause_of_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(connection: Connection, data: bytes, messages: list[bytes]) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(Connection, "_read", broken)
    with platform(grant_everything) as url:
        error = refused(url)
    assert type(error) is fxlive.ConnectionFailed
    assert "An internal error ended the connection: ZeroDivisionError." in str(error)
    assert isinstance(error.__cause__, ZeroDivisionError)


@pytest.mark.usefixtures("quick")
def test_an_exception_while_receiving_is_reported_and_not_an_endless_reconnect(monkeypatch: pytest.MonkeyPatch) -> None:
    connections: list[int] = []
    connected = threading.Event()

    def handler(client: ServerConnection) -> None:
        connections.append(1)
        client.send(acknowledged(client.recv()))
        connected.wait(PATIENCE_S)
        client.send(quote(1))
        for _ in client:
            pass

    read = Connection._read

    def broken(connection: Connection, data: bytes, messages: list[bytes]) -> None:
        read(connection, data, messages)
        if any(b'"q1"' in message for message in messages):
            raise ZeroDivisionError("ours")

    monkeypatch.setattr(Connection, "_read", broken)
    with platform(handler) as url, fxlive.connect(url, TOKEN, channels=["market-data"]) as session:
        connected.set()
        wait_until(lambda: session.state == "failed")
        assert "An internal error ended the connection: ZeroDivisionError." in str(session.error)
        assert isinstance(session.error.__cause__, ZeroDivisionError)  # type: ignore[union-attr]
    assert len(connections) == 1
    assert background_loop().is_running()


@pytest.mark.usefixtures("quick")
def test_after_a_long_time_an_exception_while_receiving_costs_a_gap_that_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from fxlive.feeds import live

    monkeypatch.setattr(live, "STABLE_AFTER_S", 0.0)
    broken_once: list[int] = []
    connected = threading.Event()
    read = Connection._read

    def broken(connection: Connection, data: bytes, messages: list[bytes]) -> None:
        read(connection, data, messages)
        if any(b'"q1"' in message for message in messages) and not broken_once:
            broken_once.append(1)
            raise ZeroDivisionError("ours")

    def handler(client: ServerConnection) -> None:
        client.send(acknowledged(client.recv()))
        connected.wait(PATIENCE_S)
        client.send(quote(2 if broken_once else 1))
        for _ in client:
            pass

    monkeypatch.setattr(Connection, "_read", broken)
    with platform(handler) as url, fxlive.connect(url, TOKEN, channels=["market-data"]) as session:
        connected.set()
        assert session.wait_for("market-data", rows=1, timeout=PATIENCE_S)["id"].tolist() == ["q2"]
        [reason] = session.gaps()["reason"]
        assert "An internal error ended the connection: ZeroDivisionError." in reason


UVLOOP = """
import asyncio, sys
import uvloop
{install}
import fxlive
from fxlive.core.background import background_loop

async def main(url):
    async with fxlive.Session(url, "a-token-of-some-length", channels=["trades"]) as session:
        print(session.state, type(background_loop()).__module__)

if {blocking}:
    with fxlive.connect(sys.argv[1], "a-token-of-some-length", channels=["trades"]) as session:
        print(session.state, type(background_loop()).__module__)
else:
    {run}
"""


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop does not exist for Windows")
@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize(
    ("install", "run"),
    [
        ("uvloop.install()", "asyncio.run(main(sys.argv[1]))"),
        ("asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())", "asyncio.run(main(sys.argv[1]))"),
        ("", "uvloop.run(main(sys.argv[1]))"),
    ],
)
def test_a_session_connects_whatever_loop_the_process_has_installed(install: str, run: str, blocking: bool) -> None:
    pytest.importorskip("uvloop")
    code = UVLOOP.format(install=install, run=run, blocking=blocking)
    with platform(grant_everything) as url:
        result = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code, url], capture_output=True, text=True, timeout=PATIENCE_S
        )
    assert result.stdout.split() == ["connected", "asyncio.unix_events"], result.stderr
    assert result.stderr == ""


def test_the_background_loop_is_of_asyncio() -> None:
    assert type(background_loop()).__module__.startswith("asyncio.")
    assert isinstance(background_loop(), asyncio.BaseEventLoop)

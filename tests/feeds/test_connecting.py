"""Connecting: URL, token and TLS, and the errors of a connection that fails."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import trustme
from websockets.http11 import Request
from websockets.sync.server import ServerConnection

import fxlive
from fxlive.feeds import pacing
from fxlive.simulator.fixture import SimulatorFactory
from tests.handmade import (  # noqa: F401
    PATIENCE_S,
    TOKEN,
    acknowledged,
    clean_slate,
    grant_everything,
    interruptible,
    platform,
    refused,
    tasks,
    tcp_server,
    wait_until,
)

# URL and token


def test_url_and_token_come_from_arguments_or_the_environment(
    fx_simulator: SimulatorFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fxlive.connect(fx_simulator.url, fx_simulator.token()) as session:
        assert session.state == "connected"
    monkeypatch.setenv("FXLIVE_URL", fx_simulator.url)
    monkeypatch.setenv("FXLIVE_TOKEN", fx_simulator.token())
    with fxlive.connect() as session:
        assert (session.state, session.url) == ("connected", fx_simulator.url)


@pytest.mark.parametrize("auth", ["header", "query"])
def test_the_token_is_sent_in_the_header_or_in_the_query(auth: Any) -> None:
    requests: list[Request] = []

    def process_request(connection: ServerConnection, request: Request) -> None:
        requests.append(request)

    with platform(grant_everything, process_request=process_request) as url:
        session = fxlive.connect(f"{url}?tenant=7", TOKEN, auth=auth)
        assert session.url == url
        session.close()
    header, path = requests[0].headers.get("Authorization"), requests[0].path
    if auth == "header":
        assert (header, path) == (f"Bearer {TOKEN}", "/api/ws?tenant=7")
    else:
        assert (header, path) == (None, f"/api/ws?tenant=7&token={TOKEN}")


def test_a_token_in_the_url_is_sent_in_the_url_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FXLIVE_TOKEN", "of-the-environment")
    requests: list[Request] = []
    with platform(grant_everything, process_request=lambda _, request: requests.append(request)) as url:
        session = fxlive.connect(f"{url}?token={TOKEN}")
        assert session.url == url
        assert TOKEN not in repr(session) + session._repr_html_()
        session.close()
    assert requests[0].path == f"/api/ws?token={TOKEN}"
    assert requests[0].headers.get("Authorization") is None


def test_the_token_argument_replaces_the_one_in_the_url() -> None:
    requests: list[Request] = []
    with platform(grant_everything, process_request=lambda _, request: requests.append(request)) as url:
        fxlive.connect(f"{url}?token=stale", TOKEN).close()
    assert (requests[0].path, requests[0].headers["Authorization"]) == ("/api/ws", f"Bearer {TOKEN}")


def test_a_query_parameter_whose_name_ends_in_token_is_not_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FXLIVE_TOKEN", TOKEN)
    with platform(grant_everything) as url:
        fxlive.connect(f"{url}?subtoken=1").close()


def test_a_token_may_come_from_a_plain_or_async_function(fx_simulator: SimulatorFactory) -> None:
    async def fetch() -> str:
        await asyncio.sleep(0.01)
        return fx_simulator.token()

    for source in (fx_simulator.token, fetch):
        with fxlive.connect(fx_simulator.url, source) as session:
            assert session.state == "connected"


def test_the_error_without_url_or_token_names_the_variable_to_set() -> None:
    with pytest.raises(fxlive.ConnectionFailed, match=r"set FXLIVE_URL, or try fxlive.demo"):
        fxlive.connect()
    with pytest.raises(fxlive.AuthenticationError, match=r"Pass token=..., or set FXLIVE_TOKEN"):
        fxlive.connect("ws://127.0.0.1:1/api/ws")
    with pytest.raises(fxlive.AuthenticationError, match=r"Pass token=..., or set FXLIVE_TOKEN"):
        fxlive.connect("ws://127.0.0.1:1/api/ws", "")


@pytest.mark.parametrize(
    "url",
    ["http://host/api/ws", "ws://", "wss:///api/ws", "ws://[::1/api", "ws://h:port/", "ws://h:99999/x"],
)
def test_an_invalid_url_is_refused_at_once(url: str) -> None:
    error = refused(f"{url}?token={TOKEN}")

    assert isinstance(error, fxlive.ConnectionFailed)
    assert "is not a WebSocket URL. It must look like wss://host/api/ws." in str(error)


@pytest.mark.parametrize("url", [TOKEN, "nonsense"])
def test_a_value_in_place_of_the_url_is_not_shown_as_it_may_be_the_token(url: str) -> None:
    error = refused(url)

    assert isinstance(error, fxlive.ConnectionFailed)
    assert "It must look like wss://host/api/ws. Are url and token swapped?" in str(error)
    assert url not in str(error)
    assert url not in repr(vars(error))


@pytest.mark.parametrize("url", ["ws://a..b/api/ws", f"ws://{'a' * 70}.invalid/api/ws", "ws://*/api/ws"])
def test_an_invalid_host_name_is_a_failed_connection(url: str) -> None:
    assert isinstance(refused(url, timeout=5.0), fxlive.ConnectionFailed)


def test_an_invalid_option_is_refused_at_once() -> None:
    with pytest.raises(fxlive.UnknownOption, match=r"auth must be header or query, got 'body'\."):
        fxlive.connect("ws://h/api/ws", TOKEN, auth="body")
    with pytest.raises(fxlive.UnknownOption, match=r"auth must be .* got '\*\*\*'") as mixed_up:
        fxlive.connect("ws://h/api/ws", "header", auth=TOKEN)  # type: ignore[arg-type]
    assert TOKEN not in str(mixed_up.value) + str(mixed_up.value.value)
    with pytest.raises(fxlive.UnknownOption, match=r"max_rows must be a whole number of at least 1, got 0\."):
        fxlive.connect("ws://h/api/ws", TOKEN, max_rows=0)
    with pytest.raises(ValueError, match=r"window must be .* got '0s'"):
        fxlive.connect("ws://h/api/ws", TOKEN, window="0s")


@pytest.mark.parametrize(
    "options",
    [
        *({"stale_after": value} for value in (5, "5s", {"trades": "soon"}, {"trades": None})),
        *({"channels": 5}, {"channels": True}, {"ca": True}, {"ca": 5}, {"timeout": "soon"}),
    ],
    ids=str,
)
def test_an_option_of_a_wrong_type_is_refused_at_once(options: dict[str, Any]) -> None:
    [name] = options
    with pytest.raises(fxlive.UnknownOption, match=rf"^{name}.* must be "):
        fxlive.Session("ws://h/api/ws", TOKEN, **options)


def test_a_url_that_is_not_text_is_refused() -> None:
    with pytest.raises(fxlive.ConnectionFailed, match="The URL must be text such as wss://host/api/ws, got dict"):
        fxlive.connect({"url": "ws://h/api/ws"})  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", ["5s", 5, pd.Timedelta("5s"), "5"])
def test_stale_after_accepts_the_usual_forms_of_a_duration(limit: Any) -> None:
    session = fxlive.Session("ws://h/api/ws", TOKEN, stale_after={"trades": limit})
    assert session._pipeline._stale_after_s == {"market-data": 10.0, "trades": 5.0}


@pytest.mark.parametrize("attempts", ["many", "3", 0, -1, 2.5, True])
def test_invalid_reconnect_attempts_are_refused_at_once(attempts: Any) -> None:
    with pytest.raises(fxlive.UnknownOption, match=r"reconnect_attempts must be a whole number of at least 1 or None"):
        fxlive.Session("ws://h/api/ws", TOKEN, reconnect_attempts=attempts)


# Refusals


def test_the_error_of_a_wrong_path_asks_about_the_path(fx_simulator: SimulatorFactory) -> None:
    error = refused(fx_simulator.url.replace("/api/ws", "/api"), fx_simulator.token())

    assert isinstance(error, fxlive.ConnectionFailed)
    assert error.status == 404
    assert "answered with 404 instead of a WebSocket. Is the path right?" in str(error)


def test_a_refused_token_is_an_authentication_error(fx_simulator: SimulatorFactory) -> None:
    error = refused(fx_simulator.url, TOKEN)

    assert isinstance(error, fxlive.AuthenticationError)
    assert (error.status, error.url) == (401, fx_simulator.url)
    assert str(error).endswith("refused the token (401): it is wrong or has expired. Get a new one.")


def test_the_error_of_an_expired_token_says_that_it_has_expired(fx_simulator: SimulatorFactory) -> None:
    error = refused(fx_simulator.url, fx_simulator.token(-1))

    assert isinstance(error, fxlive.AuthenticationError)
    assert "refused the token (401): it has expired. Get a new one." in str(error)


def test_the_token_function_is_called_once_more_after_a_refusal_and_the_next_refusal_is_final(
    fx_simulator: SimulatorFactory,
) -> None:
    returned: list[str] = []

    def token() -> str:
        returned.append(fx_simulator.token(-1) if len(returned) != 1 else fx_simulator.token())
        return returned[-1]

    fxlive.connect(fx_simulator.url, token).close()
    assert len(returned) == 2

    error = refused(fx_simulator.url, lambda: returned.append("refused") or TOKEN)
    assert isinstance(error, fxlive.AuthenticationError)
    assert returned[2:] == ["refused", "refused"]


def test_a_token_function_that_raises_is_called_once_and_its_exception_is_the_cause(
    fx_simulator: SimulatorFactory,
) -> None:
    calls = []

    def token() -> str:
        calls.append(1)
        raise LookupError("no vault")

    error = refused(fx_simulator.url, token)
    assert isinstance(error, fxlive.AuthenticationError)
    assert isinstance(error.__cause__, LookupError)
    assert len(calls) == 1
    assert fx_simulator.default.accepted == 0


def test_a_token_function_that_never_returns_fails_after_the_timeout(fx_simulator: SimulatorFactory) -> None:
    async def token() -> str:
        await asyncio.sleep(3600)
        return TOKEN

    error = refused(fx_simulator.url, token, timeout=0.3)
    assert isinstance(error, fxlive.AuthenticationError)
    assert "did not return within 0.3 s" in str(error)


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (403, fxlive.ConnectionDenied, "does not allow this user in (403)"),
        (429, fxlive.RateLimitError, "too many connections (429). Try again in 7 s."),
        (503, fxlive.ServerUnavailable, "is not available (503). Try again later."),
    ],
)
def test_the_status_of_a_refusal_gives_the_type_of_the_error(
    fx_simulator: SimulatorFactory, status: int, kind: type[fxlive.FxliveError], text: str
) -> None:
    fx_simulator.faults.refuse(status, retry_after=7 if status != 403 else None)
    error = refused(fx_simulator.url, fx_simulator.token())

    assert type(error) is kind
    assert text in str(error)
    assert getattr(error, "retry_after_s", 7.0) == 7.0
    with fxlive.connect(fx_simulator.url, fx_simulator.token()) as session:  # only one connection was refused
        assert session.state == "connected"


@pytest.mark.parametrize("retry_after", ["soon", "", "-5", "nan", "inf"])
def test_an_invalid_retry_after_is_ignored(retry_after: str) -> None:
    def process_request(connection: ServerConnection, request: Request) -> Any:
        response = connection.respond(429, "slow down")
        response.headers["Retry-After"] = retry_after
        return response

    with platform(grant_everything, process_request=process_request) as url:
        error = refused(url)
    assert isinstance(error, fxlive.RateLimitError)
    assert error.retry_after_s is None
    assert "Try again in a minute." in str(error)


def test_the_eleventh_connection_in_a_minute_is_refused_without_connecting(fx_simulator: SimulatorFactory) -> None:
    for _ in range(pacing.CONNECTIONS_PER_MINUTE):
        fxlive.connect(fx_simulator.url, fx_simulator.token(), channels=["system"]).close()
    error = refused(fx_simulator.url, fx_simulator.token())

    assert isinstance(error, fxlive.RateLimitError)
    assert error.retry_after_s is not None
    assert 0 < error.retry_after_s <= 61  # a second more, because connections differ in their way to the platform
    assert re.search(r"the platform's limit\. Try again in \d+ s\.", str(error))
    assert fx_simulator.default.accepted == 10


# No server, or a server of another protocol


def test_the_error_of_an_unreachable_port_asks_about_address_and_server() -> None:
    with socket.socket() as bound:  # but not listening
        bound.bind(("127.0.0.1", 0))
        error = refused(f"ws://127.0.0.1:{bound.getsockname()[1]}/api/ws")

    assert isinstance(error, fxlive.ServerUnavailable)
    assert "Nothing answers at" in str(error)
    assert "Is the address right, and the server up?" in str(error)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_server_that_never_answers_fails_the_connection_after_the_timeout(scheme: str) -> None:
    def listen_in_silence(connection: socket.socket) -> None:
        while connection.recv(4096):
            pass

    with tcp_server(listen_in_silence) as address:
        began = time.monotonic()
        error = refused(f"{scheme}://{address}/api/ws", timeout=0.3)
        took_s = time.monotonic() - began
    assert isinstance(error, fxlive.ServerUnavailable)
    assert "did not answer within 0.3 s" in str(error)
    assert took_s >= 0.3


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 301 Moved\r\nLocation: https://elsewhere/\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: wrong\r\n\r\n",
        b"\x15\x03\x03\x00\x02\x02\x46",
    ],
    ids=["http", "redirect", "ssh", "wrong key", "tls alert"],
)
def test_a_server_of_another_protocol_is_recognised(answer: bytes) -> None:
    def speak(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    with tcp_server(speak) as address:
        error = refused(f"ws://{address}/api/ws")
    assert isinstance(error, fxlive.ConnectionFailed)
    assert "WebSocket" in str(error)


# wss


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def test_a_certificate_of_a_private_authority_is_accepted_with_ca_only(
    fx_simulator: SimulatorFactory, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator = fx_simulator(ssl=server_context(authority, "127.0.0.1"))
    error = refused(simulator.url, simulator.token())
    assert isinstance(error, fxlive.ConnectionFailed)
    assert "is not trusted" in str(error)
    assert "pass ca='its.pem'" in str(error)

    authority.cert_pem.write_to_path(str(tmp_path / "its.pem"))
    with fxlive.connect(simulator.url, simulator.token(), ca=str(tmp_path / "its.pem")) as session:
        assert len(session.wait_for("market-data", rows=20, timeout=PATIENCE_S)) >= 20
    monkeypatch.setenv("HOME", str(tmp_path))
    with fxlive.connect(simulator.url, simulator.token(), ca="~/its.pem") as session:
        assert session.state == "connected"
    own = ssl.create_default_context(cafile=str(tmp_path / "its.pem"))
    with fxlive.connect(simulator.url, simulator.token(), ca=own) as session:
        assert session.state == "connected"


def test_a_certificate_for_another_host_is_refused(
    fx_simulator: SimulatorFactory, authority: trustme.CA, tmp_path: Path
) -> None:
    simulator = fx_simulator(ssl=server_context(authority, "platform.example"))
    authority.cert_pem.write_to_path(str(tmp_path / "its.pem"))

    assert "is not trusted" in str(refused(simulator.url, simulator.token(), ca=str(tmp_path / "its.pem")))


def test_the_error_of_wss_to_a_plain_ws_server_asks_about_wss(fx_simulator: SimulatorFactory) -> None:
    error = refused(fx_simulator.url.replace("ws://", "wss://"), fx_simulator.token())

    assert isinstance(error, fxlive.ConnectionFailed)
    assert "Does the server speak wss?" in str(error)


def test_the_error_of_an_unreadable_certificate_file_names_it(tmp_path: Path) -> None:
    (tmp_path / "not.pem").write_text("hello")
    for file in (tmp_path / "missing.pem", tmp_path / "not.pem"):
        error = refused("wss://127.0.0.1:1/api/ws", ca=str(file))
        assert isinstance(error, fxlive.ConnectionFailed)
        assert file.name in str(error)


# Interrupts


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("received_by", ["the main thread", "another thread"])
def test_an_interrupt_while_connecting_leaves_nothing_open(received_by: str) -> None:
    """A signal that another thread receives does not end a blocking wait of the main thread by itself."""
    connected, gone = threading.Event(), threading.Event()

    def listen_in_silence(connection: socket.socket) -> None:
        connected.set()
        while connection.recv(4096):
            pass
        gone.set()

    def interrupt() -> None:
        connected.wait(PATIENCE_S)
        thread = threading.main_thread() if received_by == "the main thread" else threading.current_thread()
        signal.pthread_kill(thread.ident or 0, signal.SIGINT)

    with tcp_server(listen_in_silence) as address:
        threading.Thread(target=interrupt, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            fxlive.connect(f"ws://{address}/api/ws", TOKEN, timeout=PATIENCE_S)
        assert gone.wait(PATIENCE_S)
    assert fxlive.sessions() == []
    wait_until(lambda: not tasks())


# Forms of an error that the reference leaves open


def answering(*answers: str) -> Callable[[ServerConnection], None]:
    """Return a handler that answers the first request with these messages; \"ack\" is an acknowledgement."""

    def handler(socket: ServerConnection) -> None:
        request = socket.recv()
        for answer in answers:
            socket.send(acknowledged(request) if answer == "ack" else answer)
        for _ in socket:
            pass

    return handler


@pytest.mark.parametrize("field", ["error", "message", "code", "status"])
@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Invalid channel", fxlive.InvalidChannel),
        ("Permission denied", fxlive.PermissionDenied),
        ("Invalid subscription", fxlive.InvalidSubscription),
        ("Authentication failed", fxlive.AuthenticationError),
        ("Rate limit exceeded", fxlive.RateLimitError),
        ("INVALID_CHANNEL", fxlive.InvalidChannel),
        ("permission-denied", fxlive.PermissionDenied),
        ("Something else", fxlive.SubscriptionError),
    ],
)
def test_a_documented_error_is_recognised_in_every_field_and_spelling(
    field: str, words: str, kind: type[fxlive.FxliveError]
) -> None:
    with platform(answering(f'{{"type":"error","{field}":"{words}"}}')) as url:
        error = refused(url, channels=["trades", "orders"])
    assert type(error) is kind
    assert words in str(error)


@pytest.mark.parametrize(
    "answer",
    [
        '{"type":"subscription","status":"error","error":"Permission denied","channels":["trades"]}',
        '{"type":"subscription","status":"error","message":"Permission denied"}',
        '{"type":"subscription","status":"success","message":"Permission denied",'
        '"channels":[{"name":"trades","subscribed":false}]}',
        '{"type":"error","error":"Permission denied","channel":"trades"}',
    ],
)
def test_every_form_of_a_refused_subscription_is_recognised(answer: str) -> None:
    with platform(answering(answer)) as url:
        assert type(refused(url, channels=["trades"])) is fxlive.PermissionDenied


def test_one_refused_channel_of_several_is_named() -> None:
    answer = (
        '{"type":"subscription","status":"success","channels":[{"name":"orders","subscribed":true},'
        '{"name":"trades","subscribed":false}]}'
    )
    with platform(answering(answer)) as url:
        error = refused(url, channels=["trades", "orders"])
    assert isinstance(error, fxlive.SubscriptionError)
    assert error.channel == "trades"
    assert "trades" in str(error)


@pytest.mark.parametrize(
    ("message", "kind", "text"),
    [
        ('"status":"error","message":"Authentication failed"', fxlive.AuthenticationError, "Authentication failed"),
        ('"status":"Rate limit exceeded"', fxlive.RateLimitError, "Rate limit exceeded"),
        ('"status":"closing","message":"down for the weekend"', fxlive.ConnectionFailed, "down for the weekend"),
    ],
)
def test_a_connection_message_with_another_status_than_connected_is_a_refusal(
    message: str, kind: type[fxlive.FxliveError], text: str
) -> None:
    def refuse(socket: ServerConnection) -> None:
        socket.send(f'{{"type":"connection",{message}}}')
        for _ in socket:
            pass

    with platform(refuse) as url:
        error = refused(url, timeout=PATIENCE_S)
    assert type(error) is kind  # a SubscriptionError after the timeout
    assert text in str(error)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (4401, fxlive.AuthenticationError),
        (1008, fxlive.RateLimitError),
        (1013, fxlive.ServerUnavailable),
        (1011, fxlive.ConnectionFailed),
    ],
)
@pytest.mark.parametrize("when", ["at once", "at the request"])
def test_the_code_of_a_close_while_subscribing_gives_the_type_of_the_error(
    code: int, kind: type[fxlive.FxliveError], when: str
) -> None:
    def close(socket: ServerConnection) -> None:
        if when == "at the request":
            socket.recv()
        socket.close(code, "because")

    with platform(close) as url:
        error = refused(url)
    assert type(error) is kind
    assert "because" in str(error)


def test_a_request_that_is_not_acknowledged_is_an_error() -> None:
    with platform(answering('{"type":"connection","status":"connected"}')) as url:
        error = refused(url, channels=["trades", "orders"], timeout=2.0)
    assert type(error) is fxlive.SubscriptionError
    assert "did not acknowledge subscribe trades, orders within 2 s" in str(error)


@pytest.mark.parametrize(
    "answer",
    [
        '{"type":"error","error":{"code":[1]},"message":null,"channel":{"a":1}}',
        '{"type":"subscription","status":["x"],"channels":{"trades":1}}',
        '{"type":"subscription","channels":[1,null,{"name":7}]}',
        '{"type":"unsubscription","channels":["trades"]}',
        '{"type":"connection"}',
    ],
)
def test_a_malformed_answer_breaks_nothing(answer: str) -> None:
    with platform(answering(answer, "ack")) as url:
        try:
            with fxlive.connect(url, TOKEN, channels=["trades"], timeout=PATIENCE_S) as session:
                assert session.state == "connected"
        except fxlive.SubscriptionError:  # it may be taken for a refusal
            assert "error" in answer or "status" in answer

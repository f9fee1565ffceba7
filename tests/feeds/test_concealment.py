"""The token is concealed in every text that is shown, in whatever form, and no token changes data."""

from __future__ import annotations

import asyncio
import base64
import html
import json
import logging
import logging.config
import pickle
import re
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote as percent

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.sync.server import ServerConnection

import fxlive
from fxlive.core.concealment import Concealment
from fxlive.core.secret import Secret
from fxlive.feeds import connection
from fxlive.feeds.auth import Token
from tests.handmade import (  # noqa: F401
    PATIENCE_S,
    acknowledged,
    clean_slate,
    platform,
    quick,
    quote,
    tcp_server,
    wait_until,
)

TOKEN = "eyJhbGciOi.some+claims/of=a_user.and-a-signature~"


def forms(token: str) -> dict[str, str]:
    """Return the forms in which a platform may repeat a token."""
    escaped = "".join(char if char.isalnum() else f"\\u{ord(char):04x}" for char in token)
    return {
        "raw": token,
        "json slashes": token.replace("/", "\\/"),
        "json unicode": escaped,
        "json unicode upper": escaped.upper().replace("\\U", "\\u") if token.isupper() else escaped.replace("2b", "2B"),
        "json all": "".join(f"\\u{ord(char):04X}" for char in token),
        "json twice": json.dumps(json.dumps(escaped))[3:-3],
        "percent": percent(token, safe=""),
        "percent lower": percent(token, safe="").replace("%2B", "%2b").replace("%2F", "%2f").replace("%3D", "%3d"),
        "percent twice": percent(percent(token, safe=""), safe=""),
        "percent all": "".join(f"%{ord(char):02x}" for char in token),
        "html": html.escape(token).replace("+", "&#43;").replace("/", "&#x2F;").replace("=", "&equals;"),
        "html of json": html.escape(escaped),
        "base64": base64.b64encode(token.encode()).decode(),
        "base64 in other bytes": base64.b64encode(f"Bearer {token} and more".encode()).decode(),
        "base64 at the third position": base64.b64encode(f"of {token}".encode()).decode(),
        "url base64": base64.urlsafe_b64encode(token.encode()).decode(),
        "first 8": token[:8],
        "first 20": token[:20],
        "cut inside an escape": percent(token, safe="")[:24],
        "python": "".join(char if char.isalnum() else f"\\x{ord(char):02x}" for char in token),
        "python all": "".join(f"\\x{ord(char):02X}" for char in token),
        "hex": token.encode().hex(),
        "hex upper": token.encode().hex().upper(),
    }


def readings(text: str) -> Iterator[str]:
    """Yield a text and what a reader could make of it by decoding it."""
    from urllib.parse import unquote

    yield text
    decoded = text
    for _ in range(3):
        decoded = html.unescape(unquote(decoded))
        decoded = decoded.replace("\\\\", "\\").replace("\\/", "/")
        for code in range(33, 127):
            for digits in (f"{code:02x}", f"{code:02X}"):
                decoded = decoded.replace(f"\\u00{digits}", chr(code)).replace(f"\\x{digits}", chr(code))
        yield decoded
    for digits in re.findall("(?:[0-9a-fA-F]{2}){8,}", text):
        yield bytes.fromhex(digits).decode("latin-1")


def shows(text: str, token: str = TOKEN) -> bool:
    """Return whether a text shows eight characters of the token's beginning, or base64 of its middle."""
    middles = [base64.b64encode(token.encode()[at : at + 9]).decode() for at in range(12, 15)]
    return any(token[:8] in reading for reading in readings(text)) or any(middle in text for middle in middles)


@pytest.mark.parametrize("form", forms(TOKEN))
def test_a_token_is_concealed_in_every_form(form: str) -> None:
    text = f'bad token "{forms(TOKEN)[form]}", <b>sorry</b>'
    concealed = Token(TOKEN)
    concealed._concealments.append(Concealment(Secret(TOKEN)))
    assert shows(text)
    result = concealed.conceal(text)
    assert not shows(result)
    assert result.startswith('bad token "')
    assert "***" in result
    assert result.endswith('", <b>sorry</b>')


ESCAPES: list[tuple[Callable[[str], str], int]] = [  # with how often each is applied at most
    (percent, 2),
    (html.escape, 2),
    (lambda text: json.dumps(text)[1:-1], 3),
    (lambda text: "".join(f"\\u{ord(char):04x}" for char in text), 1),
]


@settings(deadline=None)
@given(st.text("%25&amp;\\u0x7#", min_size=8, max_size=30), st.sampled_from(ESCAPES), st.data())
def test_nothing_is_left_of_a_secret_that_looks_like_escapes(
    middle: str, kind: tuple[Callable[[str], str], int], data: st.DataObject
) -> None:
    escape, most = kind
    secret = text = f"aZ{middle}Q"
    for _ in range(data.draw(st.integers(0, most))):
        text = escape(text)
    assert Concealment(Secret(secret)).conceal(f"< {text} >") == "< *** >"


@pytest.mark.parametrize("token", ["t", "data", "1", "demo", "EURUSD", "message"])
def test_a_short_token_is_concealed_only_where_it_stands_as_the_token(token: str) -> None:
    concealment = Concealment(Secret(token))
    text = f"demo_1 {token} data of EURUSD, t=1 and message {token}x Bearer {token}x"
    assert concealment.conceal(text) == text
    shown = f"GET /api/ws?a={token}&token={token} with Bearer {token}, ?token%3D{token}"
    assert concealment.conceal(shown) == "GET /api/ws?a=***&token=*** with Bearer ***, ?token%3D***"


@pytest.mark.parametrize("unit", ["\\", "%25", "&amp;", "&#0"])
def test_the_time_to_conceal_grows_with_the_length_of_the_text(unit: str) -> None:
    text = unit * 40_000  # takes minutes if a repetition is searched again from each of its places
    assert Concealment(Secret("a-token-of-some-length")).conceal(text) == text


def test_texts_without_the_token_stay_as_they_are() -> None:
    concealment = Concealment(Secret(TOKEN))
    for text in ("", TOKEN[:7], "eyJhbGc iOi", "100 % of \\u00e9 & more", "\\u0065yJ"):
        assert concealment.conceal(text) == text


@pytest.mark.parametrize("make", [repr, str, "{}".format, "{:>5}".format, lambda s: f"{[s]}", lambda s: repr({"a": s})])
def test_a_secret_is_not_shown(make: Callable[[Any], str]) -> None:
    assert "hidden" not in make(Secret("hidden"))
    assert "***" in make(Secret("hidden"))


def test_a_secret_cannot_be_pickled() -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(Secret("hidden"))


@pytest.mark.parametrize("token", ["t", "data", "1", "demo", "EURUSD", "market-data", "subscription", "connected"])
def test_no_token_changes_data_or_connecting(token: str, tmp_path: Path) -> None:
    def handler(socket: ServerConnection) -> None:
        socket.send('{"type":"connection","status":"connected","sessionId":"demo_1","userId":"data"}')
        socket.send(acknowledged(socket.recv()))
        socket.send(quote(1, note="demo_1 EURUSD connected subscription"))
        socket.send('{"type": "trade", "channel": "trades"')  # rejected, in the same read as data
        socket.send(quote(2, note="demo_1 EURUSD connected subscription"))
        for _ in socket:
            pass

    with platform(handler) as url, fxlive.connect(url, token, channels=["market-data"]) as session:
        frame = session.wait_for("market-data", rows=2, timeout=PATIENCE_S)
        wait_until(lambda: session.health().rejected == 1)
        assert frame["symbol"].tolist() == ["EURUSD", "EURUSD"]
        assert frame["note"].tolist() == ["demo_1 EURUSD connected subscription"] * 2
        assert frame["id"].tolist() == ["q1", "q2"]


@pytest.mark.parametrize("form", forms(TOKEN))
def test_a_token_that_the_platform_repeats_is_in_no_rejection_log_or_capture(
    form: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    repeated = forms(TOKEN)[form]

    def handler(socket: ServerConnection) -> None:
        socket.send(acknowledged(socket.recv()))
        socket.send(f"not JSON: {repeated}")
        socket.send(json.dumps({"type": "error", "error": "Odd", "message": f"token {repeated}"}))
        socket.send(json.dumps({"type": "market_data", "channel": "market-data", "data": repeated}))
        socket.close(4000, f"bad token {repeated}"[:110])

    with platform(handler) as url:
        session = fxlive.connect(url, TOKEN, channels=["market-data"], record=tmp_path, reconnect_attempts=1)
        wait_until(lambda: session.health().rejected == 3 and session.state != "connected")
        texts = [session.rejected().to_string(), session.gaps().to_string(), str(session.error), repr(session)]
        session.close()
    texts += [record.getMessage() for record in caplog.records if record.name.startswith("fxlive")]
    assert "Odd" in texts[0]
    for text in texts:
        assert not shows(text)
    for capture in [fxlive.open_capture(tmp_path)]:
        assert not shows(capture.rejected().to_string())
        assert len(capture.rejected()) == 3
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert TOKEN[:8].encode() not in file.read_bytes()


@pytest.mark.parametrize("kind", ["text", "function", "async function"])
def test_the_token_is_in_no_repr_of_a_task(kind: str) -> None:
    async def main() -> str:
        token = Token(sources(kind))
        task = asyncio.ensure_future(token.get())
        before = repr(task)
        await task
        return f"{before} {task!r} {token!r} {vars(token)}"

    text = asyncio.run(main())
    assert "result=***" in text
    assert TOKEN[:12] not in text


# Tracebacks with local variables


def frames_of_ours(error: BaseException | None, seen: set[int] | None = None) -> Iterator[str]:
    """Yield the local variables of all frames of fxlive in the traceback of an error, its causes and its contexts."""
    seen = set() if seen is None else seen
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    summary = traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__), capture_locals=True)
    for frame in summary:
        if "/fxlive/fxlive/" in frame.filename or "/fxlive/" in frame.filename.partition("/tests/")[0]:
            yield f"{frame.filename}:{frame.lineno} {frame.locals}"
    yield f"{error.args} {vars(error)} {getattr(error, '__notes__', [])}"
    yield from frames_of_ours(error.__cause__, seen)
    yield from frames_of_ours(error.__context__, seen)


def refusing(head: bytes) -> Callable[[Any], None]:
    def answer(client: Any) -> None:
        client.recv(65_536)
        client.sendall(head)

    return answer


FAILURES: dict[str, bytes] = {
    "401": b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer %s\r\n\r\n",
    "401 with words": b'HTTP/1.1 401 Unauthorized\r\n\r\n{"error": "bad token %s"}',
    "403": b"HTTP/1.1 403 Forbidden\r\n\r\n",
    "308": b"HTTP/1.1 308 Permanent Redirect\r\nLocation: wss://me:%s@other/api/ws/%s?token=%s\r\n\r\n",
    "429": b"HTTP/1.1 429 Slow\r\nRetry-After: %s\r\n\r\n",
    "503": b"HTTP/1.1 503 Down\r\n\r\n%s",
    "404": b"HTTP/1.1 404 Not Found\r\n\r\n",
    "hung up": b"",
    "another protocol": b"SSH-2.0-%s\r\n",
    "wrong key": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %s\r\n\r\n",
    "odd extension": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: %s\r\nConnection: Upgrade\r\n\r\n",
}


def sources(kind: str) -> Any:
    def plain() -> str:
        return TOKEN

    async def coroutine() -> str:
        return TOKEN

    return {"text": TOKEN, "function": plain, "async function": coroutine}[kind]


@pytest.mark.parametrize("auth", ["header", "query", "in the url"])
@pytest.mark.parametrize("kind", ["text", "function", "async function"])
@pytest.mark.parametrize("failure", FAILURES)
def test_the_token_is_in_no_local_variable_of_ours_when_connecting_fails(auth: Any, kind: str, failure: str) -> None:
    head = FAILURES[failure].replace(b"%s", TOKEN.encode())
    arguments: tuple[Any, ...] = (sources(kind),)
    with tcp_server(refusing(head)) as address:
        url, options = f"ws://{address}/api/ws", {"auth": auth}
        if auth == "in the url":
            url, options, arguments = f"{url}?token={percent(TOKEN)}", {}, ()
        with pytest.raises(fxlive.FxliveError) as failed:
            fxlive.connect(url, *arguments, timeout=PATIENCE_S, **options)
    check_frames(failed.value)


def check_frames(error: BaseException, token: str = TOKEN) -> None:
    texts = list(frames_of_ours(error))
    assert sum("/fxlive/" in text for text in texts) >= 1  # the frames of ours have been found
    for text in texts:
        assert token not in text
        assert percent(token, safe="") not in text
        assert token[:12] not in text


@pytest.mark.parametrize(
    "call",
    [
        lambda: fxlive.connect(TOKEN, "ws://127.0.0.1:1/"),
        lambda: fxlive.connect("ws://127.0.0.1:1/", TOKEN),
        lambda: fxlive.connect("ws://127.0.0.1:1/", token=TOKEN, max_rows=0),
        lambda: fxlive.connect("ws://127.0.0.1:1/", token=TOKEN, chanels=["trades"]),  # type: ignore[call-arg]
        lambda: fxlive.connect(f"http://host/?token={percent(TOKEN)}"),
        lambda: fxlive.connect(f"ws://me:{TOKEN.replace('/', '')}@host/"),
        lambda: fxlive.connect(f"ws://host:{TOKEN}/"),
        lambda: fxlive.connect("ws://127.0.0.1:1/", f"{TOKEN}\r\nX-Injected: 1"),
        lambda: fxlive.connect("ws://127.0.0.1:1/", lambda: f"{TOKEN} with spaces"),
        lambda: fxlive.connect("ws://127.0.0.1:1/", TOKEN, ca="missing.pem"),
        lambda: fxlive.connect("ws://127.0.0.1:1/", TOKEN, window="15"),
        lambda: fxlive.connect("ws://127.0.0.1:1/", "t", proxy=f"http://me:{TOKEN}@"),
        lambda: fxlive.connect("ws://127.0.0.1:1/", "t", proxy=f"http://me:{percent(TOKEN, safe='')}@127.0.0.1:1"),
        lambda: fxlive.run(fxlive.connect_async("ws://127.0.0.1:1/", TOKEN)),
        lambda: fxlive.Session("ws://127.0.0.1:1/", TOKEN).open(),
    ],
)
def test_the_token_is_in_no_local_variable_of_ours_when_an_argument_is_wrong(call: Callable[[], Any]) -> None:
    with pytest.raises((fxlive.FxliveError, TypeError)) as failed:
        call()
    check_frames(failed.value)


def test_a_token_of_the_environment_is_in_no_local_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FXLIVE_TOKEN", TOKEN)
    monkeypatch.setenv("FXLIVE_URL", "ws://127.0.0.1:1/api/ws")
    with pytest.raises(fxlive.ServerUnavailable) as failed:
        fxlive.connect()
    check_frames(failed.value)


def test_the_token_is_in_no_local_variable_when_the_certificate_is_not_trusted() -> None:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with platform(lambda socket: None, ssl=context) as url, pytest.raises(fxlive.ConnectionFailed) as failed:
        fxlive.connect(url, TOKEN, auth="query")
    check_frames(failed.value)


@pytest.mark.parametrize("arguments", ['url, secret(), auth="query"', "url, secret", "", 'url, secret(), max_rows="x"'])
def test_ipython_shows_no_token_in_frames_of_ours(
    arguments: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from IPython.core.ultratb import VerboseTB

    def serve(client: Any) -> None:
        client.recv(65_536)
        client.sendall(b"HTTP/1.1 401 Unauthorized\r\n\r\n")

    with tcp_server(serve) as address:
        if not arguments:
            monkeypatch.setenv("FXLIVE_TOKEN", TOKEN)
            monkeypatch.setenv("FXLIVE_URL", f"ws://{address}/api/ws?token={percent(TOKEN)}")
        names = {"fxlive": fxlive, "url": f"ws://{address}/api/ws", "secret": lambda: sources("text")}
        try:
            eval(f"fxlive.connect({arguments})", names)
        except fxlive.FxliveError as error:
            text = VerboseTB().text(type(error), error, error.__traceback__)
    text = text[text.index("/fxlive/sessions/opening.py") :] if "/fxlive/sessions/opening.py" in text else text
    assert "fxlive" in text
    assert TOKEN[:12] not in text
    assert percent(TOKEN)[:14] not in text


# Logging


def test_no_logging_configuration_turns_the_log_of_websockets_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    levels = {name: logging.getLogger(name).level for name in ("websockets", "websockets.client", "fxlive.websockets")}
    try:
        for name in levels:
            logging.getLogger(name).setLevel(logging.DEBUG)
        logging.config.dictConfig(
            {"version": 1, "incremental": True, "loggers": {"fxlive.websockets": {"level": "DEBUG"}}}
        )
        with platform(lambda socket: [socket.send(acknowledged(r)) for r in socket]) as url:
            fxlive.connect(url, TOKEN, channels=["trades"]).close()
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
    assert not connection._silent.isEnabledFor(logging.CRITICAL)
    assert connection._silent is not logging.getLogger("fxlive.websockets")
    assert {r.name for r in caplog.records} & {"websockets.server"}  # the level is on, and the test's server logs
    assert [r for r in caplog.records if r.name == "fxlive.websockets" or r.name.startswith("websockets.client")] == []

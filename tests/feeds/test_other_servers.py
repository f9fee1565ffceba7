"""The behaviour of the wire with servers that are not ours."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import fxlive
from fxlive.simulator.serving.tokens import make_token
from tests.feeds.servers import (
    BIG,
    QUOTES,
    WORDS,
    aiohttp_platform,
    behind_nginx,
    on_a_loop,
    uvicorn_platform,
    ws_platform,
)
from tests.handmade import PATIENCE_S, TOKEN, clean_slate, quick, tcp_server, wait_until  # noqa: F401

pytestmark = pytest.mark.usefixtures("quick")

SERVERS: dict[str, Callable[[Path], AbstractContextManager[str]]] = {
    "aiohttp": lambda _: on_a_loop(aiohttp_platform),
    "uvicorn with websockets": lambda _: on_a_loop(uvicorn_platform("websockets-sansio")),
    "uvicorn with wsproto": lambda _: on_a_loop(uvicorn_platform("wsproto")),
    "ws": lambda _: ws_platform(),
    "ws behind nginx": behind_nginx,
}
NODE = ("ws", "ws behind nginx")


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of each server in turn."""
    with SERVERS[request.param](tmp_path_factory.mktemp("server")) as address:
        yield address


@contextmanager
def session_at(address: str, path: str, **options: Any) -> Iterator[fxlive.Session]:
    url = f"ws://{address}{path}"
    with fxlive.connect(url, TOKEN, channels=["market-data"], timeout=PATIENCE_S, **options) as session:
        yield session


@contextmanager
def slowly(address: str) -> Iterator[str]:
    """Pass a server's bytes on one at a time."""
    host, _, port = address.partition(":")

    def answer(client: socket.socket) -> None:
        threading.Thread(target=forward, args=(client.dup(),), daemon=True).start()

    def forward(client: socket.socket) -> None:
        with client, socket.create_connection((host, int(port))) as upstream:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=copy, args=(client, upstream), daemon=True)
            back.start()
            copy(upstream, client)
            back.join()

    def copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1):
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    with tcp_server(answer) as slow:
        yield slow


def test_quotes_arrive_and_subscriptions_are_answered(server: str) -> None:
    with session_at(server, "/quotes") as session:
        frame = session.wait_for("market-data", rows=QUOTES, timeout=PATIENCE_S)
        assert frame["bid"].tolist() == [float(number) for number in range(QUOTES)]
        session.subscribe("trades", symbol="EURUSD")
        session.unsubscribe("market-data")
        assert session.subscriptions == {"trades": {"symbol": "EURUSD"}}
        assert session.rejected().empty


def test_bytes_that_come_one_at_a_time_make_the_same_rows(server: str) -> None:
    with slowly(server) as address, session_at(address, "/quotes") as session:
        frame = session.wait_for("market-data", rows=QUOTES, timeout=PATIENCE_S)
        assert frame["bid"].tolist() == [float(number) for number in range(QUOTES)]


def test_a_big_frame_is_a_row(server: str) -> None:
    with session_at(server, "/big") as session:
        frame = session.wait_for("market-data", rows=2, timeout=PATIENCE_S)
        assert frame["note"].str.len().iloc[0] == BIG


def test_pings_are_answered(server: str) -> None:
    with session_at(server, "/pings") as session:
        assert len(session.wait_for("market-data", rows=1, timeout=PATIENCE_S)) == 1
        assert session.gaps().empty


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        (4401, fxlive.AuthenticationError, "The token has expired or was revoked"),
        (1008, fxlive.RateLimitError, ""),
        (1013, fxlive.ServerUnavailable, "Try again later."),
        (4000, fxlive.ConnectionFailed, ""),
    ],
)
def test_a_close_gives_a_gap_with_the_words_of_the_server(server: str, code: int, kind: type, text: str) -> None:
    with session_at(server, f"/close/{code}") as session:
        wait_until(lambda: len(session.gaps()) > 0)
        reason = session.gaps()["reason"].iloc[0]
        assert f"The platform closed the connection ({code}: {WORDS}). {text}".strip() in reason
        assert len(session["market-data"]) == 1  # the quote before the close


def test_a_dropped_connection_is_a_gap_and_the_session_reconnects(server: str) -> None:
    with session_at(server, "/drop") as session:
        wait_until(lambda: session.health().reconnects > 0)
        assert session.gaps()["end"].notna().iloc[0]
        assert "connection" in session.gaps()["reason"].iloc[0]


def test_replacing_a_token_leaves_no_gap(server: str) -> None:
    tokens = iter([make_token(expires_in_s=2.0), *[make_token()] * 5])
    url = f"ws://{server}/quotes"
    with fxlive.connect(url, lambda: next(tokens), channels=["market-data"], timeout=PATIENCE_S) as session:
        feed = session._pipeline.feed
        first = feed._connection  # type: ignore[attr-defined]
        wait_until(lambda: feed._connection is not first and first.closed.done())  # type: ignore[attr-defined]
        session.unsubscribe("market-data")  # a request and its answer later
        assert session.gaps().empty


@pytest.mark.parametrize("server", NODE, indirect=True)
def test_fragments_are_put_together(server: str) -> None:
    with session_at(server, "/fragments") as session:
        frame = session.wait_for("market-data", rows=QUOTES, timeout=PATIENCE_S)
        assert frame["bid"].tolist() == [float(number) for number in range(QUOTES)]


@pytest.mark.parametrize("server", [name for name in SERVERS if name != "uvicorn with wsproto"], indirect=True)
def test_compression_is_agreed(server: str) -> None:
    with session_at(server, "/quotes") as session:
        session.wait_for("market-data", rows=QUOTES, timeout=PATIENCE_S)
        extensions = session._pipeline.feed._connection._protocol.extensions  # type: ignore[attr-defined]
        assert [extension.name for extension in extensions] == ["permessage-deflate"]

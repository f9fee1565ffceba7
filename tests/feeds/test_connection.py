"""One connection over a socket: large and fragmented messages, binary frames, pings, compression."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.sync.server import ServerConnection

import fxlive
from fxlive.simulator.fixture import SimulatorFactory
from tests.handmade import PATIENCE_S, TOKEN, acknowledged, clean_slate, platform, quick, quote, wait_until  # noqa: F401


@contextmanager
def sending(send: Callable[[ServerConnection], Any], **options: Any) -> Iterator[fxlive.Session]:
    """Yield a session on a platform that calls `send` after it has acknowledged the first subscription."""
    requests: list[str | bytes] = []

    def handler(socket: ServerConnection) -> None:
        for request in socket:
            socket.send(acknowledged(request))
            requests.append(request)
            if len(requests) == 1:
                send(socket)
            else:
                socket.send(quote(1_000))

    with platform(handler, **options) as url, fxlive.connect(url, TOKEN, channels=["market-data"]) as session:
        yield session


def bids(session: fxlive.Session, rows: int) -> list[float]:
    return session.wait_for("market-data", rows=rows, timeout=PATIENCE_S)["bid"].tolist()


def test_an_invalid_message_of_20_mb_is_rejected_and_the_feed_goes_on(fx_simulator: SimulatorFactory) -> None:
    simulator = fx_simulator(speed=20.0)
    with fxlive.connect(simulator.url, simulator.token()) as session:
        simulator.faults.malformed(1, "huge", size=20_000_000)
        wait_until(lambda: session.health().rejected == 1)
        assert len(session.rejected()["raw"].iloc[0]) == 65_536
        session.wait_for("market-data", rows=len(session["market-data"]) + 10, timeout=PATIENCE_S)
        assert session.gaps().empty


def test_a_valid_message_of_20_mb_is_a_row() -> None:
    def send(socket: ServerConnection) -> None:
        socket.send(quote(1, note="x" * 20_000_000))
        socket.send(quote(2))

    with sending(send) as session:
        assert bids(session, 2) == [1.0, 2.0]
        assert session["market-data"]["note"].str.len().iloc[0] == 20_000_000


@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.usefixtures("quick")
def test_a_message_above_64_mb_ends_the_connection_and_the_session_reconnects(compression: Any) -> None:
    def send(socket: ServerConnection) -> None:
        socket.send(quote(1))
        socket.send(" " * (64 * 2**20 + 1))

    with sending(send, compression=compression) as session:
        assert bids(session, 2) == [1.0, 1_000.0]
        wait_until(lambda: session.state == "connected" and session.gaps()["end"].notna().all())
        [reason] = session.gaps()["reason"]
        assert "1009" in reason


def test_fragments_with_pings_between_them_make_one_message() -> None:
    def send(socket: ServerConnection) -> None:
        text = quote(1)

        def fragments() -> Iterator[str]:
            for at in range(0, len(text), 7):
                yield text[at : at + 7]
                with socket.protocol_mutex:  # a control frame may come between two fragments
                    socket.socket.sendall(b"\x89\x02hi")

        socket.send(fragments())
        socket.send(quote(2))
        socket.send(iter([quote(3), ""]))

    with sending(send) as session:
        assert bids(session, 3) == [1.0, 2.0, 3.0]
        assert session.rejected().empty


def test_binary_frames_are_read_as_text_and_empty_frames_are_rejected() -> None:
    def send(socket: ServerConnection) -> None:
        socket.send(quote(1).encode())
        socket.send(b"")
        socket.send("")
        socket.send(b"\xff\xfe\x00")
        socket.send([quote(2).encode()[:50], quote(2).encode()[50:]])

    with sending(send) as session:
        assert bids(session, 2) == [1.0, 2.0]
        assert session.rejected()["raw"].tolist()[:2] == ["", ""]
        assert len(session.rejected()) == 3


def test_pings_of_the_server_are_answered() -> None:
    answered = []

    def send(socket: ServerConnection) -> None:
        answered.append(socket.ping().wait(PATIENCE_S))
        answered.append(socket.ping(b"x" * 125).wait(PATIENCE_S))
        socket.send(quote(1))

    def handler(socket: ServerConnection) -> None:
        socket.send(acknowledged(socket.recv()))
        send(socket)
        for _ in socket:
            pass

    with platform(handler) as url, fxlive.connect(url, TOKEN, channels=["market-data"]) as session:
        assert bids(session, 1) == [1.0]
        assert answered == [True, True]


def test_compressed_messages_are_read() -> None:
    def send(socket: ServerConnection) -> None:
        assert "permessage-deflate" in (socket.response.headers.get("Sec-WebSocket-Extensions") or "")  # type: ignore[union-attr]
        for number in range(500):
            socket.send(quote(number))
        socket.send([quote(500)[:40], quote(500)[40:]])

    with sending(send, compression="deflate") as session:
        assert bids(session, 501) == [float(n) for n in range(501)]
        assert session.rejected().empty


def test_messages_right_after_the_handshake_or_before_the_close_are_not_lost() -> None:
    def handler(socket: ServerConnection) -> None:
        socket.send('{"type":"connection","status":"connected","sessionId":"s","userId":"u"}')
        socket.send(quote(1))  # before any subscription
        socket.send(acknowledged(socket.recv()))
        socket.send(quote(2))
        socket.send(quote(3))
        socket.close(1000)

    with platform(handler) as url:
        session = fxlive.connect(url, TOKEN, channels=["market-data"])
        assert bids(session, 3) == [1.0, 2.0, 3.0]
        session.close()


def test_an_invalid_frame_costs_a_gap_and_nothing_else(quick: None) -> None:  # noqa: F811
    def send(socket: ServerConnection) -> None:
        socket.send(quote(1))
        with socket.protocol_mutex:
            socket.socket.sendall(b"\x83\x00")  # a reserved opcode

    with sending(send) as session:
        assert bids(session, 2) == [1.0, 1_000.0]
        assert "1002" in session.gaps()["reason"].iloc[0]

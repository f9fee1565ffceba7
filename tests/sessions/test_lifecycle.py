"""Concurrent calls on a session or a name, token replacement, invalid options, and sessions in a forked process."""

from __future__ import annotations

import json
import multiprocessing
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from websockets.sync.server import ServerConnection

import fxlive
from fxlive.feeds import auth
from fxlive.simulator.fixture import SimulatorFactory
from fxlive.simulator.serving.tokens import make_token
from tests.handmade import (
    PATIENCE_S,
    TOKEN,
    acknowledged,
    clean_slate,  # noqa: F401 - a fixture
    platform,
    quote,
    wait_until,
)


def test_a_session_closed_while_it_connects_stays_closed(fx_simulator: SimulatorFactory) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def token() -> str:
        asked.set()
        go_on.wait(10)
        return fx_simulator.token()

    session = fxlive.Session(fx_simulator.url, token)
    errors: list[BaseException] = []

    def open_it() -> None:
        try:
            session.open()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=open_it)
    thread.start()
    asked.wait(10)
    session.close()
    go_on.set()
    thread.join(60)
    assert isinstance(errors[0], fxlive.SessionClosed)
    assert session.state == "closed"
    assert fx_simulator.default.connections == 0
    assert fxlive.sessions() == []


def test_one_session_remains_when_two_threads_connect_with_the_same_name(fx_simulator: SimulatorFactory) -> None:
    opened: list[fxlive.Session] = []
    threads = [
        threading.Thread(target=lambda: opened.append(fxlive.connect(fx_simulator.url, fx_simulator.token())))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    wait_until(lambda: sorted(s.state for s in opened) == ["closed", "connected"], "one session")
    assert len(fxlive.sessions()) == 1


@pytest.fixture
def replaced_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace tokens when most of their lifetime is left, and ask again soon."""
    monkeypatch.setattr(auth, "REFRESH_SHARE", 0.9)
    monkeypatch.setattr(auth, "REFRESH_RETRY_S", 0.2)


@pytest.mark.usefixtures("replaced_early")
def test_a_token_function_that_repeats_its_token_causes_no_extra_connections(fx_simulator: SimulatorFactory) -> None:
    kept = fx_simulator.token(expires_in_s=8)
    tokens = iter([kept] * 2)
    with fxlive.connect(
        fx_simulator.url, lambda: next(tokens, None) or fx_simulator.token(), channels=["market-data"]
    ) as session:
        wait_until(lambda: fx_simulator.default.accepted == 2, "the connection with a newer token")
        assert session.gaps().empty
        assert fx_simulator.default.accepted == 2


@pytest.mark.usefixtures("replaced_early")
def test_a_failed_token_function_is_called_again_before_the_old_token_expires(
    fx_simulator: SimulatorFactory,
) -> None:
    asked: list[int] = []

    def token() -> str:
        asked.append(1)
        if len(asked) == 2:
            raise OSError("no network just now")
        return fx_simulator.token(expires_in_s=30 if len(asked) == 1 else 3600)

    with fxlive.connect(fx_simulator.url, token, channels=["market-data"]) as session:
        wait_until(lambda: len(asked) == 3, "the third call of the token function")
        wait_until(lambda: fx_simulator.default.accepted == 2, "the connection with a newer token")
        assert session.gaps().empty


def test_a_subscription_during_a_token_replacement_is_kept() -> None:
    sockets: list[ServerConnection] = []
    handing_over, subscribed = threading.Event(), threading.Event()

    def handler(socket: ServerConnection) -> None:
        sockets.append(socket)
        for number, request in enumerate(socket):
            if len(sockets) == 2 and number == 0:
                handing_over.set()
                subscribed.wait(1.0)  # the old connection is still open
            socket.send(acknowledged(request))
            if "orders" in str(request):
                socket.send(quote(len(sockets)))

    tokens = iter([make_token(expires_in_s=5.0), *[make_token()] * 5])
    with platform(handler) as url, fxlive.connect(url, lambda: next(tokens), channels=["market-data"]) as session:
        assert handing_over.wait(PATIENCE_S)
        session.subscribe("orders")
        subscribed.set()
        wait_until(lambda: 2.0 in set(session["market-data"]["bid"]), "the subscription on the new connection")
        assert set(session.subscriptions) == {"market-data", "orders"}


def test_no_row_is_lost_between_a_recording_and_the_next(fx_simulator: SimulatorFactory, tmp_path: Path) -> None:
    simulator = fx_simulator(speed=50.0)
    with fxlive.connect(simulator.url, simulator.token(), channels=["market-data"], record=tmp_path / "one") as session:
        session.wait_for("market-data", rows=200, timeout=60)
        session.record(tmp_path / "two")
        session.wait_for("market-data", rows=len(session["market-data"]) + 200, timeout=60)
    seen = session["market-data"]["id"]
    recorded = pd.concat(
        pd.read_parquet(part) for part in tmp_path.glob("*/*/channel=market-data") if any(part.iterdir())
    )
    assert set(seen) <= set(recorded["id"])


def test_opening_an_open_session_again_does_not_stop_its_recording(
    fx_simulator: SimulatorFactory, tmp_path: Path
) -> None:
    session = fxlive.connect(fx_simulator.url, fx_simulator.token(), record=tmp_path)
    with pytest.raises(fxlive.FxliveError, match="already open"):
        session.open()
    assert session.recording is not None
    assert session.recording.status.state == "recording"
    session.close()
    assert session.recording.status.state == "stopped"


def test_reconnect_while_reconnecting_retries_immediately(
    fx_simulator: SimulatorFactory, caplog: pytest.LogCaptureFixture
) -> None:
    with fxlive.connect(fx_simulator.url, fx_simulator.token(), channels=["market-data"]) as session:
        fx_simulator.faults.refuse(503, times=1, retry_after=60)
        fx_simulator.faults.drop()
        wait_until(lambda: "reconnect failed" in caplog.text, "the refusal, which asks for a minute's wait")
        assert session.state == "reconnecting"
        session.reconnect()
        wait_until(lambda: session.state == "connected", "the connection")


def test_latest_names_the_rows_that_are_unconfirmed_since_a_gap(fx_simulator: SimulatorFactory) -> None:
    def order(number: int) -> str:
        data = {"orderId": f"o{number}", "symbol": "EURUSD", "status": "PENDING"}
        envelope = {"type": "order", "channel": "orders", "timestamp": "2024-01-01T00:00:00.000Z", "id": f"m{number}"}
        return json.dumps({**envelope, "data": data})

    sockets: list[ServerConnection] = []

    def handler(socket: ServerConnection) -> None:
        sockets.append(socket)
        for request in socket:
            socket.send(acknowledged(request))
            if len(sockets) == 1:
                socket.send(order(1))
                socket.send(order(2))
                wait_until(lambda: hung_up.is_set())
                return
            socket.send(order(3))

    hung_up = threading.Event()
    with platform(handler) as url, fxlive.connect(url, TOKEN, channels=["orders"]) as session:
        session.wait_for("orders", rows=2, timeout=60)
        assert "unconfirmed" not in session.latest("orders").attrs
        hung_up.set()
        session.wait_for("orders", rows=3, timeout=60)
        latest = session.latest("orders")
        assert list(latest.index) == ["o1", "o2", "o3"]
        assert latest.attrs["unconfirmed"] == ["o1", "o2"]


@pytest.mark.parametrize("max_rows", [1e3, 1_000])
def test_max_rows_may_be_a_whole_float(max_rows: Any) -> None:
    session = fxlive.Session("ws://127.0.0.1:1/api/ws", TOKEN, max_rows=max_rows)
    assert type(session._pipeline.store.tables["trades"]._max_rows) is int


@pytest.mark.parametrize("max_rows", [0, -1, 1.5, "5", None, float("inf")])
def test_an_invalid_max_rows_is_refused_by_the_constructor(max_rows: Any) -> None:
    with pytest.raises(fxlive.UnknownOption, match=r"max_rows must be a whole number of at least 1"):
        fxlive.Session("ws://127.0.0.1:1/api/ws", TOKEN, max_rows=max_rows)


def test_a_session_that_was_never_opened_cannot_record_or_show_widgets(tmp_path: Path) -> None:
    session = fxlive.Session("ws://127.0.0.1:1/api/ws", TOKEN)

    for act in (
        lambda: session.record(tmp_path),
        session.dashboard,
        lambda: session.grid("trades"),
        session.status_bar,
    ):
        with pytest.raises(fxlive.NoSession, match="was never opened"):
            act()
    assert list(tmp_path.iterdir()) == []
    assert "never opened" in repr(session)
    assert session._repr_html_() is None  # the plain text is shown instead


def test_filters_that_are_not_a_dict_are_refused_by_the_constructor() -> None:
    with pytest.raises(fxlive.InvalidSubscription, match="filters of trades must be a dict such as"):
        fxlive.Session("ws://127.0.0.1:1/api/ws", TOKEN, channels={"trades": "EURUSD"})  # type: ignore[dict-item]


def test_a_closed_session_cannot_become_current(fx_simulator: SimulatorFactory) -> None:
    session = fxlive.connect(fx_simulator.url, fx_simulator.token())
    session.close()
    with pytest.raises(fxlive.SessionClosed):
        fxlive.use(session)
    assert fxlive.sessions() == []


def read_in_a_child(session: fxlive.Session, answers: Any) -> None:
    frame = session.frame("market-data")
    session.close()
    answers.put((len(frame) > 0, session.state, fxlive.sessions()))


def test_a_forked_child_can_read_the_frames_and_close_without_affecting_its_parent(
    fx_simulator: SimulatorFactory,
) -> None:
    fork = multiprocessing.get_context("fork")
    simulator = fx_simulator(speed=50.0)
    with fxlive.connect(simulator.url, simulator.token(), channels=["market-data"]) as session:
        session.wait_for("market-data", rows=100, timeout=60)
        for _ in range(5):
            answers = fork.Queue()
            child = fork.Process(target=read_in_a_child, args=(session, answers))
            child.start()
            assert answers.get(timeout=60) == (True, "closed", [])
            child.join(60)
        session.wait_for("market-data", rows=len(session["market-data"]) + 10, timeout=60)
        assert session.state == "connected"

"""Lost connections: the session reconnects with all its subscriptions, and the time without them is a gap."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection

import fxlive
from fxlive.core.background import background_loop
from fxlive.feeds import auth, live, pacing
from fxlive.simulator import make_token
from fxlive.simulator.fixture import SimulatorFactory
from fxlive.simulator.thread import SimulatorThread
from tests.handmade import (  # noqa: F401
    PATIENCE_S,
    TOKEN,
    acknowledged,
    clean_slate,
    platform,
    quick,
    quote,
    wait_until,
)
from tests.samples import POSITION, message, wire

pytestmark = pytest.mark.usefixtures("quick")

SYMBOLS = ["EURUSD", "USDJPY"]
FILTERS: dict[str, Any] = {
    "market-data": {"symbol": SYMBOLS},
    "system": {},
    "trades": {"strategy_id": "strategy_trend"},
}


def open_session(simulator: SimulatorThread, token: Any = None, **options: Any) -> fxlive.Session:
    options = {"channels": FILTERS, "timeout": PATIENCE_S, **options}
    session = fxlive.connect(simulator.url, token or simulator.token(), **options)
    session.wait_for("market-data", rows=5, timeout=PATIENCE_S)
    return session


def further_quotes(session: fxlive.Session, count: int) -> pd.DataFrame:
    """Wait until so many quotes more have arrived; return the frame."""
    return session.wait_for("market-data", rows=len(session["market-data"]) + count, timeout=PATIENCE_S)


def last_gap(session: fxlive.Session, reconnects: int = 1) -> pd.Series:
    """Wait until the session has reconnected so many times; return the last gap."""
    wait_until(lambda: session.health().reconnects >= reconnects and session.state == "connected", "the reconnect")
    return session.gaps().iloc[-1]


def check_gap(session: fxlive.Session, gap: pd.Series) -> None:
    assert gap["start"] < gap["end"]
    assert gap["duration_s"] > 0
    assert set(gap["channels"]) == set(session.subscriptions)
    frame = further_quotes(session, 10)
    assert set(frame["symbol"]) <= set(SYMBOLS)  # the filters are the same
    assert frame["id"].is_unique


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1008, 1011, 1012, 1013, 4000, 4401])
def test_a_lost_connection_is_restored_with_its_filters_and_leaves_a_gap(
    fx_simulator: SimulatorFactory, code: int
) -> None:
    simulator = fx_simulator(speed=20.0)
    with open_session(simulator) as session:
        states = recorded_states(session)
        simulator.faults.drop(code, "the reason")
        gap = last_gap(session)
        check_gap(session, gap)
        assert gap["reason"] == "The connection was lost." if code == 1006 else f"{code}: the reason" in gap["reason"]
        assert states == ["reconnecting", "connected"]
        assert len(session.gaps()) == session.health().gaps == 1
        assert session.subscriptions == {k: dict(v) for k, v in FILTERS.items()}
        assert session.error is None


def recorded_states(session: fxlive.Session) -> list[str]:
    """Return a list to which each further state of the session is appended."""
    states: list[str] = []
    pipeline, set_state = session._pipeline, session._pipeline._set_state
    pipeline._set_state = lambda state: (states.append(state), set_state(state))  # type: ignore[method-assign,assignment]
    return states


def test_while_reconnecting_the_frames_stay_and_the_gap_is_open(fx_simulator: SimulatorFactory) -> None:
    simulator = fx_simulator(speed=20.0)
    with open_session(simulator, reconnect_attempts=1_000) as session:
        simulator.faults.refuse(503, times=None)
        simulator.faults.drop()
        wait_until(lambda: session.state == "reconnecting")
        gap = session.gaps().iloc[-1]
        assert pd.isna(gap["end"])
        assert pd.isna(gap["duration_s"])
        assert len(session["market-data"]) >= 5
        assert session["market-data"].attrs["state"] == "reconnecting"
        assert "reconnecting to" in repr(session)
        assert session.health().connected_s is None
        with pytest.raises(fxlive.SubscriptionError, match="The connection is down"):
            session.subscribe("orders")
        session.unsubscribe("system")
        simulator.faults.accept()
        last_gap(session)
        assert "system" not in session.subscriptions
        session.subscribe("orders")


@pytest.mark.parametrize(("status", "retry_after"), [(429, 1), (503, None), (429, None)])
def test_refused_reconnects_are_tried_again(
    fx_simulator: SimulatorFactory, status: int, retry_after: float | None
) -> None:
    simulator = fx_simulator(speed=20.0)
    with open_session(simulator) as session:
        simulator.faults.refuse(status, times=1 if retry_after else 3, retry_after=retry_after)
        began = time.monotonic()
        simulator.faults.drop()
        gap = last_gap(session)
        check_gap(session, gap)
        assert time.monotonic() - began >= (retry_after or 0)


def test_five_failures_in_a_row_are_final_and_reconnect_starts_again(fx_simulator: SimulatorFactory) -> None:
    simulator = fx_simulator(speed=20.0)
    with open_session(simulator) as session:
        simulator.faults.refuse(503, times=None)
        simulator.faults.drop()
        wait_until(lambda: session.state == "failed")
        error = session.error
        assert isinstance(error, fxlive.ReconnectsExhausted)
        assert error.attempts == 5
        assert isinstance(error.__cause__, fxlive.ServerUnavailable)
        assert "5 reconnects to" in str(error)
        assert "Call session.reconnect() to try again." in str(error)
        with pytest.raises(fxlive.ReconnectsExhausted):
            session.wait_for("market-data", rows=10**6)
        with pytest.raises(fxlive.SessionClosed, match="has failed"):
            session.subscribe("orders")
        assert len(session["market-data"]) >= 5
        assert "failed" in repr(session)

        with pytest.raises(fxlive.ServerUnavailable):  # still refused
            session.reconnect()
        assert session.state == "failed"
        simulator.faults.accept()
        session.reconnect()
        assert (session.state, session.error) == ("connected", None)
        assert session.gaps().iloc[-1]["start"] < session.gaps().iloc[-1]["end"]
        further_quotes(session, 5)

        simulator.faults.drop()  # from now on it reconnects by itself again
        wait_until(lambda: len(session.gaps()) == 2 and session.state == "connected")


@pytest.mark.parametrize("attempts", [1, 2])
def test_reconnect_attempts_sets_how_many_failures_are_final(fx_simulator: SimulatorFactory, attempts: int) -> None:
    simulator = fx_simulator(speed=20.0)
    with open_session(simulator, reconnect_attempts=attempts) as session:
        simulator.faults.refuse(503, times=None)
        simulator.faults.drop()
        wait_until(lambda: session.state == "failed")
        assert isinstance(session.error, fxlive.ReconnectsExhausted)
        assert session.error.attempts == attempts


def test_a_requested_reconnect_leaves_a_gap_with_that_reason(fx_simulator: SimulatorFactory) -> None:
    with open_session(fx_simulator(speed=20.0)) as session:
        session.reconnect()
        gap = last_gap(session)
        assert gap["reason"] == "reconnect requested"
        check_gap(session, gap)


# Tokens


def test_a_new_token_is_fetched_after_the_old_one_was_revoked(fx_simulator: SimulatorFactory) -> None:
    simulator = fx_simulator(speed=20.0)
    with open_session(simulator, simulator.token) as session:
        simulator.faults.expire(revoke=True)
        gap = last_gap(session)
        check_gap(session, gap)
        assert "4401" in gap["reason"]


def test_the_expiry_of_a_fixed_token_is_final(fx_simulator: SimulatorFactory) -> None:
    simulator = fx_simulator(speed=20.0)
    with fxlive.connect(simulator.url, simulator.token(4.0), channels=FILTERS, timeout=PATIENCE_S) as session:
        wait_until(lambda: session.state == "failed")
        assert isinstance(session.error, fxlive.AuthenticationError)
        assert "it has expired. Get a new one." in str(session.error)
        assert "4401" in session.gaps().iloc[-1]["reason"]


def test_while_reconnecting_a_refused_token_is_renewed_once_and_the_next_refusal_is_final(
    fx_simulator: SimulatorFactory,
) -> None:
    simulator = fx_simulator(speed=20.0)
    calls: list[int] = []

    def token() -> str:
        calls.append(1)
        return simulator.token() if len(calls) in (1, 3) else "wrong"

    with open_session(simulator, token) as session:
        simulator.faults.drop()  # the second token is refused, the third accepted
        last_gap(session)
        simulator.faults.drop()
        wait_until(lambda: session.state == "failed")
        assert isinstance(session.error, fxlive.AuthenticationError)
        assert len(calls) == 5


def test_a_token_that_expires_while_subscribing_does_not_count_as_refused() -> None:
    """After a refusal, an accepted token may expire at once. Then one more refusal is not final."""
    reactions = iter(["accept", "refuse", "expire", "expire", "expire", "refuse", "accept"])
    reaction = [""]

    def process_request(socket: ServerConnection, _: Any) -> Any:
        reaction[0] = next(reactions)
        return socket.respond(401, "no") if reaction[0] == "refuse" else None

    sockets: list[ServerConnection] = []

    def handler(socket: ServerConnection) -> None:
        request = socket.recv()
        if reaction[0] == "expire":
            socket.close(4401, "token expired")
            return
        sockets.append(socket)
        socket.send(acknowledged(request))
        for _ in socket:
            pass

    with platform(handler, process_request=process_request) as url:
        session = fxlive.connect(url, make_token, channels=["market-data"], reconnect_attempts=None)
        sockets[0].close(1012)
        assert "1012" in last_gap(session)["reason"]
        assert len(sockets) == 2
        session.close()


def test_reconnecting_ends_if_every_token_expires_at_once() -> None:
    sockets: list[ServerConnection] = []

    def handler(socket: ServerConnection) -> None:
        sockets.append(socket)
        request = socket.recv()
        if len(sockets) == 1:
            socket.send(acknowledged(request))
            socket.recv(timeout=None)
        socket.close(4401, "token expired")

    with platform(handler) as url:
        session = fxlive.connect(url, make_token, channels=["market-data"], reconnect_attempts=3)
        sockets[0].close(4401)
        wait_until(lambda: session.state == "failed")
        assert isinstance(session.error, fxlive.ReconnectsExhausted)
        assert "4401" in str(session.error)
        assert len(sockets) == 4
        session.close()


def test_a_token_function_that_raises_counts_as_a_failed_reconnect(
    fx_simulator: SimulatorFactory,
) -> None:
    simulator = fx_simulator(speed=20.0)
    down = [False]

    def token() -> str:
        if down[0]:
            raise ConnectionError("the vault is down")
        return simulator.token()

    with open_session(simulator, token, reconnect_attempts=20) as session:
        down[0] = True
        simulator.faults.drop()
        wait_until(lambda: session._pipeline.feed._attempts.failures >= 3)  # type: ignore[attr-defined]
        assert session.state == "reconnecting"
        down[0] = False
        last_gap(session)


def test_a_token_is_replaced_before_it_expires_without_a_gap_and_without_lost_or_repeated_quotes(
    fx_simulator: SimulatorFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "REFRESH_SHARE", 0.9)  # replaced early, so that a slow machine has seconds to do it
    simulator = fx_simulator(speed=200.0, account=False)
    tokens: list[str] = []

    def token() -> str:
        tokens.append(simulator.token(6.0 if len(tokens) < 2 else 3600.0))
        return tokens[-1]

    with open_session(simulator, token, channels=["market-data"]) as session:
        wait_until(lambda: len(tokens) == 3 and simulator.accepted == 3 and simulator.connections == 1)
        frame = further_quotes(session, 500)
        assert session.gaps().empty
        assert session.health().reconnects == 0
        check_none_missing(frame)


def test_a_connection_that_ends_before_its_replacement_is_subscribed_leaves_a_gap() -> None:
    sockets: list[ServerConnection] = []

    def handler(socket: ServerConnection) -> None:
        sockets.append(socket)
        request = socket.recv()
        if len(sockets) == 2:
            sockets[0].close(4401, "token expired")
        socket.send(acknowledged(request))
        for _ in socket:
            pass

    tokens = iter([make_token(expires_in_s=1.0), *[make_token()] * 5])
    with platform(handler) as url:
        session = fxlive.connect(url, lambda: next(tokens), channels=["market-data"])
        wait_until(lambda: len(session.gaps()) > 0)
        gap = session.gaps().iloc[-1]
        assert "4401: token expired" in gap["reason"]
        assert gap["start"] < gap["end"]
        sockets[1].send(quote(1))
        session.wait_for("market-data", timeout=PATIENCE_S)
        assert len(sockets) == 2
        session.close()


def test_what_a_silently_dead_connection_has_lost_is_a_gap_when_its_token_is_replaced() -> None:
    sockets: list[ServerConnection] = []
    subscribed: list[pd.Timestamp] = []

    def handler(socket: ServerConnection) -> None:
        sockets.append(socket)
        request, first = socket.recv(), len(sockets) == 1
        subscribed.append(pd.Timestamp.now("UTC"))
        socket.send(acknowledged(request))
        socket.send(position(1))
        if first:
            socket.protocol.receive_data = lambda data: None  # from now on it neither sends nor answers
        with suppress(ConnectionClosed):
            while not first:  # so that the last message does not come when the gap ends
                socket.send(quote(len(sockets)))
                time.sleep(0.05)
        for _ in socket:
            pass

    def position(number: int) -> str:
        data = {"ticket": number, "symbol": "EURUSD", "volume": 1.0}
        ids = {"timestamp": "2024-01-01T00:00:00.000Z", "id": f"p{len(sockets)}"}
        return json.dumps({"type": "position", "channel": "positions", "data": data, **ids})

    tokens = iter([make_token(expires_in_s=1.0), *[make_token()] * 5])
    with platform(handler) as url:
        session = fxlive.connect(url, lambda: next(tokens), channels=["market-data", "positions"])
        wait_until(lambda: len(session.gaps()) > 0)
        gap = session.gaps().iloc[-1]
        session.wait_for("positions", rows=2, timeout=PATIENCE_S)
        first, second = session["positions"]["received_at"]
        assert gap["start"] == first
        assert subscribed[1] - pd.Timedelta("5ms") < gap["end"] <= second
        assert session.health().reconnects == 0
        assert session.latest("positions")["confirmed"].all()  # the new connection has confirmed it
        session.close()


def check_none_missing(frame: pd.DataFrame) -> None:
    """Check that the ids are consecutive after the snapshot, whose first quotes have older ids."""
    numbers = frame["id"].str.extract(r"(\d+)$")[0].astype(int)
    assert numbers.is_unique
    live = numbers[numbers > numbers.iloc[:20].max()]
    assert len(live) > 10
    assert sorted(live) == list(range(live.min(), live.max() + 1))


def test_a_token_that_cannot_be_replaced_in_time_is_replaced_after_its_expiry(fx_simulator: SimulatorFactory) -> None:
    simulator = fx_simulator(speed=20.0)
    calls: list[int] = []
    sessions: list[fxlive.Session] = []

    def token() -> str:
        calls.append(1)
        if len(calls) == 1:
            return simulator.token(1.5)
        if not sessions or sessions[0].gaps().empty:
            raise LookupError("not before the first token has expired")
        return simulator.token()

    with fxlive.connect(simulator.url, token, timeout=PATIENCE_S, reconnect_attempts=None) as session:
        sessions.append(session)
        assert "4401" in last_gap(session)["reason"]


# Faults of the connection and of messages


def test_a_dead_connection_is_detected_and_replaced(
    fx_simulator: SimulatorFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PING_AFTER_TICKS", 1)
    monkeypatch.setattr(live, "DEAD_AFTER_TICKS", 2)
    simulator = fx_simulator(speed=20.0)
    with open_session(simulator) as session:
        simulator.faults.silence(deaf=True)
        wait_until(lambda: session.state == "reconnecting")
        simulator.faults.calm()
        gap = last_gap(session)
        assert gap["reason"] == "no data, and no reply to a ping"
        check_gap(session, gap)


def test_a_connection_that_is_silent_but_answers_pings_is_kept(
    fx_simulator: SimulatorFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PING_AFTER_TICKS", 1)
    monkeypatch.setattr(live, "DEAD_AFTER_TICKS", 30)  # only a reply lets a further ping be sent
    simulator = fx_simulator(speed=20.0)
    with open_session(simulator) as session:
        simulator.faults.silence()
        connection = session._pipeline.feed._connection  # type: ignore[attr-defined]
        pings: list[int] = []
        ping = connection.ping
        connection.ping = lambda: (pings.append(1), ping())
        wait_until(lambda: len(pings) >= 3)
        assert session.state == "connected"
        assert session.gaps().empty
        simulator.faults.resume()
        further_quotes(session, 5)


def test_malformed_messages_are_rejected_and_unreadable_fields_missing_and_the_feed_goes_on(
    fx_simulator: SimulatorFactory,
) -> None:
    simulator = fx_simulator(speed=20.0)
    with open_session(simulator) as session:
        simulator.faults.malformed(12)
        simulator.faults.wrong_types(12)
        simulator.faults.malformed(1, "utf8")
        wait_until(lambda: session.health().rejected >= 18)
        rejected = session.rejected()
        assert len(rejected) == session.health().rejected == 18  # 5 of the 12 wrong types are in required fields
        assert rejected["reason"].str.len().min() > 3
        assert rejected["raw"].str.contains("upstream connect error").sum() == 2
        assert session.frame("market-data")["extra"].str.contains("a price").any()
        assert session.health().unreadable["market-data"]["bid"] >= 1
        assert str(rejected.index.dtype) == "datetime64[us, UTC]"
        further_quotes(session, 10)
        assert session.gaps().empty
        assert "18 rejected" in repr(session)


def test_duplicates_are_dropped_and_counted_and_the_order_of_arrival_is_kept(fx_simulator: SimulatorFactory) -> None:
    simulator = fx_simulator(speed=20.0, account=False)
    with open_session(simulator, channels=["market-data"]) as session:
        simulator.faults.duplicate(20)
        wait_until(lambda: session.health().duplicates == 20, "the duplicates")
        simulator.faults.reorder(5)
        ids = lambda: session["market-data"]["id"].str.extract(r"(\d+)$")[0].astype(int)  # noqa: E731
        wait_until(lambda: not ids().is_monotonic_increasing)
        check_none_missing(further_quotes(session, 20))
        assert session.health().duplicates == 20


def test_a_slow_connection_loses_nothing(fx_simulator: SimulatorFactory) -> None:
    simulator = fx_simulator(speed=None, quotes=3_000, wait_for_subscriber=True, account=False)
    simulator.faults.slow(delay_s=0.0002)
    with fxlive.connect(simulator.url, simulator.token(), channels=["market-data"]) as session:
        frame = session.wait_for("market-data", rows=3_000, timeout=PATIENCE_S)
        assert frame["id"].is_unique
        assert session.gaps().empty


def test_undocumented_fields_become_columns_and_are_reported(fx_simulator: SimulatorFactory) -> None:
    simulator = fx_simulator(speed=20.0)
    with open_session(simulator) as session:
        simulator.faults.unknown_fields(liquidity=2.5, venueName="LD4", firm=True)
        wait_until(lambda: "venue_name" in session["market-data"])
        drift = session.health().drift["market-data"]
        assert drift == {"liquidity": "float64", "venue_name": "str", "firm": "boolean"}
        assert session.rejected().empty


def test_an_earlier_error_message_is_not_the_reason_of_a_later_gap(fx_simulator: SimulatorFactory) -> None:
    simulator = fx_simulator(speed=20.0)
    with open_session(simulator) as session:
        simulator.faults.error("Permission denied", "for something")
        further_quotes(session, 10)
        assert session.state == "connected"
        simulator.faults.drop()
        assert last_gap(session)["reason"] == "The connection was lost."


def test_an_error_message_right_before_the_close_is_the_reason_of_the_gap() -> None:
    connections: list[int] = []

    def handler(socket: ServerConnection) -> None:
        connections.append(1)
        for request in socket:
            socket.send(acknowledged(request))
            if len(connections) == 1:
                socket.send('{"type":"error","error":"Rate limit exceeded","message":"too many reads"}')
                socket.close(1008)
                return

    with platform(handler) as url:
        session = fxlive.connect(url, TOKEN, channels=["trades"])
        assert last_gap(session)["reason"] == "Rate limit exceeded (too many reads)."
        session.close()


# Limits


def test_a_reconnect_waits_for_the_limit_of_connections(
    fx_simulator: SimulatorFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator = fx_simulator(speed=20.0)
    connected_at = noted_connections(monkeypatch, simulator.url, pacing.RateLimit(2, 1.5))
    with open_session(simulator) as session:
        simulator.faults.drop()
        last_gap(session, 1)
        simulator.faults.drop()
        last_gap(session, 2)
        assert simulator.accepted == len(connected_at) == 3
    assert connected_at[2] - connected_at[0] >= 1.49


def noted_connections(monkeypatch: pytest.MonkeyPatch, url: str, rate_limit: pacing.RateLimit) -> list[float]:
    """Set the limit of connections to a URL; return a list to which the time of each connection is appended."""
    times: list[float] = []
    note = rate_limit.note
    monkeypatch.setattr(rate_limit, "note", lambda now: (times.append(now), note(now)))
    monkeypatch.setattr(pacing, "_connection_limits", {url: rate_limit})
    return times


def test_two_reconnecting_sessions_together_stay_within_the_limit_of_connections(
    fx_simulator: SimulatorFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator = fx_simulator(speed=20.0)
    connected_at = noted_connections(monkeypatch, simulator.url, pacing.RateLimit(3, 2.0))
    with open_session(simulator, name="a") as a, open_session(simulator, name="b") as b:
        simulator.faults.drop()
        wait_until(lambda: a.health().reconnects == b.health().reconnects == 1)
        simulator.faults.drop()
        wait_until(lambda: a.health().reconnects == b.health().reconnects == 2)
    assert all(later - first >= 1.99 for first, later in zip(connected_at, connected_at[3:], strict=False))


def test_a_session_can_be_closed_while_it_reconnects(fx_simulator: SimulatorFactory) -> None:
    simulator = fx_simulator(speed=20.0)
    session = open_session(simulator, reconnect_attempts=10_000)
    simulator.faults.refuse(503, times=None)
    simulator.faults.drop()
    wait_until(lambda: session.state == "reconnecting")
    session.close()
    assert session.state == "closed"
    simulator.faults.accept()
    wait_until(lambda: simulator.connections == 0)
    assert fxlive.sessions() == []


def test_closing_a_session_ends_the_waiting_of_another_thread(fx_simulator: SimulatorFactory) -> None:
    session = open_session(fx_simulator(speed=20.0))
    threading.Timer(0.1, session.close).start()
    with pytest.raises(fxlive.SessionClosed, match=r"was closed while waiting for .*1,000,000.* market-data"):
        session.wait_for("market-data", rows=1_000_000, timeout=PATIENCE_S)


def test_a_reconnect_subscribes_to_the_channels_of_later_requests() -> None:
    requests: list[Any] = []

    def handler(socket: ServerConnection) -> None:
        for request in socket:
            requests.append(json.loads(request))
            socket.send(acknowledged(request))
            if len(requests) == 3:
                socket.close(1012)

    with platform(handler) as url:
        session = fxlive.connect(url, TOKEN, channels=["trades", "orders"])
        session.subscribe("market-data", symbol="EURUSD", change_percent=[1, 2])
        session.unsubscribe("orders")
        last_gap(session)
        wait_until(lambda: len(requests) == 4)
        session.close()
    assert requests[3] == {
        "type": "subscribe",
        "channels": [
            {"name": "trades", "filters": {}},
            {"name": "market-data", "filters": {"symbol": "EURUSD", "changePercent": [1, 2]}},
        ],
    }


def test_positions_of_a_reconnect_that_fails_are_not_confirmed(tmp_path: Path) -> None:
    """The platform sends a snapshot, but does not acknowledge the subscription; the position may close afterwards."""
    connections: list[ServerConnection] = []

    def serve(connection: ServerConnection) -> None:
        connections.append(connection)
        request = connection.recv()
        if len(connections) < 3:
            connection.send(wire(message(POSITION, {"id": "p1"}, ticket=1)).decode())
            connection.send(wire(message(POSITION, {"id": f"p{len(connections)}"}, ticket=2)).decode())
        if len(connections) == 2:
            connection.close(1011, "no subscriptions now")
            return
        connection.send(acknowledged(request))
        if len(connections) == 1:
            connection.close(1012, "restart")
            return
        with suppress(ConnectionClosed):
            connection.recv()

    with platform(serve) as url, fxlive.connect(url, TOKEN, channels=["positions"], record=tmp_path) as session:
        wait_until(lambda: len(connections) == 3 and session.state == "connected", "the second reconnect")
        gaps = session.gaps()
        assert len(gaps) == 2
        assert gaps["end"].notna().all()
        assert gaps["end"].iloc[0] <= gaps["start"].iloc[1]
        assert session.latest("positions")["confirmed"].tolist() == [False, False]
        assert session.recording is not None
        path = session.recording.path
    capture = fxlive.open_capture(path)
    pd.testing.assert_frame_equal(capture.gaps()[["start", "end"]], gaps[["start", "end"]])
    assert capture.latest("positions")["confirmed"].tolist() == [False, False]
    with fxlive.replay(path, speed=None, name="again") as replay:
        replay.wait_until_end()
        assert replay.latest("positions")["confirmed"].tolist() == [False, False]


def test_an_internal_error_while_reconnecting_fails_the_session(
    fx_simulator: SimulatorFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator = fx_simulator(speed=20.0)
    with open_session(simulator) as session:
        monkeypatch.setattr(live.LiveFeed, "_connect", lambda self: 1 / 0)
        simulator.faults.drop()
        wait_until(lambda: session.state == "failed")
        assert "internal error ended the connection: ZeroDivisionError" in str(session.error)
    assert background_loop().is_running()


def test_the_quotes_of_four_connections_are_in_order_of_arrival() -> None:
    connections: list[int] = []

    def handler(socket: ServerConnection) -> None:
        connections.append(1)
        socket.send(acknowledged(socket.recv()))
        socket.send(quote(len(connections)))
        if len(connections) < 4:
            socket.close(1001)
        for _ in socket:
            pass

    with platform(handler) as url:
        session = fxlive.connect(url, TOKEN, channels=["market-data"])
        frame = session.wait_for("market-data", rows=4, timeout=PATIENCE_S)
        assert frame["bid"].tolist() == [1.0, 2.0, 3.0, 4.0]
        wait_until(lambda: session.state == "connected" and session.gaps()["end"].notna().all())
        gaps = session.gaps()
        assert len(gaps) == 3
        assert (gaps["start"] < gaps["end"]).all()
        session.close()

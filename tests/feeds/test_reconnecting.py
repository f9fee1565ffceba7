"""Whatever happens to a connection: the session comes back with every subscription, and says what may be missing."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pandas as pd
import pytest
from websockets.sync.server import ServerConnection

import fxlive
from fxlive.core.background import background_loop
from fxlive.feeds import auth, live, pacing
from fxlive.simulator import make_token
from fxlive.simulator.fixture import SimulatorFactory
from fxlive.simulator.thread import SimulatorThread
from tests.handmade import TOKEN, acknowledged, clean_slate, platform, quick, quote, wait_until  # noqa: F401

pytestmark = pytest.mark.usefixtures("quick")

SYMBOLS = ["EURUSD", "USDJPY"]
FILTERS: dict[str, Any] = {
    "market-data": {"symbol": SYMBOLS},
    "system": {},
    "trades": {"strategy_id": "strategy_trend"},
}


def open_session(simulator: SimulatorThread, token: Any = None, **options: Any) -> fxlive.Session:
    options = {"channels": FILTERS, "timeout": 5.0, **options}
    session = fxlive.connect(simulator.url, token or simulator.token(), **options)
    session.wait_for("market-data", rows=5)
    return session


def back(session: fxlive.Session, reconnects: int = 1) -> pd.Series:
    """The last gap, once the session has come back so many times."""
    wait_until(lambda: session.health().reconnects >= reconnects and session.state == "connected", "the reconnect")
    return session.gaps().iloc[-1]


def check_gap(session: fxlive.Session, gap: pd.Series) -> None:
    assert gap["start"] < gap["end"]
    assert gap["duration_s"] > 0
    assert set(gap["channels"]) == set(session.subscriptions)
    rows = len(session["market-data"])
    frame = session.wait_for("market-data", rows=rows + 10)
    assert set(frame["symbol"]) <= set(SYMBOLS)  # it came back with its filters
    assert frame["id"].is_unique


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1008, 1011, 1012, 1013, 4000, 4401])
def test_a_dropped_connection_comes_back_with_its_filters_and_the_time_away_is_a_gap(
    fx_simulator: SimulatorFactory, code: int
) -> None:
    simulator = fx_simulator(speed=20.0)
    with open_session(simulator) as session:
        states = watch(session)
        simulator.faults.drop(code, "a word")
        gap = back(session)
        check_gap(session, gap)
        assert gap["reason"] == "The connection was lost." if code == 1006 else f"{code}: a word" in gap["reason"]
        assert states == ["reconnecting", "connected"]
        assert len(session.gaps()) == session.health().gaps == 1
        assert session.subscriptions == {k: dict(v) for k, v in FILTERS.items()}
        assert session.error is None


def watch(session: fxlive.Session) -> list[str]:
    """A list that grows with each state of a session."""
    states: list[str] = []
    pipeline, set_state = session._pipeline, session._pipeline._set_state
    pipeline._set_state = lambda state: (states.append(state), set_state(state))  # type: ignore[method-assign,assignment]
    return states


def test_while_it_is_away_frames_stay_and_the_gap_is_open(fx_simulator: SimulatorFactory) -> None:
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
        with pytest.raises(fxlive.SubscriptionError, match="connection is down just now"):
            session.subscribe("orders")
        session.unsubscribe("system")
        simulator.faults.accept()
        back(session)
        assert "system" not in session.subscriptions
        session.subscribe("orders")


@pytest.mark.parametrize(("status", "retry_after"), [(429, 1), (503, None), (429, None)])
def test_a_door_that_stays_shut_for_a_while_is_tried_again(
    fx_simulator: SimulatorFactory, status: int, retry_after: float | None
) -> None:
    simulator = fx_simulator(speed=20.0)
    with open_session(simulator) as session:
        simulator.faults.refuse(status, times=1 if retry_after else 3, retry_after=retry_after)
        began = time.monotonic()
        simulator.faults.drop()
        gap = back(session)
        check_gap(session, gap)
        assert time.monotonic() - began >= (retry_after or 0)


def test_five_failures_in_a_row_are_final_and_reconnect_begins_anew(fx_simulator: SimulatorFactory) -> None:
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

        with pytest.raises(fxlive.ServerUnavailable):  # still shut
            session.reconnect()
        assert session.state == "failed"
        simulator.faults.accept()
        session.reconnect()
        assert (session.state, session.error) == ("connected", None)
        assert session.gaps().iloc[-1]["start"] < session.gaps().iloc[-1]["end"]
        rows = len(session["market-data"])
        session.wait_for("market-data", rows=rows + 5)

        simulator.faults.drop()  # and from now on it comes back by itself again
        wait_until(lambda: len(session.gaps()) == 2 and session.state == "connected")


@pytest.mark.parametrize("attempts", [1, 2])
def test_how_many_failures_are_final_is_an_option(fx_simulator: SimulatorFactory, attempts: int) -> None:
    simulator = fx_simulator(speed=20.0)
    with open_session(simulator, reconnect_attempts=attempts) as session:
        simulator.faults.refuse(503, times=None)
        simulator.faults.drop()
        wait_until(lambda: session.state == "failed")
        assert isinstance(session.error, fxlive.ReconnectsExhausted)
        assert session.error.attempts == attempts


def test_reconnect_on_demand_is_a_gap_that_was_asked_for(fx_simulator: SimulatorFactory) -> None:
    with open_session(fx_simulator(speed=20.0)) as session:
        session.reconnect()
        gap = back(session)
        assert gap["reason"] == "asked for"
        check_gap(session, gap)


# Tokens


def test_a_token_that_ends_is_fetched_anew(fx_simulator: SimulatorFactory) -> None:
    simulator = fx_simulator(speed=20.0)
    with open_session(simulator, simulator.token) as session:
        simulator.faults.expire(revoke=True)
        gap = back(session)
        check_gap(session, gap)
        assert "4401" in gap["reason"]


def test_a_fixed_token_that_ends_is_final_and_says_that_it_has_expired(fx_simulator: SimulatorFactory) -> None:
    simulator = fx_simulator(speed=20.0)
    with open_session(simulator, simulator.token(1.5)) as session:
        wait_until(lambda: session.state == "failed")
        assert isinstance(session.error, fxlive.AuthenticationError)
        assert "it has expired. Get a new one." in str(session.error)
        assert "4401" in session.gaps().iloc[-1]["reason"]


def test_a_refused_token_is_fetched_anew_once_while_reconnecting_and_then_that_is_final(
    fx_simulator: SimulatorFactory,
) -> None:
    simulator = fx_simulator(speed=20.0)
    given: list[int] = []

    def token() -> str:
        given.append(1)
        return simulator.token() if len(given) in (1, 3) else "wrong"

    with open_session(simulator, token) as session:
        simulator.faults.drop()  # the second is refused, the third is good
        back(session)
        simulator.faults.drop()
        wait_until(lambda: session.state == "failed")
        assert isinstance(session.error, fxlive.AuthenticationError)
        assert len(given) == 5


def test_a_token_that_ends_while_it_is_subscribed_with_was_not_refused_and_another_is_asked_for() -> None:
    """As after an expiry there may be a refusal, then a good token that happens to end at once."""
    doings = iter(["take", "refuse", "end", "end", "end", "refuse", "take"])
    now = [""]

    def at_the_door(socket: ServerConnection, _: Any) -> Any:
        now[0] = next(doings)
        return socket.respond(401, "no") if now[0] == "refuse" else None

    sockets: list[ServerConnection] = []

    def handler(socket: ServerConnection) -> None:
        request = socket.recv()
        if now[0] == "end":
            socket.close(4401, "token expired")
            return
        sockets.append(socket)
        socket.send(acknowledged(request))
        for _ in socket:
            pass

    with platform(handler, process_request=at_the_door) as url:
        session = fxlive.connect(url, make_token, channels=["market-data"], reconnect_attempts=None)
        sockets[0].close(1012)
        assert "1012" in back(session)["reason"]
        assert len(sockets) == 2
        session.close()


def test_a_platform_that_lets_every_token_in_and_ends_it_at_once_is_given_up_in_the_end() -> None:
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


def test_a_token_function_that_is_down_with_the_network_counts_as_one_failure_of_five(
    fx_simulator: SimulatorFactory,
) -> None:
    simulator = fx_simulator(speed=20.0)
    down = [False]

    def token() -> str:
        if down[0]:
            raise ConnectionError("the vault is down too")
        return simulator.token()

    with open_session(simulator, token, reconnect_attempts=20) as session:
        down[0] = True
        simulator.faults.drop()
        wait_until(lambda: session._pipeline.feed._attempts.failures >= 3)  # type: ignore[attr-defined]
        assert session.state == "reconnecting"
        down[0] = False
        back(session)


def test_a_token_near_its_end_is_replaced_without_a_gap_and_no_quote_is_lost_or_doubled(
    fx_simulator: SimulatorFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "REFRESH_SHARE", 0.5)  # a busy machine may need the second that is left then
    simulator = fx_simulator(speed=200.0, account=False)
    given: list[str] = []

    def token() -> str:
        given.append(simulator.token(2.0 if len(given) < 2 else 3600.0))
        return given[-1]

    with open_session(simulator, token, channels=["market-data"]) as session:
        wait_until(lambda: len(given) == 3 and simulator.accepted == 3 and simulator.connections == 1)
        rows = len(session["market-data"])
        frame = session.wait_for("market-data", rows=rows + 500)
        assert session.gaps().empty
        assert session.health().reconnects == 0
        check_none_missing(frame)


def test_a_connection_that_ends_before_its_replacement_is_there_leaves_a_gap() -> None:
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
        gap = back(session)
        assert "4401: token expired" in gap["reason"]
        assert gap["start"] < gap["end"]
        sockets[1].send(quote(1))
        session.wait_for("market-data")
        assert len(sockets) == 2
        session.close()


def check_none_missing(frame: pd.DataFrame) -> None:
    """Each quote has the next number; what came first was the state at the time, and so older ones."""
    numbers = frame["id"].str.extract(r"(\d+)$")[0].astype(int)
    assert numbers.is_unique
    begun = numbers[numbers > numbers.iloc[:20].max()]
    assert len(begun) > 10
    assert sorted(begun) == list(range(begun.min(), begun.max() + 1))


def test_a_token_that_cannot_be_replaced_in_time_is_replaced_after_its_end(fx_simulator: SimulatorFactory) -> None:
    simulator = fx_simulator(speed=20.0)
    ended: list[float] = []

    def token() -> str:
        if not ended:
            ended.append(time.monotonic() + 1.5)
            return simulator.token(1.5)
        if time.monotonic() < ended[0]:
            raise LookupError("not just now")
        return simulator.token()

    with open_session(simulator, token) as session:
        assert "4401" in back(session)["reason"]


# The line


def test_a_silent_connection_is_found_out_and_replaced(
    fx_simulator: SimulatorFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PING_AFTER_TICKS", 1)
    monkeypatch.setattr(live, "DEAD_AFTER_TICKS", 2)
    simulator = fx_simulator(speed=20.0)
    with open_session(simulator) as session:
        simulator.faults.silence(deaf=True)
        wait_until(lambda: session.state == "reconnecting")
        simulator.faults.calm()
        gap = back(session)
        assert gap["reason"] == "no sign of life, and no answer to a ping"
        check_gap(session, gap)


def test_a_connection_that_is_silent_but_answers_pings_is_kept(
    fx_simulator: SimulatorFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PING_AFTER_TICKS", 1)
    monkeypatch.setattr(live, "DEAD_AFTER_TICKS", 3)
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
        session.wait_for("market-data", rows=len(session["market-data"]) + 5)


def test_malformed_and_wrongly_typed_messages_are_rows_of_rejected_and_the_rest_goes_on(
    fx_simulator: SimulatorFactory,
) -> None:
    simulator = fx_simulator(speed=20.0)
    with open_session(simulator) as session:
        simulator.faults.malformed(12)
        simulator.faults.wrong_types(12)
        simulator.faults.malformed(1, "utf8")
        wait_until(lambda: session.health().rejected >= 25)
        rejected = session.rejected()
        assert len(rejected) == session.health().rejected == 25
        assert rejected["reason"].str.len().min() > 3
        assert rejected["raw"].str.contains("upstream connect error").sum() == 2
        assert rejected["raw"].str.contains("a price").any()
        assert str(rejected.index.dtype) == "datetime64[us, UTC]"
        rows = len(session["market-data"])
        session.wait_for("market-data", rows=rows + 10)
        assert session.gaps().empty
        assert "25 rejected" in repr(session)


def test_duplicates_are_dropped_and_counted_and_disorder_is_kept(fx_simulator: SimulatorFactory) -> None:
    simulator = fx_simulator(speed=20.0, account=False)
    with open_session(simulator, channels=["market-data"]) as session:
        simulator.faults.duplicate(20)
        session.wait_for("market-data", rows=60)
        assert session.health().duplicates == 20
        simulator.faults.reorder(5)
        ids = lambda: session["market-data"]["id"].str.extract(r"(\d+)$")[0].astype(int)  # noqa: E731
        wait_until(lambda: not ids().is_monotonic_increasing)
        check_none_missing(session.wait_for("market-data", rows=len(ids()) + 20))
        assert session.health().duplicates == 20


def test_a_slow_line_loses_nothing(fx_simulator: SimulatorFactory) -> None:
    simulator = fx_simulator(speed=None, quotes=3_000, wait_for_subscriber=True, account=False)
    simulator.faults.slow(delay_s=0.0002)
    with fxlive.connect(simulator.url, simulator.token(), channels=["market-data"]) as session:
        frame = session.wait_for("market-data", rows=3_000, timeout=20)
        assert frame["id"].is_unique
        assert session.gaps().empty


def test_fields_that_the_platform_adds_become_columns_and_are_reported(fx_simulator: SimulatorFactory) -> None:
    simulator = fx_simulator(speed=20.0)
    with open_session(simulator) as session:
        simulator.faults.unknown_fields(liquidity=2.5, venueName="LD4", firm=True)
        wait_until(lambda: "venue_name" in session["market-data"])
        drift = session.health().drift["market-data"]
        assert drift == {"liquidity": "float64", "venue_name": "str", "firm": "boolean"}
        assert session.rejected().empty


def test_an_error_in_passing_is_no_reason_for_a_later_gap(fx_simulator: SimulatorFactory) -> None:
    simulator = fx_simulator(speed=20.0)
    with open_session(simulator) as session:
        simulator.faults.error("Permission denied", "for something")
        rows = len(session["market-data"])
        session.wait_for("market-data", rows=rows + 10)
        assert session.state == "connected"
        simulator.faults.drop()
        assert back(session)["reason"] == "The connection was lost."


def test_what_the_platform_said_last_is_the_reason_of_the_gap() -> None:
    turns: list[int] = []

    def handler(socket: ServerConnection) -> None:
        turns.append(1)
        for request in socket:
            socket.send(acknowledged(request))
            if len(turns) == 1:
                socket.send('{"type":"error","error":"Rate limit exceeded","message":"too many reads"}')
                socket.close(1008)
                return

    with platform(handler) as url:
        session = fxlive.connect(url, TOKEN, channels=["trades"])
        assert back(session)["reason"] == "Rate limit exceeded (too many reads)."
        session.close()


# Limits


def test_a_reconnect_waits_where_ten_connections_were_made_in_a_minute(
    fx_simulator: SimulatorFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator = fx_simulator(speed=20.0)
    window = pacing.RateLimit(2, 1.5)
    monkeypatch.setattr(pacing, "_connection_limits", {simulator.url: window})
    with open_session(simulator) as session:
        began = time.monotonic()
        simulator.faults.drop()
        back(session, 1)
        simulator.faults.drop()
        back(session, 2)
        assert time.monotonic() - began >= 1.0
        assert simulator.accepted == 3


def test_two_sessions_that_wait_for_the_same_place_do_not_both_take_it(
    fx_simulator: SimulatorFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator = fx_simulator(speed=20.0)
    window = pacing.RateLimit(3, 2.0)
    monkeypatch.setattr(pacing, "_connection_limits", {simulator.url: window})
    made: list[float] = []
    note = window.note
    monkeypatch.setattr(window, "note", lambda now: (made.append(now), note(now)))
    with open_session(simulator, name="a") as a, open_session(simulator, name="b") as b:
        simulator.faults.drop()
        wait_until(lambda: a.health().reconnects == b.health().reconnects == 1)
        simulator.faults.drop()
        wait_until(lambda: a.health().reconnects == b.health().reconnects == 2)
    assert all(later - first >= 1.99 for first, later in zip(made, made[3:], strict=False))


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


def test_a_session_closed_while_another_thread_waits_tells_it(fx_simulator: SimulatorFactory) -> None:
    session = open_session(fx_simulator(speed=20.0))
    threading.Timer(0.1, session.close).start()
    with pytest.raises(fxlive.SessionClosed, match=r"was closed while waiting for .*1,000,000.* market-data"):
        session.wait_for("market-data", rows=1_000_000)


def test_a_platform_that_forgets_a_channel_is_asked_again_with_what_was_granted_later() -> None:
    asked: list[Any] = []

    def handler(socket: ServerConnection) -> None:
        for request in socket:
            asked.append(json.loads(request))
            socket.send(acknowledged(request))
            if len(asked) == 3:
                socket.close(1012)

    with platform(handler) as url:
        session = fxlive.connect(url, TOKEN, channels=["trades", "orders"])
        session.subscribe("market-data", symbol="EURUSD", change_percent=[1, 2])
        session.unsubscribe("orders")
        back(session)
        wait_until(lambda: len(asked) == 4)
        session.close()
    assert asked[3] == {
        "type": "subscribe",
        "channels": [
            {"name": "trades", "filters": {}},
            {"name": "market-data", "filters": {"symbol": "EURUSD", "changePercent": [1, 2]}},
        ],
    }


def test_an_error_of_our_own_while_reconnecting_fails_the_session_instead_of_hanging_it(
    fx_simulator: SimulatorFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator = fx_simulator(speed=20.0)
    with open_session(simulator) as session:
        monkeypatch.setattr(live.LiveFeed, "_connect", lambda self: 1 / 0)
        simulator.faults.drop()
        wait_until(lambda: session.state == "failed")
        assert "internal error ended it: ZeroDivisionError" in str(session.error)
    assert background_loop().is_running()


def test_one_quote_of_each_connection_stays_in_order_of_arrival() -> None:
    turns: list[int] = []

    def handler(socket: ServerConnection) -> None:
        turns.append(1)
        socket.send(acknowledged(socket.recv()))
        socket.send(quote(len(turns)))
        if len(turns) < 4:
            socket.close(1001)
        for _ in socket:
            pass

    with platform(handler) as url:
        session = fxlive.connect(url, TOKEN, channels=["market-data"])
        frame = session.wait_for("market-data", rows=4)
        assert frame["bid"].tolist() == [1.0, 2.0, 3.0, 4.0]
        wait_until(lambda: session.state == "connected" and session.gaps()["end"].notna().all())
        gaps = session.gaps()
        assert len(gaps) == 3
        assert (gaps["start"] < gaps["end"]).all()
        session.close()

"""The server as a client sees it: tokens, subscriptions, filters, errors and limits."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import jwt
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from fxlive.simulator import DEFAULT_SECRET, Simulator, SimulatorThread, make_token
from fxlive.simulator.fixture import SimulatorFactory
from tests.simulator.listener import CHANNELS, PATIENCE_S, Listener, wait_until


def connect_refused(url: str, **options: Any) -> InvalidStatus:
    with pytest.raises(InvalidStatus) as refusal:
        connect(url, **options)
    return refusal.value


# Tokens


def test_the_first_message_reports_the_connection_and_the_user(fx_simulator: SimulatorFactory) -> None:
    with Listener(fx_simulator.default, token=fx_simulator.token(user_id="user_9")) as client:
        message = client.receive()

    assert message is not None
    assert list(message) == ["type", "status", "sessionId", "userId", "timestamp"]
    assert (message["type"], message["status"], message["userId"]) == ("connection", "connected", "user_9")


def test_a_token_may_be_in_the_url(fx_simulator: SimulatorFactory) -> None:
    with connect(f"{fx_simulator.url}?token={fx_simulator.token()}") as socket:
        assert json.loads(socket.recv(PATIENCE_S))["status"] == "connected"


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("", "missing"),
        ("nonsense", "not valid"),
        (make_token("another secret that is long enough to be one", "user_456"), "not valid"),
        (make_token(expires_in_s=-1), "expired"),
        (jwt.encode({"sub": "user_456"}, DEFAULT_SECRET, algorithm="HS256"), "not valid"),
        (jwt.encode({"sub": "u", "exp": 9e9}, "", algorithm="none"), "not valid"),
    ],
    ids=["none", "nonsense", "secret", "expired", "no-exp", "unsigned"],
)
def test_an_invalid_token_is_refused_with_401(fx_simulator: SimulatorFactory, token: str, reason: str) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else None
    refusal = connect_refused(fx_simulator.url, additional_headers=headers)

    assert refusal.response.status_code == 401
    body = (refusal.response.body or b"").decode()
    assert body.startswith("Authentication failed")
    assert reason in body


def test_another_path_is_not_found(fx_simulator: SimulatorFactory) -> None:
    url = fx_simulator.url.replace("/api/ws", "/other")

    assert connect_refused(f"{url}?token={fx_simulator.token()}").response.status_code == 404


def test_a_token_that_expires_while_connected_ends_the_connection_with_4401(fx_simulator: SimulatorFactory) -> None:
    def connect_for(life_s: float) -> Listener:
        """Connect with a token of this life, or a longer one where the machine is too busy to connect in time."""
        try:
            return Listener(fx_simulator.default, token=fx_simulator.token(expires_in_s=life_s))
        except InvalidStatus:
            return connect_for(3 * life_s)

    started = time.monotonic()
    with connect_for(0.6) as client:
        assert client.read_close_code() == 4401

    assert time.monotonic() - started > 0.3


# Subscriptions


@pytest.mark.parametrize("entry", ["trades", {"name": "trades"}, {"name": "trades", "filters": {}}])
def test_both_forms_of_subscribe_are_answered(fx_simulator: SimulatorFactory, entry: Any) -> None:
    with Listener(fx_simulator.default) as client:
        answer = client.subscribe(entry)

    assert list(answer) == ["type", "status", "channels", "timestamp"]
    assert answer["status"] == "success"
    assert answer["channels"] == [{"name": "trades", "subscribed": True, "filters": {}}]


def test_filters_are_echoed(fx_simulator: SimulatorFactory) -> None:
    filters = {"symbol": "EURUSD", "strategyId": "strategy_trend"}
    with Listener(fx_simulator.default) as client:
        answer = client.subscribe({"name": "trades", "filters": filters}, "positions")

    assert answer["channels"] == [
        {"name": "trades", "subscribed": True, "filters": filters},
        {"name": "positions", "subscribed": True, "filters": {}},
    ]


def test_every_kind_of_message_but_alerts_is_sent_soon_after_the_start(fx_simulator: SimulatorFactory) -> None:
    with Listener(fx_simulator(speed=1.0), *CHANNELS) as client:
        for kind in ("market_data", "order", "trade", "position", "analytics", "system"):
            if not any(message["type"] == kind for message in client.messages):
                client.until_type(kind)
        # The account trades: a part of the first position is closed, and positions follow the price.
        client.until(lambda m: m["type"] == "trade" and m["data"]["status"] == "CLOSED")
        assert len(client.of("positions")) > 3


@pytest.mark.parametrize("speed", [0.01, 300.0, None])
def test_every_kind_of_message_but_alerts_is_sent_at_any_speed(
    speed: float | None, fx_simulator: SimulatorFactory
) -> None:
    sim = fx_simulator(speed=speed, quotes=3_000, wait_for_subscriber=True)
    with Listener(sim, *CHANNELS) as client:
        expected = {"market_data", "order", "trade", "position", "analytics", "system"}
        client.until(lambda _: expected <= {message["type"] for message in client.messages})


def test_only_subscribed_channels_are_sent_until_they_are_unsubscribed(fx_simulator: SimulatorFactory) -> None:
    with Listener(fx_simulator(speed=50.0), "market-data", "system") as client:
        client.take(50)
        answer = client.unsubscribe("market-data")
        before = len(client.of("market-data"))
        client.until_type("system")

    assert list(answer) == ["type", "status", "channels", "timestamp"]
    assert (answer["status"], answer["channels"]) == ("success", ["market-data"])
    assert len(client.of("market-data")) == before
    assert {m["type"] for m in client.messages} <= {
        "connection", "subscription", "market_data", "system", "unsubscription"
    }  # fmt: skip


def test_a_subscription_is_followed_by_the_current_rows(fx_simulator: SimulatorFactory) -> None:
    sim = fx_simulator(quotes=30_000, speed=None, start="2024-01-02T08:00:00Z")
    assert sim.wait_finished(PATIENCE_S)
    with Listener(sim, *CHANNELS, {"name": "market-data"}) as client:
        client.until_type("system")
        client.until_type("system")  # the next report: by then the current rows have been received

    quotes = client.of("market-data")
    assert {message["data"]["symbol"] for message in quotes} == {
        "EURUSD", "GBPUSD", "USDJPY", "AUDUSD", "NZDUSD", "USDCAD", "USDCHF", "EURJPY", "EURGBP"
    }  # fmt: skip
    assert len(quotes) == 9
    assert 0 < len(client.of("trades")) <= 200
    assert all(message["data"]["status"] in {"PENDING", "PARTIALLY_FILLED"} for message in client.of("orders"))
    assert all(message["data"]["volume"] > 0 for message in client.of("positions"))
    assert {message["data"]["period"] for message in client.of("analytics")} == {"DAY", "WEEK", "MONTH"}
    ids = [message["id"] for message in client.of("trades")]
    assert len(set(ids)) == len(ids)


def test_the_current_rows_are_repeated_with_their_original_ids(fx_simulator: SimulatorFactory) -> None:
    sim = fx_simulator(quotes=5_000, speed=None, wait_for_subscriber=True)
    with Listener(sim, "trades", "market-data") as first:
        assert sim.wait_finished(PATIENCE_S)
        first.until(lambda _: len(first.of("market-data")) >= 5_000)
        with Listener(sim, "trades", "system") as second:
            second.until_type("system")

    originals = {message["id"]: message for message in first.of("trades")}
    assert second.of("trades")
    assert all(originals[message["id"]] == message for message in second.of("trades"))


# Filters


@pytest.mark.parametrize(
    ("channel", "filters", "passes"),
    [
        ("market-data", {"symbol": "EURUSD"}, lambda d: d["symbol"] == "EURUSD"),
        ("market-data", {"symbol": ["EURUSD", "USDJPY"]}, lambda d: d["symbol"] in {"EURUSD", "USDJPY"}),
        ("market-data", {"symbol": "USDJPY", "spread": "6"}, lambda d: (d["symbol"], d["spread"]) == ("USDJPY", 6)),
        ("market-data", {"spread": 6}, lambda d: d["spread"] == 6),
        ("trades", {"action": "BUY", "status": "CLOSED"}, lambda d: (d["action"], d["status"]) == ("BUY", "CLOSED")),
        ("trades", {"connectionId": "conn_2"}, lambda d: d["connectionId"] == "conn_2"),
        ("orders", {"orderType": "BUY_LIMIT", "ticket": None}, lambda d: d["ticket"] is None),
        ("orders", {"remainingVolume": 0}, lambda d: d["remainingVolume"] == 0),
        ("analytics", {"period": "WEEK"}, lambda d: d["period"] == "WEEK"),
        ("system", {"components.redis": "HEALTHY"}, lambda d: d["components"]["redis"] == "HEALTHY"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else None,
)
def test_a_filter_on_any_field_passes_only_messages_with_that_value(
    fx_simulator: SimulatorFactory, channel: str, filters: Any, passes: Any
) -> None:
    sim = fx_simulator(speed=600.0, start="2024-01-02T08:00:00Z", wait_for_subscriber=True)
    other = "trades" if channel == "system" else "system"
    with Listener(sim, {"name": channel, "filters": filters}, other, "market-data") as client:
        if channel == "market-data":
            client.subscribe({"name": channel, "filters": filters})
        client.messages.clear()
        client.until(lambda m: m.get("channel") == channel)
        client.until(lambda m: m.get("channel") == other)

    assert client.of(channel)
    assert all(passes(message["data"]) for message in client.of(channel))


def test_positions_can_be_filtered_by_a_connection_id_that_is_not_in_their_data(fx_simulator: SimulatorFactory) -> None:
    sim = fx_simulator(speed=300.0, start="2024-01-02T08:00:00Z", wait_for_subscriber=True)
    filters = {"connectionId": "conn_2"}
    with Listener(
        sim, {"name": "positions", "filters": filters}, {"name": "trades", "filters": filters}, "market-data"
    ) as client:
        client.until_type("position")
        client.until(lambda m: m["type"] == "trade" and m["data"]["status"] == "CLOSED")

    tickets = {message["data"]["ticket"] for message in client.of("trades")}
    assert {message["data"]["ticket"] for message in client.of("positions")} <= tickets


# Errors


@pytest.mark.parametrize(
    ("request_", "error", "channel"),
    [
        ("no json", "Invalid subscription", None),
        ("[1]", "Invalid subscription", None),
        ({"type": "order", "channels": ["trades"]}, "Invalid subscription", None),
        ({"type": "subscribe"}, "Invalid subscription", None),
        ({"type": "subscribe", "channels": []}, "Invalid subscription", None),
        ({"type": "subscribe", "channels": "trades"}, "Invalid subscription", None),
        ({"type": "subscribe", "channels": [7]}, "Invalid subscription", None),
        ({"type": "subscribe", "channels": [{"name": "trades", "filters": [1]}]}, "Invalid subscription", "trades"),
        (
            {"type": "subscribe", "channels": [{"name": "trades", "filters": {"x": 1}}]},
            "Invalid subscription",
            "trades",
        ),
        ({"type": "subscribe", "channels": ["trads"]}, "Invalid channel", "trads"),
        ({"type": "unsubscribe", "channels": ["trads"]}, "Invalid channel", "trads"),
        ({"type": "subscribe", "channels": ["orders"]}, "Permission denied", "orders"),
    ],
)
def test_an_invalid_request_is_answered_with_the_documented_error(
    fx_simulator: SimulatorFactory, request_: Any, error: str, channel: str | None
) -> None:
    token = fx_simulator.token(channels=["trades", "market-data"])
    with Listener(fx_simulator.default, token=token) as client:
        client.send(request_)
        answer = client.until_type("error")
        assert client.subscribe("trades")["status"] == "success"

    assert list(answer) == ["type", "error", "message", "channel", "timestamp", "id"]
    assert (answer["error"], answer["channel"]) == (error, channel)
    assert answer["message"]


def test_the_valid_channels_of_a_request_are_subscribed_despite_an_invalid_one(fx_simulator: SimulatorFactory) -> None:
    with Listener(fx_simulator.default) as client:
        client.send({"type": "subscribe", "channels": ["trades", "trads", "system"]})
        assert client.until_type("error")["channel"] == "trads"
        answer = client.until_type("subscription")

    assert [channel["name"] for channel in answer["channels"]] == ["trades", "system"]


# Limits


def test_more_than_fifty_subscriptions_are_an_error(fx_simulator: SimulatorFactory) -> None:
    with Listener(fx_simulator.default) as client:
        answer = client.subscribe(*["trades"] * 51)
        assert answer["error"] == "Invalid subscription"
        assert "50" in answer["message"]
        assert client.subscribe(*["trades"] * 50)["status"] == "success"


def test_the_limit_counts_the_current_subscriptions(fx_simulator: SimulatorFactory) -> None:
    with Listener(fx_simulator(subscriptions_limit=2)) as client:
        assert client.subscribe("trades", "orders")["status"] == "success"
        assert client.subscribe("system")["error"] == "Invalid subscription"
        client.unsubscribe("orders")
        assert client.subscribe("system")["status"] == "success"


def test_a_flood_of_requests_ends_the_connection(fx_simulator: SimulatorFactory) -> None:
    with Listener(fx_simulator.default) as client:
        # Until the connection ends: a slow machine may need more than a second for a fixed number.
        try:
            while True:
                client.send({"type": "unsubscribe", "channels": ["trades"]})
        except ConnectionClosed:
            pass
        assert client.read_close_code() == 1008

    assert client.messages[-1]["error"] == "Rate limit exceeded"
    assert len([m for m in client.messages if m["type"] == "unsubscription"]) >= 100


def test_the_eleventh_connection_of_a_user_in_a_minute_is_refused_with_429(fx_simulator: SimulatorFactory) -> None:
    sim = fx_simulator(connections_per_minute=10)
    headers = {"Authorization": f"Bearer {sim.token()}"}
    for _ in range(10):
        with connect(sim.url, additional_headers=headers):
            pass

    refusal = connect_refused(sim.url, additional_headers=headers)

    assert refusal.response.status_code == 429
    assert 1 <= int(refusal.response.headers["Retry-After"]) <= 60
    assert b"Rate limit exceeded" in (refusal.response.body or b"")
    with Listener(sim, "trades", token=sim.token(user_id="someone else")):
        pass


# Start and end


def test_the_simulator_runs_in_an_event_loop() -> None:
    async def main() -> tuple[int, dict[str, int]]:
        async with Simulator(speed=None, quotes=1_000, account=False) as sim:
            await asyncio.wait_for(sim.finished.wait(), PATIENCE_S)
            return sim.connections, sim.published

    connections, published = asyncio.run(main())

    assert connections == 0
    assert published == {**dict.fromkeys(CHANNELS, 0), "market-data": 1_000}


def test_connections_are_counted_and_end_with_1001_when_the_simulator_closes() -> None:
    with SimulatorThread() as sim:
        client = Listener(sim, "system")
        wait_until(lambda: sim.connections == 1)
    assert client.read_close_code() == 1001
    with SimulatorThread() as sim:
        client = Listener(sim, "system")
        client.close()
        wait_until(lambda: sim.connections == 0)
        assert sim.accepted == 1


def test_an_invalid_option_is_an_error_of_the_constructor() -> None:
    with pytest.raises(ValueError, match=r"^speed must be above 0, .* got 0$"):
        SimulatorThread(speed=0)
    with pytest.raises(ValueError, match=r"^Tick file not found: no-such-file\.csv$"):
        SimulatorThread(ticks="no-such-file.csv")
    with pytest.raises(ValueError, match="XYZ"):
        SimulatorThread(symbols=["XYZ"])


def test_a_port_in_use_is_an_error() -> None:
    with SimulatorThread() as sim, pytest.raises(OSError):
        SimulatorThread(port=sim.port)


def test_closing_twice_is_allowed() -> None:
    sim = SimulatorThread()
    sim.close()
    sim.close()

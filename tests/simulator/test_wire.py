"""Messages have the reference's fields and types, with the fields in the order of its samples."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from fxlive.simulator import wire
from fxlive.simulator.market.random_walk import SimulatedMarket
from fxlive.simulator.trading.platform import Message, Platform

START_MS = 1_704_182_400_000  # 2024-01-02 08:00 UTC

# Copied by hand from the samples of the reference.
ENVELOPE = ["type", "channel", "data", "timestamp", "id"]
DATA = {
    "trade": "executionId ticket symbol action volume openPrice stopLoss takeProfit profit commission swap status "
    "executedAt strategyId connectionId",
    "position": "ticket symbol type volume openPrice currentPrice stopLoss takeProfit profit unrealizedPnL margin "
    "marginLevel duration lastUpdate",
    "order": "orderId ticket symbol orderType volume price status filledAt fillPrice filledVolume remainingVolume "
    "strategyId",
    "market_data": "symbol bid ask last volume spread timestamp change changePercent dayHigh dayLow open close",
    "alert": "alertId type severity title message threshold current createdAt entity actions",
    "analytics": "type period metrics timestamp",
    "system": "status components message timestamp",
}
NESTED = {
    ("alert", "entity"): "type id",
    ("analytics", "metrics"): "totalTrades winRate netProfit currentDrawdown",
    ("system", "components"): "database redis broker pusher",
}
TIMES = {
    "trade": ["executedAt"],
    "position": ["lastUpdate"],
    "order": ["filledAt"],
    "market_data": ["timestamp"],
    "alert": ["createdAt"],
    "analytics": ["timestamp"],
    "system": ["timestamp"],
}
CHANNEL_OF = {
    "trade": "trades",
    "position": "positions",
    "order": "orders",
    "market_data": "market-data",
    "alert": "alerts",
    "analytics": "analytics",
    "system": "system",
}
TEXTS = {
    "executionId", "symbol", "action", "status", "strategyId", "connectionId", "type", "orderId", "orderType",
    "alertId", "severity", "title", "message", "period",
}  # fmt: skip
WHOLE = {"ticket", "duration", "totalTrades"}
MAY_BE_NULL = {
    ("position", "marginLevel"),
    ("order", "ticket"),
    ("order", "filledAt"),
    ("order", "fillPrice"),
    ("alert", "threshold"),
    ("alert", "current"),
}
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def parse(messages: list[Message]) -> list[dict[str, Any]]:
    return [json.loads(wire.payload(message.frame)) for message in messages]


@pytest.fixture(scope="module")
def messages() -> list[dict[str, Any]]:
    """Messages of every kind: four hours of a market, with marks and a report after each block of quotes."""
    platform = Platform(7, "user_456", START_MS)
    assert platform.trader is not None
    platform.trader.risk_monitor.daily_loss_limit = 20_00  # so that four hours have alerts
    messages: list[Message] = []
    for _, block in zip(range(280), SimulatedMarket(7, start_ms=START_MS, quotes_per_s=4), strict=False):
        messages += platform.quotes(block) + platform.marks() + platform.report()
    return parse(messages)


@pytest.mark.parametrize("kind", DATA)
def test_a_message_has_exactly_the_fields_of_the_reference(messages: list[dict[str, Any]], kind: str) -> None:
    of_kind = [message for message in messages if message["type"] == kind]

    assert of_kind
    for message in of_kind:
        assert list(message) == ENVELOPE
        assert message["channel"] == CHANNEL_OF[kind]
        assert list(message["data"]) == DATA[kind].split()
        for (owner, field), names in NESTED.items():
            if owner == kind:
                assert list(message["data"][field]) == names.split()


@pytest.mark.parametrize("kind", DATA)
def test_values_have_the_types_of_the_reference(messages: list[dict[str, Any]], kind: str) -> None:
    def check(name: str, value: Any) -> None:
        if value is None:
            assert (kind, name) in MAY_BE_NULL, name
        elif isinstance(value, dict):
            for inner_name, inner_value in value.items():
                assert isinstance(inner_value, str) if name == "components" else True
                check(inner_name if name != "components" and inner_name != "id" else "type", inner_value)
        elif isinstance(value, list):
            assert all(isinstance(item, str) for item in value)
        elif name in TIMES[kind]:
            assert ISO.fullmatch(value)
        elif name in TEXTS:
            assert isinstance(value, str)
            assert value
        elif name in WHOLE:
            assert type(value) is int
        else:
            assert type(value) in {int, float}, name

    for message in messages:
        if message["type"] == kind:
            for name, value in message["data"].items():
                check(name, value)


def test_ids_are_consecutive_and_times_do_not_decrease(messages: list[dict[str, Any]]) -> None:
    assert [message["id"] for message in messages] == [f"msg_{k + 1}" for k in range(len(messages))]
    times = [message["timestamp"] for message in messages]
    assert times == sorted(times)
    assert all(ISO.fullmatch(time) for time in times)


def test_connection_subscription_and_unsubscription_equal_the_references_samples() -> None:
    time_ms = 1_704_067_200_000

    assert json.loads(wire.connection("session_123", "user_456", time_ms)) == {
        "type": "connection",
        "status": "connected",
        "sessionId": "session_123",
        "userId": "user_456",
        "timestamp": "2024-01-01T00:00:00.000Z",
    }
    assert json.loads(wire.subscription([("trades", {"symbol": "EURUSD", "strategyId": "strategy_123"})], time_ms)) == {
        "type": "subscription",
        "status": "success",
        "channels": [
            {"name": "trades", "subscribed": True, "filters": {"symbol": "EURUSD", "strategyId": "strategy_123"}}
        ],
        "timestamp": "2024-01-01T00:00:00.000Z",
    }
    assert json.loads(wire.unsubscription(["trades"], time_ms)) == {
        "type": "unsubscription",
        "status": "success",
        "channels": ["trades"],
        "timestamp": "2024-01-01T00:00:00.000Z",
    }


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 100_000])
def test_the_payload_of_a_frame_of_any_size_can_be_read_back(size: int) -> None:
    payload = b"x" * size

    assert wire.payload(wire.frame(payload)) == payload


def test_all_statuses_of_orders_and_trades_occur(messages: list[dict[str, Any]]) -> None:
    def values(kind: str, field: str) -> set[str]:
        return {message["data"][field] for message in messages if message["type"] == kind}

    assert values("order", "status") >= {"PENDING", "FILLED", "PARTIALLY_FILLED", "CANCELLED"}
    assert values("order", "orderType") == {"BUY", "SELL", "BUY_LIMIT", "SELL_LIMIT"}
    assert values("trade", "status") == {"FILLED", "CLOSED"}
    assert values("analytics", "period") == {"DAY", "WEEK", "MONTH"}
    assert "RISK_LIMIT" in values("alert", "type")

"""The sample messages of the platform's reference, copied by hand, and helpers to create messages for a test.

Nothing here is derived from fxlive, so that an error in our model of the reference shows in the tests.
"""

from __future__ import annotations

import copy
import json
from typing import Any

T0 = "2024-01-01T00:00:00.000Z"
T0_US = 1_704_067_200_000_000

TRADE: dict[str, Any] = {
    "type": "trade",
    "channel": "trades",
    "data": {
        "executionId": "exec_123",
        "ticket": 123456,
        "symbol": "EURUSD",
        "action": "BUY",
        "volume": 0.1,
        "openPrice": 1.08500,
        "stopLoss": 1.08000,
        "takeProfit": 1.09000,
        "profit": 0,
        "commission": 0.5,
        "swap": 0,
        "status": "FILLED",
        "executedAt": "2024-01-01T00:00:00.000Z",
        "strategyId": "strategy_123",
        "connectionId": "conn_456",
    },
    "timestamp": "2024-01-01T00:00:00.000Z",
    "id": "msg_789",
}
POSITION: dict[str, Any] = {
    "type": "position",
    "channel": "positions",
    "data": {
        "ticket": 123456,
        "symbol": "EURUSD",
        "type": "BUY",
        "volume": 0.1,
        "openPrice": 1.08500,
        "currentPrice": 1.08600,
        "stopLoss": 1.08000,
        "takeProfit": 1.09000,
        "profit": 10.0,
        "unrealizedPnL": 10.0,
        "margin": 100.0,
        "marginLevel": 10050.0,
        "duration": 3600,
        "lastUpdate": "2024-01-01T00:00:00.000Z",
    },
    "timestamp": "2024-01-01T00:00:00.000Z",
    "id": "msg_790",
}
ORDER: dict[str, Any] = {
    "type": "order",
    "channel": "orders",
    "data": {
        "orderId": "order_123",
        "ticket": 123456,
        "symbol": "EURUSD",
        "orderType": "BUY_LIMIT",
        "volume": 0.1,
        "price": 1.08200,
        "status": "FILLED",
        "filledAt": "2024-01-01T00:00:00.000Z",
        "fillPrice": 1.08200,
        "filledVolume": 0.1,
        "remainingVolume": 0.0,
        "strategyId": "strategy_123",
    },
    "timestamp": "2024-01-01T00:00:00.000Z",
    "id": "msg_791",
}
QUOTE: dict[str, Any] = {
    "type": "market_data",
    "channel": "market-data",
    "data": {
        "symbol": "EURUSD",
        "bid": 1.08500,
        "ask": 1.08501,
        "last": 1.08500,
        "volume": 100,
        "spread": 1,
        "timestamp": "2024-01-01T00:00:00.000Z",
        "change": 0.00010,
        "changePercent": 0.0092,
        "dayHigh": 1.08600,
        "dayLow": 1.08200,
        "open": 1.08300,
        "close": 1.08490,
    },
    "timestamp": "2024-01-01T00:00:00.000Z",
    "id": "msg_792",
}
ALERT: dict[str, Any] = {
    "type": "alert",
    "channel": "alerts",
    "data": {
        "alertId": "alert_123",
        "type": "RISK_LIMIT",
        "severity": "WARNING",
        "title": "Daily Loss Limit Approaching",
        "message": "Daily loss has reached 80% of the maximum limit",
        "threshold": 80,
        "current": 80.5,
        "createdAt": "2024-01-01T00:00:00.000Z",
        "entity": {"type": "USER", "id": "user_456"},
        "actions": ["ACKNOWLEDGE", "VIEW_DETAILS"],
    },
    "timestamp": "2024-01-01T00:00:00.000Z",
    "id": "msg_793",
}
ANALYTICS: dict[str, Any] = {
    "type": "analytics",
    "channel": "analytics",
    "data": {
        "type": "PERFORMANCE_UPDATE",
        "period": "DAY",
        "metrics": {"totalTrades": 15, "winRate": 66.7, "netProfit": 150.0, "currentDrawdown": 25.0},
        "timestamp": "2024-01-01T00:00:00.000Z",
    },
    "timestamp": "2024-01-01T00:00:00.000Z",
    "id": "msg_794",
}
SYSTEM: dict[str, Any] = {
    "type": "system",
    "channel": "system",
    "data": {
        "status": "HEALTHY",
        "components": {"database": "HEALTHY", "redis": "HEALTHY", "broker": "DEGRADED", "pusher": "HEALTHY"},
        "message": "Broker connection experiencing high latency",
        "timestamp": "2024-01-01T00:00:00.000Z",
    },
    "timestamp": "2024-01-01T00:00:00.000Z",
    "id": "msg_795",
}
CONNECTION: dict[str, Any] = {
    "type": "connection",
    "status": "connected",
    "sessionId": "session_123",
    "userId": "user_456",
    "timestamp": "2024-01-01T00:00:00.000Z",
}
SUBSCRIPTION: dict[str, Any] = {
    "type": "subscription",
    "status": "success",
    "channels": [
        {"name": "trades", "subscribed": True, "filters": {"symbol": "EURUSD", "strategyId": "strategy_123"}},
    ],
    "timestamp": "2024-01-01T00:00:00.000Z",
}
UNSUBSCRIPTION: dict[str, Any] = {
    "type": "unsubscription",
    "status": "success",
    "channels": ["trades"],
    "timestamp": "2024-01-01T00:00:00.000Z",
}

DATA = {m["channel"]: m for m in (TRADE, POSITION, ORDER, QUOTE, ALERT, ANALYTICS, SYSTEM)}
CONTROL = {m["type"]: m for m in (CONNECTION, SUBSCRIPTION, UNSUBSCRIPTION)}

# The columns and dtypes of each channel's frame, in order, after the index `timestamp`.
TIME, NUMBER, CODE, TEXT = "datetime64[us, UTC]", "float64", "category", "str"
COLUMNS: dict[str, dict[str, str]] = {
    "trades": {
        "received_at": TIME,
        "execution_id": TEXT,
        "symbol": CODE,
        "ticket": "Int64",
        "action": CODE,
        "volume": NUMBER,
        "open_price": NUMBER,
        "stop_loss": NUMBER,
        "take_profit": NUMBER,
        "profit": NUMBER,
        "commission": NUMBER,
        "swap": NUMBER,
        "status": CODE,
        "executed_at": TIME,
        "strategy_id": CODE,
        "connection_id": CODE,
        "id": TEXT,
    },
    "positions": {
        "received_at": TIME,
        "ticket": "int64",
        "symbol": CODE,
        "type": CODE,
        "volume": NUMBER,
        "open_price": NUMBER,
        "current_price": NUMBER,
        "stop_loss": NUMBER,
        "take_profit": NUMBER,
        "profit": NUMBER,
        "unrealized_pnl": NUMBER,
        "margin": NUMBER,
        "margin_level": NUMBER,
        "duration": NUMBER,
        "last_update": TIME,
        "id": TEXT,
    },
    "orders": {
        "received_at": TIME,
        "order_id": TEXT,
        "symbol": CODE,
        "ticket": "Int64",
        "order_type": CODE,
        "volume": NUMBER,
        "price": NUMBER,
        "status": CODE,
        "filled_at": TIME,
        "fill_price": NUMBER,
        "filled_volume": NUMBER,
        "remaining_volume": NUMBER,
        "strategy_id": CODE,
        "id": TEXT,
    },
    "market-data": {
        "received_at": TIME,
        "symbol": CODE,
        "bid": NUMBER,
        "ask": NUMBER,
        "last": NUMBER,
        "volume": NUMBER,
        "spread": NUMBER,
        "data_timestamp": TIME,
        "change": NUMBER,
        "change_percent": NUMBER,
        "day_high": NUMBER,
        "day_low": NUMBER,
        "open": NUMBER,
        "close": NUMBER,
        "id": TEXT,
    },
    "alerts": {
        "received_at": TIME,
        "alert_id": TEXT,
        "type": CODE,
        "severity": CODE,
        "title": TEXT,
        "message": TEXT,
        "threshold": NUMBER,
        "current": NUMBER,
        "created_at": TIME,
        "entity_type": CODE,
        "entity_id": TEXT,
        "actions": "object",
        "id": TEXT,
    },
    "analytics": {
        "received_at": TIME,
        "type": CODE,
        "period": CODE,
        "metrics_total_trades": NUMBER,
        "metrics_win_rate": NUMBER,
        "metrics_net_profit": NUMBER,
        "metrics_current_drawdown": NUMBER,
        "data_timestamp": TIME,
        "id": TEXT,
    },
    "system": {
        "received_at": TIME,
        "status": CODE,
        "components_database": CODE,
        "components_redis": CODE,
        "components_broker": CODE,
        "components_pusher": CODE,
        "message": TEXT,
        "data_timestamp": TIME,
        "id": TEXT,
    },
}


def wire(message: Any) -> bytes:
    """Encode a message as received from the socket."""
    return json.dumps(message, ensure_ascii=False).encode()


def message(sample: dict[str, Any], envelope: dict[str, Any] | None = None, /, **data: Any) -> dict[str, Any]:
    """Return a copy of a sample with changed values in its data (by their names on the wire) and its envelope."""
    changed = copy.deepcopy(sample)
    changed["data"].update(data)
    changed.update(envelope or {})
    return changed


def stamp(micros: int) -> str:
    """Return the time `micros` microseconds after T0, formatted as on the wire."""
    seconds, micros = divmod(micros, 1_000_000)
    minutes, seconds = divmod(seconds, 60)
    days, minutes = divmod(minutes, 24 * 60)
    assert days < 31, "January has 31 days"
    return f"2024-01-{days + 1:02}T{minutes // 60:02}:{minutes % 60:02}:{seconds:02}.{micros:06}Z"

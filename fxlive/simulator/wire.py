"""The platform's messages, written by hand from its reference, with the fields in the order of its samples."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

CHANNELS = ("trades", "positions", "orders", "market-data", "alerts", "analytics", "system")
TYPES = {
    "trades": "trade",
    "positions": "position",
    "orders": "order",
    "market-data": "market_data",
    "alerts": "alert",
    "analytics": "analytics",
    "system": "system",
}


def _names(names: str) -> frozenset[str]:
    return frozenset(names.split())


# The names that filters accept: the fields of the data and, in the account's channels, strategyId and connectionId (the
# reference filters positions by a connectionId that their data do not contain).
FIELDS: dict[str, frozenset[str]] = {
    "trades": _names(
        "executionId ticket symbol action volume openPrice stopLoss takeProfit profit commission swap status "
        "executedAt strategyId connectionId"
    ),
    "positions": _names(
        "ticket symbol type volume openPrice currentPrice stopLoss takeProfit profit unrealizedPnL margin marginLevel "
        "duration lastUpdate strategyId connectionId"
    ),
    "orders": _names(
        "orderId ticket symbol orderType volume price status filledAt fillPrice filledVolume remainingVolume "
        "strategyId connectionId"
    ),
    "market-data": _names("symbol bid ask last volume spread timestamp change changePercent dayHigh dayLow open close"),
    "alerts": _names(
        "alertId type severity title message threshold current createdAt entity entity.type entity.id actions"
    ),
    "analytics": _names(
        "type period metrics metrics.totalTrades metrics.winRate metrics.netProfit metrics.currentDrawdown timestamp"
    ),
    "system": _names(
        "status components components.database components.redis components.broker components.pusher message timestamp"
    ),
}


def iso(time_ms: int) -> str:
    """Format milliseconds since 1970 as on the wire: 2024-01-01T00:00:00.000Z."""
    seconds, ms = divmod(time_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"


def encode(message: Mapping[str, Any]) -> bytes:
    """Encode a message as compact JSON in UTF-8."""
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()


def frame(payload: bytes, *, text: bool = True) -> bytes:
    """Return a complete WebSocket frame from server to client (final, unmasked), of text or binary data."""
    length = len(payload)
    head = b"\x81" if text else b"\x82"
    if length < 126:
        return head + length.to_bytes(1) + payload
    if length < 65536:
        return head + b"\x7e" + length.to_bytes(2) + payload
    return head + b"\x7f" + length.to_bytes(8) + payload


def payload(frame: bytes) -> bytes:
    """Return the payload of a frame made by `frame()`."""
    return frame[{126: 4, 127: 10}.get(frame[1], 2) :]


def envelope(channel: str, data: Mapping[str, Any], time_ms: int, number: int) -> bytes:
    """Return a message of one of the seven channels, with the id `msg_<number>`."""
    return encode(
        {"type": TYPES[channel], "channel": channel, "data": data, "timestamp": iso(time_ms), "id": f"msg_{number}"}
    )


def connection(session_id: str, user_id: str, time_ms: int) -> bytes:
    """Return the first message of a connection."""
    return encode(
        {
            "type": "connection",
            "status": "connected",
            "sessionId": session_id,
            "userId": user_id,
            "timestamp": iso(time_ms),
        }
    )


def subscription(channels: Sequence[tuple[str, Mapping[str, Any] | None]], time_ms: int) -> bytes:
    """Return the answer to subscribe: each channel with its filters."""
    entries = [{"name": name, "subscribed": True, "filters": dict(filters or {})} for name, filters in channels]
    return encode({"type": "subscription", "status": "success", "channels": entries, "timestamp": iso(time_ms)})


def unsubscription(channels: Sequence[str], time_ms: int) -> bytes:
    """Return the answer to unsubscribe."""
    return encode(
        {"type": "unsubscription", "status": "success", "channels": list(channels), "timestamp": iso(time_ms)}
    )


def error(name: str, message: str, channel: str | None, time_ms: int, number: int) -> bytes:
    """Return a documented error: `name` is the reference's name of it, `message` gives the details."""
    return encode(
        {
            "type": "error",
            "error": name,
            "message": message,
            "channel": channel,
            "timestamp": iso(time_ms),
            "id": f"msg_{number}",
        }
    )


def trade(
    *,
    execution_id: str,
    ticket: int,
    symbol: str,
    action: str,
    volume: float,
    open_price: float,
    stop_loss: float | None,
    take_profit: float | None,
    profit: float,
    commission: float,
    swap: float,
    status: str,
    executed_ms: int,
    strategy_id: str,
    connection_id: str,
) -> dict[str, Any]:
    """Return the data of a trade. `open_price` is the price of this execution, also if it closes a position."""
    return {
        "executionId": execution_id,
        "ticket": ticket,
        "symbol": symbol,
        "action": action,
        "volume": volume,
        "openPrice": open_price,
        "stopLoss": stop_loss,
        "takeProfit": take_profit,
        "profit": profit,
        "commission": commission,
        "swap": swap,
        "status": status,
        "executedAt": iso(executed_ms),
        "strategyId": strategy_id,
        "connectionId": connection_id,
    }


def position(
    *,
    ticket: int,
    symbol: str,
    side: str,
    volume: float,
    open_price: float,
    current_price: float,
    stop_loss: float | None,
    take_profit: float | None,
    profit: float,
    margin: float,
    margin_level: float | None,
    duration_s: int,
    updated_ms: int,
) -> dict[str, Any]:
    """Return the data of a position. `profit` is that of the open volume, so both profit fields are equal."""
    return {
        "ticket": ticket,
        "symbol": symbol,
        "type": side,
        "volume": volume,
        "openPrice": open_price,
        "currentPrice": current_price,
        "stopLoss": stop_loss,
        "takeProfit": take_profit,
        "profit": profit,
        "unrealizedPnL": profit,
        "margin": margin,
        "marginLevel": margin_level,
        "duration": duration_s,
        "lastUpdate": iso(updated_ms),
    }


def order(
    *,
    order_id: str,
    ticket: int | None,
    symbol: str,
    order_type: str,
    volume: float,
    price: float,
    status: str,
    filled_ms: int | None,
    fill_price: float | None,
    filled_volume: float,
    remaining_volume: float,
    strategy_id: str,
) -> dict[str, Any]:
    """Return the data of an order. The ticket, fill time and fill price are null until the first fill."""
    return {
        "orderId": order_id,
        "ticket": ticket,
        "symbol": symbol,
        "orderType": order_type,
        "volume": volume,
        "price": price,
        "status": status,
        "filledAt": None if filled_ms is None else iso(filled_ms),
        "fillPrice": fill_price,
        "filledVolume": filled_volume,
        "remainingVolume": remaining_volume,
        "strategyId": strategy_id,
    }


def alert(
    *,
    alert_id: str,
    kind: str,
    severity: str,
    title: str,
    message: str,
    threshold: float | None,
    current: float | None,
    created_ms: int,
    entity_type: str,
    entity_id: str,
    actions: Sequence[str] = ("ACKNOWLEDGE", "VIEW_DETAILS"),
) -> dict[str, Any]:
    """Return the data of an alert."""
    return {
        "alertId": alert_id,
        "type": kind,
        "severity": severity,
        "title": title,
        "message": message,
        "threshold": threshold,
        "current": current,
        "createdAt": iso(created_ms),
        "entity": {"type": entity_type, "id": entity_id},
        "actions": list(actions),
    }


def analytics(
    *, period: str, total_trades: int, win_rate: float, net_profit: float, current_drawdown: float, time_ms: int
) -> dict[str, Any]:
    """Return the data of a performance update: win rate in percent, money in dollars, a positive drawdown."""
    return {
        "type": "PERFORMANCE_UPDATE",
        "period": period,
        "metrics": {
            "totalTrades": total_trades,
            "winRate": win_rate,
            "netProfit": net_profit,
            "currentDrawdown": current_drawdown,
        },
        "timestamp": iso(time_ms),
    }


def system(*, status: str, components: Mapping[str, str], message: str, time_ms: int) -> dict[str, Any]:
    """Return the data of a system status."""
    return {"status": status, "components": dict(components), "message": message, "timestamp": iso(time_ms)}

"""An independent model of decoding, written from the platform's document on `json.loads`. It imports nothing of fxlive.

It states what a frame contains: for each message a row with its values, a heartbeat, a message about the connection,
or a rejection. A frame that is not one of the forms it knows has no expected content.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

CONTROL = {"connection", "subscription", "unsubscription", "error", "connected", "subscribed", "unsubscribed"}
HEARTBEATS = {"ping", "pong", "heartbeat", "keepalive"}
CHANNEL_OF_TYPE = {
    "trade": "trades",
    "position": "positions",
    "order": "orders",
    "market_data": "market-data",
    "alert": "alerts",
    "analytics": "analytics",
    "system": "system",
}
NUMBERS = {
    "trades": "volume openPrice stopLoss takeProfit profit commission swap",
    "positions": "volume openPrice currentPrice stopLoss takeProfit profit unrealizedPnL margin marginLevel duration",
    "orders": "volume price fillPrice filledVolume remainingVolume",
    "market-data": "bid ask last volume spread change changePercent dayHigh dayLow open close",
    "alerts": "threshold current",
    "analytics": "metrics.totalTrades metrics.winRate metrics.netProfit metrics.currentDrawdown",
    "system": "",
}
TEXTS = {
    "trades": "action status strategyId connectionId",
    "positions": "type",
    "orders": "orderType status strategyId",
    "market-data": "",
    "alerts": "type severity title message entity.type entity.id",
    "analytics": "",
    "system": "components.database components.redis components.broker components.pusher message",
}
TIMES = {
    "trades": "executedAt",
    "positions": "lastUpdate",
    "orders": "filledAt",
    "market-data": "timestamp",
    "alerts": "createdAt",
    "analytics": "timestamp",
    "system": "timestamp",
}
INTEGERS = {"trades": "ticket", "orders": "ticket"}
TEXT_KEYS = {
    "trades": ["executionId", "symbol"],
    "positions": ["symbol"],
    "orders": ["orderId", "symbol"],
    "market-data": ["symbol"],
    "alerts": ["alertId"],
    "analytics": ["type", "period"],
    "system": ["status"],
}
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


@dataclass
class Content:
    """The expected content of a frame: its rows in order, and the number of its other messages."""

    rows: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    rejected: int = 0
    heartbeats: int = 0
    control: int = 0


def content_of(frame: bytes) -> Content | None:
    """Return the content of a frame; None if it has no form of which the document or DESIGN says what it contains."""
    try:
        text = frame.strip(b" \t\r\n\0").decode("utf-8-sig").strip(" \t\r\n\0")
    except UnicodeDecodeError:
        return None
    content = Content()
    try:
        messages = list(_messages(text))
        for message in messages:
            _add(message, content)
    except (ValueError, RecursionError):
        return None
    return content


def _messages(text: str) -> Iterator[Any]:
    try:
        value = json.loads(text)
    except ValueError:
        if text.lower() in HEARTBEATS:
            yield text
            return
        for line in text.split("\n"):  # an error here means that the frame has no known form
            yield from _elements(json.loads(line))
        return
    yield from _elements(value)


def _elements(value: Any) -> list[Any]:
    """Return the messages of an array, or the one message that is not an array."""
    if not isinstance(value, list):
        return [value]
    if any(isinstance(inner, list) for inner in value):
        raise ValueError("an array of arrays")
    return value if any(isinstance(inner, dict) for inner in value) else [value]


def _add(message: Any, content: Content) -> None:
    if isinstance(message, str):
        content.heartbeats += _squash(message) in HEARTBEATS
        content.rejected += _squash(message) not in HEARTBEATS
        return
    kind = message.get("type") if isinstance(message, dict) else None
    if not isinstance(kind, str) or not _is_text(kind):
        content.rejected += 1
    elif _squash(kind) in HEARTBEATS and not (message.get("data") and message.get("channel")):
        content.heartbeats += 1
    elif _squash(kind) in CONTROL:
        content.control += 1
    else:
        row = _row(message, kind)
        if row is None:
            content.rejected += 1
        else:
            content.rows.append(row)


def _row(message: dict[str, Any], kind: str) -> tuple[str, dict[str, Any]] | None:
    name, stamp, data = message.get("channel"), message.get("timestamp"), message.get("data", ...)
    if not _is_text(name) or _time(stamp) is None or data is ... or len(name) > 1_024:
        return None
    by_type = next((c for t, c in CHANNEL_OF_TYPE.items() if _squash(t) == _squash(kind)), None)
    if by_type is not None and name != by_type:
        if name in NUMBERS or _squash(name) != _squash(by_type):
            return None
        name = by_type
    values: dict[str, Any] = {"@timestamp": _time(stamp), "@id": _id(message.get("id"))}
    if name not in NUMBERS:
        return name, values
    if not isinstance(data, dict):
        return None
    for key in TEXT_KEYS[name]:
        value = data.get(key)
        values[key] = _text(value)
        if values[key] is None:
            return None
    if name == "positions":
        values["ticket"] = _integer(data.get("ticket"))
        if values["ticket"] is None:
            return None
    reads: list[tuple[str, Callable[[Any], Any]]] = [
        (NUMBERS[name], _number),
        (TEXTS[name], _text),
        (TIMES[name], _time),
        (INTEGERS.get(name, ""), _integer),
    ]
    for fields, read in reads:
        for path in fields.split():
            values[path] = read(_at(data, path))
    return name, values


def _at(data: Any, path: str) -> Any:
    for part in path.split("."):
        data = data.get(part) if isinstance(data, dict) else None
    return data


def _squash(text: str) -> str:
    return "".join(text.split()).replace("-", "").replace("_", "").lower()


def _is_text(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(value.encode() or True)
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    return value if _is_text(value) else None


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        text = value.strip()
        value = float(text) if _NUMBER.fullmatch(text) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _integer(value: Any) -> int | None:
    if isinstance(value, str):
        text = value.strip()
        number = Decimal(text) if _NUMBER.fullmatch(text) else Decimal("NaN")
        value = (
            int(number) if number.is_finite() and number.adjusted() < 20 and number == number.to_integral() else None
        )
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not value.is_integer():
        return None
    return int(value) if -(2**63) <= value < 2**63 else None


def _id(value: Any) -> str | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value) if isinstance(value, int) or math.isfinite(value) else None
    return value if _is_text(value) else None


def _time(value: Any) -> int | None:
    """Return a time as microseconds since 1970."""
    if not _is_text(value):
        return None
    try:
        time = datetime.fromisoformat(value[:-1] + "Z" if value.endswith("z") else value)
    except ValueError:
        return None
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    try:
        since = time.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    except OverflowError:
        return None
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds

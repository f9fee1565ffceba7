"""The wire format: one `msgspec.Struct` for each message of the platform's WebSocket API.

The annotation of a field gives its JSON type and, through its `Kind`, the dtype of its column. A new field is one line
here. The envelope (`type`, `channel`, `data`, `timestamp`), the channel's key and `symbol` are required; every other
field may be missing or null. Times stay text here; `core/timestamps.py` parses those of a whole batch at once.

The structs refuse unknown fields (`forbid_unknown_fields`). That detects undocumented fields without slowing down the
decoding of documented ones. The garbage collector does not track the structs (`gc=False`, which halves the time to
decode): they are never part of a reference cycle.
"""

from __future__ import annotations

import sys
from enum import Enum
from typing import Annotated, Any, Literal

import msgspec


class Kind(Enum):
    """The kind of a field's values, which decides the dtype of its column."""

    NUMBER = "float64"
    KEY_INTEGER = "int64"
    INTEGER = "Int64"
    FLAG = "boolean"
    TIME = "datetime64[us, UTC]"
    SYMBOL = "category, shared by all channels"
    CODE = "category"
    TEXT = "str"
    LIST = "object"


_INT64 = msgspec.Meta(ge=-(2**63), le=2**63 - 1)
_FINITE = msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)  # refuses "Infinity" sent as text

Number = Annotated[Annotated[float, _FINITE] | None, Kind.NUMBER]
KeyInteger = Annotated[int, _INT64, Kind.KEY_INTEGER]
Integer = Annotated[Annotated[int, _INT64] | None, Kind.INTEGER]
Time = Annotated[str | None, Kind.TIME]
Symbol = Annotated[str, Kind.SYMBOL]
KeyCode = Annotated[str, Kind.CODE]
Code = Annotated[str | None, Kind.CODE]
KeyText = Annotated[str, Kind.TEXT]
Text = Annotated[str | None, Kind.TEXT]
Texts = Annotated[tuple[str, ...] | None, Kind.LIST]


def camel(name: str) -> str:
    """Return the name on the wire of a snake_case field.

    >>> camel("strategy_id"), camel("unrealized_pnl")
    ('strategyId', 'unrealizedPnL')
    """
    head, *rest = name.split("_")
    return head + "".join("PnL" if word == "pnl" else word.capitalize() for word in rest)


class Fields(msgspec.Struct, rename=camel, forbid_unknown_fields=True, gc=False, frozen=True):
    """The base class of `data` and of the objects in it."""


class Message(msgspec.Struct, tag_field="type", forbid_unknown_fields=True, gc=False, frozen=True):
    """The base class of data messages: the fields of the envelope."""

    channel: str
    data: Any
    timestamp: str
    id: str | None = None


class TradeData(Fields, frozen=True):
    execution_id: KeyText
    symbol: Symbol
    ticket: Integer = None
    action: Code = None
    volume: Number = None
    open_price: Number = None
    stop_loss: Number = None
    take_profit: Number = None
    profit: Number = None
    commission: Number = None
    swap: Number = None
    status: Code = None
    executed_at: Time = None
    strategy_id: Code = None
    connection_id: Code = None


class Trade(Message, frozen=True, tag="trade"):
    channel: Literal["trades"]
    data: TradeData


class PositionData(Fields, frozen=True):
    ticket: KeyInteger
    symbol: Symbol
    type: Code = None
    volume: Number = None
    open_price: Number = None
    current_price: Number = None
    stop_loss: Number = None
    take_profit: Number = None
    profit: Number = None
    unrealized_pnl: Number = None
    margin: Number = None
    margin_level: Number = None
    duration: Number = None
    last_update: Time = None


class Position(Message, frozen=True, tag="position"):
    channel: Literal["positions"]
    data: PositionData


class OrderData(Fields, frozen=True):
    order_id: KeyText
    symbol: Symbol
    ticket: Integer = None
    order_type: Code = None
    volume: Number = None
    price: Number = None
    status: Code = None
    filled_at: Time = None
    fill_price: Number = None
    filled_volume: Number = None
    remaining_volume: Number = None
    strategy_id: Code = None


class Order(Message, frozen=True, tag="order"):
    channel: Literal["orders"]
    data: OrderData


class QuoteData(Fields, frozen=True):
    symbol: Symbol
    bid: Number = None
    ask: Number = None
    last: Number = None
    volume: Number = None
    spread: Number = None
    timestamp: Time = None
    change: Number = None
    change_percent: Number = None
    day_high: Number = None
    day_low: Number = None
    open: Number = None
    close: Number = None


class Quote(Message, frozen=True, tag="market_data"):
    channel: Literal["market-data"]
    data: QuoteData


class Entity(Fields, frozen=True):
    type: Code = None
    id: Text = None


class AlertData(Fields, frozen=True):
    alert_id: KeyText
    type: Code = None
    severity: Code = None
    title: Text = None
    message: Text = None
    threshold: Number = None
    current: Number = None
    created_at: Time = None
    entity: Entity | None = None
    actions: Texts = None


class Alert(Message, frozen=True, tag="alert"):
    channel: Literal["alerts"]
    data: AlertData


class Metrics(Fields, frozen=True):
    total_trades: Number = None
    win_rate: Number = None
    net_profit: Number = None
    current_drawdown: Number = None


class AnalyticsData(Fields, frozen=True):
    type: KeyCode
    period: KeyCode
    metrics: Metrics | None = None
    timestamp: Time = None


class Analytics(Message, frozen=True, tag="analytics"):
    channel: Literal["analytics"]
    data: AnalyticsData


class Components(Fields, frozen=True):
    database: Code = None
    redis: Code = None
    broker: Code = None
    pusher: Code = None


class SystemData(Fields, frozen=True):
    status: KeyCode
    components: Components | None = None
    message: Text = None
    timestamp: Time = None


class System(Message, frozen=True, tag="system"):
    channel: Literal["system"]
    data: SystemData


class Undocumented(msgspec.Struct, frozen=True):
    """A message on an undocumented channel; `data` is decoded JSON of any form."""

    type: str
    channel: str
    data: Any
    timestamp: str
    id: str | None = None


class Control(msgspec.Struct, tag_field="type", rename="camel", frozen=True):
    """The base class of messages about the connection. Any value is accepted: the reference leaves their form open."""

    status: Any = None
    message: Any = None
    error: Any = None
    code: Any = None
    timestamp: Any = None
    id: Any = None


class Connection(Control, frozen=True, tag="connection"):
    session_id: Any = None
    user_id: Any = None


class Subscription(Control, frozen=True, tag="subscription"):
    channels: Any = None
    channel: Any = None


class Unsubscription(Control, frozen=True, tag="unsubscription"):
    channels: Any = None
    channel: Any = None


class Error(Control, frozen=True, tag="error"):
    channel: Any = None


DATA_MESSAGES: tuple[type[Message], ...] = (Trade, Position, Order, Quote, Alert, Analytics, System)
CONTROL_MESSAGES: tuple[type[Control], ...] = (Connection, Subscription, Unsubscription, Error)

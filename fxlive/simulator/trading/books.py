"""What the account's books hold: updates for the wire, positions, waiting orders and executions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class Update(NamedTuple):
    """A change for the wire: the channel, its row's key and data, what else a filter may ask, whether the row ended."""

    channel: str
    key: str
    data: Mapping[str, Any]
    labels: Mapping[str, str]
    over: bool = False


@dataclass(slots=True, eq=False)
class Position:
    """An open position; `steps` is its volume in hundredths of a lot, `side` 1 for BUY and -1 for SELL."""

    ticket: int
    symbol: str
    side: int
    steps: int
    open_price: float
    stop_loss: float | None
    take_profit: float | None
    opened_ms: int
    strategy: str
    connection: str
    margin_rate: float
    nights: int = 0
    shown: tuple[float, int, int] | None = None


@dataclass(slots=True, eq=False)
class Order:
    """A limit order that waits; volumes in hundredths of a lot."""

    order_id: str
    symbol: str
    side: int
    steps: int
    price: float
    stop_pips: float
    target_pips: float
    placed_ms: int
    strategy: str
    connection: str
    filled: int = 0
    filled_ms: int | None = None
    position: Position | None = None


class Execution(NamedTuple):
    """What the books keep of an execution; money in cents."""

    time_ms: int
    ticket: int
    symbol: str
    closing: bool
    profit: int
    commission: int
    swap: int

    @property
    def net(self) -> int:
        """Profit less commission plus swap, cents."""
        return self.profit - self.commission + self.swap

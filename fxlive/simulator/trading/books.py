"""Records of the trading account: updates for the wire, positions, pending orders and executions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class Update(NamedTuple):
    """A change for the wire.

    Attributes
    ----------
    channel : the channel to send it on.
    key : identifies the row among those of the channel.
    data : the message's data.
    labels : values that are not in the data but that filters may refer to.
    ended : whether the row is no longer current, as for a closed position or a filled order.
    """

    channel: str
    key: str
    data: Mapping[str, Any]
    labels: Mapping[str, str]
    ended: bool = False


@dataclass(slots=True, eq=False)
class Position:
    """An open position.

    `steps` is its volume in hundredths of a lot, `side` 1 for BUY and -1 for SELL. `published` is the price, the profit
    in cents and the steps of the last message about it.
    """

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
    published: tuple[float, int, int] | None = None


@dataclass(slots=True, eq=False)
class Order:
    """An order; its volumes (`steps`, `filled`) are in hundredths of a lot."""

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
    """An execution; money in cents."""

    time_ms: int
    ticket: int
    symbol: str
    closing: bool
    profit: int
    commission: int
    swap: int

    @property
    def net(self) -> int:
        """Profit - commission + swap, in cents."""
        return self.profit - self.commission + self.swap

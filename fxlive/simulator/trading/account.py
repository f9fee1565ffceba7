"""The trading account: orders, executions, positions, margin and balance. In whole cents; without I/O or a clock."""

from __future__ import annotations

import random

from fxlive.simulator import wire
from fxlive.simulator.market.pairs import LOT_UNITS, Rates, cents, is_pair, pip, point
from fxlive.simulator.trading.books import Execution, Order, Position, Update

# Volumes are whole hundredths of a lot ("steps"), so that parts of a position add up exactly.
STEP_UNITS = LOT_UNITS // 100
COMMISSION_CENTS = 5
"""Commission per step and execution: 5 dollars per lot and side."""
_SWAP_USD = {1: -0.045, -1: 0.012}
"""Swap per step and night, for long (1) and short (-1) positions."""
_SLIPPAGE_POINTS = (0, 0, 0, 0, 1, 1, 2, 4)
# A larger limit order is filled in two parts, as if its size exceeded the quoted size.
_PARTIAL_ABOVE = 30
ROLLOVER_MS = 22 * 3_600_000
"""Time of day (UTC) at which the swap of a night is charged."""

SIDES = {1: "BUY", -1: "SELL"}


class Account:
    """A trading account that executes orders at the quotes it receives.

    - A market order fills at the ask (BUY) or the bid (SELL), with a slippage of up to a few points.
    - A limit order fills at its price.
    - Stop loss and take profit close a position at the quote that crosses them.
    - Profit is booked in dollars at the current conversion rate (`Rates.to_usd`).
    - A closing execution pays its commission and the swap of the part that it closes.

    Parameters
    ----------
    balance : dollars at the start.
    leverage : the margin of a position is its value at the open, divided by this.
    seed : of the slippage.
    first_number : the first number of tickets, orders and executions.
    """

    def __init__(
        self, balance: float = 100_000.0, leverage: float = 100.0, seed: int = 0, first_number: int = 1
    ) -> None:
        self.balance = round(balance * 100)
        self.leverage = leverage
        self.now_ms = 0
        self.rates = Rates()
        self.positions: dict[int, Position] = {}
        self.orders: dict[str, Order] = {}
        self.executions: list[Execution] = []
        """Executions since the last `take_updates()`."""
        self._random = random.Random(seed)
        self._updates: list[Update] = []
        self._changed: dict[int, Position] = {}
        self._positions_of: dict[str, list[Position]] = {}
        self._orders_of: dict[str, list[Order]] = {}
        self._number = first_number - 1
        self._executed = first_number - 1
        self._ticket = 100_000 + first_number - 1
        self._rollover = -1

    # Queries of strategies

    def can_trade(self, symbol: str) -> bool:
        """Return whether the symbol is a quoted pair and both its currencies can be converted to dollars."""
        return (
            is_pair(symbol)
            and symbol in self.rates.quotes
            and self.rates.to_usd(symbol[3:]) is not None
            and self.rates.to_usd(symbol[:3]) is not None
        )

    def profit(self, position: Position, steps: int | None = None, price: float | None = None) -> int:
        """Return the profit of the position (or of `steps` of it) at the current price (or at `price`), in cents."""
        if price is None:
            price = self.price(position)
        units = (position.steps if steps is None else steps) * STEP_UNITS
        rate = self.rates.to_usd(position.symbol[3:], position.symbol, price)
        assert rate is not None  # can_trade() has made sure of it
        return cents((price - position.open_price) * position.side * units, rate)

    def price(self, position: Position) -> float:
        """Return the price at which the position could be closed now."""
        bid, ask = self.rates.quotes[position.symbol]
        return bid if position.side > 0 else ask

    def equity(self) -> int:
        """Return the balance plus the profit of all open positions, in cents."""
        return self.balance + sum(self.profit(position) for position in self.positions.values())

    def margin(self) -> int:
        """Return the margin of all open positions, in cents."""
        return sum(self._margin(position) for position in self.positions.values())

    def margin_level(self) -> float | None:
        """Return the equity in percent of the margin, or None without a position."""
        margin = self.margin()
        return round(self.equity() / margin * 100, 2) if margin else None

    # Orders of strategies

    def market(
        self, symbol: str, side: int, steps: int, stop_pips: float, target_pips: float, strategy: str, connection: str
    ) -> Position | None:
        """Open a position with a market order. Return None if it is rejected because the margin does not suffice."""
        bid, ask = self.rates.quotes[symbol]
        quoted = ask if side > 0 else bid
        order = self._create_order(symbol, side, steps, quoted, stop_pips, target_pips, strategy, connection)
        base_usd = self.rates.to_usd(symbol[:3], symbol, quoted) or 0.0
        if self.margin() + cents(steps * STEP_UNITS, base_usd / self.leverage) > 0.5 * self.equity():
            self._publish_order(order, SIDES[side], "REJECTED")
            return None
        fill_price = self._slip(symbol, quoted, side)
        order.filled, order.filled_ms = steps, self.now_ms
        position = order.position = self._open(order, steps, fill_price)
        self._publish_order(order, SIDES[side], "FILLED", fill_price)
        self._execute(position, side, steps, fill_price, 0, 0, "FILLED")
        return position

    def limit(
        self,
        symbol: str,
        side: int,
        steps: int,
        price: float,
        stop_pips: float,
        target_pips: float,
        strategy: str,
        connection: str,
    ) -> Order:
        """Place a limit order. It fills at its price when the ask (BUY) or the bid (SELL) reaches it."""
        order = self._create_order(symbol, side, steps, price, stop_pips, target_pips, strategy, connection)
        self.orders[order.order_id] = order
        self._orders_of.setdefault(symbol, []).append(order)
        self._publish_order(order, f"{SIDES[side]}_LIMIT", "PENDING")
        return order

    def cancel(self, order: Order) -> None:
        """Cancel a pending order. The part that has been filled stays open."""
        self._remove_order(order)
        self._publish_order(order, f"{SIDES[order.side]}_LIMIT", "CANCELLED", order.price if order.filled else None)

    def close(self, position: Position, steps: int | None = None) -> None:
        """Close the position, or `steps` of it, with a market order."""
        steps = position.steps if steps is None else steps
        quoted = self.price(position)
        fill_price = self._slip(position.symbol, quoted, -position.side)
        order = self._create_order(
            position.symbol, -position.side, steps, quoted, 0, 0, position.strategy, position.connection
        )
        order.filled, order.filled_ms, order.position = steps, self.now_ms, position
        self._publish_order(order, SIDES[order.side], "FILLED", fill_price)
        self._reduce(position, steps, fill_price)

    # Market events

    def quote(self, time_ms: int, symbol: str, bid: float, ask: float) -> None:
        """Process a quote: close positions at their stop loss or take profit, and fill limit orders."""
        self.now_ms = time_ms
        self.rates.update(symbol, bid, ask)
        positions = self._positions_of.get(symbol)
        if positions:
            for position in tuple(positions):
                price, side = (bid, 1) if position.side > 0 else (ask, -1)
                stop, target = position.stop_loss, position.take_profit
                if (stop is not None and (price - stop) * side <= 0) or (
                    target is not None and (price - target) * side >= 0
                ):
                    self._reduce(position, position.steps, price)
        orders = self._orders_of.get(symbol)
        if orders:
            for order in tuple(orders):
                if (ask <= order.price) if order.side > 0 else (bid >= order.price):
                    self._fill(order)

    def roll(self) -> None:
        """Add a night to every open position when the day's rollover time has passed."""
        night = (self.now_ms - ROLLOVER_MS) // 86_400_000
        if night > self._rollover >= 0:
            for position in self.positions.values():
                position.nights += night - self._rollover
        self._rollover = night

    # Updates for the wire

    def take_updates(self) -> tuple[list[Update], list[Execution]]:
        """Return and clear the events since the last call: orders and trades, then positions; and the executions.

        If a position has changed, the positions include all whose price or profit has moved. So after each event the
        newest rows of all positions add up to the equity behind `marginLevel`.
        """
        if not self._updates:
            return [], []
        updates, self._updates = self._updates, []
        executions, self.executions = self.executions, []
        if self._changed:
            updates += self.marks()
        return updates, executions

    def marks(self) -> list[Update]:
        """Mark to market: return updates of the positions whose price, profit or volume differs from the last one."""
        moved = []
        changed, self._changed = self._changed, {}
        for position in changed.values():
            if not position.steps:
                moved.append((position, position.published[0] if position.published else position.open_price, 0))
        for position in self.positions.values():
            price, profit = self.price(position), self.profit(position)
            if position.ticket in changed or position.published != (price, profit, position.steps):
                position.published = (price, profit, position.steps)
                moved.append((position, price, profit))
        if not moved:
            return []
        level = self.margin_level()
        return [self._position_update(position, price, profit, level) for position, price, profit in moved]

    # Internals

    def _fill(self, order: Order) -> None:
        part = order.steps - order.filled
        if order.steps > _PARTIAL_ABOVE and not order.filled:
            part = order.steps // 2
        order.filled += part
        order.filled_ms = self.now_ms
        position = order.position
        # If the position of the first part has been closed since, the rest opens a new position.
        if position is None or not position.steps:
            position = order.position = self._open(order, part, order.price)
        else:
            position.steps += part
            self._changed[position.ticket] = position
        done = order.filled == order.steps
        if done:
            self._remove_order(order)
        status = "FILLED" if done else "PARTIALLY_FILLED"
        self._publish_order(order, f"{SIDES[order.side]}_LIMIT", status, order.price)
        self._execute(position, order.side, part, order.price, 0, 0, "FILLED")

    def _open(self, order: Order, steps: int, price: float) -> Position:
        self._ticket += 1
        symbol, side, pip_size = order.symbol, order.side, pip(order.symbol)
        base_usd = self.rates.to_usd(symbol[:3], symbol, price)
        assert base_usd is not None  # can_trade() has made sure of it
        position = Position(
            ticket=self._ticket,
            symbol=symbol,
            side=side,
            steps=steps,
            open_price=price,
            stop_loss=round(price - side * order.stop_pips * pip_size, 6),
            take_profit=round(price + side * order.target_pips * pip_size, 6),
            opened_ms=self.now_ms,
            strategy=order.strategy,
            connection=order.connection,
            margin_rate=base_usd / self.leverage,
        )
        self.positions[position.ticket] = position
        self._positions_of.setdefault(symbol, []).append(position)
        self._changed[position.ticket] = position
        return position

    def _reduce(self, position: Position, steps: int, price: float) -> None:
        profit = self.profit(position, steps, price)
        swap = round(position.nights * _SWAP_USD[position.side] * steps * 100)
        position.steps -= steps
        self._changed[position.ticket] = position
        if not position.steps:
            del self.positions[position.ticket]
            self._positions_of[position.symbol].remove(position)
            position.published = (price, 0, 0)
        self._execute(position, -position.side, steps, price, profit, swap, "CLOSED")

    def _execute(
        self, position: Position, side: int, steps: int, price: float, profit: int, swap: int, status: str
    ) -> None:
        self._executed += 1
        commission = steps * COMMISSION_CENTS
        execution = Execution(
            self.now_ms, position.ticket, position.symbol, status == "CLOSED", profit, commission, swap
        )
        self.executions.append(execution)
        self.balance += execution.net
        data = wire.trade(
            execution_id=f"exec_{self._executed}",
            ticket=position.ticket,
            symbol=position.symbol,
            action=SIDES[side],
            volume=steps / 100,
            open_price=price,
            stop_loss=position.stop_loss,
            take_profit=position.take_profit,
            profit=profit / 100,
            commission=commission / 100,
            swap=swap / 100,
            status=status,
            executed_ms=self.now_ms,
            strategy_id=position.strategy,
            connection_id=position.connection,
        )
        self._updates.append(Update("trades", data["executionId"], data, {}))

    def _publish_order(self, order: Order, order_type: str, status: str, fill_price: float | None = None) -> None:
        data = wire.order(
            order_id=order.order_id,
            ticket=order.position.ticket if order.position else None,
            symbol=order.symbol,
            order_type=order_type,
            volume=order.steps / 100,
            price=order.price,
            status=status,
            filled_ms=order.filled_ms,
            fill_price=fill_price,
            filled_volume=order.filled / 100,
            remaining_volume=(order.steps - order.filled) / 100,
            strategy_id=order.strategy,
        )
        ended = status not in {"PENDING", "PARTIALLY_FILLED"}
        self._updates.append(Update("orders", order.order_id, data, {"connectionId": order.connection}, ended))

    def _position_update(self, position: Position, price: float, profit: int, level: float | None) -> Update:
        data = wire.position(
            ticket=position.ticket,
            symbol=position.symbol,
            side=SIDES[position.side],
            volume=position.steps / 100,
            open_price=position.open_price,
            current_price=price,
            stop_loss=position.stop_loss,
            take_profit=position.take_profit,
            profit=profit / 100,
            margin=self._margin(position) / 100,
            margin_level=level,
            duration_s=(self.now_ms - position.opened_ms) // 1000,
            updated_ms=self.now_ms,
        )
        labels = {"strategyId": position.strategy, "connectionId": position.connection}
        return Update("positions", str(position.ticket), data, labels, ended=not position.steps)

    def _margin(self, position: Position) -> int:
        return cents(position.steps * STEP_UNITS, position.margin_rate)

    def _remove_order(self, order: Order) -> None:
        del self.orders[order.order_id]
        self._orders_of[order.symbol].remove(order)

    def _create_order(
        self,
        symbol: str,
        side: int,
        steps: int,
        price: float,
        stop_pips: float,
        target_pips: float,
        strategy: str,
        connection: str,
    ) -> Order:
        self._number += 1
        return Order(
            f"order_{self._number}",
            symbol,
            side,
            steps,
            price,
            stop_pips,
            target_pips,
            self.now_ms,
            strategy,
            connection,
        )

    def _slip(self, symbol: str, price: float, side: int) -> float:
        points = self._random.choice(_SLIPPAGE_POINTS)
        return round(price + side * points * point(symbol), 6) if points else price

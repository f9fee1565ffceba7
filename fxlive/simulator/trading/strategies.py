"""Simple strategies that generate orders and trades for the account. They are not meant to be profitable."""

from __future__ import annotations

import math
import random
from typing import Protocol

from fxlive.simulator.market.pairs import digits, pip
from fxlive.simulator.trading.account import Account
from fxlive.simulator.trading.books import Order, Position

MAX_POSITIONS = 12


class Strategy(Protocol):
    """Evaluates a symbol a few times per market second and trades on the account."""

    def evaluate(self, account: Account, time_ms: int, symbol: str, bid: float, ask: float) -> None: ...


class Scalper:
    """Holds one position at a time, from the first quote on: halved after seconds, closed within a minute or two."""

    name, connection = "strategy_scalper", "conn_1"

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"scalper {seed}")
        self._position: Position | None = None
        self._next_ms = self._halve_ms = self._close_ms = 0

    def evaluate(self, account: Account, time_ms: int, symbol: str, bid: float, ask: float) -> None:
        position = self._position
        if position is None:
            if time_ms >= self._next_ms:
                self._enter(account, time_ms, symbol)
        elif not position.steps:
            self._position = None
            self._next_ms = time_ms + self._random.randrange(5_000, 25_000)
        elif symbol == position.symbol:
            if time_ms >= self._close_ms:
                account.close(position)
            elif time_ms >= self._halve_ms:
                self._halve_ms = self._close_ms
                account.close(position, position.steps // 2)

    def _enter(self, account: Account, time_ms: int, symbol: str) -> None:
        side, steps = self._random.choice((1, -1)), self._random.randrange(4, 30)
        self._position = account.market(symbol, side, steps, 8, 10, self.name, self.connection)
        self._halve_ms = time_ms + self._random.randrange(4_000, 8_000)
        self._close_ms = time_ms + self._random.randrange(25_000, 90_000)
        self._next_ms = time_ms + 10_000


class Trend:
    """Trades the crossing of two moving averages, one position per symbol. Closes half of it at a profit of 6 pips."""

    name, connection = "strategy_trend", "conn_1"
    fast_ms, slow_ms, band_pips = 30_000, 180_000, 0.8

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"trend {seed}")
        self._averages: dict[str, tuple[int, float, float]] = {}
        self._open: dict[str, tuple[Position, bool]] = {}
        self._next_ms: dict[str, int] = {}

    def evaluate(self, account: Account, time_ms: int, symbol: str, bid: float, ask: float) -> None:
        mid = (bid + ask) / 2
        last_ms, fast, slow = self._averages.get(symbol, (time_ms, mid, mid))
        fast += (mid - fast) * -math.expm1((last_ms - time_ms) / self.fast_ms)
        slow += (mid - slow) * -math.expm1((last_ms - time_ms) / self.slow_ms)
        self._averages[symbol] = (time_ms, fast, slow)
        signal_pips = (fast - slow) / pip(symbol)
        open_position = self._open.get(symbol)
        if open_position is None:
            # Not in the first minute: the averages need data before a crossing means anything.
            if (
                abs(signal_pips) > self.band_pips
                and time_ms >= self._next_ms.setdefault(symbol, time_ms + 60_000)
                and len(account.positions) < MAX_POSITIONS
            ):
                side, steps = (1 if signal_pips > 0 else -1), self._random.randrange(10, 50)
                self._next_ms[symbol] = time_ms + 120_000
                position = account.market(symbol, side, steps, 15, 25, self.name, self.connection)
                if position is not None:
                    self._open[symbol] = (position, False)
            return
        position, halved = open_position
        profit_pips = (account.price(position) - position.open_price) * position.side / pip(symbol)
        if not position.steps:
            del self._open[symbol]
        elif signal_pips * position.side < -self.band_pips / 2 or time_ms - position.opened_ms > 45 * 60_000:
            account.close(position)
        elif not halved and profit_pips > 6:
            self._open[symbol] = (position, True)
            account.close(position, position.steps // 2)


class Reversion:
    """Places limit orders a few pips from the market, cancels them when they do not fill, and takes small profits."""

    name, connection = "strategy_reversion", "conn_2"
    max_symbols = 4

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"reversion {seed}")
        self._orders: dict[str, Order] = {}
        self._until_ms: dict[str, int] = {}
        self._positions: dict[str, Position] = {}

    def evaluate(self, account: Account, time_ms: int, symbol: str, bid: float, ask: float) -> None:
        if symbol not in self._until_ms:
            if len(self._until_ms) == self.max_symbols:
                return
            self._until_ms[symbol] = 0
        order, position = self._orders.get(symbol), self._positions.get(symbol)
        if order is not None:
            if order.position is not None:
                self._positions[symbol] = order.position
            if order.order_id not in account.orders:
                del self._orders[symbol]
            elif time_ms >= self._until_ms[symbol]:
                account.cancel(order)
                del self._orders[symbol]
                self._until_ms[symbol] = time_ms + self._random.randrange(5_000, 40_000)
        elif position is not None:
            if not position.steps:
                del self._positions[symbol]
                self._until_ms[symbol] = time_ms + self._random.randrange(5_000, 60_000)
            elif time_ms - position.opened_ms > 20 * 60_000:
                account.close(position)
        elif time_ms >= self._until_ms[symbol] and len(account.positions) < MAX_POSITIONS:
            side, steps = self._random.choice((1, -1)), self._random.randrange(5, 45)
            distance = self._random.uniform(0.8, 4.0) * pip(symbol)
            price = round(bid - distance if side > 0 else ask + distance, digits(symbol))
            self._orders[symbol] = account.limit(symbol, side, steps, price, 12, 5, self.name, self.connection)
            self._until_ms[symbol] = time_ms + self._random.randrange(30_000, 180_000)

"""The platform without its sockets: quotes in, messages of all seven channels out, and the current state of each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from fxlive.simulator import wire
from fxlive.simulator.market.quotes import Quote, QuoteBook
from fxlive.simulator.trading.account import Account
from fxlive.simulator.trading.books import Update
from fxlive.simulator.trading.risk import Performance, Watch
from fxlive.simulator.trading.strategies import Reversion, Scalper, Strategy, Trend
from fxlive.simulator.trading.system_health import SystemHealth

# How often strategies look at a symbol, at most: market milliseconds.
_LOOK_MS = 250
_KEPT = {"trades": 200, "alerts": 100}
_NO_LABELS: Mapping[str, str] = {}


class Message:
    """A message on its way to clients: its frame, and what filters ask for."""

    __slots__ = ("channel", "frame", "labels", "symbol")

    def __init__(self, channel: str, symbol: str | None, frame: bytes, labels: Mapping[str, str] = _NO_LABELS) -> None:
        self.channel = channel
        self.symbol = symbol
        self.frame = frame
        self.labels = labels


class Trader:
    """An account with strategies and a watch on its losses; pure: what comes out follows from the quotes alone."""

    def __init__(self, seed: int, user_id: str, first_number: int = 1) -> None:
        self.account = Account(seed=seed, first_number=first_number)
        self.performance = Performance()
        self.watch = Watch(user_id, first_number)
        self._strategies: tuple[Strategy, ...] = (Scalper(seed), Reversion(seed), Trend(seed))
        self._look_ms: dict[str, int] = {}
        self._second = -1

    def on_quote(self, time_ms: int, symbol: str, bid: float, ask: float) -> list[Update]:
        """What the account does at this quote: orders, trades, positions, alerts, in this order."""
        account = self.account
        account.quote(time_ms, symbol, bid, ask)
        if time_ms >= self._look_ms.get(symbol, time_ms):
            self._look_ms[symbol] = time_ms + _LOOK_MS
            if account.can_trade(symbol):
                for strategy in self._strategies:
                    strategy.look(account, time_ms, symbol, bid, ask)
        updates, executions = account.take()
        for execution in executions:
            self.performance.add(execution)
        second = time_ms // 1000
        if second != self._second or executions:
            self._second = second
            account.roll()
            self.performance.roll(time_ms)
            updates += self.watch.check(account, self.performance)
        return updates


class Platform:
    """Numbers and encodes messages, and remembers what a new subscriber must be told.

    Parameters
    ----------
    seed : of the strategies, slippage and system troubles.
    user_id : whose account it is.
    start_ms : market time until the first quote comes.
    account : whether anything but quotes is sent.
    first_id : messages are numbered from here.
    """

    def __init__(self, seed: int, user_id: str, start_ms: int, *, account: bool = True, first_id: int = 1) -> None:
        self.now_ms = start_ms
        # A platform that starts again must not use the numbers of its earlier life: they follow first_id, which a
        # command derives from the clock.
        self.trader = Trader(seed, user_id, max(1, first_id // 1_000_000)) if account else None
        self.published = dict.fromkeys(wire.CHANNELS, 0)
        self._book = QuoteBook()
        self._health = SystemHealth(seed)
        self._number = first_id - 1
        self._current: dict[str, dict[str, Message]] = {channel: {} for channel in wire.CHANNELS}

    def next_number(self) -> int:
        """The number of a new message id."""
        self._number += 1
        return self._number

    def quotes(self, quotes: Iterable[Quote]) -> list[Message]:
        """The messages that these quotes bring about, in order."""
        messages: list[Message] = []
        book, trader, current = self._book, self.trader, self._current["market-data"]
        count = 0
        for time_ms, symbol, bid, ask in quotes:
            self._number += 1
            payload = book.message(time_ms, symbol, bid, ask, self._number)
            message = current[symbol] = Message("market-data", symbol, wire.frame(payload))
            messages.append(message)
            count += 1
            self.now_ms = time_ms
            if trader is not None:
                updates = trader.on_quote(time_ms, symbol, bid, ask)
                if updates:
                    messages += self._publish(updates)
        self.published["market-data"] += count
        return messages

    def marks(self) -> list[Message]:
        """Updates of the positions whose price has moved since they were last shown."""
        return self._publish(self.trader.account.marks()) if self.trader else []

    def report(self) -> list[Message]:
        """Analytics of every period and the system status, with alerts for components that changed."""
        trader = self.trader
        if trader is None:
            return []
        updates = trader.performance.updates(self.now_ms)
        status, changes = self._health.step(self.now_ms)
        updates.append(Update("system", "status", status, {}))
        for component, state, text in changes:
            severity = {"HEALTHY": "INFO", "DEGRADED": "WARNING", "DOWN": "CRITICAL"}[state]
            updates.append(
                trader.watch.alert(
                    self.now_ms,
                    entity=("SYSTEM", component),
                    kind="SYSTEM_STATUS",
                    severity=severity,
                    title=f"{component.capitalize()} {state}",
                    message=text,
                    threshold=None,
                    current=None,
                )
            )
        return self._publish(updates)

    def state(self, channel: str) -> list[Message]:
        """What a new subscriber of the channel is told: the last message of each row that still holds, as it was sent.

        Last quotes, open positions, working orders, recent trades and alerts, current analytics and system status; with
        the ids they had, so that a client that has seen them before knows them.
        """
        return list(self._current[channel].values())

    def _publish(self, updates: Iterable[Update]) -> list[Message]:
        return [self._message(update) for update in updates]

    def _message(self, update: Update) -> Message:
        channel, key, data, labels, over = update
        payload = wire.envelope(channel, data, self.now_ms, self.next_number())
        message = Message(channel, data.get("symbol"), wire.frame(payload), labels)
        self.published[channel] += 1
        rows = self._current[channel]
        rows.pop(key, None)  # newest last
        if not over:
            rows[key] = message
            if len(rows) > _KEPT.get(channel, 10_000):
                del rows[next(iter(rows))]
        return message


def data_of(frame: bytes) -> Any:
    """The data of a message, read back from its frame."""
    return json.loads(wire.payload(frame))["data"]

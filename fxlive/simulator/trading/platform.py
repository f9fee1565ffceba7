"""The platform without its sockets: turns quotes into messages of all seven channels and keeps each channel's state."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from fxlive.simulator import wire
from fxlive.simulator.market.quotes import Quote, QuoteBook
from fxlive.simulator.trading.account import Account
from fxlive.simulator.trading.books import Update
from fxlive.simulator.trading.risk import Performance, RiskMonitor
from fxlive.simulator.trading.strategies import Reversion, Scalper, Strategy, Trend
from fxlive.simulator.trading.system_health import SystemHealth

_EVALUATION_INTERVAL_MS = 250
"""Market time between two evaluations of a symbol by the strategies, at least."""
_MAX_ROWS = {"trades": 200, "alerts": 100}
_DEFAULT_MAX_ROWS = 10_000
_NO_LABELS: Mapping[str, str] = {}


class Message:
    """A message for clients: its WebSocket frame, with the values that filters refer to."""

    __slots__ = ("channel", "frame", "labels", "symbol")

    def __init__(self, channel: str, symbol: str | None, frame: bytes, labels: Mapping[str, str] = _NO_LABELS) -> None:
        self.channel = channel
        self.symbol = symbol
        self.frame = frame
        self.labels = labels


class Trader:
    """An account with strategies and a risk monitor. Deterministic: its updates depend on seed and quotes alone."""

    def __init__(self, seed: int, user_id: str, first_number: int = 1) -> None:
        self.account = Account(seed=seed, first_number=first_number)
        self.performance = Performance()
        self.risk_monitor = RiskMonitor(user_id, first_number)
        self._strategies: tuple[Strategy, ...] = (Scalper(seed), Reversion(seed), Trend(seed))
        self._next_evaluation_ms: dict[str, int] = {}
        self._second = -1

    def on_quote(self, time_ms: int, symbol: str, bid: float, ask: float) -> list[Update]:
        """Process a quote and return the account's updates: orders and trades, then positions, then alerts."""
        account = self.account
        account.quote(time_ms, symbol, bid, ask)
        if time_ms >= self._next_evaluation_ms.get(symbol, time_ms):
            self._next_evaluation_ms[symbol] = time_ms + _EVALUATION_INTERVAL_MS
            if account.can_trade(symbol):
                for strategy in self._strategies:
                    strategy.evaluate(account, time_ms, symbol, bid, ask)
        updates, executions = account.take_updates()
        for execution in executions:
            self.performance.add(execution)
        second = time_ms // 1000
        if second != self._second or executions:
            self._second = second
            account.roll()
            self.performance.roll(time_ms)
            updates += self.risk_monitor.check(account, self.performance)
        return updates


class Platform:
    """Numbers and encodes messages, and keeps the current rows of each channel for new subscribers.

    Parameters
    ----------
    seed : of the strategies, the slippage and the system status.
    user_id : the owner of the account.
    start_ms : market time before the first quote.
    account : whether there is an account; if not, only quotes are sent.
    first_id : number of the first message id.
    """

    def __init__(self, seed: int, user_id: str, start_ms: int, *, account: bool = True, first_id: int = 1) -> None:
        self.now_ms = start_ms
        # A restarted platform must not reuse tickets and other ids. So they follow from first_id, which the command
        # line derives from the clock.
        self.trader = Trader(seed, user_id, max(1, first_id // 1_000_000)) if account else None
        self.published = dict.fromkeys(wire.CHANNELS, 0)
        self._quote_book = QuoteBook()
        self._health = SystemHealth(seed)
        self._number = first_id - 1
        self._current: dict[str, dict[str, Message]] = {channel: {} for channel in wire.CHANNELS}

    def next_number(self) -> int:
        """Return the number of a new message id."""
        self._number += 1
        return self._number

    def restart_ids(self, first_id: int = 1) -> None:
        """Number the next messages from `first_id` on, as a restarted platform may; tickets and other ids go on."""
        self._number = first_id - 1

    def quotes(self, quotes: Iterable[Quote]) -> list[Message]:
        """Process quotes and return their messages: each quote, followed by the account's updates at that quote."""
        messages: list[Message] = []
        book, trader, current = self._quote_book, self.trader, self._current["market-data"]
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
        """Mark to market: return a message for each position whose price or profit differs from its last message."""
        return self._publish(self.trader.account.marks()) if self.trader else []

    def report(self) -> list[Message]:
        """Return the analytics of each period, the system status, and an alert for each component that changed."""
        trader = self.trader
        if trader is None:
            return []
        updates = trader.performance.updates(self.now_ms)
        status, changes = self._health.step(self.now_ms)
        updates.append(Update("system", "status", status, {}))
        for component, state, text in changes:
            severity = {"HEALTHY": "INFO", "DEGRADED": "WARNING", "DOWN": "CRITICAL"}[state]
            updates.append(
                trader.risk_monitor.alert(
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

    def snapshot(self, channel: str) -> list[Message]:
        """Return the messages for a new subscriber of the channel: the last one of each current row.

        These are the last quotes, open positions, working orders, recent trades and alerts, and the current analytics
        and system status. They are identical to the messages sent before, ids included, so a client that has received
        them before can drop them as duplicates.
        """
        return list(self._current[channel].values())

    def _publish(self, updates: Iterable[Update]) -> list[Message]:
        return [self._message(update) for update in updates]

    def _message(self, update: Update) -> Message:
        channel, key, data, labels, ended = update
        payload = wire.envelope(channel, data, self.now_ms, self.next_number())
        message = Message(channel, data.get("symbol"), wire.frame(payload), labels)
        self.published[channel] += 1
        rows = self._current[channel]
        rows.pop(key, None)  # newest last
        if not ended:
            rows[key] = message
            if len(rows) > _MAX_ROWS.get(channel, _DEFAULT_MAX_ROWS):
                del rows[next(iter(rows))]
        return message


def data_of(frame: bytes) -> Any:
    """Decode the data of a message from its frame."""
    return json.loads(wire.payload(frame))["data"]

"""The platform's messages agree to the cent with a ledger that recomputes them from quotes and executions alone."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime
from fractions import Fraction
from functools import cache
from itertools import islice
from typing import Any

import pytest

from fxlive.simulator import wire
from fxlive.simulator.market.random_walk import SimulatedMarket
from fxlive.simulator.trading.platform import Message, Platform, Trader

START_MS = 1_704_182_400_000  # Tuesday 2024-01-02 08:00 UTC
COMMISSION_PER_LOT = 5

# The pair that converts each currency to dollars. True: multiply by its bid, False: divide by it.
TO_USD = {
    "USD": None,
    "EUR": ("EURUSD", True),
    "GBP": ("GBPUSD", True),
    "AUD": ("AUDUSD", True),
    "NZD": ("NZDUSD", True),
    "JPY": ("USDJPY", False),
    "CAD": ("USDCAD", False),
    "CHF": ("USDCHF", False),
}


def cents(value: Fraction) -> Fraction:
    return Fraction(round(value * 100), 100)


@cache
def exact(number: float) -> Fraction:
    """Return the decimal number that the wire shows, not the nearest binary fraction."""
    return Fraction(repr(number))


class Ledger:
    """Recomputes everything from quotes and executions, in exact fractions."""

    def __init__(self) -> None:
        self.quotes: dict[str, tuple[Fraction, Fraction]] = {}
        self.balance = Fraction(100_000)
        self.volume: dict[int, Fraction] = defaultdict(Fraction)
        self.opened: dict[int, dict[str, Any]] = {}
        self.positions: dict[int, dict[str, Any]] = {}
        self.nets: list[tuple[datetime, Fraction, bool]] = []
        self.swaps = self.checked = self.closed = 0
        self.levels: list[float | None] = []
        """Margin levels of the current event or marks: all of the same moment."""
        self.symbols: set[str] = set()

    def rate(self, currency: str, own: str, price: Fraction) -> Fraction:
        conversion = TO_USD[currency]
        if conversion is None:
            return Fraction(1)
        symbol, forward = conversion
        value = price if symbol == own else self.quotes[symbol][0]
        return value if forward else 1 / value

    def profit(self, symbol: str, side: str, opened: float, price: float, volume: Fraction) -> Fraction:
        move = (exact(price) - exact(opened)) * (1 if side == "BUY" else -1)
        return cents(move * volume * 100_000 * self.rate(symbol[3:], symbol, exact(price)))

    def check(self, message: dict[str, Any]) -> None:
        getattr(self, message["type"])(message["data"])

    def market_data(self, data: dict[str, Any]) -> None:
        self.quotes[data["symbol"]] = (exact(data["bid"]), exact(data["ask"]))

    def order(self, data: dict[str, Any]) -> None:
        assert exact(data["filledVolume"]) + exact(data["remainingVolume"]) == exact(data["volume"])
        if data["status"] in {"FILLED", "PARTIALLY_FILLED"}:
            assert data["ticket"] is not None
            assert data["fillPrice"] is not None

    def trade(self, data: dict[str, Any]) -> None:
        ticket, volume = data["ticket"], exact(data["volume"])
        profit, commission, swap = exact(data["profit"]), exact(data["commission"]), exact(data["swap"])
        self.symbols.add(data["symbol"])
        assert commission == cents(volume * COMMISSION_PER_LOT)
        bid, ask = self.quotes[data["symbol"]]
        quoted = ask if data["action"] == "BUY" else bid
        assert abs(exact(data["openPrice"]) - quoted) <= quoted / 100
        if data["status"] == "FILLED":
            assert profit == swap == 0
            first = self.opened.setdefault(ticket, data)
            assert (first["openPrice"], first["action"], first["symbol"]) == (
                data["openPrice"], data["action"], data["symbol"],
            )  # fmt: skip
            self.volume[ticket] += volume
        else:
            first = self.opened[ticket]
            assert data["status"] == "CLOSED"
            assert data["symbol"] == first["symbol"]
            assert {data["action"], first["action"]} == {"BUY", "SELL"}
            assert profit == self.profit(data["symbol"], first["action"], first["openPrice"], data["openPrice"], volume)
            self.volume[ticket] -= volume
            assert self.volume[ticket] >= 0
            self.closed += 1
            self.swaps += swap != 0
        net = profit - commission + swap
        self.balance += net
        when = datetime.fromisoformat(data["executedAt"])
        self.nets.append((when, net, data["status"] == "CLOSED"))

    def position(self, data: dict[str, Any]) -> None:
        ticket, first = data["ticket"], self.opened[data["ticket"]]
        assert exact(data["volume"]) == self.volume[ticket]
        assert (data["type"], data["symbol"]) == (first["action"], first["symbol"])
        assert data["openPrice"] == first["openPrice"]
        assert data["profit"] == data["unrealizedPnL"]
        profit = self.profit(data["symbol"], data["type"], data["openPrice"], data["currentPrice"], self.volume[ticket])
        assert exact(data["profit"]) == profit
        if self.volume[ticket]:
            bid, ask = self.quotes[data["symbol"]]
            assert exact(data["currentPrice"]) == (bid if data["type"] == "BUY" else ask)
            self.positions[ticket] = data
        else:
            assert data["margin"] == data["profit"] == 0
            self.positions.pop(ticket, None)
        self.levels.append(data["marginLevel"])
        self.checked += 1

    def check_account(self) -> None:
        """Check, after an event or after marks, that the newest rows add up to the account's margin level."""
        assert {ticket for ticket, volume in self.volume.items() if volume} == set(self.positions)
        equity = self.balance + sum(exact(p["unrealizedPnL"]) for p in self.positions.values())
        margin = sum(exact(p["margin"]) for p in self.positions.values())
        for level in self.levels:
            assert level == (pytest.approx(float(equity / margin * 100), abs=0.006) if margin else None)
        self.levels.clear()

    def analytics(self, data: dict[str, Any]) -> None:
        now = datetime.fromisoformat(data["timestamp"])

        def key(moment: datetime) -> object:
            return {
                "DAY": moment.date(),
                "WEEK": moment.isocalendar()[:2],
                "MONTH": (moment.year, moment.month),
            }[data["period"]]

        in_period = [(net, closing) for when, net, closing in self.nets if key(when) == key(now)]
        peak = total = Fraction(0)
        for net, _ in in_period:
            total += net
            peak = max(peak, total)
        closed = [net for net, closing in in_period if closing]
        metrics = data["metrics"]
        assert metrics["totalTrades"] == len(closed)
        assert exact(metrics["netProfit"]) == total
        assert exact(metrics["currentDrawdown"]) == peak - total
        wins = sum(net > 0 for net in closed)
        assert metrics["winRate"] == (round(100 * wins / len(closed), 1) if closed else 0.0)

    def alert(self, data: dict[str, Any]) -> None:
        if data["type"] == "RISK_LIMIT":
            assert data["current"] >= data["threshold"]
        if data["type"] == "DRAWDOWN":
            assert data["current"] >= data["threshold"] > 0

    def system(self, data: dict[str, Any]) -> None:
        states = set(data["components"].values())
        assert data["status"] == ("DOWN" if "DOWN" in states else "DEGRADED" if "DEGRADED" in states else "HEALTHY")


def parse(messages: list[Message]) -> list[dict[str, Any]]:
    return [json.loads(wire.payload(message.frame)) for message in messages]


def run(symbols: list[str] | None, hours: int, quotes_per_s: float, start_ms: int = START_MS) -> Ledger:
    """Run a market for some hours and check every message."""
    platform, ledger = Platform(3, "user_456", start_ms), Ledger()
    market = SimulatedMarket(3, symbols, start_ms=start_ms, quotes_per_s=quotes_per_s)
    for number, block in enumerate(market):
        if block[0][0] > start_ms + hours * 3_600_000:
            break
        for quote in block:
            messages = parse(platform.quotes([quote]))
            for message in messages:
                ledger.check(message)
            if any(message["type"] == "position" for message in messages):
                ledger.check_account()
        for message in parse(platform.marks()):
            ledger.check(message)
        ledger.check_account()
        if number % 40 == 0:
            for message in parse(platform.report()):
                ledger.check(message)
    for message in parse(platform.report()):
        ledger.check(message)
    return ledger


def test_a_day_of_nine_pairs_with_yen_and_crosses_adds_up_to_the_cent() -> None:
    ledger = run(None, hours=17, quotes_per_s=0.6)

    assert ledger.symbols >= {"EURUSD", "USDJPY", "EURJPY", "EURGBP", "USDCHF"}
    assert ledger.closed > 300
    assert ledger.checked > 2_000
    assert ledger.swaps > 0
    days = {when.date() for when, _, _ in ledger.nets}
    assert len(days) == 2


def test_two_pairs_are_enough_to_trade() -> None:
    ledger = run(["EURUSD", "NZDUSD"], hours=2, quotes_per_s=2)

    assert ledger.symbols == {"EURUSD", "NZDUSD"}
    assert ledger.closed > 20


def test_yen_pairs_add_up_across_the_end_of_a_month() -> None:
    end_of_month = round(datetime(2024, 1, 31, 22, 30, tzinfo=UTC).timestamp() * 1000)

    ledger = run(["USDJPY", "EURJPY", "EURUSD"], hours=3, quotes_per_s=2, start_ms=end_of_month)

    assert ledger.symbols == {"USDJPY", "EURJPY", "EURUSD"}
    assert {when.month for when, _, _ in ledger.nets} == {1, 2}


def test_a_snapshot_is_the_last_message_of_each_open_position_and_working_order() -> None:
    platform = Platform(3, "user_456", START_MS)
    last: dict[tuple[str, str], dict[str, Any]] = {}
    for block in islice(SimulatedMarket(3, start_ms=START_MS, quotes_per_s=4), 60):
        for message in parse(platform.quotes(block) + platform.marks()):
            data = message["data"]
            if message["type"] == "position":
                last["positions", data["ticket"]] = message
            if message["type"] == "order":
                last["orders", data["orderId"]] = message

    current = {
        "positions": lambda d: d["volume"] > 0,
        "orders": lambda d: d["status"] in {"PENDING", "PARTIALLY_FILLED"},
    }
    for channel, is_current in current.items():
        rows = [message for (name, _), message in last.items() if name == channel]
        expected = sorted(message["id"] for message in rows if is_current(message["data"]))
        assert sorted(message["id"] for message in parse(platform.snapshot(channel))) == expected
        assert 0 < len(expected) < len(rows)


def test_a_pair_that_cannot_be_converted_to_dollars_is_not_traded() -> None:
    trader = Trader(7, "user_456")

    for second in range(600):
        assert trader.on_quote(START_MS + second * 1000, "EURGBP", 0.85, 0.8501) == []
        assert trader.on_quote(START_MS + second * 1000, "US500", 4700.0, 4700.5) == []


def test_a_cross_is_traded_once_it_can_be_converted_to_dollars() -> None:
    trader = Trader(7, "user_456")
    assert trader.on_quote(START_MS, "EURGBP", 0.85, 0.8501) == []
    trader.on_quote(START_MS, "US500", 4700.0, 4700.5)

    # Conversion through two pairs: pounds to euros to dollars.
    updates = trader.on_quote(START_MS + 500, "EURUSD", 1.085, 1.0851)
    updates += trader.on_quote(START_MS + 1000, "EURGBP", 0.85, 0.8501)

    assert "EURGBP" in {update.data["symbol"] for update in updates if update.channel == "orders"}


def test_the_same_quotes_and_seed_give_the_same_trades() -> None:
    def decide(seed: int) -> list[Any]:
        trader = Trader(seed, "user_456")
        blocks = islice(SimulatedMarket(7, start_ms=START_MS), 60)
        return [update for block in blocks for quote in block for update in trader.on_quote(*quote)]

    updates = decide(7)
    assert updates
    assert updates == decide(7)
    assert updates != decide(8)

"""Simulated trading over a market: the frames that a session would have, and the account's state at many times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

import pandas as pd

from fxlive.simulator import wire
from fxlive.simulator.market.quotes import Quote
from fxlive.simulator.market.random_walk import SimulatedMarket
from fxlive.simulator.market.ticks import Replay
from fxlive.simulator.trading.platform import Message, Platform
from fxlive.tables.store import Store
from fxlive.wire.protocol import decode
from tests.analytics.frames import UTC, index, real_day

MONDAY_MS = 1_704_067_200_000  # 2024-01-01, also the start of a month
CHANNELS = ("trades", "positions", "orders", "analytics")


@dataclass
class AccountState:
    """The simulated account at one time: its money in cents, and how many rows each channel had received."""

    balance: int
    equity: int
    rows: dict[str, int]


@dataclass
class Played:
    """The store with all messages, the quotes, and the account at each report."""

    store: Store
    quotes: pd.DataFrame
    states: list[AccountState] = field(default_factory=list)

    def frame(self, channel: str) -> pd.DataFrame:
        return self.store.tables[channel].frame()


def play(blocks: Iterable[list[Quote]], first_ms: int, report_every: int) -> Played:
    """Run the simulator's strategies on quotes; record analytics and the account every `report_every` blocks."""
    platform, store = Platform(3, "user_456", first_ms), Store(max_rows=5_000_000)
    quotes: list[Quote] = []
    played = Played(store, pd.DataFrame())

    def receive(messages: list[Message]) -> None:
        frames = [wire.payload(message.frame) for message in messages if message.channel in CHANNELS]
        if frames:
            store.add(decode(frames, platform.now_ms * 1000 + 3000))

    def report() -> None:
        receive(platform.marks() + platform.report())
        account = platform.trader.account  # type: ignore[union-attr]
        rows = {channel: len(store.tables[channel]) for channel in CHANNELS}
        played.states.append(AccountState(account.balance, account.equity(), rows))

    for number, block in enumerate(blocks):
        quotes += block
        receive(platform.quotes(block))
        if number % report_every == 0:
            report()
    report()
    times, symbols, bids, asks = zip(*quotes, strict=True)
    played.quotes = pd.DataFrame(
        {"symbol": pd.Categorical(symbols), "bid": bids, "ask": asks}, index=index([t * 1000 for t in times])
    )
    played.quotes["received_at"] = played.quotes.index  # before the fills, as the simulator sends them
    assert played.quotes.index.dtype == UTC
    return played


@cache
def week() -> Played:
    """Return five simulated days of four pairs, including a yen pair and a cross."""
    symbols = ["EURUSD", "USDJPY", "EURJPY", "GBPUSD"]
    market = SimulatedMarket(3, symbols, start_ms=MONDAY_MS, quotes_per_s=0.05)

    def blocks() -> Iterable[list[Quote]]:
        for block in market:
            if block and block[0][0] > MONDAY_MS + 5 * 86_400_000:
                return
            if block:
                yield block

    return play(blocks(), MONDAY_MS, 200)


@cache
def day() -> Played:
    """Return trading over the recorded day of real ticks."""
    replay = Replay(real_day().reset_index())
    blocks = ([*block[start : start + 256]] for block in replay for start in range(0, len(block), 256))
    return play(blocks, replay.first_ms, 20)

"""The simulated market: reproducible, in time order, and free of arbitrage."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fxlive.simulator.market.quotes import Quote
from fxlive.simulator.market.random_walk import DEFAULT_SYMBOLS, SimulatedMarket

START_MS = 1_704_182_400_000


def simulate(blocks: int = 20, **options: Any) -> list[Quote]:
    market = SimulatedMarket(**{"seed": 7, "start_ms": START_MS, **options})
    return [quote for block in islice(market, blocks) for quote in block]


def to_frame(quotes: list[Quote]) -> pd.DataFrame:
    return pd.DataFrame(quotes, columns=["timestamp", "symbol", "bid", "ask"])


def test_the_same_seed_gives_the_same_quotes_and_another_seed_different_ones() -> None:
    assert simulate() == simulate()
    assert simulate() != simulate(seed=8)


def test_a_later_start_with_the_same_phase_gives_the_same_prices() -> None:
    later = simulate(start_ms=START_MS + 5_000_000, phase_ms=START_MS)

    assert [(t - 5_000_000, *rest) for t, *rest in later] == [tuple(quote) for quote in simulate()]


def test_quotes_are_in_time_order_and_every_symbol_is_quoted_at_the_start() -> None:
    quotes = simulate()

    times = [quote[0] for quote in quotes]
    assert times == sorted(times)
    assert {quote[1] for quote in quotes if quote[0] < START_MS + 25} == set(DEFAULT_SYMBOLS)


def test_prices_have_the_decimals_of_their_pair_and_asks_are_above_bids() -> None:
    for _, symbol, bid, ask in simulate():
        decimals = 3 if symbol.endswith("JPY") else 5
        assert round(bid, decimals) == bid
        assert len(repr(ask).partition(".")[2]) <= decimals
        assert ask > bid


def test_crosses_have_no_arbitrage() -> None:
    frame = to_frame(simulate(100))
    mids = frame.assign(mid=(frame.bid + frame.ask) / 2).pivot_table(index="timestamp", columns="symbol", values="mid")
    mids = mids.ffill().dropna()

    cross = mids["EURUSD"] * mids["USDJPY"]
    assert (mids["EURJPY"] / cross - 1).abs().quantile(0.99) < 5e-4
    assert (mids["EURGBP"] * mids["GBPUSD"] / mids["EURUSD"] - 1).abs().quantile(0.99) < 5e-4


def test_pairs_are_correlated() -> None:
    frame = to_frame(simulate(400)).assign(second=lambda f: f.timestamp // 10_000)
    returns = np.log(frame.pivot_table(index="second", columns="symbol", values="bid", aggfunc="last")).diff().dropna()

    correlation = returns.corr()

    assert correlation.loc["EURUSD", "GBPUSD"] > 0.15
    assert correlation.loc["EURUSD", "USDCHF"] < -0.15


def test_a_symbol_that_cannot_be_simulated_is_named_in_the_error() -> None:
    with pytest.raises(ValueError, match=r"^Cannot simulate XAUUSD\. Use pairs such as EURUSD, of AUD, CAD, "):
        SimulatedMarket(7, ["EURUSD", "XAUUSD"], start_ms=0)

"""The simulated market, the replay of real quotes, and the day's figures that the stream gives."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fxlive.simulator.market.quotes import Quote, QuoteBook
from fxlive.simulator.market.random_walk import DEFAULT_SYMBOLS, SimulatedMarket
from fxlive.simulator.market.ticks import Replay, TicksError
from fxlive.simulator.trading.platform import Trader

START_MS = 1_704_182_400_000


def simulated(blocks: int = 20, **options: Any) -> list[Quote]:
    market = SimulatedMarket(**{"seed": 7, "start_ms": START_MS, **options})
    return [quote for block in islice(market, blocks) for quote in block]


def table(quotes: list[Quote]) -> pd.DataFrame:
    return pd.DataFrame(quotes, columns=["timestamp", "symbol", "bid", "ask"])


def test_the_same_seed_gives_the_same_quotes_and_another_seed_others() -> None:
    assert simulated() == simulated()
    assert simulated() != simulated(seed=8)


def test_a_market_that_starts_later_has_the_same_prices_when_its_hours_are_the_same() -> None:
    later = simulated(start_ms=START_MS + 5_000_000, phase_ms=START_MS)

    assert [(t - 5_000_000, *rest) for t, *rest in later] == [tuple(quote) for quote in simulated()]


def test_quotes_come_in_time_order_with_every_symbol_at_once() -> None:
    quotes = simulated()

    times = [quote[0] for quote in quotes]
    assert times == sorted(times)
    assert {quote[1] for quote in quotes if quote[0] < START_MS + 25} == set(DEFAULT_SYMBOLS)


def test_prices_have_the_digits_of_their_pair_and_asks_are_above_bids() -> None:
    for _, symbol, bid, ask in simulated():
        places = 3 if symbol.endswith("JPY") else 5
        assert round(bid, places) == bid
        assert len(repr(ask).partition(".")[2]) <= places
        assert ask > bid


def test_crosses_hold_no_arbitrage() -> None:
    frame = table(simulated(100))
    mids = frame.assign(mid=(frame.bid + frame.ask) / 2).pivot_table(index="timestamp", columns="symbol", values="mid")
    mids = mids.ffill().dropna()

    cross = mids["EURUSD"] * mids["USDJPY"]
    assert (mids["EURJPY"] / cross - 1).abs().quantile(0.99) < 5e-4
    assert (mids["EURGBP"] * mids["GBPUSD"] / mids["EURUSD"] - 1).abs().quantile(0.99) < 5e-4


def test_pairs_move_together() -> None:
    frame = table(simulated(400)).assign(second=lambda f: f.timestamp // 10_000)
    returns = np.log(frame.pivot_table(index="second", columns="symbol", values="bid", aggfunc="last")).diff().dropna()

    correlation = returns.corr()

    assert correlation.loc["EURUSD", "GBPUSD"] > 0.15
    assert correlation.loc["EURUSD", "USDCHF"] < -0.15


def test_a_symbol_that_cannot_be_simulated_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="XAUUSD"):
        SimulatedMarket(7, ["EURUSD", "XAUUSD"], start_ms=0)


# Replay

TICKS = pd.DataFrame(
    {
        "timestamp": pd.to_datetime(
            [
                "2014-05-08T12:30:00.100Z",
                "2014-05-08T12:30:00.100Z",
                "2014-05-08T12:29:59.999Z",
                "2014-05-08T12:30:01Z",
            ],
            format="ISO8601",
        ),
        "symbol": ["EURUSD", "NZDUSD", "EURUSD", "EURUSD"],
        "bid": [1.39147, 0.86605, 1.39146, 1.39151],
        "ask": [1.39148, 0.86613, 1.39149, 1.39150],
    }
)
BASE_MS = 1_399_552_200_000
EXPECTED = [
    (BASE_MS - 1, "EURUSD", 1.39146, 1.39149),
    (BASE_MS + 100, "EURUSD", 1.39147, 1.39148),
    (BASE_MS + 100, "NZDUSD", 0.86605, 0.86613),
    (BASE_MS + 1000, "EURUSD", 1.39151, 1.39150),
]


def replayed(ticks: Any, **options: Any) -> list[Quote]:
    return [quote for block in Replay(ticks, **options) for quote in block]


@pytest.mark.parametrize("name", ["ticks.csv", "ticks.csv.gz", "ticks.parquet"])
def test_a_file_is_replayed_in_time_order_as_it_is_crossed_quotes_too(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("parquet"):
        TICKS.to_parquet(path)
    else:
        TICKS.assign(timestamp=TICKS.timestamp.dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ")).to_csv(path, index=False)

    assert replayed(path) == EXPECTED
    assert replayed(str(path)) == EXPECTED


@pytest.mark.parametrize(
    "form",
    [
        lambda f: f,
        lambda f: f.set_index("timestamp"),
        lambda f: f.assign(timestamp=f.timestamp.dt.tz_localize(None)),
        lambda f: f.assign(timestamp=f.timestamp.dt.tz_convert("Asia/Tokyo")),
        lambda f: f.assign(timestamp=f.timestamp.dt.as_unit("ns")),
        lambda f: f.assign(timestamp=f.timestamp.dt.as_unit("ms").astype("int64")),
        lambda f: f.assign(symbol=f.symbol.astype("category"), bid=f.bid.astype(str)),
        lambda f: f.assign(extra=1)[["extra", "ask", "bid", "symbol", "timestamp"]],
    ],
    ids=["plain", "index", "naive", "tokyo", "ns", "milliseconds", "category", "columns"],
)
def test_a_frame_is_replayed_whatever_its_form(form: Any) -> None:
    assert replayed(form(TICKS)) == EXPECTED


def test_a_replay_can_be_limited_to_symbols() -> None:
    assert replayed(TICKS, symbols=["NZDUSD"]) == [EXPECTED[2]]
    with pytest.raises(TicksError, match="GBPUSD"):
        Replay(TICKS, symbols=["GBPUSD"])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: f.drop(columns="ask"), "no ask"),
        (lambda f: f.iloc[:0], "no ticks"),
        (lambda f: f.assign(bid=[1.1, None, 1.2, 1.3]), "row 1 has no price in the column bid"),
        (lambda f: f.assign(ask=[1.1, 1.2, 0.0, 1.3]), "row 2 has no price in the column ask"),
        (lambda f: f.assign(timestamp=["x", "y", "z", "w"]), "not a time"),
        (lambda f: f.assign(timestamp=f.timestamp.where(f.index != 3)), "row 3 has no timestamp"),
        (lambda f: f.assign(symbol=["EURUSD", None, "A", "B"]), "row 1 has no symbol"),
        (lambda f: f.assign(symbol=["EURUSD", 'A"B', "A", "B"]), "not a symbol"),
    ],
    ids=["column", "empty", "price", "zero", "time", "nat", "symbol", "quote"],
)
def test_bad_ticks_are_an_error_that_says_where(spoil: Any, words: str) -> None:
    with pytest.raises(TicksError, match=words):
        Replay(spoil(TICKS))


def test_a_file_that_is_none_or_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TicksError, match="there is no file"):
        Replay(tmp_path / "none.csv")
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    with pytest.raises(TicksError, match="cannot be read"):
        Replay(tmp_path / "bad.parquet")


# The day's figures


def said(book: QuoteBook, *quote: Any) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(book.message(*quote, 1))["data"]
    return data


def test_the_days_figures_follow_from_the_stream() -> None:
    book = QuoteBook()
    day = 1_704_067_200_000

    first = said(book, day, "EURUSD", 1.085, 1.08501)
    said(book, day + 1, "EURUSD", 1.087, 1.08701)
    last = said(book, day + 2, "EURUSD", 1.084, 1.08412)
    next_day = said(book, day + 86_400_000, "EURUSD", 1.0845, 1.0846)

    assert (first["change"], first["close"], first["volume"], first["spread"]) == (0, 1.085, 1, 1)
    assert (last["open"], last["dayHigh"], last["dayLow"], last["last"]) == (1.085, 1.087, 1.084, 1.084)
    assert (last["volume"], last["spread"], last["change"]) == (3, 12, -0.001)
    assert last["changePercent"] == -0.0922
    assert (next_day["open"], next_day["dayHigh"], next_day["dayLow"]) == (1.0845, 1.0845, 1.0845)
    assert (next_day["close"], next_day["change"], next_day["volume"]) == (1.084, 0.0005, 1)


def test_a_yen_spread_is_in_thousandths_and_a_crossed_one_is_negative() -> None:
    book = QuoteBook()

    assert said(book, 0, "USDJPY", 150.0, 150.012)["spread"] == 12
    assert said(book, 0, "EURUSD", 1.08502, 1.085)["spread"] == -2


def test_prices_go_out_as_they_came_in() -> None:
    book = QuoteBook()

    for bid in np.random.default_rng(1).random(2_000).tolist():
        data = said(book, 0, "EURUSD", bid, bid * 1.00001)
        assert (data["bid"], data["ask"]) == (bid, bid * 1.00001)


def test_the_same_quotes_and_seed_give_the_same_trades() -> None:
    def decisions(seed: int) -> list[Any]:
        trader = Trader(seed, "user_456")
        return [update for quote in simulated(60) for update in trader.on_quote(*quote)]

    once = decisions(7)
    assert once
    assert once == decisions(7)
    assert once != decisions(8)

"""Market-data messages: the figures of the day that are computed from the stream of quotes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from fxlive.simulator.market.quotes import QuoteBook


def encode(book: QuoteBook, *quote: Any) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(book.message(*quote, 1))["data"]
    return data


def test_the_figures_of_the_day_follow_from_the_stream() -> None:
    book = QuoteBook()
    day = 1_704_067_200_000

    first = encode(book, day, "EURUSD", 1.085, 1.08501)
    encode(book, day + 1, "EURUSD", 1.087, 1.08701)
    last = encode(book, day + 2, "EURUSD", 1.084, 1.08412)
    next_day = encode(book, day + 86_400_000, "EURUSD", 1.0845, 1.0846)

    assert (first["change"], first["close"], first["volume"], first["spread"]) == (0, 1.085, 1, 1)
    assert (last["open"], last["dayHigh"], last["dayLow"], last["last"]) == (1.085, 1.087, 1.084, 1.084)
    assert (last["volume"], last["spread"], last["change"]) == (3, 12, -0.001)
    assert last["changePercent"] == -0.0922
    assert (next_day["open"], next_day["dayHigh"], next_day["dayLow"]) == (1.0845, 1.0845, 1.0845)
    assert (next_day["close"], next_day["change"], next_day["volume"]) == (1.084, 0.0005, 1)


def test_a_yen_spread_is_in_thousandths_and_a_crossed_spread_is_negative() -> None:
    book = QuoteBook()

    assert encode(book, 0, "USDJPY", 150.0, 150.012)["spread"] == 12
    assert encode(book, 0, "EURUSD", 1.08502, 1.085)["spread"] == -2


def test_prices_are_sent_unchanged() -> None:
    book = QuoteBook()

    for bid in np.random.default_rng(1).random(2_000).tolist():
        data = encode(book, 0, "EURUSD", bid, bid * 1.00001)
        assert (data["bid"], data["ask"]) == (bid, bid * 1.00001)

"""The platform's words for states and sides, and the memory that they cost."""

from __future__ import annotations

import tracemalloc

from fxlive.wire import statuses
from fxlive.wire.statuses import OrderState, TradeState


def test_long_words_are_understood_like_short_ones() -> None:
    padding = "_" * 10_000
    assert statuses.trade_state(f"CLOSED{padding}") is statuses.trade_state("CLOSED") is TradeState.CLOSES
    assert statuses.order_state(f"{padding}Cancelled") is OrderState.ENDED
    assert statuses.side_of(f"sell{padding}") == statuses.side_of("sell") == -1


def test_long_words_are_not_remembered() -> None:
    tracemalloc.start()
    try:
        for number in range(1_000):
            word = f"{number}" + "x" * 10_000
            assert statuses.trade_state(word) is TradeState.UNKNOWN
            assert statuses.order_state(word) is OrderState.UNKNOWN
            assert statuses.side_of(word) == 0
        remembered, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert remembered < 100_000  # of 10,000,000

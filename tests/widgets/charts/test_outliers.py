"""Timestamps far ahead of the stream do not become the end of a live chart, until the stream confirms them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from fxlive.widgets.charts.candles import BarLayer
from fxlive.widgets.charts.pnl import PnlSeries
from fxlive.widgets.charts.prices import QuoteLayer
from fxlive.widgets.charts.series import SeriesLayer
from tests.widgets.kernel_side import START, Platform

YEAR_S, MINUTE_US = 31_536_000.0, 60_000_000


def put(platform: Platform, kind: str, channel: str, ahead_s: float = 0.0, **data: Any) -> None:
    stamp = (datetime.fromtimestamp(START, UTC) + timedelta(seconds=platform.now + ahead_s)).isoformat()
    platform.put({"type": kind, "channel": channel, "data": data, "timestamp": stamp})


def quote(platform: Platform, bid: float, ahead_s: float = 0.0, symbol: str = "EURUSD") -> None:
    put(platform, "market_data", "market-data", ahead_s, symbol=symbol, bid=bid, ask=bid)


def seconds(layer: Any, start: int | None = None) -> list[float]:
    return (layer.read(start).columns[0] / 1000 - START).tolist()


def test_a_quote_a_year_ahead_is_not_drawn_and_those_after_it_are(platform: Platform) -> None:
    table = platform.pipeline.store.tables["market-data"]
    lines = QuoteLayer(table, "EURUSD", MINUTE_US)
    series = SeriesLayer(table, ["bid"], MINUTE_US)
    candles = BarLayer(table, "EURUSD", pd.Timedelta("1s"), pd.Timedelta("1min"))
    for platform.now in range(5):
        quote(platform, 1.0)
        candles.read(None)
    quote(platform, 9.99, YEAR_S)
    for layer in (lines, series, candles):
        assert seconds(layer) == [0.0, 1.0, 2.0, 3.0, 4.0]
    for platform.now in range(5, 8):
        quote(platform, 2.0)
    for layer in (lines, series, candles):
        assert seconds(layer) == [float(n) for n in range(8)]
    assert candles.read(None).columns[2].max() == 2.0
    assert seconds(lines, 5) == [5.0, 6.0, 7.0]


def test_charts_begin_again_when_the_stream_confirms_a_jump(platform: Platform) -> None:
    table = platform.pipeline.store.tables["market-data"]
    lines, clearings = QuoteLayer(table, "EURUSD", MINUTE_US), table.clearings
    for platform.now in range(5):
        quote(platform, 1.0)
    for platform.now in range(5, 8):
        quote(platform, 2.0, YEAR_S)
    assert table.clearings == clearings + 1
    assert seconds(lines) == [YEAR_S + n for n in (5.0, 6.0, 7.0)]


def test_a_symbol_whose_clock_stays_ahead_is_drawn(platform: Platform) -> None:
    table = platform.pipeline.store.tables["market-data"]
    lines = QuoteLayer(table, "USDJPY", MINUTE_US)
    for platform.now in range(10):
        quote(platform, 1.0)
        quote(platform, 2.0, 3_600.0, "USDJPY")
    assert seconds(lines)[-1] == 3_609.0


def test_money_of_a_trade_a_year_ahead_counts_at_the_end_of_the_stream(page: Any) -> None:
    platform = Platform("trades", "positions")
    for platform.now in range(5):
        put(platform, "trade", "trades", executionId=f"e{platform.now}", symbol="EURUSD", profit=1.0, status="CLOSED")
    put(platform, "trade", "trades", YEAR_S, executionId="ahead", symbol="EURUSD", profit=5.0, status="CLOSED")
    series = PnlSeries(platform.pipeline.store, None, platform.pipeline.now_us, 3_600_000.0)
    points = series.groups[None].read(None)
    assert points.columns[0][-1] / 1000 - START == 4.0
    assert np.isclose(points.columns[1][-1], 10.0)
    platform.close()

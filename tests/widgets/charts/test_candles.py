"""Candles: what a chart shows is what `bars` says, however the quotes came."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import fxlive
from fxlive.analytics.bars import bars
from fxlive.widgets.charts.candles import BarLayer
from fxlive.widgets.charts.layers import Points
from fxlive.widgets.charts.prices import price_chart
from tests.widgets.kernel_side import Here, Platform


def layer_of(platform: Platform, freq: str = "1s", window: str = "1min") -> BarLayer:
    table = platform.pipeline.store.tables["market-data"]
    return BarLayer(table, "EURUSD", pd.Timedelta(freq), pd.Timedelta(window))


def drawn(chart: dict[float, list[float]], points: Points) -> None:
    """Do what the browser does: what begins where the new points begin, or later, is theirs."""
    if len(points):
        for start in [start for start in chart if start >= points.columns[0][0]]:
            del chart[start]
    for start, *values in zip(*points.columns, strict=True):
        chart[start] = values


def test_what_is_drawn_bit_by_bit_is_what_bars_says(platform: Platform) -> None:
    layer, chart, start = layer_of(platform), {}, None  # type: ignore[var-annotated]
    rng = np.random.default_rng(7)
    for platform.now in np.cumsum(rng.exponential(0.4, 200)).tolist():
        platform.tick("EURUSD", round(1.08 + rng.normal() / 1000, 5))
        platform.tick("USDJPY", 150.0)
        if rng.random() < 0.3:
            points = layer.read(start)
            start = points.stop
            drawn(chart, points)
    drawn(chart, layer.read(start))

    frame = platform.pipeline.store.tables["market-data"].frame()
    expected = bars(frame[(frame["symbol"] == "EURUSD").to_numpy()], "1s")
    newest = expected.index[-1]
    expected = expected[expected.index >= newest - pd.Timedelta("1min")]
    starts = (expected.index.asi8 / 1000).tolist()  # type: ignore[attr-defined]
    assert [chart[s] for s in starts] == expected[["open", "high", "low", "close"]].to_numpy().tolist()
    whole = layer.read(None)
    assert whole.columns[0].tolist()[1:] == starts  # and the one before the window
    assert whole.columns[4].tolist()[1:] == expected["close"].tolist()


def test_an_update_sends_only_the_bar_that_changed(platform: Platform) -> None:
    layer = layer_of(platform)
    for platform.now in (0.0, 1.0, 2.0):
        platform.tick("EURUSD", 1.0)
    stop = layer.read(None).stop
    assert len(layer.read(stop)) == 0
    platform.now = 2.5
    platform.tick("EURUSD", 3.0)
    changed = layer.read(stop)
    assert [values.tolist() for values in changed.columns[1:]] == [[1.25], [3.25], [1.25], [3.25]]


def test_the_first_bar_is_whole_although_the_window_begins_in_it(platform: Platform) -> None:
    for platform.now, bid in ((0.0, 1.0), (5.0, 2.0), (64.0, 3.0)):
        platform.tick("EURUSD", bid, bid)
    layer = layer_of(platform, freq="10s")
    assert layer.read(None).columns[1].tolist() == [1.0, 3.0]


def test_more_bars_than_a_chart_can_show_are_an_error_that_says_what_can(platform: Platform) -> None:
    with pytest.raises(fxlive.UnknownOption, match="at least 6s in a window of 0 days 08:00:00"):
        layer_of(platform, freq="1s", window="8h")


def test_a_chart_of_candles_names_what_it_shows(platform: Platform, page: object) -> None:
    chart = price_chart(platform.pipeline, "test", "EURUSD", "candles", "5s", "10min", refresher=Here())
    assert chart.name == "test: EURUSD candles 5s 10min"
    platform.tick("EURUSD", 1.0)
    assert list(chart.figure.data[0].close) == [1.25]

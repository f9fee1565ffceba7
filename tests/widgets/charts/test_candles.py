"""Candles: a chart shows the same as `bars`, however the quotes arrived."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import fxlive
from fxlive.analytics.bars import bars
from fxlive.widgets.charts.candles import BarLayer
from fxlive.widgets.charts.layers import Points
from fxlive.widgets.charts.prices import price_chart
from tests.widgets.kernel_side import ManualRefresher, Platform


def layer_of(platform: Platform, freq: str = "1s", window: str = "1min") -> BarLayer:
    table = platform.pipeline.store.tables["market-data"]
    return BarLayer(table, "EURUSD", pd.Timedelta(freq), pd.Timedelta(window))


def draw_points(chart: dict[float, list[float]], points: Points) -> None:
    """Update a chart as the browser does: new points replace all from the first new time on."""
    if len(points):
        for start in [start for start in chart if start >= points.columns[0][0]]:
            del chart[start]
    for start, *values in zip(*points.columns, strict=True):
        chart[start] = values


def test_incremental_updates_give_the_same_bars_as_bars(platform: Platform) -> None:
    layer, chart, start = layer_of(platform), {}, None  # type: ignore[var-annotated]
    rng = np.random.default_rng(7)
    for platform.now in np.cumsum(rng.exponential(0.4, 200)).tolist():
        platform.quote("EURUSD", round(1.08 + rng.normal() / 1000, 5))
        platform.quote("USDJPY", 150.0)
        if rng.random() < 0.3:
            points = layer.read(start)
            start = points.stop
            draw_points(chart, points)
    draw_points(chart, layer.read(start))

    frame = platform.pipeline.store.tables["market-data"].frame()
    expected = bars(frame[(frame["symbol"] == "EURUSD").to_numpy()], "1s")
    newest = expected.index[-1]
    expected = expected[expected.index >= newest - pd.Timedelta("1min")]
    starts = (expected.index.asi8 / 1000).tolist()  # type: ignore[attr-defined]
    assert [chart[s] for s in starts] == expected[["open", "high", "low", "close"]].to_numpy().tolist()
    everything = layer.read(None)
    assert everything.columns[0].tolist()[1:] == starts  # the first is the one before the window
    assert everything.columns[4].tolist()[1:] == expected["close"].tolist()


def test_an_update_sends_only_the_bar_that_changed(platform: Platform) -> None:
    layer = layer_of(platform)
    for platform.now in (0.0, 1.0, 2.0):
        platform.quote("EURUSD", 1.0)
    stop = layer.read(None).stop
    assert len(layer.read(stop)) == 0
    platform.now = 2.5
    platform.quote("EURUSD", 3.0)
    changed = layer.read(stop)
    assert [values.tolist() for values in changed.columns[1:]] == [[1.25], [3.25], [1.25], [3.25]]


def test_the_first_bar_is_complete_although_the_window_begins_inside_it(platform: Platform) -> None:
    for platform.now, bid in ((0.0, 1.0), (5.0, 2.0), (64.0, 3.0)):
        platform.quote("EURUSD", bid, bid)
    layer = layer_of(platform, freq="10s")
    assert layer.read(None).columns[1].tolist() == [1.0, 3.0]


def test_too_many_bars_are_an_error_that_names_the_shortest_possible(platform: Platform) -> None:
    with pytest.raises(fxlive.UnknownOption, match="freq must be at least 6s for a window of 8h"):
        layer_of(platform, freq="1s", window="8h")


def test_the_default_name_of_a_candle_chart_states_its_contents(platform: Platform, page: object) -> None:
    chart = price_chart(platform.pipeline, "test", "EURUSD", "candles", "5s", "10min", refresher=ManualRefresher())
    assert chart.name == "test: EURUSD candles 5s 10min"
    platform.quote("EURUSD", 1.0)
    assert list(chart.figure.data[0].close) == [1.25]

"""The charts of a capture: static figures, created by methods with the names of the live charts."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fxlive
from tests.capture.recordings import MAY_8, message, position, quote, trade
from tests.capture.sessions import SECOND, bring, lose, path_of, recorded
from tests.handmade import clean_slate  # noqa: F401

NOON = MAY_8 - 1800 * SECOND  # by the timestamps of the messages


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> fxlive.Capture:
    with recorded(tmp_path_factory.mktemp("captures")) as session:
        bring(session, *[quote(n * 100) for n in range(100)])  # EURUSD alone, ten a second
        lose(session, NOON + 6 * SECOND, NOON + 7 * SECOND)
        fill = {"action": "BUY", "status": "FILLED", "openPrice": 1.385, "volume": 0.1}
        bring(session, trade(9_000, **fill), trade(9_100, **{**fill, "status": "REJECTED"}))
        bring(session, *[position(p, ticket=1, openPrice=1.38, stopLoss=1.3, profit=float(p)) for p in range(5)])
        for number, rate in enumerate((0.4, 0.5)):
            data = {"type": "PERFORMANCE", "period": "DAY", "metrics": {"winRate": rate, "netProfit": 5.0}}
            bring(session, message("analytics", "analytics", data, number))
    return fxlive.open_capture(path_of(session))


def test_chart_methods_of_a_capture_have_the_signatures_of_the_live_ones() -> None:
    for name in ("price_chart", "pnl_chart", "chart", "metrics_chart", "alerts_feed", "status_bar", "dashboard"):
        still, live = (inspect.signature(getattr(owner, name)).parameters for owner in (fxlive.Capture, fxlive.Session))
        assert list(still) == list(live), name
        assert [p.default for p in still.values()] == [p.default for p in live.values()], name


def test_a_price_chart_shows_quotes_fills_positions_and_gaps(capture: fxlive.Capture) -> None:
    made = capture.price_chart("eur/usd", window="5s", tz="Europe/London", name="mine")

    lines = {trace.name: trace for trace in made.data}
    assert list(lines) == ["Bid", "Ask", "Buys"]
    seen = capture.frame("market-data", since=capture.frame("market-data").index[-1] - pd.Timedelta("5s"))
    assert lines["Bid"].y.tolist() == seen["bid"].tolist()
    assert pd.DatetimeIndex(lines["Bid"].x).tolist() == seen.index.tolist()
    assert pd.Timestamp(lines["Bid"].x[0]).hour == 13
    assert lines["Buys"].y.tolist() == [1.385]
    assert made.layout.title.text == "mine"
    assert {shape.y0 for shape in made.layout.shapes} == {1.38, 1.3, 0}  # open price, stop loss, edge of the gap
    assert made.figure is made


def test_candles_are_the_bars_of_the_window(capture: fxlive.Capture) -> None:
    made = capture.price_chart("EURUSD", "candles", freq="2s")
    assert made.data[0].close.tolist() == capture.bars("EURUSD", "2s")["close"].tolist()
    with pytest.raises(fxlive.UnknownOption, match="at least"):
        capture.price_chart("EURUSD", "candles", freq="1s", window="365D")


def test_pnl_number_and_metrics_charts_show_the_values_of_the_frames(capture: fxlive.Capture) -> None:
    assert capture.pnl_chart().data[0].y.tolist() == capture.pnl()["total"].tolist()
    assert [trace.name for trace in capture.pnl_chart(by="symbol").data] == ["EURUSD"]
    assert capture.chart("positions", "profit").data[0].y.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert [line.name for line in capture.chart("positions", ["profit", "volume"], by="symbol").data] == [
        "EURUSD profit",
        "EURUSD volume",
    ]
    tiles = {trace.name: trace.y.tolist() for trace in capture.metrics_chart("day").data}
    assert tiles["win_rate PERFORMANCE DAY"] == [0.4, 0.5]
    assert capture.grid("positions", columns=["ticket", "profit"], sort="-profit")["profit"].tolist() == [4.0]
    assert capture.alerts_feed().empty


def test_an_invalid_argument_is_an_error_that_names_the_accepted_values(capture: fxlive.Capture) -> None:
    with pytest.raises(fxlive.UnknownColumn, match="profit"):
        capture.chart("positions", "profits")
    with pytest.raises(fxlive.UnknownOption, match="symbol"):
        capture.chart("positions", "profit", by="profit")
    with pytest.raises(fxlive.UnknownOption, match="15min"):
        capture.price_chart("EURUSD", window="long")
    with pytest.raises(fxlive.UnknownOption, match="London"):
        capture.price_chart("EURUSD", tz="Nowhere/At all")
    with pytest.raises(fxlive.UnknownOption, match="DAY"):
        capture.metrics_chart("eon")
    with pytest.raises(fxlive.CaptureError, match="replay"):
        capture.dashboard()
    with pytest.raises(fxlive.CaptureError, match="replay"):
        capture.status_bar()


def test_charts_of_an_empty_capture_show_that_there_is_nothing_to_show(tmp_path: Path) -> None:
    with recorded(tmp_path) as session:
        pass
    empty = fxlive.open_capture(path_of(session))
    charts = [
        empty.price_chart("EURUSD"),
        empty.price_chart("EURUSD", "candles"),
        empty.pnl_chart(),
        empty.pnl_chart(by="symbol"),
        empty.chart("trades", ["profit"], by="symbol"),
        empty.metrics_chart(),
    ]
    for chart in charts:
        assert [note.text for note in chart.layout.annotations] == ["Nothing to show yet"]


def test_a_figure_of_a_long_window_is_thinned_and_keeps_the_extremes(tmp_path: Path) -> None:
    with recorded(tmp_path) as session:
        for number in range(0, 60_000, 6_000):
            bring(session, *[quote(2 * n) for n in range(number, number + 6_000)])
    capture = fxlive.open_capture(path_of(session))
    bids = capture.frame("market-data")["bid"]
    shown = np.asarray(capture.price_chart("EURUSD", window="365D").data[0].y)
    assert len(shown) < 12_000
    assert (shown.min(), shown.max()) == (bids.min(), bids.max())

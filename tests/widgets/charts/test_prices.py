"""The price chart: quotes, fills and positions of one symbol, and errors for invalid symbols and options."""

from __future__ import annotations

from typing import Any

import pytest

import fxlive
from fxlive.widgets.charts.layers import Badge, DataStatus, PriceLine
from fxlive.widgets.charts.prices import FillLayer, OpenPositions, QuoteLayer, price_chart
from tests.samples import POSITION, message
from tests.widgets.kernel_side import START, ManualRefresher, Platform
from tests.widgets.recording_comm import RecordedPage

MINUTE_US = 60_000_000


def chart_of(
    platform: Platform, symbol: str, kind: str = "line", freq: Any = "1s", window: Any = "15min", **more: Any
) -> Any:
    return price_chart(platform.pipeline, "test", symbol, kind, freq, window, refresher=ManualRefresher(), **more)


def quotes_of(platform: Platform, symbol: str) -> QuoteLayer:
    return QuoteLayer(platform.pipeline.store.tables["market-data"], symbol, MINUTE_US)


def lists(layer: Any, start: int | None) -> tuple[Any, ...]:
    points = layer.read(start)
    x, *others = points.columns
    return ((x / 1000 - START).tolist(), *(values.tolist() for values in others), points.stop)


def test_the_lines_are_bid_and_ask_of_the_chosen_symbol_only(platform: Platform) -> None:
    lines = quotes_of(platform, "EURUSD")
    assert lists(lines, None) == ([], [], [], 0)
    platform.quote("USDJPY", 110.0)
    assert lists(lines, None) == ([], [], [], 1)
    for platform.now in (1.0, 2.25):
        platform.quote("EURUSD", 1 + platform.now)
        platform.quote("USDJPY", 110.0)
    assert lists(lines, None) == ([1.0, 2.25], [2.0, 3.25], [2.5, 3.75], 5)
    assert lists(lines, 3) == ([2.25], [3.25], [3.75], 5)
    assert lists(lines, 5) == ([], [], [], 5)


def test_the_window_ends_at_the_newest_quote_of_the_symbol(platform: Platform) -> None:
    lines = quotes_of(platform, "EURUSD")
    for platform.now in (0.0, 30.0, 90.0):
        platform.quote("EURUSD", 1.0)
    platform.now = 500.0
    platform.quote("USDJPY", 110.0)
    assert lists(lines, None)[0] == [30.0, 90.0]


def test_rows_evicted_before_they_were_drawn_are_skipped(page: RecordedPage) -> None:
    platform = Platform(max_rows=4)
    lines = quotes_of(platform, "EURUSD")
    for platform.now in range(10):
        platform.quote("EURUSD", float(platform.now))
    assert lists(lines, 2) == ([6.0, 7.0, 8.0, 9.0], [6.0, 7.0, 8.0, 9.0], [6.5, 7.5, 8.5, 9.5], 10)
    platform.close()


def test_a_late_quote_is_sorted_in_by_its_time(platform: Platform) -> None:
    lines = quotes_of(platform, "EURUSD")
    for platform.now in (1.0, 3.0, 2.0):
        platform.quote("EURUSD", platform.now)
    assert lists(lines, None)[:2] == ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])


def test_fills_are_markers_by_side_at_their_price(platform: Platform) -> None:
    trades = platform.pipeline.store.tables["trades"]
    buys, sells = (FillLayer(trades, "EURUSD", side, MINUTE_US) for side in ("BUY", "SELL"))  # type: ignore[arg-type]
    assert lists(buys, None)[:4] == ([], [], [], [])
    for platform.now, symbol, action, price, volume in (
        (1.0, "EURUSD", "BUY", 1.085, 0.1),
        (2.0, "EURUSD", "SELL", 1.086, 0.2),
        (3.0, "USDJPY", "BUY", 150.0, 0.3),
    ):
        platform.send(
            "trade",
            "trades",
            executionId=f"e{platform.now}",
            symbol=symbol,
            action=action,
            openPrice=price,
            volume=volume,
            status="FILLED",
        )
    time, price, size, volume, _ = lists(buys, None)
    assert (time, price, volume) == ([1.0], [1.085], [0.1])
    assert lists(sells, None)[:2] == ([2.0], [1.086])
    assert lists(sells, None)[2][0] > size[0] > 5  # a larger volume is a larger marker


def test_the_last_report_of_an_execution_counts_and_only_fills_have_markers(platform: Platform) -> None:
    trades = platform.pipeline.store.tables["trades"]
    buys = FillLayer(trades, "EURUSD", "BUY", MINUTE_US)
    drawn: list[float] = []
    stop = None

    def send(execution: str, status: str, price: float, action: str = "buy") -> None:
        data = {"symbol": "EURUSD", "volume": 0.1, "action": action, "openPrice": price}
        platform.send("trade", "trades", executionId=execution, status=status, **data)

    def draw() -> list[float]:
        nonlocal stop
        points = buys.read(stop)
        stop = points.stop
        drawn[:] = ([] if points.restart else drawn) + points.columns[1].tolist()
        return drawn

    for status in ("REJECTED", "PENDING"):
        send("one", status, 1.0)
        assert draw() == []
    send("one", "FILLED", 1.1)
    send("two", "CLOSED", 1.2)
    send("three", "FILLED", 1.25, action="SELL")
    assert draw() == [1.1, 1.2]  # fills of one time do not replace each other
    send("four", "FILLED", 1.3)
    assert draw() == [1.1, 1.2, 1.3]
    send("one", "FILLED", 1.15)
    assert sorted(draw()) == [1.15, 1.2, 1.3]
    send("two", "CANCELLED", 1.2)
    assert sorted(draw()) == [1.15, 1.3]


def test_open_positions_are_lines_with_stop_loss_and_take_profit_until_they_close(platform: Platform) -> None:
    positions = OpenPositions(platform.pipeline, "EURUSD")
    assert positions() == []
    assert positions() is None  # nothing has changed
    data = {"ticket": 7, "symbol": "EURUSD", "type": "BUY", "volume": 0.1, "openPrice": 1.085, "stopLoss": 1.08}
    platform.send("position", "positions", **data)
    platform.send("position", "positions", **{**data, "ticket": 8, "symbol": "USDJPY"})
    assert [(line.y, line.text, line.role) for line in positions() or []] == [
        (1.085, "Long 0.1 from 1.08500", "buy"),
        (1.08, "SL 1.08000", "stop_loss"),
    ]
    platform.send("position", "positions", **{**data, "volume": 0})
    assert positions() == []


def test_positions_are_fainter_and_named_until_they_are_confirmed_after_a_gap(platform: Platform) -> None:
    lines = OpenPositions(platform.pipeline, "EURUSD")
    platform.put(message(POSITION, {"id": None}, stopLoss=None, takeProfit=None))
    confirmed = [PriceLine(1.085, "Long 0.1 from 1.08500", "buy")]
    assert lines() == confirmed
    platform.run_on_loop(lambda: platform.pipeline.lost(platform.now_us() + 1, "gone"))
    (line,) = lines() or []
    assert (line.text, line.confirmed) == ("Long 0.1 from 1.08500, not confirmed", False)
    assert line.content() == {"y": 1.085, "text": line.text, "role": "buy", "confirmed": False}
    platform.run_on_loop(lambda: platform.pipeline.connected(platform.now_us() + 2))
    assert lines() is None
    platform.put(message(POSITION, {"id": None}, stopLoss=None, takeProfit=None))
    assert lines() == confirmed


def test_the_badge_names_unconfirmed_positions(platform: Platform) -> None:
    platform.put(message(POSITION))
    status = DataStatus(platform.pipeline, "positions")
    assert status.badge() == Badge("live")
    platform.run_on_loop(lambda: platform.pipeline.lost(platform.now_us() + 1, "gone"))
    platform.run_on_loop(lambda: platform.pipeline.connected(platform.now_us() + 2))
    assert (status.badge().why or "").startswith("1 position not confirmed since the gap that ended")
    platform.put(message(POSITION, {"id": None}))
    assert status.badge() == Badge("live")


def test_the_badge_follows_the_session_and_gaps_are_listed(platform: Platform) -> None:
    status = DataStatus(platform.pipeline, "market-data")
    platform.quote("EURUSD", 1.0)
    assert status.badge().state == "live"
    platform.now = 11.0
    assert (status.badge().state, status.badge().since) == ("stale", START * 1000.0)
    platform.run_on_loop(lambda: platform.pipeline.lost((START + 12) * 1_000_000, "gone"))
    assert (status.badge().state, status.badge().since) == ("disconnected", (START + 12) * 1000.0)
    assert status.gaps() == (((START + 12) * 1000.0, None),)
    platform.run_on_loop(lambda: platform.pipeline.connected((START + 13) * 1_000_000))
    assert status.gaps() == (((START + 12) * 1000.0, (START + 13) * 1000.0),)
    assert DataStatus(platform.pipeline, "alerts").gaps() == ()  # it was not subscribed, so it missed nothing
    platform.run_on_loop(lambda: platform.pipeline.failed(fxlive.ReconnectsExhausted("five times")))
    assert status.badge().state == "failed"
    platform.close()
    assert status.badge().state == "closed"


def test_a_symbol_may_be_written_in_several_forms(platform: Platform, page: RecordedPage) -> None:
    platform.quote("EURUSD.m", 1.0)
    for written in ("EURUSD.m", "eurusd", "EUR/USD"):
        assert chart_of(platform, written).figure.layout.title.text == "EURUSD.m"
        assert len(chart_of(platform, written).figure.data[0].y) == 1


def test_a_symbol_without_quotes_gives_a_chart_that_waits(platform: Platform, page: RecordedPage) -> None:
    chart = chart_of(platform, "gbpusd")
    assert chart.figure.layout.title.text == "GBPUSD"
    assert len(chart.figure.data[0].y) == 0
    platform.quote("GBPUSD", 1.25)
    assert list(chart.figure.data[0].y) == [1.25]


def test_prices_have_the_decimals_of_their_pair(platform: Platform, page: RecordedPage) -> None:
    assert chart_of(platform, "EURUSD").figure.layout.yaxis.tickformat == ".5f"
    assert chart_of(platform, "USDJPY").figure.layout.yaxis.tickformat == ".3f"


def test_invalid_symbols_and_options_are_errors_that_list_the_valid_ones(
    platform: Platform, page: RecordedPage
) -> None:
    with pytest.raises(fxlive.UnknownSymbol, match=r"Unknown symbol 'EURO'.* No symbols .* Six letters") as error:
        chart_of(platform, "EURO")
    assert error.value.known == ()
    platform.quote("EURUSD", 1.0)
    with pytest.raises(fxlive.UnknownSymbol, match=r"Symbols so far: EURUSD"):
        chart_of(platform, "EURO")
    with pytest.raises(fxlive.UnknownOption, match=r"kind must be line or candles, got 'pie'"):
        chart_of(platform, "EURUSD", kind="pie")
    for window in ("soon", "-5min", 0, None, "NaT", 15, "15", 0.5):
        with pytest.raises(fxlive.UnknownOption, match=r"window must be .*15min"):
            chart_of(platform, "EURUSD", window=window)
    assert not page.sent


def test_a_chart_of_the_same_kind_and_symbol_replaces_the_former(platform: Platform, page: RecordedPage) -> None:
    first, other, longer = (
        chart_of(platform, "EURUSD"),
        chart_of(platform, "USDJPY"),
        chart_of(platform, "EURUSD", window="1h"),
    )
    again = chart_of(platform, "EURUSD")
    assert first.comm is None
    assert [chart.comm is None for chart in (other, longer, again)] == [False] * 3
    mine = chart_of(platform, "EURUSD", name="mine")
    assert again.comm is not None
    chart_of(platform, "USDJPY", name="mine")
    assert mine.comm is None


def test_the_module_function_draws_a_chart_of_the_current_session(page: RecordedPage) -> None:
    session = fxlive.Session.offline("pictures")
    fxlive.use(session)
    chart = fxlive.price_chart("EURUSD", window="5min")
    assert [trace.name for trace in chart.figure.data] == ["Bid", "Ask", "Buys", "Sells"]
    session.close()

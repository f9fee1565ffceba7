"""The dashboard: its parts, its pickers, and one message a tick for all of it."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest

import fxlive
from fxlive.widgets.charts.chart import LiveChart
from fxlive.widgets.charts.pnl import PnlPickers
from fxlive.widgets.charts.prices import PricePickers
from fxlive.widgets.dashboard import Dashboard
from tests.handmade import wait_until
from tests.widgets.kernel_side import ManualRefresher, Platform, open_view, send_from_view
from tests.widgets.recording_comm import RecordedPage


def test_symbol_bars_and_window_can_be_picked_in_the_chart(platform: Platform, page: RecordedPage) -> None:
    platform.quote("EURUSD", 1.0)
    platform.quote("USDJPY", 150.0)
    pickers = PricePickers(platform.pipeline, "EURUSD")
    chart = LiveChart(pickers.contents(), pickers=pickers, session="desk", name="prices", refresher=ManualRefresher())
    open_view(chart)
    [window] = page.replies()
    names = [(name, value) for name, value, _ in window.content["pickers"]]
    assert names == [("symbol", "EURUSD"), ("bars", "line"), ("window", "15min")]
    assert window.content["pickers"][0][2] == ["EURUSD", "USDJPY"]

    chart.act("pick", {"name": "symbol", "value": "USDJPY"})
    chart.refresher.tick()
    update = page.updates()[-1]
    assert update.content["figure"]["layout"]["title"]["text"] == "USDJPY"
    assert update.columns[1:3] == [[150.0], [150.5]]
    chart.act("pick", {"name": "bars", "value": "5s"})
    chart.refresher.tick()
    assert page.updates()[-1].content["figure"]["data"][0]["type"] == "candlestick"
    assert chart.figure.layout.title.text == "USDJPY"


def test_a_symbol_first_quoted_later_can_be_picked(platform: Platform, page: RecordedPage) -> None:
    platform.quote("EURUSD", 1.0)
    pickers = PricePickers(platform.pipeline, "EURUSD")
    chart = LiveChart(pickers.contents(), pickers=pickers, session="desk", name="prices", refresher=ManualRefresher())
    open_view(chart)
    platform.quote("GBPUSD", 1.3)
    chart.refresher.tick()
    assert page.updates()[-1].content["pickers"][0] == ("symbol", "EURUSD", ["EURUSD", "GBPUSD"])


def test_bars_too_short_for_the_window_are_not_offered_and_become_longer(platform: Platform) -> None:
    pickers = PricePickers(platform.pipeline, "EURUSD", bars="1s")
    contents = pickers.pick("window", "1D")
    chosen = {name: (value, options) for name, value, options in pickers.choices()}
    assert chosen["bars"] == ("1min", ["line", "1min", "5min", "15min", "1h"])
    assert contents.window_ms == pd.Timedelta("1D") / pd.Timedelta("1ms")


def test_an_invalid_pick_is_an_error_that_lists_the_valid_ones(platform: Platform) -> None:
    with pytest.raises(fxlive.UnknownOption, match=r"bars must be .*5s.* got '7s'"):
        PricePickers(platform.pipeline, "EURUSD").pick("bars", "7s")
    with pytest.raises(fxlive.UnknownOption, match=r"by must be .*strategy_id.* got 'trader'"):
        PnlPickers(platform.pipeline).pick("by", "trader")
    with pytest.raises(fxlive.UnknownOption, match=r"colour must be .* got 'red'"):
        PnlPickers(platform.pipeline).pick("colour", "red")


def test_the_grouping_of_a_pnl_chart_can_be_picked(platform: Platform) -> None:
    pickers = PnlPickers(platform.pipeline)
    assert pickers.contents().figure.layout.title.text == "P&L"
    assert pickers.pick("by", "symbol").figure.layout.title.text == "P&L by symbol"
    assert pickers.pick("window", "4h").window_ms == 4 * 3_600_000
    assert pickers.pick("by", "total").figure.layout.title.text == "P&L"


@pytest.fixture
def session() -> Iterator[fxlive.Session]:
    session = fxlive.Session.offline("desk")
    fxlive.use(session)
    yield session
    session.close()


def test_a_dashboard_has_all_parts_and_a_second_one_replaces_the_first(
    session: fxlive.Session, page: RecordedPage
) -> None:
    first = fxlive.dashboard()
    assert isinstance(first, Dashboard)
    assert list(first.parts) == ["status", "price", "pnl", "metrics", "alerts"]
    assert list(first.tabs) == ["Positions", "Orders", "Trades", "Quotes"]
    assert repr(first) == "<fxlive Dashboard 'desk: dashboard'>"
    second = session.dashboard("usdjpy", tz="Europe/London")
    wait_until(lambda: first.comm is None)
    assert second.comm is not None
    assert second.parts["price"].figure.layout.title.text == "USDJPY"  # type: ignore[attr-defined]
    assert second.parts["pnl"].tz == "Europe/London"  # type: ignore[attr-defined]


def test_the_updates_of_all_parts_are_one_message_a_tick(session: fxlive.Session, page: RecordedPage) -> None:
    board = session.dashboard()
    refresher = ManualRefresher()
    for part in (*board.parts.values(), *board.tabs.values()):
        part.refresher = refresher
        send_from_view(part, "snapshot", pixels=800)
    refresher.tick()
    [tick] = page.ticks
    assert len(tick.content["parts"]) == 9


def test_an_invalid_symbol_is_an_error_before_anything_is_sent(session: fxlive.Session, page: RecordedPage) -> None:
    with pytest.raises(fxlive.UnknownSymbol, match="Unknown symbol 'EURO'"):
        session.dashboard("EURO")
    assert not page.sent

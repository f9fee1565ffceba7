"""The dashboard: its parts, what can be picked in it, and that all of it is one message a tick."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pandas as pd
import pytest

import fxlive
from fxlive.widgets.charts.chart import LiveChart
from fxlive.widgets.charts.pnl import PnlPickers
from fxlive.widgets.charts.prices import PricePickers
from fxlive.widgets.dashboard import Dashboard
from tests.widgets.kernel_side import Here, Platform, look, say
from tests.widgets.recording_comm import Recorded


def test_symbol_bars_and_window_are_picked_in_the_chart(platform: Platform, page: Recorded) -> None:
    platform.tick("EURUSD", 1.0)
    platform.tick("USDJPY", 150.0)
    pickers = PricePickers(platform.pipeline, "EURUSD")
    chart = LiveChart(pickers.contents(), pickers=pickers, name="test", refresher=Here())
    look(chart)
    [window] = page.answers()
    names = [(name, value) for name, value, _ in window.content["pickers"]]
    assert names == [("symbol", "EURUSD"), ("bars", "line"), ("window", "15min")]
    assert window.content["pickers"][0][2] == ["EURUSD", "USDJPY"]

    chart.act("pick", {"name": "symbol", "value": "USDJPY"})
    chart.refresher.tick()
    again = page.news()[-1]
    assert again.content["figure"]["layout"]["title"]["text"] == "USDJPY"
    assert again.columns[1:3] == [[150.0], [150.5]]
    chart.act("pick", {"name": "bars", "value": "5s"})
    chart.refresher.tick()
    assert page.news()[-1].content["figure"]["data"][0]["type"] == "candlestick"
    assert chart.figure.layout.title.text == "USDJPY"


def test_a_symbol_that_ticks_later_can_be_picked(platform: Platform, page: Recorded) -> None:
    platform.tick("EURUSD", 1.0)
    pickers = PricePickers(platform.pipeline, "EURUSD")
    chart = LiveChart(pickers.contents(), pickers=pickers, name="test", refresher=Here())
    look(chart)
    platform.tick("GBPUSD", 1.3)
    chart.refresher.tick()
    assert page.news()[-1].content["pickers"][0] == ("symbol", "EURUSD", ["EURUSD", "GBPUSD"])


def test_bars_too_short_for_the_window_are_not_offered_and_become_longer(platform: Platform) -> None:
    pickers = PricePickers(platform.pipeline, "EURUSD", bars="1s")
    contents = pickers.pick("window", "1D")
    chosen = {name: (value, options) for name, value, options in pickers.choices()}
    assert chosen["bars"] == ("1min", ["line", "1min", "5min", "15min", "1h"])
    assert contents.window_ms == pd.Timedelta("1D") / pd.Timedelta("1ms")


def test_what_cannot_be_picked_is_an_error_that_lists_what_can(platform: Platform) -> None:
    with pytest.raises(fxlive.UnknownOption, match=r"bars must be .*5s.* got '7s'"):
        PricePickers(platform.pipeline, "EURUSD").pick("bars", "7s")
    with pytest.raises(fxlive.UnknownOption, match=r"by must be .*strategy_id.* got 'trader'"):
        PnlPickers(platform.pipeline).pick("by", "trader")
    with pytest.raises(fxlive.UnknownOption, match=r"colour must be .* got 'red'"):
        PnlPickers(platform.pipeline).pick("colour", "red")


def test_the_groups_of_profit_and_loss_are_picked_in_the_chart(platform: Platform) -> None:
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


def test_it_has_everything_and_a_second_one_takes_the_place_of_the_first(
    session: fxlive.Session, page: Recorded
) -> None:
    first = fxlive.dashboard()
    assert isinstance(first, Dashboard)
    assert list(first.parts) == ["status", "price", "pnl", "metrics", "alerts"]
    assert list(first.tabs) == ["Positions", "Orders", "Trades", "Quotes"]
    assert repr(first) == "<fxlive Dashboard 'desk: dashboard'>"
    again = session.dashboard("usdjpy", tz="Europe/London")
    ends = time.monotonic() + 20
    while first.comm is not None and time.monotonic() < ends:
        time.sleep(0.02)
    assert first.comm is None
    assert again.comm is not None
    assert again.parts["price"].figure.layout.title.text == "USDJPY"  # type: ignore[attr-defined]
    assert again.parts["pnl"].tz == "Europe/London"  # type: ignore[attr-defined]


def test_all_of_it_is_one_message_a_tick(session: fxlive.Session, page: Recorded) -> None:
    board = session.dashboard()
    refresher = Here()
    for part in (*board.parts.values(), *board.tabs.values()):
        part.refresher = refresher
        say(part, "window", pixels=800)
    refresher.tick()
    [tick] = page.ticks
    assert len(tick.content["parts"]) == 9


def test_a_symbol_that_cannot_be_is_an_error_before_anything_is_shown(session: fxlive.Session, page: Recorded) -> None:
    with pytest.raises(fxlive.UnknownSymbol, match="Unknown symbol 'EURO'"):
        session.dashboard("EURO")
    assert not page.sent

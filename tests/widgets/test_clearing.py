"""What widgets do when the tables behind them are cleared, as by a replay that goes to another moment: they begin anew.

What comes after the clearing is earlier than what came before, so that nothing of the two may be mixed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fxlive.widgets.base import LiveWidget
from fxlive.widgets.charts.chart import LiveChart
from fxlive.widgets.charts.pnl import pnl_chart
from fxlive.widgets.charts.prices import PricePickers, price_chart
from fxlive.widgets.charts.series import series_chart
from fxlive.widgets.tables.alerts import alerts_feed
from fxlive.widgets.tables.grid import grid
from fxlive.widgets.tiles import metrics_chart
from tests.samples import ALERT, message
from tests.widgets.kernel_side import START, Here, Platform, look, say
from tests.widgets.recording_comm import Recorded, Said


def bring(platform: Platform, seconds: range, symbol: str = "EURUSD", sign: int = 1) -> None:
    """Some of everything, a second after the other."""
    for second in seconds:
        platform.now = float(second)
        platform.tick(symbol, 1.0 + second / 1000 * sign)
        platform.say(
            "position", "positions", ticket=1, symbol=symbol, volume=0.1, unrealizedPnL=sign * second, openPrice=1
        )
        trade = {"executionId": f"e{second} {sign}", "symbol": symbol, "action": "BUY", "volume": 0.1, "openPrice": 1.0}
        platform.say("trade", "trades", **trade, profit=float(sign), status="CLOSED")
        platform.say("analytics", "analytics", type="P", period="DAY", metrics={"netProfit": float(sign * second)})
        platform.say("system", "system", status="OK", components={"database": "UP" if sign > 0 else "DOWN"})
        platform.put(message(ALERT, {"id": None}, alertId=f"a{second}"))


def go_back(platform: Platform) -> None:
    """Go to another moment, earlier, in which other things happened."""
    platform.do(lambda: platform.pipeline.rewound(platform.now_us()))
    bring(platform, range(5, 8), sign=-1)


WIDGETS: dict[str, Callable[..., LiveWidget]] = {
    "line": lambda pipeline, **more: price_chart(pipeline, "s", "EURUSD", "line", "1s", "15min", **more),
    "candles": lambda pipeline, **more: price_chart(pipeline, "s", "EURUSD", "candles", "2s", "15min", **more),
    "pnl": lambda pipeline, **more: pnl_chart(pipeline, "s", None, "1h", **more),
    "pnl by symbol": lambda pipeline, **more: pnl_chart(pipeline, "s", "symbol", "1h", **more),
    "series": lambda pipeline, **more: series_chart(
        pipeline, "s", "positions", ["unrealized_pnl"], "symbol", "1h", **more
    ),
    "tiles": lambda pipeline, **more: metrics_chart(pipeline, "s", None, "1h", **more),
    "alerts": lambda pipeline, **more: alerts_feed(pipeline, "s", **more),
    "grid": lambda pipeline, **more: grid(pipeline, "s", "trades", **more),
}


@pytest.fixture
def platform() -> Any:
    platform = Platform("market-data", "positions", "trades", "analytics", "system", "alerts")
    yield platform
    platform.close()


def shown(said: Said) -> Any:
    """A window without what tells widgets apart, and words and rows of one name."""
    content = {name: value for name, value in said.content.items() if name not in ("v", "model", "epoch", "names")}
    content["alerts"] = [{**alert, "n": 0} for alert in content.get("alerts", ())]
    columns: Any = said.columns if "most" not in content else [np.frombuffer(b)[6:] for b in said.buffers[:1]]
    return content, np.array([value for column in columns for value in column])


@pytest.mark.parametrize("kind", WIDGETS)
def test_after_a_clearing_that_nothing_follows_all_is_empty(platform: Platform, page: Recorded, kind: str) -> None:
    widget = WIDGETS[kind](platform.pipeline, name="moved", refresher=Here())
    bring(platform, range(10, 12))
    look(widget)
    platform.do(lambda: platform.pipeline.rewound(START * 1_000_000))
    widget.refresher.tick()
    anew = WIDGETS[kind](platform.pipeline, name="new", refresher=Here())
    look(anew)
    [(content, values), (other, others)] = shown(page.said(widget)[-1]), shown(page.said(anew)[-1])
    assert content == other
    assert values.tolist() == others.tolist() == []


@pytest.mark.parametrize("kind", WIDGETS)
def test_after_a_clearing_all_views_get_what_a_widget_that_begins_then_would_show(
    platform: Platform, page: Recorded, kind: str
) -> None:
    widget = WIDGETS[kind](platform.pipeline, name="moved", refresher=Here())
    bring(platform, range(10, 40))
    look(widget, "a")
    bring(platform, range(40, 44))
    widget.refresher.tick()
    look(widget, "b")

    go_back(platform)
    before = len(page.sent)
    widget.refresher.tick()
    [told] = page.said(widget, before)
    assert (told.answer, told.view) == ("window", None)

    anew = WIDGETS[kind](platform.pipeline, name="new", refresher=Here())
    look(anew)
    [(content, values), (other, others)] = shown(told), shown(page.said(anew)[-1])
    assert content == other
    np.testing.assert_array_equal(values, others)

    bring(platform, range(8, 10), sign=-1)  # and goes on as that one does
    for each in (widget, anew):
        each.refresher.tick()
    [mine], [others_] = page.said(widget, before)[1:], page.said(anew)[1:]
    assert mine.content.keys() == others_.content.keys()
    assert mine.content.get("l") == others_.content.get("l")
    assert [len(buffer) for buffer in mine.buffers] == [len(buffer) for buffer in others_.buffers]


def test_what_was_shown_stays_until_the_tables_are_filled_again(
    platform: Platform, page: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    widget = WIDGETS["line"](platform.pipeline, name="moved", refresher=Here())
    bring(platform, range(10, 40))
    look(widget)
    before = len(page.sent)
    monkeypatch.setattr(platform.feed, "halt", "seeking")
    go_back(platform)
    look(widget, "b")
    assert page.said(widget, before) == []
    monkeypatch.setattr(platform.feed, "halt", "paused")
    widget.refresher.tick()
    assert [(s.view, len(s.columns[0])) for s in page.said(widget, before)] == [(None, 3), ("b", 3)]
    assert page.said(widget, before)[0].content["badge"] == {"state": "paused", "since": None, "why": None}


def test_a_view_that_did_not_see_it_gets_no_more_than_the_others(platform: Platform, page: Recorded) -> None:
    """One that was hidden meanwhile, and one whose drawing was paused while another began."""
    widget = WIDGETS["line"](platform.pipeline, name="moved", refresher=Here())
    bring(platform, range(10, 40))
    look(widget)
    say(widget, "visible", visible=False)
    go_back(platform)
    widget.refresher.tick()
    widget.refresher.paused = True
    look(widget, "b")
    before = len(page.sent)
    widget.refresher.paused = False
    say(widget, "visible", visible=True)
    widget.refresher.tick()
    [told] = page.said(widget, before)
    assert (told.view, len(told.columns[0])) == (None, 3)


def test_the_look_that_the_user_gave_a_chart_stays(platform: Platform, page: Recorded) -> None:
    bring(platform, range(10, 12), "USDJPY")
    bring(platform, range(12, 14), "EURUSD")
    chart = series_chart(platform.pipeline, "s", "positions", ["unrealized_pnl"], "symbol", "1h", refresher=Here())
    look(chart)
    chart.figure.update_layout(title="Mine", height=300)
    chart.figure.add_scatter(x=[0], y=[0], name="of my own")
    chart.figure.data[1].line.color = "red"  # EURUSD's, the second that came
    go_back(platform)  # to when there was EURUSD alone
    chart.refresher.tick()
    figure = page.said(chart)[-1].content["figure"]
    assert (figure["layout"]["title"]["text"], figure["layout"]["height"]) == ("Mine", 300)
    assert [(t["name"], t["line"].get("color")) for t in figure["data"][:1]] == [("EURUSD", "red")]
    assert [t["name"] for t in figure["data"]] == ["EURUSD", "of my own"]
    bring(platform, range(20, 21), "USDJPY", sign=-1)
    chart.refresher.tick()
    assert [t["name"] for t in page.said(chart)[-1].content["figure"]["data"]] == ["EURUSD", "USDJPY", "of my own"]
    assert list(chart.figure.data[1].y) == [-20.0]


def test_the_figure_asked_for_after_a_clearing_holds_what_came_then(platform: Platform, page: Recorded) -> None:
    chart = pnl_chart(platform.pipeline, "s", None, "1h", refresher=Here())
    bring(platform, range(10, 40))
    assert len(chart.figure.data[1].y) == 30
    go_back(platform)
    assert list(chart.figure.data[1].y) == [-5.0, -6.0, -7.0]


def test_what_was_picked_stays_picked(platform: Platform, page: Recorded) -> None:
    bring(platform, range(10, 12), "USDJPY")
    pickers = PricePickers(platform.pipeline, "EURUSD")
    chart = LiveChart(pickers.contents(), pickers=pickers, name="picked", refresher=Here())
    look(chart)
    chart.act("pick", {"name": "symbol", "value": "USDJPY"})
    chart.refresher.tick()
    go_back(platform)
    chart.refresher.tick()
    told = page.said(chart)[-1]
    assert told.content["figure"]["layout"]["title"]["text"] == "USDJPY"
    assert told.content["pickers"][0][:2] == ("symbol", "USDJPY")
    assert told.columns[0] == []


def test_lines_of_positions_that_are_no_more_go_though_nothing_has_come(platform: Platform, page: Recorded) -> None:
    chart = WIDGETS["line"](platform.pipeline, name="marked", refresher=Here())
    bring(platform, range(10, 12))
    look(chart)
    assert page.said(chart)[-1].content["marks"]
    platform.do(lambda: platform.pipeline.rewound(START * 1_000_000))
    chart.refresher.tick()
    assert page.said(chart)[-1].content["marks"] == []


def test_the_gaps_of_an_earlier_time_are_shaded_though_they_are_older_than_the_window_was(
    platform: Platform, page: Recorded
) -> None:
    chart = price_chart(platform.pipeline, "s", "EURUSD", "line", "1s", "10s", refresher=Here())
    bring(platform, range(40, 60))
    look(chart)
    platform.do(lambda: platform.pipeline.rewound(START * 1_000_000))
    platform.do(lambda: platform.pipeline.lost((START + 5) * 1_000_000, "gone"))
    platform.do(lambda: platform.pipeline.connected((START + 6) * 1_000_000))
    bring(platform, range(7, 9), sign=-1)
    chart.refresher.tick()
    assert page.said(chart)[-1].content["gaps"] == (((START + 5) * 1000.0, (START + 6) * 1000.0),)


def test_an_alert_that_is_there_at_both_moments_stays_acknowledged(platform: Platform, page: Recorded) -> None:
    feed = alerts_feed(platform.pipeline, "s", refresher=Here())
    bring(platform, range(5, 12))
    look(feed)
    feed.acknowledge("a6", "a11")
    go_back(platform)
    feed.refresher.tick()
    told = page.said(feed)[-1].content
    assert [alert["alert_id"] for alert in told["alerts"] if alert["n"] in told["acknowledged"]] == ["a6"]

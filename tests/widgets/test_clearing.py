"""Widgets restart when their tables are cleared, as by a replay that seeks to an earlier time.

The messages after the clearing are earlier than those before. Widgets must not mix the two.
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
from tests.widgets.kernel_side import START, ManualRefresher, Platform, open_view, send_from_view
from tests.widgets.recording_comm import RecordedPage, SentPart


def fill(platform: Platform, seconds: range, symbol: str = "EURUSD", sign: int = 1) -> None:
    """Send a message of each channel every second."""
    for second in seconds:
        platform.now = float(second)
        platform.quote(symbol, 1.0 + second / 1000 * sign)
        platform.send(
            "position", "positions", ticket=1, symbol=symbol, volume=0.1, unrealizedPnL=sign * second, openPrice=1
        )
        trade = {"executionId": f"e{second} {sign}", "symbol": symbol, "action": "BUY", "volume": 0.1, "openPrice": 1.0}
        platform.send("trade", "trades", **trade, profit=float(sign), status="CLOSED")
        platform.send("analytics", "analytics", type="P", period="DAY", metrics={"netProfit": float(sign * second)})
        platform.send("system", "system", status="OK", components={"database": "UP" if sign > 0 else "DOWN"})
        platform.put(message(ALERT, {"id": None}, alertId=f"a{second}"))


def go_back(platform: Platform) -> None:
    """Clear the tables, then send other messages of an earlier time."""
    platform.run_on_loop(lambda: platform.pipeline.rewound(platform.now_us()))
    fill(platform, range(5, 8), sign=-1)


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


def comparable(part: SentPart) -> Any:
    """Content and numbers of a snapshot, without ids and row numbers, which differ between widgets."""
    content = {name: value for name, value in part.content.items() if name not in ("v", "model", "epoch", "names")}
    content["alerts"] = [{**alert, "n": 0} for alert in content.get("alerts", ())]
    columns: Any = part.columns if "most" not in content else [np.frombuffer(b)[6:] for b in part.buffers[:1]]
    return content, np.array([value for column in columns for value in column])


@pytest.mark.parametrize("kind", WIDGETS)
def test_after_a_clearing_without_new_messages_a_widget_is_empty(
    platform: Platform, page: RecordedPage, kind: str
) -> None:
    widget = WIDGETS[kind](platform.pipeline, name="moved", refresher=ManualRefresher())
    fill(platform, range(10, 12))
    open_view(widget)
    platform.run_on_loop(lambda: platform.pipeline.rewound(START * 1_000_000))
    widget.refresher.tick()
    new = WIDGETS[kind](platform.pipeline, name="new", refresher=ManualRefresher())
    open_view(new)
    (content, values), (other, others) = comparable(page.parts(widget)[-1]), comparable(page.parts(new)[-1])
    assert content == other
    assert values.tolist() == others.tolist() == []


@pytest.mark.parametrize("kind", WIDGETS)
def test_after_a_clearing_all_views_get_the_snapshot_of_a_new_widget(
    platform: Platform, page: RecordedPage, kind: str
) -> None:
    widget = WIDGETS[kind](platform.pipeline, name="moved", refresher=ManualRefresher())
    fill(platform, range(10, 40))
    open_view(widget, "a")
    fill(platform, range(40, 44))
    widget.refresher.tick()
    open_view(widget, "b")

    go_back(platform)
    before = len(page.sent)
    widget.refresher.tick()
    [restart] = page.parts(widget, before)
    assert (restart.reply_to, restart.view) == ("snapshot", None)

    new = WIDGETS[kind](platform.pipeline, name="new", refresher=ManualRefresher())
    open_view(new)
    (content, values), (other, others) = comparable(restart), comparable(page.parts(new)[-1])
    assert content == other
    np.testing.assert_array_equal(values, others)

    fill(platform, range(8, 10), sign=-1)  # later updates are the same, too
    for each in (widget, new):
        each.refresher.tick()
    [update], [update_of_new] = page.parts(widget, before)[1:], page.parts(new)[1:]
    assert update.content.keys() == update_of_new.content.keys()
    assert update.content.get("l") == update_of_new.content.get("l")
    assert [len(buffer) for buffer in update.buffers] == [len(buffer) for buffer in update_of_new.buffers]


def test_a_widget_keeps_its_contents_until_the_tables_are_filled_again(
    platform: Platform, page: RecordedPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    widget = WIDGETS["line"](platform.pipeline, name="moved", refresher=ManualRefresher())
    fill(platform, range(10, 40))
    open_view(widget)
    before = len(page.sent)
    monkeypatch.setattr(platform.feed, "halt", "seeking")
    go_back(platform)
    open_view(widget, "b")
    assert page.parts(widget, before) == []
    monkeypatch.setattr(platform.feed, "halt", "paused")
    widget.refresher.tick()
    assert [(part.view, len(part.columns[0])) for part in page.parts(widget, before)] == [(None, 3), ("b", 3)]
    assert page.parts(widget, before)[0].content["badge"] == {"state": "paused", "since": None, "why": None}


def test_a_view_that_was_hidden_or_paused_during_the_clearing_restarts_like_the_others(
    platform: Platform, page: RecordedPage
) -> None:
    widget = WIDGETS["line"](platform.pipeline, name="moved", refresher=ManualRefresher())
    fill(platform, range(10, 40))
    open_view(widget)
    send_from_view(widget, "visible", visible=False)
    go_back(platform)
    widget.refresher.tick()
    widget.refresher.paused = True
    open_view(widget, "b")
    before = len(page.sent)
    widget.refresher.paused = False
    send_from_view(widget, "visible", visible=True)
    widget.refresher.tick()
    [restart] = page.parts(widget, before)
    assert (restart.view, len(restart.columns[0])) == (None, 3)


def test_the_users_style_of_a_chart_stays(platform: Platform, page: RecordedPage) -> None:
    fill(platform, range(10, 12), "USDJPY")
    fill(platform, range(12, 14), "EURUSD")
    chart = series_chart(
        platform.pipeline, "s", "positions", ["unrealized_pnl"], "symbol", "1h", refresher=ManualRefresher()
    )
    open_view(chart)
    chart.figure.update_layout(title="Mine", height=300)
    chart.figure.add_scatter(x=[0], y=[0], name="mine")
    chart.figure.data[1].line.color = "red"  # EURUSD, the second symbol
    go_back(platform)  # to a time with EURUSD only
    chart.refresher.tick()
    figure = page.parts(chart)[-1].content["figure"]
    assert (figure["layout"]["title"]["text"], figure["layout"]["height"]) == ("Mine", 300)
    assert [(t["name"], t["line"].get("color")) for t in figure["data"][:1]] == [("EURUSD", "red")]
    assert [t["name"] for t in figure["data"]] == ["EURUSD", "mine"]
    fill(platform, range(20, 21), "USDJPY", sign=-1)
    chart.refresher.tick()
    assert [t["name"] for t in page.parts(chart)[-1].content["figure"]["data"]] == ["EURUSD", "USDJPY", "mine"]
    assert list(chart.figure.data[1].y) == [-20.0]


def test_the_figure_read_after_a_clearing_contains_the_new_points(platform: Platform, page: RecordedPage) -> None:
    chart = pnl_chart(platform.pipeline, "s", None, "1h", refresher=ManualRefresher())
    fill(platform, range(10, 40))
    assert len(chart.figure.data[1].y) == 30
    go_back(platform)
    assert list(chart.figure.data[1].y) == [-5.0, -6.0, -7.0]


def test_picks_stay(platform: Platform, page: RecordedPage) -> None:
    fill(platform, range(10, 12), "USDJPY")
    pickers = PricePickers(platform.pipeline, "EURUSD")
    chart = LiveChart(pickers.contents(), pickers=pickers, session="s", name="picked", refresher=ManualRefresher())
    open_view(chart)
    chart.act("pick", {"name": "symbol", "value": "USDJPY"})
    chart.refresher.tick()
    go_back(platform)
    chart.refresher.tick()
    restart = page.parts(chart)[-1]
    assert restart.content["figure"]["layout"]["title"]["text"] == "USDJPY"
    assert restart.content["pickers"][0][:2] == ("symbol", "USDJPY")
    assert restart.columns[0] == []


def test_lines_of_removed_positions_disappear_although_no_message_follows(
    platform: Platform, page: RecordedPage
) -> None:
    chart = WIDGETS["line"](platform.pipeline, name="marked", refresher=ManualRefresher())
    fill(platform, range(10, 12))
    open_view(chart)
    assert page.parts(chart)[-1].content["price_lines"]
    platform.run_on_loop(lambda: platform.pipeline.rewound(START * 1_000_000))
    chart.refresher.tick()
    assert page.parts(chart)[-1].content["price_lines"] == []


def test_gaps_of_the_earlier_time_are_shaded_although_they_are_older_than_the_former_window(
    platform: Platform, page: RecordedPage
) -> None:
    chart = price_chart(platform.pipeline, "s", "EURUSD", "line", "1s", "10s", refresher=ManualRefresher())
    fill(platform, range(40, 60))
    open_view(chart)
    platform.run_on_loop(lambda: platform.pipeline.rewound(START * 1_000_000))
    platform.run_on_loop(lambda: platform.pipeline.lost((START + 5) * 1_000_000, "gone"))
    platform.run_on_loop(lambda: platform.pipeline.connected((START + 6) * 1_000_000))
    fill(platform, range(7, 9), sign=-1)
    chart.refresher.tick()
    assert page.parts(chart)[-1].content["gaps"] == (((START + 5) * 1000.0, (START + 6) * 1000.0),)


def test_an_alert_that_exists_at_both_times_stays_acknowledged(platform: Platform, page: RecordedPage) -> None:
    feed = alerts_feed(platform.pipeline, "s", refresher=ManualRefresher())
    fill(platform, range(5, 12))
    open_view(feed)
    feed.acknowledge("a6", "a11")
    go_back(platform)
    feed.refresher.tick()
    content = page.parts(feed)[-1].content
    assert [alert["alert_id"] for alert in content["alerts"] if alert["n"] in content["acknowledged"]] == ["a6"]

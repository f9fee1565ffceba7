"""The user's changes to a chart's style stay when they pick other contents, also if that fails."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import pytest

from fxlive.widgets.charts.chart import LiveChart
from fxlive.widgets.charts.prices import PricePickers
from fxlive.widgets.charts.user_style import differences
from tests.widgets.kernel_side import ManualRefresher, Platform, open_view
from tests.widgets.recording_comm import RecordedPage


@pytest.fixture
def chart(platform: Platform) -> LiveChart:
    platform.quote("EURUSD", 1.0)
    platform.quote("USDJPY", 150.0)
    pickers = PricePickers(platform.pipeline, "EURUSD")
    chart = LiveChart(pickers.contents(), pickers=pickers, session="desk", name="styled", refresher=ManualRefresher())
    open_view(chart)
    return chart


def _pick(chart: LiveChart, name: str, value: str) -> Any:
    chart.act("pick", {"name": name, "value": value})
    chart.refresher.tick()


def test_the_users_style_stays_when_another_symbol_is_picked(chart: LiveChart, page: RecordedPage) -> None:
    chart.figure.update_layout(height=321, yaxis={"gridcolor": "#123456"})
    chart.figure.data[0].line.color = "#abcdef"
    chart.figure.add_trace(go.Scatter(x=[0], y=[1.0], name="mine"))
    chart.figure.add_hline(1.5)
    _pick(chart, "symbol", "USDJPY")
    shown = page.parts(chart)[-1].content["figure"]
    assert shown["layout"]["title"]["text"] == "USDJPY"
    assert shown["layout"]["height"] == 321
    assert shown["layout"]["yaxis"]["gridcolor"] == "#123456"
    assert shown["layout"]["shapes"][0]["y0"] == 1.5
    assert shown["data"][0]["line"]["color"] == "#abcdef"
    assert [trace["name"] for trace in shown["data"]].count("mine") == 1
    _pick(chart, "bars", "5s")
    _pick(chart, "symbol", "EURUSD")
    _pick(chart, "bars", "line")
    assert chart.figure.data[0].line.color == "#abcdef"
    assert [trace.name for trace in chart.figure.data].count("mine") == 1


def test_the_users_title_stays_and_the_default_title_follows_the_symbol(chart: LiveChart, page: RecordedPage) -> None:
    _pick(chart, "symbol", "USDJPY")
    assert chart.figure.layout.title.text == "USDJPY"
    chart.figure.update_layout(title="Mine")
    _pick(chart, "symbol", "EURUSD")
    assert chart.figure.layout.title.text == "Mine"


def test_after_picks_an_unstyled_chart_looks_like_a_new_one(chart: LiveChart, platform: Platform) -> None:
    for name, value in (("symbol", "USDJPY"), ("bars", "5s"), ("window", "1h"), ("bars", "line"), ("window", "15min")):
        _pick(chart, name, value)
    fresh = LiveChart(
        PricePickers(platform.pipeline, "USDJPY").contents(), session="desk", name="fresh", refresher=ManualRefresher()
    )
    assert differences(fresh.figure, chart.figure) == {}


def test_a_pick_is_shown_even_while_drawing_is_paused(chart: LiveChart, page: RecordedPage) -> None:
    chart.refresher.pause()
    _pick(chart, "symbol", "USDJPY")
    assert page.replies()[-1].content["figure"]["layout"]["title"]["text"] == "USDJPY"
    assert page.replies()[-1].columns[1] == [150.0]


def test_a_pick_that_fails_is_reported_in_the_chart(chart: LiveChart, page: RecordedPage, caplog: Any) -> None:
    with caplog.at_level("CRITICAL", "fxlive"):
        chart._run_action({"action": "pick", "name": "symbol", "value": "NOSUCH"})
    chart.refresher.tick()
    assert "NOSUCH" in page.parts(chart)[-1].content["failed"]
    open_view(chart, "new")
    assert page.replies()[-1].content["figure"]["layout"]["title"]["text"] == "EURUSD"

"""Metric tiles: which there are, what they are told, and that little of it is sent."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fxlive
from fxlive.core.background import call
from fxlive.widgets import tiles
from fxlive.widgets.tiles import MetricTiles, known_period, look_of, metrics_chart
from tests.widgets.kernel_side import START, Here, Platform, look, say
from tests.widgets.recording_comm import Recorded

NONE = {"totalTrades": None, "winRate": None, "netProfit": None, "currentDrawdown": None}


class Metrics(Platform):
    """A platform that says at which second what its metrics and its parts are."""

    def measure(self, at: float, period: str = "DAY", kind: str = "PERFORMANCE_UPDATE", **metrics: Any) -> None:
        self.now = at
        self.say("analytics", "analytics", type=kind, period=period, metrics=metrics)

    def health(self, at: float, status: str, message: str | None = None, **components: Any) -> None:
        self.now = at
        self.say("system", "system", status=status, components=components, message=message)

    def tiles(self, period: str | None = None, window: Any = "1h", **options: Any) -> MetricTiles:
        return metrics_chart(self.pipeline, "test", period, window, refresher=Here(), **options)


@pytest.fixture
def platform() -> Iterator[Metrics]:
    platform = Metrics("analytics", "system")
    yield platform
    platform.close()


def seconds(column: list[float]) -> list[float]:
    return [ms / 1000 - START for ms in column]


def test_each_number_of_a_period_has_a_tile_in_plain_words(page: Recorded, platform: Metrics) -> None:
    platform.measure(0, "DAY", totalTrades=15, winRate=66.7, netProfit=150.0, currentDrawdown=25.0)
    platform.measure(1, "WEEK", netProfit=1.0)
    look(platform.tiles())

    [window] = page.answers()
    day, week = window.content["groups"]
    assert (day["title"], week["title"]) == ("Day", "Week")
    assert [(m["label"], m["unit"], m["good"]) for m in day["metrics"]] == [
        ("Total trades", "count", "neither"),
        ("Win rate", "percent", "up"),
        ("Net profit", "money", "up"),
        ("Current drawdown", "money", "down"),
    ]
    assert [m["label"] for m in week["metrics"]] == ["Net profit"]  # of the others nothing has been said
    assert window.columns[1:5] == [[15.0], [66.7], [150.0], [25.0]]
    assert [seconds(window.columns[place]) for place in (0, 5)] == [[0.0], [1.0]]
    assert window.content["currency"] == "USD"


def test_a_number_that_the_platform_does_not_document_has_a_tile_too_and_a_text_has_none(
    page: Recorded, platform: Metrics
) -> None:
    chart = platform.tiles()
    platform.measure(0, **NONE, sharpeRatio=1.5, note="good", halted=False)
    look(chart)
    [group] = page.answers()[0].content["groups"]
    assert group["metrics"] == [{"label": "Sharpe ratio", "unit": "number", "good": "neither"}]

    platform.measure(1, **NONE, sharpeRatio=1.6, maxDrawdown=3.0)  # one that comes later: all views begin again
    chart.refresher.tick()
    [news] = page.news()
    assert news.content["all"]
    assert [m["label"] for m in news.content["groups"][0]["metrics"]] == ["Sharpe ratio", "Max drawdown"]
    times, ratio, drawdown = news.columns
    assert (seconds(times), ratio, drawdown[1]) == ([0.0, 1.0], [1.5, 1.6], 3.0)
    assert math.isnan(drawdown[0])


def test_only_new_points_are_sent_and_nothing_while_nothing_changes(page: Recorded, platform: Metrics) -> None:
    chart = platform.tiles()
    for at in range(5):
        platform.measure(at, "DAY", netProfit=float(at))
        platform.measure(at, "WEEK", netProfit=10.0 * at)
    look(chart)
    assert [chart.refresher.tick() for _ in range(20)] == [0] * 20

    platform.measure(5, "WEEK", netProfit=50.0)
    platform.measure(6, "WEEK", netProfit=60.0)
    chart.refresher.tick()
    [news] = page.news()
    assert news.content == {"g": [1]}
    assert (seconds(news.columns[0]), news.columns[1]) == ([5.0, 6.0], [50.0, 60.0])
    assert page.ticks[-1].size < 400


def test_the_history_is_that_of_the_window_in_the_order_of_time(page: Recorded, platform: Metrics) -> None:
    for at in (0, 3000, 7000, 6000, 5000):
        platform.measure(at, netProfit=float(at))
    look(platform.tiles(window="1h"))
    [window] = page.answers()
    assert seconds(window.columns[0]) == [5000.0, 6000.0, 7000.0]
    assert window.content["groups"][0]["former"] == [6000.0]


def test_a_long_history_is_thinned_but_keeps_its_extremes_and_the_former_value_is_exact(
    page: Recorded, platform: Metrics
) -> None:
    values = [100.0 if n == 777 else n % 7 / 10 for n in range(3000)] + [0.25, 0.75, 0.75]
    for at, value in enumerate(values):
        platform.measure(at, netProfit=value)
    look(platform.tiles())
    [window] = page.answers()
    assert len(window.columns[1]) < 700
    assert (max(window.columns[1]), window.columns[1][-1]) == (100.0, 0.75)
    assert window.content["groups"][0]["former"] == [0.25]


def test_a_second_view_gets_everything_and_the_first_misses_nothing_by_it(page: Recorded, platform: Metrics) -> None:
    chart = platform.tiles()
    platform.measure(0, netProfit=1.0)
    look(chart, "a")
    platform.measure(1, netProfit=2.0)
    look(chart, "b")
    platform.measure(2, netProfit=3.0)
    chart.refresher.tick()
    assert [(s.answer, s.view, s.columns[1]) for s in page.said()] == [
        ("window", "a", [1.0]),
        (None, None, [2.0]),
        ("window", "b", [1.0, 2.0]),
        (None, None, [3.0]),
    ]


def test_views_begin_again_together_when_a_period_has_left_the_rows(page: Recorded) -> None:
    platform = Metrics("analytics", max_rows=2)
    chart = platform.tiles()
    platform.measure(0, "DAY", netProfit=1.0)
    platform.measure(1, "WEEK", netProfit=2.0)
    look(chart, "a")
    platform.measure(2, "WEEK", netProfit=3.0)
    look(chart, "b")  # for whom there is no DAY
    chart.refresher.tick()
    platform.measure(3, "WEEK", netProfit=4.0)
    chart.refresher.tick()
    last, newest = page.news()[-2:]
    assert [group["title"] for group in last.content["groups"]] == ["Week"]
    assert (newest.content, newest.columns[1]) == ({"g": [0]}, [4.0])
    platform.close()


def test_one_period_is_shown_alone_and_waited_for(page: Recorded, platform: Metrics) -> None:
    chart = platform.tiles("day")
    platform.measure(0, "WEEK", netProfit=1.0)
    look(chart)
    [window] = page.answers()
    assert (window.content["groups"], window.content["waiting"]) == ([], "Waiting for analytics of DAY")
    platform.measure(1, "DAY", netProfit=2.0)
    chart.refresher.tick()
    assert [group["title"] for group in page.news()[0].content["groups"]] == ["Day"]


def test_before_any_data_it_says_that_it_waits_or_that_nothing_will_come(page: Recorded, platform: Metrics) -> None:
    look(platform.tiles())
    assert page.answers()[0].content["waiting"] == "Waiting for analytics"

    deaf = Metrics("trades")
    chart = deaf.tiles()
    look(chart)
    assert page.answers()[-1].content["waiting"] == 'Nothing to wait for: "analytics" is not subscribed'
    call(deaf.feed.subscribe({"analytics": {}}))
    chart.refresher.tick()
    assert page.news()[-1].content["waiting"] == "Waiting for analytics"
    deaf.close()


def test_the_components_of_the_system_are_chips_and_say_when_they_are_not_well(
    page: Recorded, platform: Metrics
) -> None:
    chart = platform.tiles()
    platform.health(0, "HEALTHY", "All well", database="HEALTHY", redis=None, riskEngine="OK")
    look(chart)
    system = page.answers()[0].content["system"]
    assert [(chip["name"], chip["is"]) for chip in system["chips"]] == [
        ("system", "well"),
        ("database", "well"),
        ("risk engine", "well"),
    ]

    platform.health(1, "degraded", "Broker is slow", database="HEALTHY", broker="Down", pusher="PURPLE")
    chart.refresher.tick()
    [news] = page.news()
    assert [(c["name"], c["status"], c["is"]) for c in news.content["system"]["chips"]] == [
        ("system", "degraded", "falters"),
        ("database", "HEALTHY", "well"),
        ("broker", "Down", "broken"),
        ("pusher", "PURPLE", "unknown"),
    ]
    assert news.content["system"]["message"] == "Broker is slow"
    assert chart.refresher.tick() == 0


def test_the_badge_follows_the_session(page: Recorded, platform: Metrics) -> None:
    chart = platform.tiles()
    look(chart)
    assert page.answers()[0].content["badge"]["state"] == "live"
    platform.pipeline.lost(START * 1_000_000, "cut")
    chart.refresher.tick()
    assert page.news()[-1].content["badge"] == {
        "state": "disconnected",
        "since": START * 1000.0,
        "why": "cut",
    }
    platform.close()
    chart.refresher.tick()
    assert page.news()[-1].content["badge"]["state"] == "closed"


def test_a_platform_that_makes_up_periods_does_not_fill_the_page(
    page: Recorded, platform: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "MAX_GROUPS", 3)
    chart = platform.tiles()
    for number in range(5):
        platform.measure(number, f"P{number}", netProfit=1.0)
    look(chart)
    assert (len(page.answers()[0].content["groups"]), page.answers()[0].content["left_out"]) == (3, 2)
    platform.measure(9, "P9", netProfit=1.0)
    assert chart.refresher.tick() == 0


def test_types_are_named_where_there_are_several(page: Recorded, platform: Metrics) -> None:
    platform.measure(0, "DAY", "PERFORMANCE_UPDATE", netProfit=1.0)
    platform.measure(1, "DAY", "RISK_UPDATE", netProfit=1.0)
    look(platform.tiles())
    assert [g["title"] for g in page.answers()[0].content["groups"]] == ["Day, performance update", "Day, risk update"]


@given(st.lists(st.tuples(st.integers(0, 50), st.sampled_from("AB"), st.integers(-3, 3)), max_size=40), st.data())
def test_what_the_views_have_been_told_is_what_a_new_view_would_be(
    rows: list[tuple[int, str, int]], data: st.DataObject
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        _told(rows, data, patch)


def _told(rows: list[tuple[int, str, int]], data: st.DataObject, patch: pytest.MonkeyPatch) -> None:
    platform = Metrics("analytics", "system")
    chart = MetricTiles(platform.pipeline, period=None, window_us=3_600_000_000, name="told", refresher=Here())
    chart.window({})
    told: dict[str, list[tuple[float, float]]] = {}
    titles: list[str] = []
    for at, period, value in rows:
        platform.measure(at, period, netProfit=float(value))
        if data.draw(st.booleans()):
            titles = _hear(chart.changes(), told, titles)
    _hear(chart.changes(), told, titles)

    anew: dict[str, list[tuple[float, float]]] = {}
    _hear(chart.window({}), anew, [])
    assert {name: sorted(points) for name, points in told.items()} == {n: sorted(p) for n, p in anew.items()}
    chart.close()
    platform.close()


def _hear(said: tuple[Any, Any], told: dict[str, list[tuple[float, float]]], titles: list[str]) -> list[str]:
    content, buffers = said
    columns = [memoryview(buffer).cast("d").tolist() for buffer in buffers]
    if content.get("all"):
        told.clear()
        titles = [group["title"] for group in content["groups"]]
        places = list(range(len(titles)))
    else:
        places = content.get("g", [])
    for n, place in enumerate(places):
        told.setdefault(titles[place], []).extend(zip(columns[2 * n], columns[2 * n + 1], strict=True))
    return titles


def test_what_cannot_be_is_an_error_that_lists_what_can(platform: Metrics) -> None:
    platform.measure(0, "FORTNIGHT", netProfit=1.0)
    assert platform.tiles("fortnight").name == "test: metrics FORTNIGHT 0 days 01:00:00"
    with pytest.raises(fxlive.UnknownOption, match=r"period must be .*FORTNIGHT.*DAY.* got 'dya'"):
        platform.tiles("dya")
    with pytest.raises(fxlive.UnknownOption, match=r"window must be .* got 'soon'"):
        platform.tiles(window="soon")
    assert known_period("week", []) == "WEEK"


def test_a_column_without_words_keeps_its_name() -> None:
    assert look_of("metrics_").label == "metrics_"
    assert look_of("latency").label == "Latency"


def test_a_view_that_asks_anything_else_is_told_of_the_fault(page: Recorded, platform: Metrics) -> None:
    chart = platform.tiles()
    say(chart, "nonsense")
    chart.refresher.tick()
    assert "failed" in page.said()[-1].content

"""Metric tiles: their values and texts, and how little is sent."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fxlive
from fxlive.core.background import call
from fxlive.widgets import tiles
from fxlive.widgets.tiles import MetricTiles, known_period, metric_format, metrics_chart
from tests.widgets.kernel_side import START, ManualRefresher, Platform, open_view, send_from_view
from tests.widgets.recording_comm import RecordedPage

NO_VALUES = {"totalTrades": None, "winRate": None, "netProfit": None, "currentDrawdown": None}


class Metrics(Platform):
    """A platform that sends metrics and component statuses at given seconds."""

    def measure(self, at: float, period: str = "DAY", kind: str = "PERFORMANCE_UPDATE", **metrics: Any) -> None:
        self.now = at
        self.send("analytics", "analytics", type=kind, period=period, metrics=metrics)

    def health(self, at: float, status: str, message: str | None = None, **components: Any) -> None:
        self.now = at
        self.send("system", "system", status=status, components=components, message=message)

    def tiles(self, period: str | None = None, window: Any = "1h", **options: Any) -> MetricTiles:
        return metrics_chart(self.pipeline, "test", period, window, refresher=ManualRefresher(), **options)


@pytest.fixture
def platform() -> Iterator[Metrics]:
    platform = Metrics("analytics", "system")
    yield platform
    platform.close()


def seconds(column: list[float]) -> list[float]:
    return [ms / 1000 - START for ms in column]


def test_each_number_of_a_period_has_a_tile_with_label_and_unit(page: RecordedPage, platform: Metrics) -> None:
    platform.measure(0, "DAY", totalTrades=15, winRate=66.7, netProfit=150.0, currentDrawdown=25.0)
    platform.measure(1, "WEEK", netProfit=1.0)
    open_view(platform.tiles())

    [window] = page.replies()
    day, week = window.content["groups"]
    assert (day["title"], week["title"]) == ("Day", "Week")
    assert [(m["label"], m["unit"], m["good"]) for m in day["metrics"]] == [
        ("Total trades", "count", "neither"),
        ("Win rate", "percent", "up"),
        ("Net profit", "money", "up"),
        ("Current drawdown", "money", "down"),
    ]
    assert [m["label"] for m in week["metrics"]] == ["Net profit"]  # the others have no values
    assert window.columns[1:5] == [[15.0], [66.7], [150.0], [25.0]]
    assert [seconds(window.columns[place]) for place in (0, 5)] == [[0.0], [1.0]]
    assert window.content["currency"] == "USD"


def test_an_undocumented_number_has_a_tile_and_a_text_does_not(page: RecordedPage, platform: Metrics) -> None:
    chart = platform.tiles()
    platform.measure(0, **NO_VALUES, sharpeRatio=1.5, note="good", halted=False)
    open_view(chart)
    [group] = page.replies()[0].content["groups"]
    assert group["metrics"] == [{"label": "Sharpe ratio", "unit": "number", "good": "neither"}]

    platform.measure(1, **NO_VALUES, sharpeRatio=1.6, maxDrawdown=3.0)  # a new number: all views restart
    chart.refresher.tick()
    [update] = page.updates()
    assert update.content["all"]
    assert [m["label"] for m in update.content["groups"][0]["metrics"]] == ["Sharpe ratio", "Max drawdown"]
    times, ratio, drawdown = update.columns
    assert (seconds(times), ratio, drawdown[1]) == ([0.0, 1.0], [1.5, 1.6], 3.0)
    assert math.isnan(drawdown[0])


def test_only_new_points_are_sent_and_nothing_without_changes(page: RecordedPage, platform: Metrics) -> None:
    chart = platform.tiles()
    for at in range(5):
        platform.measure(at, "DAY", netProfit=float(at))
        platform.measure(at, "WEEK", netProfit=10.0 * at)
    open_view(chart)
    assert [chart.refresher.tick() for _ in range(20)] == [0] * 20

    platform.measure(5, "WEEK", netProfit=50.0)
    platform.measure(6, "WEEK", netProfit=60.0)
    chart.refresher.tick()
    [update] = page.updates()
    assert update.content == {"g": [1]}
    assert (seconds(update.columns[0]), update.columns[1]) == ([5.0, 6.0], [50.0, 60.0])
    assert page.ticks[-1].size < 400


def test_the_history_covers_the_window_sorted_by_time(page: RecordedPage, platform: Metrics) -> None:
    for at in (0, 3000, 7000, 6000, 5000):
        platform.measure(at, netProfit=float(at))
    open_view(platform.tiles(window="1h"))
    [window] = page.replies()
    assert seconds(window.columns[0]) == [5000.0, 6000.0, 7000.0]
    assert window.content["groups"][0]["former"] == [6000.0]


def test_a_long_history_is_downsampled_with_its_extremes_and_an_exact_former_value(
    page: RecordedPage, platform: Metrics
) -> None:
    values = [100.0 if n == 777 else n % 7 / 10 for n in range(3000)] + [0.25, 0.75, 0.75]
    for at, value in enumerate(values):
        platform.measure(at, netProfit=value)
    open_view(platform.tiles())
    [window] = page.replies()
    assert len(window.columns[1]) < 700
    assert (max(window.columns[1]), window.columns[1][-1]) == (100.0, 0.75)
    assert window.content["groups"][0]["former"] == [0.25]


def test_a_second_view_gets_everything_and_the_first_misses_nothing(page: RecordedPage, platform: Metrics) -> None:
    chart = platform.tiles()
    platform.measure(0, netProfit=1.0)
    open_view(chart, "a")
    platform.measure(1, netProfit=2.0)
    open_view(chart, "b")
    platform.measure(2, netProfit=3.0)
    chart.refresher.tick()
    assert [(part.reply_to, part.view, part.columns[1]) for part in page.parts()] == [
        ("snapshot", "a", [1.0]),
        (None, None, [2.0]),
        ("snapshot", "b", [1.0, 2.0]),
        (None, None, [3.0]),
    ]


def test_all_views_restart_when_the_rows_of_a_period_were_evicted(page: RecordedPage) -> None:
    platform = Metrics("analytics", max_rows=2)
    chart = platform.tiles()
    platform.measure(0, "DAY", netProfit=1.0)
    platform.measure(1, "WEEK", netProfit=2.0)
    open_view(chart, "a")
    platform.measure(2, "WEEK", netProfit=3.0)
    open_view(chart, "b")  # this view has no DAY
    chart.refresher.tick()
    platform.measure(3, "WEEK", netProfit=4.0)
    chart.refresher.tick()
    last, newest = page.updates()[-2:]
    assert [group["title"] for group in last.content["groups"]] == ["Week"]
    assert (newest.content, newest.columns[1]) == ({"g": [0]}, [4.0])
    platform.close()


def test_a_single_period_is_shown_alone_and_waited_for(page: RecordedPage, platform: Metrics) -> None:
    chart = platform.tiles("day")
    platform.measure(0, "WEEK", netProfit=1.0)
    open_view(chart)
    [window] = page.replies()
    assert (window.content["groups"], window.content["waiting"]) == ([], "Waiting for analytics of DAY")
    platform.measure(1, "DAY", netProfit=2.0)
    chart.refresher.tick()
    assert [group["title"] for group in page.updates()[0].content["groups"]] == ["Day"]


def test_without_data_the_tiles_wait_or_name_the_missing_subscription(page: RecordedPage, platform: Metrics) -> None:
    open_view(platform.tiles())
    assert page.replies()[0].content["waiting"] == "Waiting for analytics"

    unsubscribed = Metrics("trades")
    chart = unsubscribed.tiles()
    open_view(chart)
    assert page.replies()[-1].content["waiting"] == 'No metrics: "analytics" is not subscribed'
    call(unsubscribed.feed.subscribe({"analytics": {}}))
    chart.refresher.tick()
    assert page.updates()[-1].content["waiting"] == "Waiting for analytics"
    unsubscribed.close()


def test_the_components_of_the_system_are_chips_with_their_condition(page: RecordedPage, platform: Metrics) -> None:
    chart = platform.tiles()
    platform.health(0, "HEALTHY", "All well", database="HEALTHY", redis=None, riskEngine="OK")
    open_view(chart)
    system = page.replies()[0].content["system"]
    assert [(chip["name"], chip["condition"]) for chip in system["chips"]] == [
        ("system", "good"),
        ("database", "good"),
        ("risk engine", "good"),
    ]

    platform.health(1, "degraded", "Broker is slow", database="HEALTHY", broker="Down", pusher="PURPLE")
    chart.refresher.tick()
    [update] = page.updates()
    assert [(c["name"], c["status"], c["condition"]) for c in update.content["system"]["chips"]] == [
        ("system", "degraded", "degraded"),
        ("database", "HEALTHY", "good"),
        ("broker", "Down", "down"),
        ("pusher", "PURPLE", "unknown"),
    ]
    assert update.content["system"]["message"] == "Broker is slow"
    assert chart.refresher.tick() == 0


def test_the_badge_follows_the_session(page: RecordedPage, platform: Metrics) -> None:
    chart = platform.tiles()
    open_view(chart)
    assert page.replies()[0].content["badge"]["state"] == "live"
    platform.pipeline.lost(START * 1_000_000, "cut")
    chart.refresher.tick()
    assert page.updates()[-1].content["badge"] == {
        "state": "disconnected",
        "since": START * 1000.0,
        "why": "cut",
    }
    platform.close()
    chart.refresher.tick()
    assert page.updates()[-1].content["badge"]["state"] == "closed"


def test_the_number_of_groups_is_limited_if_the_platform_invents_periods(
    page: RecordedPage, platform: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "MAX_GROUPS", 3)
    chart = platform.tiles()
    for number in range(5):
        platform.measure(number, f"P{number}", netProfit=1.0)
    open_view(chart)
    assert (len(page.replies()[0].content["groups"]), page.replies()[0].content["left_out"]) == (3, 2)
    platform.measure(9, "P9", netProfit=1.0)
    assert chart.refresher.tick() == 0


def test_titles_name_the_type_if_there_are_several(page: RecordedPage, platform: Metrics) -> None:
    platform.measure(0, "DAY", "PERFORMANCE_UPDATE", netProfit=1.0)
    platform.measure(1, "DAY", "RISK_UPDATE", netProfit=1.0)
    open_view(platform.tiles())
    assert [g["title"] for g in page.replies()[0].content["groups"]] == ["Day, performance update", "Day, risk update"]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.sampled_from("AB"), st.integers(-3, 3)), max_size=40), st.data())
def test_snapshot_and_updates_add_up_to_the_snapshot_of_a_new_view(
    rows: list[tuple[int, str, int]], data: st.DataObject
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        compare_with_new_view(rows, data, patch)


def compare_with_new_view(rows: list[tuple[int, str, int]], data: st.DataObject, patch: pytest.MonkeyPatch) -> None:
    platform = Metrics("analytics", "system")
    chart = MetricTiles(
        platform.pipeline, period=None, window_us=3_600_000_000, session="s", name="old", refresher=ManualRefresher()
    )
    chart.snapshot({})
    received: dict[str, list[tuple[float, float]]] = {}
    titles: list[str] = []
    for at, period, value in rows:
        platform.measure(at, period, netProfit=float(value))
        if data.draw(st.booleans()):
            titles = receive(chart.changes(), received, titles)
    receive(chart.changes(), received, titles)

    new: dict[str, list[tuple[float, float]]] = {}
    receive(chart.snapshot({}), new, [])
    assert {name: sorted(points) for name, points in received.items()} == {n: sorted(p) for n, p in new.items()}
    chart.close()
    platform.close()


def receive(message: tuple[Any, Any], points: dict[str, list[tuple[float, float]]], titles: list[str]) -> list[str]:
    """Add the points of a message to those received before, by title. Return the titles."""
    content, buffers = message
    columns = [memoryview(buffer).cast("d").tolist() for buffer in buffers]
    if content.get("all"):
        points.clear()
        titles = [group["title"] for group in content["groups"]]
        indices = list(range(len(titles)))
    else:
        indices = content.get("g", [])
    for n, index in enumerate(indices):
        points.setdefault(titles[index], []).extend(zip(columns[2 * n], columns[2 * n + 1], strict=True))
    return titles


def test_invalid_options_are_errors_that_list_the_valid_ones(platform: Metrics) -> None:
    platform.measure(0, "FORTNIGHT", netProfit=1.0)
    assert platform.tiles("fortnight").name == "test: metrics FORTNIGHT 0 days 01:00:00"
    with pytest.raises(fxlive.UnknownOption, match=r"period must be .*FORTNIGHT.*DAY.* got 'dya'"):
        platform.tiles("dya")
    with pytest.raises(fxlive.UnknownOption, match=r"window must be .* got 'soon'"):
        platform.tiles(window="soon")
    assert known_period("week", []) == "WEEK"


def test_a_column_without_a_readable_name_keeps_its_name() -> None:
    assert metric_format("metrics_").label == "metrics_"
    assert metric_format("latency").label == "Latency"


def test_an_unknown_request_of_a_view_is_reported_as_a_failure(page: RecordedPage, platform: Metrics) -> None:
    chart = platform.tiles()
    send_from_view(chart, "nonsense")
    chart.refresher.tick()
    assert "failed" in page.parts()[-1].content

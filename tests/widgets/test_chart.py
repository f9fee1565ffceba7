"""What a chart sends to the browser, and when: seen through a comm that keeps it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from fxlive.widgets.chart import Badge, LiveChart, Points
from fxlive.widgets.refresher import Refresher
from tests.widgets.recording_comm import Recorded

START_MS = 1_700_000_000_000.0


class Line:
    """A source with one line, as long as a test says."""

    def __init__(self, rows: int = 0) -> None:
        self.rows = rows
        self.state: Any = "live"

    def points(self, start: int | None) -> Points:
        numbers = np.arange(start or 0, self.rows, dtype=float)
        return Points(START_MS + numbers * 100, (numbers,), self.rows)

    def badge(self) -> Badge:
        return Badge(self.state)


class Here(Refresher):
    """A refresher without a thread: what is to be done soon is done now, and the test says when to tick."""

    def soon(self, function: Callable[..., Any], *arguments: Any) -> None:
        function(*arguments)

    def watch(self, widget: Any) -> None:
        if widget not in self._turn:
            self._turn.append(widget)


def chart_of(source: Line, refresher: Refresher, name: str = "test", **options: Any) -> LiveChart:
    figure = go.Figure([go.Scatter(name="value")])
    return LiveChart(figure, source, name=name, window_ms=60_000.0, refresher=refresher, **options)


def say(chart: LiveChart, kind: str, view: str = "a", **more: Any) -> None:
    """What the browser's half would say."""
    chart._handle_custom_msg({"type": kind, "view": view, **more}, [])


def floats(buffer: bytes) -> list[float]:
    return np.frombuffer(buffer).tolist()


def test_the_window_goes_to_the_view_that_asks_and_then_only_what_is_new(page: Recorded) -> None:
    source, refresher = Line(3), Here()
    chart = chart_of(source, refresher)
    assert not page.messages("window")  # nothing before somebody looks

    say(chart, "window", "a")
    [window] = page.messages("window")
    assert window.content["view"] == "a"
    assert floats(window.buffers[0]) == [START_MS, START_MS + 100, START_MS + 200]
    assert floats(window.buffers[1]) == [0, 1, 2]

    source.rows = 5
    refresher.tick()
    [points] = page.messages("points")
    assert floats(points.buffers[1]) == [3, 4]


def test_a_second_view_gets_the_window_and_the_first_misses_nothing_by_it(page: Recorded) -> None:
    source, refresher = Line(3), Here()
    chart = chart_of(source, refresher)
    say(chart, "window", "a")
    source.rows = 5
    say(chart, "window", "b")
    source.rows = 6
    refresher.tick()

    values = [(m.content["type"], m.content.get("view"), floats(m.buffers[-1])) for m in page.sent if m.buffers[1:]]
    assert values == [
        ("window", "a", [0, 1, 2]),
        ("points", None, [3, 4]),
        ("window", "b", [0, 1, 2, 3, 4]),
        ("points", None, [5]),
    ]


def test_nothing_is_sent_while_nothing_changes(page: Recorded) -> None:
    refresher = Here()
    chart = chart_of(Line(3), refresher)
    say(chart, "window")
    before = len(page.sent)
    assert [refresher.tick() for _ in range(20)] == [0] * 20
    assert len(page.sent) == before


@pytest.mark.parametrize("leave", [("visible", {"visible": False}), ("gone", {})], ids=["hidden", "gone"])
def test_nothing_is_sent_while_nobody_sees_it_and_what_was_missed_comes_when_it_is_seen_again(
    page: Recorded, leave: tuple[str, dict[str, Any]]
) -> None:
    source, refresher = Line(3), Here()
    chart = chart_of(source, refresher)
    say(chart, "window")
    say(chart, leave[0], **leave[1])
    for source.rows in range(4, 30):
        refresher.tick()
    assert not page.messages("points")

    say(chart, "visible", visible=True)
    refresher.tick()
    assert [floats(m.buffers[1]) for m in page.messages("points")] == [[float(n) for n in range(3, 29)]]


def test_a_page_that_fell_silent_is_sent_nothing_until_it_is_heard_again(page: Recorded) -> None:
    source, refresher, now = Line(3), Here(), [0.0]
    chart = chart_of(source, refresher, clock=lambda: now[0])
    say(chart, "window")
    for source.rows in range(4, 104):  # a hundred seconds, of which the browser is heard in the first ten
        now[0] += 1
        if now[0] == 10:
            say(chart, "visible", visible=True)
        refresher.tick()
    assert len(page.messages("points")) == 45

    say(chart, "visible", visible=True)
    refresher.tick()
    assert floats(page.messages("points")[-1].buffers[1]) == [float(n) for n in range(48, 103)]


def test_a_closed_chart_costs_nothing_and_says_nothing(page: Recorded) -> None:
    source, refresher = Line(3), Here()
    chart = chart_of(source, refresher)
    say(chart, "window")
    chart.close()
    before = len(page.sent)
    source.rows = 10
    assert refresher.tick() == 0
    assert len(page.sent) == before
    assert not refresher._turn


def test_a_new_chart_takes_the_place_of_the_former_of_its_name(page: Recorded) -> None:
    refresher = Here()
    former, other = chart_of(Line(), refresher, "prices"), chart_of(Line(), refresher, "other")
    new = chart_of(Line(), refresher, "prices")
    assert former.comm is None
    assert other.comm is not None
    assert new.comm is not None


def test_what_the_user_styles_reaches_the_page_and_the_points_do_not_go_twice(page: Recorded) -> None:
    source, refresher = Line(3), Here()
    chart = chart_of(source, refresher)
    say(chart, "window")
    chart.figure.update_layout(title="Mine")
    chart.figure.add_hline(y=2)
    chart.figure.data[0].line.color = "red"
    refresher.tick()
    refresher.tick()

    [styled] = page.messages("points")
    figure = styled.content["figure"]
    assert figure["layout"]["title"]["text"] == "Mine"
    assert figure["layout"]["shapes"][0]["y0"] == 2
    assert figure["data"] == [{"name": "value", "type": "scatter", "line": {"color": "red"}}]
    assert styled.buffers == [b"", b""]


def test_a_template_goes_to_the_page_only_where_the_user_chose_one(page: Recorded) -> None:
    refresher = Here()
    chart = chart_of(Line(3), refresher)
    say(chart, "window")
    assert "template" not in page.messages("window")[0].content["figure"]["layout"]
    chart.figure.update_layout(template="plotly_dark")
    refresher.tick()
    assert "template" in page.messages("points")[0].content["figure"]["layout"]


def test_the_figure_is_a_still_picture_of_the_window(page: Recorded) -> None:
    source = Line(3)
    chart = chart_of(source, Here())
    assert list(chart.figure.data[0].y) == [0, 1, 2]
    source.rows = 4
    still = chart.figure
    assert isinstance(still, go.Figure)
    assert list(still.data[0].y) == [0, 1, 2, 3]
    assert str(np.asarray(still.data[0].x)[0]).startswith("2023-11-14T22:13:20")


def test_the_badge_goes_along_when_it_changes(page: Recorded) -> None:
    source, refresher = Line(3), Here()
    chart = chart_of(source, refresher)
    say(chart, "window")
    for state in ("live", "disconnected", "disconnected", "closed"):
        source.state = state
        refresher.tick()
    assert [m.content["badge"]["state"] for m in page.messages("points")] == ["disconnected", "closed"]


def test_plotly_goes_to_the_page_once_for_all_charts(page: Recorded) -> None:
    refresher = Here()
    for number in range(6):
        say(chart_of(Line(5000), refresher, f"chart {number}"), "window")

    sources = [message for message in page.sent if message.kind == "comm_open" and message.size > 1_000_000]
    assert len(sources) == 1
    assert sum(message.size for message in page.sent) < 5_500_000


def test_an_update_of_ten_points_on_five_thousand_is_small_and_quick(page: Recorded) -> None:
    source, refresher = Line(5000), Here()
    chart = chart_of(source, refresher)
    say(chart, "window")
    seconds = []
    for _ in range(200):
        source.rows += 10
        start = time.perf_counter()
        chart.refresh()
        seconds.append(time.perf_counter() - start)

    assert max(message.size for message in page.messages("points")) <= 500
    assert statistics.median(seconds) <= 0.0005

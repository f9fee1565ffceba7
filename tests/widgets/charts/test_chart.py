"""Messages of a chart to the browser, recorded by a comm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

import fxlive
from fxlive.errors import FxliveError
from fxlive.widgets.charts.chart import LiveChart
from fxlive.widgets.charts.contents import Contents
from fxlive.widgets.charts.layers import Badge, Column, Layer, Points, PriceLine
from tests.widgets.kernel_side import ManualRefresher, open_view, send_from_view
from tests.widgets.recording_comm import RecordedPage

START_MS = 1_700_000_000_000.0


class Line:
    """A layer with one line of `rows` points, 100 ms apart, whose value is their number."""

    thin = True
    replaces = holds = False
    columns = (Column("x"), Column("y"))

    def __init__(self, rows: int = 0) -> None:
        self.rows = rows
        self.traces = (go.Scatter(name="value"),)

    def read(self, start: int | None) -> Points:
        numbers = np.arange(start or 0, self.rows, dtype=float)
        return Points((START_MS + numbers * 100, numbers), self.rows)


class Status:
    """A DataStatus whose values the test sets, with price lines."""

    def __init__(self) -> None:
        self.state: Any = "live"
        self.gap_list: list[tuple[float, float | None]] = []
        self.price_lines: list[PriceLine] | None = None
        self.clearings: int | None = 0

    def badge(self) -> Badge:
        return Badge(self.state)

    def epoch(self) -> int | None:
        return self.clearings

    def gaps(self, since_ms: float) -> tuple[tuple[float, float | None], ...]:
        return tuple(self.gap_list)


def chart_of(
    *layers: Layer, name: str = "prices", status: Status | None = None, window_ms: float = 60_000.0, **options: Any
) -> LiveChart:
    status = status or Status()
    contents = Contents(
        go.Figure(),
        lambda: lambda: layers,
        status,  # type: ignore[arg-type]
        window_ms,
        lambda: status.price_lines,
    )
    return LiveChart(contents, **{"session": "desk", "name": name, "refresher": ManualRefresher(), **options})


def test_a_new_view_gets_the_whole_window_and_then_only_new_points(page: RecordedPage) -> None:
    line = Line(3)
    chart = chart_of(line)
    assert not page.ticks  # nothing is sent before there is a view

    open_view(chart)
    [window] = page.replies()
    assert window.view == "a"
    assert window.columns == [[START_MS, START_MS + 100, START_MS + 200], [0, 1, 2]]
    assert window.content["layers"][0]["columns"] == [["x", 0], ["y", 0]]

    line.rows = 5
    chart.refresher.tick()
    [update] = page.updates()
    assert update.content == {"l": [0]}
    assert update.columns[1] == [3, 4]


def test_a_second_view_gets_the_window_and_the_first_misses_no_points(page: RecordedPage) -> None:
    line = Line(3)
    chart = chart_of(line)
    open_view(chart, "a")
    line.rows = 5
    open_view(chart, "b")
    line.rows = 6
    chart.refresher.tick()

    assert [(part.reply_to, part.view, part.columns[1]) for part in page.parts()] == [
        ("snapshot", "a", [0, 1, 2]),
        (None, None, [3, 4]),
        ("snapshot", "b", [0, 1, 2, 3, 4]),
        (None, None, [5]),
    ]


def test_nothing_is_sent_while_nothing_changes(page: RecordedPage) -> None:
    chart = chart_of(Line(3))
    open_view(chart)
    before = len(page.sent)
    assert [chart.refresher.tick() for _ in range(20)] == [0] * 20
    assert len(page.sent) == before


@pytest.mark.parametrize("leave", [("visible", {"visible": False}), ("gone", {})], ids=["hidden", "gone"])
def test_a_hidden_chart_sends_nothing_and_catches_up_when_it_is_visible_again(
    page: RecordedPage, leave: tuple[str, dict[str, Any]]
) -> None:
    line = Line(3)
    chart = chart_of(line)
    open_view(chart)
    send_from_view(chart, leave[0], **leave[1])
    for line.rows in range(4, 30):
        chart.refresher.tick()
    assert not page.updates()

    send_from_view(chart, "visible", visible=True)
    chart.refresher.tick()
    assert [update.columns[1] for update in page.updates()] == [[float(n) for n in range(3, 29)]]


def test_a_view_that_stopped_reporting_gets_nothing_until_it_reports_again(page: RecordedPage) -> None:
    line, now = Line(3), [0.0]
    chart = chart_of(line, clock=lambda: now[0])
    open_view(chart)
    for line.rows in range(4, 104):  # a hundred seconds; the browser reports in the first ten
        now[0] += 1
        if now[0] == 10:
            send_from_view(chart, "visible", visible=True)
        chart.refresher.tick()
    assert len(page.updates()) == 45

    send_from_view(chart, "visible", visible=True)
    chart.refresher.tick()
    assert page.updates()[-1].columns[1] == [float(n) for n in range(48, 103)]


def test_silence_during_a_cell_does_not_count_if_the_kernel_cannot_hear_the_page(page: RecordedPage) -> None:
    line, now, silent = Line(3), [0.0], [0.0]
    chart = chart_of(line, clock=lambda: now[0], silence_s=lambda heard, now: silent[0])
    open_view(chart)
    for line.rows in range(4, 204):  # a cell of two hundred seconds
        now[0] += 1
        chart.refresher.tick()
    assert len(page.updates()) == 200
    for line.rows in range(204, 304):
        now[0] += 1
        silent[0] += 1
        chart.refresher.tick()
    assert len(page.updates()) == 235


def test_while_drawing_is_paused_only_new_views_get_points(page: RecordedPage) -> None:
    line = Line(3)
    chart = chart_of(line)
    open_view(chart)
    chart.refresher.pause()
    line.rows = 5
    chart.refresher.tick()
    assert not page.updates()
    open_view(chart, "b")
    assert page.replies()[-1].columns[1] == [0, 1, 2, 3, 4]
    line.rows = 6
    chart.refresher.tick()
    assert not page.updates()
    assert [tick.content.get("paused", False) for tick in page.ticks] == [False, True, True]
    chart.refresher.pause(False)
    assert "paused" not in page.ticks[-1].content
    chart.refresher.tick()
    assert page.updates()[-1].columns[1] == [0, 1, 2, 3, 4, 5]  # the first view restarts with all points


def test_a_change_of_style_reaches_the_page_without_the_points(page: RecordedPage) -> None:
    chart = chart_of(Line(3))
    open_view(chart)
    chart.figure.update_layout(title="Mine")
    chart.figure.add_hline(y=2)
    chart.figure.data[0].line.color = "red"
    chart.refresher.tick()
    chart.refresher.tick()

    [styled] = page.updates()
    figure = styled.content["figure"]
    assert figure["layout"]["title"]["text"] == "Mine"
    assert figure["layout"]["shapes"][0]["y0"] == 2
    assert figure["data"] == [{"name": "value", "type": "scatter", "line": {"color": "red"}}]
    assert styled.buffers == []


def test_a_trace_that_the_user_added_stays_behind_those_of_later_layers(page: RecordedPage) -> None:
    layers: list[Layer] = [Line(3)]
    contents = Contents(go.Figure(), lambda: lambda: layers, Status(), 60_000.0)  # type: ignore[arg-type]
    chart = LiveChart(contents, session="desk", name="prices", refresher=ManualRefresher())
    open_view(chart)
    chart.figure.add_scatter(name="mine", x=[1], y=[2])
    chart.refresher.tick()
    layers.append(Line(2))
    chart.refresher.tick()

    update = page.updates()[-1]  # all views restart
    assert [trace["name"] for trace in update.content["figure"]["data"]] == ["value", "value", "mine"]
    assert update.content["figure"]["data"][2]["y"] == [2]
    assert list(update.columns[1::2]) == [[0, 1, 2], [0, 1]]


def test_a_template_is_sent_only_if_the_user_has_set_one(page: RecordedPage) -> None:
    chart = chart_of(Line(3))
    open_view(chart)
    assert "template" not in page.replies()[0].content["figure"]["layout"]
    chart.figure.update_layout(template="plotly_dark")
    chart.refresher.tick()
    assert "template" in page.updates()[0].content["figure"]["layout"]


def test_the_figure_contains_the_points_of_the_window(page: RecordedPage) -> None:
    line = Line(3)
    chart = chart_of(line)
    assert list(chart.figure.data[0].y) == [0, 1, 2]
    line.rows = 4
    figure = chart.figure
    assert isinstance(figure, go.Figure)
    assert list(figure.data[0].y) == [0, 1, 2, 3]
    assert str(np.asarray(figure.data[0].x)[0]).startswith("2023-11-14T22:13:20")


class OldPoints(Line):
    """Two points, one of them an hour before the window."""

    thin = False

    def read(self, start: int | None) -> Points:
        return Points((START_MS - np.array([3_600_000.0, 1.0]), np.array([7.0, 8.0])), 2)


class HeldLine(Line):
    """A line whose last value holds."""

    holds = True

    def read(self, start: int | None) -> Points:
        return Points((np.array([START_MS]), np.array([5.0])), 1)


def test_every_layer_of_the_figure_has_the_window_and_the_zone_of_the_chart(page: RecordedPage) -> None:
    chart = chart_of(Line(3), OldPoints(), HeldLine(), tz="Asia/Tokyo")
    line, old, held = chart.figure.data
    assert pd.Timestamp(line.x[0]) == pd.Timestamp("2023-11-15 07:13:20")
    assert list(old.y) == [8.0]
    assert list(held.y) == [5.0, 5.0]
    assert held.x[-1] == line.x[-1]
    assert chart.figure.layout.xaxis.title.text == "Asia/Tokyo"
    chart.tz = "UTC"
    assert chart.figure.layout.xaxis.title.text == "UTC"
    open_view(chart)  # the page adds the zone itself
    assert "title" not in page.replies()[0].content["figure"]["layout"].get("xaxis", {})
    chart.figure.update_layout(xaxis_title="Mine")
    chart.refresher.tick()
    assert page.updates()[-1].content["figure"]["layout"]["xaxis"]["title"]["text"] == "Mine"


def test_views_get_a_new_layer_also_if_the_figure_was_read_before(page: RecordedPage) -> None:
    layers = [Line(3)]
    chart = chart_of()
    chart._current_layers = lambda: layers
    open_view(chart)
    layers.append(Line(2))
    assert len(chart.figure.data) == 2
    chart.refresher.tick()
    assert len(page.updates()[-1].content["layers"]) == 2


def test_the_charts_own_traces_cannot_be_removed_but_can_be_hidden(page: RecordedPage) -> None:
    chart = chart_of(Line(3), Line(2))
    chart.figure.add_trace(go.Scatter(x=[2], y=[2], name="mine"))
    with pytest.raises(FxliveError, match="Hide one instead"):
        chart.figure.data = chart.figure.data[:1]
    with pytest.raises(FxliveError, match="Hide one instead"):
        chart.figure.data = chart.figure.data[::-1]
    chart.figure.data = chart.figure.data[:2]
    chart.figure.update_traces(visible=False, selector=0)
    open_view(chart)
    assert [trace.get("visible") for trace in page.replies()[0].content["figure"]["data"]] == [False, None]


def test_badge_gaps_and_price_lines_are_sent_when_they_change(page: RecordedPage) -> None:
    status = Status()
    chart = chart_of(Line(3), status=status)
    open_view(chart)
    for status.state in ("live", "disconnected", "disconnected", "closed"):
        chart.refresher.tick()
    status.gap_list = [(1.0, None)]
    chart.refresher.tick()
    status.price_lines = [PriceLine(1.5, "Long 0.1", "buy")]
    chart.refresher.tick()
    chart.refresher.tick()
    assert [update.content for update in page.updates()] == [
        {"badge": {"state": "disconnected", "since": None, "why": None}},
        {"badge": {"state": "closed", "since": None, "why": None}},
        {"gaps": ((1.0, None),)},
        {"price_lines": [{"y": 1.5, "text": "Long 0.1", "role": "buy"}]},
    ]


def test_a_long_window_is_downsampled_to_the_pixels_and_zooming_in_brings_the_detail(page: RecordedPage) -> None:
    chart = chart_of(Line(60_000), window_ms=6_000_000.0)
    open_view(chart, pixels=600)
    [window] = page.replies()
    assert 400 < len(window.columns[0]) < 1_200
    assert (window.columns[1][0], window.columns[1][-1]) == (0, 59_999)

    open_view(chart, pixels=100_000, view="wide")
    assert len(page.replies()[-1].columns[0]) == 60_000

    send_from_view(chart, "detail", since=START_MS + 1_000, until=START_MS + 2_000, pixels=600)
    for _ in range(10):  # the large snapshot has used up the budget of some ticks
        chart.refresher.tick()
    [detail] = page.replies("detail")
    assert detail.view == "a"
    assert detail.columns[1] == [float(n) for n in range(10, 20)]


def test_an_update_of_many_points_is_downsampled_too(page: RecordedPage) -> None:
    line = Line(3)
    chart = chart_of(line, window_ms=6_000_000.0)
    open_view(chart)
    line.rows = 50_003
    chart.refresher.tick()
    assert len(page.updates()[0].columns[0]) < 2_000
    assert page.updates()[0].columns[1][-1] == 50_002


def test_a_chart_that_fails_reports_it_once_and_restarts_when_asked(page: RecordedPage) -> None:
    line = Line(3)
    chart = chart_of(line)
    open_view(chart)
    read, line.read = line.read, lambda start: 1 / 0  # type: ignore[assignment,method-assign]
    chart.refresher.tick()
    chart.refresher.tick()
    assert [update.content for update in page.updates()] == [{"failed": "ZeroDivisionError: division by zero"}]
    line.read = read  # type: ignore[method-assign]
    open_view(chart)
    assert page.replies()[-1].columns[1] == [0, 1, 2]


def test_the_zone_can_be_changed_and_an_unknown_one_is_an_error(page: RecordedPage) -> None:
    chart = chart_of(Line(3), tz="Europe/London")
    chart.tz = "local"
    assert chart.tz == "local"
    for wrong in ("Europe/Atlantis", "", "../etc/passwd"):
        with pytest.raises(fxlive.UnknownOption, match="tz must be"):
            chart.tz = wrong
    with pytest.raises(fxlive.UnknownOption, match="tz must be"):
        chart_of(Line(3), tz="nowhere")


def test_six_charts_send_plotly_and_their_code_once(page: RecordedPage) -> None:
    for number in range(6):
        open_view(chart_of(Line(5000), name=f"chart {number}"))

    assert len([m for m in page.sent if m.kind == "comm_open" and m.size > 1_000_000]) == 1
    assert len([m for m in page.sent if m.kind == "comm_open" and 20_000 < m.size < 1_000_000]) == 1
    assert sum(message.size for message in page.sent) < 5_500_000


def test_an_update_of_ten_points_on_five_thousand_is_small(page: RecordedPage) -> None:
    line = Line(5000)
    chart = chart_of(line)
    open_view(chart)
    for _ in range(20):
        line.rows += 10
        chart.refresher.tick()

    assert max(tick.size for tick in page.ticks[1:]) <= 500


def test_updates_of_one_tick_are_one_message_and_messages_are_numbered(page: RecordedPage) -> None:
    refresher = ManualRefresher()
    lines = [Line(3) for _ in range(5)]
    for number, line in enumerate(lines):
        open_view(chart_of(line, name=f"chart {number}", refresher=refresher))
    before = len(page.ticks)
    for line in lines:
        line.rows = 4
    assert refresher.tick() == 5
    assert len(page.ticks) == before + 1
    assert [tick.content["n"] for tick in page.ticks] == list(range(before + 1))


def test_a_chart_is_a_line_of_text_in_a_terminal(page: RecordedPage) -> None:
    chart = chart_of(Line(3))
    assert repr(chart) == "<fxlive LiveChart 'desk: prices'>"

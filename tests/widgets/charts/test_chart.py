"""What a chart sends to the browser, and when: seen through a comm that keeps it."""

from __future__ import annotations

import time
from typing import Any

import ipywidgets
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from IPython.core.interactiveshell import InteractiveShell

import fxlive
from fxlive.errors import FxliveError
from fxlive.widgets.base import Cells, close_widgets_of
from fxlive.widgets.charts.chart import Contents, LiveChart
from fxlive.widgets.charts.layers import Badge, Column, Layer, Mark, Points
from tests.widgets.kernel_side import Here, look, say
from tests.widgets.recording_comm import Recorded

START_MS = 1_700_000_000_000.0


class Line:
    """A layer with one line, as long as a test says: at every 100 ms its value is the number of the point."""

    thin = True
    replaces = holds = False
    columns = (Column("x"), Column("y"))

    def __init__(self, rows: int = 0) -> None:
        self.rows = rows
        self.traces = (go.Scatter(name="value"),)

    def read(self, start: int | None) -> Points:
        numbers = np.arange(start or 0, self.rows, dtype=float)
        return Points((START_MS + numbers * 100, numbers), self.rows)


class State:
    """What a chart is told of how its data fares."""

    def __init__(self) -> None:
        self.state: Any = "live"
        self.since: list[tuple[float, float | None]] = []
        self.marks: list[Mark] | None = None
        self.cleared: int | None = 0

    def badge(self) -> Badge:
        return Badge(self.state)

    def epoch(self) -> int | None:
        return self.cleared

    def gaps(self, since_ms: float) -> tuple[tuple[float, float | None], ...]:
        return tuple(self.since)


def chart_of(
    *layers: Layer, name: str = "test", state: State | None = None, window_ms: float = 60_000.0, **options: Any
) -> LiveChart:
    state = state or State()
    contents = Contents(go.Figure(), lambda: lambda: layers, state, window_ms, lambda: state.marks)  # type: ignore[arg-type]
    return LiveChart(contents, name=name, **{"refresher": Here(), **options})


def test_the_window_goes_to_the_view_that_asks_and_then_only_what_is_new(page: Recorded) -> None:
    line = Line(3)
    chart = chart_of(line)
    assert not page.ticks  # nothing before somebody looks

    look(chart)
    [window] = page.answers()
    assert window.view == "a"
    assert window.columns == [[START_MS, START_MS + 100, START_MS + 200], [0, 1, 2]]
    assert window.content["layers"][0]["columns"] == [["x", 0], ["y", 0]]

    line.rows = 5
    chart.refresher.tick()
    [news] = page.news()
    assert news.content == {"l": [0]}
    assert news.columns[1] == [3, 4]


def test_a_second_view_gets_the_window_and_the_first_misses_nothing_by_it(page: Recorded) -> None:
    line = Line(3)
    chart = chart_of(line)
    look(chart, "a")
    line.rows = 5
    look(chart, "b")
    line.rows = 6
    chart.refresher.tick()

    assert [(said.answer, said.view, said.columns[1]) for said in page.said()] == [
        ("window", "a", [0, 1, 2]),
        (None, None, [3, 4]),
        ("window", "b", [0, 1, 2, 3, 4]),
        (None, None, [5]),
    ]


def test_nothing_is_sent_while_nothing_changes(page: Recorded) -> None:
    chart = chart_of(Line(3))
    look(chart)
    before = len(page.sent)
    assert [chart.refresher.tick() for _ in range(20)] == [0] * 20
    assert len(page.sent) == before


@pytest.mark.parametrize("leave", [("visible", {"visible": False}), ("gone", {})], ids=["hidden", "gone"])
def test_nothing_is_sent_while_nobody_sees_it_and_what_was_missed_comes_when_it_is_seen_again(
    page: Recorded, leave: tuple[str, dict[str, Any]]
) -> None:
    line = Line(3)
    chart = chart_of(line)
    look(chart)
    say(chart, leave[0], **leave[1])
    for line.rows in range(4, 30):
        chart.refresher.tick()
    assert not page.news()

    say(chart, "visible", visible=True)
    chart.refresher.tick()
    assert [news.columns[1] for news in page.news()] == [[float(n) for n in range(3, 29)]]


def test_a_page_that_fell_silent_is_sent_nothing_until_it_is_heard_again(page: Recorded) -> None:
    line, now = Line(3), [0.0]
    chart = chart_of(line, clock=lambda: now[0])
    look(chart)
    for line.rows in range(4, 104):  # a hundred seconds, of which the browser is heard in the first ten
        now[0] += 1
        if now[0] == 10:
            say(chart, "visible", visible=True)
        chart.refresher.tick()
    assert len(page.news()) == 45

    say(chart, "visible", visible=True)
    chart.refresher.tick()
    assert page.news()[-1].columns[1] == [float(n) for n in range(48, 103)]


def test_while_a_cell_runs_silence_says_nothing_for_many_a_kernel_hears_nothing_then(page: Recorded) -> None:
    line, now, silent = Line(3), [0.0], [0.0]
    chart = chart_of(line, clock=lambda: now[0], silence_s=lambda heard, now: silent[0])
    look(chart)
    for line.rows in range(4, 204):  # a cell of two hundred seconds
        now[0] += 1
        chart.refresher.tick()
    assert len(page.news()) == 200
    for line.rows in range(204, 304):
        now[0] += 1
        silent[0] += 1
        chart.refresher.tick()
    assert len(page.news()) == 235


def test_whether_a_cell_runs_is_what_ipython_says() -> None:
    shell = InteractiveShell()
    cells = Cells(shell)
    now = time.monotonic()
    assert cells.silence_s(now - 100, now) == 0  # the first widget is made in a cell
    assert cells.silence_s(now + 5, now + 100) == 95  # whoever was heard in the cell would be heard again
    shell.run_cell("1")
    assert 90 < cells.silence_s(now - 100, now + 100) <= 100  # since the cell has ended
    assert cells.silence_s(now + 50, now + 100) == 50
    shell.user_ns["cells"], shell.user_ns["seen"] = cells, []
    shell.run_cell("seen.append(cells.silence_s(0, 1e9))")
    assert shell.user_ns["seen"] == [0]
    assert Cells(None).silence_s(1, 3) == 2


def test_while_drawing_is_paused_nothing_is_sent_but_to_views_that_begin(page: Recorded) -> None:
    line = Line(3)
    chart = chart_of(line)
    look(chart)
    chart.refresher.pause()
    line.rows = 5
    chart.refresher.tick()
    assert not page.news()
    look(chart, "b")
    assert page.answers()[-1].columns[1] == [0, 1, 2, 3, 4]
    line.rows = 6
    chart.refresher.tick()
    assert not page.news()
    assert [tick.content.get("paused", False) for tick in page.ticks] == [False, True, True]
    chart.refresher.pause(False)
    assert "paused" not in page.ticks[-1].content
    chart.refresher.tick()
    assert page.news()[-1].columns[1] == [0, 1, 2, 3, 4, 5]  # the first view has missed what the second began with


def test_a_closed_chart_costs_nothing_and_says_nothing(page: Recorded) -> None:
    line = Line(3)
    chart = chart_of(line)
    look(chart)
    chart.close()
    before = len(page.sent)
    line.rows = 10
    assert chart.refresher.tick() == 0
    assert len(page.sent) == before
    assert not chart.refresher._watched


def test_a_new_chart_takes_the_place_of_the_former_of_its_name(page: Recorded) -> None:
    former, other = chart_of(Line(), name="prices"), chart_of(Line(), name="other")
    new = chart_of(Line(), name="prices")
    assert former.comm is None
    assert other.comm is not None
    assert new.comm is not None


def test_the_widgets_of_a_session_that_another_takes_the_place_of_are_closed(page: Recorded) -> None:
    mine, other = chart_of(Line(), name="desk: prices"), chart_of(Line(), name="desk 2: prices")
    close_widgets_of("desk")
    assert mine.comm is None
    assert other.comm is not None


def test_a_chart_that_is_replaced_leaves_the_box_it_was_in(page: Recorded) -> None:
    former = chart_of(Line(), name="prices")
    label = ipywidgets.Label("mine")
    box = ipywidgets.HBox([former, label])
    chart_of(Line(), name="prices")
    assert box.children == (label,)


def test_what_the_user_styles_reaches_the_page_and_the_points_do_not_go_twice(page: Recorded) -> None:
    chart = chart_of(Line(3))
    look(chart)
    chart.figure.update_layout(title="Mine")
    chart.figure.add_hline(y=2)
    chart.figure.data[0].line.color = "red"
    chart.refresher.tick()
    chart.refresher.tick()

    [styled] = page.news()
    figure = styled.content["figure"]
    assert figure["layout"]["title"]["text"] == "Mine"
    assert figure["layout"]["shapes"][0]["y0"] == 2
    assert figure["data"] == [{"name": "value", "type": "scatter", "line": {"color": "red"}}]
    assert styled.buffers == []


def test_a_trace_of_the_users_own_stays_behind_those_that_come_later(page: Recorded) -> None:
    layers: list[Layer] = [Line(3)]
    contents = Contents(go.Figure(), lambda: lambda: layers, State(), 60_000.0)  # type: ignore[arg-type]
    chart = LiveChart(contents, name="test", refresher=Here())
    look(chart)
    chart.figure.add_scatter(name="mine", x=[1], y=[2])
    chart.refresher.tick()
    layers.append(Line(2))
    chart.refresher.tick()

    again = page.news()[-1]  # all views begin again
    assert [trace["name"] for trace in again.content["figure"]["data"]] == ["value", "value", "mine"]
    assert again.content["figure"]["data"][2]["y"] == [2]
    assert list(again.columns[1::2]) == [[0, 1, 2], [0, 1]]


def test_a_template_goes_to_the_page_only_where_the_user_chose_one(page: Recorded) -> None:
    chart = chart_of(Line(3))
    look(chart)
    assert "template" not in page.answers()[0].content["figure"]["layout"]
    chart.figure.update_layout(template="plotly_dark")
    chart.refresher.tick()
    assert "template" in page.news()[0].content["figure"]["layout"]


def test_the_figure_is_a_still_picture_of_the_window(page: Recorded) -> None:
    line = Line(3)
    chart = chart_of(line)
    assert list(chart.figure.data[0].y) == [0, 1, 2]
    line.rows = 4
    still = chart.figure
    assert isinstance(still, go.Figure)
    assert list(still.data[0].y) == [0, 1, 2, 3]
    assert str(np.asarray(still.data[0].x)[0]).startswith("2023-11-14T22:13:20")


class Fills(Line):
    """Some points of long ago and none since."""

    thin = False

    def read(self, start: int | None) -> Points:
        return Points((START_MS - np.array([3_600_000.0, 1.0]), np.array([7.0, 8.0])), 2)


class Held(Line):
    """A line whose last value holds."""

    holds = True

    def read(self, start: int | None) -> Points:
        return Points((np.array([START_MS]), np.array([5.0])), 1)


def test_the_figure_has_the_window_of_the_chart_and_its_zone_in_every_layer(page: Recorded) -> None:
    chart = chart_of(Line(3), Fills(), Held(), tz="Asia/Tokyo")
    line, fills, held = chart.figure.data
    assert pd.Timestamp(line.x[0]) == pd.Timestamp("2023-11-15 07:13:20")
    assert list(fills.y) == [8.0]
    assert list(held.y) == [5.0, 5.0]
    assert held.x[-1] == line.x[-1]
    assert chart.figure.layout.xaxis.title.text == "Asia/Tokyo"
    chart.tz = "UTC"
    assert chart.figure.layout.xaxis.title.text == "UTC"
    look(chart)  # the page writes the zone itself
    assert "title" not in page.answers()[0].content["figure"]["layout"].get("xaxis", {})
    chart.figure.update_layout(xaxis_title="Mine")
    chart.refresher.tick()
    assert page.news()[-1].content["figure"]["layout"]["xaxis"]["title"]["text"] == "Mine"


def test_a_figure_that_was_looked_at_when_a_layer_was_new_leaves_no_view_without_it(page: Recorded) -> None:
    layers = [Line(3)]
    chart = chart_of()
    chart._layers = lambda: layers
    look(chart)
    layers.append(Line(2))
    assert len(chart.figure.data) == 2
    chart.refresher.tick()
    assert len(page.news()[-1].content["layers"]) == 2


def test_the_charts_own_traces_cannot_be_taken_away_and_are_hidden_instead(page: Recorded) -> None:
    chart = chart_of(Line(3), Line(2))
    chart.figure.add_trace(go.Scatter(x=[2], y=[2], name="mine"))
    with pytest.raises(FxliveError, match="Hide one instead"):
        chart.figure.data = chart.figure.data[:1]
    with pytest.raises(FxliveError, match="Hide one instead"):
        chart.figure.data = chart.figure.data[::-1]
    chart.figure.data = chart.figure.data[:2]
    chart.figure.update_traces(visible=False, selector=0)
    look(chart)
    assert [trace.get("visible") for trace in page.answers()[0].content["figure"]["data"]] == [False, None]


def test_badge_gaps_and_marks_go_along_when_they_change(page: Recorded) -> None:
    state = State()
    chart = chart_of(Line(3), state=state)
    look(chart)
    for state.state in ("live", "disconnected", "disconnected", "closed"):
        chart.refresher.tick()
    state.since = [(1.0, None)]
    chart.refresher.tick()
    state.marks = [Mark(1.5, "Long 0.1", "buy")]
    chart.refresher.tick()
    chart.refresher.tick()
    assert [news.content for news in page.news()] == [
        {"badge": {"state": "disconnected", "since": None, "why": None}},
        {"badge": {"state": "closed", "since": None, "why": None}},
        {"gaps": ((1.0, None),)},
        {"marks": [{"y": 1.5, "text": "Long 0.1", "role": "buy"}]},
    ]


def test_a_long_window_is_thinned_to_the_pixels_and_zooming_in_brings_the_detail(page: Recorded) -> None:
    chart = chart_of(Line(60_000), window_ms=6_000_000.0)
    look(chart, pixels=600)
    [window] = page.answers()
    assert 400 < len(window.columns[0]) < 1_200
    assert (window.columns[1][0], window.columns[1][-1]) == (0, 59_999)

    look(chart, pixels=100_000, view="wide")
    assert len(page.answers()[-1].columns[0]) == 60_000

    say(chart, "detail", since=START_MS + 1_000, until=START_MS + 2_000, pixels=600)
    for _ in range(10):  # it waits until a window as large as the last has been taken
        chart.refresher.tick()
    [detail] = page.answers("detail")
    assert detail.view == "a"
    assert detail.columns[1] == [float(n) for n in range(10, 20)]


def test_a_flood_is_thinned_too(page: Recorded) -> None:
    line = Line(3)
    chart = chart_of(line, window_ms=6_000_000.0)
    look(chart)
    line.rows = 50_003
    chart.refresher.tick()
    assert len(page.news()[0].columns[0]) < 2_000
    assert page.news()[0].columns[1][-1] == 50_002


def test_a_chart_that_cannot_be_drawn_says_so_and_begins_again_when_asked(page: Recorded) -> None:
    line = Line(3)
    chart = chart_of(line)
    look(chart)
    read, line.read = line.read, lambda start: 1 / 0  # type: ignore[assignment,method-assign]
    chart.refresher.tick()
    chart.refresher.tick()
    assert [news.content for news in page.news()] == [{"failed": "ZeroDivisionError: division by zero"}]
    line.read = read  # type: ignore[method-assign]
    look(chart)
    assert page.answers()[-1].columns[1] == [0, 1, 2]


def test_the_zone_can_be_changed_and_a_wrong_one_is_an_error(page: Recorded) -> None:
    chart = chart_of(Line(3), tz="Europe/London")
    chart.tz = "local"
    assert chart.tz == "local"
    for wrong in ("Europe/Atlantis", "", "../etc/passwd"):
        with pytest.raises(fxlive.UnknownOption, match="tz must be"):
            chart.tz = wrong
    with pytest.raises(fxlive.UnknownOption, match="tz must be"):
        chart_of(Line(3), tz="nowhere")


def test_six_charts_bring_plotly_and_their_code_to_the_page_once(page: Recorded) -> None:
    for number in range(6):
        look(chart_of(Line(5000), name=f"chart {number}"))

    assert len([m for m in page.sent if m.kind == "comm_open" and m.size > 1_000_000]) == 1
    assert len([m for m in page.sent if m.kind == "comm_open" and 20_000 < m.size < 1_000_000]) == 1
    assert sum(message.size for message in page.sent) < 5_500_000


def test_an_update_of_ten_points_on_five_thousand_is_small(page: Recorded) -> None:
    line = Line(5000)
    chart = chart_of(line)
    look(chart)
    for _ in range(20):
        line.rows += 10
        chart.refresher.tick()

    assert max(tick.size for tick in page.ticks[1:]) <= 500


def test_widgets_of_one_tick_share_one_message_and_messages_are_numbered(page: Recorded) -> None:
    refresher = Here()
    lines = [Line(3) for _ in range(5)]
    for number, line in enumerate(lines):
        look(chart_of(line, name=f"chart {number}", refresher=refresher))
    before = len(page.ticks)
    for line in lines:
        line.rows = 4
    assert refresher.tick() == 5
    assert len(page.ticks) == before + 1
    assert [tick.content["n"] for tick in page.ticks] == list(range(before + 1))


def test_shown_in_a_terminal_it_is_a_line_of_text(page: Recorded, capsys: pytest.CaptureFixture[str]) -> None:
    chart = chart_of(Line(3))
    assert repr(chart) == "<fxlive LiveChart 'test'>"

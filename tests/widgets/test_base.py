"""What all widgets have in common: their names, replacing and closing, and silence while a cell runs."""

from __future__ import annotations

import time

import ipywidgets
from IPython.core.interactiveshell import InteractiveShell

from fxlive.widgets.base import CellMonitor, close_widgets_of
from tests.widgets.charts.test_chart import Line, chart_of
from tests.widgets.kernel_side import open_view
from tests.widgets.recording_comm import RecordedPage


def test_the_cell_monitor_follows_the_cells_of_ipython() -> None:
    shell = InteractiveShell()
    cells = CellMonitor(shell)
    now = time.monotonic()
    assert cells.silence_s(now - 100, now) == 0  # the first widget is made in a cell
    assert cells.silence_s(now + 5, now + 100) == 95  # a view heard in this cell would be heard again
    shell.run_cell("1")
    assert 90 < cells.silence_s(now - 100, now + 100) <= 100  # counted from the end of the cell
    assert cells.silence_s(now + 50, now + 100) == 50
    shell.user_ns["cells"], shell.user_ns["seen"] = cells, []
    shell.run_cell("seen.append(cells.silence_s(0, 1e9))")
    assert shell.user_ns["seen"] == [0]
    assert CellMonitor(None).silence_s(1, 3) == 2


def test_a_closed_chart_sends_nothing_and_is_not_refreshed(page: RecordedPage) -> None:
    line = Line(3)
    chart = chart_of(line)
    open_view(chart)
    chart.close()
    before = len(page.sent)
    line.rows = 10
    assert chart.refresher.tick() == 0
    assert len(page.sent) == before
    assert not chart.refresher._watched


def test_a_new_chart_replaces_the_former_of_its_name(page: RecordedPage) -> None:
    former, other = chart_of(Line(), name="prices"), chart_of(Line(), name="other")
    new = chart_of(Line(), name="prices")
    assert former.comm is None
    assert other.comm is not None
    assert new.comm is not None


def test_closing_the_widgets_of_a_session_leaves_those_of_other_sessions_open(page: RecordedPage) -> None:
    mine, *others = (chart_of(Line(), session=session) for session in ("desk", "desk 2", "desk: b", "des"))
    close_widgets_of("desk")
    assert mine.comm is None
    assert [other.comm is None for other in others] == [False] * 3
    close_widgets_of("desk: b")
    assert [other.comm is None for other in others] == [False, True, False]


def test_widgets_of_two_sessions_do_not_replace_each_other_though_their_full_names_are_equal(
    page: RecordedPage,
) -> None:
    first, second = chart_of(Line(), session="desk", name="b: prices"), chart_of(Line(), session="desk: b")
    assert first.name == second.name == "desk: b: prices"
    assert [chart.comm is None for chart in (first, second)] == [False, False]
    close_widgets_of("desk")
    assert [chart.comm is None for chart in (first, second)] == [True, False]


def test_a_replaced_chart_is_removed_from_the_box_that_contains_it(page: RecordedPage) -> None:
    former = chart_of(Line(), name="prices")
    label = ipywidgets.Label("mine")
    box = ipywidgets.HBox([former, label])
    chart_of(Line(), name="prices")
    assert box.children == (label,)

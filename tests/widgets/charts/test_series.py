"""Series charts: a line for each column and each value of the grouping column, including later ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fxlive
from fxlive.figures.labels import MOST_LINES
from fxlive.widgets.charts.chart import LiveChart
from fxlive.widgets.charts.series import series_chart
from tests.widgets.kernel_side import ManualRefresher, Platform, open_view
from tests.widgets.recording_comm import RecordedPage


def chart_of(platform: Platform, channel: str, y: Any, by: str | None = None, window: Any = "15min") -> LiveChart:
    return series_chart(platform.pipeline, "test", channel, y, by, window, refresher=ManualRefresher())


def send_position(platform: Platform, ticket: int, symbol: str, profit: float) -> None:
    platform.send("position", "positions", ticket=ticket, symbol=symbol, volume=1, profit=profit, margin=10.0)


def test_each_value_has_its_own_lines_also_if_it_appears_later(platform: Platform, page: RecordedPage) -> None:
    send_position(platform, 1, "EURUSD", 5.0)
    chart = chart_of(platform, "positions", ["profit", "margin"], by="symbol")
    open_view(chart)
    assert [t["name"] for t in page.replies()[0].content["figure"]["data"]] == ["EURUSD profit", "EURUSD margin"]
    send_position(platform, 1, "EURUSD", 6.0)
    send_position(platform, 2, "USDJPY", 7.0)
    chart.refresher.tick()
    update = page.updates()[-1]
    assert [t["name"] for t in update.content["figure"]["data"]][2:] == ["USDJPY profit", "USDJPY margin"]
    assert [values for values in update.columns if values[0] < 1e6] == [[5.0, 6.0], [10.0, 10.0], [7.0], [10.0]]
    send_position(platform, 2, "USDJPY", 8.0)
    chart.refresher.tick()
    assert page.updates()[-1].content["l"] == [1]
    assert page.updates()[-1].columns[1:] == [[8.0], [10.0]]


def test_without_grouping_all_rows_are_one_line(platform: Platform, page: RecordedPage) -> None:
    for number in range(3):
        send_position(platform, number, "EURUSD", float(number))
    chart = chart_of(platform, "positions", "profit")
    assert [(trace.name, list(trace.y)) for trace in chart.figure.data] == [("profit", [0.0, 1.0, 2.0])]


def test_rows_can_be_grouped_by_a_number(platform: Platform, page: RecordedPage) -> None:
    send_position(platform, 1, "EURUSD", 1.0)
    send_position(platform, 2, "EURUSD", 2.0)
    chart = chart_of(platform, "positions", "profit", by="ticket")
    assert [(trace.name, list(trace.y)) for trace in chart.figure.data] == [("1", [1.0]), ("2", [2.0])]


def test_a_missing_value_is_a_hole_in_the_line(platform: Platform, page: RecordedPage) -> None:
    send_position(platform, 1, "EURUSD", 1.0)
    platform.send("position", "positions", ticket=1, symbol="EURUSD", volume=1)
    assert np.isnan(chart_of(platform, "positions", "profit").figure.data[0].y[1])


def test_unknown_columns_and_options_are_errors_that_list_the_known_ones(
    platform: Platform, page: RecordedPage
) -> None:
    with pytest.raises(fxlive.UnknownColumn, match=r"Unknown column 'profits' of .* Did you mean profit\?.*margin"):
        chart_of(platform, "positions", ["profits"])
    with pytest.raises(fxlive.UnknownColumn, match="as a column of numbers"):
        chart_of(platform, "positions", ["symbol"])
    with pytest.raises(fxlive.UnknownOption, match=r"y must be .* got \[\]"):
        chart_of(platform, "positions", [])
    with pytest.raises(fxlive.UnknownOption, match=r"by must be .*symbol.* got 'profit'"):
        chart_of(platform, "positions", ["profit"], by="profit")
    with pytest.raises(fxlive.InvalidChannel, match="positions"):
        fxlive.Session.offline().chart("position", ["profit"])
    assert not page.sent


def test_too_many_lines_are_an_error_at_first_and_left_out_later(platform: Platform, page: RecordedPage) -> None:
    for ticket in range(MOST_LINES):
        send_position(platform, ticket, "EURUSD", 1.0)
    chart = chart_of(platform, "positions", "profit", by="ticket")
    open_view(chart)
    send_position(platform, MOST_LINES, "EURUSD", 1.0)
    chart.refresher.tick()
    assert page.updates()[-1].content["figure"]["layout"]["title"]["subtitle"]["text"] == "1 more not shown"
    with pytest.raises(fxlive.FxliveError, match="ticket has more than 40 values"):
        chart_of(platform, "positions", "profit", by="ticket")

"""The P&L chart: what it shows is what `pnl` says, also when late news correct what was drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fxlive
from fxlive.analytics.pnl import pnl
from fxlive.widgets.charts import pnl as module
from fxlive.widgets.charts.chart import LiveChart
from fxlive.widgets.charts.layers import Points, Revised
from fxlive.widgets.charts.pnl import PnlBooks, PnlLayers, pnl_chart
from tests.widgets.charts.test_candles import drawn
from tests.widgets.kernel_side import START, Here, Platform, look
from tests.widgets.recording_comm import Recorded


def trade(platform: Platform, ticket: int, profit: float, status: str = "FILLED", **more: Any) -> None:
    data = {"executionId": f"e{platform._count}", "ticket": ticket, "symbol": "EURUSD", "volume": 0.1, "profit": profit}
    platform.say(
        "trade", "trades", **{**data, "status": status, "commission": 0.5, "strategyId": f"s{ticket % 3}", **more}
    )


def position(platform: Platform, ticket: int, profit: float, volume: float = 0.1) -> None:
    symbol = "EURUSD" if ticket % 2 else "USDJPY"
    platform.say("position", "positions", ticket=ticket, symbol=symbol, volume=volume, unrealizedPnL=profit)


DAY_MS = 86_400_000.0


def frames(platform: Platform) -> Any:
    tables = platform.pipeline.store.tables
    return tables["positions"].frame(), tables["trades"].frame()


@pytest.mark.parametrize("by", [None, "symbol", "strategy_id"])
def test_what_is_drawn_is_what_pnl_says_whatever_comes_and_however_late(platform: Platform, by: Any) -> None:
    books = PnlBooks(platform.pipeline)
    layers = PnlLayers(books.of(None, DAY_MS), None if by is None else books.of(by, DAY_MS))
    charts: list[dict[float, list[float]]] = []
    starts: list[int] = []
    rng = np.random.default_rng(7)

    def draw() -> None:
        for place, layer in enumerate(layers()):
            if place == len(charts):
                charts.append({})
                starts.append(0)
            points = layer.read(starts[place])
            starts[place] = points.stop
            if points.anew:
                charts[place].clear()
            drawn(charts[place], points)

    for step in range(300):
        platform.now = float(step - (rng.random() < 0.1) * rng.integers(1, 20))
        ticket = int(rng.integers(1, 8))
        if rng.random() < 0.7:
            position(platform, ticket, float(rng.integers(-500, 500)) / 10, volume=0.1 * (rng.random() < 0.9))
        else:
            trade(platform, ticket, float(rng.integers(-500, 500)) / 10, status=rng.choice(["FILLED", "CLOSED"]))
        if rng.random() < 0.3:
            draw()
    draw()

    whole = pnl(*frames(platform))
    times = (whole.index.asi8 / 1000.0).tolist()  # type: ignore[attr-defined]
    assert [charts[0][t][0] for t in times] == whole["total"].tolist()
    assert [charts[0][t][-1] for t in times] == (-whole["drawdown"]).tolist()
    if by is not None:
        groups = pnl(*frames(platform), by=by)
        names = [layer.traces[0].name for layer in layers()[1:]]
        assert sorted(names) == sorted(set(groups.index.get_level_values(0)))
        for name, chart in zip(names, charts[1:], strict=True):
            of_group = groups.loc[name]
            assert sorted(chart) == (of_group.index.asi8 / 1000.0).tolist()
            assert [chart[t][0] for t in sorted(chart)] == of_group["total"].tolist()


def chart_of(platform: Platform, by: Any = None, window: Any = "1h") -> LiveChart:
    return pnl_chart(platform.pipeline, "test", by, window, refresher=Here())


def test_a_chart_is_called_by_what_it_shows(platform: Platform) -> None:
    names = [chart_of(platform, by).name for by in (None, "symbol")]
    assert names == ["test: pnl 1h", "test: pnl by symbol 1h"]


def test_it_says_since_when_it_is_known_and_waits_for_the_first_position(platform: Platform, page: Recorded) -> None:
    chart = chart_of(platform)
    look(chart)
    [window] = page.answers()
    assert window.content["waiting"] == "Waiting for the first position or trade"
    assert window.content["figure"]["layout"]["title"]["subtitle"]["text"] == "known since 2023-11-14 22:13:20 UTC"
    platform.now = 100.0
    position(platform, 1, 5.0)
    platform.now = 200.0
    assert "22:15:00" in chart_of(platform, window="2h").figure.layout.title.subtitle.text
    chart.refresher.tick()
    assert page.news()[0].columns == [[(START + 100) * 1000.0], [5.0], [5.0], [0.0], [0.0]]


def test_a_group_that_comes_later_has_a_line_of_its_own(platform: Platform, page: Recorded) -> None:
    chart = chart_of(platform, "symbol")
    look(chart)
    position(platform, 1, 5.0)
    position(platform, 2, 6.0)
    chart.refresher.tick()
    names = [trace["name"] for trace in page.news()[-1].content["figure"]["data"]]
    assert names == ["Total", "Drawdown", "EURUSD", "USDJPY"]


def test_a_wrong_group_is_an_error_that_lists_the_right_ones(platform: Platform, page: Recorded) -> None:
    with pytest.raises(fxlive.UnknownOption, match=r"by must be .* got 'strategy'\. Did you mean strategy_id\?"):
        chart_of(platform, "strategy")


def test_much_that_is_there_at_first_is_worked_out_aside_and_the_figure_waits_for_it(
    platform: Platform, page: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_ROWS_A_TICK", 20)
    for step in range(100):
        platform.now = float(step)
        position(platform, 1 + step % 5, float(step))
        trade(platform, 1 + step % 5, 1.0)
    chart = chart_of(platform)
    expected = pnl(*frames(platform))
    assert list(chart.figure.data[0].y) == expected["total"].tolist()


def test_rows_that_left_the_window_while_nobody_looked_are_not_missing_without_a_word(page: Recorded) -> None:
    platform = Platform(max_rows=10)
    trade(platform, 1, 100.0)
    chart = chart_of(platform)
    look(chart)
    for step in range(1, 31):
        platform.now = float(step)
        trade(platform, 1, 1.0)
    chart.refresher.tick()
    again = page.news()[-1]
    text = again.content["figure"]["layout"]["title"]["subtitle"]["text"]
    assert text == "known since 2023-11-14 22:13:41 UTC"  # the first of the ten that are left
    assert again.columns[1][-1] == 10 * 0.5
    platform.close()


def test_a_flood_is_counted_some_rows_at_a_time(
    platform: Platform, page: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    chart = chart_of(platform)
    look(chart)
    monkeypatch.setattr(module, "MOST_ROWS_A_TICK", 20)
    for step in range(50):
        platform.now = float(step)
        trade(platform, 1, 1.0)
    counts = []
    for _ in range(4):
        chart.refresher.tick()
        counts.append(len(page.news()[-1].columns[0]))
    assert counts[:3] == [20, 20, 10]
    assert page.news()[-1].columns[1][-1] == 25.0


def test_a_book_keeps_no_more_than_the_longest_window_of_its_charts(platform: Platform) -> None:
    books = PnlBooks(platform.pipeline)
    short = books.of(None, 15_000.0)
    assert books.of(None, 5_000.0) is short
    for step in range(100):
        platform.now = float(step)
        position(platform, 1, float(step))
        short.catch_up()
    assert len(short.groups[None].read(None)) == 17
    longer = books.of(None, 60_000.0)
    assert longer is not short
    assert len(longer.groups[None].read(None)) == 62


def test_more_groups_than_can_be_told_apart_are_not_drawn_and_that_is_said(platform: Platform, page: Recorded) -> None:
    chart = chart_of(platform, "strategy_id")
    look(chart)
    for number in range(41):
        trade(platform, number, 1.0, strategyId=f"strategy {number}")
    chart.refresher.tick()
    assert len(page.news()[-1].content["layers"]) == 41  # the whole, and forty
    chart.refresher.tick()
    assert page.news()[-1].content["figure"]["layout"]["title"]["subtitle"]["text"].endswith(", 1 more not shown")


def test_a_strategy_s_name_is_text_whatever_it_looks_like(platform: Platform, page: Recorded) -> None:
    trade(platform, 1, 1.0, strategyId="<a href='https://example.com'>Reconnect</a>" + "x" * 100)
    name = chart_of(platform, "strategy_id").figure.data[2].name
    assert name.startswith("&lt;a href=")
    assert len(name) < 80


def values(points: Points) -> list[list[float]]:
    return [column.tolist() for column in points.columns]


def test_points_that_go_without_a_successor_make_the_views_begin_again() -> None:
    revised = Revised(2, 1_000.0)
    revised.replace(0.0, (np.array([0.0, 10.0, 20.0]), np.array([1.0, 2.0, 3.0])))
    stop = revised.read(None).stop
    revised.replace(10.0, (np.array([10.0]), np.array([5.0])))  # what was at 20 goes with what replaces 10
    points = revised.read(stop)
    assert (values(points), points.anew) == ([[10.0], [5.0]], False)
    revised.replace(5.0, (np.array([15.0]), np.array([6.0])))
    again = revised.read(points.stop)
    assert (values(again), again.anew) == ([[0.0, 15.0], [1.0, 6.0]], True)
    assert len(revised.read(again.stop)) == 0


def test_the_last_point_before_the_window_stays_because_its_value_holds() -> None:
    revised = Revised(2, 100.0)
    for x in (0.0, 50.0, 120.0, 200.0):
        revised.replace(x, (np.array([x]), np.array([x])))
    assert values(revised.read(None))[0] == [50.0, 120.0, 200.0]

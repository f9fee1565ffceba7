"""The P&L chart: it shows the same as `pnl`, also after late messages have corrected earlier points."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fxlive
from fxlive.analytics.pnl import pnl
from fxlive.widgets.charts import pnl as module
from fxlive.widgets.charts.chart import LiveChart
from fxlive.widgets.charts.layers import Points, RevisablePoints
from fxlive.widgets.charts.pnl import PnlCache, PnlLayers, pnl_chart
from tests.widgets.charts.test_candles import draw_points
from tests.widgets.kernel_side import START, ManualRefresher, Platform, open_view
from tests.widgets.recording_comm import RecordedPage


def trade(platform: Platform, ticket: int, profit: float, status: str = "FILLED", **more: Any) -> None:
    data = {"executionId": f"e{platform._count}", "ticket": ticket, "symbol": "EURUSD", "volume": 0.1, "profit": profit}
    platform.send(
        "trade", "trades", **{**data, "status": status, "commission": 0.5, "strategyId": f"s{ticket % 3}", **more}
    )


def position(platform: Platform, ticket: int, profit: float, volume: float = 0.1) -> None:
    symbol = "EURUSD" if ticket % 2 else "USDJPY"
    platform.send("position", "positions", ticket=ticket, symbol=symbol, volume=volume, unrealizedPnL=profit)


DAY_MS = 86_400_000.0


def frames(platform: Platform) -> Any:
    tables = platform.pipeline.store.tables
    return tables["positions"].frame(), tables["trades"].frame()


@pytest.mark.parametrize("by", [None, "symbol", "strategy_id"])
def test_the_chart_equals_pnl_for_messages_in_any_order(platform: Platform, by: Any) -> None:
    cache = PnlCache(platform.pipeline)
    layers = PnlLayers(cache.get(None, DAY_MS), None if by is None else cache.get(by, DAY_MS))
    charts: list[dict[float, list[float]]] = []
    starts: list[int] = []
    rng = np.random.default_rng(7)

    def draw() -> None:
        for index, layer in enumerate(layers()):
            if index == len(charts):
                charts.append({})
                starts.append(0)
            points = layer.read(starts[index])
            starts[index] = points.stop
            if points.restart:
                charts[index].clear()
            draw_points(charts[index], points)

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

    account = pnl(*frames(platform))
    times = (account.index.asi8 / 1000.0).tolist()  # type: ignore[attr-defined]
    assert [charts[0][t][0] for t in times] == account["total"].tolist()
    assert [charts[0][t][-1] for t in times] == (-account["drawdown"]).tolist()
    if by is not None:
        groups = pnl(*frames(platform), by=by)
        names = [layer.traces[0].name for layer in layers()[1:]]
        assert sorted(names) == sorted(set(groups.index.get_level_values(0)))
        for name, chart in zip(names, charts[1:], strict=True):
            group = groups.loc[name]
            assert sorted(chart) == (group.index.asi8 / 1000.0).tolist()
            assert [chart[t][0] for t in sorted(chart)] == group["total"].tolist()


def chart_of(platform: Platform, by: Any = None, window: Any = "1h") -> LiveChart:
    return pnl_chart(platform.pipeline, "test", by, window, refresher=ManualRefresher())


def test_the_default_name_of_a_chart_states_its_contents(platform: Platform) -> None:
    names = [chart_of(platform, by).name for by in (None, "symbol")]
    assert names == ["test: pnl 1h", "test: pnl by symbol 1h"]


def test_the_subtitle_states_since_when_pnl_is_known_and_an_empty_chart_waits(
    platform: Platform, page: RecordedPage
) -> None:
    chart = chart_of(platform)
    open_view(chart)
    [window] = page.replies()
    assert window.content["waiting"] == "Waiting for the first position or trade"
    assert window.content["figure"]["layout"]["title"]["subtitle"]["text"] == "known since 2023-11-14 22:13:20 UTC"
    platform.now = 100.0
    position(platform, 1, 5.0)
    platform.now = 200.0
    assert "22:15:00" in chart_of(platform, window="2h").figure.layout.title.subtitle.text
    chart.refresher.tick()
    assert page.updates()[0].columns == [[(START + 100) * 1000.0], [5.0], [5.0], [0.0], [0.0]]


def test_a_group_that_appears_later_gets_its_own_line(platform: Platform, page: RecordedPage) -> None:
    chart = chart_of(platform, "symbol")
    open_view(chart)
    position(platform, 1, 5.0)
    position(platform, 2, 6.0)
    chart.refresher.tick()
    names = [trace["name"] for trace in page.updates()[-1].content["figure"]["data"]]
    assert names == ["Total", "Drawdown", "EURUSD", "USDJPY"]


def test_an_unknown_grouping_is_an_error_that_lists_the_valid_ones(platform: Platform, page: RecordedPage) -> None:
    with pytest.raises(fxlive.UnknownOption, match=r"by must be .* got 'strategy'\. Did you mean strategy_id\?"):
        chart_of(platform, "strategy")


def test_many_initial_rows_are_computed_on_another_thread_and_the_figure_waits_for_them(
    platform: Platform, page: RecordedPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_ROWS_A_TICK", 20)
    for step in range(100):
        platform.now = float(step)
        position(platform, 1 + step % 5, float(step))
        trade(platform, 1 + step % 5, 1.0)
    chart = chart_of(platform)
    expected = pnl(*frames(platform))
    assert list(chart.figure.data[0].y) == expected["total"].tolist()


def test_the_subtitle_states_a_later_start_if_rows_were_evicted_before_they_were_counted(page: RecordedPage) -> None:
    platform = Platform(max_rows=10)
    trade(platform, 1, 100.0)
    chart = chart_of(platform)
    open_view(chart)
    for step in range(1, 31):
        platform.now = float(step)
        trade(platform, 1, 1.0)
    chart.refresher.tick()
    update = page.updates()[-1]
    text = update.content["figure"]["layout"]["title"]["subtitle"]["text"]
    assert text == "known since 2023-11-14 22:13:41 UTC"  # the first of the ten that are left
    assert update.columns[1][-1] == 10 * 0.5
    platform.close()


def test_many_new_rows_are_counted_over_several_ticks(
    platform: Platform, page: RecordedPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    chart = chart_of(platform)
    open_view(chart)
    monkeypatch.setattr(module, "MOST_ROWS_A_TICK", 20)
    for step in range(50):
        platform.now = float(step)
        trade(platform, 1, 1.0)
    counts = []
    for _ in range(4):
        chart.refresher.tick()
        counts.append(len(page.updates()[-1].columns[0]))
    assert counts[:3] == [20, 20, 10]
    assert page.updates()[-1].columns[1][-1] == 25.0


def test_pnl_is_kept_for_the_longest_window_of_its_charts(platform: Platform) -> None:
    cache = PnlCache(platform.pipeline)
    short = cache.get(None, 15_000.0)
    assert cache.get(None, 5_000.0) is short
    for step in range(100):
        platform.now = float(step)
        position(platform, 1, float(step))
        short.catch_up()
    assert len(short.groups[None].read(None)) == 17
    longer = cache.get(None, 60_000.0)
    assert longer is not short
    assert len(longer.groups[None].read(None)) == 62


def test_groups_beyond_the_maximum_number_of_lines_are_left_out_and_counted_in_the_subtitle(
    platform: Platform, page: RecordedPage
) -> None:
    chart = chart_of(platform, "strategy_id")
    open_view(chart)
    for number in range(41):
        trade(platform, number, 1.0, strategyId=f"strategy {number}")
    chart.refresher.tick()
    assert len(page.updates()[-1].content["layers"]) == 41  # the account, and forty groups
    chart.refresher.tick()
    assert page.updates()[-1].content["figure"]["layout"]["title"]["subtitle"]["text"].endswith(", 1 more not shown")


def test_html_in_the_name_of_a_strategy_is_escaped(platform: Platform, page: RecordedPage) -> None:
    trade(platform, 1, 1.0, strategyId="<a href='https://example.com'>Reconnect</a>" + "x" * 100)
    name = chart_of(platform, "strategy_id").figure.data[2].name
    assert name.startswith("&lt;a href=")
    assert len(name) < 80


def values(points: Points) -> list[list[float]]:
    return [column.tolist() for column in points.columns]


def test_removing_points_without_replacement_makes_readers_restart() -> None:
    points = RevisablePoints(2, 1_000.0)
    points.replace(0.0, (np.array([0.0, 10.0, 20.0]), np.array([1.0, 2.0, 3.0])))
    stop = points.read(None).stop
    points.replace(10.0, (np.array([10.0]), np.array([5.0])))  # replaces the points at 10 and at 20
    changed = points.read(stop)
    assert (values(changed), changed.restart) == ([[10.0], [5.0]], False)
    points.replace(5.0, (np.array([15.0]), np.array([6.0])))
    everything = points.read(changed.stop)
    assert (values(everything), everything.restart) == ([[0.0, 15.0], [1.0, 6.0]], True)
    assert len(points.read(everything.stop)) == 0


def test_the_last_point_before_the_window_is_kept_because_its_value_holds() -> None:
    points = RevisablePoints(2, 100.0)
    for x in (0.0, 50.0, 120.0, 200.0):
        points.replace(x, (np.array([x]), np.array([x])))
    assert values(points.read(None))[0] == [50.0, 120.0, 200.0]

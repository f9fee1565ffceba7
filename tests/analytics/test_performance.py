from __future__ import annotations

import math
from itertools import permutations
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxlive.analytics.performance import PerformanceStream, performance
from fxlive.errors import UnknownColumn, UnknownOption
from tests.analytics.frames import T0, S, positions, trades
from tests.analytics.test_pnl import wild_trades

NAMES = (
    "total_trades win_rate net_profit current_drawdown gross_profit gross_loss opening_costs commission swap "
    "profit_factor expectancy average_win average_loss payoff longest_win_streak longest_loss_streak holding_time_s "
    "max_drawdown max_drawdown_start max_drawdown_trough max_drawdown_recovery"
).split()


def closed(number: int, profit: float, ticket: int = 1, **more: Any) -> dict[str, Any]:
    return {"execution_id": f"x{number}", "ticket": ticket, "status": "CLOSED", "profit": profit, **more}


DAY = [  # seconds, trade
    (0, {"execution_id": "o1", "ticket": 1, "commission": 0.5}),
    (60, closed(1, 10.0, commission=0.5)),
    (60, {"execution_id": "o2", "ticket": 2, "commission": 0.5, "strategy_id": "s2"}),
    (120, closed(2, -20.0, 2, commission=0.5, swap=-0.5, strategy_id="s2")),
    (180, closed(3, -4.0, 3, strategy_id="s2")),
    (240, closed(4, 30.0, 4)),
    (300, closed(5, 0.0, 5)),
]


def test_a_day_computed_by_hand() -> None:
    figures = performance(trades(DAY))
    assert list(figures.index) == NAMES
    # Net of the executions: -0.5, 9.5, -0.5, -21, -4, 30, 0; running sum: -0.5, 9, 8.5, -12.5, -16.5, 13.5, 13.5
    expected = {
        "total_trades": 5, "win_rate": 40.0, "net_profit": 13.5, "current_drawdown": 0.0,
        "gross_profit": 39.5, "gross_loss": -25.0, "opening_costs": -1.0, "commission": 2.0, "swap": -0.5,
        "profit_factor": 39.5 / 25, "expectancy": 14.5 / 5, "average_win": 19.75, "average_loss": -25 / 3,
        "payoff": 19.75 / (25 / 3), "longest_win_streak": 1, "longest_loss_streak": 2, "holding_time_s": 60.0,
        "max_drawdown": 25.5, "max_drawdown_start": pd.Timestamp("2024-01-01T00:01Z"),
        "max_drawdown_trough": pd.Timestamp("2024-01-01T00:03Z"),
        "max_drawdown_recovery": pd.Timestamp("2024-01-01T00:04Z"),
    }  # fmt: skip
    for name, value in expected.items():
        assert figures[name] == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value), name
    assert figures.attrs["samples"]["holding_time_s"] == 2
    assert figures.attrs["samples"]["net_profit"] == 7
    assert figures.attrs["samples"]["average_loss"] == 3
    assert figures.attrs["reasons"] == {}


def test_a_drawdown_has_recovered_when_the_former_peak_is_reached_again() -> None:
    figures = performance(trades([(n, closed(n, profit)) for n, profit in enumerate([5.0, -2.0, 2.0, -1.0])]))
    assert (figures["max_drawdown"], figures["current_drawdown"]) == (2.0, 1.0)
    assert figures["max_drawdown_recovery"] == pd.Timestamp("2024-01-01T00:00:02Z")


def test_groups_have_a_row_each_and_add_up_to_the_whole() -> None:
    figures = performance(trades(DAY), "strategy_id")
    assert figures.index.tolist() == ["s1", "s2"]
    assert figures.columns.tolist() == NAMES
    assert figures["net_profit"].tolist() == [39.0, -25.5]
    assert figures["total_trades"].sum() == 5
    assert str(figures["max_drawdown_start"].dtype) == "datetime64[us, UTC]"
    assert figures.loc["s1", "average_loss"] == 0.0  # of the break-even trade
    assert figures.attrs["reasons"]["s1"]["profit_factor"] == "no losing trade"
    assert figures.attrs["reasons"]["s2"]["average_win"] == "no winning trade"


def test_a_figure_without_observations_is_nan_with_a_reason() -> None:
    figures = performance(trades([(0, {"execution_id": "o1"})]))
    for name in ("win_rate", "profit_factor", "expectancy", "average_win", "average_loss", "payoff", "holding_time_s"):
        assert math.isnan(figures[name])
        assert figures.attrs["reasons"][name]
    assert figures["total_trades"] == 0
    won = performance(trades([(0, closed(1, 5.0))]))
    assert (won["win_rate"], won["average_win"]) == (100.0, 5.0)
    assert won.attrs["reasons"]["profit_factor"] == "no losing trade"
    assert won.attrs["reasons"]["holding_time_s"] == "no closed trade has a known opening"
    lost = performance(trades([(0, closed(1, -5.0))]))
    assert lost.attrs["reasons"]["max_drawdown_recovery"] == "not recovered yet"


@pytest.mark.parametrize("by", [None, "symbol", "strategy_id", "connection_id"])
def test_without_trades_the_figures_are_zero_or_empty_with_all_columns(by: Any) -> None:
    figures = performance(trades([]), by)
    if by is None:
        assert (figures["total_trades"], figures["net_profit"]) == (0, 0.0)
    else:
        assert figures.empty
        assert figures.columns.tolist() == NAMES
        full = performance(trades(DAY), by)
        assert figures.dtypes.equals(full.dtypes)
        assert figures.index.dtype == full.index.dtype


def test_an_execution_counts_once_with_its_last_report_at_the_time_of_its_first() -> None:
    reports = [(0, closed(1, 5.0)), (1, closed(2, -3.0)), (2, closed(1, 1.0)), (1, closed(1, 99.0))]
    figures = performance(trades(reports))
    assert (figures["total_trades"], figures["net_profit"]) == (2, -2.0)  # the report at 1 s arrives late
    assert figures["max_drawdown_start"] == pd.Timestamp(T0, unit="us", tz="UTC")
    assert figures["max_drawdown_trough"] == pd.Timestamp(T0 + S, unit="us", tz="UTC")


def netting(sides_at: list[tuple[float, str]]) -> pd.DataFrame:
    """Return rows of the position of ticket 1 from (seconds after T0, side)."""
    return positions([(at, 1, "EURUSD", 1.0, 0.0) for at, _ in sides_at]).assign(type=[side for _, side in sides_at])


FLIP = [  # buy 1; sell 2, so that 1 is sold; close that with a loss
    (1, {"execution_id": "e1", "volume": 1.0}),
    (3, {"execution_id": "e2", "volume": 2.0, "action": "SELL", "profit": 100.0}),
    (5, {"execution_id": "e3", "volume": 1.0, "profit": -500.0}),
]


@pytest.mark.parametrize("delay", [0, 1], ids=["rows at the time of the trades", "later rows"])
def test_a_trade_that_closes_a_netting_position_counts_after_the_position_has_changed_its_side(delay: int) -> None:
    sides = netting([(1 + delay, "BUY"), (3 + delay, "SELL"), (5 + delay, "SELL")])
    figures = performance(trades(FLIP), positions=sides)
    assert (figures["total_trades"], figures["win_rate"], figures["opening_costs"]) == (2, 50.0, 0.0)
    assert (figures["gross_profit"], figures["gross_loss"]) == (100.0, -500.0)


def test_a_stream_gives_the_same_figures_however_the_rows_of_a_netting_position_arrive() -> None:
    sides, whole = netting([(2, "BUY"), (4, "SELL"), (6, "SELL")]), performance(trades(FLIP))
    assert whole["total_trades"] == 1  # without the rows
    whole = performance(trades(FLIP), positions=sides)
    for order in permutations(range(3)):
        stream = PerformanceStream()
        stream.update(trades(FLIP[:1]), positions=sides.iloc[list(order[:1])])
        stream.update(trades(FLIP[1:]))
        stream.update(trades([]), positions=sides.iloc[list(order[1:])])
        assert stream.metrics().equals(whole), order


def test_one_row_of_a_position_states_its_side_for_all_of_its_trades() -> None:
    closes = trades([(3, {"execution_id": "e2", "action": "SELL", "profit": 5.0})])
    for row in (netting([(1, "BUY")]), netting([(9, "BUY")]), netting([(9, "BUY")]).reset_index().set_index("ticket")):
        assert performance(closes, positions=row)["total_trades"] == 1


def brute_force(reports: list[Any]) -> dict[str, float]:
    """Compute the platform's four figures as its account does, execution by execution."""
    last: dict[str, Any] = {}
    first: dict[str, int] = {}
    for at, trade in reports:
        execution = trade["execution_id"]
        if execution not in last or at >= last[execution][0]:
            last[execution] = (at, trade)
        first[execution] = min(first.get(execution, at), at)
    net = peak = drawdown = 0.0
    count = wins = 0
    order = {e: n for n, e in reversed([(n, t["execution_id"]) for n, (_, t) in enumerate(reports)])}
    for execution in sorted(last, key=lambda e: (first[e], order[e])):
        trade = last[execution][1]
        own = round(trade["profit"] - trade["commission"] + trade["swap"], 6)
        net += own
        peak = max(peak, net)
        drawdown = peak - net
        if trade["status"] == "CLOSED":
            count += 1
            wins += own > 0
    return {"total_trades": count, "wins": wins, "net_profit": net, "current_drawdown": drawdown}


@given(reports=wild_trades)
@settings(max_examples=80, deadline=None)
def test_the_platforms_figures_equal_an_account_kept_execution_by_execution(reports: list[Any]) -> None:
    figures, expected = performance(trades(reports)), brute_force(reports)
    assert figures["total_trades"] == expected["total_trades"]
    assert figures["net_profit"] == pytest.approx(expected["net_profit"], abs=1e-6)
    assert figures["current_drawdown"] == pytest.approx(expected["current_drawdown"], abs=1e-6)
    if figures["total_trades"]:
        assert figures["win_rate"] == 100 * expected["wins"] / expected["total_trades"]
    whole = figures["gross_profit"] + figures["gross_loss"] + figures["opening_costs"]
    assert whole == pytest.approx(figures["net_profit"], abs=1e-9)
    assert figures["max_drawdown"] >= figures["current_drawdown"] >= 0


@given(
    reports=wild_trades,
    by=st.sampled_from([None, "symbol", "strategy_id"]),
    cuts=st.lists(st.integers(0, 15), max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_a_stream_gives_the_same_figures_however_the_trades_are_divided(
    reports: list[Any], by: Any, cuts: list[int]
) -> None:
    frame, stream, done = trades(reports), PerformanceStream(by), 0
    for cut in [*sorted(cuts), len(frame)]:
        upto = min(cut, len(frame))
        stream.update(frame.iloc[done:upto])
        done = upto
        got, whole = stream.metrics(), performance(frame.iloc[:done], by)
        assert got.equals(whole)
        assert got.attrs == whole.attrs


def test_invalid_arguments_raise_typed_errors() -> None:
    with pytest.raises(UnknownOption, match="Did you mean symbol"):
        performance(trades([]), "symbols")  # type: ignore[arg-type]
    with pytest.raises(UnknownColumn, match="Unknown column 'profit' of trades"):
        performance(trades([]).drop(columns="profit"))

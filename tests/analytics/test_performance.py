from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxlive.analytics.performance import PerformanceStream, performance
from fxlive.errors import UnknownColumn, UnknownOption
from tests.analytics.frames import T0, S, trades
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


def test_a_day_worked_out_by_hand() -> None:
    told = performance(trades(DAY))
    assert list(told.index) == NAMES
    # Net of the executions: -0.5, 9.5, -0.5, -21, -4, 30, 0; their sum: -0.5, 9, 8.5, -12.5, -16.5, 13.5, 13.5
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
        assert told[name] == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value), name
    assert told.attrs["samples"]["holding_time_s"] == 2
    assert told.attrs["samples"]["net_profit"] == 7
    assert told.attrs["samples"]["average_loss"] == 3
    assert told.attrs["reasons"] == {}


def test_a_drawdown_has_recovered_when_the_former_highest_is_reached_again() -> None:
    told = performance(trades([(n, closed(n, profit)) for n, profit in enumerate([5.0, -2.0, 2.0, -1.0])]))
    assert (told["max_drawdown"], told["current_drawdown"]) == (2.0, 1.0)
    assert told["max_drawdown_recovery"] == pd.Timestamp("2024-01-01T00:00:02Z")


def test_groups_have_a_row_each_and_sum_to_the_whole() -> None:
    told = performance(trades(DAY), "strategy_id")
    assert told.index.tolist() == ["s1", "s2"]
    assert told.columns.tolist() == NAMES
    assert told["net_profit"].tolist() == [39.0, -25.5]
    assert told["total_trades"].sum() == 5
    assert str(told["max_drawdown_start"].dtype) == "datetime64[us, UTC]"
    assert told.loc["s1", "average_loss"] == 0.0  # of the trade that won nothing
    assert told.attrs["reasons"]["s1"]["profit_factor"] == "no trade has lost"
    assert told.attrs["reasons"]["s2"]["average_win"] == "no trade has won"


def test_too_little_gives_nan_and_says_why() -> None:
    told = performance(trades([(0, {"execution_id": "o1"})]))
    for name in ("win_rate", "profit_factor", "expectancy", "average_win", "average_loss", "payoff", "holding_time_s"):
        assert math.isnan(told[name])
        assert told.attrs["reasons"][name]
    assert told["total_trades"] == 0
    won = performance(trades([(0, closed(1, 5.0))]))
    assert (won["win_rate"], won["average_win"]) == (100.0, 5.0)
    assert won.attrs["reasons"]["profit_factor"] == "no trade has lost"
    assert won.attrs["reasons"]["holding_time_s"] == "of no closed trade the opening is known"
    lost = performance(trades([(0, closed(1, -5.0))]))
    assert lost.attrs["reasons"]["max_drawdown_recovery"] == "the drawdown has not been made good"


@pytest.mark.parametrize("by", [None, "symbol", "strategy_id", "connection_id"])
def test_of_no_trades_the_figures_are_those_of_nothing(by: Any) -> None:
    told = performance(trades([]), by)
    if by is None:
        assert (told["total_trades"], told["net_profit"]) == (0, 0.0)
    else:
        assert told.empty
        assert told.columns.tolist() == NAMES
        full = performance(trades(DAY), by)
        assert told.dtypes.equals(full.dtypes)
        assert told.index.dtype == full.index.dtype


def test_an_execution_counts_once_with_its_last_word_at_its_first_time() -> None:
    said = [(0, closed(1, 5.0)), (1, closed(2, -3.0)), (2, closed(1, 1.0)), (1, closed(1, 99.0))]
    told = performance(trades(said))
    assert (told["total_trades"], told["net_profit"]) == (2, -2.0)  # what was said at 1 comes late
    assert told["max_drawdown_start"] == pd.Timestamp(T0, unit="us", tz="UTC")
    assert told["max_drawdown_trough"] == pd.Timestamp(T0 + S, unit="us", tz="UTC")


def brute(said: list[Any]) -> dict[str, float]:
    """The platform's four figures, counted as its account does, execution by execution."""
    last: dict[str, Any] = {}
    first: dict[str, int] = {}
    for at, trade in said:
        execution = trade["execution_id"]
        if execution not in last or at >= last[execution][0]:
            last[execution] = (at, trade)
        first[execution] = min(first.get(execution, at), at)
    net = peak = drawdown = 0.0
    count = wins = 0
    order = {e: n for n, e in reversed([(n, t["execution_id"]) for n, (_, t) in enumerate(said)])}
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


@given(said=wild_trades)
@settings(max_examples=80, deadline=None)
def test_the_platforms_figures_are_those_of_its_own_way_of_counting(said: list[Any]) -> None:
    told, expected = performance(trades(said)), brute(said)
    assert told["total_trades"] == expected["total_trades"]
    assert told["net_profit"] == pytest.approx(expected["net_profit"], abs=1e-6)
    assert told["current_drawdown"] == pytest.approx(expected["current_drawdown"], abs=1e-6)
    if told["total_trades"]:
        assert told["win_rate"] == 100 * expected["wins"] / expected["total_trades"]
    whole = told["gross_profit"] + told["gross_loss"] + told["opening_costs"]
    assert whole == pytest.approx(told["net_profit"], abs=1e-9)
    assert told["max_drawdown"] >= told["current_drawdown"] >= 0


@given(
    said=wild_trades, by=st.sampled_from([None, "symbol", "strategy_id"]), cuts=st.lists(st.integers(0, 15), max_size=4)
)
@settings(max_examples=60, deadline=None)
def test_however_trades_are_split_the_figures_are_those_of_the_whole(said: list[Any], by: Any, cuts: list[int]) -> None:
    frame, stream, done = trades(said), PerformanceStream(by), 0
    for cut in [*sorted(cuts), len(frame)]:
        upto = min(cut, len(frame))
        stream.update(frame.iloc[done:upto])
        done = upto
        got, whole = stream.metrics(), performance(frame.iloc[:done], by)
        assert got.equals(whole)
        assert got.attrs == whole.attrs


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(UnknownOption, match="Did you mean symbol"):
        performance(trades([]), "symbols")  # type: ignore[arg-type]
    with pytest.raises(UnknownColumn, match="Unknown column 'profit' of trades"):
        performance(trades([]).drop(columns="profit"))

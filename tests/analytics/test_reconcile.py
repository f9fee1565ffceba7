from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from fxlive.analytics.reconcile import reconcile
from fxlive.errors import UnknownColumn
from tests.analytics.frames import T0, S, index, positions, trades
from tests.analytics.test_exposure import quotes

HOUR = 3600


def analytics(*rows: tuple[float, str, float, float, float, float]) -> pd.DataFrame:
    columns = ["period", *(f"metrics_{n}" for n in ("total_trades", "win_rate", "net_profit", "current_drawdown"))]
    frame = pd.DataFrame([row[1:] for row in rows], columns=columns)
    return frame.set_index(index([T0 + round(row[0] * S) for row in rows])).astype({"period": "category"})


def open_positions(*rows: tuple[int, str, str, float, float, float, float]) -> pd.DataFrame:
    frame = positions([(0, ticket, symbol, lots, profit) for ticket, symbol, _, lots, _, _, profit in rows])
    return frame.assign(type=[r[2] for r in rows], open_price=[r[4] for r in rows], current_price=[r[5] for r in rows])


def test_each_period_counts_its_own_trades_up_to_the_platforms_report() -> None:
    rows = trades(
        [
            (1 * HOUR, {"execution_id": "e1", "status": "CLOSED", "profit": 10.0}),
            (25 * HOUR, {"execution_id": "e2", "status": "CLOSED", "profit": -4.0, "commission": 1.0}),
            (26 * HOUR, {"execution_id": "e3", "status": "CLOSED", "profit": 2.0}),
            (27 * HOUR, {"execution_id": "e4", "status": "CLOSED", "profit": 99.0}),  # after the platform's report
        ]
    )
    theirs = analytics(
        (26 * HOUR, "DAY", 2, 50.0, -3.0, 3.0), (25 * HOUR, "DAY", 7, 7, 7, 7), (26 * HOUR, "WEEK", 3, 66.7, 7.0, 3.0)
    )
    result = reconcile(theirs, rows, open_positions(), quotes({}))
    assert result.index.tolist()[:5] == [
        "DAY total_trades", "DAY win_rate", "DAY net_profit", "DAY current_drawdown", "WEEK total_trades"
    ]  # fmt: skip
    assert result["within"].all()
    assert result.loc["WEEK win_rate", "difference"] == pytest.approx(-0.0333333, abs=1e-6)
    wrong = reconcile(analytics((26 * HOUR, "DAY", 2, 50.0, -3.01, 3.0)), rows, open_positions(), quotes({}))
    assert wrong["within"].tolist() == [True, True, False, True]
    assert wrong.loc["DAY net_profit", "difference"] == pytest.approx(0.01)


def test_a_row_of_another_type_or_without_metrics_does_not_replace_the_performance_update() -> None:
    rows = [(20, "DAY", 0, 0, 0, 0), (21, "DAY", 99, 1.0, -5000.0, 6000.0), (22, "DAY", *[math.nan] * 4)]
    theirs = analytics(*rows, (23, "WEEK", 7, 50.0, 1.0, 2.0))
    theirs["type"] = ["PERFORMANCE_UPDATE", "STRATEGY_UPDATE", "PERFORMANCE_UPDATE", "STRATEGY_UPDATE"]
    latest = theirs.iloc[[0, 1, 3]].reset_index().set_index(["type", "period"])
    for frame in (theirs, theirs.astype({"type": "category"}), latest):
        result = reconcile(frame, trades([]), open_positions(), quotes({}))["theirs"]
        assert result.loc["DAY total_trades":"DAY current_drawdown"].tolist() == [0, 0, 0, 0]
        assert result["WEEK total_trades"] == 7  # there is no performance update of that period
    assert reconcile(theirs.iloc[[2]], trades([]), open_positions(), quotes({})).empty


def test_a_note_states_since_when_trades_are_known_if_the_period_began_earlier() -> None:
    theirs = analytics((HOUR, "DAY", 0, 0.0, 0.0, 0.0), (HOUR, "YEAR", 0, 0.0, 0.0, 0.0))
    result = reconcile(theirs, trades([]), open_positions(), quotes({}), known_since="2024-01-01 00:30")
    assert set(result["note"]) == {"trades are known only since 2024-01-01 00:30:00"}
    assert result["within"].all()
    assert len(result) == 4  # nothing about a period that is unknown
    assert set(reconcile(theirs, trades([]), open_positions(), quotes({}), known_since="2023-12-31")["note"]) == {""}


def test_the_profit_of_a_position_is_computed_from_its_prices() -> None:
    rows = open_positions(
        (1, "EURUSD", "BUY", 0.1, 1.0850, 1.0860, 10.0),
        (2, "USDJPY", "SELL", 0.1, 150.0, 149.0, 67.11),
        (3, "EURJPY", "BUY", 0.1, 160.0, 162.0, 133.33),
        (4, "EURUSD", "SELL", 0.1, 1.0850, 1.0860, 10.0),
        (5, "EURSEK", "BUY", 0.1, 11.0, 11.1, 90.0),
        (6, "GOLD", "BUY", 0.1, 11.0, 11.1, 90.0),
    )
    result = reconcile(analytics(), trades([]), rows, quotes())
    assert result["ours"].iloc[:4].tolist() == [10.0, 67.11, 133.33, -10.0]
    assert result["within"].iloc[:4].tolist() == [True, True, True, False]
    assert result["within"].iloc[4:].isna().all()
    assert result["note"].tolist()[4:] == [
        "no quotes convert SEK into USD",
        "GOLD is not a currency pair: describe it in instruments",
    ]


def test_without_rows_the_result_is_empty_with_all_columns() -> None:
    result = reconcile(analytics(), trades([]), open_positions(), quotes({}))
    assert result.empty
    assert result.dtypes.astype(str).to_dict() == {
        "theirs": "float64", "ours": "float64", "difference": "float64", "tolerance": "float64", "within": "boolean",
        "note": "str",
    }  # fmt: skip


def test_a_missing_column_is_named_in_the_error() -> None:
    frames: list[Any] = [analytics(), trades([]), open_positions(), quotes({})]
    for number, column in ((0, "metrics_win_rate"), (2, "current_price"), (3, "ask")):
        incomplete = [f.drop(columns=column) if n == number else f for n, f in enumerate(frames)]
        incomplete[2] = (
            incomplete[2] if number == 2 else open_positions((1, "EURUSD", "BUY", 0.1, 1.0850, 1.0860, 10.0))
        )
        with pytest.raises(UnknownColumn, match=column):
            reconcile(*incomplete)

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxlive.analytics.execution import execution, order_life
from fxlive.errors import InvalidFrame, UnknownColumn, UnknownOption
from tests.analytics.frames import T0, S, index, quotes, trades


def fills(*rows: tuple[float, dict[str, Any]]) -> pd.DataFrame:
    frame = trades(list(rows))
    return frame.assign(executed_at=frame.index)


def orders(*rows: tuple[float, dict[str, Any]]) -> pd.DataFrame:
    base = {"order_id": "o1", "ticket": None, "symbol": "EURUSD", "order_type": "BUY_LIMIT", "volume": 0.1,
            "price": 1.0848, "status": "PENDING", "filled_at": pd.NaT, "fill_price": math.nan, "filled_volume": 0.0,
            "strategy_id": "s1"}  # fmt: skip
    values = {c: [{**base, **row}[c] for _, row in rows] for c in base}
    frame = pd.DataFrame(values, index=index([T0 + round(s * S) for s, _ in rows]))
    money = dict.fromkeys(("volume", "price", "fill_price", "filled_volume"), "float64")
    return frame.astype({"ticket": "Int64", "order_id": "str", "order_type": "category", **money})


def at(second: float) -> pd.Timestamp:
    return pd.Timestamp(T0 + round(second * S), unit="us", tz="UTC")


SIDES = st.sampled_from(["BUY", "SELL"])
SYMBOLS = st.sampled_from(["EURUSD", "USDJPY"])
MARKET = quotes([(0, 1.0850, 1.0852), (1.5, 1.0853, 1.0855), (4, 1.0849, 1.0851), (400, 1.0860, 1.0862)])


def test_figures_of_a_buy_and_a_sell_computed_by_hand() -> None:
    result = execution(
        fills(
            (1, {"execution_id": "e1", "action": "BUY", "volume": 0.2, "open_price": 1.0853}),
            (4, {"execution_id": "e2", "action": "SELL", "volume": 0.1, "open_price": 1.0850}),
        ),
        None,
        MARKET,
        max_quote_age="10min",
    )
    buy, sell = result.iloc[0], result.iloc[1]
    assert (buy["bid"], buy["ask"], buy["quote_age_s"]) == (1.0850, 1.0852, 1.0)
    assert (sell["bid"], sell["quote_age_s"]) == (1.0853, 2.5)  # not the quote with the same timestamp
    expected = {
        "spread_pips": (2.0, 2.0), "slippage_pips": (1.0, 3.0), "slippage": (2.0, 3.0),
        "effective_spread_pips": (4.0, 8.0), "realised_spread_pips": (6.0, 0.0),
        "markout_1s_pips": (1.0, 0.0), "markout_5s_pips": (-3.0, 0.0), "markout_30s_pips": (-3.0, 0.0),
        "markout_5min_pips": (-3.0, 0.0),
    }  # fmt: skip
    for name, values in expected.items():
        assert [round(buy[name], 6), round(sell[name], 6)] == [pytest.approx(v, abs=1e-6) for v in values], name


def test_the_quotes_of_the_millisecond_of_a_fill_are_not_used_for_its_slippage() -> None:
    market = quotes([(0, 1.0850, 1.0852), (5, 1.0860, 1.0862), (5, 1.0870, 1.0872)])
    fill = execution(fills((5, {"action": "BUY", "open_price": 1.0853})), None, market).iloc[0]
    assert (fill["ask"], fill["quote_age_s"], round(fill["slippage_pips"], 6)) == (1.0852, 5.0, 1.0)
    first = execution(fills((0, {"action": "BUY", "open_price": 1.0853})), None, market).iloc[0]
    assert math.isnan(first["slippage_pips"])  # no quote came before it


def test_a_quote_of_the_millisecond_of_a_fill_is_used_if_it_was_received_before_the_fill() -> None:
    market = quotes([(0, 1.0850, 1.0852), (5, 1.0860, 1.0862), (5, 1.0870, 1.0872), (5, 1.0880, 1.0882)])
    market = market.assign(received_at=[at(0.1), at(5.1), at(5.2), at(5.3)])
    for received, ask in ((5.05, 1.0852), (5.1, 1.0852), (5.15, 1.0862), (5.3, 1.0872), (9, 1.0882)):
        trades = fills((5, {}), (5, {})).assign(received_at=[at(received), at(99)])
        assert execution(trades, None, market)["ask"].tolist() == [ask]


def test_of_quotes_with_equal_timestamps_before_a_fill_the_last_to_arrive_counts() -> None:
    market = quotes([(4, 1.0860, 1.0862), (4, 1.0850, 1.0852), (6, 1.0, 1.0)])
    assert execution(fills((5, {})), None, market)["ask"].tolist() == [1.0852]


def test_figures_before_the_first_and_after_the_last_quote_are_nan() -> None:
    late = fills((398, {}), (-5, {"execution_id": "e2"}), (500, {"execution_id": "e3"}))
    result = execution(late, None, MARKET, max_quote_age="10min")
    assert result["execution_id"].tolist() == ["e2", "exec_1", "e3"]  # by time
    assert result["mid"].isna().tolist() == [True, False, False]
    assert result["quote_age_s"].round(6).fillna(-1).tolist() == [-1, 394, 100]
    assert result["markout_1s_pips"].isna().tolist() == [True, False, True]
    assert math.isnan(result["markout_5s_pips"].iloc[1])  # the quotes end before that time


def test_figures_in_a_gap_of_the_quotes_are_nan() -> None:
    market = quotes([(0, 1.0850, 1.0852), (7200, 1.1000, 1.1002), (7600, 1.1000, 1.1002)])
    result = execution(fills((3600, {}), (30, {"execution_id": "e2"}), (7195, {"execution_id": "e3"})), None, market)
    assert result["quote_age_s"].tolist() == [30, 3600, 7195]
    figures = ["bid", "ask", "mid", "spread_pips", "slippage_pips", "slippage", "effective_spread_pips"]
    assert result[figures].isna().all(axis=1).tolist() == [False, True, True]
    assert result["markout_30s_pips"].isna().tolist() == [False, True, False]
    assert result["realised_spread_pips"].isna().tolist() == [False, True, False]
    assert result["markout_5min_pips"].isna().all()
    longer = execution(fills((3600, {})), None, market, max_quote_age="2h")
    assert longer["markout_5min_pips"].notna().all()
    with pytest.raises(UnknownOption, match="max_quote_age"):
        execution(fills((3600, {})), None, market, max_quote_age="long")


def test_slippage_is_converted_into_the_accounts_currency() -> None:
    frame = pd.concat([quotes([(0, 150.00, 150.02)], "USDJPY"), quotes([(0, 160.00, 160.02)], "EURJPY")])
    result = execution(
        fills(
            (1, {"execution_id": "e1", "symbol": "USDJPY", "volume": 0.1, "open_price": 150.03}),
            (1, {"execution_id": "e2", "symbol": "EURJPY", "volume": 0.1, "open_price": 160.03}),
            (1, {"execution_id": "e3", "symbol": "EURSEK", "volume": 0.1, "open_price": 11.0}),
        ),
        None,
        frame.astype({"symbol": "str"}),
    )
    assert result["slippage_pips"].round(6).fillna(-1).tolist() == [1.0, 1.0, -1]
    assert result["slippage"].iloc[:2].tolist() == pytest.approx([0.01 * 10_000 / 150.01] * 2)
    assert math.isnan(result["slippage"].iloc[2])


def test_a_fill_belongs_to_the_order_that_was_filled_at_that_time() -> None:
    reports = orders(
        (0, {"order_id": "o1"}),
        (4, {"order_id": "o1", "ticket": 1, "status": "FILLED", "filled_at": at(4), "fill_price": 1.0848,
             "filled_volume": 0.1}),
        (5, {"order_id": "o2", "ticket": 1, "order_type": "SELL", "price": 1.0849, "status": "FILLED",
             "fill_price": 1.0849, "filled_volume": 0.1}),
    )  # fmt: skip
    result = execution(
        fills(
            (4, {"execution_id": "e1", "ticket": 1, "action": "BUY", "open_price": 1.0848}),
            (5, {"execution_id": "e2", "ticket": 1, "action": "SELL", "open_price": 1.0849, "status": "CLOSED"}),
            (9, {"execution_id": "e3", "ticket": 1, "action": "SELL", "open_price": 1.0849, "status": "CLOSED"}),
            (9, {"execution_id": "e4", "ticket": None, "action": None}),
            # A stop that fills shortly after an order, and a fill reported shortly after the order was filled.
            (5.5, {"execution_id": "e5", "ticket": 1, "action": "SELL", "open_price": 1.0847, "status": "CLOSED"}),
            (5.9, {"execution_id": "e6", "ticket": 1, "action": "SELL", "open_price": 1.0849, "status": "CLOSED"}),
        ),
        reports,
        MARKET,
    )
    assert result["order_id"].fillna("").tolist() == ["o1", "o2", "", "o2", "", ""]
    assert result["order_type"].fillna("").tolist() == ["BUY_LIMIT", "SELL", "", "SELL", "", ""]
    assert result["order_price"].fillna(0).tolist() == [1.0848, 1.0849, 0, 1.0849, 0, 0]


def test_an_execution_reported_several_times_is_one_fill_with_its_last_report() -> None:
    result = execution(
        fills((1, {"open_price": 1.1}), (2, {"open_price": 1.2}), (1, {"open_price": 1.3})), None, MARKET
    )
    assert result["price"].tolist() == [1.2]


@given(ticks=st.lists(st.tuples(st.integers(0, 40), SYMBOLS, st.integers(1, 99)), max_size=30),
       filled=st.lists(st.tuples(st.integers(-2, 45), SYMBOLS, SIDES), max_size=8))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_the_quotes_of_fills_equal_a_search_row_by_row(ticks: Any, filled: Any) -> None:
    frame = pd.DataFrame(
        {
            "symbol": pd.Categorical([s for _, s, _ in ticks]),
            "bid": [p / 100 for *_, p in ticks],
            "ask": [p / 100 + 0.01 for *_, p in ticks],
        },
        index=index([T0 + t * S // 2 for t, *_ in ticks]),
    )
    rows = [
        (t / 2, {"execution_id": f"e{n}", "symbol": s, "action": a, "open_price": 0.5})
        for n, (t, s, a) in enumerate(filled)
    ]
    result = execution(fills(*rows), None, frame).set_index("execution_id")

    def mid(symbol: str, half_seconds: float, covered: bool = False, before: bool = False) -> float:
        price, newest = math.nan, -math.inf
        for t, s, p in sorted(ticks, key=lambda tick: tick[0]):
            if s == symbol:
                newest = t
                if t < half_seconds or (t == half_seconds and not before):
                    price = p / 100 + 0.005
        return math.nan if covered and newest < half_seconds else price

    for n, (t, symbol, action) in enumerate(filled):
        row, side, pip = result.loc[f"e{n}"], 1 if action == "BUY" else -1, 0.01 if symbol == "USDJPY" else 0.0001
        assert row["mid"] == pytest.approx(mid(symbol, t, before=True), nan_ok=True)
        for name, seconds in (("1s", 1), ("5s", 5)):
            expected = side * (mid(symbol, t + 2 * seconds, covered=True) - 0.5) / pip
            assert row[f"markout_{name}_pips"] == pytest.approx(expected, nan_ok=True, abs=1e-6)


def test_the_life_of_orders_of_each_type() -> None:
    result = order_life(
        orders(
            (0, {}),
            (4, {"ticket": 1, "status": "PARTIALLY_FILLED", "filled_at": at(4), "fill_price": 1.0848,
                 "filled_volume": 0.04}),
            (1, {"order_id": "o2", "order_type": "SELL_LIMIT", "price": 1.0860}),
            (2, {"order_id": "o2", "order_type": "SELL_LIMIT", "price": 1.0860, "status": "CANCELLED"}),
            (2, {"order_id": "o3", "order_type": "BUY", "price": 1.0855, "status": "FILLED", "filled_volume": 0.1,
                 "filled_at": at(2)}),
            (2, {"order_id": "o4", "order_type": "BUY_STOP", "price": 1.0860}),
            (2, {"order_id": "o5", "order_type": "SELL_STOP", "price": 1.0840, "volume": 0.0}),
        ),
        MARKET,
    )  # fmt: skip
    assert result.index.tolist() == ["o1", "o2", "o3", "o4", "o5"]
    assert result["time_to_fill_s"].fillna(-1).tolist() == [4.0, -1, 0.0, -1, -1]
    assert result["filled_share"].round(9).fillna(-1).tolist() == [0.4, 0.0, 1.0, 0.0, -1]
    assert result["distance_pips"].round(6).fillna(-1).tolist() == [-1, 10.0, -1, 5.0, 13.0]  # o1: no quote before
    assert result["ended"].tolist() == [False, True, True, False, False]
    assert result["status"].tolist()[0] == "PARTIALLY_FILLED"


def test_without_fills_or_orders_the_results_are_empty_with_all_columns() -> None:
    full = execution(fills((1, {})), orders((0, {})), MARKET)
    for result in (execution(fills(), None, MARKET), execution(fills(), orders(), quotes([]))):
        assert result.empty
        assert result.columns.equals(full.columns)
        assert str(result.index.dtype) == "datetime64[us, UTC]"
        numeric = full.columns[full.dtypes == "float64"]
        assert set(result[numeric].dtypes.astype(str)) == {"float64"}
    lives = order_life(orders(), quotes([]))
    assert lives.empty
    assert lives.columns.equals(order_life(orders((0, {})), MARKET).columns)
    assert np.isnan(execution(fills((1, {})), None, quotes([]))["mid"].iloc[0])


def test_invalid_arguments_raise_typed_errors() -> None:
    with pytest.raises(UnknownColumn, match="Unknown column 'executed_at' of trades"):
        execution(trades([]), None, MARKET)
    with pytest.raises(UnknownColumn, match="Unknown column 'ask' of quotes"):
        execution(fills((1, {})), None, MARKET.drop(columns="ask"))
    with pytest.raises(InvalidFrame, match="without a time zone"):
        execution(fills((1, {})).tz_localize(None), None, MARKET)
    for horizon in ("soon", "-1s"):
        with pytest.raises(UnknownOption, match="horizon must be"):
            execution(fills((1, {})), None, MARKET, horizons=(horizon,))

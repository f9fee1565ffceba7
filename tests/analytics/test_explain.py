from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxlive.analytics.explain import explain
from fxlive.analytics.pnl import pnl
from fxlive.errors import InvalidFrame, UnknownOption
from tests.analytics.frames import T0, S, positions, trades
from tests.analytics.test_pnl import wild_positions, wild_trades


def at(second: float) -> pd.Timestamp:
    return pd.Timestamp(round(T0 + second * S), unit="us", tz="UTC")


def test_a_change_is_explained_by_price_new_trades_and_costs() -> None:
    rows = [(0, 1, "EURUSD", 0.2, 5.0), (5, 2, "EURUSD", 0.1, -3.0), (6, 1, "EURUSD", 0.1, 10.0)]
    reports = [
        (0, {"execution_id": "o1", "ticket": 1, "commission": 1.0}),
        (5, {"execution_id": "o2", "ticket": 2, "commission": 0.5}),
        (6, {"execution_id": "c1", "ticket": 1, "volume": 0.1, "profit": 9.0, "commission": 0.5, "swap": -0.25,
             "status": "CLOSED"}),
        (7, {"execution_id": "c9", "ticket": 9, "profit": 2.0, "status": "CLOSED"}),
    ]  # fmt: skip
    parts = explain(positions(rows), trades(reports), at(0), at(10))
    assert parts.to_dict() == {"price": 14.0, "new_trades": -3.0, "costs": -1.25, "remainder": 2.0, "change": 11.75}
    whole = explain(positions(rows), trades(reports))
    assert whole.to_dict() == {"price": 0.0, "new_trades": 16.0, "costs": -2.25, "remainder": 2.0, "change": 15.75}


@given(rows=wild_positions, reports=wild_trades, times=st.tuples(st.integers(-1, 9), st.integers(-1, 9)))
@settings(max_examples=60, deadline=None)
def test_the_parts_add_up_to_the_change_of_the_total(rows: list[Any], reports: list[Any], times: Any) -> None:
    start, end = sorted(times)
    frames = positions(rows), trades(reports)
    total = pnl(*frames)["total"]
    parts = explain(*frames, at(start), at(end))
    before, after = (total[total.index <= at(t)] for t in (start, end))
    change = (after.iloc[-1] if len(after) else 0.0) - (before.iloc[-1] if len(before) else 0.0)
    assert parts["change"] == pytest.approx(change, abs=1e-9)
    assert parts.drop("change").sum() == pytest.approx(parts["change"], abs=1e-9)


def test_without_rows_every_part_is_zero() -> None:
    assert explain(positions([]), trades([])).to_dict() == dict.fromkeys(
        ("price", "new_trades", "costs", "remainder", "change"), 0.0
    )


def test_an_invalid_period_or_frame_raises_a_typed_error() -> None:
    frames = positions([(0, 1, "EURUSD", 0.1, 1.0)]), trades([(0, {})])
    with pytest.raises(InvalidFrame, match="trades has timestamps without a time zone"):
        explain(frames[0], frames[1].tz_localize(None), at(0))
    with pytest.raises(InvalidFrame, match="positions has timestamps without a time zone"):
        explain(frames[0].tz_localize(None), frames[1], None, at(0))
    with pytest.raises(UnknownOption, match=r"start must be a time up to the end"):
        explain(*frames, at(2), at(1))
    for option in ("start", "end"):
        with pytest.raises(UnknownOption, match=f"{option} must be .* got 'yesterday-ish'"):
            explain(*frames, **{option: "yesterday-ish"})
    assert explain(*frames, at(1), at(1))["change"] == 0

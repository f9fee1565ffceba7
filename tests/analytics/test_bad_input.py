"""Imperfect input: one row, missing values, any order, repeated times, missing columns, times without a zone.

Each analysis gets the frames of a small session with one defect. It returns a result with all columns, or raises a
typed error that names the defect.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fxlive.analytics.bars import bars, range_bars, tick_bars
from fxlive.analytics.execution import execution, order_life
from fxlive.analytics.explain import explain
from fxlive.analytics.exposure import exposure
from fxlive.analytics.market import correlation, latency, spread_profile
from fxlive.analytics.performance import performance
from fxlive.analytics.pnl import pnl
from fxlive.analytics.reconcile import reconcile
from fxlive.analytics.risk import period_returns
from fxlive.core.instruments import Instruments
from fxlive.errors import FxliveError, InvalidFrame, UnknownColumn, UnknownOption
from tests.analytics import test_execution as fills
from tests.analytics.frames import T0, S, index, quotes, trades
from tests.analytics.test_exposure import open_positions
from tests.analytics.test_reconcile import analytics

Frames = dict[str, pd.DataFrame]


def frames() -> Frames:
    """Return the frames of a small session with rows for every analysis."""
    return dict(_frames())


@cache
def _frames() -> Frames:
    ticks = quotes([(n, 1.0850 + n % 7 / 1e4, 1.0852 + n % 5 / 1e4) for n in range(60)])
    trade_rows = trades(
        [
            (2, {"commission": 0.5}),
            (9, {"execution_id": "exec_2", "status": "CLOSED", "profit": 3.0, "action": "SELL"}),
            (12, {"execution_id": "exec_3", "ticket": 2, "status": "CLOSED", "profit": -1.0}),
        ]
    )
    position_rows = open_positions((1, "EURUSD", "BUY", 0.1, 1.0850), (2, "EURUSD", "SELL", 0.2, 1.0850)).assign(
        current_price=1.0860
    )
    return {
        "quotes": ticks.assign(received_at=index(ticks.index.asi8 + 3000), last=ticks["bid"]),
        "trades": trade_rows.assign(executed_at=trade_rows.index),
        "positions": position_rows.set_index(index([T0 + 3 * S, T0 + 4 * S])),
        "orders": fills.orders((1, {}), (2, {"order_id": "o2", "order_type": "SELL", "status": "FILLED", "ticket": 1})),
        "analytics": analytics((20, "DAY", 2, 50.0, 1.5, 1.0)),
    }


# The channels that each function uses, and a call of it.
FUNCTIONS: dict[str, tuple[tuple[str, ...], Callable[[Frames], Any]]] = {
    "bars": (("quotes",), lambda f: bars(f["quotes"], "5s")),
    "tick_bars": (("quotes",), lambda f: tick_bars(f["quotes"], 7)),
    "range_bars": (("quotes",), lambda f: range_bars(f["quotes"], 3)),
    "latency": (("quotes",), lambda f: latency(f["quotes"], "10s")),
    "correlation": (("quotes",), lambda f: correlation(f["quotes"], "1s")),
    "spread_profile": (("quotes",), lambda f: spread_profile(f["quotes"])),
    "pnl": (("positions", "trades"), lambda f: pnl(f["positions"], f["trades"])),
    "pnl by": (("positions", "trades"), lambda f: pnl(f["positions"], f["trades"], "strategy_id")),
    "explain": (("positions", "trades"), lambda f: explain(f["positions"], f["trades"])),
    "performance": (("trades",), lambda f: performance(f["trades"])),
    "performance by": (("trades",), lambda f: performance(f["trades"], "symbol")),
    "execution": (("trades", "orders", "quotes"), lambda f: execution(f["trades"], f["orders"], f["quotes"])),
    "order_life": (("orders", "quotes"), lambda f: order_life(f["orders"], f["quotes"])),
    "exposure": (("positions", "quotes"), lambda f: exposure(f["positions"], f["quotes"]).by_currency),
    "reconcile": (
        ("analytics", "trades", "positions", "quotes"),
        lambda f: reconcile(f["analytics"], f["trades"], f["positions"], f["quotes"]),
    ),
}
EVERY = pytest.mark.parametrize("name", FUNCTIONS)


def dtypes(result: Any) -> Any:
    return result.dtypes.astype(str).to_dict() if isinstance(result, pd.DataFrame) else list(result.index)


def without_values(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with all its numbers and times missing."""
    missing = {"float64": math.nan, "datetime64[us, UTC]": pd.NaT}
    kinds = {column: str(dtype) for column, dtype in frame.dtypes.items() if str(dtype) in missing}
    return frame.assign(**{c: pd.Series(missing[k], frame.index, dtype=k) for c, k in kinds.items()})


DEFECTS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "no row": lambda f: f.iloc[:0],
    "one row": lambda f: f.iloc[:1],
    "only missing values": without_values,
    "reverse order": lambda f: f.iloc[::-1],
    "every row twice": lambda f: pd.concat([f, f]),
    "equal times": lambda f: f.set_index(index([T0] * len(f))),
    "another time zone": lambda f: f.tz_convert("Asia/Tokyo"),
    "nanoseconds": lambda f: f.set_axis(f.index.as_unit("ns")),
    "text instead of categories": lambda f: f.astype({c: "str" for c in f.columns if f[c].dtype == "category"}),
    "columns in another order": lambda f: f[f.columns[::-1]],
}


@EVERY
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_result_has_all_columns_whatever_the_rows_are_like(name: str, defect: str) -> None:
    _, function = FUNCTIONS[name]
    whole = function(frames())
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("error")
        result = function({channel: DEFECTS[defect](frame) for channel, frame in frames().items()})
    if name == "correlation":
        assert set(result.dtypes.astype(str)) <= {"float64"}
    elif defect == "text instead of categories":
        assert list(dtypes(result)) == list(dtypes(whole))
    else:
        assert dtypes(result) == dtypes(whole)
    if defect in ("another time zone", "nanoseconds"):
        assert result.equals(whole)


@EVERY
def test_timestamps_without_a_time_zone_raise_an_error(name: str) -> None:
    uses, function = FUNCTIONS[name]
    for channel in uses:
        session = frames()
        session[channel] = session[channel].tz_localize(None)
        with pytest.raises(FxliveError, match="without a time zone"):
            function(session)


@EVERY
def test_a_missing_column_is_named_in_the_error(name: str) -> None:
    uses, function = FUNCTIONS[name]
    needed = 0
    for channel in uses:
        for column in frames()[channel].columns:
            session = frames()
            session[channel] = session[channel].drop(columns=column)
            with contextlib.suppress(UnknownColumn):
                function(session)
                continue
            needed += 1
            with pytest.raises(UnknownColumn, match=f"Unknown column '{column}' of"):
                function(session)
    assert needed


INVALID: dict[str, Callable[[Frames], Any]] = {
    "text in a column of prices": lambda f: bars(f["quotes"].assign(bid="abc"), "1s"),
    "text in a column of money": lambda f: pnl(f["positions"], f["trades"].assign(profit="x")),
    "two columns of one name": lambda f: bars(pd.concat([f["quotes"], f["quotes"][["bid"]]], axis=1), "1s"),
    "a ticket that is text": lambda f: pnl(f["positions"].assign(ticket="a"), f["trades"]),
    "a trade's ticket that is text": lambda f: pnl(f["positions"], f["trades"].assign(ticket="a")),
    "a column of times that are text": lambda f: execution(f["trades"].assign(executed_at="soon"), None, f["quotes"]),
    "a folder of time zones": lambda f: bars(f["quotes"], "1h", day_start="17:00 America"),
    "a range that is text": lambda f: range_bars(f["quotes"], "5"),  # type: ignore[arg-type]
    "a fraction of a quote": lambda f: tick_bars(f["quotes"], 1.5),  # type: ignore[arg-type]
    "a move of -100 %": lambda f: exposure(f["positions"], f["quotes"], shocks_pct=(-100.0,)),
    "a number instead of a list of moves": lambda f: exposure(f["positions"], f["quotes"], shocks_pct=1),  # type: ignore
    "a move that is text": lambda f: exposure(f["positions"], f["quotes"], shocks_pct=["2"]),  # type: ignore[list-item]
    "equity that is text": lambda f: exposure(f["positions"], f["quotes"], equity="1e6"),  # type: ignore[arg-type]
    "a margin call level that is text": lambda f: exposure(f["positions"], f["quotes"], margin_call_pct="x"),  # type: ignore
    "a dict instead of instruments": lambda f: exposure(f["positions"], f["quotes"], instruments={}),  # type: ignore
    "a dict instead of instruments of bars": lambda f: bars(f["quotes"], "1s", instruments={"EURUSD": 0.1}),  # type: ignore[arg-type]
    "a list instead of instruments": lambda f: spread_profile(f["quotes"], instruments=["EURUSD"]),  # type: ignore[arg-type]
    "a pip instead of an instrument": lambda f: Instruments({"XAUUSD": 0.1}),  # type: ignore[dict-item]
    "a symbol instead of instruments": lambda f: Instruments("XAUUSD"),  # type: ignore[arg-type]
    "a number of returns that is text": lambda f: correlation(f["quotes"], min_returns="x"),  # type: ignore[arg-type]
    "a list instead of a time zone": lambda f: spread_profile(f["quotes"], ["UTC"]),  # type: ignore[arg-type]
    "a text instead of a list of horizons": lambda f: execution(f["trades"], None, f["quotes"], horizons="30s"),
    "a list instead of a duration": lambda f: execution(f["trades"], None, f["quotes"], realised_after=["1s"]),  # type: ignore
    "capital that is text": lambda f: period_returns(pnl(f["positions"], f["trades"])["total"], "1000"),  # type: ignore
    "a frame instead of a series of totals": lambda f: period_returns(f["quotes"], 1000),  # type: ignore[arg-type]
    "missing totals": lambda f: period_returns(f["quotes"]["bid"].mask(f["quotes"]["bid"] > 1.0852), 1000),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_input_raises_a_typed_error(name: str) -> None:
    with pytest.raises((InvalidFrame, UnknownOption)) as raised:
        INVALID[name](frames())
    assert str(raised.value).endswith((".", '"'))


def test_a_trade_without_status_does_not_close_whatever_the_dtype_of_the_column() -> None:
    session = frames()
    for kind in ("string[python]", "object", "category"):
        status = pd.array([None, "CLOSED", "FILLED"], "string[python]").astype(kind)
        rows = session["trades"].assign(status=status)
        assert performance(rows)["total_trades"] == 1
        assert pnl(session["positions"], rows)["realized"].iloc[-1] == 1.5


def test_numpy_integers_are_accepted_as_whole_numbers() -> None:
    pd.testing.assert_frame_equal(tick_bars(frames()["quotes"], np.int64(7)), tick_bars(frames()["quotes"], 7))


@EVERY
def test_a_value_that_is_not_a_frame_raises_an_error(name: str) -> None:
    uses, function = FUNCTIONS[name]
    for channel in uses:
        if (name, channel) != ("execution", "orders"):  # which may be None
            with pytest.raises(FxliveError, match="must be a pandas DataFrame, got NoneType"):
                function({**frames(), channel: None})  # type: ignore[dict-item]


@pytest.mark.parametrize("name", ["execution", "spread_profile", "correlation", "exposure", "order_life", "latency"])
def test_the_order_of_rows_with_distinct_times_does_not_matter(name: str) -> None:
    _, function = FUNCTIONS[name]
    result = function({channel: frame.sample(frac=1, random_state=1) for channel, frame in frames().items()})
    whole = function(frames())
    pd.testing.assert_frame_equal(result.sort_index(), whole.sort_index())

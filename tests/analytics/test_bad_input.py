"""What real data brings: one row, nothing but missing values, any order, repeated times, missing columns, naive times.

Each function gets the frames of a small session, made worse; it answers with a word of what is wrong, or with all its
columns.
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
from tests.analytics.test_exposure import held
from tests.analytics.test_reconcile import analytics

Frames = dict[str, pd.DataFrame]


def frames() -> Frames:
    """A small session: every function has something to say of it."""
    return dict(_frames())


@cache
def _frames() -> Frames:
    ticks = quotes([(n, 1.0850 + n % 7 / 1e4, 1.0852 + n % 5 / 1e4) for n in range(60)])
    said = trades(
        [
            (2, {"commission": 0.5}),
            (9, {"execution_id": "exec_2", "status": "CLOSED", "profit": 3.0, "action": "SELL"}),
            (12, {"execution_id": "exec_3", "ticket": 2, "status": "CLOSED", "profit": -1.0}),
        ]
    )
    rows = held((1, "EURUSD", "BUY", 0.1, 1.0850), (2, "EURUSD", "SELL", 0.2, 1.0850)).assign(current_price=1.0860)
    return {
        "quotes": ticks.assign(received_at=index(ticks.index.asi8 + 3000), last=ticks["bid"]),
        "trades": said.assign(executed_at=said.index),
        "positions": rows.set_index(index([T0 + 3 * S, T0 + 4 * S])),
        "orders": fills.orders((1, {}), (2, {"order_id": "o2", "order_type": "SELL", "status": "FILLED", "ticket": 1})),
        "analytics": analytics((20, "DAY", 2, 50.0, 1.5, 1.0)),
    }


# What each function uses, and how it is called.
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


def dtypes(told: Any) -> Any:
    return told.dtypes.astype(str).to_dict() if isinstance(told, pd.DataFrame) else list(told.index)


def without_values(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with every number and time of it missing."""
    missing = {"float64": math.nan, "datetime64[us, UTC]": pd.NaT}
    kinds = {column: str(dtype) for column, dtype in frame.dtypes.items() if str(dtype) in missing}
    return frame.assign(**{c: pd.Series(missing[k], frame.index, dtype=k) for c, k in kinds.items()})


WORSE: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "no row": lambda f: f.iloc[:0],
    "one row": lambda f: f.iloc[:1],
    "nothing but missing values": without_values,
    "the last first": lambda f: f.iloc[::-1],
    "every time twice": lambda f: pd.concat([f, f]),
    "one time for all": lambda f: f.set_index(index([T0] * len(f))),
    "another zone": lambda f: f.tz_convert("Asia/Tokyo"),
    "nanoseconds": lambda f: f.set_axis(f.index.as_unit("ns")),
    "text in place of codes": lambda f: f.astype({c: "str" for c in f.columns if f[c].dtype == "category"}),
    "columns in another order": lambda f: f[f.columns[::-1]],
}


@EVERY
@pytest.mark.parametrize("worse", WORSE)
def test_whatever_the_rows_are_like_the_answer_has_its_columns(name: str, worse: str) -> None:
    _, function = FUNCTIONS[name]
    whole = function(frames())
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("error")
        told = function({channel: WORSE[worse](frame) for channel, frame in frames().items()})
    if name == "correlation":
        assert set(told.dtypes.astype(str)) <= {"float64"}
    elif worse == "text in place of codes":
        assert list(dtypes(told)) == list(dtypes(whole))
    else:
        assert dtypes(told) == dtypes(whole)
    if worse in ("another zone", "nanoseconds"):
        assert told.equals(whole)


@EVERY
def test_times_without_a_zone_are_refused(name: str) -> None:
    uses, function = FUNCTIONS[name]
    for channel in uses:
        made = frames()
        made[channel] = made[channel].tz_localize(None)
        with pytest.raises(FxliveError, match="without a zone"):
            function(made)


@EVERY
def test_a_column_that_is_missing_is_named(name: str) -> None:
    uses, function = FUNCTIONS[name]
    needed = 0
    for channel in uses:
        for column in frames()[channel].columns:
            made = frames()
            made[channel] = made[channel].drop(columns=column)
            with contextlib.suppress(
                UnknownColumn
            ):  # whose text begins with the frame's name and ends with its columns
                function(made)
                continue
            needed += 1
            with pytest.raises(UnknownColumn, match=f"Unknown column '{column}' of"):
                function(made)
    assert needed


ODD: dict[str, Callable[[Frames], Any]] = {
    "text in a column of prices": lambda f: bars(f["quotes"].assign(bid="abc"), "1s"),
    "text in a column of money": lambda f: pnl(f["positions"], f["trades"].assign(profit="x")),
    "a column twice": lambda f: bars(pd.concat([f["quotes"], f["quotes"][["bid"]]], axis=1), "1s"),
    "a ticket of letters": lambda f: pnl(f["positions"].assign(ticket="a"), f["trades"]),
    "a trade's ticket of letters": lambda f: pnl(f["positions"], f["trades"].assign(ticket="a")),
    "a time that is none": lambda f: execution(f["trades"].assign(executed_at="soon"), None, f["quotes"]),
    "a folder of zones": lambda f: bars(f["quotes"], "1h", day_start="17:00 America"),
    "a range in letters": lambda f: range_bars(f["quotes"], "5"),  # type: ignore[arg-type]
    "half a quote": lambda f: tick_bars(f["quotes"], 1.5),  # type: ignore[arg-type]
    "a currency that is worth nothing": lambda f: exposure(f["positions"], f["quotes"], shocks_pct=(-100.0,)),
    "one move in place of several": lambda f: exposure(f["positions"], f["quotes"], shocks_pct=1),  # type: ignore
    "a move in letters": lambda f: exposure(f["positions"], f["quotes"], shocks_pct=["2"]),  # type: ignore[list-item]
    "equity in letters": lambda f: exposure(f["positions"], f["quotes"], equity="1e6"),  # type: ignore[arg-type]
    "a margin call in letters": lambda f: exposure(f["positions"], f["quotes"], margin_call_pct="x"),  # type: ignore
    "a dict in place of instruments": lambda f: exposure(f["positions"], f["quotes"], instruments={}),  # type: ignore
    "the same of bars": lambda f: bars(f["quotes"], "1s", instruments={"EURUSD": 0.1}),  # type: ignore[arg-type]
    "the same of spreads": lambda f: spread_profile(f["quotes"], instruments=["EURUSD"]),  # type: ignore[arg-type]
    "a pip in place of an instrument": lambda f: Instruments({"XAUUSD": 0.1}),  # type: ignore[dict-item]
    "a symbol in place of instruments": lambda f: Instruments("XAUUSD"),  # type: ignore[arg-type]
    "returns in letters": lambda f: correlation(f["quotes"], min_returns="x"),  # type: ignore[arg-type]
    "several zones in place of one": lambda f: spread_profile(f["quotes"], ["UTC"]),  # type: ignore[arg-type]
    "one horizon in place of several": lambda f: execution(f["trades"], None, f["quotes"], horizons="30s"),
    "a horizon that is a list": lambda f: execution(f["trades"], None, f["quotes"], realised_after=["1s"]),  # type: ignore
    "no capital but text": lambda f: period_returns(pnl(f["positions"], f["trades"])["total"], "1000"),  # type: ignore
    "frames in place of totals": lambda f: period_returns(f["quotes"], 1000),  # type: ignore[arg-type]
    "totals that are missing": lambda f: period_returns(f["quotes"]["bid"].mask(f["quotes"]["bid"] > 1.0852), 1000),
}


@pytest.mark.parametrize("odd", ODD)
def test_what_cannot_be_counted_is_a_typed_error(odd: str) -> None:
    with pytest.raises((InvalidFrame, UnknownOption)) as refused:
        ODD[odd](frames())
    assert str(refused.value).endswith((".", '"'))


def test_a_status_that_is_missing_closes_nothing_whatever_the_kind_of_text() -> None:
    made = frames()
    for kind in ("string[python]", "object", "category"):
        status = pd.array([None, "CLOSED", "FILLED"], "string[python]").astype(kind)
        said = made["trades"].assign(status=status)
        assert performance(said)["total_trades"] == 1
        assert pnl(made["positions"], said)["realized"].iloc[-1] == 1.5


def test_whole_numbers_of_numpy_are_whole_numbers() -> None:
    pd.testing.assert_frame_equal(tick_bars(frames()["quotes"], np.int64(7)), tick_bars(frames()["quotes"], 7))


@EVERY
def test_what_is_no_frame_is_refused(name: str) -> None:
    uses, function = FUNCTIONS[name]
    for channel in uses:
        if (name, channel) != ("execution", "orders"):  # which may be None
            with pytest.raises(FxliveError, match=r"is a NoneType, not a DataFrame"):
                function({**frames(), channel: None})  # type: ignore[dict-item]


@pytest.mark.parametrize("name", ["execution", "spread_profile", "correlation", "exposure", "order_life", "latency"])
def test_where_all_times_differ_the_order_of_the_rows_does_not_matter(name: str) -> None:
    _, function = FUNCTIONS[name]
    told = function({channel: frame.sample(frac=1, random_state=1) for channel, frame in frames().items()})
    whole = function(frames())
    pd.testing.assert_frame_equal(told.sort_index(), whole.sort_index())

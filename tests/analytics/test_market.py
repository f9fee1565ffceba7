from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from fxlive.analytics.market import correlation, latency, spread_profile
from fxlive.errors import InvalidFrame, UnknownColumn, UnknownOption
from tests.analytics.frames import T0, S, index, quotes, real_day


def test_latency_is_from_the_event_to_its_receipt() -> None:
    frame = pd.DataFrame(
        {"received_at": index([T0 + 5000, T0 + 8000, T0 + 61 * S + 1000])}, index=index([T0, T0, T0 + 61 * S])
    )
    told = latency(frame, offset_ms=1.0)
    assert told.index.asi8.tolist() == [T0, T0 + 60 * S]
    assert told["count"].tolist() == [2, 1]
    assert told["p50_ms"].tolist() == [7.5, 2.0]
    assert told["p99_ms"].tolist() == pytest.approx([8.97, 2.0])
    assert told["max_ms"].tolist() == [9.0, 2.0]
    empty = latency(frame.iloc[:0])
    assert empty.dtypes.equals(told.dtypes)
    assert empty.index.dtype == told.index.dtype


def test_correlation_of_a_real_day_is_that_of_pandas_resample() -> None:
    day = real_day()
    told = correlation(day, "1min")
    mids = {s: ((f["bid"] + f["ask"]) / 2).resample("1min").last() for s, f in day.groupby("symbol", observed=True)}
    expected = np.log(pd.DataFrame(mids)).diff().corr()
    assert told.loc["EURUSD", "NZDUSD"] == pytest.approx(expected.loc["EURUSD", "NZDUSD"], rel=1e-9)
    assert 0.1 < told.loc["EURUSD", "NZDUSD"] < 1


def test_holes_make_no_returns_and_few_returns_no_correlation() -> None:
    rng = np.random.default_rng(3)
    steps = np.r_[0:25, 40:65]  # a hole of fifteen bars
    prices = 1 + rng.normal(0, 1e-4, len(steps)).cumsum()
    other = prices * 2
    frame = pd.concat(
        [quotes(list(zip(steps, p, p, strict=True)), s) for s, p in (("EURUSD", prices), ("GBPUSD", other))]
    )
    frame = frame.astype({"symbol": "str"})
    assert correlation(frame, "1s").loc["EURUSD", "GBPUSD"] == pytest.approx(1.0)
    assert correlation(frame, "1s", min_returns=48).notna().all(axis=None)
    assert correlation(frame, "1s", min_returns=48).attrs["reasons"] == {}
    none = correlation(frame, "1s", min_returns=49)
    assert none.isna().all(axis=None)
    assert none.attrs["reasons"] == dict.fromkeys(["EURUSD", "GBPUSD"], "48 returns, fewer than min_returns=49")
    still = correlation(frame.assign(bid=1.0, ask=1.0), "1s")
    assert still.attrs["reasons"] == dict.fromkeys(["EURUSD", "GBPUSD"], "the returns do not differ")


def test_spreads_by_the_hour_count_crossed_quotes() -> None:
    frame = quotes([(0, 1.0, 1.0002), (1, 1.0, 1.0004), (2, 1.0002, 1.0), (3600, 1.0, math.nan), (7200, 1.0, 1.0001)])
    told = spread_profile(frame)
    assert told.index.tolist() == [("EURUSD", 0), ("EURUSD", 2)]
    assert told["quotes"].tolist() == [3, 1]
    assert told["crossed"].tolist() == [1, 0]
    assert told["median_pips"].tolist() == [2.0, 1.0]
    assert told["mean_pips"].round(6).tolist() == [1.333333, 1.0]
    assert spread_profile(frame, "Europe/Berlin").index.get_level_values("hour").tolist() == [1, 3]
    assert spread_profile(frame.assign(symbol="GOLD")).empty


def test_a_real_days_spreads_are_those_of_pandas() -> None:
    day = real_day()
    told = spread_profile(day)
    pips = ((day["ask"] - day["bid"]) / 0.0001).round(6)
    expected = pips.groupby([day["symbol"].astype("str"), day.index.hour]).agg(["size", "mean", "median"])
    assert told["quotes"].tolist() == expected["size"].tolist()
    np.testing.assert_allclose(told[["mean_pips", "median_pips"]], expected[["mean", "median"]])
    assert told["crossed"].sum() == (day["ask"] < day["bid"]).sum() > 0


def test_of_nothing_there_is_nothing_but_all_columns() -> None:
    assert correlation(quotes([])).shape == (0, 0)
    assert spread_profile(quotes([])).dtypes.equals(spread_profile(quotes([(0, 1.0, 1.1)])).dtypes)
    assert spread_profile(quotes([])).index.names == ["symbol", "hour"]


def test_what_is_wrong_is_said() -> None:
    frame = quotes([(0, 1.0, 1.1)])
    for function in (correlation, spread_profile):
        with pytest.raises(UnknownColumn, match="'bid'"):
            function(frame.drop(columns="bid"))
        with pytest.raises(InvalidFrame, match="without a zone"):
            function(frame.tz_localize(None))
    with pytest.raises(UnknownColumn, match="'received_at'"):
        latency(frame)
    with pytest.raises(UnknownOption, match="zone must be"):
        spread_profile(frame, "Mars/Olympus")
    with pytest.raises(UnknownOption, match="freq must be"):
        correlation(frame, "2D")
    with pytest.raises(UnknownOption, match="min_returns"):
        correlation(frame, min_returns=1)

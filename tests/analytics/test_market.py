from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from fxlive.analytics.market import correlation, latency, spread_profile
from fxlive.errors import InvalidFrame, UnknownColumn, UnknownOption
from tests.analytics.frames import T0, S, index, quotes, real_day


def test_latency_is_the_time_from_the_messages_timestamp_to_its_receipt() -> None:
    frame = pd.DataFrame(
        {"received_at": index([T0 + 5000, T0 + 8000, T0 + 61 * S + 1000])}, index=index([T0, T0, T0 + 61 * S])
    )
    result = latency(frame, offset_ms=1.0)
    assert result.index.asi8.tolist() == [T0, T0 + 60 * S]
    assert result["count"].tolist() == [2, 1]
    assert result["p50_ms"].tolist() == [7.5, 2.0]
    assert result["p99_ms"].tolist() == pytest.approx([8.97, 2.0])
    assert result["max_ms"].tolist() == [9.0, 2.0]
    empty = latency(frame.iloc[:0])
    assert empty.dtypes.equals(result.dtypes)
    assert empty.index.dtype == result.index.dtype


def test_correlation_of_a_real_day_equals_that_of_pandas_resample() -> None:
    day = real_day()
    matrix = correlation(day, "1min")
    mids = {s: ((f["bid"] + f["ask"]) / 2).resample("1min").last() for s, f in day.groupby("symbol", observed=True)}
    expected = np.log(pd.DataFrame(mids)).diff().corr()
    assert matrix.loc["EURUSD", "NZDUSD"] == pytest.approx(expected.loc["EURUSD", "NZDUSD"], rel=1e-9)
    assert 0.1 < matrix.loc["EURUSD", "NZDUSD"] < 1


def test_bars_without_quotes_have_no_return_and_too_few_returns_give_no_correlation() -> None:
    rng = np.random.default_rng(3)
    steps = np.r_[0:25, 40:65]  # fifteen bars have no quote
    prices = 1 + rng.normal(0, 1e-4, len(steps)).cumsum()
    other = prices * 2
    frame = pd.concat(
        [quotes(list(zip(steps, p, p, strict=True)), s) for s, p in (("EURUSD", prices), ("GBPUSD", other))]
    )
    frame = frame.astype({"symbol": "str"})
    assert correlation(frame, "1s").loc["EURUSD", "GBPUSD"] == pytest.approx(1.0)
    assert correlation(frame, "1s", min_returns=48).notna().all(axis=None)
    assert correlation(frame, "1s", min_returns=48).attrs["reasons"] == {}
    too_few = correlation(frame, "1s", min_returns=49)
    assert too_few.isna().all(axis=None)
    assert too_few.attrs["reasons"] == dict.fromkeys(["EURUSD", "GBPUSD"], "48 returns, fewer than min_returns=49")
    constant = correlation(frame.assign(bid=1.0, ask=1.0), "1s")
    assert constant.attrs["reasons"] == dict.fromkeys(["EURUSD", "GBPUSD"], "all returns are equal")


def test_the_spread_profile_counts_quotes_and_crossed_quotes_by_hour() -> None:
    frame = quotes([(0, 1.0, 1.0002), (1, 1.0, 1.0004), (2, 1.0002, 1.0), (3600, 1.0, math.nan), (7200, 1.0, 1.0001)])
    profile = spread_profile(frame)
    assert profile.index.tolist() == [("EURUSD", 0), ("EURUSD", 2)]
    assert profile["quotes"].tolist() == [3, 1]
    assert profile["crossed"].tolist() == [1, 0]
    assert profile["median_pips"].tolist() == [2.0, 1.0]
    assert profile["mean_pips"].round(6).tolist() == [1.333333, 1.0]
    assert spread_profile(frame, "Europe/Berlin").index.get_level_values("hour").tolist() == [1, 3]
    assert spread_profile(frame.assign(symbol="GOLD")).empty


def test_the_spread_profile_of_a_real_day_equals_that_of_pandas() -> None:
    day = real_day()
    profile = spread_profile(day)
    pips = ((day["ask"] - day["bid"]) / 0.0001).round(6)
    expected = pips.groupby([day["symbol"].astype("str"), day.index.hour]).agg(["size", "mean", "median"])
    assert profile["quotes"].tolist() == expected["size"].tolist()
    np.testing.assert_allclose(profile[["mean_pips", "median_pips"]], expected[["mean", "median"]])
    assert profile["crossed"].sum() == (day["ask"] < day["bid"]).sum() > 0


def test_without_quotes_the_results_are_empty_with_all_columns() -> None:
    assert correlation(quotes([])).shape == (0, 0)
    assert spread_profile(quotes([])).dtypes.equals(spread_profile(quotes([(0, 1.0, 1.1)])).dtypes)
    assert spread_profile(quotes([])).index.names == ["symbol", "hour"]


def test_invalid_arguments_raise_typed_errors() -> None:
    frame = quotes([(0, 1.0, 1.1)])
    for function in (correlation, spread_profile):
        with pytest.raises(UnknownColumn, match="'bid'"):
            function(frame.drop(columns="bid"))
        with pytest.raises(InvalidFrame, match="without a time zone"):
            function(frame.tz_localize(None))
    with pytest.raises(UnknownColumn, match="'received_at'"):
        latency(frame)
    with pytest.raises(UnknownOption, match="zone must be"):
        spread_profile(frame, "Mars/Olympus")
    with pytest.raises(UnknownOption, match="freq must be"):
        correlation(frame, "2D")
    with pytest.raises(UnknownOption, match="min_returns"):
        correlation(frame, min_returns=1)

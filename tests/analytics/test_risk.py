"""Risk figures compared with those of empyrical-reloaded and quantstats, or with the papers' formulas.

Intended differences: losses (VaR, CVaR, drawdown) are positive here and negative there; too few returns give NaN here;
VaR and CVaR use the historical returns, those of quantstats a normal distribution.
"""

from __future__ import annotations

import math
from typing import Any

import empyrical
import numpy as np
import pandas as pd
import pytest
import quantstats.stats
import scipy.stats
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fxlive.analytics.risk import period_returns, periods_per_year, risk
from fxlive.errors import InvalidFrame, UnknownOption
from tests.analytics.frames import T0, S, index

HOUR = 3600 * S


def hourly(values: Any) -> pd.Series:
    return pd.Series(np.asarray(values, np.float64), index(T0 + HOUR * np.arange(len(values))))


@given(returns=st.lists(st.integers(-300, 320).map(lambda n: n / 1e4), min_size=20, max_size=120, unique=True),
       periods=st.sampled_from([260, 6240.0]))  # fmt: skip
@example([n / 1e4 for n in range(30)], 260).via("no loss")
@example([-n / 1e4 for n in range(1, 31)], 260).via("only losses")
@settings(max_examples=60, deadline=None)
def test_the_figures_equal_those_of_empyrical(returns: list[float], periods: float) -> None:
    r = hourly(returns)
    figures = risk(r, periods)
    kwargs = {"annualization": periods}
    expected = {
        "total_return": empyrical.cum_returns_final(r),
        "annual_return": empyrical.annual_return(r, **kwargs),
        "volatility": empyrical.annual_volatility(r, **kwargs),
        "sharpe": empyrical.sharpe_ratio(r, **kwargs),
        "sortino": empyrical.sortino_ratio(r, **kwargs),
        "max_drawdown": -empyrical.max_drawdown(r),
        "calmar": empyrical.calmar_ratio(r, **kwargs),
        "omega": empyrical.omega_ratio(r, **kwargs),
        "var_95": -empyrical.value_at_risk(r, 0.05),
        "cvar_95": -empyrical.conditional_value_at_risk(r, 0.05),
        "tail_ratio": empyrical.tail_ratio(r),
        "skew": scipy.stats.skew(r),
        "kurtosis": scipy.stats.kurtosis(r),
    }
    for name, value in expected.items():
        if math.isfinite(value):
            assert figures[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name
        else:
            assert math.isnan(figures[name]), name
            assert figures.attrs["reasons"][name]
    assert (figures["returns"], figures["periods_per_year"]) == (len(returns), periods)


@given(returns=st.lists(st.integers(-300, 320).map(lambda n: n / 1e4), min_size=20, max_size=60, unique=True))
@settings(max_examples=30, deadline=None)
def test_the_figures_equal_those_of_quantstats(returns: list[float]) -> None:
    r, n = hourly(returns), len(returns)
    figures = risk(r, 260)
    expected = {
        "total_return": quantstats.stats.comp(r),
        "annual_return": quantstats.stats.cagr(r, periods=260),
        "volatility": quantstats.stats.volatility(r, periods=260, prepare_returns=False),
        "sharpe": quantstats.stats.sharpe(r, periods=260),
        "sortino": quantstats.stats.sortino(r, periods=260),
        "max_drawdown": -quantstats.stats.max_drawdown(r),
        "calmar": quantstats.stats.calmar(r, periods=260),
        "omega": quantstats.stats.omega(r, periods=260),
        "tail_ratio": quantstats.stats.tail_ratio(r, prepare_returns=False),
        # A fraction there, percent here as in Martin (1987), who divides by n and not by n - 1.
        "ulcer_index": quantstats.stats.ulcer_index(r) * 100 * math.sqrt((n - 1) / n),
    }
    for name, value in expected.items():
        if not math.isnan(figures[name]):
            assert figures[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name
    # quantstats estimates the population's moments from a sample; here they are those of the returns themselves.
    assert quantstats.stats.skew(r, prepare_returns=False) == pytest.approx(
        figures["skew"] * math.sqrt(n * (n - 1)) / (n - 2), rel=1e-9, abs=1e-12
    )
    assert quantstats.stats.kurtosis(r, prepare_returns=False) == pytest.approx(
        ((n + 1) * figures["kurtosis"] + 6) * (n - 1) / ((n - 2) * (n - 3)), rel=1e-9, abs=1e-12
    )


@given(returns=st.lists(st.integers(-300, 320).map(lambda n: n / 1e4), min_size=20, max_size=60, unique=True))
@settings(max_examples=40, deadline=None)
def test_ulcer_index_and_probabilistic_sharpe_follow_the_formulas_of_their_papers(returns: list[float]) -> None:
    r, figures = np.array(returns), risk(hourly(returns), 260)
    highest, equity, squares = 1.0, 1.0, []
    for value in returns:  # Martin (1987): percent below the highest equity so far
        equity *= 1 + value
        highest = max(highest, equity)
        squares.append((100 * (highest - equity) / highest) ** 2)
    assert figures["ulcer_index"] == pytest.approx(math.sqrt(sum(squares) / len(squares)), rel=1e-9)
    sharpe = r.mean() / r.std(ddof=1)
    g3, g4 = scipy.stats.skew(r), scipy.stats.kurtosis(r, fisher=False)
    z = sharpe * math.sqrt(len(r) - 1) / math.sqrt(1 - g3 * sharpe + (g4 - 1) / 4 * sharpe**2)
    assert figures["probabilistic_sharpe"] == pytest.approx(scipy.stats.norm.cdf(z), rel=1e-9)


def test_a_drawdown_has_a_start_a_trough_and_a_recovery() -> None:
    figures = risk(hourly([0.1, -0.1, -0.1, 0.3, *([0.0] * 20), -0.01]), 260)
    hours = [figures[f"max_drawdown_{name}"].hour for name in ("start", "trough", "recovery")]
    assert hours == [0, 2, 3]
    from_the_start = risk(hourly([-0.1, *([0.01] * 20)]), 260)
    assert from_the_start["max_drawdown_start"] is pd.NaT
    assert from_the_start["max_drawdown_recovery"].hour == 11
    never = risk(hourly([*([0.01] * 20), -0.1]), 260)
    assert never["max_drawdown_recovery"] is pd.NaT


def test_too_few_returns_give_nan_and_a_reason() -> None:
    figures = risk(hourly([0.01, -0.01] * 9), 260)
    assert math.isnan(figures["sharpe"])
    assert figures.attrs["reasons"]["sharpe"] == "18 returns, fewer than 20"
    assert figures["returns"] == 18
    assert not math.isnan(risk(hourly([0.01, -0.01] * 9), 260, min_returns=10)["sharpe"])
    for empty in (hourly([]), hourly([math.nan] * 5)):
        figures = risk(empty, 260)
        assert figures["returns"] == 0
        assert set(figures.drop(["returns", "periods_per_year"]).isna()) == {True}


def test_a_division_by_zero_gives_nan_and_a_reason() -> None:
    flat = risk(hourly([0.0] * 30), 260)
    assert flat.attrs["reasons"]["sharpe"] == "all returns are equal"
    assert flat.attrs["reasons"]["tail_ratio"] == "the 5 % quantile is 0"
    rising = risk(hourly([0.01, 0.02] * 15), 260)
    assert rising.attrs["reasons"]["sortino"] == "no return is below 0"
    assert rising.attrs["reasons"]["calmar"] == "no drawdown"
    assert risk(hourly([0.5] * 29 + [0.4]), 6e7).attrs["reasons"]["annual_return"] == "the result is not finite"


@pytest.mark.parametrize("lost", [-1000.0, -1200.0, -5000.0])
def test_after_equity_falls_to_zero_there_are_no_returns_and_no_figures(lost: float) -> None:
    total = hourly([*range(30), lost, *range(2000)])  # later profits belong to another account
    returns = period_returns(total, 1000)
    assert returns[:31].notna().all()
    assert returns.iloc[30] == pytest.approx((1000 + lost) / 1029 - 1)
    assert returns[31:].isna().all()
    figures = risk(returns, 6240)
    assert figures.drop(["returns", "periods_per_year"]).isna().all()
    assert set(figures.attrs["reasons"].values()) == {"equity fell to 0 or below"}
    for capital in (-lost, -lost / 2):
        with pytest.raises(UnknownOption, match="the loss at the first point"):
            period_returns(total[30:], capital)


def test_periods_without_a_change_return_0_and_the_incomplete_last_one_is_left_out() -> None:
    total = pd.Series([0.0, 100.0, -50.0, 70.0], index([T0, T0 + HOUR // 2, T0 + 3 * HOUR, T0 + 4 * HOUR + S]))
    returns = period_returns(total, 1000)
    assert returns.tolist() == pytest.approx([0.1, 0.0, 0.0, 950 / 1100 - 1])
    assert returns.index.asi8.tolist() == [T0 + n * HOUR for n in range(4)]
    assert np.prod(1 + returns) == pytest.approx(950 / 1000)


def test_a_change_on_the_weekend_counts_in_the_next_period_of_trading_time() -> None:
    friday = pd.Timestamp("2024-01-05T20:30Z")  # 15:30 in New York
    times = pd.DatetimeIndex([friday, friday + pd.Timedelta("30h"), friday + pd.Timedelta("50h")])
    returns = period_returns(pd.Series([0.0, 100.0, 200.0], times), 1000, "1h")
    # Friday 15:00 and 16:00 in New York. The hour from Sunday 17:00 on is the last, which may be incomplete.
    assert [t.hour for t in returns.index] == [20, 21]
    later = pd.Series([0.0, 100.0, 200.0, 200.0], [*times, friday + pd.Timedelta("51h30min")])
    returns = period_returns(later, 1000, "1h")
    assert [str(t)[8:16] for t in returns.index] == ["05 20:00", "05 21:00", "07 22:00", "07 23:00"]
    assert returns.tolist() == pytest.approx([0.0, 0.0, 0.2, 0.0])
    week = pd.Series([0.0, 1.0], pd.DatetimeIndex(["2024-01-01T00:00Z", "2024-01-15T00:00Z"]))
    assert len(period_returns(week, 1000, "1D")) == 10


def test_a_year_is_260_days_of_24_hours() -> None:
    assert periods_per_year("1D") == 260
    assert periods_per_year("1min") == 260 * 24 * 60


def test_invalid_arguments_raise_typed_errors() -> None:
    total = pd.Series([0.0, 1.0], index([T0, T0 + S]))
    for capital in (0, -1, math.nan):
        with pytest.raises(UnknownOption, match="capital must be"):
            period_returns(total, capital)
    with pytest.raises(InvalidFrame, match="without a time zone"):
        period_returns(total.tz_localize(None), 1000)
    with pytest.raises(InvalidFrame, match="not in ascending order"):
        period_returns(total[::-1], 1000)
    with pytest.raises(UnknownOption, match=r"periods must be .* got 0"):
        risk(total, 0)
    assert period_returns(total[:0], 1000).empty
    assert period_returns(total[:1], 1000).empty

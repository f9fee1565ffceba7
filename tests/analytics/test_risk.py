"""Return-based figures beside those of empyrical-reloaded and quantstats, and by hand where they have none.

Where we differ on purpose: losses (VaR, CVaR, drawdown) are positive here and negative there; too few returns give NaN
here; VaR and CVaR are those of the returns that were, quantstats' those of a normal distribution.
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
@example([-n / 1e4 for n in range(1, 31)], 260).via("nothing but losses")
@settings(max_examples=60, deadline=None)
def test_the_figures_are_those_of_empyrical(returns: list[float], periods: float) -> None:
    r = hourly(returns)
    told = risk(r, periods)
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
            assert told[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name
        else:
            assert math.isnan(told[name]), name
            assert told.attrs["reasons"][name]
    assert (told["returns"], told["periods_per_year"]) == (len(returns), periods)


@given(returns=st.lists(st.integers(-300, 320).map(lambda n: n / 1e4), min_size=20, max_size=60, unique=True))
@settings(max_examples=30, deadline=None)
def test_the_figures_are_those_of_quantstats(returns: list[float]) -> None:
    r, n = hourly(returns), len(returns)
    told = risk(r, 260)
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
        # A fraction there, percent here as Martin has it, who divides by the number of returns and not by one less.
        "ulcer_index": quantstats.stats.ulcer_index(r) * 100 * math.sqrt((n - 1) / n),
    }
    for name, value in expected.items():
        if not math.isnan(told[name]):
            assert told[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name
    # Estimated for the population that the returns are a sample of there; here of the returns themselves.
    assert quantstats.stats.skew(r, prepare_returns=False) == pytest.approx(
        told["skew"] * math.sqrt(n * (n - 1)) / (n - 2), rel=1e-9, abs=1e-12
    )
    assert quantstats.stats.kurtosis(r, prepare_returns=False) == pytest.approx(
        ((n + 1) * told["kurtosis"] + 6) * (n - 1) / ((n - 2) * (n - 3)), rel=1e-9, abs=1e-12
    )


@given(returns=st.lists(st.integers(-300, 320).map(lambda n: n / 1e4), min_size=20, max_size=60, unique=True))
@settings(max_examples=40, deadline=None)
def test_ulcer_index_and_probabilistic_sharpe_are_those_of_their_papers(returns: list[float]) -> None:
    r, told = np.array(returns), risk(hourly(returns), 260)
    highest, equity, squares = 1.0, 1.0, []
    for value in returns:  # Martin: percent below the highest so far
        equity *= 1 + value
        highest = max(highest, equity)
        squares.append((100 * (highest - equity) / highest) ** 2)
    assert told["ulcer_index"] == pytest.approx(math.sqrt(sum(squares) / len(squares)), rel=1e-9)
    sharpe = r.mean() / r.std(ddof=1)
    g3, g4 = scipy.stats.skew(r), scipy.stats.kurtosis(r, fisher=False)
    z = sharpe * math.sqrt(len(r) - 1) / math.sqrt(1 - g3 * sharpe + (g4 - 1) / 4 * sharpe**2)
    assert told["probabilistic_sharpe"] == pytest.approx(scipy.stats.norm.cdf(z), rel=1e-9)


def test_a_drawdown_has_a_start_a_trough_and_a_recovery() -> None:
    told = risk(hourly([0.1, -0.1, -0.1, 0.3, *([0.0] * 20), -0.01]), 260)
    hours = [told[f"max_drawdown_{name}"].hour for name in ("start", "trough", "recovery")]
    assert hours == [0, 2, 3]
    from_the_beginning = risk(hourly([-0.1, *([0.01] * 20)]), 260)
    assert from_the_beginning["max_drawdown_start"] is pd.NaT
    assert from_the_beginning["max_drawdown_recovery"].hour == 11
    never = risk(hourly([*([0.01] * 20), -0.1]), 260)
    assert never["max_drawdown_recovery"] is pd.NaT


def test_too_few_returns_give_no_figure_but_a_reason() -> None:
    told = risk(hourly([0.01, -0.01] * 9), 260)
    assert math.isnan(told["sharpe"])
    assert told.attrs["reasons"]["sharpe"] == "18 returns, fewer than 20"
    assert told["returns"] == 18
    assert not math.isnan(risk(hourly([0.01, -0.01] * 9), 260, min_returns=10)["sharpe"])
    for empty in (hourly([]), hourly([math.nan] * 5)):
        nothing = risk(empty, 260)
        assert nothing["returns"] == 0
        assert set(nothing.drop(["returns", "periods_per_year"]).isna()) == {True}


def test_what_divides_by_nothing_gives_no_figure_but_a_reason() -> None:
    flat = risk(hourly([0.0] * 30), 260)
    assert flat.attrs["reasons"]["sharpe"] == "the returns do not differ"
    assert flat.attrs["reasons"]["tail_ratio"] == "the 5 % quantile is 0"
    rising = risk(hourly([0.01, 0.02] * 15), 260)
    assert rising.attrs["reasons"]["sortino"] == "no return is below 0"
    assert rising.attrs["reasons"]["calmar"] == "there was no drawdown"
    assert risk(hourly([0.5] * 29 + [0.4]), 6e7).attrs["reasons"]["annual_return"] == "it is beyond all numbers"


@pytest.mark.parametrize("lost", [-1000.0, -1200.0, -5000.0])
def test_where_equity_is_lost_returns_end_and_no_figure_is_given(lost: float) -> None:
    total = hourly([*range(30), lost, *range(2000)])  # what comes in again later is another account
    returns = period_returns(total, 1000)
    assert returns[:31].notna().all()
    assert returns.iloc[30] == pytest.approx((1000 + lost) / 1029 - 1)
    assert returns[31:].isna().all()
    told = risk(returns, 6240)
    figures = told.drop(["returns", "periods_per_year"])
    assert figures.isna().all()
    assert set(told.attrs["reasons"].values()) == {"equity was lost"}
    for capital in (-lost, -lost / 2):
        with pytest.raises(UnknownOption, match="the loss that it begins with"):
            period_returns(total[30:], capital)


def test_periods_without_news_return_nothing_and_the_last_is_not_complete() -> None:
    total = pd.Series([0.0, 100.0, -50.0, 70.0], index([T0, T0 + HOUR // 2, T0 + 3 * HOUR, T0 + 4 * HOUR + S]))
    returns = period_returns(total, 1000)
    assert returns.tolist() == pytest.approx([0.1, 0.0, 0.0, 950 / 1100 - 1])
    assert returns.index.asi8.tolist() == [T0 + n * HOUR for n in range(4)]
    assert np.prod(1 + returns) == pytest.approx(950 / 1000)


def test_the_weekend_is_no_trading_time_but_what_changes_there_counts_next() -> None:
    friday = pd.Timestamp("2024-01-05T20:30Z")  # 15:30 in New York
    moments = pd.DatetimeIndex([friday, friday + pd.Timedelta("30h"), friday + pd.Timedelta("50h")])
    returns = period_returns(pd.Series([0.0, 100.0, 200.0], moments), 1000, "1h")
    # Friday 15 and 16 o'clock in New York; the hour from Sunday 17 o'clock on is the last, which may go on.
    assert [t.hour for t in returns.index] == [20, 21]
    later = pd.Series([0.0, 100.0, 200.0, 200.0], [*moments, friday + pd.Timedelta("51h30min")])
    returns = period_returns(later, 1000, "1h")
    assert [str(t)[8:16] for t in returns.index] == ["05 20:00", "05 21:00", "07 22:00", "07 23:00"]
    assert returns.tolist() == pytest.approx([0.0, 0.0, 0.2, 0.0])
    week = pd.Series([0.0, 1.0], pd.DatetimeIndex(["2024-01-01T00:00Z", "2024-01-15T00:00Z"]))
    assert len(period_returns(week, 1000, "1D")) == 10


def test_a_year_is_260_days_of_24_hours() -> None:
    assert periods_per_year("1D") == 260
    assert periods_per_year("1min") == 260 * 24 * 60


def test_what_is_wrong_is_said() -> None:
    total = pd.Series([0.0, 1.0], index([T0, T0 + S]))
    for capital in (0, -1, math.nan):
        with pytest.raises(UnknownOption, match="capital must be"):
            period_returns(total, capital)
    with pytest.raises(InvalidFrame, match="without a zone"):
        period_returns(total.tz_localize(None), 1000)
    with pytest.raises(InvalidFrame, match="do not grow"):
        period_returns(total[::-1], 1000)
    with pytest.raises(UnknownOption, match=r"periods must be .* got 0"):
        risk(total, 0)
    assert period_returns(total[:0], 1000).empty
    assert period_returns(total[:1], 1000).empty

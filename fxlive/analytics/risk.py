"""Return and risk of an equity curve: statistics of its periods' returns, and how far they can be trusted."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from fxlive.analytics.inputs import Floats, floats, index_us
from fxlive.analytics.time_grid import DAY_US, TimeGrid
from fxlive.core.arguments import number
from fxlive.core.dtypes import UTC
from fxlive.errors import InvalidFrame, UnknownOption

TRADING_DAY = "17:00 America/New_York"
TRADING_DAYS_A_YEAR = 260
"""52 weeks of 5 trading days of 24 hours: currencies trade around the clock."""

MIN_RETURNS = 20
"""With fewer returns no figure is given: of 20 returns, one is the worst 5 %."""


def periods_per_year(freq: str | pd.Timedelta) -> float:
    """Return the number of periods in a year of 260 trading days of 24 hours, to annualize figures with.

    Parameters
    ----------
    freq
        The length of a period, at most a day, such as ``"1h"`` or ``"1D"``.

    Returns
    -------
    float
        260 days / `freq`.

    Raises
    ------
    UnknownOption
        If `freq` is not a duration of at most a day.

    Examples
    --------
    >>> periods_per_year("1D"), periods_per_year("1h")
    (260.0, 6240.0)
    """
    return TRADING_DAYS_A_YEAR * DAY_US / TimeGrid(freq).span_us


def period_returns(total: pd.Series[float], capital: float, freq: str | pd.Timedelta = "1h") -> pd.Series[float]:
    """Return the return of each complete period of trading time: equity at its end / equity at its start - 1.

    Parameters
    ----------
    total
        Profit and loss over time in the account's currency, as ``pnl(...)["total"]``: float64, indexed by ascending
        timestamps with a time zone.
    capital
        The equity of the account when `total` was 0, in the account's currency, above 0. Equity is capital + total.
    freq
        The length of a period, at most a day. Periods are counted from 17:00 in New York, where the trading day begins.
        The time from Friday 17:00 to Sunday 17:00 is not trading time; a change in it counts in the next period.

    Returns
    -------
    Series
        float64 fractions, named `return` and indexed by `timestamp`, the start of each period
        (``datetime64[us, UTC]``). A period without a change has the return 0. The first period begins with the first
        point; the last, which may be incomplete, is left out. If equity falls to 0 or below, that return is -1 or less,
        and the returns after it are NaN.

    Raises
    ------
    InvalidFrame
        If `total` is not a Series, has missing values, or timestamps without a time zone or not in ascending order.
    UnknownOption
        If `freq` is not a duration of at most a day, or `capital` is not above 0 or not above the loss at the first
        point.

    Examples
    --------
    >>> total = pd.Series([0.0, 100.0, 50.0], pd.to_datetime([0, 3600, 7201], unit="s", utc=True))
    >>> period_returns(total, 1000, "1h").round(6).tolist()
    [0.0, 0.1]
    """
    capital = number("capital", capital, "an amount above 0, in the account's currency")
    if not isinstance(total, pd.Series):
        raise InvalidFrame("total", f'must be a pandas Series, got {type(total).__name__}: pass pnl(...)["total"]')
    times = index_us(total.index, "total")
    values = floats(total.to_frame("total"), "total")
    if np.isnan(values).any():
        raise InvalidFrame("total", "has missing values: drop them with total.dropna()")
    if len(times) and (np.diff(times) < 0).any():
        raise InvalidFrame("total", "has timestamps that are not in ascending order: sort it with total.sort_index()")
    grid = TimeGrid(freq, TRADING_DAY)
    starts = np.empty(0, np.int64)
    returns = np.empty(0)
    if len(times):
        first, last = grid.starts(grid.keys(times[[0, -1]]))
        starts = grid.between(int(first), int(last))
        before = np.searchsorted(times, starts[1:], side="left") - 1
        equity = capital + np.concatenate((values[:1], values[before]))
        is_end = np.concatenate(([True], grid.in_trading_week(starts[:-1])))  # where a trading period ends
        starts, equity = starts[:-1][is_end[1:]], equity[is_end]
        if not equity[0] > 0:
            raise UnknownOption("capital", capital, (f"more than {-values[0]:,.2f}, the loss at the first point",))
        solvent = np.logical_and.accumulate(equity[:-1] > 0)
        returns = np.divide(equity[1:], equity[:-1], out=np.full(len(equity) - 1, np.nan), where=solvent) - 1
    index = pd.DatetimeIndex(pd.array(starts, dtype=UTC), name="timestamp")
    return pd.Series(returns, index, name="return")


def risk(returns: pd.Series[float], periods: float, min_returns: int = MIN_RETURNS) -> pd.Series[Any]:
    """Return the risk figures of a series of returns, with the number of returns and of periods a year.

    Below, r is a return (a fraction of equity), n the number of returns, P the periods a year, E the product of 1 + r
    up to a period, and sd the sample standard deviation (divisor n - 1). The risk-free rate is taken as 0.

    Parameters
    ----------
    returns
        Returns of equal periods in order of time, as `period_returns` returns them. NaN are ignored.
    periods
        Periods a year, as `periods_per_year` returns them, above 0.
    min_returns
        With fewer returns, no figure is given.

    Returns
    -------
    Series
        By metric (object: floats, times and one int):

        - `returns`: n. `periods_per_year`: P.
        - `total_return`: last E - 1. `annual_return`: last E ** (P / n) - 1 (CAGR).
        - `volatility`: sd * sqrt(P).
        - `sharpe`: mean / sd * sqrt(P) (Sharpe 1994). The factor sqrt(P) assumes returns without autocorrelation (Lo
          2002).
        - `sortino`: mean * sqrt(P) / sqrt(mean(min(r, 0) ** 2)) (Sortino & Price 1994, target 0).
        - `max_drawdown`: the largest 1 - E / (highest E so far, at least 1), positive. `max_drawdown_start`,
          `max_drawdown_trough`, `max_drawdown_recovery`: the starts of the periods in which the peak was reached, the
          trough, and the peak again. NaT if it was not; the start is also NaT if the peak is the initial equity.
        - `calmar`: annual_return / max_drawdown (Young 1991), over the whole series.
        - `omega`: sum of gains / sum of losses, threshold 0 (Keating & Shadwick 2002).
        - `var_95`, `cvar_95`: the 5 % quantile of r (linear interpolation), and the mean of the r at or below it, with
          the sign reversed: positive is a loss, as a fraction of equity in one period (historical method).
        - `skew`, `kurtosis`: of the population, g1 and excess g2; 0 for a normal distribution.
        - `tail_ratio`: abs(95 % quantile) / abs(5 % quantile).
        - `ulcer_index`: sqrt(mean(D ** 2)), D the drawdowns in percent (Martin 1987).
        - `probabilistic_sharpe`: the probability (0 to 1) that the true Sharpe ratio is above 0, from n, skew and
          kurtosis: Phi(S sqrt(n - 1) / sqrt(1 - g1 S + (g2 + 2) / 4 * S ** 2)), S = mean / sd (Bailey & Lopez de Prado
          2012).

        A figure is NaN if there are fewer than `min_returns` returns, if it would divide by 0, or if equity fell to 0
        or below (a return of -1 or less). ``attrs["reasons"]`` explains why, by metric; ``attrs["samples"]`` is n for
        each metric.

    Raises
    ------
    UnknownOption
        If `periods` is not above 0.

    Examples
    --------
    >>> hours = pd.date_range("2024-01-01", periods=40, freq="h", tz="UTC")
    >>> figures = risk(pd.Series([0.01, -0.005] * 20, hours), periods_per_year("1h"))
    >>> figures["returns"], round(figures["sharpe"], 2), figures["omega"]
    (40, 26.0, 2.0)
    """
    periods = number("periods", periods, "a number above 0, such as periods_per_year('1h')")
    known = returns.dropna()
    r: Floats = np.asarray(known, np.float64)
    n = len(r)
    reasons: dict[str, str] = {}
    ruined = bool((r <= -1).any())
    values: dict[str, Any] = {"returns": n, "periods_per_year": float(periods)}

    def add(name: str, compute: Callable[[], Any], reason: str | None = None) -> float:
        """Add a figure, or NaN and the reason: `reason`, or one that applies to all figures."""
        if ruined:
            reason = "equity fell to 0 or below"
        elif n < min_returns:
            reason = f"{n} returns, fewer than {min_returns}"
        figure = math.nan
        if reason is None:
            with np.errstate(all="ignore"):
                figure = float(compute())
            if not math.isfinite(figure):
                figure, reason = math.nan, "the result is not finite"
        if reason is not None:
            reasons[name] = reason
        values[name] = figure
        return figure

    equity: Floats = np.cumprod(1 + r).astype(np.float64)
    peaks: Floats = np.maximum(np.maximum.accumulate(equity), 1) if n else equity
    drawdowns = 1 - equity / peaks
    mean, sd = (float(r.mean()), float(r.std(ddof=1))) if n > 1 else (math.nan, math.nan)
    flat = "all returns are equal" if n and (r == r[0]).all() else None
    no_loss = None if (r < 0).any() else "no return is below 0"
    no_drawdown = None if (drawdowns > 0).any() else "no drawdown"
    add("total_return", lambda: equity[-1] - 1)
    annual_return = add("annual_return", lambda: equity[-1] ** (periods / n) - 1)
    add("volatility", lambda: sd * math.sqrt(periods))
    add("sharpe", lambda: mean / sd * math.sqrt(periods), flat)
    add("sortino", lambda: mean * math.sqrt(periods) / np.sqrt(np.mean(np.minimum(r, 0) ** 2)), no_loss)
    max_drawdown = add("max_drawdown", lambda: drawdowns.max())
    times = _drawdown_times(known.index, equity, peaks, drawdowns) if max_drawdown > 0 else (pd.NaT,) * 3
    values |= zip(("max_drawdown_start", "max_drawdown_trough", "max_drawdown_recovery"), times, strict=True)
    add("calmar", lambda: annual_return / max_drawdown, no_drawdown)
    add("omega", lambda: r[r > 0].sum() / -r[r < 0].sum(), no_loss)
    worst = float(np.quantile(r, 0.05)) if n else math.nan
    add("var_95", lambda: -worst)
    add("cvar_95", lambda: -r[r <= worst].mean())
    add("skew", lambda: _standardized_moment(r, 3), flat)
    add("kurtosis", lambda: _standardized_moment(r, 4) - 3, flat)
    add(
        "tail_ratio",
        lambda: abs(float(np.quantile(r, 0.95))) / abs(worst),
        "the 5 % quantile is 0" if worst == 0 else None,
    )
    add("ulcer_index", lambda: np.sqrt(np.mean((100 * drawdowns) ** 2)))
    add(
        "probabilistic_sharpe",
        lambda: _probabilistic_sharpe(mean / sd, n, _standardized_moment(r, 3), _standardized_moment(r, 4)),
        flat,
    )
    series = pd.Series(values, dtype=object)
    series.attrs = {"samples": dict.fromkeys(values, n), "reasons": reasons}
    return series


def _standardized_moment(r: Floats, order: int) -> float:
    """Return a standardized moment of the population: order 3 is the skew, 4 the kurtosis (3 if normal)."""
    deviations = r - r.mean()
    return float(np.mean(deviations**order) / np.mean(deviations**2) ** (order / 2))


def _probabilistic_sharpe(sharpe: float, n: int, skew: float, kurtosis: float) -> float:
    """Return the probability that the true Sharpe ratio is above 0 (Bailey & Lopez de Prado 2012)."""
    variance = 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2
    return NormalDist().cdf(sharpe * math.sqrt(n - 1) / math.sqrt(variance)) if variance > 0 else math.nan


def _drawdown_times(index: pd.Index[Any], equity: Floats, peaks: Floats, drawdowns: Floats) -> tuple[Any, Any, Any]:
    """Return start, trough and recovery of the largest drawdown, NaT if there is none."""
    trough = int(drawdowns.argmax())
    at_peak = np.flatnonzero(equity[: trough + 1] >= peaks[trough])
    recovered = np.flatnonzero(equity[trough:] >= peaks[trough])
    start = index[at_peak[-1]] if len(at_peak) else pd.NaT
    return start, index[trough], index[trough + recovered[0]] if len(recovered) else pd.NaT

"""Return and risk of an equity curve: what its periods' returns say of it, and how far that can be trusted."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from fxlive.analytics.grid import DAY_US, Grid
from fxlive.analytics.inputs import Floats, floats, moments_us
from fxlive.core.arguments import number
from fxlive.core.dtypes import UTC
from fxlive.errors import InvalidFrame, UnknownOption

TRADING_DAY = "17:00 America/New_York"
TRADING_DAYS_A_YEAR = 260
"""52 weeks of 5 days of 24 hours: currencies trade around the clock."""

MIN_RETURNS = 20
"""With fewer returns there is no figure: of 20, one is the worst twentieth."""


def periods_per_year(freq: str | pd.Timedelta) -> float:
    """Return how many periods of this length a year of 260 trading days of 24 hours has.

    >>> periods_per_year("1D"), periods_per_year("1h")
    (260.0, 6240.0)
    """
    return TRADING_DAYS_A_YEAR * DAY_US / Grid(freq).span_us


def period_returns(total: pd.Series[float], capital: float, freq: str | pd.Timedelta = "1h") -> pd.Series[float]:
    """Return the return of each complete period of trading time.

    Parameters
    ----------
    total
        Profit and loss over time in the account's currency, as ``pnl(...)["total"]``.
    capital
        What the account held where the total was 0, in its currency: there is no return without a base.
    freq
        The length of a period, at most a day. Periods are counted from 17:00 in New York, where the trading day begins;
        Saturday and Sunday up to then are no trading time, and what changes there counts in the next period.

    Returns
    -------
    Series
        float64, indexed by the start of each period (``timestamp``): equity at its end / equity at its start - 1, where
        equity is capital + total. A period in which nothing was said has the return 0. The last, which may go on, is
        not in it; the first begins with the first point. Equity that is lost makes one return of -1 or less; from there
        on they are NaN, for there is no base.

    Raises
    ------
    InvalidFrame, UnknownOption
        For times without a zone and totals that are missing; for capital that is not above 0, or was lost before the
        first point.

    Examples
    --------
    >>> total = pd.Series([0.0, 100.0, 50.0], pd.to_datetime([0, 3600, 7201], unit="s", utc=True))
    >>> period_returns(total, 1000, "1h").round(6).tolist()
    [0.0, 0.1]
    """
    capital = number("capital", capital, "an amount above 0, in the account's currency")
    if not isinstance(total, pd.Series):
        raise InvalidFrame("total", f'is a {type(total).__name__}, not a Series: pass pnl(...)["total"]')
    times = moments_us(total.index, "total")
    values = floats(total.to_frame("total"), "total")
    if np.isnan(values).any():
        raise InvalidFrame("total", "holds NaN: leave them out with total.dropna()")
    if len(times) and (np.diff(times) < 0).any():
        raise InvalidFrame("total", "has times that do not grow: sort it with total.sort_index()")
    grid = Grid(freq, TRADING_DAY)
    starts = np.empty(0, np.int64)
    returns = np.empty(0)
    if len(times):
        first, last = grid.starts(grid.keys(times[[0, -1]]))
        starts = grid.between(int(first), int(last))
        before = np.searchsorted(times, starts[1:], side="left") - 1
        equity = capital + np.concatenate((values[:1], values[before]))
        ends = np.concatenate(([True], grid.trading(starts[:-1])))  # equity at these is that of a trading period's end
        starts, equity = starts[:-1][ends[1:]], equity[ends]
        if not equity[0] > 0:
            raise UnknownOption("capital", capital, (f"more than {-values[0]:,.2f}, the loss that it begins with",))
        there = np.logical_and.accumulate(equity[:-1] > 0)
        returns = np.divide(equity[1:], equity[:-1], out=np.full(len(equity) - 1, np.nan), where=there) - 1
    index = pd.DatetimeIndex(pd.array(starts, dtype=UTC), name="timestamp")
    return pd.Series(returns, index, name="return")


def risk(returns: pd.Series[float], periods: float, min_returns: int = MIN_RETURNS) -> pd.Series[Any]:
    """Return what a series of returns says of risk, with the number of returns and of periods a year beside it.

    Below, r is a return (a fraction of equity), n their number, P periods a year, E the product of 1 + r up to a
    period, sd the sample standard deviation (n - 1). The riskless rate is taken as 0. What has too few returns, or
    divides by nothing, is NaN, and ``attrs["reasons"]`` says why; so is all of an account whose equity was lost (a
    return of -1 or less), for what its returns would say has no meaning.

    Parameters
    ----------
    returns
        As `period_returns` gives them; NaN are left out.
    periods
        Periods a year, as `periods_per_year` derives them.
    min_returns
        With fewer returns no figure is given.

    Returns
    -------
    Series
        By metric:

        - `returns`: n. `periods_per_year`: P.
        - `total_return`: last E - 1. `annual_return`: last E ** (P / n) - 1 (CAGR).
        - `volatility`: sd * sqrt(P).
        - `sharpe`: mean / sd * sqrt(P) (Sharpe 1994).
        - `sortino`: mean * sqrt(P) / sqrt(mean(min(r, 0) ** 2)) (Sortino & Price 1994, target 0).
        - `max_drawdown`: largest 1 - E / highest E so far (at least 1), positive; `max_drawdown_start`, `_trough`,
          `_recovery`: starts of the periods in which the highest was reached, the lowest, and the highest again (NaT
          where not; the start is NaT where it is the beginning).
        - `calmar`: annual_return / max_drawdown (Young 1991, over the whole series).
        - `omega`: sum of gains / sum of losses, threshold 0 (Keating & Shadwick 2002).
        - `var_95`, `cvar_95`: the 5 % quantile of r (linear between ranks) and the mean of the r not above it, with the
          sign turned: positive is a loss, as a fraction of equity in one period (historical method).
        - `skew`, `kurtosis`: of the population, g1 and excess g2; 0 for a normal distribution.
        - `tail_ratio`: size of the 95 % quantile / size of the 5 % quantile.
        - `ulcer_index`: sqrt(mean(D ** 2)), D the drawdowns in percent (Martin 1987).
        - `probabilistic_sharpe`: the probability that the true Sharpe ratio is above 0, from n, skew and kurtosis:
          Phi(S sqrt(n - 1) / sqrt(1 - g1 S + (g2 + 2) / 4 * S ** 2)), S = mean / sd (Bailey & Lopez de Prado 2012).

    Raises
    ------
    UnknownOption
        For periods that are not above 0.

    Examples
    --------
    >>> hours = pd.date_range("2024-01-01", periods=40, freq="h", tz="UTC")
    >>> told = risk(pd.Series([0.01, -0.005] * 20, hours), periods_per_year("1h"))
    >>> told["returns"], round(told["sharpe"], 2), told["omega"]
    (40, 26.0, 2.0)
    """
    periods = number("periods", periods, "a number above 0, such as periods_per_year('1h')")
    known = returns.dropna()
    r: Floats = np.asarray(known, np.float64)
    n = len(r)
    reasons: dict[str, str] = {}
    ruined = bool((r <= -1).any())
    values: dict[str, Any] = {"returns": n, "periods_per_year": float(periods)}

    def put(name: str, value: Callable[[], Any], nothing: str | None = None) -> float:
        if ruined:
            nothing = "equity was lost"
        elif n < min_returns:
            nothing = f"{n} returns, fewer than {min_returns}"
        figure = math.nan
        if nothing is None:
            with np.errstate(all="ignore"):
                figure = float(value())
            if not math.isfinite(figure):
                figure, nothing = math.nan, "it is beyond all numbers"
        if nothing is not None:
            reasons[name] = nothing
        values[name] = figure
        return figure

    equity: Floats = np.cumprod(1 + r).astype(np.float64)
    peaks: Floats = np.maximum(np.maximum.accumulate(equity), 1) if n else equity
    drawdowns = 1 - equity / peaks
    mean, sd = (float(r.mean()), float(r.std(ddof=1))) if n > 1 else (math.nan, math.nan)
    flat = "the returns do not differ" if n and (r == r[0]).all() else None
    no_loss = None if (r < 0).any() else "no return is below 0"
    no_drawdown = None if (drawdowns > 0).any() else "there was no drawdown"
    put("total_return", lambda: equity[-1] - 1)
    annual = put("annual_return", lambda: equity[-1] ** (periods / n) - 1)
    put("volatility", lambda: sd * math.sqrt(periods))
    put("sharpe", lambda: mean / sd * math.sqrt(periods), flat)
    put("sortino", lambda: mean * math.sqrt(periods) / np.sqrt(np.mean(np.minimum(r, 0) ** 2)), no_loss)
    deepest = put("max_drawdown", lambda: drawdowns.max())
    moments = _drawdown_moments(known.index, equity, peaks, drawdowns) if deepest > 0 else (pd.NaT,) * 3
    values |= zip(("max_drawdown_start", "max_drawdown_trough", "max_drawdown_recovery"), moments, strict=True)
    put("calmar", lambda: annual / deepest, no_drawdown)
    put("omega", lambda: r[r > 0].sum() / -r[r < 0].sum(), no_loss)
    worst = float(np.quantile(r, 0.05)) if n else math.nan
    put("var_95", lambda: -worst)
    put("cvar_95", lambda: -r[r <= worst].mean())
    put("skew", lambda: _moment(r, 3), flat)
    put("kurtosis", lambda: _moment(r, 4) - 3, flat)
    put(
        "tail_ratio",
        lambda: abs(float(np.quantile(r, 0.95))) / abs(worst),
        "the 5 % quantile is 0" if worst == 0 else None,
    )
    put("ulcer_index", lambda: np.sqrt(np.mean((100 * drawdowns) ** 2)))
    put("probabilistic_sharpe", lambda: _probabilistic_sharpe(mean / sd, n, _moment(r, 3), _moment(r, 4)), flat)
    series = pd.Series(values, dtype=object)
    series.attrs = {"samples": dict.fromkeys(values, n), "reasons": reasons}
    return series


def _moment(r: Floats, order: int) -> float:
    """Return a standardized moment of the population: 3 is skew, 4 kurtosis (3 of a normal distribution)."""
    away = r - r.mean()
    return float(np.mean(away**order) / np.mean(away**2) ** (order / 2))


def _probabilistic_sharpe(sharpe: float, n: int, skew: float, kurtosis: float) -> float:
    spread = 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2
    return NormalDist().cdf(sharpe * math.sqrt(n - 1) / math.sqrt(spread)) if spread > 0 else math.nan


def _drawdown_moments(index: pd.Index[Any], equity: Floats, peaks: Floats, drawdowns: Floats) -> tuple[Any, Any, Any]:
    trough = int(drawdowns.argmax())
    at_peak = np.flatnonzero(equity[: trough + 1] >= peaks[trough])
    again = np.flatnonzero(equity[trough:] >= peaks[trough])
    start = index[at_peak[-1]] if len(at_peak) else pd.NaT
    return start, index[trough], index[trough + again[0]] if len(again) else pd.NaT

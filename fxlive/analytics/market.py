"""Statistics of the feed and the market: latency, correlation of symbols, spreads by hour."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fxlive.analytics.inputs import check_columns, floats, index_us, resolve_instruments, times_us
from fxlive.analytics.time_grid import TimeGrid
from fxlive.core.arguments import whole
from fxlive.core.dtypes import STR, UTC
from fxlive.core.instruments import Instruments
from fxlive.errors import UnknownOption

_QUANTILES = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99}
MIN_RETURNS = 20


def latency(frame: pd.DataFrame, freq: str | pd.Timedelta = "1min", *, offset_ms: float = 0.0) -> pd.DataFrame:
    """Return the latency of messages over time: from the platform's timestamp to receipt, in milliseconds.

    Parameters
    ----------
    frame
        Rows of any channel, indexed by timestamps with a time zone, with the column `received_at`. Latency is
        `received_at` minus the index. Rows without `received_at` are ignored.
    freq
        The length of a bin, at most a day. Bins are counted from 1970-01-01T00:00Z.
    offset_ms
        How far the platform's clock is ahead of this machine's, in milliseconds; it is added to each latency.
        ``session.health().clock_offset_ms`` estimates it.

    Returns
    -------
    DataFrame
        A row for each bin with messages, indexed by `timestamp`, the start of the bin by `received_at`
        (``datetime64[us, UTC]``): `count` (int64), and in milliseconds (float64) `p50_ms`, `p90_ms`, `p99_ms`
        (quantiles with linear interpolation) and `max_ms`.

    Raises
    ------
    UnknownColumn
        If there is no column `received_at`.
    InvalidFrame
        If the index does not consist of timestamps with a time zone.
    UnknownOption
        If `freq` is not a duration of at most a day.

    Examples
    --------
    >>> sent = pd.to_datetime([0, 10], unit="ms", utc=True)
    >>> frame = pd.DataFrame({"received_at": sent + pd.to_timedelta([2, 4], unit="ms")}, index=sent)
    >>> latency(frame)[["count", "p50_ms", "max_ms"]].to_numpy().tolist()
    [[2.0, 3.0, 4.0]]
    """
    check_columns(frame, "frame", "received_at")
    times_us(frame, "frame")
    frame = frame[frame["received_at"].notna()]
    received = index_us(pd.DatetimeIndex(frame["received_at"]), "received_at") if len(frame) else np.empty(0, np.int64)
    latency_ms = (received - times_us(frame, "frame")) / 1000 + offset_ms
    grid = TimeGrid(freq)
    bins = pd.Series(latency_ms).groupby(grid.keys(received))
    statistics = pd.DataFrame(
        {
            "count": bins.size().astype("int64"),
            **{name: bins.quantile(q).astype("float64") for name, q in _QUANTILES.items()},
            "max_ms": bins.max().astype("float64"),
        }
    )
    starts = grid.starts(statistics.index.to_numpy(np.int64))
    return statistics.set_index(pd.DatetimeIndex(pd.array(starts, dtype=UTC), name="timestamp"))


def correlation(
    quotes: pd.DataFrame, freq: str | pd.Timedelta = "1min", *, min_returns: int = MIN_RETURNS
) -> pd.DataFrame:
    """Return the correlation matrix of the symbols' log returns (Pearson), from mid prices.

    A return compares the last mid price of a bar with that of the bar before. A bar in which a symbol had no quote has
    no return, nor has the bar after it. Correlations shrink with the length of the bars, because the quotes of two
    symbols are not simultaneous (Epps 1979, "Comovements in Stock Prices in the Very Short Run").

    Parameters
    ----------
    quotes
        Rows of market-data of any symbols, indexed by timestamps with a time zone: `symbol`, `bid`, `ask`.
    freq
        The length of a bar, at most a day. Bars are counted from 1970-01-01T00:00Z.
    min_returns
        The fewest returns that two symbols must have in common; with fewer, their correlation is NaN. At least 2.

    Returns
    -------
    DataFrame
        Shape (symbols, symbols), float64 from -1 to 1; both indexes are named `symbol` and sorted.
        ``attrs["reasons"]`` explains, by symbol, why a symbol has no correlation, not even with itself.

    Raises
    ------
    InvalidFrame
        If the index does not consist of timestamps with a time zone, or a price is not a number.
    UnknownColumn
        If a column is missing.
    UnknownOption
        If `freq` is not a duration of at most a day, or `min_returns` not a whole number of at least 2.

    Examples
    --------
    >>> times = pd.to_datetime(list(range(40)), unit="s", utc=True).repeat(2)
    >>> price = [1.0 + (n // 2) % 5 / 100 for n in range(80)]
    >>> quotes = pd.DataFrame({"symbol": ["EURUSD", "GBPUSD"] * 40, "bid": price, "ask": price}, index=times)
    >>> correlation(quotes, "1s").round(2).to_numpy().tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    check_columns(quotes, "quotes", "symbol", "bid", "ask")
    min_returns = whole("min_returns", min_returns, 2)
    mid = (floats(quotes, "bid") + floats(quotes, "ask")) / 2
    rows = pd.DataFrame({"symbol": quotes["symbol"].astype(STR).to_numpy(), "mid": mid})
    rows["bar"] = TimeGrid(freq).keys(times_us(quotes, "quotes"))
    order = np.argsort(times_us(quotes, "quotes"), kind="stable")
    rows = rows.iloc[order].dropna()
    closes = rows.groupby(["bar", "symbol"])["mid"].last().unstack("symbol")
    returns = pd.DataFrame(np.log(closes.to_numpy(np.float64)), columns=closes.columns).diff()
    returns[np.diff(closes.index.to_numpy(np.int64), prepend=-1) != 1] = np.nan  # after bars without any quote
    matrix = returns.corr(min_periods=min_returns)
    names = pd.Index(matrix.index, dtype=STR, name="symbol")
    matrix = pd.DataFrame(matrix.to_numpy(np.float64), index=names, columns=names)
    counts = zip(names, returns.count(), np.isnan(np.diag(matrix)), strict=True)
    too_few = "{} returns, fewer than min_returns={}"
    matrix.attrs["reasons"] = {
        str(name): too_few.format(n, min_returns) if n < min_returns else "all returns are equal"
        for name, n, missing in counts
        if missing
    }
    return matrix


def spread_profile(quotes: pd.DataFrame, zone: str = "UTC", *, instruments: Instruments | None = None) -> pd.DataFrame:
    """Return the spread of each symbol by hour of the day, in pips.

    Parameters
    ----------
    quotes
        Rows of market-data of any symbols, indexed by timestamps with a time zone: `symbol`, `bid`, `ask`. Quotes
        without a bid or an ask are ignored; crossed ones (ask < bid) count, with a negative spread.
    zone
        The time zone of the hours, such as ``"Europe/London"``.
    instruments
        Pip sizes. Default: the market's conventions. Symbols without a known pip are left out.

    Returns
    -------
    DataFrame
        A row for each hour with quotes, indexed by `symbol` and `hour` (0 to 23): `quotes` (int64, number of quotes),
        `crossed` (int64, how many of them were crossed), and in pips (float64) `mean_pips`, `median_pips`, `p95_pips`
        (95 % quantile). Every quote has the same weight, however long it was in force.

    Raises
    ------
    InvalidFrame
        If the index does not consist of timestamps with a time zone, or a price is not a number.
    UnknownColumn
        If a column is missing.
    UnknownOption
        If there is no such time zone.

    Examples
    --------
    >>> times = pd.to_datetime(["2024-01-01T07:00Z", "2024-01-01T07:30Z"])
    >>> quotes = pd.DataFrame({"symbol": "EURUSD", "bid": [1.0850, 1.0850], "ask": [1.0851, 1.0853]}, index=times)
    >>> spread_profile(quotes)["mean_pips"].round(2).to_dict()
    {('EURUSD', 7): 2.0}
    """
    check_columns(quotes, "quotes", "symbol", "bid", "ask")
    times_us(quotes, "quotes")
    instruments = resolve_instruments(instruments)
    names = quotes["symbol"].astype(STR)
    pips = {name: _pip(instruments, name) for name in names.dropna().unique()}
    try:
        hours: Any = pd.DatetimeIndex(quotes.index).tz_convert(zone).hour if len(quotes) else []
    except (KeyError, ValueError, TypeError, OSError) as error:  # what zoneinfo raises for an unknown zone
        raise UnknownOption("zone", zone, ('a time zone such as "Europe/London"',)) from error
    spread = (floats(quotes, "ask") - floats(quotes, "bid")) / names.map(pips).to_numpy(np.float64)
    rows = pd.DataFrame({"symbol": names.to_numpy(), "hour": np.asarray(hours, np.int64), "spread": spread.round(6)})
    rows = rows.astype({"symbol": STR}).dropna()
    groups = rows.groupby(["symbol", "hour"])["spread"]
    return pd.DataFrame(
        {
            "quotes": groups.size().astype("int64"),
            "crossed": (rows["spread"] < 0).groupby([rows["symbol"], rows["hour"]]).sum().astype("int64"),
            "mean_pips": groups.mean().astype("float64"),
            "median_pips": groups.median().astype("float64"),
            "p95_pips": groups.quantile(0.95).astype("float64"),
        }
    )


def _pip(instruments: Instruments, symbol: Any) -> float:
    try:
        return instruments[symbol].pip
    except KeyError:
        return float("nan")

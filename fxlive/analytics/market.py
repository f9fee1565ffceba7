"""What the feed and the market are like: latency, correlation of pairs, spreads by the hour."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fxlive.analytics.grid import Grid
from fxlive.analytics.inputs import book_of, check_columns, floats, moments_us, times_us
from fxlive.core.arguments import whole
from fxlive.core.dtypes import STR, UTC
from fxlive.core.instruments import Instruments
from fxlive.errors import UnknownOption

_QUANTILES = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99}
MIN_RETURNS = 20


def latency(frame: pd.DataFrame, freq: str | pd.Timedelta = "1min", *, offset_ms: float = 0.0) -> pd.DataFrame:
    """Return how long messages took from the event to us, over time.

    Parameters
    ----------
    frame
        Rows of any channel: latency is `received_at` less the index, the envelope's time. Rows without `received_at`
        are left out.
    freq
        The length of a bin, at most a day.
    offset_ms
        How far the server's clock is ahead of ours: it is added. `health()` has it: ``clock_offset_ms``.

    Returns
    -------
    DataFrame
        Indexed by `timestamp`, the start of each bin by `received_at` (``datetime64[us, UTC]``); bins without messages
        are left out: `count` (int64) and, in milliseconds (float64), `p50_ms`, `p90_ms`, `p99_ms` (quantiles, linear
        between ranks), `max_ms`.

    Raises
    ------
    InvalidFrame, UnknownColumn, UnknownOption
        For frames that have no such times.

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
    received = (
        moments_us(pd.DatetimeIndex(frame["received_at"]), "received_at") if len(frame) else np.empty(0, np.int64)
    )
    took_ms = (received - times_us(frame, "frame")) / 1000 + offset_ms
    grid = Grid(freq)
    keys = grid.keys(received)
    groups = pd.Series(took_ms).groupby(keys)
    told = pd.DataFrame(
        {
            "count": groups.size().astype("int64"),
            **{name: groups.quantile(q).astype("float64") for name, q in _QUANTILES.items()},
            "max_ms": groups.max().astype("float64"),
        }
    )
    starts = grid.starts(told.index.to_numpy(np.int64))
    return told.set_index(pd.DatetimeIndex(pd.array(starts, dtype=UTC), name="timestamp"))


def correlation(
    quotes: pd.DataFrame, freq: str | pd.Timedelta = "1min", *, min_returns: int = MIN_RETURNS
) -> pd.DataFrame:
    """Return how the symbols' mid prices move together: Pearson's correlation of their log returns.

    A return is that of the last mid price of a bar over that of the bar before; bars in which a symbol had no quote
    have none, nor has the one after. The shorter the bars, the smaller correlations come out, because quotes are not
    simultaneous (Epps 1979).

    Parameters
    ----------
    quotes
        Rows of market-data.
    freq
        The length of a bar, at most a day, counted from 1970-01-01T00:00Z.
    min_returns
        With fewer returns in common, a pair of symbols has NaN; default: 20.

    Returns
    -------
    DataFrame
        float64, symbols by symbols, both indexes named `symbol` and sorted. ``attrs["reasons"]`` says of each symbol
        that has no correlation, not even with itself, why.

    Raises
    ------
    InvalidFrame, UnknownColumn, UnknownOption
        As in `bars`.

    Examples
    --------
    >>> when = pd.to_datetime(list(range(40)), unit="s", utc=True).repeat(2)
    >>> price = [1.0 + (n // 2) % 5 / 100 for n in range(80)]
    >>> quotes = pd.DataFrame({"symbol": ["EURUSD", "GBPUSD"] * 40, "bid": price, "ask": price}, index=when)
    >>> correlation(quotes, "1s").round(2).to_numpy().tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    check_columns(quotes, "quotes", "symbol", "bid", "ask")
    min_returns = whole("min_returns", min_returns, 2)
    mid = (floats(quotes, "bid") + floats(quotes, "ask")) / 2
    rows = pd.DataFrame({"symbol": quotes["symbol"].astype(STR).to_numpy(), "mid": mid})
    rows["bar"] = Grid(freq).keys(times_us(quotes, "quotes"))
    order = np.argsort(times_us(quotes, "quotes"), kind="stable")
    rows = rows.iloc[order].dropna()
    closes = rows.groupby(["bar", "symbol"])["mid"].last().unstack("symbol")
    returns = pd.DataFrame(np.log(closes.to_numpy(np.float64)), columns=closes.columns).diff()
    returns[np.diff(closes.index.to_numpy(np.int64), prepend=-1) != 1] = np.nan  # after bars without any quote
    told = returns.corr(min_periods=min_returns)
    names = pd.Index(told.index, dtype=STR, name="symbol")
    matrix = pd.DataFrame(told.to_numpy(np.float64), index=names, columns=names)
    counts = zip(names, returns.count(), np.isnan(np.diag(matrix)), strict=True)
    few = "{} returns, fewer than min_returns={}"
    matrix.attrs["reasons"] = {
        str(name): few.format(n, min_returns) if n < min_returns else "the returns do not differ"
        for name, n, missing in counts
        if missing
    }
    return matrix


def spread_profile(quotes: pd.DataFrame, zone: str = "UTC", *, instruments: Instruments | None = None) -> pd.DataFrame:
    """Return the spreads of each symbol by the hour of the day.

    Parameters
    ----------
    quotes
        Rows of market-data; quotes that lack a side are left out, crossed ones count (their spread is negative).
    zone
        Whose hours.
    instruments
        What a pip is; default: the market's conventions. Symbols that are no pairs are left out.

    Returns
    -------
    DataFrame
        Indexed by `symbol` and `hour` (0 to 23, of that zone), hours without quotes left out: `quotes` (int64),
        `crossed` (int64, how many had ask < bid), and in pips (float64) `mean_pips`, `median_pips`, `p95_pips`. Every
        quote counts the same, however long it held.

    Raises
    ------
    InvalidFrame, UnknownColumn, UnknownOption
        For frames that cannot be counted, and zones that do not exist.

    Examples
    --------
    >>> when = pd.to_datetime(["2024-01-01T07:00Z", "2024-01-01T07:30Z"])
    >>> quotes = pd.DataFrame({"symbol": "EURUSD", "bid": [1.0850, 1.0850], "ask": [1.0851, 1.0853]}, index=when)
    >>> spread_profile(quotes)["mean_pips"].round(2).to_dict()
    {('EURUSD', 7): 2.0}
    """
    check_columns(quotes, "quotes", "symbol", "bid", "ask")
    times_us(quotes, "quotes")
    book = book_of(instruments)
    names = quotes["symbol"].astype(STR)
    pips = {name: _pip(book, name) for name in names.dropna().unique()}
    try:
        hours: Any = pd.DatetimeIndex(quotes.index).tz_convert(zone).hour if len(quotes) else []
    except (KeyError, ValueError, TypeError, OSError) as error:  # what zoneinfo says of one that it does not know
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


def _pip(book: Instruments, symbol: Any) -> float:
    try:
        return book[symbol].pip
    except KeyError:
        return float("nan")

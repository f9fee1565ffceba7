"""Analysis of quotes and of the feed: bars, latency, correlation, spreads.

Each function becomes a method of `Readable`. They call the pure function of the same name in `fxlive.analytics`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from fxlive.analytics.market import MIN_RETURNS
from fxlive.core.instruments import known_symbol
from fxlive.sessions.reading.source import Reader
from fxlive.wire.channels import channel_name

if TYPE_CHECKING:
    from fxlive.analytics.bars import Price
    from fxlive.core.instruments import Instruments


def bars(
    self: Reader,
    symbol: str,
    freq: str | pd.Timedelta = "1min",
    price: Price = "mid",
    fill: bool = False,
    *,
    day_start: str | None = None,
    instruments: Instruments | None = None,
) -> pd.DataFrame:
    """Return the time bars of a symbol, labelled by their start.

    Parameters
    ----------
    symbol
        Such as ``"EURUSD"`` or ``"eur/usd"``. A currency pair without quotes has no bars.
    freq
        The length of a bar, at most a day: ``"1s"``, ``"5min"``, ``"1h"``, ``"1D"``.
    price
        ``"mid"``, ``"bid"``, ``"ask"`` or ``"last"``.
    fill
        Whether a period without quotes gets a bar of the last close with 0 ticks.
    day_start
        The start of the trading day from which bars are counted, such as ``"17:00 America/New_York"``. Default:
        midnight UTC.
    instruments
        Pips by symbol. Default: the market's conventions.

    Returns
    -------
    DataFrame
        Indexed by `timestamp`: `open`, `high`, `low`, `close` (float64), `ticks` (int64), `spread_pips` (the mean,
        float64), `complete` (bool; False for the last bar).

    Raises
    ------
    UnknownSymbol
        If `symbol` is not a known symbol or currency pair; the message suggests one.
    UnknownOption
        If the value of an option is not valid; the message lists the valid values.

    Examples
    --------
    >>> import fxlive
    >>> fxlive.Session.offline().bars("EURUSD", "1s").columns.tolist()
    ['open', 'high', 'low', 'close', 'ticks', 'spread_pips', 'complete']
    """
    from fxlive.analytics.bars import bars

    quoted = [str(name) for name in self._source.latest("market-data").index]
    quotes = self._source.rows("market-data", where={"symbol": known_symbol(symbol, quoted)})
    return bars(quotes, freq, price, fill, day_start=day_start, instruments=instruments)


def latency(self: Reader, channel: str = "market-data", freq: str | pd.Timedelta = "1min") -> pd.DataFrame:
    """Return the time from event to receipt of a channel's messages, over time.

    Returns
    -------
    DataFrame
        Indexed by `timestamp`, the start of each bin: `count`, `p50_ms`, `p90_ms`, `p99_ms`, `max_ms`, in milliseconds.
        It is the difference of the platform's clock and ours, not corrected; the known offset between them is
        ``health().clock_offset_ms``.

    Examples
    --------
    >>> import fxlive
    >>> fxlive.Session.offline().latency().empty
    True
    """
    from fxlive.analytics.market import latency

    return latency(self._source.rows(channel_name(channel, tuple(self._source.channels))), freq)


def correlation(self: Reader, freq: str | pd.Timedelta = "1min", *, min_returns: int = MIN_RETURNS) -> pd.DataFrame:
    """Return the correlation of the log returns of the symbols' mid prices.

    Parameters
    ----------
    freq
        The length of a return, at most a day.
    min_returns
        Pairs of symbols with fewer returns in common have NaN; at least 2, default 20.

    Returns
    -------
    DataFrame
        Symbols by symbols. ``attrs["reasons"]`` explains, by symbol, a diagonal of NaN: 20 returns of a minute take
        21 minutes of quotes, for example.

    Examples
    --------
    >>> import fxlive
    >>> fxlive.Session.offline().correlation().shape
    (0, 0)
    """
    from fxlive.analytics.market import correlation

    return correlation(self._source.rows("market-data"), freq, min_returns=min_returns)


def spread_profile(self: Reader, zone: str = "UTC", *, instruments: Instruments | None = None) -> pd.DataFrame:
    """Return the spread of each symbol by hour of the day, in pips.

    Parameters
    ----------
    zone
        The time zone of the hours, such as ``"Europe/London"``.
    instruments
        Pips by symbol. Default: the market's conventions. Symbols without a known pip are left out.

    Returns
    -------
    DataFrame
        Indexed by `symbol` and `hour`: `quotes`, `crossed` (counts), `mean_pips`, `median_pips`, `p95_pips`.

    Examples
    --------
    >>> import fxlive
    >>> fxlive.Session.offline().spread_profile().index.names
    FrozenList(['symbol', 'hour'])
    """
    from fxlive.analytics.market import spread_profile

    return spread_profile(self._source.rows("market-data"), zone, instruments=instruments)

"""Analysis of the market and the feed: bars, latency, correlation, spreads, as methods that all sessions share.

Each hands the frame of one moment to the pure function of its name in `fxlive.analytics`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import pandas as pd

from fxlive.analytics.market import MIN_RETURNS
from fxlive.core.instruments import known_symbol

if TYPE_CHECKING:
    from fxlive.analytics.bars import Price
    from fxlive.core.instruments import Instruments


class MarketAnalysis(ABC):
    """The methods that analyse quotes, and how long messages took."""

    @abstractmethod
    def frame(self, /, channel: str, **selection: Any) -> pd.DataFrame:
        """Return the rows of a channel."""

    @abstractmethod
    def latest(self, /, channel: str, **where: Any) -> pd.DataFrame:
        """Return the newest row of each key of a channel."""

    def bars(
        self,
        symbol: str,
        freq: str | pd.Timedelta = "1min",
        price: Price = "mid",
        fill: bool = False,
        *,
        day_start: str | None = None,
        instruments: Instruments | None = None,
    ) -> pd.DataFrame:
        """Return the time bars of a symbol, labelled by their start; of the last, `complete` is False.

        Parameters
        ----------
        symbol
            Such as ``"EURUSD"``, or ``"eur/usd"``; of a pair that has not ticked there are no bars.
        freq
            The length of a bar, at most a day: ``"1s"``, ``"5min"``, ``"1h"``, ``"1D"``.
        price
            ``"mid"``, ``"bid"``, ``"ask"`` or ``"last"``.
        fill
            Whether a time without quotes gets a bar of the last close with 0 ticks.
        day_start
            Such as ``"17:00 America/New_York"``: bars are counted from the start of each trading day; default: midnight
            UTC.
        instruments
            Say what a pip is; default: the market's conventions.

        Returns
        -------
        DataFrame
            Indexed by `timestamp`: `open`, `high`, `low`, `close`, `ticks`, `spread_pips` (mean), `complete`.

        Raises
        ------
        UnknownSymbol, UnknownOption
            For what cannot be; lists what can.

        Examples
        --------
        >>> import fxlive
        >>> fxlive.Session.offline().bars("EURUSD", "1s").columns.tolist()
        ['open', 'high', 'low', 'close', 'ticks', 'spread_pips', 'complete']
        """
        from fxlive.analytics.bars import bars

        seen = [str(name) for name in self.latest("market-data").index]
        quotes = self.frame("market-data", symbol=known_symbol(symbol, seen))
        return bars(quotes, freq, price, fill, day_start=day_start, instruments=instruments)

    def latency(self, channel: str = "market-data", freq: str | pd.Timedelta = "1min") -> pd.DataFrame:
        """Return how long a channel's messages took from the event to us, over time, in milliseconds.

        Returns
        -------
        DataFrame
            Indexed by `timestamp`, the start of each bin: `count`, `p50_ms`, `p90_ms`, `p99_ms`, `max_ms`, by the two
            clocks as they are; how far the server's is ahead is in ``health().clock_offset_ms``.

        Examples
        --------
        >>> import fxlive
        >>> fxlive.Session.offline().latency().empty
        True
        """
        from fxlive.analytics.market import latency

        return latency(self.frame(channel), freq)

    def correlation(self, freq: str | pd.Timedelta = "1min", *, min_returns: int = MIN_RETURNS) -> pd.DataFrame:
        """Return how the symbols' mid prices move together: the correlation of their log returns.

        Parameters
        ----------
        freq
            The length of a return, at most a day.
        min_returns
            With fewer returns in common, a pair of symbols has NaN; at least 2, default: 20.

        Returns
        -------
        DataFrame
            Symbols by symbols. ``attrs["reasons"]`` says of each symbol that has no correlation, not even with itself,
            why: that of 20 bars of a minute takes 21 minutes.

        Examples
        --------
        >>> import fxlive
        >>> fxlive.Session.offline().correlation().shape
        (0, 0)
        """
        from fxlive.analytics.market import correlation

        return correlation(self.frame("market-data"), freq, min_returns=min_returns)

    def spread_profile(self, zone: str = "UTC", *, instruments: Instruments | None = None) -> pd.DataFrame:
        """Return the spreads of each symbol by the hour of the day, in pips.

        Parameters
        ----------
        zone
            Whose hours, such as ``"Europe/London"``.
        instruments
            Say what a pip is; default: the market's conventions. Symbols that are no pairs are left out.

        Returns
        -------
        DataFrame
            Indexed by `symbol` and `hour`: `quotes`, `crossed`, `mean_pips`, `median_pips`, `p95_pips`.

        Examples
        --------
        >>> import fxlive
        >>> fxlive.Session.offline().spread_profile().index.names
        FrozenList(['symbol', 'hour'])
        """
        from fxlive.analytics.market import spread_profile

        return spread_profile(self.frame("market-data"), zone, instruments=instruments)

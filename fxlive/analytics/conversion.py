"""What a currency is worth in the account's: by the fewest pairs that lead there, at their mid prices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fxlive.analytics.inputs import MILLION, Floats, Micros, book_of, check_columns, floats, texts, times_us
from fxlive.core.dtypes import STR
from fxlive.core.instruments import Instrument, Instruments
from fxlive.errors import InvalidFrame

Path = tuple[tuple[str, bool], ...]
"""Pairs to take one after the other; True where from base to quote, which multiplies by the price."""


class QuoteBook:
    """Quotes by symbol and time, to look up what held at a moment.

    Parameters
    ----------
    quotes
        Rows of market-data of any symbols, or the newest of each as `latest` gives them. Quotes that lack a side are
        left out; crossed ones count.
    instruments
        Default: the market's conventions, and an account in USD.
    positions
        As of `newest_positions`: symbols without a quote are taken at the newest `current_price` of theirs.
    """

    def __init__(
        self, quotes: pd.DataFrame, instruments: Instruments | None = None, positions: pd.DataFrame | None = None
    ) -> None:
        self.instruments = book_of(instruments)
        if isinstance(quotes, pd.DataFrame) and quotes.index.name == "symbol" and "timestamp" in quotes.columns:
            quotes = quotes.reset_index().set_index("timestamp")
        check_columns(quotes, "quotes", "symbol", "bid", "ask")
        if positions is not None and {"timestamp", "current_price"} <= set(positions.columns):
            quotes = _with_prices(quotes, positions)
        self._bid, self._ask = floats(quotes, "bid"), floats(quotes, "ask")
        self._quotes = self._by_symbol(quotes["symbol"].array, times_us(quotes, "quotes"))
        self._paths: dict[str, Path | None] = {}

    @property
    def symbols(self) -> list[str]:
        """The symbols that have quotes."""
        return list(self._quotes)

    def instrument(self, symbol: str) -> Instrument | None:
        """Return what a symbol is; None of one that is no pair."""
        try:
            return self.instruments[symbol]
        except KeyError:
            return None

    def at(self, symbol: str, times: Micros) -> tuple[Floats, Floats, Micros]:
        """Return bid, ask and time of a symbol's last quote at or before each time; NaN, and 0, where there is none."""
        if symbol not in self._quotes:
            nothing = np.full(len(times), np.nan)
            return nothing, nothing, np.zeros(len(times), np.int64)
        moments, rows = self._quotes[symbol]
        places = np.searchsorted(moments, times, side="right") - 1
        known, found = places >= 0, rows[places]
        bid, ask = (np.where(known, side[found], np.nan) for side in (self._bid, self._ask))
        return bid, ask, np.where(known, moments[places], 0)

    def until(self, symbol: str) -> int:
        """Return the time of a symbol's last quote; the beginning of time where it has none."""
        return int(self._quotes[symbol][0][-1]) if symbol in self._quotes else np.iinfo(np.int64).min

    def mid(self, symbol: str) -> float:
        """Return a symbol's newest mid price; NaN where it has none."""
        if symbol not in self._quotes:
            return float("nan")
        newest = self._quotes[symbol][1][-1]
        return float((self._bid[newest] + self._ask[newest]) / 2)

    def rates(self, currency: str, times: Micros) -> Floats:
        """Return what a unit of a currency was worth in the account's at each time; NaN where no quotes lead there."""
        path = self.path(currency)
        if path is None:
            return np.full(len(times), np.nan)
        rate = np.ones(len(times))
        for symbol, forward in path:
            bid, ask, _ = self.at(symbol, times)
            mid = (bid + ask) / 2
            rate = rate * mid if forward else rate / mid
        return rate

    def rate(self, currency: str) -> float:
        """Return what a unit of a currency is worth in the account's by the newest quotes; NaN as `rates`."""
        path = self.path(currency)
        rate = float("nan") if path is None else 1.0
        for symbol, forward in path or ():
            rate = rate * self.mid(symbol) if forward else rate / self.mid(symbol)
        return rate

    def path(self, currency: str) -> Path | None:
        """Return the fewest pairs that lead to the account's currency, of as few the first by the alphabet."""
        if currency not in self._paths:
            self._paths[currency] = _path(currency, self.instruments, self._quotes)
        return self._paths[currency]

    def _by_symbol(self, symbols: Any, times: Micros) -> dict[str, tuple[Micros, npt.NDArray[np.intp]]]:
        """Return the times and rows of each symbol, by time, of equal times in the order of arrival."""
        if isinstance(symbols, pd.Categorical):
            codes, names = symbols.codes, list(symbols.categories)
        else:
            codes, found = pd.factorize(symbols)
            names = list(found)
        whole = ~(np.isnan(self._bid) | np.isnan(self._ask))
        if not whole.all():
            codes = np.where(whole, codes, -1)
        if (times[1:] < times[:-1]).any():
            in_time = np.argsort(times, kind="stable")
            rows = in_time[np.argsort(codes[in_time], kind="stable")]
        else:
            rows = np.argsort(codes, kind="stable")
        ends = np.cumsum(np.bincount(codes + 1, minlength=len(names) + 1))  # those without a symbol come first
        return {
            str(name): (times[rows[start:end]], rows[start:end])
            for name, start, end in zip(names, ends[:-1], ends[1:], strict=True)
            if end > start
        }


def _with_prices(quotes: pd.DataFrame, positions: pd.DataFrame) -> pd.DataFrame:
    """Return quotes, and for each symbol that has none the price that its positions were last worth."""
    whole = quotes[["symbol", "bid", "ask"]].dropna()
    priced = positions[["timestamp", "symbol", "current_price"]].dropna().astype({"symbol": STR})
    priced = priced[~priced["symbol"].isin(whole["symbol"].unique())].set_index("timestamp")
    prices = pd.DataFrame({"symbol": priced["symbol"], "bid": priced["current_price"], "ask": priced["current_price"]})
    if not len(prices):
        return quotes
    return pd.concat([whole.astype({"symbol": STR}), prices]) if len(whole) else prices


def _path(currency: str, instruments: Instruments, symbols: Iterable[str]) -> Path | None:
    pairs = []
    for symbol in sorted(symbols):
        try:
            pair = instruments[symbol]
        except KeyError:
            continue
        pairs += [(pair.base, pair.quote, (symbol, True)), (pair.quote, pair.base, (symbol, False))]
    reached: dict[str, Path] = {currency: ()}
    newly = [currency]
    while newly and instruments.account_currency not in reached:
        here, newly = newly, []
        for start in here:
            for origin, there, step in pairs:
                if origin == start and there not in reached:
                    reached[there] = (*reached[start], step)
                    newly.append(there)
    return reached.get(instruments.account_currency)


def newest_positions(positions: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Return the newest row of each open position, indexed by `ticket`; takes rows of the channel, or its `latest`."""
    if isinstance(positions, pd.DataFrame) and positions.index.name == "ticket":
        check_columns(positions, "positions", *columns)
        newest = positions
    else:
        check_columns(positions, "positions", "ticket", *columns)
        times_us(positions, "positions")
        if positions["ticket"].isna().any():
            raise InvalidFrame("positions", "has rows without ticket: drop them with frame.dropna(subset='ticket')")
        newest = positions.sort_index(kind="stable").drop_duplicates("ticket", keep="last")
        newest = newest.reset_index(names="timestamp").set_index("ticket").sort_index()
    return newest[newest["volume"] != 0]


def sides(frame: pd.DataFrame, column: str) -> Floats:
    """Return 1 for what is bought and -1 for what is sold, NaN for anything else: by the text's beginning."""
    told = texts(frame, column)
    signs = [1.0 if (t or "").startswith("BUY") else -1.0 if (t or "").startswith("SELL") else np.nan for t in told]
    return np.array(signs, np.float64)


def seconds(micros: Micros) -> Floats:
    """Return microseconds as seconds."""
    return micros / MILLION

"""Quotes as of a time, and conversion of currencies into the account's currency at mid prices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fxlive.analytics.inputs import (
    MILLION,
    Floats,
    Micros,
    check_columns,
    floats,
    received_us,
    resolve_instruments,
    texts,
    times_us,
)
from fxlive.core.dtypes import STR
from fxlive.core.instruments import Instrument, Instruments
from fxlive.core.volumes import are_zero
from fxlive.errors import InvalidFrame
from fxlive.wire.statuses import side_of

Path = tuple[tuple[str, bool], ...]
"""Pairs that convert one currency into another, in order. True: from base to quote, which multiplies by the price."""


class QuoteLookup:
    """Looks up the quote of a symbol that was in force at a time, and the conversion rates that follow from quotes.

    Parameters
    ----------
    quotes
        Rows of market-data of any symbols, or the newest of each as `latest` returns them. Quotes without a bid or an
        ask are ignored; crossed ones (ask < bid) are used.
    instruments
        Default: the market's conventions, and an account in USD.
    positions
        As `newest_positions` returns them. For a symbol without a quote, the newest `current_price` of its positions
        is used as bid and ask.
    """

    def __init__(
        self, quotes: pd.DataFrame, instruments: Instruments | None = None, positions: pd.DataFrame | None = None
    ) -> None:
        self.instruments = resolve_instruments(instruments)
        if isinstance(quotes, pd.DataFrame) and quotes.index.name == "symbol" and "timestamp" in quotes.columns:
            quotes = quotes.reset_index().set_index("timestamp")
        check_columns(quotes, "quotes", "symbol", "bid", "ask")
        if positions is not None and {"timestamp", "current_price"} <= set(positions.columns):
            quotes = _with_position_prices(quotes, positions)
        self._bid, self._ask = floats(quotes, "bid"), floats(quotes, "ask")
        self._received = received_us(quotes) if "received_at" in quotes.columns else None
        self._quotes = self._by_symbol(quotes["symbol"].array, times_us(quotes, "quotes"))
        self._paths: dict[str, Path | None] = {}

    @property
    def symbols(self) -> list[str]:
        """The symbols that have quotes."""
        return list(self._quotes)

    def instrument(self, symbol: str) -> Instrument | None:
        """Return the instrument of a symbol; None if it is neither a currency pair nor one of `instruments`."""
        try:
            return self.instruments[symbol]
        except KeyError:
            return None

    def at(self, symbol: str, times: Micros, *, received: Micros | None = None) -> tuple[Floats, Floats, Micros]:
        """Return bid, ask and timestamp of a symbol's last quote at or before each time; NaN, NaN and 0 if none.

        If the times are those of messages, given by their receipts, a quote of the same time counts only if it was
        received before the message. Otherwise it may be the later of the two.
        """
        if symbol not in self._quotes:
            missing = np.full(len(times), np.nan)
            return missing, missing, np.zeros(len(times), np.int64)
        quoted, rows = self._quotes[symbol]
        indices = np.searchsorted(quoted, times, side="right") - 1
        if received is not None:
            stops = indices + 1
            starts = np.searchsorted(quoted, times, side="left")
            indices = starts - 1
            if self._received is not None:
                for i in np.flatnonzero(starts < stops):
                    earlier = np.flatnonzero(self._received[rows[starts[i] : stops[i]]] < received[i])
                    indices[i] = starts[i] + earlier[-1] if len(earlier) else indices[i]
        exists, rows = indices >= 0, rows[indices]
        bid, ask = (np.where(exists, side[rows], np.nan) for side in (self._bid, self._ask))
        return bid, ask, np.where(exists, quoted[indices], 0)

    def last_time(self, symbol: str) -> int:
        """Return the timestamp of a symbol's last quote; the smallest int64 if it has none."""
        return int(self._quotes[symbol][0][-1]) if symbol in self._quotes else np.iinfo(np.int64).min

    def mid(self, symbol: str) -> float:
        """Return a symbol's newest mid price; NaN if it has none."""
        if symbol not in self._quotes:
            return float("nan")
        newest = self._quotes[symbol][1][-1]
        return float((self._bid[newest] + self._ask[newest]) / 2)

    def rates(self, currency: str, times: Micros, *, received: Micros | None = None) -> Floats:
        """Return the value of one unit of a currency in the account's currency at each time; NaN if unknown.

        By the quotes of `at`.
        """
        path = self.path(currency)
        if path is None:
            return np.full(len(times), np.nan)
        rate = np.ones(len(times))
        for symbol, forward in path:
            bid, ask, _ = self.at(symbol, times, received=received)
            mid = (bid + ask) / 2
            rate = rate * mid if forward else rate / mid
        return rate

    def rate(self, currency: str) -> float:
        """Return the value of one unit of a currency in the account's currency by the newest quotes; NaN if unknown."""
        path = self.path(currency)
        rate = float("nan") if path is None else 1.0
        for symbol, forward in path or ():
            rate = rate * self.mid(symbol) if forward else rate / self.mid(symbol)
        return rate

    def path(self, currency: str) -> Path | None:
        """Return the shortest chain of pairs to the account's currency, the alphabetically first of equal length.

        None if the quoted pairs do not connect the two currencies.
        """
        if currency not in self._paths:
            self._paths[currency] = _path(currency, self.instruments, self._quotes)
        return self._paths[currency]

    def _by_symbol(self, symbols: Any, times: Micros) -> dict[str, tuple[Micros, npt.NDArray[np.intp]]]:
        """Return the timestamps and row numbers of each symbol's quotes by time; equal times in order of arrival."""
        if isinstance(symbols, pd.Categorical):
            codes, names = symbols.codes, list(symbols.categories)
        else:
            codes, unique = pd.factorize(symbols)
            names = list(unique)
        two_sided = ~(np.isnan(self._bid) | np.isnan(self._ask))
        if not two_sided.all():
            codes = np.where(two_sided, codes, -1)
        if (times[1:] < times[:-1]).any():
            in_time = np.argsort(times, kind="stable")
            rows = in_time[np.argsort(codes[in_time], kind="stable")]
        else:
            rows = np.argsort(codes, kind="stable")
        ends = np.cumsum(np.bincount(codes + 1, minlength=len(names) + 1))  # the ignored rows, code -1, come first
        return {
            str(name): (times[rows[start:end]], rows[start:end])
            for name, start, end in zip(names, ends[:-1], ends[1:], strict=True)
            if end > start
        }


def _with_position_prices(quotes: pd.DataFrame, positions: pd.DataFrame) -> pd.DataFrame:
    """Return the quotes, plus the positions' current prices as quotes of the symbols that have none."""
    two_sided = quotes[["symbol", "bid", "ask"]].dropna()
    priced = positions[["timestamp", "symbol", "current_price"]].dropna().astype({"symbol": STR})
    priced = priced[~priced["symbol"].isin(two_sided["symbol"].unique())].set_index("timestamp")
    prices = pd.DataFrame({"symbol": priced["symbol"], "bid": priced["current_price"], "ask": priced["current_price"]})
    if not len(prices):
        return quotes
    return pd.concat([two_sided.astype({"symbol": STR}), prices]) if len(two_sided) else prices


def _path(currency: str, instruments: Instruments, symbols: Iterable[str]) -> Path | None:
    """Search the quoted pairs breadth first for a chain from a currency to the account's."""
    edges = []
    for symbol in sorted(symbols):
        try:
            pair = instruments[symbol]
        except KeyError:
            continue
        edges += [(pair.base, pair.quote, (symbol, True)), (pair.quote, pair.base, (symbol, False))]
    paths: dict[str, Path] = {currency: ()}
    frontier = [currency]
    while frontier and instruments.account_currency not in paths:
        level, frontier = frontier, []
        for start in level:
            for source, target, step in edges:
                if source == start and target not in paths:
                    paths[target] = (*paths[start], step)
                    frontier.append(target)
    return paths.get(instruments.account_currency)


def newest_positions(positions: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Return the newest row of each open position (volume not 0), indexed by `ticket`.

    `positions` are rows of the channel, or its `latest`, with at least these columns.
    """
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
    return newest[~are_zero(floats(newest, "volume"))]


def side_signs(frame: pd.DataFrame, column: str) -> Floats:
    """Return 1 for texts that name a buy (such as ``"BUY_LIMIT"``), -1 for a sell, NaN for any other."""
    return np.array([float(side_of(text or "")) or np.nan for text in texts(frame, column)], np.float64)


def to_seconds(micros: Micros) -> Floats:
    """Return microseconds as seconds."""
    return micros / MILLION

"""Bars (open, high, low, close) of quotes over equal times, equal numbers of quotes, or equal price ranges.

`bars` over all quotes equals the bars of a `BarStream` that is updated quote by quote, so a live chart and a recording
show the same bars.

A quote counts if it has the selected price. It belongs to the bar of its message timestamp. Within a bar the earliest
quote is the open and the latest the close; of equal timestamps the first and the last to arrive. A bar is complete, and
final, when a quote of a later bar has arrived: a quote that arrives for it afterwards is dropped and counted as late.
Quotes with a timestamp far ahead of the others (`time_outliers` in `health()`) do not count, if `received_at` is known.
Rows are processed in the order of arrival, which is the order of a session's frames. Sort other frames first:
``quotes.sort_index(kind="stable")``.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from fxlive.analytics.inputs import (
    MILLION,
    MISSING,
    Floats,
    Integers,
    Micros,
    check_columns,
    floats,
    resolve_instruments,
    single_symbol,
    times_us,
    without_outliers,
)
from fxlive.analytics.time_grid import TimeGrid
from fxlive.core.arguments import number, whole
from fxlive.core.dtypes import UTC
from fxlive.core.instruments import PIP, Instruments
from fxlive.errors import InvalidFrame, UnknownOption

Price = Literal["mid", "bid", "ask", "last"]
Flags = npt.NDArray[np.bool_]
PRICES: tuple[Price, ...] = ("mid", "bid", "ask", "last")


class Bars(NamedTuple):
    """Bars as arrays: `start` in microseconds since 1970 UTC, the others as the columns of `bars`."""

    start: Micros
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    ticks: Integers
    spread_pips: Floats
    complete: Flags

    def frame(self) -> pd.DataFrame:
        """Return the bars as a DataFrame, as `bars` returns them."""
        index = pd.DatetimeIndex(pd.array(self.start, dtype=UTC), name="timestamp")
        return pd.DataFrame(dict(zip(self._fields[1:], self[1:], strict=True)), index=index)


_INTEGERS, _FLOATS = np.empty(0, np.int64), np.empty(0)
_QUOTES_PER_UPDATE = 65_536
_ZERO = np.zeros(1, np.int64)
_NO_BARS = Bars(_INTEGERS, _FLOATS, _FLOATS, _FLOATS, _FLOATS, _INTEGERS, _FLOATS, np.empty(0, np.bool_))


def bars(
    quotes: pd.DataFrame,
    freq: str | pd.Timedelta,
    price: Price = "mid",
    fill: bool = False,
    *,
    day_start: str | None = None,
    instruments: Instruments | None = None,
) -> pd.DataFrame:
    """Return the time bars of one symbol's quotes.

    Parameters
    ----------
    quotes
        Rows of market-data of one symbol, in the order of arrival, indexed by timestamps with a time zone: `symbol`,
        `bid`, `ask`, and `last` if that is the price. Crossed quotes (ask < bid) count like any other.
    freq
        The length of a bar, at most a day: ``"1s"``, ``"5min"``, ``"1h"``, ``"1D"``. Without `day_start`, bars are
        counted from 1970-01-01T00:00Z, so a day is a day of UTC.
    price
        ``"mid"`` ((bid + ask) / 2), ``"bid"``, ``"ask"`` or ``"last"``. Quotes without that price are ignored.
    fill
        Whether a period without quotes gets a bar: its prices are the previous close, and `ticks` is 0.
    day_start
        A time of day and its time zone, such as ``"17:00 America/New_York"``: bars are counted from the start of each
        trading day, in summer and winter. ``"1D"`` is a trading day, ``"4h"`` begins with it.
    instruments
        Pip sizes. Default: the market's conventions.

    Returns
    -------
    DataFrame
        A row for each bar, indexed by `timestamp`, the start of the bar (``datetime64[us, UTC]``):

        - `open`, `high`, `low`, `close` (float64).
        - `ticks` (int64): the number of quotes.
        - `spread_pips` (float64): the mean of (ask - bid) / pip. NaN if no quote has both sides, or the symbol has no
          known pip.
        - `complete` (bool): whether a later bar has begun; False for the last bar. The first bar may lack quotes from
          before the frame.

        ``attrs["late"]`` is the number of quotes that arrived after their bar was complete and were dropped.

    Raises
    ------
    InvalidFrame
        If there are several symbols, or timestamps are missing or have no time zone.
    UnknownColumn, UnknownOption
        If a column is missing, or an option is invalid. The message lists what is valid.

    Examples
    --------
    >>> times = pd.to_datetime([0, 400, 1_000], unit="ms", utc=True)
    >>> quotes = pd.DataFrame({"symbol": "EURUSD", "bid": [1.0850, 1.0852, 1.0851], "ask": 1.0853}, index=times)
    >>> bars(quotes, "1s", "bid")[["open", "close", "ticks", "complete"]].to_numpy().tolist()
    [[1.085, 1.0852, 2, True], [1.0851, 1.0851, 1, False]]
    """
    last_column = ["last"] if price == "last" else []
    stream = BarStream(freq, price, pip=_pip_of(quotes, instruments, *last_column), day_start=day_start)
    quotes = without_outliers(quotes, "quotes")
    last = floats(quotes, "last") if last_column else None
    computed = _update_in_parts(stream, times_us(quotes, "quotes"), floats(quotes, "bid"), floats(quotes, "ask"), last)
    frame = (_fill(computed, stream.grid) if fill and len(computed.start) else computed).frame()
    frame.attrs["late"] = stream.late
    return frame


def tick_bars(
    quotes: pd.DataFrame, ticks: int, price: Price = "mid", *, instruments: Instruments | None = None
) -> pd.DataFrame:
    """Return bars of one symbol with an equal number of quotes each.

    Parameters
    ----------
    quotes, price, instruments
        As in `bars`.
    ticks
        The number of quotes of a bar, at least 1.

    Returns
    -------
    DataFrame
        The columns of `bars`, indexed by the timestamp of each bar's first quote. Quotes are processed in the order of
        arrival, so none is late, and two bars can have the same timestamp. `complete` is whether the bar has all its
        quotes.

    Raises
    ------
    InvalidFrame, UnknownColumn, UnknownOption
        As in `bars`.

    Examples
    --------
    >>> times = pd.to_datetime([0, 400, 1_000], unit="ms", utc=True)
    >>> quotes = pd.DataFrame({"symbol": "EURUSD", "bid": [1.0850, 1.0852, 1.0851], "ask": 1.0853}, index=times)
    >>> tick_bars(quotes, 2, "bid")["complete"].tolist()
    [True, False]
    """
    ticks = whole("ticks", ticks, 1)
    times, prices, spread = _priced_quotes(quotes, price, instruments)
    starts = np.arange(0, len(times), ticks)
    complete = np.minimum(starts + ticks, len(times)) - starts == ticks
    return _bars_starting_at(starts, times, prices, spread, complete).frame()


def range_bars(
    quotes: pd.DataFrame, pips: float, price: Price = "mid", *, instruments: Instruments | None = None
) -> pd.DataFrame:
    """Return bars of one symbol with an equal price range each: a bar ends when high - low reaches `pips`.

    Parameters
    ----------
    quotes, price, instruments
        As in `bars`.
    pips
        The range in pips, above 0. The range of a bar exceeds it if the price jumps; only the last bar's can be
        smaller.

    Returns
    -------
    DataFrame
        As `tick_bars` returns it. `complete` is whether the range was reached.

    Raises
    ------
    InvalidFrame
        As in `bars`, and if the symbol has no known pip.
    UnknownColumn, UnknownOption
        As in `bars`.

    Examples
    --------
    >>> times = pd.to_datetime([0, 400, 1_000], unit="ms", utc=True)
    >>> quotes = pd.DataFrame({"symbol": "EURUSD", "bid": [1.0850, 1.0852, 1.0851], "ask": 1.0853}, index=times)
    >>> range_bars(quotes, 2, "bid")[["ticks", "complete"]].to_numpy().tolist()
    [[2, True], [1, False]]
    """
    pips = number("pips", pips, "a number above 0")
    times, prices, spread = _priced_quotes(quotes, price, instruments)
    pip = _pip_of(quotes, instruments)
    if pip != pip:
        raise InvalidFrame(
            "quotes", "have a symbol that is not a currency pair: give its pip with instruments=Instruments({...})"
        )
    reach = pips * pip * (1 - 1e-9)  # price differences carry rounding errors of float64
    starts, start, width, complete = [], 0, 16, False
    while start < len(prices):
        part = prices[start : start + width]
        reached = np.maximum.accumulate(part) - np.minimum.accumulate(part) >= reach
        end = int(reached.argmax())
        complete = bool(reached[end])
        if not complete and start + width < len(prices):
            width *= 2
            continue
        starts.append(start)
        if not complete:
            break
        start += end + 1
        width = max(16, 2 * end)
    completes = np.ones(len(starts), np.bool_)
    if starts:
        completes[-1] = complete
    return _bars_starting_at(np.array(starts, np.int64), times, prices, spread, completes).frame()


class BarStream:
    """Time bars of one symbol that are updated with new quotes.

    However the quotes are divided into updates, the bars equal those of `bars` over all quotes, bit for bit. The stream
    keeps only the last bar, so the cost of an update does not depend on the number of earlier quotes.

    Parameters
    ----------
    freq, price, day_start
        As in `bars`.
    pip
        The size of a pip in the quote currency, as ``Instruments()["EURUSD"].pip``. Default: 0.0001.

    Raises
    ------
    UnknownOption
        If an option is invalid.

    Examples
    --------
    >>> stream = BarStream("1s")
    >>> first = stream.update(np.array([0, 400_000]), np.array([1.0, 1.2]), np.array([1.2, 1.4]))
    >>> first.close, first.complete
    (array([1.3]), array([False]))
    >>> stream.update(np.array([1_000_000]), np.array([1.1]), np.array([1.3])).complete
    array([ True, False])
    """

    def __init__(
        self, freq: str | pd.Timedelta, price: Price = "mid", *, pip: float = PIP, day_start: str | None = None
    ) -> None:
        if price not in PRICES:
            raise UnknownOption("price", price, PRICES)
        self.late = 0
        """The number of quotes that arrived after their bar was complete."""
        self.grid = TimeGrid(freq, day_start)
        self._price = price
        self._pip = pip
        # The last bar: its key, the timestamps of its open and close, its prices, ticks and spreads.
        self._key: int | None = None
        self._open_time = self._close_time = 0
        self._open = self._high = self._low = self._close = 0.0
        self._ticks = self._spread_count = self._spread_sum = 0

    def update(self, times: Micros, bid: Floats, ask: Floats, last: Floats | None = None) -> Bars:
        """Process new quotes, and return the bars that changed: the last bar and any that follow it.

        Parameters
        ----------
        times
            Timestamps in microseconds since 1970 UTC (int64), in the order of arrival; shape (n,).
        bid, ask, last
            Prices (float64), NaN if missing; shape (n,). `last` is needed for ``price="last"`` only.

        Returns
        -------
        Bars
            Arrays in order of time. The first bar replaces the one of the same start that was returned before, if any.
            The last is not complete. Empty if no quote counts.

        Raises
        ------
        UnknownOption
            If the price is ``"last"`` and `last` is None.
        """
        price = self._select(bid, ask, last)
        priced = price == price
        if not priced.all():
            times, price, bid, ask = times[priced], price[priced], bid[priced], ask[priced]
        keys = self.grid.keys(times)
        if not len(keys):
            return _NO_BARS
        newest = keys[0] if self._key is None else self._key
        in_order = not (times[1:] < times[:-1]).any()
        if keys[0] < newest or not (in_order or (keys[1:] >= keys[:-1]).all()):
            timely = keys == np.maximum(np.maximum.accumulate(keys), newest)
            self.late += int(len(keys) - np.count_nonzero(timely))
            times, keys, price, bid, ask = times[timely], keys[timely], price[timely], bid[timely], ask[timely]
        return self._add(keys, times, price, _spreads(bid, ask, self._pip), in_order) if len(keys) else _NO_BARS

    def _select(self, bid: Floats, ask: Floats, last: Floats | None) -> Floats:
        if self._price == "mid":
            return (bid + ask) / 2
        price = {"bid": bid, "ask": ask, "last": last}[self._price]
        if price is None:
            raise UnknownOption("last", None, ('an array of prices, because price is "last"',))
        return price

    def _add(self, keys: Integers, times: Micros, price: Floats, spread: Integers, in_order: bool) -> Bars:
        """Add quotes. Their keys never decrease, and the first is not below that of the last bar."""
        starts = np.concatenate((_ZERO, np.flatnonzero(keys[1:] != keys[:-1]) + 1))
        ends = np.append(starts[1:], len(keys))
        high, low = np.maximum.reduceat(price, starts), np.minimum.reduceat(price, starts)
        sorted_price, sorted_times = price, times
        if not in_order:  # sorting by time leaves each quote in its bar, because the keys are sorted
            order = np.argsort(times, kind="stable")
            sorted_price, sorted_times = price[order], times[order]
        opens, closes = sorted_price[starts], sorted_price[ends - 1]
        ticks = ends - starts
        spread_sums, spread_counts = _sums(spread, starts, ticks)
        changed = keys[starts]
        open_time, close_time = int(sorted_times[starts[-1]]), int(sorted_times[-1])
        previous = None
        if self._key == changed[0]:
            ticks[0] += self._ticks
            spread_sums[0] += self._spread_sum
            spread_counts[0] += self._spread_count
            high[0], low[0] = max(high[0], self._high), min(low[0], self._low)
            if sorted_times[0] >= self._open_time:
                opens[0] = self._open
            if sorted_times[ends[0] - 1] < self._close_time:
                closes[0] = self._close
            if len(starts) == 1:
                open_time, close_time = min(open_time, self._open_time), max(close_time, self._close_time)
        elif self._key is not None:
            previous = self._completed_bar()
        self._key, self._open_time, self._close_time = int(changed[-1]), open_time, close_time
        self._open, self._close = float(opens[-1]), float(closes[-1])
        self._high, self._low = float(high[-1]), float(low[-1])
        self._ticks, self._spread_sum, self._spread_count = int(ticks[-1]), int(spread_sums[-1]), int(spread_counts[-1])
        complete = np.ones(len(starts), np.bool_)
        complete[-1] = False
        bar_starts = self.grid.starts(changed)
        bars = Bars(bar_starts, opens, high, low, closes, ticks, _mean_pips(spread_sums, spread_counts), complete)
        return bars if previous is None else Bars(*(np.concatenate(pair) for pair in zip(previous, bars, strict=True)))

    def _completed_bar(self) -> Bars:
        """Return the last bar as complete, because a later one has begun."""
        start = self.grid.starts(np.array([self._key], np.int64))
        opened, high, low, close = (np.array([p]) for p in (self._open, self._high, self._low, self._close))
        spread = _mean_pips(np.array([self._spread_sum]), np.array([self._spread_count]))
        return Bars(start, opened, high, low, close, np.array([self._ticks]), spread, np.array([True]))


def _pip_of(quotes: pd.DataFrame, instruments: Instruments | None, *columns: str) -> float:
    """Return the pip of the quotes' symbol, NaN if unknown; checks that bid, ask and `columns` exist."""
    check_columns(quotes, "quotes", "symbol", "bid", "ask", *columns)
    symbol, known = single_symbol(quotes, "quotes"), resolve_instruments(instruments)
    try:
        return PIP if symbol is None else known[symbol].pip
    except KeyError:
        return float("nan")


def _update_in_parts(stream: BarStream, times: Micros, bid: Floats, ask: Floats, last: Floats | None) -> Bars:
    """Return the bars of many quotes. Parts that fit into the processor's cache take a third of the time."""
    parts: list[Bars] = []
    for start in range(0, len(times), _QUOTES_PER_UPDATE):
        part = slice(start, start + _QUOTES_PER_UPDATE)
        changed = stream.update(times[part], bid[part], ask[part], None if last is None else last[part])
        if parts and len(changed.start) and parts[-1].start[-1] == changed.start[0]:
            parts[-1] = Bars._make(values[:-1] for values in parts[-1])
        if len(changed.start):
            parts.append(changed)
    return Bars(*(np.concatenate(column) for column in zip(*parts, strict=True))) if parts else _NO_BARS


def _priced_quotes(
    quotes: pd.DataFrame, price: Price, instruments: Instruments | None
) -> tuple[Micros, Floats, Integers]:
    """Return timestamps, prices and spreads of the quotes that have the selected price."""
    if price not in PRICES:
        raise UnknownOption("price", price, PRICES)
    pip = _pip_of(quotes, instruments, *(["last"] if price == "last" else []))
    quotes = without_outliers(quotes, "quotes")
    times, bid, ask = times_us(quotes, "quotes"), floats(quotes, "bid"), floats(quotes, "ask")
    prices = (bid + ask) / 2 if price == "mid" else floats(quotes, price)
    priced = ~np.isnan(prices)
    return times[priced], prices[priced], _spreads(bid[priced], ask[priced], pip)


def _bars_starting_at(starts: Integers, times: Micros, prices: Floats, spread: Integers, complete: Flags) -> Bars:
    """Return the bars whose first quotes are at the row numbers `starts`, the quotes in the order of arrival."""
    if not len(starts):
        return _NO_BARS
    ends = np.append(starts[1:], len(times))
    ticks = ends - starts
    high, low = np.maximum.reduceat(prices, starts), np.minimum.reduceat(prices, starts)
    spread_pips = _mean_pips(*_sums(spread, starts, ticks))
    return Bars(times[starts], prices[starts], high, low, prices[ends - 1], ticks, spread_pips, complete)


def _spreads(bid: Floats, ask: Floats, pip: float) -> Integers:
    """Return spreads in whole millionths of a pip, `MISSING` without bid or ask; integers add up in any order."""
    spread = (ask - bid) * (MILLION / pip)
    known = spread == spread
    if known.all():
        return np.rint(spread).astype(np.int64)
    return np.where(known, np.rint(np.where(known, spread, 0.0)).astype(np.int64), MISSING)


def _sums(spread: Integers, starts: Integers, ticks: Integers) -> tuple[Integers, Integers]:
    """Return the sum and the number of the known spreads of each bar."""
    known = spread != MISSING
    if known.all():
        return np.add.reduceat(spread, starts), ticks.copy()
    return np.add.reduceat(np.where(known, spread, 0), starts), np.add.reduceat(known.astype(np.int64), starts)


def _mean_pips(sums: Integers, counts: Integers) -> Floats:
    millions = np.multiply(counts, MILLION, dtype=np.float64)
    mean: Floats = np.divide(sums, millions, out=np.full(len(sums), np.nan), where=counts > 0)
    return mean


def _fill(bars: Bars, grid: TimeGrid) -> Bars:
    """Return the bars with a flat bar for each bin between the first and the last that has none."""
    starts = grid.between(int(bars.start[0]), int(bars.start[-1]))
    previous = np.searchsorted(bars.start, starts, side="right") - 1
    exists = bars.start[previous] == starts
    close = bars.close[previous]
    opened, high, low = (np.where(exists, values[previous], close) for values in (bars.open, bars.high, bars.low))
    ticks, spread = np.where(exists, bars.ticks[previous], 0), np.where(exists, bars.spread_pips[previous], np.nan)
    return Bars(starts, opened, high, low, close, ticks, spread, np.where(exists, bars.complete[previous], True))

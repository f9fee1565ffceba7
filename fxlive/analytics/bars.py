"""Bars: quotes as open, high, low and close over equal times, equal numbers of quotes, or equal ranges of price.

`bars` is one update of a `BarStream` with everything, so what a chart shows of a stream is what comes of its recording.

Which quotes count: those that have the price asked for. A quote belongs to the bar of its envelope's time; within a bar
the earliest is the open and the latest the close, of equal times the first and the last that came. A bar that a later
one has followed is final: a quote that comes late for it is in no bar, and counted in `late`. Rows are taken in the
order of arrival, as frames have them; where they are in another order, ``quotes.sort_index(kind="stable")`` first.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from fxlive.analytics.grid import Grid
from fxlive.analytics.inputs import (
    MILLION,
    MISSING,
    Floats,
    Micros,
    book_of,
    check_columns,
    floats,
    one_symbol,
    times_us,
)
from fxlive.core.arguments import number, whole
from fxlive.core.dtypes import UTC
from fxlive.core.instruments import PIP, Instruments
from fxlive.errors import InvalidFrame, UnknownOption

Price = Literal["mid", "bid", "ask", "last"]
Flags = npt.NDArray[np.bool_]
PRICES: tuple[Price, ...] = ("mid", "bid", "ask", "last")


class Bars(NamedTuple):
    """Bars as arrays: `start` in microseconds since 1970 UTC, the rest as the columns of `bars`."""

    start: Micros
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    ticks: Micros
    spread_pips: Floats
    complete: Flags

    def frame(self) -> pd.DataFrame:
        """Return them as `bars` does."""
        index = pd.DatetimeIndex(pd.array(self.start, dtype=UTC), name="timestamp")
        return pd.DataFrame(dict(zip(self._fields[1:], self[1:], strict=True)), index=index)


_INTEGERS, _FLOATS = np.empty(0, np.int64), np.empty(0)
_PART = 65_536
_ZERO = np.zeros(1, np.int64)
_NONE = Bars(_INTEGERS, _FLOATS, _FLOATS, _FLOATS, _FLOATS, _INTEGERS, _FLOATS, np.empty(0, np.bool_))


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
        Rows of market-data of one symbol, in the order of arrival: an index of times with a zone, and the columns
        `symbol`, `bid`, `ask` (and `last` where that is the price). Crossed quotes count like any other.
    freq
        The length of a bar, at most a day: ``"1s"``, ``"5min"``, ``"1h"``, ``"1D"``. Bars are counted from
        1970-01-01T00:00Z, so a day is one of UTC.
    price
        ``"mid"`` ((bid + ask) / 2), ``"bid"``, ``"ask"`` or ``"last"``. Quotes without it count nowhere.
    fill
        Whether a time without quotes gets a bar of the last close with 0 ticks; otherwise it is a hole.
    day_start
        Such as ``"17:00 America/New_York"``: bars are counted from the start of each trading day, so that ``"1D"`` is a
        trading day, summer and winter, and ``"4h"`` begins with it.
    instruments
        Says what a pip is; default: the market's conventions.

    Returns
    -------
    DataFrame
        Indexed by `timestamp`, the start of the bar (``datetime64[us, UTC]``): `open`, `high`, `low`, `close`
        (float64), `ticks` (int64, quotes that count), `spread_pips` (float64, mean of (ask - bid) / pip, NaN where no
        quote has both, or nobody says what a pip of the symbol is) and `complete` (bool): whether a later bar has
        begun. The last is not; the first may lack what came before the frame. ``attrs["late"]`` counts the quotes that
        came after their bar was complete, which are in no bar.

    Raises
    ------
    InvalidFrame
        For several symbols, or times that are missing or without a zone.
    UnknownColumn, UnknownOption
        For what is not there; lists what is.

    Examples
    --------
    >>> times = pd.to_datetime([0, 400, 1_000], unit="ms", utc=True)
    >>> quotes = pd.DataFrame({"symbol": "EURUSD", "bid": [1.0850, 1.0852, 1.0851], "ask": 1.0853}, index=times)
    >>> bars(quotes, "1s", "bid")[["open", "close", "ticks", "complete"]].to_numpy().tolist()
    [[1.085, 1.0852, 2, True], [1.0851, 1.0851, 1, False]]
    """
    named_last = ["last"] if price == "last" else []
    stream = BarStream(freq, price, pip=pip_of(quotes, instruments, *named_last), day_start=day_start)
    last = floats(quotes, "last") if named_last else None
    made = _updated(stream, times_us(quotes, "quotes"), floats(quotes, "bid"), floats(quotes, "ask"), last)
    frame = (_filled(made, stream.grid) if fill and len(made.start) else made).frame()
    frame.attrs["late"] = stream.late
    return frame


def tick_bars(
    quotes: pd.DataFrame, ticks: int, price: Price = "mid", *, instruments: Instruments | None = None
) -> pd.DataFrame:
    """Return bars of equally many quotes each, of one symbol.

    Parameters
    ----------
    quotes, price, instruments
        As in `bars`.
    ticks
        How many quotes make a bar.

    Returns
    -------
    DataFrame
        As of `bars`, indexed by the time of each bar's first quote, in the order of arrival; quotes are taken as they
        came, so that none is late, and two bars may begin at one time. `complete`: whether it has all its quotes.

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
    times, prices, spread = _quoted(quotes, price, instruments)
    starts = np.arange(0, len(times), ticks)
    complete = np.minimum(starts + ticks, len(times)) - starts == ticks
    return _cut(times, prices, spread, starts, complete).frame()


def range_bars(
    quotes: pd.DataFrame, pips: float, price: Price = "mid", *, instruments: Instruments | None = None
) -> pd.DataFrame:
    """Return bars of equal range each, of one symbol: a bar ends with the quote that makes high - low reach `pips`.

    Parameters
    ----------
    quotes, price, instruments
        As in `bars`.
    pips
        The range, in pips. A jump can make a bar's range larger, never smaller but in the last.

    Returns
    -------
    DataFrame
        As of `tick_bars`. `complete`: whether the range was reached.

    Raises
    ------
    InvalidFrame, UnknownColumn, UnknownOption
        As in `bars`.

    Examples
    --------
    >>> times = pd.to_datetime([0, 400, 1_000], unit="ms", utc=True)
    >>> quotes = pd.DataFrame({"symbol": "EURUSD", "bid": [1.0850, 1.0852, 1.0851], "ask": 1.0853}, index=times)
    >>> range_bars(quotes, 2, "bid")[["ticks", "complete"]].to_numpy().tolist()
    [[2, True], [1, False]]
    """
    pips = number("pips", pips, "a number above 0")
    times, prices, spread = _quoted(quotes, price, instruments)
    pip = pip_of(quotes, instruments)
    if pip != pip:
        raise InvalidFrame("quotes", "are of no pair of currencies: say what a pip is, instruments=Instruments({...})")
    reach = pips * pip * (1 - 1e-9)  # differences of prices carry binary dust
    starts, start, width, complete = [], 0, 16, False
    while start < len(prices):
        part = prices[start : start + width]
        reached = np.maximum.accumulate(part) - np.minimum.accumulate(part) >= reach
        at = int(reached.argmax())
        complete = bool(reached[at])
        if not complete and start + width < len(prices):
            width *= 2
            continue
        starts.append(start)
        if not complete:
            break
        start += at + 1
        width = max(16, 2 * at)
    ended = np.ones(len(starts), np.bool_)
    if starts:
        ended[-1] = complete
    return _cut(times, prices, spread, np.array(starts, np.int64), ended).frame()


class BarStream:
    """Time bars of one symbol, brought up to date with the new quotes alone.

    However quotes are split over updates, the bars are those of `bars` over all of them, bit for bit. An update costs
    the same however many quotes came before: it keeps the last bar only.

    Parameters
    ----------
    freq, price, day_start
        As in `bars`.
    pip
        Of the symbol, in its quote currency: ``Instruments()["EURUSD"].pip``.

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
        """How many quotes came too late for their bar."""
        self.grid = Grid(freq, day_start)
        self._price = price
        self._pip = pip
        self._key: int | None = None  # of the last bar; what follows is that bar so far
        self._first = self._last = 0
        self._open = self._high = self._low = self._close = 0.0
        self._ticks = self._spreads = self._spread = 0

    def update(self, times: Micros, bid: Floats, ask: Floats, last: Floats | None = None) -> Bars:
        """Take new quotes, and return the bars that have changed: the last one as it is now, and any after it.

        Parameters
        ----------
        times
            Microseconds since 1970 UTC, in the order of arrival.
        bid, ask, last
            Prices, NaN where missing; `last` only for ``price="last"``.

        Returns
        -------
        Bars
            In order of time. The first may be one that was returned before, to be replaced; the last is not
            `complete`. Empty where no quote counts.
        """
        price = self._priced(bid, ask, last)
        there = price == price
        if not there.all():
            times, price, bid, ask = times[there], price[there], bid[there], ask[there]
        keys = self.grid.keys(times)
        if not len(keys):
            return _NONE
        newest = keys[0] if self._key is None else self._key
        in_order = not (times[1:] < times[:-1]).any()
        if keys[0] < newest or not (in_order or (keys[1:] >= keys[:-1]).all()):
            timely = keys == np.maximum(np.maximum.accumulate(keys), newest)
            self.late += int(len(keys) - np.count_nonzero(timely))
            times, keys, price, bid, ask = times[timely], keys[timely], price[timely], bid[timely], ask[timely]
        return self._add(keys, times, price, _spread(bid, ask, self._pip), in_order) if len(keys) else _NONE

    def _priced(self, bid: Floats, ask: Floats, last: Floats | None) -> Floats:
        if self._price == "mid":
            return (bid + ask) / 2
        quoted = {"bid": bid, "ask": ask, "last": last}[self._price]
        if quoted is None:
            raise UnknownOption("last", None, ('an array, because the price is "last"',))
        return quoted

    def _add(self, keys: Micros, times: Micros, price: Floats, spread: Micros, in_order: bool) -> Bars:
        """Take quotes whose keys never fall, none below that of the last bar."""
        starts = np.concatenate((_ZERO, np.flatnonzero(keys[1:] != keys[:-1]) + 1))
        ends = np.append(starts[1:], len(keys))
        high, low = np.maximum.reduceat(price, starts), np.minimum.reduceat(price, starts)
        in_time, moments = price, times
        if not in_order:  # the keys stay as they are: they never fall
            order = np.argsort(times, kind="stable")
            in_time, moments = price[order], times[order]
        opens, closes = in_time[starts], in_time[ends - 1]
        ticks = ends - starts
        summed, spreads = _sums(spread, starts, ticks)
        changed = keys[starts]
        first_at, last_at = int(moments[starts[-1]]), int(moments[-1])
        ended = None
        if self._key == changed[0]:
            ticks[0] += self._ticks
            summed[0] += self._spread
            spreads[0] += self._spreads
            high[0], low[0] = max(high[0], self._high), min(low[0], self._low)
            if moments[0] >= self._first:
                opens[0] = self._open
            if moments[ends[0] - 1] < self._last:
                closes[0] = self._close
            if len(starts) == 1:
                first_at, last_at = min(first_at, self._first), max(last_at, self._last)
        elif self._key is not None:
            ended = self._bar()
        self._key, self._first, self._last = int(changed[-1]), first_at, last_at
        self._open, self._close = float(opens[-1]), float(closes[-1])
        self._high, self._low = float(high[-1]), float(low[-1])
        self._ticks, self._spreads, self._spread = int(ticks[-1]), int(spreads[-1]), int(summed[-1])
        complete = np.ones(len(starts), np.bool_)
        complete[-1] = False
        begun = self.grid.starts(changed)
        bars = Bars(begun, opens, high, low, closes, ticks, _mean_pips(summed, spreads), complete)
        return bars if ended is None else Bars(*(np.concatenate(pair) for pair in zip(ended, bars, strict=True)))

    def _bar(self) -> Bars:
        """Return the last bar, to which nothing has been added: another has begun."""
        start = self.grid.starts(np.array([self._key], np.int64))
        opened, high, low, close = (np.array([p]) for p in (self._open, self._high, self._low, self._close))
        spread = _mean_pips(np.array([self._spread]), np.array([self._spreads]))
        return Bars(start, opened, high, low, close, np.array([self._ticks]), spread, np.array([True]))


def pip_of(quotes: pd.DataFrame, instruments: Instruments | None, *columns: str) -> float:
    """Return the pip of the one symbol of quotes, which have bid, ask and these columns; NaN where nobody knows it."""
    check_columns(quotes, "quotes", "symbol", "bid", "ask", *columns)
    symbol, book = one_symbol(quotes, "quotes"), book_of(instruments)
    try:
        return PIP if symbol is None else book[symbol].pip
    except KeyError:
        return float("nan")


def _updated(stream: BarStream, times: Micros, bid: Floats, ask: Floats, last: Floats | None) -> Bars:
    """Return the bars of many quotes, updated in parts that stay in the processor's cache: a third of the time."""
    parts: list[Bars] = []
    for start in range(0, len(times), _PART):
        part = slice(start, start + _PART)
        made = stream.update(times[part], bid[part], ask[part], None if last is None else last[part])
        if parts and len(made.start) and parts[-1].start[-1] == made.start[0]:
            parts[-1] = Bars._make(values[:-1] for values in parts[-1])
        if len(made.start):
            parts.append(made)
    return Bars(*(np.concatenate(column) for column in zip(*parts, strict=True))) if parts else _NONE


def _quoted(quotes: pd.DataFrame, price: Price, instruments: Instruments | None) -> tuple[Micros, Floats, Micros]:
    """Return times, prices and spreads of the quotes that have the price asked for."""
    if price not in PRICES:
        raise UnknownOption("price", price, PRICES)
    pip = pip_of(quotes, instruments, *(["last"] if price == "last" else []))
    times, bid, ask = times_us(quotes, "quotes"), floats(quotes, "bid"), floats(quotes, "ask")
    prices = (bid + ask) / 2 if price == "mid" else floats(quotes, price)
    there = ~np.isnan(prices)
    return times[there], prices[there], _spread(bid[there], ask[there], pip)


def _cut(times: Micros, prices: Floats, spread: Micros, starts: Micros, complete: Flags) -> Bars:
    """Return the bars that begin at these places, all quotes in the order in which they came."""
    if not len(starts):
        return _NONE
    ends = np.append(starts[1:], len(times))
    ticks = ends - starts
    high, low = np.maximum.reduceat(prices, starts), np.minimum.reduceat(prices, starts)
    spreads = _mean_pips(*_sums(spread, starts, ticks))
    return Bars(times[starts], prices[starts], high, low, prices[ends - 1], ticks, spreads, complete)


def _spread(bid: Floats, ask: Floats, pip: float) -> Micros:
    """Return spreads in whole millionths of a pip, whose sum is the same however they are split; `MISSING` for none."""
    spread = (ask - bid) * (MILLION / pip)
    known = spread == spread
    if known.all():
        return np.rint(spread).astype(np.int64)
    return np.where(known, np.rint(np.where(known, spread, 0.0)).astype(np.int64), MISSING)


def _sums(spread: Micros, starts: Micros, ticks: Micros) -> tuple[Micros, Micros]:
    """Return the sum of the spreads that are known from each of `starts` on, and how many they are."""
    known = spread != MISSING
    if known.all():
        return np.add.reduceat(spread, starts), ticks.copy()
    return np.add.reduceat(np.where(known, spread, 0), starts), np.add.reduceat(known.astype(np.int64), starts)


def _mean_pips(summed: Micros, count: Micros) -> Floats:
    millions = np.multiply(count, MILLION, dtype=np.float64)
    mean: Floats = np.divide(summed, millions, out=np.full(len(summed), np.nan), where=count > 0)
    return mean


def _filled(made: Bars, grid: Grid) -> Bars:
    """Return the bars with one for each time between the first and the last."""
    starts = grid.between(int(made.start[0]), int(made.start[-1]))
    before = np.searchsorted(made.start, starts, side="right") - 1
    own = made.start[before] == starts
    close = made.close[before]
    opened, high, low = (np.where(own, values[before], close) for values in (made.open, made.high, made.low))
    ticks, spread = np.where(own, made.ticks[before], 0), np.where(own, made.spread_pips[before], np.nan)
    return Bars(starts, opened, high, low, close, ticks, spread, np.where(own, made.complete[before], True))

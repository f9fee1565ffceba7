"""Time grids: assign timestamps to bins of equal length, counted from midnight UTC or a trading day's start."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt
import pandas as pd

from fxlive.analytics.inputs import Integers, Micros
from fxlive.errors import InvalidFrame, UnknownOption

DAY_US = 86_400_000_000
MAX_BINS = 50_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FREQS = ('a duration of at most 1 day, such as "1s", "5min", "1h" or "1D"',)
_DAY_STARTS = ("None (midnight UTC)", 'a time of day and its time zone, such as "17:00 America/New_York"')


def span_us(freq: str | pd.Timedelta) -> int:
    """Return the length of a bin in microseconds.

    Raises
    ------
    UnknownOption
        If `freq` is not a positive duration of at most a day.

    >>> span_us("5min"), span_us("h")
    (300000000, 3600000000)
    """
    for text in (freq, f"1{freq}"):
        try:
            span = int(pd.Timedelta(text) / pd.Timedelta("1us"))
        except (ValueError, TypeError):
            continue
        if 0 < span <= DAY_US:
            return span
        break
    raise UnknownOption("freq", freq, _FREQS)


class TimeGrid:
    """Divides time into bins of equal length.

    Parameters
    ----------
    freq
        The length of a bin, at most a day.
    day_start
        None: bins are counted from 1970-01-01T00:00Z. A text such as ``"17:00 America/New_York"``: bins are counted
        from the start of each trading day. The last bin of a day is shorter if the bins do not divide the day.
    """

    def __init__(self, freq: str | pd.Timedelta, day_start: str | None = None) -> None:
        self.span_us = span_us(freq)
        self._days = None if day_start is None else _TradingDays(day_start)

    def keys(self, times: Micros) -> Integers:
        """Return the key of each timestamp's bin: an integer that grows with time."""
        if self._days is None:
            return times // self.span_us
        days = self._days.starts(times)
        return days + (times - days) // self.span_us * self.span_us

    def starts(self, keys: Integers) -> Micros:
        """Return the start of the bin with each key."""
        return keys * self.span_us if self._days is None else keys

    def in_trading_week(self, starts: Micros) -> npt.NDArray[np.bool_]:
        """Return whether each bin belongs to a day on which currencies trade. Needs a `day_start`.

        Currencies trade from Sunday evening to Friday evening: on the trading days that begin on Sunday to Thursday.
        """
        assert self._days is not None
        return self._days.weekdays(self._days.starts(starts)) < 5

    def between(self, first: int, last: int) -> Micros:
        """Return the start of every bin from the one that starts at `first` to the one that starts at `last`.

        Raises
        ------
        InvalidFrame
            If there are more than 50,000,000 bins. One timestamp far in the future would otherwise exhaust the memory.
        """
        if (last - first) // self.span_us > MAX_BINS:
            raise InvalidFrame("the frame", f"spans more than {MAX_BINS:,} bars: drop the rows with wrong timestamps")
        if self._days is None:
            return np.arange(first, last + 1, self.span_us)
        days = self._days.boundaries(first, last)
        starts = np.concatenate([np.arange(start, end, self.span_us) for start, end in pairwise(days.tolist())])
        return starts[(starts >= first) & (starts <= last)]


class _TradingDays:
    """The starts of trading days, from a calendar that is extended on demand."""

    def __init__(self, day_start: str) -> None:
        try:
            clock, zone = day_start.split()
            self._time, self._zone = time.fromisoformat(clock), ZoneInfo(zone)
        except (ValueError, AttributeError, OSError, ZoneInfoNotFoundError) as error:  # OSError: "America" is a folder
            raise UnknownOption("day_start", day_start, _DAY_STARTS) from error
        self._calendar = np.empty(0, np.int64)

    def boundaries(self, first: int, last: int) -> Micros:
        """Return the start of every day from the one that contains `first` to the one after that of `last`."""
        calendar = self._calendar
        if not len(calendar) or first < calendar[0] or last >= calendar[-1]:
            low = (_EPOCH + timedelta(microseconds=first)).date() - timedelta(days=2)
            count = (last - first) // DAY_US + 6
            days = [datetime.combine(low + timedelta(days=n), self._time, self._zone) for n in range(count)]
            calendar = np.array([(day - _EPOCH) // timedelta(microseconds=1) for day in days], np.int64)
            self._calendar = calendar
        a, b = np.searchsorted(calendar, [first, last], side="right")
        return calendar[a - 1 : b + 1]

    def weekdays(self, starts: Micros) -> Integers:
        """Return the local weekday on which each of these days begins; 0 is Sunday."""
        local = pd.DatetimeIndex(starts.astype("datetime64[us]")).tz_localize("UTC").tz_convert(self._zone)
        return np.asarray((local.day_of_week + 1) % 7, np.int64)

    def starts(self, times: Micros) -> Micros:
        """Return the start of the day that contains each timestamp."""
        if not len(times):
            return times
        days = self.boundaries(int(times.min()), int(times.max()))
        return days[np.searchsorted(days, times, side="right") - 1]

"""The grid of time bars: which bar a moment belongs to, also where the trading day begins at 17:00 in New York."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt
import pandas as pd

from fxlive.analytics.inputs import Micros
from fxlive.errors import InvalidFrame, UnknownOption

DAY_US = 86_400_000_000
MAX_BARS = 50_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FREQS = ('a time of at most a day, such as "1s", "5min", "1h" or "1D"',)
_DAY_STARTS = ("None (midnight UTC)", 'a time and its zone, such as "17:00 America/New_York"')


def span_us(freq: str | pd.Timedelta) -> int:
    """Return the length of a bar in microseconds.

    Raises
    ------
    UnknownOption
        Where it is no length of time, or longer than a day.

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


class Grid:
    """Time cut into bars.

    Parameters
    ----------
    freq
        The length of a bar, at most a day.
    day_start
        None: bars are counted from 1970-01-01T00:00Z. Such as ``"17:00 America/New_York"``: they are counted from the
        start of each trading day, whose last bar is shorter where they do not divide the day.
    """

    def __init__(self, freq: str | pd.Timedelta, day_start: str | None = None) -> None:
        self.span_us = span_us(freq)
        self._days = None if day_start is None else _Days(day_start)

    def keys(self, times: Micros) -> Micros:
        """Return a number for the bar of each moment; numbers grow with time."""
        if self._days is None:
            return times // self.span_us
        days = self._days.starts(times)
        return days + (times - days) // self.span_us * self.span_us

    def starts(self, keys: Micros) -> Micros:
        """Return when the bars of these keys begin."""
        return keys * self.span_us if self._days is None else keys

    def trading(self, starts: Micros) -> npt.NDArray[np.bool_]:
        """Return whether each bar is of a day that is traded; of days that begin elsewhere than midnight UTC.

        Currencies trade from Sunday to Friday evening: on the days that begin on a Sunday, and so on up to Thursday.
        """
        assert self._days is not None
        return self._days.weekdays(self._days.starts(starts)) < 5

    def between(self, first: int, last: int) -> Micros:
        """Return the start of every bar from `first` to `last`, both starts of bars.

        Raises
        ------
        InvalidFrame
            Where they are more than anybody wants: one time far in the future would fill the memory.
        """
        if (last - first) // self.span_us > MAX_BARS:
            raise InvalidFrame("the frame", f"spans more than {MAX_BARS:,} bars: leave out the times that are wrong")
        if self._days is None:
            return np.arange(first, last + 1, self.span_us)
        days = self._days.over(first, last)
        parts = [np.arange(a, b, self.span_us) for a, b in pairwise(days.tolist())]
        every = np.concatenate(parts)
        return every[(every >= first) & (every <= last)]


class _Days:
    """The starts of trading days, looked up in a calendar that grows as it is asked."""

    def __init__(self, day_start: str) -> None:
        try:
            clock, zone = day_start.split()
            self._time, self._zone = time.fromisoformat(clock), ZoneInfo(zone)
        except (ValueError, AttributeError, OSError, ZoneInfoNotFoundError) as error:  # a folder of zones is no zone
            raise UnknownOption("day_start", day_start, _DAY_STARTS) from error
        self._calendar = np.empty(0, np.int64)

    def over(self, first: int, last: int) -> Micros:
        """Return the starts of the days that hold these two moments and of all between, and of the one after."""
        calendar = self._calendar
        if not len(calendar) or first < calendar[0] or last >= calendar[-1]:
            low = (_EPOCH + timedelta(microseconds=first)).date() - timedelta(days=2)
            count = (last - first) // DAY_US + 6
            days = [datetime.combine(low + timedelta(days=n), self._time, self._zone) for n in range(count)]
            calendar = np.array([(day - _EPOCH) // timedelta(microseconds=1) for day in days], np.int64)
            self._calendar = calendar
        a, b = np.searchsorted(calendar, [first, last], side="right")
        return calendar[a - 1 : b + 1]

    def weekdays(self, starts: Micros) -> Micros:
        """Return the local weekday on which each of these days begins; 0 is Sunday."""
        moments = pd.DatetimeIndex(starts.astype("datetime64[us]")).tz_localize("UTC").tz_convert(self._zone)
        return np.asarray((moments.day_of_week + 1) % 7, np.int64)

    def starts(self, times: Micros) -> Micros:
        if not len(times):
            return times
        days = self.over(int(times.min()), int(times.max()))
        return days[np.searchsorted(days, times, side="right") - 1]

"""Validate option values (numbers, durations, timestamps, paths); raise UnknownOption listing the accepted forms."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from numbers import Number, Real
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_list_like

from fxlive.core.world import WORLD
from fxlive.errors import UnknownOption

_NUMBER = re.compile(r"[-+]?[\d.]*")
_TIME_OF_DAY = re.compile(
    r"T?\d{1,2}(:\d\d){0,2}(\.\d*)?\s*([ap]\.?m\.?)?\s*(Z|UTC|GMT|[-+]\d\d(:?\d\d)?)?", re.IGNORECASE
)
_DAY_OR_MONTH_FIRST = re.compile(r"\d{1,2}\s*[/.-]\s*\d")  # 11/12/2026: the month is ambiguous
_YEAR = re.compile(r"\d{4}")
_DATE_DIGITS = (4, 8, 14)  # 2024, 20240131, 20240131120000
_TIMESTAMP = 'a timestamp with a date, such as "2024-01-31 12:00" (UTC)'


def number(option: str, value: Any, *known: str, above: float = 0.0) -> float:
    """Return a value as a float, which must be finite and above a bound.

    Raises
    ------
    UnknownOption
        If `value` is not such a number; `known` lists the accepted values.

    >>> number("speed", 2, "a number above 0")
    2.0
    """
    try:
        real = math.nan if isinstance(value, bool | np.bool_) or not isinstance(value, Real) else float(value)
    except OverflowError:
        real = math.inf
    if not above < real < math.inf:
        raise UnknownOption(option, value, known)
    return real


def whole(option: str, value: Any, least: int | None = None, *known: str) -> int:
    """Return a value as an int of at least `least`; a float without a fraction, such as 1e6, is accepted.

    Raises
    ------
    UnknownOption
        If `value` is not such a number; `known` lists values that are accepted besides numbers.

    >>> whole("max_rows", 1e6, 1)
    1000000
    """
    real = isinstance(value, Real) and not isinstance(value, bool | np.bool_)
    if not real or value % 1 != 0 or (least is not None and value < least):
        bound = "" if least is None else f" of at least {least}"
        raise UnknownOption(option, value, (f"a whole number{bound}", *known))
    return int(value)


def speed_of(speed: Any) -> float | None:
    """Return a playback speed as a multiple of real time; None is as fast as possible."""
    return None if speed is None else number("speed", speed, "a number above 0", "None for as fast as possible")


def is_collection(value: Any) -> bool:
    """Return whether a value is list-like, such as a list, set, Series or array, and not a dict.

    >>> is_collection({1, 2}), is_collection(pd.Series([1])), is_collection("text"), is_collection({})
    (True, True, False, False)
    """
    return is_list_like(value) and not isinstance(value, Mapping)


def as_list(option: str, values: Any, *known: str) -> list[Any]:
    """Return the values of an option that takes several.

    Raises
    ------
    UnknownOption
        If `values` is a single value; `known` lists the accepted values.

    >>> as_list("horizons", ("1s", "30s"))
    ['1s', '30s']
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise UnknownOption(option, values, known)
    return list(values)


def rows_or_duration(last: Any) -> int | pd.Timedelta:
    """Return the option `last` as a number of rows or a duration, either at least 0.

    Raises
    ------
    UnknownOption
        If `last` is neither.

    >>> rows_or_duration(5.0), rows_or_duration("5min")
    (5, Timedelta('0 days 00:05:00'))
    """
    count = isinstance(last, int | float | np.integer | np.floating) and not isinstance(last, bool | np.timedelta64)
    if count and last >= 0 and last % 1 == 0:
        return int(last)
    span = _duration(last)
    if span is None or not span >= pd.Timedelta(0):  # not NaT either
        raise UnknownOption("last", last, ("a number of rows", 'a duration such as "5min"'))
    return span


def time_of(option: str, value: Any) -> pd.Timedelta:
    """Return the value of an option as a duration above 0.

    Raises
    ------
    UnknownOption
        If `value` is not such a duration, or a number without a unit, which pandas would read as nanoseconds.

    >>> time_of("window", "15min")
    Timedelta('0 days 00:15:00')
    """
    span = _duration(value)
    if span is None or not span > pd.Timedelta(0):
        raise UnknownOption(option, value, ('a duration such as "15min"',))
    return span


def _duration(value: Any) -> pd.Timedelta | None:
    """Return a value as a duration; None if it is invalid or a number without a unit (nanoseconds to pandas)."""
    digits = isinstance(value, str) and _NUMBER.fullmatch(value.strip())
    if digits or (isinstance(value, Number | np.bool_) and not isinstance(value, np.timedelta64)):
        return None
    try:
        return pd.Timedelta(value)
    except (ValueError, TypeError):
        return None


def span_s(option: str, time: str | float | pd.Timedelta, *, zero: bool = True) -> float:
    """Return a duration in seconds: from a number of seconds (also as text), a text such as "10s", or a Timedelta.

    Raises
    ------
    UnknownOption
        If `time` is not a duration, is negative, or is 0 while `zero` is False.

    >>> span_s("hold", "1min"), span_s("hold", 2), span_s("timeout", "10")
    (60.0, 2.0, 10.0)
    """
    is_number = isinstance(time, int | float) or str(time).strip().replace(".", "", 1).isdecimal()
    try:
        seconds = float(str(time)) if is_number else pd.Timedelta(time).total_seconds()
    except ValueError:
        seconds = math.nan
    if not (seconds >= 0 if zero else seconds > 0):
        bound = "at least 0" if zero else "above 0"
        raise UnknownOption(option, time, (f'a duration such as "10s" or a number of seconds, {bound}',))
    return seconds


def utc(time: Any, option: str = "time") -> pd.Timestamp:
    """Return a timestamp in UTC; one without a zone is taken as UTC, and ``"now"`` is the present.

    Raises
    ------
    UnknownOption
        If `time` is invalid or ambiguous. pandas would accept a number (as nanoseconds), a time of day (as today's), a
        date without a year, and a date such as 11/12/2026 (guessing the month); they are refused here.

    >>> utc("2024-01-01 01:00")
    Timestamp('2024-01-01 01:00:00+0000', tz='UTC')
    """
    text = time.strip() if isinstance(time, str) else ""
    digits = text.lstrip("+-").replace(".", "", 1).isdecimal() and len(text) not in _DATE_DIGITS
    if digits or isinstance(time, Number | np.bool_):
        raise UnknownOption(option, time, (_TIMESTAMP, 'pd.Timestamp(..., unit="s") for seconds since 1970'))
    invalid = UnknownOption(option, time, (_TIMESTAMP,))
    if text.lower() == "now":
        return pd.Timestamp(WORLD.now_us(), unit="us", tz="UTC")
    if text and (_TIME_OF_DAY.fullmatch(text) or _DAY_OR_MONTH_FIRST.match(text) or not _YEAR.search(text)):
        raise invalid
    try:
        stamp = pd.Timestamp(time)
    except (ValueError, TypeError):
        raise invalid from None
    if pd.isna(stamp):
        raise invalid
    return stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")


def path_of(path: Any, *known: str) -> Path:
    """Return a path with a leading ``~`` expanded; ``~name`` of an unknown user is kept as it is.

    Raises
    ------
    UnknownOption
        If `path` is not a path; `known` lists the accepted values.

    >>> path_of("captures").name
    'captures'
    """
    try:
        return Path(os.path.expanduser(path))
    except TypeError as error:
        raise UnknownOption("path", path, known) from error


def micros_of(time: Any) -> int:
    """Return a timestamp, as `utc` accepts it, in microseconds since 1970.

    >>> micros_of("1970-01-01 00:00:01")
    1000000
    """
    return int(utc(time).as_unit("us").asm8.astype(np.int64))

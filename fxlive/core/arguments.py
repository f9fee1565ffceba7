"""What a user may give for an option: a number, a length of time, a moment; what is none is an error that says so."""

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

from fxlive.errors import UnknownOption

_NUMBER = re.compile(r"[-+]?[\d.]*")
_TIME_OF_DAY = re.compile(
    r"T?\d{1,2}(:\d\d){0,2}(\.\d*)?\s*([ap]\.?m\.?)?\s*(Z|UTC|GMT|[-+]\d\d(:?\d\d)?)?", re.IGNORECASE
)
_DAY_OR_MONTH_FIRST = re.compile(r"\d{1,2}\s*[/.-]\s*\d")  # 11/12/2026: nobody knows which of them
_YEAR = re.compile(r"\d{4}")
_DIGITS_OF_A_DATE = (4, 8, 14)  # 2024, 20240131, 20240131120000
_MOMENT = 'a time with its date such as "2024-01-31 12:00", which is UTC'


def number(option: str, value: Any, *known: str, above: float = 0.0) -> float:
    """Return a finite number that is above another one.

    Raises
    ------
    UnknownOption
        Where it is none; `known` says what could be.

    >>> number("speed", 2, "a number above 0")
    2.0
    """
    try:
        found = math.nan if isinstance(value, bool | np.bool_) or not isinstance(value, Real) else float(value)
    except OverflowError:
        found = math.inf
    if not above < found < math.inf:
        raise UnknownOption(option, value, known)
    return found


def whole(option: str, value: Any, least: int | None = None, *known: str) -> int:
    """Return a whole number, of at least another one; 1e6 is one too.

    Raises
    ------
    UnknownOption
        Where it is none; `known` says what could be besides.

    >>> whole("max_rows", 1e6, 1)
    1000000
    """
    real = isinstance(value, Real) and not isinstance(value, bool | np.bool_)
    if not real or value % 1 != 0 or (least is not None and value < least):
        said = "a whole number" if least is None else f"a whole number of at least {least}"
        raise UnknownOption(option, value, (said, *known))
    return int(value)


def speed_of(speed: Any) -> float | None:
    """Return how many times as fast as it was something is to be played; None for as fast as it goes."""
    return None if speed is None else number("speed", speed, "a number above 0", "None for as fast as it goes")


def is_collection(value: Any) -> bool:
    """Return whether a value is several: anything like a list, such as what pandas' ``unique`` gives, and no dict.

    >>> is_collection({1, 2}), is_collection(pd.Series([1])), is_collection("text"), is_collection({})
    (True, True, False, False)
    """
    return is_list_like(value) and not isinstance(value, Mapping)


def as_list(option: str, values: Any, *known: str) -> list[Any]:
    """Return the values of an option that takes several as a list; raises UnknownOption where it is one alone."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise UnknownOption(option, values, known)
    return list(values)


def rows_or_duration(last: Any) -> int | pd.Timedelta:
    """Return what `last` asks for: a number of rows, or a time.

    Raises
    ------
    UnknownOption
        Where it is neither.

    >>> rows_or_duration(5.0), rows_or_duration("5min")
    (5, Timedelta('0 days 00:05:00'))
    """
    count = isinstance(last, int | float | np.integer | np.floating) and not isinstance(last, bool | np.timedelta64)
    if count and last >= 0 and last % 1 == 0:
        return int(last)
    span = _length(last)
    if span is None or not span >= pd.Timedelta(0):  # nor is NaT
        raise UnknownOption("last", last, ("a number of rows", 'a time such as "5min"'))
    return span


def time_of(option: str, value: Any) -> pd.Timedelta:
    """Return a length of time that an option names.

    Raises
    ------
    UnknownOption
        Where it is none, or not longer than nothing. A number alone is none: pandas would take it for nanoseconds.

    >>> time_of("window", "15min")
    Timedelta('0 days 00:15:00')
    """
    span = _length(value)
    if span is None or not span > pd.Timedelta(0):
        raise UnknownOption(option, value, ('a time such as "15min"',))
    return span


def _length(value: Any) -> pd.Timedelta | None:
    """Return a length of time, None where it is none: so is a number alone, which pandas takes for nanoseconds."""
    digits = isinstance(value, str) and _NUMBER.fullmatch(value.strip())
    if digits or (isinstance(value, Number | np.bool_) and not isinstance(value, np.timedelta64)):
        return None
    try:
        return pd.Timedelta(value)
    except (ValueError, TypeError):
        return None


def span_s(option: str, time: str | float | pd.Timedelta, *, zero: bool = True) -> float:
    """Return a time as seconds: a number of them (as text too), or a text such as "10s".

    Raises
    ------
    UnknownOption
        Where it is no time, or a negative one, or none at all where `zero` is not allowed.

    >>> span_s("hold", "1min"), span_s("hold", 2), span_s("timeout", "10")
    (60.0, 2.0, 10.0)
    """
    counted = isinstance(time, int | float) or str(time).strip().replace(".", "", 1).isdecimal()
    try:
        seconds = float(str(time)) if counted else pd.Timedelta(time).total_seconds()
    except ValueError:
        seconds = math.nan
    if not (seconds >= 0 if zero else seconds > 0):
        bound = "not negative" if zero else "longer than nothing"
        raise UnknownOption(option, time, (f'a time such as "10s", or a number of seconds, {bound}',))
    return seconds


def utc(time: Any, option: str = "a moment") -> pd.Timestamp:
    """Return a moment in UTC; without a zone it is taken as UTC.

    Raises
    ------
    UnknownOption
        Where it is no moment. A number alone is none: pandas would take it for nanoseconds; nor is a time of day, which
        it would take for today's, nor a date such as 11/12/2026, of which it would guess what is the month, nor one
        without its year. ``"now"`` is one.

    >>> utc("2024-01-01 01:00")
    Timestamp('2024-01-01 01:00:00+0000', tz='UTC')
    """
    text = time.strip() if isinstance(time, str) else ""
    digits = text.lstrip("+-").replace(".", "", 1).isdecimal() and len(text) not in _DIGITS_OF_A_DATE
    if digits or isinstance(time, Number | np.bool_):
        raise UnknownOption(option, time, (_MOMENT, 'pd.Timestamp(..., unit="s") of seconds since 1970'))
    wrong = UnknownOption(option, time, (_MOMENT,))
    if text.lower() == "now":
        return pd.Timestamp.now("UTC")
    if text and (_TIME_OF_DAY.fullmatch(text) or _DAY_OR_MONTH_FIRST.match(text) or not _YEAR.search(text)):
        raise wrong
    try:
        stamp = pd.Timestamp(time)
    except (ValueError, TypeError):
        raise wrong from None
    if pd.isna(stamp):
        raise wrong
    return stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")


def path_of(path: Any, *known: str) -> Path:
    """Return a path, ``~`` standing for the user's home; one of a user that there is not stays as it is.

    Raises
    ------
    UnknownOption
        Where it is none; `known` says what could be.

    >>> path_of("captures").name
    'captures'
    """
    try:
        return Path(os.path.expanduser(path))
    except TypeError as error:
        raise UnknownOption("path", path, known) from error


def micros_of(time: Any) -> int:
    """Return a moment as microseconds since 1970; without a zone it is UTC.

    >>> micros_of("1970-01-01 00:00:01")
    1000000
    """
    return int(utc(time).as_unit("us").asm8.astype(np.int64))

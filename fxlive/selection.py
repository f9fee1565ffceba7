"""Selection: which rows of a frame are wanted, by number, time and value; the same on live and on recorded data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd

from fxlive.channels import Channel
from fxlive.columns import STR
from fxlive.errors import UnknownColumn, UnknownOption

_NUMBER = re.compile(r"[-+]?[\d.]*")
_TIME_OF_DAY = re.compile(
    r"T?\d{1,2}(:\d\d){0,2}(\.\d*)?\s*([ap]\.?m\.?)?\s*(Z|UTC|GMT|[-+]\d\d(:?\d\d)?)?", re.IGNORECASE
)
_DIGITS_OF_A_DATE = (4, 8, 14)  # 2024, 20240131, 20240131120000
_MOMENT = 'a time with its date such as "2024-01-31 12:00", which is UTC'


def keyed(frame: pd.DataFrame, channel: Channel) -> pd.DataFrame:
    """Return a frame with one row a key as `latest` gives it: indexed and sorted by the channel's key."""
    if not channel.key:
        return frame
    return frame.reset_index().set_index(list(channel.key)).sort_index(key=_as_text)


def _as_text(index: pd.Index[Any]) -> pd.Index[Any]:
    """Return what to sort by: a categorical's texts, not the order in which they came."""
    return index.astype(STR) if isinstance(index.dtype, pd.CategoricalDtype) else index


def select(
    frame: pd.DataFrame,
    channel: str,
    *,
    last: float | str | timedelta | None = None,
    since: Any = None,
    until: Any = None,
    where: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Return the rows of a frame that are wanted, in the order in which they are.

    Parameters
    ----------
    frame
        Indexed by `timestamp`, or by a key with `timestamp` as a column.
    channel
        What to call it in an error.
    last
        The last so many rows of what else is wanted, or the rows of the last "5min" before the newest `timestamp`.
    since, until
        Times, both included; without a zone they are UTC.
    where
        Values by column; a list of values takes any of them.

    Raises
    ------
    UnknownColumn
        Where a column of `where` does not exist.
    ValueError
        Where `last` is neither a number of rows nor a time.
    """
    span = None if last is None else span_of(last)
    for name, value in (where or {}).items():
        if name in frame.columns:
            column: Any = frame[name]
        elif name in frame.index.names:
            column = frame.index.get_level_values(name)
        else:
            raise UnknownColumn(name, channel, [n for n in (*frame.index.names, *frame.columns) if n])
        several = isinstance(value, list | tuple | set | frozenset | pd.Index | pd.Series | np.ndarray)
        mask = column.isin(list(value)) if several else column.isna() if value is None else column == value
        frame = frame[np.asarray(mask.fillna(False) if hasattr(mask, "fillna") else mask, bool)]
    stamps = frame.index if frame.index.name == "timestamp" else pd.DatetimeIndex(frame["timestamp"])
    if since is not None:
        keep = np.asarray(stamps >= utc(since))
        frame, stamps = frame[keep], stamps[keep]
    if until is not None:
        keep = np.asarray(stamps <= utc(until))
        frame, stamps = frame[keep], stamps[keep]
    if isinstance(span, int):
        return frame.iloc[max(len(frame) - span, 0) :]
    if span is not None and len(frame):
        return frame[np.asarray(stamps >= stamps.max() - span)]
    return frame


def span_of(last: Any) -> int | pd.Timedelta:
    """Return what `last` asks for: a number of rows, or a time.

    >>> span_of(5.0), span_of("5min")
    (5, Timedelta('0 days 00:05:00'))
    """
    wrong = ValueError(f"last must be a number of rows, or a time such as '5min', not {last!r}")
    if isinstance(last, bool | np.bool_):
        raise wrong
    if not isinstance(last, np.timedelta64) and isinstance(last, int | float | np.integer | np.floating):
        if not last >= 0 or last % 1 != 0:
            raise wrong
        return int(last)
    if isinstance(last, str) and _NUMBER.fullmatch(last.strip()):  # pandas would take it for nanoseconds
        raise wrong
    try:
        span = pd.Timedelta(last)
    except ValueError:
        raise wrong from None
    if not span >= pd.Timedelta(0):  # nor is NaT
        raise wrong
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
    wrong = UnknownOption(option, value, ('a time such as "15min"',))
    if isinstance(value, int | float) or (isinstance(value, str) and _NUMBER.fullmatch(value.strip())):
        raise wrong
    try:
        span = pd.Timedelta(value)
    except ValueError:
        raise wrong from None
    if not span > pd.Timedelta(0):
        raise wrong
    return span


def utc(time: Any, option: str = "a moment") -> pd.Timestamp:
    """Return a moment in UTC; without a zone it is taken as UTC.

    Raises
    ------
    UnknownOption
        Where it is no moment. A number alone is none: pandas would take it for nanoseconds; nor is a time of day, which
        it would take for today's.

    >>> utc("2024-01-01 01:00")
    Timestamp('2024-01-01 01:00:00+0000', tz='UTC')
    """
    text = time.strip() if isinstance(time, str) else ""
    digits = text.lstrip("+-").replace(".", "", 1).isdecimal() and len(text) not in _DIGITS_OF_A_DATE
    if digits or isinstance(time, Number | np.bool_):
        raise UnknownOption(option, time, (_MOMENT, 'pd.Timestamp(..., unit="s") of seconds since 1970'))
    wrong = UnknownOption(option, time, (_MOMENT,))
    if _TIME_OF_DAY.fullmatch(text):
        raise wrong
    try:
        stamp = pd.Timestamp(time)
    except (ValueError, TypeError):
        raise wrong from None
    if pd.isna(stamp):
        raise wrong
    return stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")


def micros_of(time: Any) -> int:
    """Return a moment as microseconds since 1970; without a zone it is UTC.

    >>> micros_of("1970-01-01 00:00:01")
    1000000
    """
    return int(utc(time).as_unit("us").asm8.astype(np.int64))

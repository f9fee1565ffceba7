"""Select rows of a frame by number, time and value. Live and recorded data share these functions."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, timedelta
from numbers import Number
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import is_bool_dtype, is_integer_dtype, is_numeric_dtype, is_scalar

from fxlive.core.arguments import is_collection, rows_or_duration, utc
from fxlive.core.dtypes import STR
from fxlive.errors import UnknownColumn, UnknownOption
from fxlive.wire.channels import Channel
from fxlive.wire.messages import Kind

Rows = npt.NDArray[np.int64]
"""Positions of rows."""

_DAY = re.compile(r"\d{4}(-\d\d){0,2}|\d{8}")

_FEW = 4  # a selection of less than one in four rows is copied


def index_by_key(frame: pd.DataFrame, channel: Channel, rows: Rows | None = None) -> pd.DataFrame:
    """Return a frame with one row per key as `latest` returns it: indexed and sorted by the channel's key.

    Parameters
    ----------
    frame
        Rows of the channel, indexed by `timestamp`.
    channel
        The channel.
    rows
        The positions of the rows to return; all by default.
    """
    rows = np.arange(len(frame)) if rows is None else rows
    by_key = frame.iloc[order_by_key(frame, channel, rows)]
    if not channel.key:
        return by_key
    # Not reset_index: it warns of performance if there are many columns.
    return pd.concat([by_key.index.to_frame(), by_key], axis=1).set_index(list(channel.key))


def order_by_key(frame: pd.DataFrame, channel: Channel, rows: Rows) -> Rows:
    """Return the positions of rows in the order of their keys: categories by their text, not by their code."""
    keys = [_as_text(frame[name].array.take(rows)) for name in channel.key]
    if len(keys) > 1:
        return rows[pd.DataFrame(dict(enumerate(keys))).sort_values([*range(len(keys))]).index]
    return rows[keys[0].argsort()] if keys else rows


def _as_text(values: Any) -> Any:
    return values.astype(STR) if isinstance(values.dtype, pd.CategoricalDtype) else values


def select(
    frame: pd.DataFrame,
    channel: str,
    *,
    last: float | str | timedelta | None = None,
    since: Any = None,
    until: Any = None,
    where: Mapping[str, Any] | None = None,
    options: Sequence[str] = ("last", "since", "until"),
    end_us: int | None = None,
) -> pd.DataFrame:
    """Return the rows of a frame that match all conditions, in their order.

    Parameters
    ----------
    frame
        Indexed by `timestamp`, or by a key with `timestamp` as a column.
    channel
        The name of the channel in errors.
    last
        A number of rows: return the last ones of those that match the other conditions. Or a duration such as "5min":
        return those of the last five minutes up to the newest `timestamp` among them.
    since, until
        The first and the last timestamp, both included; UTC unless they have a zone.
    where
        Values by column, as `comparison_values` accepts them.
    options
        The user's keywords that are not columns, for errors.
    end_us
        The end of the channel's time in microseconds (see `Progress`). With a duration, `last` leaves later rows out.

    Raises
    ------
    UnknownColumn
        If a column of `where` does not exist.
    UnknownOption
        If a column cannot have a value of `where`, `last` is neither a number of rows nor a duration, `since` or
        `until` is invalid, or `since` is later than `until`.
    """
    span = None if last is None else rows_or_duration(last)
    begin, end = None if since is None else utc(since), None if until is None else utc(until)
    if begin is not None and end is not None and begin > end:
        raise UnknownOption("since", since, (f"at or before until ({end})",))
    for name, value in (where or {}).items():
        if name in frame.columns:
            column = frame[name]
        elif name in frame.index.names:
            column = pd.Series(frame.index.get_level_values(name))
        else:
            raise UnknownColumn(name, channel, [n for n in (*frame.index.names, *frame.columns) if n], options)
        frame = frame[_mask(name, column, value)]
    stamps = frame.index if frame.index.name == "timestamp" else pd.DatetimeIndex(frame["timestamp"])
    if begin is not None:
        keep = np.asarray(stamps >= begin)
        frame, stamps = frame[keep], stamps[keep]
    if end is not None:
        keep = np.asarray(stamps <= end)
        frame, stamps = frame[keep], stamps[keep]
    if isinstance(span, int):
        return last_rows(frame, span)
    if span is not None and len(frame):
        trusted = stamps if end_us is None else stamps[stamps <= pd.Timestamp(end_us, unit="us", tz="UTC")]
        newest = trusted.max() if len(trusted) else stamps.max()
        return frame[np.asarray((stamps >= newest - span) & (stamps <= newest))]
    return frame


def last_rows(frame: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return the last rows of a frame. A few of many are a copy: a slice would keep the memory of all rows alive."""
    start = max(len(frame) - count, 0)
    if count * _FEW < len(frame):
        return frame.take(np.arange(start, len(frame)))
    return frame.iloc[start:]


def _mask(name: str, column: pd.Series, value: Any) -> Any:
    """Return a bool array of the rows of a column that have one of the requested values."""
    kind = _kind(name, column.dtype)
    values, missing = comparison_values(name, kind, value)
    if kind is Kind.CODE:
        texts = column.cat.categories
        matches = [(text.lower() if is_case_insensitive(name, kind) else text) in values for text in texts]
        return np.array([*matches, missing])[column.cat.codes]  # a missing value has code -1, the last element
    mask = column == values[0] if len(values) == 1 else column.isin(values)
    return (mask | column.isna() if missing else mask).to_numpy(bool, na_value=False)


def _kind(name: str, dtype: Any) -> Kind:
    """Return the kind of a column by its name and dtype; key integers count as integers."""
    if isinstance(dtype, pd.CategoricalDtype):
        return Kind.SYMBOL if name == "symbol" else Kind.CODE
    if isinstance(dtype, pd.DatetimeTZDtype):
        return Kind.TIME
    if isinstance(dtype, pd.StringDtype):
        return Kind.TEXT
    if is_bool_dtype(dtype):
        return Kind.FLAG
    return Kind.INTEGER if is_integer_dtype(dtype) else Kind.NUMBER if is_numeric_dtype(dtype) else Kind.LIST


def is_case_insensitive(column: str, kind: Kind) -> bool:
    """Return whether a column is compared without regard to case: codes of the platform are, ids chosen by users not.

    >>> is_case_insensitive("action", Kind.CODE), is_case_insensitive("strategy_id", Kind.CODE)
    (True, False)
    """
    return kind is Kind.CODE and not column.endswith("_id")


def comparison_values(column: str, kind: Kind, value: Any) -> tuple[list[Any], bool]:
    """Return the values with which to compare a column, and whether missing values match too.

    Text is converted for columns of numbers and times, and to lower case for columns compared without regard to case.
    Symbols must have been normalized before.

    Parameters
    ----------
    column
        The name of the column in errors.
    kind
        The kind of its values.
    value
        One value, or a collection of alternatives. None, NaN and NaT match missing values.

    Raises
    ------
    UnknownOption
        If no value of such a column can equal `value`. The selection would be empty, as if there were no such rows.

    >>> comparison_values("volume", Kind.NUMBER, ["0.1", 2, None]), comparison_values("action", Kind.CODE, "BUY")
    (([0.1, 2.0], True), (['buy'], False))
    """
    values = list(value) if is_collection(value) else [value]
    missing = [v is None or (is_scalar(v) and bool(pd.isna(v))) for v in values]
    present = [v for v, is_missing in zip(values, missing, strict=True) if not is_missing]
    return [_comparison_value(column, kind, v) for v in present], any(missing)


_NUMBER = "a number (filters test for equality)"
_TEXT = "text (filters test for equality)"
_ACCEPTED = {
    Kind.NUMBER: (_NUMBER,),
    Kind.KEY_INTEGER: (_NUMBER,),
    Kind.INTEGER: (_NUMBER,),
    Kind.FLAG: ("True", "False"),
    Kind.TIME: ('a timestamp with a time of day, such as "2024-01-31 12:00" (UTC)',),
    Kind.SYMBOL: (_TEXT,),
    Kind.CODE: (_TEXT,),
    Kind.TEXT: (_TEXT,),
    Kind.LIST: ("None (lists cannot be compared)",),
}


def _comparison_value(column: str, kind: Kind, value: Any) -> Any:
    """Return a value in the form in which a column of that kind holds it."""
    converted: Any = None
    match kind:
        case Kind.NUMBER | Kind.KEY_INTEGER | Kind.INTEGER:
            converted = _number(value, float) if kind is Kind.NUMBER else _number(value, int, float)
        case Kind.TIME:
            day = _DAY.fullmatch(value.strip()) if isinstance(value, str) else type(value) is date
            converted = None if day else utc(value, column)
        case Kind.FLAG if isinstance(value, bool | np.bool_):
            converted = bool(value)
        case Kind.SYMBOL | Kind.CODE | Kind.TEXT if isinstance(value, str):
            converted = value.lower() if is_case_insensitive(column, kind) else value
    if converted is None:
        raise UnknownOption(column, value, _ACCEPTED[kind])
    return converted


def _number(value: Any, *types: type[int] | type[float]) -> int | float | None:
    """Return a finite number, or text of one, as the first type that equals it, else as the last; None if invalid."""
    source, number = value, None
    if isinstance(value, str | Number) and not isinstance(value, bool | np.bool_):
        for convert in types:
            with suppress(ValueError, TypeError, OverflowError):
                number = convert(source)
                if isinstance(source, str) or number == source:
                    break
    return number if isinstance(number, int) or (number is not None and math.isfinite(number)) else None

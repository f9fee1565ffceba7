"""Selection: which rows of a frame are wanted, by number, time and value; the same on live and on recorded data."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, timedelta
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_integer_dtype, is_numeric_dtype, is_scalar

from fxlive.core.arguments import is_collection, rows_or_duration, utc
from fxlive.core.dtypes import STR
from fxlive.errors import UnknownColumn, UnknownOption
from fxlive.wire.channels import Channel
from fxlive.wire.messages import Kind

_DAY = re.compile(r"\d{4}(-\d\d){0,2}|\d{8}")


def index_by_key(frame: pd.DataFrame, channel: Channel) -> pd.DataFrame:
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
    options: Sequence[str] = ("last", "since", "until"),
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
        Values by column, as `comparison_values` takes them.
    options
        Which keywords of the user's are no columns, for an error.

    Raises
    ------
    UnknownColumn
        Where a column of `where` does not exist.
    UnknownOption
        Where it can have no such value, `last` is neither a number of rows nor a time, or a moment is none; where
        `since` is later than `until`, for which there never is a row.
    """
    span = None if last is None else rows_or_duration(last)
    begin, end = None if since is None else utc(since), None if until is None else utc(until)
    if begin is not None and end is not None and begin > end:
        raise UnknownOption("since", since, (f"a time up to until, {end}",))
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
        return frame.iloc[max(len(frame) - span, 0) :]
    if span is not None and len(frame):
        return frame[np.asarray(stamps >= stamps.max() - span)]
    return frame


def _mask(name: str, column: pd.Series, value: Any) -> Any:
    """Return which rows of a column have a value that is asked for, as an array of bool."""
    kind = _kind(name, column.dtype)
    values, missing = comparison_values(name, kind, value)
    if kind is Kind.CODE:
        texts = column.cat.categories
        known = [(text.lower() if is_case_insensitive(name, kind) else text) in values for text in texts]
        return np.array([*known, missing])[column.cat.codes]  # the code of what is missing is -1
    mask = column == values[0] if len(values) == 1 else column.isin(values)
    return (mask | column.isna() if missing else mask).to_numpy(bool, na_value=False)


def _kind(name: str, dtype: Any) -> Kind:
    """Return what a column holds, by its name and dtype; of integers and numbers the one is as good as the other."""
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
    """Return whether a column's values are compared without case: codes of the platform are, names that users give not.

    >>> is_case_insensitive("action", Kind.CODE), is_case_insensitive("strategy_id", Kind.CODE)
    (True, False)
    """
    return kind is Kind.CODE and not column.endswith("_id")


def comparison_values(column: str, kind: Kind, value: Any) -> tuple[list[Any], bool]:
    """Return the values that are asked of a column, and whether missing ones are, too.

    Parameters
    ----------
    column
        What to call it in an error.
    kind
        What it holds. Text that is a number, or a time, is taken for one where it holds such. What is compared without
        case is in lower case; symbols have been spelled before.
    value
        One value, or several of which any is wanted; None, NaN and NaT are what is missing.

    Raises
    ------
    UnknownOption
        Where no value of such a column can equal it: nothing would be found, as if there were nothing.

    >>> comparison_values("volume", Kind.NUMBER, ["0.1", 2, None]), comparison_values("action", Kind.CODE, "BUY")
    (([0.1, 2.0], True), (['buy'], False))
    """
    given = list(value) if is_collection(value) else [value]
    missing = [one is None or (is_scalar(one) and bool(pd.isna(one))) for one in given]
    return [_meant(column, kind, one) for one, none in zip(given, missing, strict=True) if not none], any(missing)


_EQUAL = {
    Kind.NUMBER: ("a number to equal",),
    Kind.KEY_INTEGER: ("a number to equal",),
    Kind.INTEGER: ("a number to equal",),
    Kind.FLAG: ("True", "False"),
    Kind.TIME: ('a moment with its time of day such as "2024-01-31 12:00", which is UTC',),
    Kind.SYMBOL: ("a text to equal",),
    Kind.CODE: ("a text to equal",),
    Kind.TEXT: ("a text to equal",),
    Kind.LIST: ("None, because lists are not compared",),
}


def _meant(column: str, kind: Kind, value: Any) -> Any:
    """Return a value as a column of that kind has it."""
    meant: Any = None
    match kind:
        case Kind.NUMBER | Kind.KEY_INTEGER | Kind.INTEGER:
            meant = _number(value, float) if kind is Kind.NUMBER else _number(value, int, float)
        case Kind.TIME:
            day = _DAY.fullmatch(value.strip()) if isinstance(value, str) else type(value) is date
            meant = None if day else utc(value, column)
        case Kind.FLAG if isinstance(value, bool | np.bool_):
            meant = bool(value)
        case Kind.SYMBOL | Kind.CODE | Kind.TEXT if isinstance(value, str):
            meant = value.lower() if is_case_insensitive(column, kind) else value
    if meant is None:
        raise UnknownOption(column, value, _EQUAL[kind])
    return meant


def _number(value: Any, *types: type[int] | type[float]) -> int | float | None:
    """Return a finite number, or text that is one, as the first of the types that has it; None for anything else."""
    given, number = value, None
    if isinstance(value, str | Number) and not isinstance(value, bool | np.bool_):
        for read in types:
            with suppress(ValueError, TypeError, OverflowError):
                number = read(given)
                if isinstance(given, str) or number == given:
                    break
    return number if isinstance(number, int) or (number is not None and math.isfinite(number)) else None

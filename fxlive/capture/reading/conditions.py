"""Selections as Arrow filters, so that rows that are not wanted are not read from the files (predicate pushdown)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fxlive.capture.format.schema import TIME
from fxlive.core.arguments import is_collection, micros_of
from fxlive.tables.selection import is_case_insensitive
from fxlive.wire.channels import Channel
from fxlive.wire.messages import Kind

_TEXTS = (Kind.SYMBOL, Kind.CODE, Kind.TEXT)
_INTEGERS = (Kind.KEY_INTEGER, Kind.INTEGER)
_MAX_VALUES = 64


def condition(channel: Channel, since: Any, until: Any, where: Mapping[str, Any]) -> Any:
    """Return an Arrow expression that is true for every selected row, and for few others; None if it is for all rows.

    It only saves reading. `tables.selection.select` makes the exact selection from the frame.

    Parameters
    ----------
    channel
        The channel of the rows.
    since, until
        The first and last time selected; None: no limit.
    where
        The value, or the values, that a column must have. A column that Arrow cannot compare in the same way is left
        out.

    Examples
    --------
    >>> from fxlive.wire.channels import CHANNELS
    >>> print(condition(CHANNELS["trades"], None, None, {"symbol": "EURUSD", "profit": 1.0}))
    (symbol == "EURUSD")
    """
    parts = []
    if since is not None:
        parts.append(pc.field("timestamp") >= _time(since))
    if until is not None:
        parts.append(pc.field("timestamp") <= _time(until))
    kinds = {column.name: column.kind for column in channel.columns}
    for name, value in where.items():
        values = list(value) if is_collection(value) else [value]
        if name in kinds and 0 < len(values) <= _MAX_VALUES:
            parts += _equal(name, kinds[name], values)
    if not parts:
        return None
    whole = parts[0]
    for part in parts[1:]:
        whole = whole & part
    return whole


def _equal(name: str, kind: Kind, values: list[Any]) -> list[Any]:
    """Return a list with the condition that a column has one of the values; an empty one if Arrow cannot express it."""
    column = pc.field(name)
    if kind in _INTEGERS:
        integers = all(type(v) is int or isinstance(v, np.integer) for v in values)
        return [_any([column == int(v) for v in values])] if integers and all(map(_fits_int64, values)) else []
    if kind not in _TEXTS or not all(isinstance(v, str) for v in values):
        return []
    if not is_case_insensitive(name, kind):
        return [_any([column == v for v in values])]
    lower = pc.utf8_lower(column.cast(pa.string()))
    return [_any([lower == v.lower() for v in values])] if all(v.isascii() for v in values) else []


def _fits_int64(value: Any) -> bool:
    return -(2**63) <= int(value) < 2**63


def _any(parts: list[Any]) -> Any:
    whole = parts[0]
    for part in parts[1:]:
        whole = whole | part
    return whole


def _time(value: Any) -> Any:
    return pa.scalar(micros_of(value), pa.int64()).cast(TIME)

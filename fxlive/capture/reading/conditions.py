"""What of a selection the Parquet files can be asked themselves, so that what is not wanted is not read."""

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
_MANY = 64


def condition(channel: Channel, since: Any, until: Any, where: Mapping[str, Any]) -> Any:
    """Return an Arrow expression that holds for every row that is wanted, and for few others; None where for all.

    The selection itself is made of the frame (`table.select`); here is only what saves reading.

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
        if name in kinds and 0 < len(values) <= _MANY:
            parts += _equal(name, kinds[name], values)
    if not parts:
        return None
    whole = parts[0]
    for part in parts[1:]:
        whole = whole & part
    return whole


def _equal(name: str, kind: Kind, values: list[Any]) -> list[Any]:
    """Return the condition, in a list, that a column is one of some values; an empty one where Arrow cannot say it."""
    column = pc.field(name)
    if kind in _INTEGERS:
        whole = all(type(v) is int or isinstance(v, np.integer) for v in values)
        said = whole and all(-(2**63) <= v < 2**63 for v in values)
        return [_any([column == int(v) for v in values])] if said else []
    if kind not in _TEXTS or not all(isinstance(v, str) for v in values):
        return []
    if not is_case_insensitive(name, kind):
        return [_any([column == v for v in values])]
    lower = pc.utf8_lower(column.cast(pa.string()))
    return [_any([lower == v.lower() for v in values])] if all(v.isascii() for v in values) else []


def _any(parts: list[Any]) -> Any:
    whole = parts[0]
    for part in parts[1:]:
        whole = whole | part
    return whole


def _time(value: Any) -> Any:
    return pa.scalar(micros_of(value), pa.int64()).cast(TIME)

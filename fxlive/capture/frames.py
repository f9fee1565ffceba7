"""From a capture's columns to a frame that equals the live one: dtypes, categories, tuples, undocumented columns."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from fxlive.channels import Channel
from fxlive.columns import STR, UTC, Vocabulary
from fxlive.drift import EXTRA, Drift
from fxlive.messages import Kind
from fxlive.timestamps import NAT


def to_frame(rows: Any, channel: Channel, symbols: Vocabulary, drift: Drift) -> pd.DataFrame:
    """Return rows as the frame that a live session has of them.

    Parameters
    ----------
    rows
        An Arrow table with the channel's columns, and `extra` where it has undocumented fields.
    channel
        What they are of.
    symbols
        The symbols so far; those that are new are added.
    drift
        The undocumented columns so far; those that are new are added.
    """
    columns = {"received_at": _times(rows.column("received_at"))}
    for column in channel.columns:
        columns[column.name] = _array(column.kind, rows.column(column.name), symbols)
    if drift.kinds or EXTRA in rows.column_names:
        columns |= _undocumented(rows, channel, drift)
    index = pd.DatetimeIndex(_times(rows.column("timestamp")), name="timestamp", copy=False)
    return pd.DataFrame(columns, index=index, copy=False)


def note_symbols(rows: Any, channel: Channel, symbols: Vocabulary) -> None:
    """Add the symbols of rows that are to become a frame, so that frames of one moment share one dtype."""
    for column in channel.columns:
        if column.kind is Kind.SYMBOL:
            for chunk in rows.column(column.name).chunks:
                symbols.encode(chunk.dictionary.to_pylist())


def _array(kind: Kind, values: Any, symbols: Vocabulary) -> Any:
    if kind is Kind.NUMBER:
        return values.to_numpy()  # null becomes NaN
    if kind is Kind.KEY_INTEGER:
        return values.to_numpy()
    if kind is Kind.INTEGER:
        return pd.arrays.IntegerArray(values.fill_null(0).to_numpy(), values.is_null().to_numpy())
    if kind is Kind.TIME:
        return _times(values)
    if kind in (Kind.SYMBOL, Kind.CODE):
        return _categorical(values, symbols if kind is Kind.SYMBOL else Vocabulary())
    if kind is Kind.TEXT:
        return pd.arrays.ArrowStringArray(values.cast(pa.large_string()), dtype=STR)  # type: ignore[call-arg]
    if kind is Kind.LIST:
        return _tuples(values)
    raise TypeError(f"no documented column is of {kind}")


def _times(values: Any) -> Any:
    micros = values.cast(pa.int64())
    micros = micros.fill_null(NAT) if micros.null_count else micros
    return pd.array(micros.to_numpy(), dtype=UTC, copy=False)


def _categorical(values: Any, vocabulary: Vocabulary) -> Any:
    joined = values.unify_dictionaries().combine_chunks()
    if isinstance(joined, pa.ChunkedArray):  # of no rows
        joined = pa.array([], values.type)
    names = joined.dictionary.to_pylist()
    numbers = np.array(vocabulary.encode(names), np.int64)
    indices = joined.indices
    codes = (indices.fill_null(-1) if indices.null_count else indices).to_numpy(zero_copy_only=False)
    code_dtype = vocabulary.code_dtype
    if not np.array_equal(numbers, np.arange(len(names))):
        codes = np.append(numbers, -1).astype(code_dtype)[codes]  # -1 finds the last
    return pd.Categorical.from_codes(codes.astype(code_dtype), dtype=vocabulary.dtype, validate=False)


def _tuples(values: Any) -> Any:
    tuples = np.empty(len(values), object)
    for place, value in enumerate(values.to_pylist()):
        tuples[place] = None if value is None else tuple(value)
    return tuples


def note_drift(extra: Any, channel: Channel, drift: Drift) -> dict[str, list[Any]]:
    """Return the values of the undocumented columns of the rows that have any, noting the columns that are new."""
    taken = {"timestamp", "received_at", *(column.name for column in channel.columns)}
    fields = [_fields(text, taken) for text in extra.drop_null().to_pylist()]
    return drift.fit(dict(enumerate(fields)), len(fields))


def _undocumented(rows: Any, channel: Channel, drift: Drift) -> dict[str, Any]:
    places, fitted = np.empty(0, np.int64), {}
    if EXTRA in rows.column_names:
        places = np.flatnonzero(rows.column(EXTRA).is_valid().to_numpy())
        fitted = note_drift(rows.column(EXTRA), channel, drift)
    return {name: _scattered(kind, places, fitted.get(name), len(rows)) for name, kind in drift.kinds.items()}


def _fields(text: str, taken: set[str]) -> dict[str, Any]:
    """Return the undocumented fields of a row; what no recorder has written is kept as the text that it is."""
    try:
        fields = msgspec.json.decode(text)
    except msgspec.MsgspecError:
        fields = None
    if not isinstance(fields, dict):
        return {EXTRA: text}
    if taken.isdisjoint(fields):
        return fields
    return {f"{name}_" if name in taken else name: value for name, value in fields.items()}


def _scattered(kind: Kind, places: Any, values: list[Any] | None, count: int) -> Any:
    """Return a column of so many rows that has values at some places."""
    if kind is Kind.NUMBER:
        numbers = np.full(count, np.nan)
        if values is not None:
            numbers[places] = np.array(values, np.float64)
        return numbers
    if kind is Kind.FLAG:
        flags, missing = np.zeros(count, np.bool_), np.ones(count, np.bool_)
        if values is not None:
            flags[places] = [bool(value) for value in values]
            missing[places] = [value is None for value in values]
        return pd.arrays.BooleanArray(flags, missing)
    texts = pa.array(values or [None], pa.large_string())
    at = np.full(count, -1, np.int64)
    if values is not None:
        at[places] = np.arange(len(places))
    taken = pc.take(texts, pa.array(at, mask=at < 0))
    return pd.arrays.ArrowStringArray(pa.chunked_array([taken]), dtype=STR)  # type: ignore[call-arg]

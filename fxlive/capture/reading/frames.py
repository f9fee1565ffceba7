"""From a capture's columns to a frame that equals the live one: dtypes, categories, tuples, undocumented columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from fxlive.core.dtypes import STR, UTC
from fxlive.core.timestamps import NAT
from fxlive.tables.vocabulary import Vocabulary
from fxlive.wire.channels import Channel
from fxlive.wire.messages import Kind
from fxlive.wire.undocumented import EXTRA, UndocumentedColumns


def to_frame(
    batches: Iterable[Any], count: int, channel: Channel, symbols: Vocabulary, drift: UndocumentedColumns
) -> pd.DataFrame:
    """Return rows as the frame that a live session has of them.

    Each batch is copied to where it stays and let go, so that large frames need no memory but their own.

    Parameters
    ----------
    batches
        Arrow batches with the channel's columns, and `extra` where there are undocumented fields.
    count
        How many rows they hold.
    channel
        What they are of.
    symbols
        The symbols so far; those that are new are added.
    drift
        The undocumented columns so far; those that are new are added.
    """
    kinds = {"timestamp": Kind.TIME, "received_at": Kind.TIME, **{c.name: c.kind for c in channel.columns}}
    columns = {
        name: _FILLED[kind](count, symbols if kind is Kind.SYMBOL else Vocabulary()) for name, kind in kinds.items()
    }
    at, extras, places = 0, [], []
    for batch in batches:
        for name, column in columns.items():
            column.fill(at, batch.column(name))
        if EXTRA in batch.schema.names and batch.column(EXTRA).null_count < len(batch):
            places.append(np.flatnonzero(batch.column(EXTRA).is_valid().to_numpy(zero_copy_only=False)) + at)
            extras.append(batch.column(EXTRA).drop_null())
        at += len(batch)
    arrays = {name: column.array() for name, column in columns.items()}
    index = pd.DatetimeIndex(arrays.pop("timestamp"), name="timestamp", copy=False)
    undocumented = _undocumented(extras, np.concatenate([np.empty(0, np.int64), *places]), count, channel, drift)
    return pd.DataFrame({**arrays, **undocumented}, index=index, copy=False)


def note_symbols(rows: Any, channel: Channel, symbols: Vocabulary) -> None:
    """Add the symbols of rows that are to become a frame, so that frames of one moment share one dtype."""
    for column in channel.columns:
        if column.kind is Kind.SYMBOL:
            for chunk in rows.column(column.name).chunks:
                symbols.encode(chunk.dictionary.to_pylist())


class _Numbers:
    def __init__(self, count: int, vocabulary: Vocabulary) -> None:
        self._values = np.empty(count)

    def fill(self, at: int, column: Any) -> None:
        self._values[at : at + len(column)] = column.to_numpy(zero_copy_only=False)  # null becomes NaN

    def array(self) -> Any:
        return self._values


class _Whole:
    """64-bit integers: keys, and times in microseconds."""

    def __init__(self, count: int, vocabulary: Vocabulary) -> None:
        self._values = np.empty(count, np.int64)

    def fill(self, at: int, column: Any) -> None:
        whole = column.cast(pa.int64())
        whole = whole.fill_null(NAT) if whole.null_count else whole
        self._values[at : at + len(column)] = whole.to_numpy()

    def array(self) -> Any:
        return self._values


class _Times(_Whole):
    def array(self) -> Any:
        return pd.array(self._values, dtype=UTC, copy=False)


class _Nullable:
    def __init__(self, count: int, vocabulary: Vocabulary) -> None:
        self._values = np.empty(count, np.int64)
        self._missing = np.empty(count, np.bool_)

    def fill(self, at: int, column: Any) -> None:
        self._values[at : at + len(column)] = column.fill_null(0).to_numpy()
        self._missing[at : at + len(column)] = column.is_null().to_numpy(zero_copy_only=False)

    def array(self) -> Any:
        return pd.arrays.IntegerArray(self._values, self._missing)


class _Codes:
    def __init__(self, count: int, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._codes = np.empty(count, vocabulary.code_dtype)

    def fill(self, at: int, column: Any) -> None:
        numbers = self._vocabulary.encode(column.dictionary.to_pylist())
        self._settle()
        indices = column.indices
        places = (indices.fill_null(len(numbers)) if indices.null_count else indices).to_numpy()
        self._codes[at : at + len(column)] = np.array([*numbers, -1], self._codes.dtype)[places]

    def _settle(self) -> None:
        if self._codes.dtype != self._vocabulary.code_dtype:
            self._codes = self._codes.astype(self._vocabulary.code_dtype)

    def array(self) -> Any:
        self._settle()
        return pd.Categorical.from_codes(self._codes, dtype=self._vocabulary.dtype, validate=False)


class _Texts:
    def __init__(self, count: int, vocabulary: Vocabulary) -> None:
        self._chunks: list[Any] = []

    def fill(self, at: int, column: Any) -> None:
        self._chunks.append(column.cast(pa.large_string()))

    def array(self) -> Any:
        texts = pa.chunked_array(self._chunks, pa.large_string())
        return pd.arrays.ArrowStringArray(texts, dtype=STR)  # type: ignore[call-arg]


class _Lists:
    def __init__(self, count: int, vocabulary: Vocabulary) -> None:
        self._values = np.empty(count, object)

    def fill(self, at: int, column: Any) -> None:
        for place, value in enumerate(column.to_pylist(), at):  # numpy would make a matrix of tuples of one length
            self._values[place] = None if value is None else tuple(value)

    def array(self) -> Any:
        return self._values


_FILLED: dict[Kind, Any] = {
    Kind.NUMBER: _Numbers,
    Kind.KEY_INTEGER: _Whole,
    Kind.INTEGER: _Nullable,
    Kind.TIME: _Times,
    Kind.SYMBOL: _Codes,
    Kind.CODE: _Codes,
    Kind.TEXT: _Texts,
    Kind.LIST: _Lists,
}


def note_drift(extra: Any, channel: Channel, drift: UndocumentedColumns) -> dict[str, list[Any]]:
    """Return the values of the undocumented columns of the rows that have any, noting the columns that are new."""
    taken = {"timestamp", "received_at", *(column.name for column in channel.columns)}
    fields = [_fields(text, taken) for text in extra.drop_null().to_pylist()]
    return drift.fit(dict(enumerate(fields)), len(fields))


def _undocumented(
    extras: list[Any], places: Any, count: int, channel: Channel, drift: UndocumentedColumns
) -> dict[str, Any]:
    fitted = note_drift(pa.chunked_array(extras, pa.string()), channel, drift)
    return {name: _scattered(kind, places, fitted.get(name), count) for name, kind in drift.kinds.items()}


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

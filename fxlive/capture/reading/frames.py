"""Conversion of a capture's columns to a frame that equals the live one.

It restores dtypes, categories, tuples and undocumented columns.
"""

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
from fxlive.tables.columns.vocabulary import Vocabulary
from fxlive.wire.channels import Channel
from fxlive.wire.messages import Kind
from fxlive.wire.undocumented.columns import EXTRA, UndocumentedColumns


def to_frame(
    batches: Iterable[Any], count: int, channel: Channel, symbols: Vocabulary, drift: UndocumentedColumns
) -> pd.DataFrame:
    """Return rows as the frame that a live session would have of them.

    The batches are copied one after the other, so that memory is needed for the frame and one batch only.

    Parameters
    ----------
    batches
        Arrow batches with the channel's columns, and `extra` if there are undocumented fields.
    count
        The number of rows in all batches.
    channel
        The channel of the rows.
    symbols
        The known symbols; new ones are added.
    drift
        The known undocumented columns; new ones are added.
    """
    kinds = {"timestamp": Kind.TIME, "received_at": Kind.TIME, **{c.name: c.kind for c in channel.columns}}
    columns = {
        name: _COLUMNS[kind](count, symbols if kind is Kind.SYMBOL else Vocabulary()) for name, kind in kinds.items()
    }
    start = 0
    extras: list[Any] = []
    rows_with_extra = [np.empty(0, np.int64)]
    for batch in batches:
        for name, column in columns.items():
            column.fill(start, batch.column(name))
        if EXTRA in batch.schema.names and batch.column(EXTRA).null_count < len(batch):
            extra = batch.column(EXTRA)
            rows_with_extra.append(np.flatnonzero(extra.is_valid().to_numpy(zero_copy_only=False)) + start)
            extras.append(extra.drop_null())
        start += len(batch)
    arrays = {name: column.array() for name, column in columns.items()}
    index = pd.DatetimeIndex(arrays.pop("timestamp"), name="timestamp", copy=False)
    undocumented = _undocumented(extras, np.concatenate(rows_with_extra), count, channel, drift)
    return pd.DataFrame({**arrays, **undocumented}, index=index, copy=False)


def note_symbols(rows: Any, channel: Channel, symbols: Vocabulary) -> None:
    """Add the symbols of rows to the vocabulary, so that frames made from it afterwards share one dtype."""
    for column in channel.columns:
        if column.kind is Kind.SYMBOL:
            for chunk in rows.column(column.name).chunks:
                symbols.encode(chunk.dictionary.to_pylist())


class _FloatColumn:
    def __init__(self, count: int, vocabulary: Vocabulary) -> None:
        self._values = np.empty(count)

    def fill(self, start: int, column: Any) -> None:
        self._values[start : start + len(column)] = column.to_numpy(zero_copy_only=False)  # null becomes NaN

    def array(self) -> Any:
        return self._values


class _IntegerColumn:
    """64-bit integers: keys, and times in microseconds."""

    def __init__(self, count: int, vocabulary: Vocabulary) -> None:
        self._values = np.empty(count, np.int64)

    def fill(self, start: int, column: Any) -> None:
        integers = column.cast(pa.int64())
        integers = integers.fill_null(NAT) if integers.null_count else integers
        self._values[start : start + len(column)] = integers.to_numpy()

    def array(self) -> Any:
        return self._values


class _TimeColumn(_IntegerColumn):
    def array(self) -> Any:
        return pd.array(self._values, dtype=UTC, copy=False)


class _NullableIntegerColumn:
    def __init__(self, count: int, vocabulary: Vocabulary) -> None:
        self._values = np.empty(count, np.int64)
        self._missing = np.empty(count, np.bool_)

    def fill(self, start: int, column: Any) -> None:
        self._values[start : start + len(column)] = column.fill_null(0).to_numpy()
        self._missing[start : start + len(column)] = column.is_null().to_numpy(zero_copy_only=False)

    def array(self) -> Any:
        return pd.arrays.IntegerArray(self._values, self._missing)


class _CategoricalColumn:
    def __init__(self, count: int, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._codes = np.empty(count, vocabulary.code_dtype)
        self._filled = 0
        self._texts: list[Any] = []  # if there are too many categories

    def fill(self, start: int, column: Any) -> None:
        if self._texts:
            self._texts.append(column.cast(pa.large_string()))
            return
        codes = self._vocabulary.encode(column.dictionary.to_pylist())
        if self._vocabulary.full:
            self._texts = [self._filled_as_text(), column.cast(pa.large_string())]
            return
        self._filled = start + len(column)
        self._widen()
        indices = column.indices
        places = (indices.fill_null(len(codes)) if indices.null_count else indices).to_numpy()
        self._codes[start : start + len(column)] = np.array([*codes, -1], self._codes.dtype)[places]

    def _widen(self) -> None:
        """Use the integer type that the vocabulary needs now."""
        if self._codes.dtype != self._vocabulary.code_dtype:
            self._codes = self._codes.astype(self._vocabulary.code_dtype)

    def _filled_as_text(self) -> Any:
        return pa.array(self._vocabulary.texts(self._codes[: self._filled]), pa.large_string())

    def array(self) -> Any:
        if self._vocabulary.full:  # also if another column with the same vocabulary has filled it
            texts = pa.chunked_array(self._texts or [self._filled_as_text()], pa.large_string())
            return pd.arrays.ArrowStringArray(texts, dtype=STR)  # type: ignore[call-arg]
        self._widen()
        return pd.Categorical.from_codes(self._codes, dtype=self._vocabulary.dtype, validate=False)


class _TextColumn:
    def __init__(self, count: int, vocabulary: Vocabulary) -> None:
        self._chunks: list[Any] = []

    def fill(self, start: int, column: Any) -> None:
        self._chunks.append(column.cast(pa.large_string()))

    def array(self) -> Any:
        texts = pa.chunked_array(self._chunks, pa.large_string())
        return pd.arrays.ArrowStringArray(texts, dtype=STR)  # type: ignore[call-arg]


class _ListColumn:
    def __init__(self, count: int, vocabulary: Vocabulary) -> None:
        self._values = np.empty(count, object)

    def fill(self, start: int, column: Any) -> None:
        # One by one: numpy would turn tuples of equal length into a matrix.
        for row, value in enumerate(column.to_pylist(), start):
            self._values[row] = None if value is None else tuple(value)

    def array(self) -> Any:
        return self._values


_COLUMNS: dict[Kind, Any] = {
    Kind.NUMBER: _FloatColumn,
    Kind.KEY_INTEGER: _IntegerColumn,
    Kind.INTEGER: _NullableIntegerColumn,
    Kind.TIME: _TimeColumn,
    Kind.SYMBOL: _CategoricalColumn,
    Kind.CODE: _CategoricalColumn,
    Kind.TEXT: _TextColumn,
    Kind.LIST: _ListColumn,
}
"""The array of a column that is being filled, by the kind of its values."""


def note_drift(extra: Any, channel: Channel, drift: UndocumentedColumns) -> dict[str, list[Any]]:
    """Add the undocumented columns of rows to `drift`; return their values in the rows that have undocumented fields.

    Parameters
    ----------
    extra
        The column `extra` of the rows: JSON objects, null for rows without undocumented fields.
    channel
        The channel of the rows.
    drift
        The known undocumented columns; new ones are added.
    """
    fields = [_fields(text) for text in extra.drop_null().to_pylist()]
    return drift.fit(dict(enumerate(fields)), len(fields))


def _undocumented(
    extras: list[Any], rows_with_extra: Any, count: int, channel: Channel, drift: UndocumentedColumns
) -> dict[str, Any]:
    values = note_drift(pa.chunked_array(extras, pa.string()), channel, drift)
    return {name: _scatter(kind, rows_with_extra, values.get(name), count) for name, kind in drift.kinds.items()}


def _fields(text: str) -> dict[str, Any]:
    """Return the undocumented fields of a row. Text that no recorder writes stays in the field `extra`."""
    try:
        fields = msgspec.json.decode(text)
    except msgspec.MsgspecError:
        fields = None
    return fields if isinstance(fields, dict) else {EXTRA: text}


def _scatter(kind: Kind, rows: Any, values: list[Any] | None, count: int) -> Any:
    """Return a column of `count` rows with the values at the given rows; all others are missing."""
    if kind is Kind.NUMBER:
        numbers = np.full(count, np.nan)
        if values is not None:
            numbers[rows] = np.array(values, np.float64)
        return numbers
    if kind is Kind.FLAG:
        flags, missing = np.zeros(count, np.bool_), np.ones(count, np.bool_)
        if values is not None:
            flags[rows] = [bool(value) for value in values]
            missing[rows] = [value is None for value in values]
        return pd.arrays.BooleanArray(flags, missing)
    texts = pa.array(values or [None], pa.large_string())
    indices = np.full(count, -1, np.int64)
    if values is not None:
        indices[rows] = np.arange(len(rows))
    scattered = pc.take(texts, pa.array(indices, mask=indices < 0))
    return pd.arrays.ArrowStringArray(pa.chunked_array([scattered]), dtype=STR)  # type: ignore[call-arg]

"""The column buffers of each kind of value. Text has a module of its own, `text_buffer.py`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fxlive.core.dtypes import UTC
from fxlive.core.timestamps import NAT
from fxlive.tables.columns.base_buffer import MIN_CAPACITY, Buffer
from fxlive.tables.columns.copy_on_write import read_only_array
from fxlive.tables.columns.text_buffer import TextBuffer
from fxlive.tables.columns.vocabulary import Vocabulary
from fxlive.wire.messages import Kind
from fxlive.wire.packing import PackedCodes


class FixedSizeBuffer(Buffer):
    """A buffer of values of equal size (numbers, times, codes, object references), in one or two numpy arrays."""

    _MISSING: tuple[Any, ...]
    """A missing value, as stored in each array."""

    def __init__(self, first: int, stagger: float, *dtypes: Any) -> None:
        super().__init__(first, stagger)
        self._arrays = [self._new_array(MIN_CAPACITY, np.dtype(dtype)) for dtype in dtypes]
        self._read_only = [read_only_array(array) for array in self._arrays]

    @abstractmethod
    def _encode(self, values: Any) -> tuple[Any, ...]:
        """Return values in the form in which each array stores them."""

    @abstractmethod
    def _wrap(self, *arrays: Any) -> Any:
        """Return a pandas array over slices of the arrays."""

    @property
    def capacity(self) -> int:
        return len(self._arrays[0])

    def append(self, values: Any, first: int) -> None:
        encoded = self._encode(values)
        self._write(encoded, len(encoded[0]), first)

    def append_missing(self, count: int, first: int) -> None:
        self._write(self._MISSING, count, first)

    def copy_from(self, source: FixedSizeBuffer, rows: npt.NDArray[np.int64]) -> None:
        self.update_dtype()
        self._write(tuple(array[rows - source.base] for array in source._arrays), len(rows), self.base)

    def _write(self, encoded: tuple[Any, ...], count: int, first: int) -> None:
        offset = self.stop - self.base
        if offset + count > self.capacity or (first > self._next_size_check and self._is_oversized(first)):
            self._reallocate(first, self._next_capacity(first, count))
            offset = self.stop - self.base
        for array, values in zip(self._arrays, encoded, strict=True):
            array[offset : offset + count] = values
        self.stop += count

    def view(self, start: int, stop: int) -> Any:
        return self._wrap(*[array[start - self.base : stop - self.base] for array in self._read_only])

    def values(self, start: int, stop: int) -> Any:
        """Return rows as a read-only numpy array without a copy: numbers, codes, or times in microseconds."""
        return self._read_only[0][start - self.base : stop - self.base]

    def _reallocate(self, first: int, capacity: int) -> None:
        kept = slice(first - self.base, self.stop - self.base)
        for i, array in enumerate(self._arrays):  # one by one, so that only one takes its memory twice
            new = self._new_array(capacity, array.dtype)
            new[: self.stop - first] = array[kept]
            self._arrays[i], self._read_only[i] = new, read_only_array(new)
        self.base = first
        self.generation += 1

    @staticmethod
    def _new_array(capacity: int, dtype: np.dtype[Any]) -> Any:
        return np.empty(capacity, object) if dtype.hasobject else np.zeros(capacity, dtype)


class NumberBuffer(FixedSizeBuffer):
    """float64; missing values are NaN."""

    _MISSING = (np.nan,)

    def __init__(self, first: int = 0, stagger: float = 0.0) -> None:
        super().__init__(first, stagger, np.float64)

    def _encode(self, values: Any) -> tuple[Any, ...]:
        return (np.asarray(values, np.float64),)

    def _wrap(self, *arrays: Any) -> Any:
        return arrays[0]

    def raw(self, row: int) -> float:
        return float(self._arrays[0][row - self.base])

    def empty_like(self) -> NumberBuffer:
        return NumberBuffer()


class IntegerBuffer(FixedSizeBuffer):
    """int64; never missing."""

    def __init__(self, first: int = 0, stagger: float = 0.0) -> None:
        super().__init__(first, stagger, np.int64)

    def _encode(self, values: Any) -> tuple[Any, ...]:
        return (np.asarray(values, np.int64),)

    def _wrap(self, *arrays: Any) -> Any:
        return arrays[0]

    def raw(self, row: int) -> int:
        return int(self._arrays[0][row - self.base])

    def empty_like(self) -> IntegerBuffer:
        return IntegerBuffer()


class TimeBuffer(IntegerBuffer):
    """datetime64[us, UTC]; missing values are NaT."""

    _MISSING = (NAT,)

    def _wrap(self, *arrays: Any) -> Any:
        return pd.array(arrays[0], dtype=UTC, copy=False)

    def empty_like(self) -> TimeBuffer:
        return TimeBuffer()


class NullableBuffer(FixedSizeBuffer):
    """The nullable dtypes Int64 and boolean of pandas: the values, and a mask of missing ones."""

    _MISSING = (0, True)

    def __init__(self, dtype: Any, first: int = 0, stagger: float = 0.0) -> None:
        super().__init__(first, stagger, dtype, np.bool_)

    def _encode(self, values: Any) -> tuple[Any, ...]:
        mask = [value is None for value in values]
        return np.array([0 if value is None else value for value in values], self._arrays[0].dtype), mask

    def _wrap(self, *arrays: Any) -> Any:
        values, mask = arrays
        kind: Any = pd.arrays.BooleanArray if values.dtype == np.bool_ else pd.arrays.IntegerArray
        return kind(values, mask, copy=False)

    def raw(self, row: int) -> Any:
        values, mask = self._arrays
        return None if mask[row - self.base] else values[row - self.base].item()

    def empty_like(self) -> NullableBuffer:
        return NullableBuffer(self._arrays[0].dtype)


class CategoryBuffer(FixedSizeBuffer):
    """A categorical: codes into a vocabulary, as integers of the width that pandas uses."""

    _MISSING = (-1,)

    def __init__(self, vocabulary: Vocabulary, first: int = 0, stagger: float = 0.0) -> None:
        super().__init__(first, stagger, vocabulary.code_dtype)
        self.vocabulary = vocabulary

    @property
    def overflowed(self) -> bool:
        return self.vocabulary.full

    def as_text(self, first: int) -> TextBuffer:
        """Return a buffer of text with the rows from `first` on."""
        buffer = TextBuffer(first, self._stagger)
        buffer.append(self.vocabulary.texts(self.values(first, self.stop)), first)
        return buffer

    def update_dtype(self) -> None:
        dtype = self.vocabulary.code_dtype
        if self._arrays[0].dtype != dtype:
            self._arrays[0] = self._arrays[0].astype(dtype)
            self._read_only[0] = read_only_array(self._arrays[0])
            self.generation += 1

    def pack(self, values: Any) -> PackedCodes:
        return PackedCodes(np.array(self.vocabulary.encode(values), np.int32), self.vocabulary.names)

    def _encode(self, values: Any) -> tuple[Any, ...]:
        codes = values.codes if isinstance(values, PackedCodes) else self.pack(values).codes
        if len(self.vocabulary) > np.iinfo(self._arrays[0].dtype).max:
            self.update_dtype()
        return (codes,)

    def _wrap(self, *arrays: Any) -> Any:
        return pd.Categorical.from_codes(arrays[0], dtype=self.vocabulary.dtype, validate=False)

    def raw(self, row: int) -> str | None:
        code = self._arrays[0][row - self.base]
        return None if code < 0 else self.vocabulary.names[code]

    def empty_like(self) -> CategoryBuffer:
        return CategoryBuffer(self.vocabulary)


class ObjectBuffer(FixedSizeBuffer):
    """References to tuples; missing values are None."""

    _MISSING = (None,)

    def __init__(self, first: int = 0, stagger: float = 0.0) -> None:
        super().__init__(first, stagger, object)

    def _encode(self, values: Any) -> tuple[Any, ...]:
        encoded = np.empty(len(values), object)
        for i, value in enumerate(values):  # numpy would turn tuples of equal length into a matrix
            encoded[i] = value
        return (encoded,)

    def _wrap(self, *arrays: Any) -> Any:
        return arrays[0]

    def raw(self, row: int) -> Any:
        return self._arrays[0][row - self.base]

    def empty_like(self) -> ObjectBuffer:
        return ObjectBuffer()


_BUFFERS: dict[Kind, Callable[[int, float], Buffer]] = {
    Kind.NUMBER: NumberBuffer,
    Kind.KEY_INTEGER: IntegerBuffer,
    Kind.INTEGER: lambda first, stagger: NullableBuffer(np.int64, first, stagger),
    Kind.FLAG: lambda first, stagger: NullableBuffer(np.bool_, first, stagger),
    Kind.TIME: TimeBuffer,
    Kind.TEXT: TextBuffer,
    Kind.LIST: ObjectBuffer,
}


def new_buffer(kind: Kind, symbols: Vocabulary, first: int = 0, stagger: float = 0.0) -> Buffer:
    """Return an empty buffer for a kind of value; its first row gets the number `first`."""
    if kind in (Kind.SYMBOL, Kind.CODE):
        return CategoryBuffer(symbols if kind is Kind.SYMBOL else Vocabulary(), first, stagger)
    return _BUFFERS[kind](first, stagger)

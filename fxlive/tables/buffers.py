"""The columns of a rolling window: append-only buffers, and views of them that nobody can write through.

A column's rows have numbers that only grow. They lie in one contiguous buffer that starts at row `base`; when its end
is reached, the rows that are still wanted move to a new one, and the old lives as long as somebody's frame looks at
it. A buffer with views is only ever written behind the views' ends, so a view never changes.

Room is claimed with `np.zeros`, which costs no memory until it is written. A window that still grows doubles its
buffer; one that rolls takes a quarter more than it holds, each column a little different (`stagger`), so that a full
window costs at most 1.4 times itself and moves one column at a time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from fxlive.core.dtypes import STR, UTC
from fxlive.core.timestamps import NAT
from fxlive.tables.vocabulary import Vocabulary
from fxlive.wire.messages import Kind
from fxlive.wire.packing import PackedCodes, PackedTexts

_ROOM = 256  # the least rows of a buffer


class Buffer(ABC):
    """One column's rows from `base` up to `stop`. `generation` changes whenever they move to another buffer."""

    def __init__(self, first: int, stagger: float) -> None:
        self.base = self.stop = first
        self.generation = 0
        self._first_at_move = first
        self._roomy_until = first + _ROOM
        self._stagger = stagger

    @property
    @abstractmethod
    def capacity(self) -> int:
        """How many rows the buffer has room for."""

    def pack(self, values: Any) -> Any:
        """Return the values of a batch as `append` takes them at the least cost, and as others may keep them."""
        return values

    @abstractmethod
    def append(self, values: Any, first: int) -> None:
        """Add rows behind the last; those before row `first` are not wanted any more."""

    @abstractmethod
    def view(self, start: int, stop: int) -> Any:
        """Return rows as a pandas array over the buffer, without a copy; `stop` may lie beyond the last row written."""

    @abstractmethod
    def raw(self, row: int) -> Any:
        """Return one value in the form that `append` takes."""

    @abstractmethod
    def append_missing(self, count: int, first: int) -> None:
        """Add rows without a value, at the cost of filling the memory; for the rest as `append`."""

    @abstractmethod
    def like(self) -> Buffer:
        """Return an empty column of the same dtype."""

    def settle(self) -> None:  # noqa: B027 - most dtypes never change
        """Bring the buffer to the dtype that a view must have now."""

    def _room(self, first: int, count: int) -> int:
        """Return the capacity of the next buffer, which starts at row `first` and takes `count` more rows."""
        held = self.stop - first
        growing = first == self._first_at_move
        self._first_at_move = first
        self._roomy_until = first + self._spare(held)
        return held + count + (max(_ROOM, held) if growing else self._spare(held))

    def _spare(self, held: int) -> int:
        """Return how many rows more than it holds the buffer of a rolling window may have."""
        return max(_ROOM, int(held * 0.25 * (1 + self._stagger)))

    def _mostly_gone(self, first: int) -> bool:
        """Whether so many rows before `first` lie in the buffer that a smaller one would do: the window has stopped
        growing since the buffer was made, or has shrunk. Asked only from row `_roomy_until` on.
        """
        self._roomy_until = self.base + self._spare(self.stop - first)
        return first > self._roomy_until


class Fixed(Buffer):
    """A column of values of one size: numbers, times, codes, or references to objects."""

    _MISSING: tuple[Any, ...]
    """What lies in each part of the buffer where a value is missing."""

    def __init__(self, first: int, stagger: float, *dtypes: Any) -> None:
        super().__init__(first, stagger)
        self._parts = [self._blank(_ROOM, np.dtype(dtype)) for dtype in dtypes]

    @abstractmethod
    def _encode(self, values: Any) -> tuple[Any, ...]:
        """Return the values as they lie in each part of the buffer."""

    @abstractmethod
    def _wrap(self, *parts: Any) -> Any:
        """Return a pandas array over slices of the parts."""

    @property
    def capacity(self) -> int:
        return len(self._parts[0])

    def append(self, values: Any, first: int) -> None:
        encoded = self._encode(values)
        self._put(encoded, len(encoded[0]), first)

    def append_missing(self, count: int, first: int) -> None:
        self._put(self._MISSING, count, first)

    def _put(self, encoded: tuple[Any, ...], count: int, first: int) -> None:
        at = self.stop - self.base
        if at + count > self.capacity or (first > self._roomy_until and self._mostly_gone(first)):
            self._move(first, self._room(first, count))
            at = self.stop - self.base
        for part, new in zip(self._parts, encoded, strict=True):
            part[at : at + count] = new
        self.stop += count

    def view(self, start: int, stop: int) -> Any:
        slices = [part[start - self.base : stop - self.base] for part in self._parts]
        for part in slices:
            part.flags.writeable = False
        return self._wrap(*slices)

    def values(self, start: int, stop: int) -> Any:
        """Return rows as they lie in the buffer, read-only and without a copy: numbers, codes, or microseconds."""
        values = self._parts[0][start - self.base : stop - self.base]
        values.flags.writeable = False
        return values

    def _move(self, first: int, capacity: int) -> None:
        held = slice(first - self.base, self.stop - self.base)
        for place, part in enumerate(self._parts):  # one after the other, so that only one is there twice
            bigger = self._blank(capacity, part.dtype)
            bigger[: self.stop - first] = part[held]
            self._parts[place] = bigger
        self.base = first
        self.generation += 1

    @staticmethod
    def _blank(capacity: int, dtype: np.dtype[Any]) -> Any:
        return np.empty(capacity, object) if dtype.hasobject else np.zeros(capacity, dtype)


class Numbers(Fixed):
    """float64, missing is NaN."""

    _MISSING = (np.nan,)

    def __init__(self, first: int = 0, stagger: float = 0.0) -> None:
        super().__init__(first, stagger, np.float64)

    def _encode(self, values: Any) -> tuple[Any, ...]:
        return (np.asarray(values, np.float64),)

    def _wrap(self, *parts: Any) -> Any:
        return parts[0]

    def raw(self, row: int) -> float:
        return float(self._parts[0][row - self.base])

    def like(self) -> Numbers:
        return Numbers()


class KeyIntegers(Fixed):
    """int64, never missing."""

    def __init__(self, first: int = 0, stagger: float = 0.0) -> None:
        super().__init__(first, stagger, np.int64)

    def _encode(self, values: Any) -> tuple[Any, ...]:
        return (np.asarray(values, np.int64),)

    def _wrap(self, *parts: Any) -> Any:
        return parts[0]

    def raw(self, row: int) -> int:
        return int(self._parts[0][row - self.base])

    def like(self) -> KeyIntegers:
        return KeyIntegers()


class Times(KeyIntegers):
    """datetime64[us, UTC], missing is NaT."""

    _MISSING = (NAT,)

    def _wrap(self, *parts: Any) -> Any:
        return pd.array(parts[0], dtype=UTC, copy=False)

    def like(self) -> Times:
        return Times()


class Masked(Fixed):
    """pandas' nullable Int64 or boolean: the values and where they are missing."""

    _MISSING = (0, True)

    def __init__(self, dtype: Any, first: int = 0, stagger: float = 0.0) -> None:
        super().__init__(first, stagger, dtype, np.bool_)

    def _encode(self, values: Any) -> tuple[Any, ...]:
        mask = [value is None for value in values]
        return np.array([0 if value is None else value for value in values], self._parts[0].dtype), mask

    def _wrap(self, *parts: Any) -> Any:
        values, mask = parts
        kind: Any = pd.arrays.BooleanArray if values.dtype == np.bool_ else pd.arrays.IntegerArray
        return kind(values, mask, copy=False)

    def raw(self, row: int) -> Any:
        values, mask = self._parts
        return None if mask[row - self.base] else values[row - self.base].item()

    def like(self) -> Masked:
        return Masked(self._parts[0].dtype)


class Codes(Fixed):
    """A categorical: small integers, in the dtype that pandas gives them, into a vocabulary."""

    _MISSING = (-1,)

    def __init__(self, vocabulary: Vocabulary, first: int = 0, stagger: float = 0.0) -> None:
        super().__init__(first, stagger, vocabulary.code_dtype)
        self.vocabulary = vocabulary

    def settle(self) -> None:
        wanted = self.vocabulary.code_dtype
        if self._parts[0].dtype != wanted:
            self._parts[0] = self._parts[0].astype(wanted)
            self.generation += 1

    def pack(self, values: Any) -> PackedCodes:
        return PackedCodes(np.array(self.vocabulary.encode(values), np.int32), self.vocabulary.names)

    def _encode(self, values: Any) -> tuple[Any, ...]:
        codes = values.codes if isinstance(values, PackedCodes) else self.pack(values).codes
        if len(self.vocabulary) > np.iinfo(self._parts[0].dtype).max:
            self.settle()
        return (codes,)

    def _wrap(self, *parts: Any) -> Any:
        return pd.Categorical.from_codes(parts[0], dtype=self.vocabulary.dtype, validate=False)

    def raw(self, row: int) -> str | None:
        code = self._parts[0][row - self.base]
        return None if code < 0 else self.vocabulary.names[code]

    def like(self) -> Codes:
        return Codes(self.vocabulary)


class Objects(Fixed):
    """References to tuples, None where missing."""

    _MISSING = (None,)

    def __init__(self, first: int = 0, stagger: float = 0.0) -> None:
        super().__init__(first, stagger, object)

    def _encode(self, values: Any) -> tuple[Any, ...]:
        encoded = np.empty(len(values), object)
        for place, value in enumerate(values):  # numpy would make a matrix of tuples of one length
            encoded[place] = value
        return (encoded,)

    def _wrap(self, *parts: Any) -> Any:
        return parts[0]

    def raw(self, row: int) -> Any:
        return self._parts[0][row - self.base]

    def like(self) -> Objects:
        return Objects()


class Texts(Buffer):
    """pandas' `str`, as Arrow holds it: the bytes of all texts, where each ends, and a bit for each that is there."""

    def __init__(self, first: int = 0, stagger: float = 0.0) -> None:
        super().__init__(first, stagger)
        self._ends = np.zeros(_ROOM + 1, np.int64)
        self._bytes = np.zeros(16 * _ROOM, np.uint8)
        self._valid: Any = None  # a bitmap from the first missing text on

    @property
    def capacity(self) -> int:
        return len(self._ends) - 1

    def pack(self, values: Any) -> PackedTexts:
        return PackedTexts.of(values)

    def append(self, values: Any, first: int) -> None:
        packed = values if isinstance(values, PackedTexts) else PackedTexts.of(values)
        count, size = len(packed), len(packed.data)
        at, used = self._claim(count, size, first)
        self._bytes[used : used + size] = np.frombuffer(packed.data, np.uint8)
        np.cumsum(packed.sizes, out=self._ends[at + 1 : at + 1 + count])
        self._ends[at + 1 : at + 1 + count] += used
        if packed.valid is not None:
            self._begin_marking(at)
        if self._valid is not None:
            self._mark(at, np.ones(count, np.bool_) if packed.valid is None else packed.valid)
        self.stop += count

    def append_missing(self, count: int, first: int) -> None:
        at, used = self._claim(count, 0, first)
        self._ends[at + 1 : at + 1 + count] = used
        self._begin_marking(at)
        self._mark(at, np.zeros(count, np.bool_))
        self.stop += count

    def _claim(self, count: int, size: int, first: int) -> tuple[int, int]:
        """Make room for so many texts and bytes, and return the place where each of them begins."""
        at = self.stop - self.base
        full = at + count > self.capacity or int(self._ends[at]) + size > len(self._bytes)
        if full or (first > self._roomy_until and self._mostly_gone(first)):
            self._move(first, count, size)
            at = self.stop - self.base
        return at, int(self._ends[at])

    def _begin_marking(self, at: int) -> None:
        """Have a bitmap from now on, where all texts before place `at` are there."""
        if self._valid is None:
            self._valid = np.zeros(self.capacity // 8 + 1, np.uint8)
            self._mark(0, np.ones(at, np.bool_))
            self.generation += 1

    def view(self, start: int, stop: int) -> Any:
        valid = None if self._valid is None else pa.py_buffer(self._valid)
        # Arrow counts what is missing once, and takes none or all of it for what every slice holds. While rows are
        # still to come it is told "some", and counts anew in each slice; -1 lets it count.
        missing = 0 if valid is None else 1 if stop > self.stop else -1
        if stop > self.stop:  # Arrow asks that the last text end behind the first; the row will say where when it comes
            self._ends[stop - self.base] = len(self._bytes)
        array = pa.LargeStringArray.from_buffers(
            stop - start,
            pa.py_buffer(self._ends),
            pa.py_buffer(self._bytes),
            valid,
            missing,
            start - self.base,
        )
        return pd.arrays.ArrowStringArray(pa.chunked_array([array]), dtype=STR)  # type: ignore[call-arg]

    def raw(self, row: int) -> str | None:
        at = row - self.base
        if self._valid is not None and not self._valid[at // 8] >> at % 8 & 1:
            return None
        return bytes(self._bytes[self._ends[at] : self._ends[at + 1]]).decode()

    def like(self) -> Texts:
        return Texts()

    def _move(self, first: int, count: int, size: int) -> None:
        held = slice(first - self.base, self.stop - self.base)
        start, end = int(self._ends[held.start]), int(self._ends[held.stop])
        capacity = self._room(first, count)
        texts = held.stop - held.start
        ends = np.zeros(capacity + 1, np.int64)
        ends[: texts + 1] = self._ends[held.start : held.stop + 1]
        ends[: texts + 1] -= start
        used, free = end - start + size, capacity - texts - count
        mean = used / (texts + count)
        room = np.zeros(used + min(int(mean * free * 1.05), used) + 16 * _ROOM, np.uint8)  # one huge text is no rule
        room[: end - start] = self._bytes[start:end]
        valid = None if self._valid is None else np.unpackbits(self._valid, bitorder="little")[held].astype(np.bool_)
        self._ends, self._bytes = ends, room
        if valid is not None:
            self._valid = None
            if not valid.all():
                self._valid = np.zeros(capacity // 8 + 1, np.uint8)
                self._mark(0, valid)
        self.base = first
        self.generation += 1

    def _mark(self, at: int, valid: Any) -> None:
        """Set the bits of the rows from place `at` on; the bits before them in the same byte stay as they are."""
        byte = at // 8
        before = np.unpackbits(self._valid[byte : byte + 1], bitorder="little")[: at % 8].astype(np.bool_)
        bits = np.packbits(np.concatenate([before, valid]), bitorder="little")
        self._valid[byte : byte + len(bits)] = bits


_BUFFERS: dict[Kind, Callable[[int, float], Buffer]] = {
    Kind.NUMBER: Numbers,
    Kind.KEY_INTEGER: KeyIntegers,
    Kind.INTEGER: lambda first, stagger: Masked(np.int64, first, stagger),
    Kind.FLAG: lambda first, stagger: Masked(np.bool_, first, stagger),
    Kind.TIME: Times,
    Kind.TEXT: Texts,
    Kind.LIST: Objects,
}


def buffer(kind: Kind, symbols: Vocabulary, first: int = 0, stagger: float = 0.0) -> Buffer:
    """Return an empty column of a kind, whose first row will have the number `first`."""
    if kind in (Kind.SYMBOL, Kind.CODE):
        return Codes(symbols if kind is Kind.SYMBOL else Vocabulary(), first, stagger)
    return _BUFFERS[kind](first, stagger)

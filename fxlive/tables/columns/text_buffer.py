"""The buffer of a column of text, in Arrow's layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from fxlive.core.dtypes import STR
from fxlive.tables.columns.base_buffer import MIN_CAPACITY, Buffer
from fxlive.tables.columns.copy_on_write import read_only_buffer
from fxlive.wire.packing import PackedTexts

_LONG = 256  # the mean size of texts that are copied one by one
_BYTES_PER_ROW = 16  # the size of the first buffer, and of the least slack


class TextBuffer(Buffer):
    """pandas `str` in Arrow's layout: the bytes of all texts, the end of each, and a bitmap of those not missing."""

    def __init__(self, first: int = 0, stagger: float = 0.0) -> None:
        super().__init__(first, stagger)
        self._ends = np.zeros(MIN_CAPACITY + 1, np.int64)
        self._bytes = np.zeros(_BYTES_PER_ROW * MIN_CAPACITY, np.uint8)
        self._valid: Any = None  # the bitmap; None while no text is missing

    @property
    def capacity(self) -> int:
        return len(self._ends) - 1

    def pack(self, values: Any) -> PackedTexts:
        return PackedTexts.of(values)

    def append(self, values: Any, first: int) -> None:
        packed = values if isinstance(values, PackedTexts) else PackedTexts.of(values)
        count, size = len(packed), len(packed.data)
        offset, used = self._reserve(count, size, first)
        self._bytes[used : used + size] = np.frombuffer(packed.data, np.uint8)
        np.cumsum(packed.sizes, out=self._ends[offset + 1 : offset + 1 + count])
        self._ends[offset + 1 : offset + 1 + count] += used
        if packed.valid is not None:
            self._ensure_bitmap(offset)
        if self._valid is not None:
            self._set_valid(offset, np.ones(count, np.bool_) if packed.valid is None else packed.valid)
        self.stop += count

    def append_missing(self, count: int, first: int) -> None:
        offset, used = self._reserve(count, 0, first)
        self._ends[offset + 1 : offset + 1 + count] = used
        self._ensure_bitmap(offset)
        self._set_valid(offset, np.zeros(count, np.bool_))
        self.stop += count

    def copy_from(self, source: TextBuffer, rows: npt.NDArray[np.int64]) -> None:
        offsets = rows - source.base
        starts, sizes = source._ends[offsets], source._ends[offsets + 1] - source._ends[offsets]
        if sizes.sum() > _LONG * len(rows):  # the indices below take many times the memory of the texts
            data = b"".join(source._bytes[start : start + size].data for start, size in zip(starts, sizes, strict=True))
        else:
            before = np.cumsum(sizes) - sizes  # the bytes of the texts before each
            data = source._bytes[np.repeat(starts - before, sizes) + np.arange(int(sizes.sum()))].tobytes()
        valid = None
        if source._valid is not None:
            valid = (source._valid[offsets // 8] >> (offsets % 8).astype(np.uint8) & 1).astype(np.bool_)
        self.append(PackedTexts(data, sizes, valid), self.base)

    def text_bytes(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        sizes: npt.NDArray[np.int64] = self._ends[rows - self.base + 1] - self._ends[rows - self.base]
        return sizes

    def _reserve(self, count: int, size: int, first: int) -> tuple[int, int]:
        """Make room for `count` texts of `size` bytes in all; return the offsets of the first text and byte."""
        offset = self.stop - self.base
        full = offset + count > self.capacity or int(self._ends[offset]) + size > len(self._bytes)
        if full or (first > self._next_size_check and self._is_oversized(first)):
            self._reallocate(first, count, size)
            offset = self.stop - self.base
        return offset, int(self._ends[offset])

    def _ensure_bitmap(self, offset: int) -> None:
        """Create the bitmap if there is none, with all texts before `offset` marked as not missing."""
        if self._valid is None:
            self._valid = np.zeros(self.capacity // 8 + 1, np.uint8)
            self._set_valid(0, np.ones(offset, np.bool_))
            self.generation += 1

    def view(self, start: int, stop: int) -> Any:
        valid = None if self._valid is None else read_only_buffer(self._valid)
        # Arrow reuses a null count of 0 or of all rows for every slice. For an array that extends beyond the last row
        # written, a count of 1 makes it count again in each slice. With -1 it counts now.
        null_count = 0 if valid is None else 1 if stop > self.stop else -1
        if stop > self.stop:  # Arrow requires a last end after the first; the true one is set when the row is appended
            self._ends[stop - self.base] = len(self._bytes)
        array = pa.LargeStringArray.from_buffers(
            stop - start,
            read_only_buffer(self._ends),
            read_only_buffer(self._bytes),
            valid,
            null_count,
            start - self.base,
        )
        return pd.arrays.ArrowStringArray(pa.chunked_array([array]), dtype=STR)  # type: ignore[call-arg]

    def raw(self, row: int) -> str | None:
        offset = row - self.base
        if self._valid is not None and not self._valid[offset // 8] >> offset % 8 & 1:
            return None
        return bytes(self._bytes[self._ends[offset] : self._ends[offset + 1]]).decode()

    def empty_like(self) -> TextBuffer:
        return TextBuffer()

    def _reallocate(self, first: int, count: int, size: int) -> None:
        kept = slice(first - self.base, self.stop - self.base)
        start, end = int(self._ends[kept.start]), int(self._ends[kept.stop])
        capacity = self._next_capacity(first, count)
        texts = kept.stop - kept.start
        ends = np.zeros(capacity + 1, np.int64)
        ends[: texts + 1] = self._ends[kept.start : kept.stop + 1]
        ends[: texts + 1] -= start
        used, free = end - start + size, capacity - texts - count
        mean = used / (texts + count)
        slack = min(int(mean * free * 1.05), used)  # at most `used`, because one huge text raises the mean
        data = np.zeros(used + slack + _BYTES_PER_ROW * MIN_CAPACITY, np.uint8)
        data[: end - start] = self._bytes[start:end]
        valid = None if self._valid is None else np.unpackbits(self._valid, bitorder="little")[kept].astype(np.bool_)
        self._ends, self._bytes = ends, data
        if valid is not None:
            self._valid = None
            if not valid.all():
                self._valid = np.zeros(capacity // 8 + 1, np.uint8)
                self._set_valid(0, valid)
        self.base = first
        self.generation += 1

    def _set_valid(self, offset: int, valid: Any) -> None:
        """Set the bits of the rows from `offset` on; earlier bits of the same byte are kept."""
        byte = offset // 8
        before = np.unpackbits(self._valid[byte : byte + 1], bitorder="little")[: offset % 8].astype(np.bool_)
        bits = np.packbits(np.concatenate([before, valid]), bitorder="little")
        self._valid[byte : byte + len(bits)] = bits

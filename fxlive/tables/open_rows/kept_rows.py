"""The rows of open positions and working orders that have left the rolling window, in column buffers of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fxlive.tables.columns.base_buffer import Buffer
from fxlive.tables.columns.buffers import CategoryBuffer

MAX_KEPT_ROWS = 100_000
"""The most rows of a channel that outlive the window. Of further ones the oldest are dropped and counted."""

MAX_KEPT_BYTES = 64 * 2**20
"""The most bytes that their texts may have together."""

_MIN_SPARE_ROWS = 1_024
_MIN_SPARE_BYTES = 2**20


class KeptRows:
    """The newest rows of keys that have not ended, copied from the table when they leave its window.

    Rows of keys that were removed stay in the buffers until they are a fifth of them. Then the others are copied.

    Parameters
    ----------
    columns
        The buffers of the table, by column. More columns may be added later.
    """

    def __init__(self, columns: Mapping[str, Buffer]) -> None:
        self.dropped = 0
        """The number of rows that were dropped because there were more than `MAX_KEPT_ROWS` or `MAX_KEPT_BYTES`."""
        self.bytes = 0
        """The bytes of the texts of all keys."""
        self._columns = columns
        self._buffers: dict[str, Buffer] = {}
        self._row: dict[Any, int] = {}  # the row of each key in the buffers, oldest first
        self._numbers = np.empty(0, np.int64)  # the number that each row of the buffers had in the table
        self._sizes = np.empty(0, np.int64)  # the bytes of its texts
        self._rows = 0  # in the buffers
        self._buffer_bytes = 0  # of the texts in the buffers

    def __len__(self) -> int:
        return len(self._row)

    def __contains__(self, key: Any) -> bool:
        return key in self._row

    def __reversed__(self) -> Iterator[Any]:
        return iter(reversed(self._row))

    def add(self, keys: Sequence[Any], rows: npt.NDArray[np.int64]) -> list[Any]:
        """Copy rows of the table, one of each key; return the keys that were dropped to make room for them."""
        sizes = np.zeros(len(rows), np.int64)
        for column in self._columns.values():
            sizes += column.text_bytes(rows)
        dropped = self._make_room(keys, sizes)
        new = max(0, len(dropped) - len(self._row))  # how many of them were not here yet
        for key in dropped:
            self.remove(key)
        self.dropped += len(dropped)
        self._copy(keys[new:], rows[new:], sizes[new:])
        spare_rows, spare_bytes = self._rows - 1.25 * len(self._row), self._buffer_bytes - 1.25 * self.bytes
        if spare_rows > _MIN_SPARE_ROWS or spare_bytes > _MIN_SPARE_BYTES:
            self._compact()
        return dropped

    def _make_room(self, keys: Sequence[Any], sizes: npt.NDArray[np.int64]) -> list[Any]:
        """Return the oldest keys that must be dropped, of those here and of new ones with these bytes."""
        excess_rows = len(self._row) + len(keys) - MAX_KEPT_ROWS
        excess_bytes = self.bytes + int(sizes.sum()) - MAX_KEPT_BYTES
        dropped: list[Any] = []
        sizes_of_all = chain((self._sizes[row] for row in self._row.values()), sizes)
        for key, size in zip(chain(self._row, keys), sizes_of_all, strict=True):
            if excess_rows <= 0 and excess_bytes <= 0:
                break
            dropped.append(key)
            excess_rows -= 1
            excess_bytes -= int(size)
        return dropped

    def _copy(self, keys: Sequence[Any], rows: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]) -> None:
        for name, column in self._columns.items():
            self._buffer(name, column).copy_from(column, rows)
        stop = self._rows + len(rows)
        if stop > len(self._numbers):
            spare = np.empty(stop, np.int64)
            self._numbers = np.concatenate((self._numbers, spare))
            self._sizes = np.concatenate((self._sizes, spare))
        self._numbers[self._rows : stop], self._sizes[self._rows : stop] = rows, sizes
        self._row.update(zip(keys, range(self._rows, stop), strict=True))
        self._rows = stop
        self.bytes += int(sizes.sum())
        self._buffer_bytes += int(sizes.sum())

    def remove(self, key: Any) -> None:
        """Remove a key, if it is here."""
        row = self._row.pop(key, None)
        if row is not None:
            self.bytes -= int(self._sizes[row])

    def clear(self) -> None:
        """Remove all keys."""
        self._row.clear()
        self.bytes = 0
        self._compact()

    def _buffer(self, name: str, column: Buffer) -> Buffer:
        buffer = self._buffers.get(name)
        if buffer is None:
            buffer = self._buffers[name] = column.empty_like()
            if self._rows:
                buffer.append_missing(self._rows, 0)
        elif isinstance(buffer, CategoryBuffer) and not isinstance(column, CategoryBuffer):
            buffer = self._buffers[name] = buffer.as_text(0)  # the column has had too many categories since
        return buffer

    def _compact(self) -> None:
        rows = np.fromiter(self._row.values(), np.int64, len(self._row))
        for name, buffer in self._buffers.items():
            self._buffers[name] = buffer.empty_like()
            self._buffers[name].copy_from(buffer, rows)
        self._numbers, self._sizes = self._numbers[rows], self._sizes[rows]
        self._rows, self._buffer_bytes = len(rows), self.bytes
        self._row = dict(zip(self._row, range(len(rows)), strict=True))

    # Reading.

    def value(self, key: Any, column: str) -> Any:
        """Return one value of a key's row, as `Buffer.raw` returns it; None in a column that is newer than the row."""
        buffer = self._buffers.get(column)
        return None if buffer is None else buffer.raw(self._row[key])

    def number(self, key: Any) -> int:
        """Return the number that a key's row had in the table."""
        return int(self._numbers[self._row[key]])

    def later_than(self, time_us: int) -> list[Any]:
        """Return the keys whose row has a later timestamp."""
        if not self._row:
            return []
        rows = np.fromiter(self._row.values(), np.int64, len(self._row))
        later = self._buffers["timestamp"].view(0, self._rows).asi8[rows] > time_us
        return [key for key, is_later in zip(self._row, later.tolist(), strict=True) if is_later] if later.any() else []

    def rows(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the row of each key in `frame`, and the number that it had in the table."""
        rows = np.fromiter(self._row.values(), np.int64, len(self._row))
        return rows, self._numbers[rows]

    def frame(self) -> pd.DataFrame:
        """Return a frame over the buffers, without a copy. Rows of removed keys are in it, too."""
        columns = {}
        for name, column in self._columns.items():
            buffer = self._buffer(name, column)
            buffer.update_dtype()
            columns[name] = buffer.view(0, self._rows)
        return pd.DataFrame(columns, copy=False).set_index("timestamp")

"""The rows of open positions and working orders that have left the rolling window, in column buffers of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fxlive.tables.columns.base_buffer import Buffer

MAX_KEPT_ROWS = 100_000
"""The most rows of a channel that outlive the window. Of further ones the oldest are dropped and counted."""

_MIN_SPARE_ROWS = 1_024


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
        """The number of rows that were dropped because there were more than `MAX_KEPT_ROWS`."""
        self._columns = columns
        self._buffers: dict[str, Buffer] = {}
        self._row: dict[Any, int] = {}  # the row of each key in the buffers, oldest first
        self._numbers = np.empty(0, np.int64)  # the number that each row of the buffers had in the table
        self._rows = 0  # in the buffers

    def __len__(self) -> int:
        return len(self._row)

    def __contains__(self, key: Any) -> bool:
        return key in self._row

    def __reversed__(self) -> Iterator[Any]:
        return iter(reversed(self._row))

    def add(self, keys: Sequence[Any], rows: npt.NDArray[np.int64]) -> list[Any]:
        """Copy rows of the table, one of each key; return the keys that were dropped to make room for them."""
        for name, column in self._columns.items():
            self._buffer(name, column).copy_from(column, rows)
        if self._rows + len(rows) > len(self._numbers):
            self._numbers = np.concatenate((self._numbers, np.empty(self._rows + len(rows), np.int64)))
        self._numbers[self._rows : self._rows + len(rows)] = rows
        self._row.update(zip(keys, range(self._rows, self._rows + len(rows)), strict=True))
        self._rows += len(rows)
        excess = max(0, len(self._row) - MAX_KEPT_ROWS)
        dropped = [key for key, _ in zip(self._row, range(excess), strict=False)]
        for key in dropped:
            del self._row[key]
        self.dropped += excess
        if self._rows > 1.25 * len(self._row) + _MIN_SPARE_ROWS:
            self._compact()
        return dropped

    def remove(self, key: Any) -> None:
        """Remove a key, if it is here."""
        self._row.pop(key, None)

    def clear(self) -> None:
        """Remove all keys."""
        self._row.clear()
        self._compact()

    def _buffer(self, name: str, column: Buffer) -> Buffer:
        buffer = self._buffers.get(name)
        if buffer is None:
            buffer = self._buffers[name] = column.empty_like()
            if self._rows:
                buffer.append_missing(self._rows, 0)
        return buffer

    def _compact(self) -> None:
        rows = np.fromiter(self._row.values(), np.int64, len(self._row))
        for name, buffer in self._buffers.items():
            self._buffers[name] = buffer.empty_like()
            self._buffers[name].copy_from(buffer, rows)
        self._numbers = self._numbers[rows]
        self._rows = len(rows)
        self._row = dict(zip(self._row, range(len(rows)), strict=True))

    # Reading.

    def value(self, key: Any, column: str) -> Any:
        """Return one value of a key's row, as `Buffer.raw` returns it; None in a column that is newer than the row."""
        buffer = self._buffers.get(column)
        return None if buffer is None else buffer.raw(self._row[key])

    def number(self, key: Any) -> int:
        """Return the number that a key's row had in the table."""
        return int(self._numbers[self._row[key]])

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

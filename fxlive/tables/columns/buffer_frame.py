"""A DataFrame over the whole memory of a table's columns. The frames that users get are slices of it."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from fxlive.tables.columns.base_buffer import Buffer
from fxlive.tables.columns.buffers import CategoryBuffer
from fxlive.tables.columns.copy_on_write import share_columns


class BufferFrame:
    """The frame over the buffers of a table. It is reused until a buffer, a dtype or a column changes.

    Parameters
    ----------
    columns
        The buffers by column, the index `timestamp` first. Columns may be added and replaced.
    """

    def __init__(self, columns: Mapping[str, Buffer]) -> None:
        self.first = 0
        """The number of the frame's first row."""
        self.copies = False
        """Whether pandas cannot protect the buffers. Then a slice must be copied before a user gets it."""
        self._columns = columns
        self._stop = 0
        self._frame: pd.DataFrame | None = None
        self._state: tuple[int, ...] = ()

    def current(self, stop: int) -> pd.DataFrame:
        """Return the frame. It has at least the rows up to number `stop`; later ones are not written yet."""
        # While the frame extends beyond the last row, its null counts are guesses (`TextBuffer.view`). A slice of all
        # its rows would reuse them, so there is a new frame when the last row has been written.
        columns = self._columns.values()
        state = (stop == self._stop, *(column.generation for column in columns), *category_counts(self._columns))
        if self._frame is None or state != self._state or stop > self._stop:
            self._state = state
            self.first = max(column.base for column in columns)
            self._stop = min(column.base + column.capacity for column in columns)
            self._frame = self._new()
        return self._frame

    def _new(self) -> pd.DataFrame:
        arrays = {name: column.view(self.first, self._stop) for name, column in self._columns.items()}
        index = pd.DatetimeIndex(arrays.pop("timestamp"), name="timestamp", copy=False)
        frame = pd.DataFrame(arrays, index=index, copy=False)
        self.copies = not share_columns(frame)
        return frame


def category_counts(columns: Mapping[str, Buffer]) -> tuple[int, ...]:
    """Return the number of categories of each column; -1 for a column without categories."""
    return tuple(len(c.vocabulary) if isinstance(c, CategoryBuffer) else -1 for c in columns.values())

"""The rolling table of one channel: its newest rows, in columns, available as a DataFrame without a copy.

A frame is a slice of the *buffer frame*, a DataFrame over the whole memory of the column buffers (`buffers.py`). Taking
one therefore costs the same for a thousand rows and for ten million. Rows are numbered in order of arrival. The window
is the rows from `first` up to `stop`; the rows added since some time are those from the `stop` of that time on.

A write into a frame never reaches the buffers: the arrays are read-only, and pandas' copy-on-write treats every column
as shared, so that the write goes to a copy.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fxlive.core.progress import Progress
from fxlive.tables.base_buffer import Buffer
from fxlive.tables.buffers import CategoryBuffer, FixedSizeBuffer, new_buffer
from fxlive.tables.copy_on_write import share_columns
from fxlive.tables.latest import LatestCursor, LatestRows, Moves
from fxlive.tables.selection import index_by_key
from fxlive.tables.vocabulary import Vocabulary
from fxlive.wire.batch import Rows
from fxlive.wire.channels import Channel
from fxlive.wire.messages import Kind
from fxlive.wire.undocumented import UndocumentedColumns


class RollingTable:
    """The rolling window of one channel.

    Parameters
    ----------
    channel
        The channel of the rows.
    max_rows
        The most rows of the window.
    window_us
        The length of the window before the newest `timestamp`, in microseconds; None is unlimited.
    symbols
        The vocabulary of the symbols, shared by the tables of a session.
    lock
        Held while rows are added and while a frame is taken; shared by the tables of a session.

    Examples
    --------
    >>> from fxlive.wire.channels import CHANNELS
    >>> RollingTable(CHANNELS["alerts"]).frame().dtypes["threshold"]
    dtype('float64')
    """

    def __init__(
        self,
        channel: Channel,
        *,
        max_rows: int = 1_000_000,
        window_us: int | None = None,
        symbols: Vocabulary | None = None,
        lock: threading.RLock | None = None,
    ) -> None:
        self.channel = channel
        self.first = self.stop = 0
        self.clearings = 0
        self._undocumented = UndocumentedColumns(channel)
        self._max_rows = max_rows
        self._window_us = window_us
        self._progress = Progress()
        self._symbols = Vocabulary() if symbols is None else symbols
        self._lock = threading.RLock() if lock is None else lock
        self._columns: dict[str, Buffer] = {}
        self._kinds: dict[str, Kind] = {}
        for name, kind in (("timestamp", Kind.TIME), ("received_at", Kind.TIME)):
            self._add_column(name, kind)
        for column in channel.columns:
            self._add_column(column.name, column.kind)
        self._latest = LatestRows(channel, self._columns)
        self._buffer_frame: pd.DataFrame | None = None
        self._buffer_frame_state: tuple[int, ...] = ()  # the buffers' state for which it was made
        self._buffer_frame_first = self._buffer_frame_stop = 0
        self._copies = False  # True if pandas cannot protect the buffers; then frames are copies

    def __len__(self) -> int:
        return self.stop - self.first

    @property
    def columns(self) -> list[str]:
        """The names of a frame's columns, without the index."""
        return list(self._columns)[1:]

    @property
    def drift(self) -> dict[str, str]:
        """The dtypes of the undocumented columns, by name."""
        kinds = tuple(self._undocumented.kinds.items())  # an atomic copy, because the feed may be adding to it
        return {name: kind.value for name, kind in kinds}

    # Writing.

    def append(self, rows: Rows) -> None:
        """Append rows, then evict the rows that have left the window."""
        with self._lock:
            try:
                self._append_columns(rows)
            except BaseException:  # such as a MemoryError: take back the rows from the columns that have them
                for column in self._columns.values():
                    column.stop = self.stop
                raise
            start, self.stop = self.stop, self.stop + len(rows)
            if len(rows):
                self._follow_time(rows, start)
            self._evict()

    def _follow_time(self, rows: Rows, start: int) -> None:
        progress = self._progress
        former_end, former_revisions, former_count = progress.end, progress.revisions, progress.count
        progress.add(rows.timestamp, rows.received_at)
        outlier = rows.timestamp > progress.end
        outlier[[number - former_count for number in progress.contradicted if number >= former_count]] = True
        progress.contradicted.clear()
        revised = progress.revisions != former_revisions
        self.clearings += revised  # readers that left out outliers begin again
        if self.channel.key:
            first = self.first if revised else None
            self._latest.add(rows, start, outlier, former_end, progress.end, revised_from=first)

    def _append_columns(self, rows: Rows) -> None:
        count, values = len(rows), rows.values
        extras = self._undocumented_values(rows) if rows.extras else {}
        for name, column in self._columns.items():
            if name in values:
                rows.packed[name] = packed = column.pack(values[name])
                column.append(packed, self.first)
            elif name == "timestamp":
                column.append(rows.timestamp, self.first)
            elif name == "received_at":
                column.append(rows.received_at, self.first)
            elif name in extras:
                column.append(extras[name], self.first)
            else:
                column.append_missing(count, self.first)

    def _undocumented_values(self, rows: Rows) -> dict[str, list[Any]]:
        """Return the values of the undocumented columns, and add the columns that are new."""
        columns = self._undocumented.fit(rows.extras, len(rows))
        self._add_undocumented()
        return columns

    def _add_undocumented(self) -> None:
        for name, kind in self._undocumented.kinds.items():
            if name not in self._columns:
                self._add_column(name, kind)

    def _add_column(self, name: str, kind: Kind) -> None:
        stagger = len(self._columns) % 8 / 16
        column = new_buffer(kind, self._symbols, self.first, stagger)
        if len(self):
            column.append_missing(len(self), self.first)
        self._columns[name] = column
        self._kinds[name] = kind

    def _evict(self) -> None:
        first = max(self.first, self.stop - self._max_rows)
        if self._window_us is not None:
            first = self._first_since(first, self._progress.settled - self._window_us)
        if first == self.first:
            return
        self._latest.evict_before(first)
        self.first = first

    def _first_since(self, first: int, cutoff: int) -> int:
        """Return the number of the first row from `first` on whose timestamp is not before `cutoff`.

        Outliers leave the window with the row before which they arrived.
        """
        column, end = self._columns["timestamp"], self._progress.end
        if first < self.stop and cutoff <= column.raw(first) <= end:
            return first
        for start in range(first, self.stop, 1024):
            stamps = column.view(start, min(start + 1024, self.stop)).asi8
            trusted = stamps <= end
            in_window = trusted & (stamps >= cutoff)
            before = np.flatnonzero(trusted[: in_window.argmax()] if in_window.any() else trusted)
            if len(before):
                first = start + int(before[-1]) + 1
            if in_window.any():
                break
        return first

    def expect(self, drift: Mapping[str, str]) -> None:
        """Add undocumented columns before their first value, given their dtypes."""
        with self._lock:
            self._undocumented.expect(drift)
            self._add_undocumented()

    def clear(self) -> None:
        """Remove all rows. Row numbers continue."""
        with self._lock:
            self.first = self.stop
            self._progress = Progress()
            self._latest.clear()
            self.clearings += 1

    def remove_from_latest(self, key: Any) -> None:
        """Remove a key from `latest` that has ended without a row that says so."""
        with self._lock:
            self._latest.remove(key)

    # Reading.

    def frame(self, start: int | None = None) -> pd.DataFrame:
        """Return a snapshot of the window, or of its rows from number `start` on, in order of arrival."""
        with self._lock:
            buffer_frame, offset = self._current_buffer_frame(), self._buffer_frame_first
            first = self.first if start is None else min(max(start, self.first), self.stop)
            frame = buffer_frame.iloc[first - offset : self.stop - offset]
            return frame.copy() if self._copies else frame

    def values(self, start: int | None, *columns: str) -> tuple[int, list[Any]]:
        """Return raw column values from row `start` on. For pollers that do not need a DataFrame.

        Parameters
        ----------
        start
            The first value returned by the last call; None for the whole window. Rows that have left the window are
            skipped.
        columns
            Names of columns, `timestamp` included. Columns of text are not supported.

        Returns
        -------
        tuple of int and list of numpy.ndarray
            `start` for the next call, and for each column a read-only array, shape (rows,): float64 for numbers, int64
            for times (microseconds since 1970 UTC), and the codes of categories (see `code`), -1 if missing.

        Examples
        --------
        >>> from fxlive.wire.channels import CHANNELS
        >>> RollingTable(CHANNELS["market-data"]).values(None, "timestamp", "bid")
        (0, [array([], dtype=int64), array([], dtype=float64)])
        """
        with self._lock:
            first = self.first if start is None else min(max(start, self.first), self.stop)
            return self.stop, [self._fixed_size(name).values(first, self.stop) for name in columns]

    def code(self, column: str, value: str) -> int | None:
        """Return the code of a category in `values`; None if it has not been seen."""
        buffer = self._columns[column]
        assert isinstance(buffer, CategoryBuffer), f"{column} has no categories"
        return buffer.vocabulary.code(value)

    def categories(self, column: str) -> Sequence[str]:
        """Return the categories of a column seen so far, in order of arrival."""
        buffer = self._columns[column]
        assert isinstance(buffer, CategoryBuffer), f"{column} has no categories"
        return buffer.vocabulary.names

    def label(self, column: str, value: int) -> str | None:
        """Return a value of `values` as text: the name of a category (None if missing), or the number."""
        buffer = self._columns[column]
        if not isinstance(buffer, CategoryBuffer):
            return str(value)
        return None if value < 0 else buffer.vocabulary.names[value]

    @property
    def end(self) -> int:
        """The newest timestamp that the stream supports, in microseconds (see `Progress`). Later rows are outliers."""
        return self._progress.end

    def drawn_until(self, key: Any = None) -> int:
        """Return the newest timestamp to draw (microseconds): the end, or a key's row in `latest` if it is later."""
        with self._lock:
            newest = None if key is None else self._row_of(key)
            return max(self.end, self.end if newest is None else self._columns["timestamp"].raw(newest))

    @property
    def outliers(self) -> int:
        """How many rows have, or had, a timestamp that the stream does not support."""
        return self._progress.outliers

    def columns_of(self, *kinds: Kind) -> list[str]:
        """Return the names of the columns of these kinds."""
        return [name for name, kind in self._kinds.items() if kind in kinds]

    def _fixed_size(self, name: str) -> FixedSizeBuffer:
        buffer = self._columns[name]
        assert isinstance(buffer, FixedSizeBuffer), f"{name} is a column of text"
        return buffer

    def latest(self) -> pd.DataFrame:
        """Return the row with the newest `timestamp` of each key, of equal ones the last, indexed and sorted by key."""
        with self._lock:
            frame = self._current_buffer_frame().iloc[self._latest.rows() - self._buffer_frame_first]
            if self._latest.beyond_window:
                frame = pd.concat([self._beyond_window_frame(), frame])
        return index_by_key(frame, self.channel)

    def newest(self, key: Any, *columns: str) -> dict[str, Any] | None:
        """Return the values of a key's newest row, of these columns or of all; None if the key is not in `latest`."""
        with self._lock:
            row = self._row_of(key)
            if row is not None:
                return {name: self._columns[name].raw(row) for name in columns or self._columns}
            return self._latest.beyond_window.get(key)

    def _row_of(self, key: Any) -> int | None:
        """Return the number of a key's newest row; None if it has no row in the window."""
        if self.channel.key:
            return self._latest.row_of(key)
        return key if self.first <= key < self.stop else None

    def newest_of(self, keys: Sequence[Any], *columns: str) -> dict[str, list[Any]]:
        """Return the values of many keys' newest rows, by column; None for a key that is not in `latest`."""
        with self._lock:
            rows = [self._row_of(key) for key in keys]
            values = {}
            for name in columns:
                raw = self._columns[name].raw
                values[name] = [
                    raw(row) if row is not None else self._latest.beyond_window.get(key, {}).get(name)
                    for row, key in zip(rows, keys, strict=True)
                ]
            return values

    def moves(self, since: LatestCursor | None, most: int) -> Moves:
        """Return the changes of `latest` since a cursor, at a cost proportional to them; `newest` returns the values.

        In a channel without a key the row numbers serve as keys.

        Parameters
        ----------
        since
            The `cursor` of the last call; None returns all keys. So does a cursor that is too far behind.
        most
            The most changed keys to return; those with the newest rows are returned.

        Examples
        --------
        >>> from fxlive.wire.channels import CHANNELS
        >>> RollingTable(CHANNELS["positions"]).moves(None, 100).changed
        []
        """
        with self._lock:
            return self._latest.moves(since, most, self.first, self.stop)

    def kind(self, column: str) -> Kind:
        """Return the kind of a column."""
        return self._kinds[column]

    def _beyond_window_frame(self) -> pd.DataFrame:
        rows = list(self._latest.beyond_window.values())
        columns = {}
        for name, column in self._columns.items():
            buffer = column.empty_like()
            buffer.append([row.get(name) for row in rows], 0)
            buffer.update_dtype()
            columns[name] = buffer.view(0, len(rows))
        return pd.DataFrame(columns).set_index("timestamp")

    def _current_buffer_frame(self) -> pd.DataFrame:
        """Return a frame over the buffers of all columns. It is reused until a buffer, a dtype or a column changes."""
        for column in self._columns.values():
            column.update_dtype()
        # While the buffer frame extends beyond the last row, its null counts are guesses (`TextBuffer.view`). A frame
        # of all its rows would reuse them, so there is a new buffer frame when the last row has been written.
        full = self.stop == self._buffer_frame_stop
        columns = self._columns.values()
        state = (full, len(self._symbols), *(c.generation for c in columns), *self._vocabulary_sizes())
        if self._buffer_frame is None or state != self._buffer_frame_state or self.stop > self._buffer_frame_stop:
            self._buffer_frame_state = state
            self._buffer_frame_first = max(column.base for column in columns)
            self._buffer_frame_stop = min(column.base + column.capacity for column in columns)
            self._buffer_frame = self._new_buffer_frame(self._buffer_frame_first, self._buffer_frame_stop)
        return self._buffer_frame

    def _vocabulary_sizes(self) -> list[int]:
        return [len(c.vocabulary) for c in self._columns.values() if isinstance(c, CategoryBuffer)]

    def _new_buffer_frame(self, first: int, stop: int) -> pd.DataFrame:
        arrays = {name: column.view(first, stop) for name, column in self._columns.items()}
        index = pd.DatetimeIndex(arrays.pop("timestamp"), name="timestamp", copy=False)
        frame = pd.DataFrame(arrays, index=index, copy=False)
        self._copies = not share_columns(frame)
        return frame

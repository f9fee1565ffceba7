"""The rolling table of one channel: its newest rows, in columns, available as a DataFrame without a copy.

A frame is a slice of the *buffer frame*, a DataFrame over the whole memory of the column buffers (`columns/`). Taking
one therefore costs the same for a thousand rows and for ten million. Rows are numbered in order of arrival. The window
is the rows from `first` up to `stop`; the rows added since some time are those from the `stop` of that time on.

A write into a frame never reaches the buffers: the arrays are read-only, and pandas' copy-on-write treats every column
as shared, so that the write goes to a copy.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fxlive.core.progress import LONG_AGO, Progress
from fxlive.tables.columns.base_buffer import Buffer
from fxlive.tables.columns.buffer_frame import BufferFrame, category_counts
from fxlive.tables.columns.buffers import CategoryBuffer, FixedSizeBuffer, new_buffer
from fxlive.tables.columns.vocabulary import Vocabulary
from fxlive.tables.latest import LatestCursor, LatestRows, Moves
from fxlive.tables.open_rows.open_frame import LastOpenFrame, open_frame
from fxlive.tables.outliers import ContradictedRows, Revision, first_since
from fxlive.tables.selection import index_by_key
from fxlive.wire.batch import Rows
from fxlive.wire.channels import Channel, Column
from fxlive.wire.messages import Kind
from fxlive.wire.undocumented.columns import UndocumentedColumns


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
        self.progress = Progress()
        """How far the channel's timestamps have come, and which messages were outliers."""
        self._contradicted = ContradictedRows()
        self._gap_until_us = LONG_AGO
        self._last_open_frame = LastOpenFrame()
        """`latest` of positions or orders, and the state it was made of."""
        self._symbols = Vocabulary() if symbols is None else symbols
        self._lock = threading.RLock() if lock is None else lock
        self.large_bytes = 0
        self._large: deque[tuple[int, int]] = deque()  # of the rows before each number
        self._columns: dict[str, Buffer] = {}
        self._kinds: dict[str, Kind] = {}
        self._codes: dict[str, CategoryBuffer] = {}  # of columns that had too many categories and continue as text
        times = (Column("timestamp", Kind.TIME), Column("received_at", Kind.TIME))
        for column in (*times, *channel.columns):
            self._add_column(column.name, column.kind)
        self._latest = LatestRows(channel, self._columns, self._contradicted)
        self._buffer_frame = BufferFrame(self._columns)

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

    @property
    def unreadable(self) -> dict[str, int]:
        """The number of unreadable values in documented columns so far, by column."""
        return dict(self._undocumented.unreadable)

    # Writing.

    def append(self, rows: Rows) -> None:
        """Append rows, then evict the rows that have left the window."""
        with self._lock:
            try:
                self._append_columns(rows)
            except BaseException:  # such as a MemoryError: take back the rows from the columns that have them
                for column in (*self._columns.values(), *self._codes.values()):
                    column.stop = self.stop
                raise
            start, self.stop = self.stop, self.stop + len(rows)
            try:
                if len(rows):
                    self._follow_time(rows, start)
                    if int(rows.received_at[-1]) <= self._gap_until_us:
                        self._latest.begin_gap(self.first, self.stop, None)
            finally:  # the window must not grow without limit
                self._evict()

    def _follow_time(self, rows: Rows, start: int) -> None:
        progress = self.progress
        former_end, former_revisions, former_count = progress.end, progress.revisions, progress.count
        pending = [number - former_count + start for number in progress.pending]
        progress.add(rows.timestamp, rows.received_at)
        outlier = progress.are_outliers(rows.timestamp, former_count)
        revision = None
        stamps = self._columns["timestamp"]
        corrected = self._contradicted.follow(progress, outlier, former_count, stamps, self.first, start)
        if progress.revisions != former_revisions:
            confirmed = [row for row in pending if row not in self._contradicted]
            revision = Revision(np.union1d(corrected, np.array(confirmed, np.int64)), progress.end)
            self.clearings += 1  # readers that left out outliers begin again
        if self.channel.key:
            self._latest.add(rows, start, outlier, former_end, revision)

    def _append_columns(self, rows: Rows) -> None:
        count, values = len(rows), rows.values
        others: dict[str, Any] = {"timestamp": rows.timestamp, "received_at": rows.received_at}
        if rows.extras:
            others |= self._undocumented.fit(rows.extras, count)
            self._add_undocumented()
        for name, column in self._columns.items():
            if name in values:
                packed = column.pack(values[name])
                if column.overflowed:
                    packed = self._append_as_text(name, values[name], packed)
                else:
                    column.append(packed, self.first)
                rows.packed[name] = packed
            elif name in others:
                column.append(others[name], self.first)
            else:
                column.append_missing(count, self.first)

    def _append_as_text(self, name: str, values: Sequence[str | None], codes: Any) -> Any:
        """Append to a column that has too many categories, and return the packed texts."""
        text = self._continue_as_text(name)
        packed = text.pack(values)
        text.append(packed, self.first)
        self._codes[name].append(codes, self.first)
        return packed

    def _continue_as_text(self, name: str) -> Buffer:
        """Convert a categorical column to text. Its codes are kept for `values`: those of a new text are -1."""
        column = self._columns[name]
        if isinstance(column, CategoryBuffer):
            self._codes[name] = column
            self._columns[name] = column.as_text(self.first)
            self._kinds[name] = Kind.TEXT
        return self._columns[name]

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

    def note_large(self, size_bytes: int) -> None:
        """Note that the rows appended last came in large messages: `large_bytes` counts what exceeds the usual size."""
        self._large.append((self.stop, size_bytes))
        self.large_bytes += size_bytes

    def evict_large(self, most_bytes: int) -> int:
        """Evict the oldest rows until at most so many bytes of large messages are left; return the number of rows."""
        with self._lock:
            before = first = self.first
            large = self.large_bytes
            for stop, size in self._large:
                if large <= most_bytes:
                    break
                first, large = stop, large - size
            self._evict_before(max(first, before))
            return self.first - before

    def _evict(self) -> None:
        first = max(self.first, self.stop - self._max_rows)
        if self._window_us is not None:
            first = first_since(
                first, self.stop, self._columns["timestamp"], self.progress, self._window_us, self._contradicted
            )
        if first > self.first:
            self._evict_before(first)

    def _evict_before(self, first: int) -> None:
        self._latest.evict_before(first)
        self._contradicted.evict_before(first)
        self.first = first
        while self._large and self._large[0][0] <= first:
            self.large_bytes -= self._large.popleft()[1]

    def expect(self, drift: Mapping[str, str]) -> None:
        """Add undocumented columns before their first value, given their dtypes."""
        with self._lock:
            self._undocumented.expect(drift)
            self._add_undocumented()

    def clear(self) -> None:
        """Remove all rows. Row numbers continue."""
        with self._lock:
            self._evict_before(self.stop)
            self.progress = Progress()
            self._gap_until_us = LONG_AGO
            self._latest.clear()
            self._contradicted.clear()
            self._undocumented.unreadable.clear()
            self.clearings += 1

    def remove_from_latest(self, key: Any) -> None:
        """Remove a key from `latest` that has ended without a row that says so."""
        with self._lock:
            self._latest.remove(key)

    def begin_gap(self, until_us: int | None = None) -> None:
        """Mark positions and orders as unconfirmed. Rows received up to `until_us` do not confirm them, if given."""
        if self.channel.ends is not None:
            with self._lock:
                self._latest.begin_gap(self.first, self.stop, until_us)
                self._gap_until_us = LONG_AGO if until_us is None else until_us

    def confirm(self, keys: Iterable[Any], received_at: int) -> list[Any]:
        """Confirm positions or orders without a new row; return those that were not confirmed before."""
        with self._lock:
            return self._latest.confirm(keys) if received_at > self._gap_until_us else []

    @property
    def kept(self) -> tuple[int, int, int]:
        """The number of rows of `latest` that have left the window, of those dropped, and the bytes of their texts."""
        return len(self._latest.kept), self._latest.kept.dropped, self._latest.kept.bytes

    # Reading.

    def frame(self, start: int | None = None) -> pd.DataFrame:
        """Return a snapshot of the window, or of its rows from number `start` on, in order of arrival."""
        with self._lock:
            buffer_frame, offset = self._frame_of_buffers(), self._buffer_frame.first
            first = self.first if start is None else min(max(start, self.first), self.stop)
            frame = buffer_frame.iloc[first - offset : self.stop - offset]
            return frame.copy() if self._buffer_frame.copies else frame

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
        buffer = self._codes.get(column) or self._columns[column]
        assert isinstance(buffer, CategoryBuffer), f"{column} has no categories"
        return buffer.vocabulary.code(value)

    def categories(self, column: str) -> Sequence[str]:
        """Return the categories of a column seen so far, in order of arrival."""
        buffer = self._codes.get(column) or self._columns[column]
        assert isinstance(buffer, CategoryBuffer), f"{column} has no categories"
        return buffer.vocabulary.names

    def label(self, column: str, value: int) -> str | None:
        """Return a value of `values` as text: the name of a category (None if missing), or the number."""
        buffer = self._codes.get(column) or self._columns[column]
        if not isinstance(buffer, CategoryBuffer):
            return str(value)
        return None if value < 0 else buffer.vocabulary.names[value]

    def are_drawn(self, stamps: npt.NDArray[np.int64], stop: int, key: Any = None) -> npt.NDArray[np.bool_]:
        """Return which rows to draw, given the timestamps of rows up to before row `stop`: those that are not outliers.

        If `latest` shows an outlier of the key, its outliers are drawn as well, up to the timestamp of that row.
        """
        with self._lock:
            newest, end = None if key is None else self._row_of(key), self.progress.end
            newest_at = end if newest is None else self._columns["timestamp"].raw(newest)
            if newest_at > end or newest in self._contradicted:
                return stamps <= max(newest_at, end)
            return (stamps <= end) & ~self._contradicted.mask(stop - len(stamps), stop)

    def vocabularies(self) -> dict[str, Vocabulary]:
        """Return the categories of each column that has or had some, without the symbols."""
        columns = {**self._columns, **self._codes}
        buffers = {name: column for name, column in columns.items() if isinstance(column, CategoryBuffer)}
        return {name: column.vocabulary for name, column in buffers.items() if column.vocabulary is not self._symbols}

    def columns_of(self, *kinds: Kind) -> list[str]:
        """Return the names of the columns of these kinds."""
        return [name for name, kind in tuple(self._kinds.items()) if kind in kinds]  # the feed may be adding to it

    def _fixed_size(self, name: str) -> FixedSizeBuffer:
        buffer = self._codes.get(name) or self._columns[name]
        assert isinstance(buffer, FixedSizeBuffer), f"{name} is a column of text"
        return buffer

    def latest(self) -> pd.DataFrame:
        """Return the row with the newest `timestamp` of each key, of equal ones the last, indexed and sorted by key.

        Of positions and orders, `confirmed` (bool) is whether a message about the key has arrived since the last gap.
        """
        with self._lock:  # only what must be of one moment; the rows are copied and sorted without the lock
            latest, kept = self._latest, self._latest.kept
            rows, frame, first = latest.rows(), self._frame_of_buffers(), self._buffer_frame.first
            counts = (len(self._columns), *category_counts(self._columns))
            state = (self.first, self.stop, self.clearings, latest.changes, *counts)
            if (known := self._last_open_frame.of(state)) is not None:
                return known
            kept_rows = (kept.frame(), *kept.rows()) if len(kept) else None
            confirmations = latest.confirmations()
        if self.channel.ends is None:
            return index_by_key(frame, self.channel, rows - first)
        by_key = open_frame(frame, rows - first, rows, kept_rows, self.channel, *confirmations)
        return self._last_open_frame.remember(state, by_key)

    def newest(self, key: Any, *columns: str) -> dict[str, Any] | None:
        """Return the values of a key's newest row, of these columns or of all; None if the key is not in `latest`."""
        with self._lock:
            row, kept = self._row_of(key), self._latest.kept
            if row is not None:
                return {name: self._columns[name].raw(row) for name in columns or self._columns}
            return {name: kept.value(key, name) for name in columns or self._columns} if key in kept else None

    def _row_of(self, key: Any) -> int | None:
        """Return the number of a key's newest row; None if it has no row in the window."""
        if self.channel.key:
            return self._latest.row_of(key)
        return key if self.first <= key < self.stop else None

    def newest_of(self, keys: Sequence[Any], *columns: str) -> dict[str, list[Any]]:
        """Return the values of many keys' newest rows, by column; None for a key that is not in `latest`."""
        with self._lock:
            rows, kept = [self._row_of(key) for key in keys], self._latest.kept
            values = {}
            for name in columns:
                raw = self._columns[name].raw
                values[name] = [
                    raw(row) if row is not None else kept.value(key, name) if key in kept else None
                    for row, key in zip(rows, keys, strict=True)
                ]
            return values

    def unconfirmed_count(self) -> int:
        """Return the number of positions or orders that no message has confirmed since the last gap."""
        with self._lock:
            return self._latest.unconfirmed_count()

    @property
    def changes(self) -> int:
        """Grows with each change of `latest` that is not a new row: a removal, a confirmation, the begin of a gap."""
        return self._latest.changes

    def are_confirmed(self, keys: Sequence[Any]) -> list[bool]:
        """Return whether a message about each key has arrived since the last gap; True for an unknown key."""
        with self._lock:
            return [self._latest.is_confirmed(key) is not False for key in keys]

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

    def _frame_of_buffers(self) -> pd.DataFrame:
        """Return a frame over the buffers; `_buffer_frame.first` is the number of its first row."""
        for name, column in self._columns.items():
            (self._continue_as_text(name) if column.overflowed else column).update_dtype()
        return self._buffer_frame.current(self.stop)

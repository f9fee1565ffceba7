"""RollingTable: the newest rows of one channel, in columns, ready as a DataFrame at any moment.

A frame is a slice of one *keeper* frame that spans the columns' buffers (`columns.py`), so taking one costs the same
for a thousand rows and for ten million. Rows are numbered from the first that ever came: the window is those from
`first` up to `stop`, and what is new since some moment is the rows from the `stop` of that moment on.

Nothing that a user does to a frame reaches the buffers: the arrays are read-only, and each column counts for pandas'
copy-on-write as shared for ever, so that every write into a frame goes to a copy.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fxlive.tables.buffers import Buffer, Codes, Fixed, buffer
from fxlive.tables.copy_on_write import share_columns
from fxlive.tables.latest import LatestCursor, LatestRows, Moves
from fxlive.tables.selection import index_by_key
from fxlive.tables.vocabulary import Vocabulary
from fxlive.wire.batch import Rows
from fxlive.wire.channels import Channel
from fxlive.wire.messages import Kind
from fxlive.wire.undocumented import UndocumentedColumns

_LONG_AGO = int(np.iinfo(np.int64).min)


class RollingTable:
    """The rolling window of one channel.

    Parameters
    ----------
    channel
        What the rows hold.
    max_rows
        Keep the newest so many rows.
    window_us
        Keep only the rows of so many microseconds before the newest `timestamp`; None keeps all.
    symbols
        The vocabulary of the symbols, shared by the tables of a session.
    lock
        Held while rows are added and while a frame is cut; shared by the tables of a session.

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
        self._drift = UndocumentedColumns(channel)
        self._max_rows = max_rows
        self._window_us = window_us
        self._newest = _LONG_AGO
        self._symbols = Vocabulary() if symbols is None else symbols
        self._lock = threading.RLock() if lock is None else lock
        self._columns: dict[str, Buffer] = {}
        self._kinds: dict[str, Kind] = {}
        for name, kind in (("timestamp", Kind.TIME), ("received_at", Kind.TIME)):
            self._add_column(name, kind)
        for column in channel.columns:
            self._add_column(column.name, column.kind)
        self._latest = LatestRows(channel, self._columns)
        self._keeper: pd.DataFrame | None = None
        self._copies = False  # whether a frame must be a copy, because pandas cannot protect the buffers
        self._keeper_of: tuple[int, ...] = ()
        self._keeper_first = self._keeper_stop = 0

    def __len__(self) -> int:
        return self.stop - self.first

    @property
    def columns(self) -> list[str]:
        """The names of a frame's columns, without the index."""
        return list(self._columns)[1:]

    @property
    def drift(self) -> dict[str, str]:
        """The undocumented columns, with their dtypes."""
        return {name: kind.value for name, kind in tuple(self._drift.kinds.items())}  # the feed may be adding to them

    # In.

    def append(self, rows: Rows) -> None:
        """Add rows behind the last, then drop those that the window does not reach any more."""
        with self._lock:
            try:
                self._append_columns(rows)
            except BaseException:  # no memory: what some columns have already must not shift them against the others
                for column in self._columns.values():
                    column.stop = self.stop
                raise
            start, self.stop = self.stop, self.stop + len(rows)
            if len(rows):
                if self.channel.key:
                    self._latest.add(rows, start, self._newest)
                self._newest = max(self._newest, int(rows.timestamp.max()))
            self._evict()

    def _append_columns(self, rows: Rows) -> None:
        count, values = len(rows), rows.values
        extras = self._fit(rows) if rows.extras else {}
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

    def _fit(self, rows: Rows) -> dict[str, list[Any]]:
        """Return the values of the undocumented columns, adding those that come for the first time."""
        fitted = self._drift.fit(rows.extras, len(rows))
        self._add_drift()
        return fitted

    def _add_drift(self) -> None:
        for name, kind in self._drift.kinds.items():
            if name not in self._columns:
                self._add_column(name, kind)

    def _add_column(self, name: str, kind: Kind) -> None:
        stagger = len(self._columns) % 8 / 16
        column = buffer(kind, self._symbols, self.first, stagger)
        if len(self):
            column.append_missing(len(self), self.first)
        self._columns[name] = column
        self._kinds[name] = kind

    def _evict(self) -> None:
        first = max(self.first, self.stop - self._max_rows)
        if self._window_us is not None:
            first = self._first_since(first, self._newest - self._window_us)
        if first == self.first:
            return
        self._latest.drop_before(first)
        self.first = first

    def _first_since(self, first: int, cutoff: int) -> int:
        """Return the first row from `first` on that is not older than `cutoff`, looking only at what is dropped."""
        column = self._columns["timestamp"]
        while first < self.stop:
            some = column.view(first, min(first + 1024, self.stop)).asi8
            young = some >= cutoff
            if young.any():
                return first + int(young.argmax())
            first += len(some)
        return first

    def expect(self, drift: Mapping[str, str]) -> None:
        """Have undocumented columns before they come, by their dtypes."""
        with self._lock:
            self._drift.expect(drift)
            self._add_drift()

    def clear(self) -> None:
        """Drop all rows; those that follow are numbered on."""
        with self._lock:
            self.first = self.stop
            self._newest = _LONG_AGO
            self._latest.clear()
            self.clearings += 1

    def forget(self, key: Any) -> None:
        """Take a key out of `latest`: what it stood for has ended."""
        with self._lock:
            self._latest.forget(key)

    # Out.

    def frame(self, start: int | None = None) -> pd.DataFrame:
        """Return the window, or what of it has come since row `start`: a snapshot, in the order of arrival."""
        with self._lock:
            keeper, offset = self._current_keeper(), self._keeper_first
            first = self.first if start is None else min(max(start, self.first), self.stop)
            frame = keeper.iloc[first - offset : self.stop - offset]
            return frame.copy() if self._copies else frame

    def values(self, start: int | None, *columns: str) -> tuple[int, list[Any]]:
        """Return what some columns hold from row `start` on, for who asks ten times a second and needs no frame.

        Parameters
        ----------
        start
            The `stop` of the last call; None for the whole window. Rows that have left the window are passed over.
        columns
            Names of columns whose values have one size, and of `timestamp`.

        Returns
        -------
        The row from which the next call goes on, and for each column a read-only numpy array: float64 for numbers,
        int64 microseconds for times, and for categories their codes (`code`), -1 where missing.

        Examples
        --------
        >>> from fxlive.wire.channels import CHANNELS
        >>> RollingTable(CHANNELS["market-data"]).values(None, "timestamp", "bid")
        (0, [array([], dtype=int64), array([], dtype=float64)])
        """
        with self._lock:
            first = self.first if start is None else min(max(start, self.first), self.stop)
            return self.stop, [self._fixed(name).values(first, self.stop) for name in columns]

    def code(self, column: str, value: str) -> int | None:
        """Return the code of a category in `values`; None where it has not come yet."""
        buffer = self._columns[column]
        assert isinstance(buffer, Codes), f"{column} has no categories"
        return buffer.vocabulary.code(value)

    def categories(self, column: str) -> Sequence[str]:
        """Return the categories of a column so far, in the order in which they came."""
        buffer = self._columns[column]
        assert isinstance(buffer, Codes), f"{column} has no categories"
        return buffer.vocabulary.names

    def label(self, column: str, value: int) -> str | None:
        """Return what a value in `values` stands for: the name of a category, or the number itself; None for none."""
        buffer = self._columns[column]
        if not isinstance(buffer, Codes):
            return str(value)
        return None if value < 0 else buffer.vocabulary.names[value]

    def columns_of(self, *kinds: Kind) -> list[str]:
        """Return the names of the columns of some kinds."""
        return [name for name, kind in self._kinds.items() if kind in kinds]

    def _fixed(self, name: str) -> Fixed:
        buffer = self._columns[name]
        assert isinstance(buffer, Fixed), f"{name} holds texts"
        return buffer

    def latest(self) -> pd.DataFrame:
        """Return each key's row with the newest `timestamp` (of equal ones the last), indexed and sorted by the key."""
        with self._lock:
            frame = self._current_keeper().iloc[self._latest.rows() - self._keeper_first]
            if self._latest.outlived:
                frame = pd.concat([self._outlived_frame(), frame])
        return index_by_key(frame, self.channel)

    def newest(self, key: Any, *columns: str) -> dict[str, Any] | None:
        """Return the values of a key's newest row, of some columns or of all; None where the key is not in `latest`."""
        with self._lock:
            row = self._row_of(key)
            if row is not None:
                return {name: self._columns[name].raw(row) for name in columns or self._columns}
            return self._latest.outlived.get(key)

    def _row_of(self, key: Any) -> int | None:
        """Return the row of the window that is a key's newest; None where there is none."""
        if self.channel.key:
            return self._latest.row_of(key)
        return key if self.first <= key < self.stop else None

    def newest_of(self, keys: Sequence[Any], *columns: str) -> dict[str, list[Any]]:
        """Return what `newest` says of many keys, by column; None where a key is not in `latest`."""
        with self._lock:
            rows = [self._row_of(key) for key in keys]
            values = {}
            for name in columns:
                raw = self._columns[name].raw
                values[name] = [
                    raw(row) if row is not None else self._latest.outlived.get(key, {}).get(name)
                    for row, key in zip(rows, keys, strict=True)
                ]
            return values

    def moves(self, since: LatestCursor | None, most: int) -> Moves:
        """Return what has moved in `latest`, at the cost of what has moved; `newest` gives the values.

        Of a channel without a key every row stands for itself: its keys are the numbers of the rows.

        Parameters
        ----------
        since
            The `mark` of the last call; None for everything. Also who has fallen far behind gets everything.
        most
            Only so many keys, those with the newest rows.

        Examples
        --------
        >>> from fxlive.wire.channels import CHANNELS
        >>> RollingTable(CHANNELS["positions"]).moves(None, 100).changed
        []
        """
        with self._lock:
            return self._latest.moves(since, most, self.first, self.stop)

    def kind(self, column: str) -> Kind:
        """Return what a column holds."""
        return self._kinds[column]

    def _outlived_frame(self) -> pd.DataFrame:
        kept = list(self._latest.outlived.values())
        columns = {}
        for name, column in self._columns.items():
            few = column.like()
            few.append([row.get(name) for row in kept], 0)
            few.settle()
            columns[name] = few.view(0, len(kept))
        return pd.DataFrame(columns).set_index("timestamp")

    def _current_keeper(self) -> pd.DataFrame:
        """Return a frame over all columns' buffers: the same one until a buffer, a dtype or a column is new."""
        for column in self._columns.values():
            column.settle()
        # A frame of the whole keeper would take over what Arrow was told of the rows to come (`Texts.view`): when the
        # last of them has come, there is a new keeper.
        full = self.stop == self._keeper_stop
        of = (full, len(self._symbols), *(c.generation for c in self._columns.values()), *self._vocabulary_sizes())
        if self._keeper is None or of != self._keeper_of or self.stop > self._keeper_stop:
            self._keeper_of = of
            self._keeper_first = max(column.base for column in self._columns.values())
            self._keeper_stop = min(column.base + column.capacity for column in self._columns.values())
            self._keeper = self._make_keeper(self._keeper_first, self._keeper_stop)
        return self._keeper

    def _vocabulary_sizes(self) -> list[int]:
        return [len(c.vocabulary) for c in self._columns.values() if isinstance(c, Codes)]

    def _make_keeper(self, first: int, stop: int) -> pd.DataFrame:
        arrays = {name: column.view(first, stop) for name, column in self._columns.items()}
        index = pd.DatetimeIndex(arrays.pop("timestamp"), name="timestamp", copy=False)
        keeper = pd.DataFrame(arrays, index=index, copy=False)
        self._copies = not share_columns(keeper)
        return keeper

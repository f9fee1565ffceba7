"""The rows in `latest`: the newest row of each key, also of open positions and orders beyond the rolling window."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from fxlive.tables.base_buffer import Buffer
from fxlive.tables.open_rows.kept_rows import KeptRows
from fxlive.wire.batch import Rows
from fxlive.wire.channels import Channel

MAX_ENDED = 10_000
"""The most ended keys whose end is remembered, so that a late row does not reopen them."""

MAX_REMOVED = 10_000
"""The most removed keys that `moves` can list. A reader further behind gets all keys."""

_LONG_AGO = int(np.iinfo(np.int64).min)


@dataclass(frozen=True)
class LatestCursor:
    """How far a reader has followed `latest`: the bounds of the window, and how many removals and confirmations."""

    first: int
    stop: int
    removals: int
    confirmations: int = 0


@dataclass(frozen=True)
class Moves:
    """The changes of `latest` since a cursor.

    `changed` lists the keys that were confirmed and those with a new row, in the order of the rows, and `gone` the keys
    that were removed. If `whole`, `changed` lists all keys, and the reader must drop any other. The next call continues
    from `cursor`.
    """

    cursor: LatestCursor
    changed: Sequence[Any]
    gone: Sequence[Any]
    whole: bool


class LatestRows:
    """The newest row of each key of a channel; of rows with equal timestamps the last.

    The row of an open position or working order is kept when it leaves the window, until it ends. A row older than the
    end of its key does not reopen it.

    After a gap, positions and orders are unconfirmed until a message about them arrives: they may have ended meanwhile.

    Parameters
    ----------
    channel
        Its key, and the values with which a key ends.
    columns
        The buffers of the table by column. The rows themselves are there; this class holds their numbers.
    """

    def __init__(self, channel: Channel, columns: Mapping[str, Buffer]) -> None:
        self._channel = channel
        self._columns = columns
        self._row: dict[Any, int] = {}  # the row of each key, in the order of the rows
        self.kept = KeptRows(columns)
        """The rows of keys that have not ended and whose row has left the window."""
        self._confirmed_from = 0  # the number of the first row after the last gap
        self._confirmed: dict[Any, None] = {}  # keys with an older row that were confirmed since, in that order
        self._confirmations = 0  # the number of confirmations so far
        self.changes = 0
        """Grows with each change that is not a new row: a removal, a confirmation, the begin of a gap."""
        self._ended_at: OrderedDict[Any, int] = OrderedDict()  # removed keys, and the timestamp of their end
        self._removed: deque[Any] = deque(maxlen=MAX_REMOVED)  # the keys removed last
        self._removals = 0  # the number of removals so far

    # Writing.

    def add(self, rows: Rows, start: int, newest_timestamp: int) -> None:
        """Add rows, which the columns hold from row `start` on, given the newest timestamp of the rows before them."""
        stamps, numbers = rows.timestamp, range(start, start + len(rows))
        in_order = stamps[0] >= newest_timestamp and (len(rows) == 1 or bool((stamps[1:] >= stamps[:-1]).all()))
        if in_order:
            newest = dict(zip(self._keys(rows), numbers, strict=True))
        else:  # some rows are late: the newest of each key counts, of equal timestamps the last
            keys = list(self._keys(rows))
            newest = {keys[i]: numbers[i] for i in np.argsort(stamps, kind="stable").tolist()}
            late = [key for key, row in newest.items() if stamps[row - start] < self._timestamp_of(key)]
            for key in late:
                del newest[key]
            self.confirm(late)
        if not in_order or len(newest) < len(rows):  # a repeated key is at the place of its first row
            newest = dict(sorted(newest.items(), key=itemgetter(1)))
        for key, row in newest.items():
            self._row.pop(key, None)
            self._row[key] = row
        if len(self.kept):
            for key in newest:
                self.kept.remove(key)
        if self._channel.leaves:
            for key, row in newest.items():
                if self._ended(row):
                    self._record_end(key, self._row.pop(key))
                    self._record_removal(key)

    def evict_before(self, first: int) -> None:
        """Remove the keys whose row is before row `first`; keep the values of those that have not ended."""
        kept: dict[Any, int] = {}
        while self._row:
            key = next(iter(self._row))
            row = self._row[key]
            if row >= first:
                break
            del self._row[key]
            if self._ended(row):
                if self._channel.ends is not None:
                    self._record_end(key, row)
                self._record_removal(key)
            else:
                kept[key] = row
        if kept:
            for key in self.kept.add(list(kept), np.fromiter(kept.values(), np.int64, len(kept))):
                self._record_removal(key)

    def remove(self, key: Any) -> None:
        """Remove a key that has ended without a row that says so."""
        self._row.pop(key, None)
        self.kept.remove(key)
        self._record_removal(key)

    def begin_gap(self, stop: int) -> None:
        """Mark all positions and orders as unconfirmed; `stop` is the number of the next row."""
        self._confirmed_from = stop
        self._confirmed.clear()
        self.changes += 1

    def confirm(self, keys: Iterable[Any]) -> list[Any]:
        """Confirm keys without a new row; return those that were not confirmed before."""
        if not self._confirmed_from:
            return []
        confirmed = [key for key in dict.fromkeys(keys) if self.is_confirmed(key) is False]
        self._confirmed.update(dict.fromkeys(confirmed))
        self._confirmations += len(confirmed)
        self.changes += len(confirmed)
        return confirmed

    def clear(self) -> None:
        """Remove all keys."""
        for keys in (self._row, self.kept, self._ended_at, self._confirmed):
            keys.clear()
        self._confirmed_from = 0
        self._removals += MAX_REMOVED + 1  # more than are remembered, so that every reader starts again

    def _timestamp_of(self, key: Any) -> int:
        """Return the timestamp of a key's newest row or of its end; the smallest integer for an unknown key."""
        row = self._row.get(key)
        if row is not None:
            return int(self._columns["timestamp"].raw(row))
        return int(self.kept.value(key, "timestamp")) if key in self.kept else self._ended_at.get(key, _LONG_AGO)

    def _record_end(self, key: Any, row: int) -> None:
        self._ended_at.pop(key, None)
        self._ended_at[key] = self._columns["timestamp"].raw(row)
        if len(self._ended_at) > MAX_ENDED:
            self._ended_at.popitem(last=False)

    def _record_removal(self, key: Any) -> None:
        self._confirmed.pop(key, None)
        self._removed.append(key)
        self._removals += 1
        self.changes += 1

    def _keys(self, rows: Rows) -> Any:
        if self._channel.single:
            return [None] * len(rows)
        keys = [rows.values[name] for name in self._channel.key]
        if len(keys) > 1:
            return zip(*keys, strict=True)
        return keys[0].tolist() if isinstance(keys[0], np.ndarray) else keys[0]

    def _ended(self, row: int) -> bool:
        if self._channel.ends is None:
            return True
        column, has_ended = self._channel.ends
        return has_ended(self._columns[column].raw(row))

    # Reading.

    def rows(self) -> npt.NDArray[np.int64]:
        """Return the newest row of each key that has one in the window, ascending."""
        return np.fromiter(self._row.values(), np.int64, len(self._row))

    def is_confirmed(self, key: Any) -> bool | None:
        """Return whether a key has ended or was confirmed since the last gap; None for an unknown key."""
        row = self._row.get(key)
        if row is None and key not in self.kept:
            return None
        if key in self._confirmed or not self._confirmed_from:
            return True
        if row is None:
            return self.kept.number(key) >= self._confirmed_from
        return row >= self._confirmed_from or self._ended(row)

    def confirmations(self) -> tuple[int, frozenset[Any]]:
        """Return the number of the first row after the last gap, and the keys with an older row confirmed since."""
        return self._confirmed_from, frozenset(self._confirmed)

    def unconfirmed_count(self) -> int:
        """Return the number of keys that are not confirmed. Costs only the rows before the last gap."""
        count = 0
        for key, row in self._row.items():
            if row >= self._confirmed_from:
                break
            count += key not in self._confirmed and not self._ended(row)
        if self._confirmed_from and len(self.kept):
            _, numbers = self.kept.rows()
            confirmed = sum(
                key in self.kept and self.kept.number(key) < self._confirmed_from for key in self._confirmed
            )
            count += int((numbers < self._confirmed_from).sum()) - confirmed
        return count

    def row_of(self, key: Any) -> int | None:
        """Return the row of a key; None if it has no row in the window."""
        return self._row.get(key)

    def moves(self, since: LatestCursor | None, most: int, first: int, stop: int) -> Moves:
        """Return the changes since a cursor, at most `most` changed keys; `first` and `stop` bound the window."""
        cursor = LatestCursor(first, stop, self._removals, self._confirmations)
        # If rows were added and evicted since the last call, values beyond the window may be unknown to the reader.
        if since is None or since.stop < first or cursor.removals - since.removals > len(self._removed):
            since, whole = LatestCursor(first, first, cursor.removals), True
        else:
            whole = False
        if not self._channel.key:
            return Moves(cursor, range(max(since.stop, stop - most), stop), range(since.first, first), whole)
        newest: list[Any] = []
        for key, row in reversed(self._row.items()):
            if row < since.stop or len(newest) == most:
                break
            newest.append(key)
        if whole:
            newest += islice(reversed(self.kept), most - len(newest))
        elif cursor.confirmations > since.confirmations and len(newest) < most:
            known = set(newest)
            confirmed = islice(reversed(self._confirmed), cursor.confirmations - since.confirmations)
            newest += islice((key for key in confirmed if key not in known), most - len(newest))
        removed = dict.fromkeys(islice(reversed(self._removed), cursor.removals - since.removals))
        gone = [key for key in removed if key not in self._row and key not in self.kept]
        return Moves(cursor, newest[::-1], gone, whole)

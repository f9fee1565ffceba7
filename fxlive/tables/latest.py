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
import pandas as pd

from fxlive.core.progress import CONFIRMATIONS, LONG_AGO, NEAR_US
from fxlive.tables.columns.base_buffer import Buffer
from fxlive.tables.open_rows.closings import short_key
from fxlive.tables.open_rows.kept_rows import KeptRows
from fxlive.wire.batch import Rows
from fxlive.wire.channels import Channel

MAX_ENDED = 10_000
"""The most ended keys whose end is remembered, so that a late row does not reopen them."""

MAX_REMOVED = 10_000
"""The most removed keys that `moves` can list. A reader further behind gets all keys."""

_LONGEST_REMOVED = 256  # characters; longer keys are not listed, because they would take too much memory
_CHUNK_ROWS = 65_536  # searched at a time for the older rows of keys


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

    A row later than the end of the channel's time (`Progress.end`) is an outlier. It gives way to any other row of its
    key, and replaces such a row only if the key's next rows are outliers, too, or when the end has reached it.

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
        self._ended_at: OrderedDict[Any, int] = OrderedDict()  # the timestamp of the end of removed keys, by short key
        self._waiting: dict[Any, tuple[int, int]] = {}  # outliers in a row of a key: how many, and the newest row
        self._end = LONG_AGO
        self._removed: deque[Any] = deque(maxlen=MAX_REMOVED)  # the keys removed last
        self._removals = 0  # the number of removals so far

    # Writing.

    def add(
        self,
        rows: Rows,
        start: int,
        outlier: npt.NDArray[np.bool_],
        former_end: int,
        end: int,
        *,
        revised_from: int | None = None,
    ) -> None:
        """Add rows, which the columns hold from row `start` on.

        Parameters
        ----------
        rows, start
            The rows, and the number of the first.
        outlier
            Which of them are outliers.
        former_end, end
            The end of the channel's time before and after these rows.
        revised_from
            The first row of the window, if rows that were trusted have become outliers or the other way round.
        """
        self._end = end
        stamps, numbers = rows.timestamp, range(start, start + len(rows))
        in_order = stamps[0] >= former_end and (len(rows) == 1 or bool((stamps[1:] >= stamps[:-1]).all()))
        in_order = in_order and revised_from is None and not self._waiting and not outlier.any()
        if in_order:
            newest = dict(zip(self._keys(rows), numbers, strict=True))
        else:  # some rows are late: the newest of each key counts, of equal timestamps the last
            chosen = {} if revised_from is None else self._revise(revised_from, start)
            keys = list(self._keys(rows))
            trusted = np.flatnonzero(~outlier)
            trusted = trusted[np.argsort(stamps[trusted], kind="stable")].tolist()
            newest = {keys[i]: numbers[i] for i in trusted}
            newest = {key: row for key, row in newest.items() if stamps[row - start] >= self._timestamp_of(key)}
            last = {keys[i]: i for i in sorted(trusted)} if self._waiting or len(trusted) < len(rows) else {}
            for key in self._waiting.keys() & last.keys():
                del self._waiting[key]
            if len(trusted) < len(rows):
                others = np.flatnonzero(outlier).tolist()
                newest |= self._outliers([(keys[i], numbers[i]) for i in others if i > last.get(keys[i], -1)], newest)
            newest = chosen | newest
            self.confirm(key for key in keys if key not in newest)
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
        if revised_from is not None:
            self._row = dict(sorted(self._row.items(), key=itemgetter(1)))
            self._removals += MAX_REMOVED + 1  # every reader starts again
            self.changes += 1

    def _outliers(self, rows: list[tuple[Any, int]], newest: Mapping[Any, int]) -> dict[Any, int]:
        """Return the newest rows of keys that have only outliers, or several of them in a row."""
        followed: dict[Any, int] = {}
        for key, row in rows:
            stamp = self._columns["timestamp"].raw(row)
            current = followed.get(key, self._row.get(key))
            only_outliers = key not in newest and self._timestamp_of(key) == LONG_AGO
            if only_outliers and (current is None or stamp >= self._columns["timestamp"].raw(current)):
                followed[key] = row
            elif not only_outliers:
                count, best = self._waiting.get(key, (0, row))
                best = row if stamp >= self._columns["timestamp"].raw(best) else best
                self._waiting[key] = (count + 1, best)
                if count + 1 >= CONFIRMATIONS:
                    followed[key] = best
        for key in followed:
            self._waiting.pop(key, None)
        return followed

    def _revise(self, first: int, stop: int) -> dict[Any, int]:
        """Choose the newest row of a key again if its row has become an outlier, or an outlier is trusted now."""
        stamp_of = self._columns["timestamp"].raw
        chosen: dict[Any, int] = {}
        for key, (_, row) in tuple(self._waiting.items()):
            if self._end - NEAR_US <= stamp_of(row) <= self._end:
                del self._waiting[key]
                if stamp_of(row) >= self._timestamp_of(key):
                    chosen[key] = row
        ahead = {key for key, row in self._row.items() if stamp_of(row) > self._end}
        for key, row in self._trusted_rows(ahead, first, stop).items():
            if key not in chosen or stamp_of(row) > stamp_of(chosen[key]):
                chosen[key] = row
        self._row |= chosen
        return chosen

    def _trusted_rows(self, keys: set[Any], first: int, stop: int) -> dict[Any, int]:
        """Return the newest row of each key, outliers aside, among the rows from `first` to before `stop`."""
        stamp_of = self._columns["timestamp"].raw
        names = () if self._channel.single else self._channel.key
        accepted = [list(keys)] if len(names) == 1 else list(map(list, zip(*keys, strict=True))) if names else []
        found: dict[Any, int] = {}
        oldest = LONG_AGO  # of those found, when all are
        for end in range(stop, first, -_CHUNK_ROWS) if keys else ():
            start = max(first, end - _CHUNK_ROWS)
            stamps = self._columns["timestamp"].view(start, end).asi8
            wanted = (stamps <= self._end) & (stamps > oldest)
            if not wanted.any():
                continue
            for name, values in zip(names, accepted, strict=True):
                self._columns[name].update_dtype()
                wanted &= pd.Series(self._columns[name].view(start, end), copy=False).isin(values).to_numpy(np.bool_)
            rows = np.flatnonzero(wanted)
            rows = rows[np.argsort(stamps[rows], kind="stable")]
            newest = pd.DataFrame({name: self._columns[name].view(start, end)[rows] for name in names}, start + rows)
            newest = newest.drop_duplicates(keep="last") if names else newest.iloc[-1:]
            for row in newest.index.tolist():
                key = self._key_at(row)
                if key in keys and (key not in found or stamp_of(row) > stamp_of(found[key])):
                    found[key] = row
            if len(found) == len(keys):
                oldest = min(map(stamp_of, found.values()))
        return found

    def _key_at(self, row: int) -> Any:
        if self._channel.single:
            return None
        values = tuple(self._columns[name].raw(row) for name in self._channel.key)
        return values if len(values) > 1 else values[0]

    def evict_before(self, first: int) -> None:
        """Remove the keys whose row is before row `first`; keep the values of those that have not ended."""
        if self._waiting:
            self._waiting = {key: waiting for key, waiting in self._waiting.items() if waiting[1] >= first}
        evicted: dict[Any, int] = {}  # collected first: `next(iter(...))` after each removal would be quadratic
        for key, row in self._row.items():
            if row >= first:
                break
            evicted[key] = row
        kept: dict[Any, int] = {}
        for key, row in evicted.items():
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
        self._waiting.pop(key, None)
        self.kept.remove(key)
        self._record_removal(key)

    def begin_gap(self, first: int, stop: int, until_us: int | None) -> None:
        """Mark positions and orders as unconfirmed, except those with a row received after `until_us`, if given.

        The window has the rows from `first` to before `stop`.
        """
        if until_us is not None:
            later = np.flatnonzero(self._columns["received_at"].view(first, stop).asi8 > until_us)
            stop = first + int(later[0]) if len(later) else stop
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
        for keys in (self._row, self._waiting, self.kept, self._ended_at, self._confirmed):
            keys.clear()
        self._confirmed_from = 0
        self._removals += MAX_REMOVED + 1  # more than are remembered, so that every reader starts again

    def _timestamp_of(self, key: Any) -> int:
        """Return the timestamp of a key's newest row or of its end; `LONG_AGO` if it is unknown or an outlier."""
        row = self._row.get(key)
        if row is not None:
            stamp = int(self._columns["timestamp"].raw(row))
        elif key in self.kept:
            stamp = int(self.kept.value(key, "timestamp"))
        else:
            stamp = self._ended_at.get(short_key(key), LONG_AGO)
        return LONG_AGO if stamp > self._end else stamp

    def _record_end(self, key: Any, row: int) -> None:
        short = short_key(key)
        self._ended_at.pop(short, None)
        self._ended_at[short] = self._columns["timestamp"].raw(row)
        if len(self._ended_at) > MAX_ENDED:
            self._ended_at.popitem(last=False)

    def _record_removal(self, key: Any) -> None:
        self._confirmed.pop(key, None)
        if isinstance(key, str) and len(key) > _LONGEST_REMOVED:
            self._removed.clear()  # every reader starts again
        else:
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

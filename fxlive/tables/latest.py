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

from fxlive.core.progress import CONFIRMATIONS, LONG_AGO
from fxlive.tables.columns.base_buffer import Buffer
from fxlive.tables.open_rows.closings import short_key
from fxlive.tables.open_rows.kept_rows import KeptRows
from fxlive.tables.outliers import ContradictedRows, OutlierRun, Revision, runs_of
from fxlive.wire.batch import Rows
from fxlive.wire.channels import Channel

MAX_ENDED = 10_000
"""The most ended keys whose end is remembered, so that a late row does not reopen them."""

MAX_REMOVED = 10_000
"""The most removed keys that `moves` can list. A reader further behind gets all keys."""

_LONGEST_REMOVED = 256  # characters; longer keys are not listed, because they would take too much memory


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

    An outlier (see `Progress`) gives way to any other row of its key. It replaces such a row only if the key's next
    rows are outliers, too, or if it is confirmed.

    The row of an open position or working order is kept when it leaves the window, until it ends. A row older than the
    end of its key does not reopen it.

    After a gap, positions and orders are unconfirmed until a message about them arrives: they may have ended meanwhile.

    Parameters
    ----------
    channel
        Its key, and the values with which a key ends.
    columns
        The buffers of the table by column. The rows themselves are there; this class holds their numbers.
    contradicted
        The rows of the window that are outliers for good.
    """

    def __init__(self, channel: Channel, columns: Mapping[str, Buffer], contradicted: ContradictedRows) -> None:
        self._channel = channel
        self._columns = columns
        self._contradicted = contradicted
        self._first = 0  # the first row of the window
        self._row: dict[Any, int] = {}  # the row of each key, in the order of the rows
        self.kept = KeptRows(columns)
        """The rows of keys that have not ended and whose row has left the window."""
        self._confirmed_from = 0  # the number of the first row after the last gap
        self._confirmed: dict[Any, None] = {}  # keys with an older row that were confirmed since, in that order
        self._confirmations = 0  # the number of confirmations so far
        self.changes = 0
        """Grows with each change that is not a new row: a removal, a confirmation, the begin of a gap."""
        # Of removed keys, by short key: the row with which they ended, and its timestamp.
        self._ended_at: OrderedDict[Any, tuple[int, int]] = OrderedDict()
        self._runs: dict[Any, OutlierRun] = {}  # of keys whose last rows are outliers
        self._spare_runs = 1_024  # more than these are searched for old ones
        self._removed: deque[Any] = deque(maxlen=MAX_REMOVED)  # the keys removed last
        self._removals = 0  # the number of removals so far

    # Writing.

    def add(
        self, rows: Rows, start: int, outlier: npt.NDArray[np.bool_], former_end: int, revision: Revision | None = None
    ) -> None:
        """Add rows, which the columns hold from row `start` on.

        Parameters
        ----------
        rows, start
            The rows, and the number of the first.
        outlier
            Which of them are outliers.
        former_end
            The end of the channel's time before these rows.
        revision
            The former rows that were trusted and have become outliers, or the other way round.
        """
        stamps, numbers = rows.timestamp, range(start, start + len(rows))
        in_order = stamps[0] >= former_end and (len(rows) == 1 or bool((stamps[1:] >= stamps[:-1]).all()))
        in_order = in_order and revision is None and not outlier.any()
        if in_order:
            newest = dict(zip(self._keys(rows), numbers, strict=True))
            in_order = not self._runs or self._runs.keys().isdisjoint(newest)
        if not in_order:  # some rows are late: the newest of each key counts, of equal timestamps the last
            chosen = {} if revision is None else self._revise(revision, start)
            keys = list(self._keys(rows))
            trusted = np.flatnonzero(~outlier)
            trusted = trusted[np.argsort(stamps[trusted], kind="stable")].tolist()
            newest = self._newest({keys[i]: numbers[i] for i in trusted})
            last = {keys[i]: i for i in sorted(trusted)} if self._runs or len(trusted) < len(rows) else {}
            for key in self._runs.keys() & last.keys():
                del self._runs[key]
            others = np.flatnonzero(outlier).tolist() if len(trusted) < len(rows) else []
            newest |= self._follow([(keys[i], numbers[i]) for i in others if i > last.get(keys[i], -1)], newest)
            self.confirm(key for key in keys if newest.get(key, -1) < start)
            newest = {key: row for key, row in chosen.items() if key in self._row} | newest
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
                    self._record_end(key, row, self._stamp(row))
                    del self._row[key]
                    self._record_removal(key)
        if revision is not None or (not in_order and newest and next(iter(newest.values())) < start):
            self._row = dict(sorted(self._row.items(), key=itemgetter(1)))
            self._restart_readers()

    def _newest(self, rows: Mapping[Any, int]) -> dict[Any, int]:
        """Return the rows that are the newest of their keys, given the newest trusted ones of a batch.

        A late row that ends a run of outliers gives way to the trusted row before that run.
        """
        newest: dict[Any, int] = {}
        for key, row in rows.items():
            former, former_at = self._trusted(key)
            run = self._run(key)
            if self._stamp(row) >= former_at:
                newest[key] = row
            elif run is not None and run.is_followed:
                if former is not None and former >= self._first:
                    newest[key] = former
                elif self._ended_at.get(short_key(key)) != (former, former_at):  # its row has left the window
                    newest[key] = row
                else:
                    self.remove(key)
        return newest

    def _follow(self, rows: list[tuple[Any, int]], newest: Mapping[Any, int]) -> dict[Any, int]:
        """Return the newest rows of keys that have only outliers, or several of them in a row; `rows` are outliers."""
        followed: dict[Any, int] = {}
        for key, row in rows:
            at, run = self._stamp(row), self._run(key)
            if run is None:
                trusted, trusted_at = (newest[key], self._stamp(newest[key])) if key in newest else self._trusted(key)
                run = self._runs[key] = OutlierRun(0, row, at, trusted, trusted_at, trusted is None)
            run.count += 1
            if at >= run.best_at:
                run.best, run.best_at = row, at
            if run.best == row and run.is_followed:
                followed[key] = row
            elif run.count >= CONFIRMATIONS and not run.is_followed:
                run.is_followed = True
                followed[key] = run.best
        return followed

    def _run(self, key: Any) -> OutlierRun | None:
        """Return the outliers at the end of a key's rows; None without any, or if they have left with the window."""
        run = self._runs.get(key)
        return None if run is None or self._is_gone(key, run) else run

    def _is_gone(self, key: Any, run: OutlierRun) -> bool:
        return run.best < self._first and not (run.is_followed and (key in self._row or key in self.kept))

    def _revise(self, revision: Revision, stop: int) -> dict[Any, int]:
        """Choose the newest row again of each key of which a former row is trusted now, or has become an outlier.

        Return the rows that are in the window, which ends before row `stop`.
        """
        changed, end, first = revision.changed, revision.end, self._first
        kept = set(self.kept.later_than(end))
        kept.update(key for key in self._runs if key in self.kept and self.kept.number(key) in changed)
        for short in [short for short, (row, at) in self._ended_at.items() if at > end and row < first]:
            del self._ended_at[short]
        runs = runs_of(changed[changed >= first], kept, self._channel, self._columns, self._contradicted, first, stop)
        chosen: dict[Any, int] = {}
        for key, run in runs.items():
            if key in self.kept:
                self._add_kept(key, run, changed, end)
            elif (ended := self._ended_at.get(short_key(key))) is not None:
                if ended[0] >= first:
                    del self._ended_at[short_key(key)]
                elif ended[1] > run.trusted_at:
                    run.trusted, run.trusted_at = ended
            run.is_followed = run.count >= CONFIRMATIONS or run.trusted is None
            self._runs.pop(key, None)
            if run.count:
                self._runs[key] = run
            row = run.best if run.is_followed or run.trusted is None else run.trusted
            if row >= first:
                self._row[key] = chosen[key] = row
            else:
                self._row.pop(key, None)
        return chosen

    def _add_kept(self, key: Any, run: OutlierRun, changed: npt.NDArray[np.int64], end: int) -> None:
        """Add the kept row of a key to the run of its rows in the window."""
        row, at, former = self.kept.number(key), self.kept.value(key, "timestamp"), self._run(key)
        was_outlier = former is not None and former.best == row and row not in changed
        if at <= end and not was_outlier:
            if at > run.trusted_at:
                run.trusted, run.trusted_at = row, at
        elif run.trusted is None:
            run.count += former.count if former is not None and was_outlier else 1
            if at > run.best_at:
                run.best, run.best_at = row, at

    def evict_before(self, first: int) -> None:
        """Remove the keys whose row is before row `first`; keep the values of those that have not ended."""
        self._first = first
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
                    self._record_end(key, row, self._stamp(row))
                self._record_removal(key)
            else:
                kept[key] = row
        if kept:
            for key in self.kept.add(list(kept), np.fromiter(kept.values(), np.int64, len(kept))):
                self._record_removal(key)
        if len(self._runs) > self._spare_runs:
            self._runs = {key: run for key, run in self._runs.items() if not self._is_gone(key, run)}
            self._spare_runs = 1_024 + 2 * len(self._runs)

    def remove(self, key: Any) -> None:
        """Remove a key that has ended without a row that says so. Only a newer row brings it back."""
        row, at = self._trusted(key)
        if row is not None:
            self._record_end(key, row, at)
        self._row.pop(key, None)
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
        for keys in (self._row, self._runs, self.kept, self._ended_at, self._confirmed):
            keys.clear()
        self._confirmed_from = 0
        self._restart_readers()

    def _restart_readers(self) -> None:
        self._removals += MAX_REMOVED + 1  # more than are remembered
        self.changes += 1

    def _stamp(self, row: int) -> int:
        return int(self._columns["timestamp"].raw(row))

    def _trusted(self, key: Any) -> tuple[int | None, int]:
        """Return the newest row of a key that is not an outlier, and its timestamp; None, `LONG_AGO` if unknown."""
        run, row = self._run(key), self._row.get(key)
        if run is not None and run.is_followed:
            return run.trusted, run.trusted_at
        if row is not None:
            return row, self._stamp(row)
        if key in self.kept:
            return self.kept.number(key), int(self.kept.value(key, "timestamp"))
        return self._ended_at.get(short_key(key), (None, LONG_AGO))

    def _record_end(self, key: Any, row: int, at: int) -> None:
        run = self._run(key)
        if run is not None and run.is_followed and run.best == row:
            return  # an outlier does not end a key for good
        short = short_key(key)
        self._ended_at.pop(short, None)
        self._ended_at[short] = row, at
        if len(self._ended_at) > MAX_ENDED:
            self._ended_at.popitem(last=False)

    def _record_removal(self, key: Any) -> None:
        self._confirmed.pop(key, None)
        texts = key if isinstance(key, tuple) else (key,)
        if sum(len(text) for text in texts if isinstance(text, str)) > _LONGEST_REMOVED:
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

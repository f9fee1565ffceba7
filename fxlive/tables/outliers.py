"""The outliers of a table: rows whose timestamps others have contradicted, and keys whose last rows are such rows."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fxlive.core.progress import LONG_AGO, Progress
from fxlive.tables.columns.base_buffer import Buffer
from fxlive.wire.channels import Channel

Numbers = npt.NDArray[np.int64]

_CHUNK_ROWS = 65_536  # searched at a time for the rows of keys


class ContradictedRows:
    """The numbers of the rows in the window that are outliers for good, ascending.

    Others, later than the end of the channel's time, may still be confirmed (`Progress.pending`).
    """

    def __init__(self) -> None:
        self._rows = array("q")

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, row: int | None) -> bool:
        if row is None or not self._rows:
            return False
        index = bisect_left(self._rows, row)
        return index < len(self._rows) and self._rows[index] == row

    def follow(
        self,
        progress: Progress,
        outlier: npt.NDArray[np.bool_],
        former_count: int,
        stamps: Buffer,
        first: int,
        start: int,
    ) -> Numbers:
        """Add the rows that the messages of a batch have contradicted; return those before it that were trusted.

        Parameters
        ----------
        progress
            It has followed the batch. Its `contradicted` and `corrections` are cleared.
        outlier
            Which rows of the batch are outliers.
        former_count
            The number of messages before the batch.
        stamps
            The timestamps of the rows.
        first, start
            The first row of the window, and the first of the batch.
        """
        if not progress.contradicted and not progress.corrections:
            return np.empty(0, np.int64)
        numbers = np.array(progress.contradicted, np.int64) + (start - former_count)
        corrected = np.empty(0, np.int64)
        if progress.corrections:
            end = min(end for _, end in progress.corrections)
            later = (stamps.view(first, start).asi8 > end) & ~self.mask(first, start)
            corrected = np.setdiff1d(first + np.flatnonzero(later), numbers)
            is_new = outlier.copy()
            is_new[[number - former_count for number in progress.pending if number >= former_count]] = False
            numbers = np.concatenate((numbers, corrected, start + np.flatnonzero(is_new)))
        self._add(np.unique(numbers))
        progress.contradicted.clear()
        progress.corrections.clear()
        return corrected

    def _add(self, rows: Numbers) -> None:
        if len(rows) and len(self._rows) and rows[0] <= self._rows[-1]:  # a correction found older rows
            rows = np.union1d(np.array(self._rows, np.int64), rows)
            self.clear()
        self._rows.frombytes(np.ascontiguousarray(rows, np.int64).tobytes())

    def evict_before(self, first: int) -> None:
        """Remove the rows before row `first`, at the latest when they are half of all."""
        count = bisect_left(self._rows, first) if self._rows else 0
        if count * 2 > len(self._rows):
            del self._rows[:count]

    def clear(self) -> None:
        """Remove all rows."""
        del self._rows[:]

    def mask(self, start: int, stop: int) -> npt.NDArray[np.bool_]:
        """Return whether each of the rows from `start` to before `stop` is contradicted."""
        mask = np.zeros(max(0, stop - start), np.bool_)
        if self._rows:
            rows = self._rows[bisect_left(self._rows, start) : bisect_left(self._rows, stop)]
            mask[np.array(rows, np.int64) - start] = True
        return mask


@dataclass(frozen=True)
class Revision:
    """Rows of former batches of which some were trusted and have become outliers, or the other way round.

    `changed` has their numbers, and `end` is the end of the channel's time since.
    """

    changed: Numbers
    end: int


@dataclass(slots=True)
class OutlierRun:
    """The outliers at the end of a key's rows.

    There are `count` of them, and `best` is the newest. The key's newest trusted row is `trusted`, with the timestamp
    `trusted_at`; None and `LONG_AGO` if all rows are outliers. With `is_followed`, `latest` shows the row `best`.
    """

    count: int
    best: int
    best_at: int
    trusted: int | None
    trusted_at: int
    is_followed: bool


def first_since(
    first: int, stop: int, stamps: Buffer, progress: Progress, window_us: int, contradicted: ContradictedRows
) -> int:
    """Return the number of the first row, from `first` to before `stop`, that is in the last `window_us` of the time.

    Outliers leave the window with the row before which they arrived.
    """
    end, cutoff = progress.end, progress.settled - window_us
    if first < stop and cutoff <= stamps.raw(first) <= end and not (contradicted and first in contradicted):
        return first
    for start in range(first, stop, 1024):
        chunk_stop = min(start + 1024, stop)
        chunk = stamps.view(start, chunk_stop).asi8
        trusted = (chunk <= end) & ~contradicted.mask(start, chunk_stop)
        in_window = trusted & (chunk >= cutoff)
        before = np.flatnonzero(trusted[: in_window.argmax()] if in_window.any() else trusted)
        if len(before):
            first = start + int(before[-1]) + 1
        if in_window.any():
            break
    return first


def runs_of(
    rows: Numbers,
    keys: Iterable[Any],
    channel: Channel,
    columns: Mapping[str, Buffer],
    contradicted: ContradictedRows,
    first: int,
    stop: int,
) -> dict[Any, OutlierRun]:
    """Return the newest trusted row and the last outliers of keys, among the rows from `first` to before `stop`.

    The keys are those of `rows` and `keys`. A key without outliers after its last trusted row has the `count` 0, and a
    `best` before the window.
    """
    names = () if channel.single else channel.key
    for name in names:
        columns[name].update_dtype()
    found = {key: OutlierRun(0, first - 1, LONG_AGO, None, LONG_AGO, False) for key in keys}
    _, one_each = np.unique(_codes(rows, names, columns, first, stop), return_index=True)
    for key in _keys(rows[one_each], names, columns, first, stop):
        found.setdefault(key, OutlierRun(0, first - 1, LONG_AGO, None, LONG_AGO, False))
    if not found:
        return found
    accepted = [list(found)] if len(names) == 1 else list(map(list, zip(*found, strict=True))) if names else []
    parts = [np.empty(0, np.int64)]
    for start in range(first, stop, _CHUNK_ROWS):
        chunk_stop = min(start + _CHUNK_ROWS, stop)
        wanted = np.ones(chunk_stop - start, np.bool_)
        for name, values in zip(names, accepted, strict=True):
            wanted &= pd.Series(columns[name].view(start, chunk_stop), copy=False).isin(values).to_numpy(np.bool_)
        parts.append(start + np.flatnonzero(wanted))
    rows = np.concatenate(parts)
    stamps, outlier = (
        columns["timestamp"].view(first, stop).asi8[rows - first],
        contradicted.mask(first, stop)[rows - first],
    )
    codes = _codes(rows, names, columns, first, stop)
    last_trusted = np.full(codes.max(initial=-1) + 1, -1)
    last_trusted[codes[~outlier]] = np.flatnonzero(~outlier)  # of several, the last stays
    since = outlier & (np.arange(len(rows)) > last_trusted[codes])
    order = np.argsort(stamps, kind="stable")
    trusted, best = np.full(len(last_trusted), -1), np.full(len(last_trusted), -1)
    trusted[codes[order[~outlier[order]]]] = order[~outlier[order]]
    best[codes[order[since[order]]]] = order[since[order]]
    counts = np.bincount(codes[since], minlength=len(best)).tolist()
    some = rows[np.where(best >= 0, best, trusted)]
    for key, count, last, good in zip(
        _keys(some, names, columns, first, stop), counts, best.tolist(), trusted.tolist(), strict=True
    ):
        run = found.get(key)
        if run is None:  # a combination of other keys' values
            continue
        if count:
            run.count, run.best, run.best_at = count, int(rows[last]), int(stamps[last])
        if good >= 0:
            run.trusted, run.trusted_at = int(rows[good]), int(stamps[good])
    return found


def _codes(rows: Numbers, names: Sequence[str], columns: Mapping[str, Buffer], first: int, stop: int) -> Numbers:
    """Return a number for each row, equal for equal keys."""
    if not names:
        return np.zeros(len(rows), np.int64)
    values = pd.DataFrame({name: columns[name].view(first, stop)[rows - first] for name in names})
    groups = values.groupby(list(names), observed=True, sort=False, dropna=False)
    return np.asarray(groups.ngroup(), np.int64)


def _keys(rows: Numbers, names: Sequence[str], columns: Mapping[str, Buffer], first: int, stop: int) -> Iterator[Any]:
    """Yield the keys of rows."""
    if not names:
        yield from [None] * len(rows)
    elif len(names) == 1:
        yield from (columns[names[0]].raw(row) for row in rows.tolist())
    else:
        yield from (tuple(columns[name].raw(row) for name in names) for row in rows.tolist())

"""LatestRows: which row of a channel is each key's newest, what of it has outlived the window, and what has ended."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from fxlive.tables.buffers import Buffer
from fxlive.wire.batch import Rows
from fxlive.wire.channels import Channel

MAX_ENDED = 10_000
MAX_DEPARTED = 10_000
_LONG_AGO = int(np.iinfo(np.int64).min)


@dataclass(frozen=True)
class LatestCursor:
    """How far somebody has followed what is in `latest`."""

    first: int
    stop: int
    departures: int


@dataclass(frozen=True)
class Moves:
    """What has moved in `latest` since a mark.

    `changed` are the keys with a new row, in the order of the rows; `gone` those that are in it no more. Where `whole`,
    `changed` are all that there are, and who has others is to drop them. The next call goes on from `mark`.
    """

    cursor: LatestCursor
    changed: Sequence[Any]
    gone: Sequence[Any]
    whole: bool


class LatestRows:
    """The newest row of each key of a channel: of equal timestamps the last.

    A key whose row has left the window stays, with its values, until it ends. One that has ended does not come back
    with a row that is older than its end.

    Parameters
    ----------
    channel
        What the key is, and when one ends.
    columns
        The buffers of the table, by name; they hold the rows that this room only numbers.
    """

    def __init__(self, channel: Channel, columns: Mapping[str, Buffer]) -> None:
        self._channel = channel
        self._columns = columns
        self._row: dict[Any, int] = {}  # of each key, in the order of the rows
        self.outlived: dict[Any, dict[str, Any]] = {}
        """The values of keys whose row has left the window, but that have not ended."""
        self._ended_at: OrderedDict[Any, int] = OrderedDict()  # keys that ended and left, so that none comes back late
        self._departed: deque[Any] = deque(maxlen=MAX_DEPARTED)  # the keys that left `latest` last
        self._departures = 0  # how many ever did

    # In.

    def add(self, rows: Rows, start: int, former: int) -> None:
        """Take up rows that the columns hold from row `start` on; the newest timestamp before them is `former`."""
        stamps, numbers = rows.timestamp, range(start, start + len(rows))
        in_order = stamps[0] >= former and (len(rows) == 1 or bool((stamps[1:] >= stamps[:-1]).all()))
        if in_order:
            newest = dict(zip(self._keys(rows), numbers, strict=True))
        else:  # some came late: of each key the youngest counts, of equally old ones the last
            keys = list(self._keys(rows))
            newest = {keys[place]: numbers[place] for place in np.argsort(stamps, kind="stable").tolist()}
            newest = {key: row for key, row in newest.items() if stamps[row - start] >= self._stamp_of(key)}
        if not in_order or len(newest) < len(rows):  # a key that came twice stands where it came first
            newest = dict(sorted(newest.items(), key=itemgetter(1)))
        for key, row in newest.items():
            self._row.pop(key, None)
            self._row[key] = row
        if self.outlived:
            for key in newest.keys() & self.outlived.keys():
                del self.outlived[key]
        if self._channel.leaves:
            for key, row in newest.items():
                if self._ended(row):
                    self._note_end(key, self._row.pop(key))
                    self._note_departure(key)

    def drop_before(self, first: int) -> None:
        """Let the rows before one go: what has not ended outlives them."""
        while self._row:
            key = next(iter(self._row))
            row = self._row[key]
            if row >= first:
                break
            del self._row[key]
            if self._ended(row):
                if self._channel.ends is not None:
                    self._note_end(key, row)
                self._note_departure(key)
            else:
                self.outlived[key] = {name: column.raw(row) for name, column in self._columns.items()}

    def forget(self, key: Any) -> None:
        """Take a key out: what it stood for has ended."""
        self._row.pop(key, None)
        self.outlived.pop(key, None)
        self._note_departure(key)

    def clear(self) -> None:
        """Forget all keys."""
        for known in (self._row, self.outlived, self._ended_at):
            known.clear()
        self._departures += MAX_DEPARTED + 1  # more than are remembered: who follows gets everything anew

    def _stamp_of(self, key: Any) -> int:
        """Return the timestamp of what is known of a key; long ago where nothing is."""
        row = self._row.get(key)
        if row is not None:
            return int(self._columns["timestamp"].raw(row))
        outlived = self.outlived.get(key)
        return self._ended_at.get(key, _LONG_AGO) if outlived is None else int(outlived["timestamp"])

    def _note_end(self, key: Any, row: int) -> None:
        self._ended_at.pop(key, None)
        self._ended_at[key] = self._columns["timestamp"].raw(row)
        if len(self._ended_at) > MAX_ENDED:
            self._ended_at.popitem(last=False)

    def _note_departure(self, key: Any) -> None:
        self._departed.append(key)
        self._departures += 1

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
        column, ends = self._channel.ends
        value = self._columns[column].raw(row)
        return (value.upper() if isinstance(value, str) else value) in ends

    # Out.

    def rows(self) -> npt.NDArray[np.int64]:
        """Return the newest row of each key that has one in the window, ascending."""
        return np.fromiter(self._row.values(), np.int64, len(self._row))

    def row_of(self, key: Any) -> int | None:
        """Return the row of a key; None where it has none in the window."""
        return self._row.get(key)

    def moves(self, since: LatestCursor | None, most: int, first: int, stop: int) -> Moves:
        """Return what has moved since a mark, at most so many keys, where the window is from row `first` to `stop`."""
        here = LatestCursor(first, stop, self._departures)
        # A row that came and left between two calls may have outlived the window with values that were never told.
        if since is None or since.stop < first or here.departures - since.departures > len(self._departed):
            since, whole = LatestCursor(first, first, here.departures), True
        else:
            whole = False
        if not self._channel.key:
            return Moves(here, range(max(since.stop, stop - most), stop), range(since.first, first), whole)
        newest: list[Any] = []
        for key, row in reversed(self._row.items()):
            if row < since.stop or len(newest) == most:
                break
            newest.append(key)
        if whole:
            newest += islice(reversed(self.outlived), most - len(newest))
        left = dict.fromkeys(islice(reversed(self._departed), here.departures - since.departures))
        gone = [key for key in left if key not in self._row and key not in self.outlived]
        return Moves(here, newest[::-1], gone, whole)

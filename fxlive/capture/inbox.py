"""What waits to be written: a queue that takes rows at next to no cost, and never holds more than its bounds.

Rows count from the moment they are put in until they are on disk, so the bounds hold for the recorder as a whole. Rows
that find no room are dropped and counted; what has been dropped since somebody asked is a `Hole`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from fxlive.core.timestamps import Micros
from fxlive.wire.batch import Rows
from fxlive.wire.channels import Channel
from fxlive.wire.messages import Kind
from fxlive.wire.packing import PackedCodes, PackedTexts

MANY_ROWS = 250_000
MANY_BYTES = 64 * 2**20
_VALUE_BYTES = 24  # of a value in a numpy array, or a reference and its share of an object
_TEXT_BYTES = 50  # of a Python text besides its characters


@dataclass(slots=True)
class Chunk:
    """Rows without the messages that they were read from, which would cost three times the memory."""

    channel: Channel
    timestamp: Micros
    received_at: Micros
    arrival: Micros
    values: Mapping[str, Any]
    extras: dict[int, dict[str, Any]]
    size_bytes: int

    def __len__(self) -> int:
        return len(self.timestamp)

    def part(self, start: int, stop: int) -> Chunk:
        """Return some of the rows."""
        return Chunk(
            self.channel,
            self.timestamp[start:stop],
            self.received_at[start:stop],
            self.arrival[start:stop],
            {name: values[start:stop] for name, values in self.values.items()},
            {place - start: self.extras[place] for place in self.extras if start <= place < stop},
            self.size_bytes * (stop - start) // max(len(self), 1),
        )


def chunk(rows: Rows) -> Chunk:
    """Return rows as they wait in the queue, with about how many bytes they take."""
    channel, count = rows.channel, len(rows.timestamp)
    values = {**rows.values, **rows.packed} if rows.packed else rows.values
    size = count * _VALUE_BYTES * (3 + len(channel.columns))
    for name, kind in _objects(channel):
        size += _size(values[name], kind, count)
    if rows.extras:
        size += sum(map(_weight, rows.extras.values()))
    return Chunk(channel, rows.timestamp, rows.received_at, rows.arrival, values, rows.extras, size)


def _size(values: Any, kind: Kind, count: int) -> int:
    if isinstance(values, PackedTexts | PackedCodes):
        return values.nbytes
    if kind is Kind.LIST:
        return _TEXT_BYTES * count + _weight(values)
    try:
        return _TEXT_BYTES * count + sum(map(len, values))
    except TypeError:  # some are missing
        return _TEXT_BYTES * count + sum(map(len, filter(None, values)))


@lru_cache(64)  # each batch has a new object for a channel that the reference does not name
def _objects(channel: Channel) -> list[tuple[str, Kind]]:
    return [(column.name, column.kind) for column in channel.columns if column.kind in _OBJECTS]


_OBJECTS = {Kind.SYMBOL, Kind.CODE, Kind.TEXT, Kind.LIST}


def _weight(value: Any) -> int:
    if isinstance(value, str):
        return _TEXT_BYTES + len(value)
    if isinstance(value, dict):
        return 2 * _TEXT_BYTES + sum(_weight(name) + _weight(inner) for name, inner in value.items())
    if isinstance(value, list | tuple):
        return _TEXT_BYTES + sum(map(_weight, value))
    return _VALUE_BYTES


@dataclass
class Hole:
    """What was dropped: between which receipts (microseconds), of which channels, and how many rows."""

    start: int
    end: int
    rows: int = 0
    channels: set[str] = field(default_factory=set)


class Inbox:
    """The bounded queue.

    Parameters
    ----------
    max_rows, max_bytes
        How much may wait, the bytes being an estimate of what the rows take in memory.
    on_many
        Called when many rows have come since the last `take`: as Arrow columns they take a third of the memory.
    """

    def __init__(self, max_rows: int, max_bytes: int, on_many: Callable[[], None] = lambda: None) -> None:
        self.dropped = 0
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._on_many = on_many
        self._lock = threading.Lock()
        self._chunks: list[Chunk] = []
        self._rows = self._bytes = self._fresh_rows = self._fresh_bytes = 0
        self._hole: Hole | None = None

    @property
    def waiting_rows(self) -> int:
        """How many rows are not on disk yet."""
        return self._rows

    def put(self, chunk: Chunk, *, reserve: int = 0) -> bool:
        """Add rows, and return whether there was room; a `reserve` of rows and kilobytes is open to what matters most.

        Never blocks: the lock is only ever held for a few assignments.
        """
        count = len(chunk)
        with self._lock:
            rows, size = self._rows + count, self._bytes + chunk.size_bytes
            if rows > self._max_rows + reserve or size > self._max_bytes + reserve * 1024:
                self._drop(chunk, count)
                return False
            self._rows, self._bytes = rows, size
            self._fresh_rows += count
            self._fresh_bytes += chunk.size_bytes
            self._chunks.append(chunk)
            many = self._fresh_rows > MANY_ROWS or self._fresh_bytes > MANY_BYTES
        if many:
            self._on_many()
        return True

    def _drop(self, chunk: Chunk, count: int) -> None:
        first, last = int(chunk.received_at[0]), int(chunk.received_at[-1])
        if self._hole is None:
            self._hole = Hole(first, last)
        self._hole.end = max(self._hole.end, last)
        self._hole.rows += count
        self._hole.channels.add(chunk.channel.name)
        self.dropped += count

    def take(self) -> list[Chunk]:
        """Return what has come since the last call; it counts as waiting until it is `written`."""
        with self._lock:
            chunks, self._chunks = self._chunks, []
            self._fresh_rows = self._fresh_bytes = 0
        return chunks

    def take_hole(self) -> Hole | None:
        """Return what has been dropped since the last call."""
        with self._lock:
            hole, self._hole = self._hole, None
        return hole

    def written(self, rows: int, size_bytes: int) -> None:
        """Make room: so much is on disk."""
        with self._lock:
            self._rows -= rows
            self._bytes -= size_bytes

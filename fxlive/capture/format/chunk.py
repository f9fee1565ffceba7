"""Chunk: rows on their way to a file, without the messages they were decoded from; Hole: rows that were dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from fxlive.core.timestamps import Micros
from fxlive.wire.batch import Rows
from fxlive.wire.channels import Channel
from fxlive.wire.messages import Kind
from fxlive.wire.packing import PackedCodes, PackedTexts

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

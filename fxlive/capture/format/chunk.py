"""Rows on their way to a file."""

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
from fxlive.wire.undocumented.extras import Extras

_VALUE_BYTES = 24  # estimate for a value in a numpy array, or a reference and its share of an object
_REFERENCE_BYTES = 8
_NUMBER_BYTES = 40  # a float object, a reference to it, and its value in an array
_TEXT_BYTES = 50  # the size of a Python string besides its characters


@dataclass(slots=True)
class Chunk:
    """Columns of some rows of a channel, without the decoded messages, which would take three times the memory.

    Attributes
    ----------
    channel
        The channel of all rows.
    timestamp, received_at, arrival
        One int64 per row: microseconds since 1970 UTC, and the number of the message among those of all channels.
    values
        The values of each of the channel's columns.
    extras
        The undocumented fields of the rows that have some, by row index.
    size_bytes
        An estimate of the memory that the rows take.
    """

    channel: Channel
    timestamp: Micros
    received_at: Micros
    arrival: Micros
    values: Mapping[str, Any]
    extras: Extras
    size_bytes: int

    def __len__(self) -> int:
        return len(self.timestamp)

    def slice(self, start: int, stop: int) -> Chunk:
        """Return the rows from index `start` up to `stop`."""
        return Chunk(
            self.channel,
            self.timestamp[start:stop],
            self.received_at[start:stop],
            self.arrival[start:stop],
            {name: values[start:stop] for name, values in self.values.items()},
            self.extras.take(range(start, stop)),
            self.size_bytes * (stop - start) // max(len(self), 1),
        )


def to_chunk(rows: Rows) -> Chunk:
    """Return the columns of decoded rows, with an estimate of their size."""
    channel, count = rows.channel, len(rows.timestamp)
    values = {**rows.values, **rows.packed} if rows.packed else rows.values
    size = count * _VALUE_BYTES * (3 + len(channel.columns))
    for name, kind in _object_columns(channel):
        size += _column_size(values[name], kind, count)
    if rows.extras:
        size += _extras_size(rows.extras)
    return Chunk(channel, rows.timestamp, rows.received_at, rows.arrival, values, rows.extras, size)


def _extras_size(extras: Extras) -> int:
    size = sum(map(_json_size, extras.others.values()))
    if extras.block is not None:
        rows, numbers, others = len(extras.block.rows), len(extras.block.number_fields), extras.block.other_fields
        size += rows * (_TEXT_BYTES + _NUMBER_BYTES * numbers + _REFERENCE_BYTES * len(others))
        size += sum(_json_size(row[field]) for row in extras.block.values for field in others)
    return size


_OBJECT_KINDS = {Kind.SYMBOL, Kind.CODE, Kind.TEXT, Kind.LIST}


@lru_cache(64)  # bounded: each batch has its own Channel object for an undocumented channel
def _object_columns(channel: Channel) -> list[tuple[str, Kind]]:
    return [(column.name, column.kind) for column in channel.columns if column.kind in _OBJECT_KINDS]


def _column_size(values: Any, kind: Kind, count: int) -> int:
    if isinstance(values, PackedTexts | PackedCodes):
        return values.nbytes
    if kind is Kind.LIST:
        return _TEXT_BYTES * count + _json_size(values)
    try:
        return _TEXT_BYTES * count + sum(map(len, values))
    except TypeError:  # some values are None
        return _TEXT_BYTES * count + sum(map(len, filter(None, values)))


def _json_size(value: Any) -> int:
    if isinstance(value, str):
        return _TEXT_BYTES + len(value)
    if isinstance(value, dict):
        return 2 * _TEXT_BYTES + sum(_json_size(name) + _json_size(inner) for name, inner in value.items())
    if isinstance(value, list | tuple):
        return _TEXT_BYTES + sum(map(_json_size, value))
    return _VALUE_BYTES


@dataclass
class DroppedRows:
    """Rows that did not fit into the recorder's queue.

    Attributes
    ----------
    start, end
        The receipt (microseconds) of the first and of the last of them.
    rows
        The number of rows.
    channels
        The names of their channels.
    """

    start: int
    end: int
    rows: int = 0
    channels: set[str] = field(default_factory=set)

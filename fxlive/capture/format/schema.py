"""The columns of a capture's files. Each channel has one fixed schema, whatever undocumented fields arrive.

A file has the columns `timestamp`, `received_at` and those of the channel. Then come `arrival`, the number of the
message among those of all channels, which gives a replay its order, and `extra`, the undocumented fields as JSON.
Missing values are null in number columns, too: NaN would turn every sum in SQL into NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from fxlive.capture.format.chunk import Chunk
from fxlive.capture.format.layout import OWN_CHANNELS
from fxlive.wire.channels import Channel, Column
from fxlive.wire.messages import Kind
from fxlive.wire.packing import PackedCodes, PackedTexts

FORMAT_VERSION = 1
DAY_US = 86_400_000_000
_MAX_UNUSED_NAMES = 4096  # if a vocabulary is larger, a part contains only the names that its rows use

TIME = pa.timestamp("us", "UTC")
CODES = pa.dictionary(pa.int32(), pa.string())
TYPES: dict[Kind, Any] = {
    Kind.NUMBER: pa.float64(),
    Kind.KEY_INTEGER: pa.int64(),
    Kind.INTEGER: pa.int64(),
    Kind.FLAG: pa.bool_(),
    Kind.TIME: TIME,
    Kind.SYMBOL: CODES,
    Kind.CODE: CODES,
    Kind.TEXT: pa.string(),
    Kind.LIST: pa.list_(pa.string()),
}

_DICTIONARY_ENCODED_TEXTS = frozenset({"entity_id"})
"""Columns of text that format version 1 writes as dictionaries."""


def _file_type(column: Column) -> Any:
    return CODES if column.name in _DICTIONARY_ENCODED_TEXTS else TYPES[column.kind]


@lru_cache(512)
def schema(channel: Channel) -> Any:
    """Return the Arrow schema of a channel's files. Its metadata names the channel and the format version."""
    fields = [pa.field("timestamp", TIME), pa.field("received_at", TIME)]
    fields += [pa.field(column.name, _file_type(column)) for column in channel.columns]
    if channel not in OWN_CHANNELS:
        fields += [pa.field("arrival", pa.int64()), pa.field("extra", pa.string())]
    metadata = {"fxlive.channel": channel.name.encode("utf-8", "replace"), "fxlive.format": str(FORMAT_VERSION)}
    return pa.schema(fields, metadata=metadata)


def table(channel: Channel, chunks: Sequence[Chunk]) -> Any:
    """Return rows of a channel as an Arrow table.

    Raises
    ------
    ValueError, TypeError, OverflowError
        If a value does not fit its column. Most errors of pyarrow are ValueErrors, too.
    """
    columns: dict[str, Any] = {
        "timestamp": _times([chunk.timestamp for chunk in chunks]),
        "received_at": _times([chunk.received_at for chunk in chunks]),
        "arrival": pa.array(_concatenate([chunk.arrival for chunk in chunks])),
        "extra": pa.array(_extras(chunks), pa.string()),
    }
    for column in channel.columns:
        columns[column.name] = _column(column, [chunk.values[column.name] for chunk in chunks])
    target = schema(channel)
    return pa.table([columns[name] for name in target.names], schema=target)


def split_by_date(rows: Any) -> list[tuple[int, Any]]:
    """Split a table into runs of rows that were received on one date; return each date (days since 1970) and its rows.

    A date comes more than once if the clock was set back over midnight.
    """
    received = rows.column("received_at").cast(pa.int64()).to_numpy()
    days = received // DAY_US
    bounds = [0, *(np.flatnonzero(days[1:] != days[:-1]) + 1).tolist(), len(days)]
    return [(int(days[first]), rows.slice(first, stop - first)) for first, stop in pairwise(bounds)]


def _column(column: Column, values: list[Any]) -> Any:
    """Return the values of several chunks as one Arrow column."""
    kind, file_type = column.kind, _file_type(column)
    if kind is Kind.TIME:
        return _times(values)
    if kind is Kind.NUMBER:
        numbers = _concatenate(values)
        missing = np.isnan(numbers)  # numpy releases the GIL here, so the feed can run; Arrow's own search does not
        return pa.array(numbers, pa.float64(), mask=missing if missing.any() else None)
    if kind is Kind.KEY_INTEGER:
        return pa.array(_concatenate(values), pa.int64())
    if all(isinstance(packed, PackedTexts) for packed in values):
        texts = _texts(values)
        return texts.dictionary_encode() if file_type is CODES else texts
    if all(isinstance(packed, PackedCodes) for packed in values) and len({id(packed.names) for packed in values}) == 1:
        return _codes(_concatenate([packed.codes for packed in values]), values[0].names)
    flat = values[0] if len(values) == 1 else list(chain.from_iterable(values))
    if file_type is CODES:
        return pa.array(list(flat), pa.string()).dictionary_encode()
    return pa.array(list(flat), file_type)


def _texts(values: list[PackedTexts]) -> Any:
    sizes = _concatenate([packed.sizes for packed in values])
    ends = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=ends[1:])
    if ends[-1] >= 2**31:
        raise ValueError("the texts exceed the 2 GB that one Arrow array can hold")
    validity = None
    if any(packed.valid is not None for packed in values):
        valid = [np.ones(len(packed), np.bool_) if packed.valid is None else packed.valid for packed in values]
        validity = pa.py_buffer(np.packbits(np.concatenate(valid), bitorder="little"))
    data = b"".join([packed.data for packed in values])
    return pa.StringArray.from_buffers(len(sizes), pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(data), validity)


def _codes(codes: Any, names: list[str]) -> Any:
    """Return codes as a dictionary array. It includes unused names, because they are the session's categories."""
    known = len(names)  # the vocabulary may grow in the meantime
    if known > _MAX_UNUSED_NAMES:
        used, codes = np.unique(np.append(codes, -1), return_inverse=True)  # -1 is always the first unique value
        codes = codes[:-1].astype(np.int32) - 1
        names = [names[code] for code in used[1:].tolist()]
    indices = pa.array(codes, pa.int32(), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(names[:known], pa.string()))


def _times(values: list[Any]) -> Any:
    return pa.array(_concatenate(values).view("M8[us]"), TIME)  # NAT has the bits of numpy's NaT and becomes null


def _concatenate(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else np.concatenate(values)


def _extras(chunks: Sequence[Chunk]) -> list[str | None]:
    texts: list[str | None] = []
    for chunk in chunks:
        first = len(texts)
        texts += [None] * len(chunk)
        for index, fields in chunk.extras.items():
            texts[first + index] = msgspec.json.encode(fields).decode()
    return texts

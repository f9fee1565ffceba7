"""The columns of a capture's files: one fixed schema for each channel, whatever undocumented fields come.

A file holds `timestamp`, `received_at`, the channel's columns, then `arrival`, which numbers the messages of all
channels in the order in which they came (a replay needs it, no frame shows it), and `extra`, the undocumented fields as
JSON.
What is missing is null, also a number: NaN would spoil every sum in SQL.
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
from fxlive.capture.format.layout import GAPS, REJECTED
from fxlive.wire.channels import Channel
from fxlive.wire.messages import Kind
from fxlive.wire.packing import PackedCodes, PackedTexts

FORMAT_VERSION = 1
DAY_US = 86_400_000_000
_MANY_NAMES = 4096  # from here on a part holds only those that its rows use

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


@lru_cache(512)
def schema(channel: Channel) -> Any:
    """Return the Arrow schema of a channel's files; they also say themselves which channel they are of."""
    fields = [pa.field("timestamp", TIME), pa.field("received_at", TIME)]
    fields += [pa.field(column.name, TYPES[column.kind]) for column in channel.columns]
    if channel not in (GAPS, REJECTED):
        fields += [pa.field("arrival", pa.int64()), pa.field("extra", pa.string())]
    about = {"fxlive.channel": channel.name.encode("utf-8", "replace"), "fxlive.format": str(FORMAT_VERSION)}
    return pa.schema(fields, metadata=about)


def table(channel: Channel, chunks: Sequence[Chunk]) -> Any:
    """Return rows of a channel as an Arrow table.

    Raises
    ------
    ValueError, TypeError, OverflowError
        Where a value does not fit its column; pyarrow's own errors are ValueErrors too, but for a few.
    """
    columns: dict[str, Any] = {
        "timestamp": _times([chunk.timestamp for chunk in chunks]),
        "received_at": _times([chunk.received_at for chunk in chunks]),
        "arrival": pa.array(_joined([chunk.arrival for chunk in chunks])),
        "extra": pa.array(_extras(chunks), pa.string()),
    }
    for column in channel.columns:
        columns[column.name] = _column(column.kind, [chunk.values[column.name] for chunk in chunks])
    wanted = schema(channel)
    return pa.table([columns[name] for name in wanted.names], schema=wanted)


def by_date(chunk_table: Any) -> list[tuple[int, Any]]:
    """Return a table's rows as runs received on one date: days since 1970, and the rows."""
    received = chunk_table.column("received_at").cast(pa.int64()).to_numpy()
    days = received // DAY_US
    bounds = [0, *(np.flatnonzero(days[1:] != days[:-1]) + 1).tolist(), len(days)]
    return [(int(days[first]), chunk_table.slice(first, stop - first)) for first, stop in pairwise(bounds)]


def _column(kind: Kind, values: list[Any]) -> Any:
    if kind is Kind.TIME:
        return _times(values)
    if kind is Kind.NUMBER:
        joined = _joined(values)
        missing = np.isnan(joined)  # which lets the feed go on meanwhile, as Arrow's own search does not
        return pa.array(joined, pa.float64(), mask=missing if missing.any() else None)
    if kind is Kind.KEY_INTEGER:
        return pa.array(_joined(values), pa.int64())
    if all(isinstance(some, PackedTexts) for some in values):
        return _texts(values)
    if all(isinstance(some, PackedCodes) for some in values) and len({id(some.names) for some in values}) == 1:
        return _codes(_joined([some.codes for some in values]), values[0].names)
    flat = values[0] if len(values) == 1 else list(chain.from_iterable(values))
    if TYPES[kind] is CODES:
        return pa.array(list(flat), pa.string()).dictionary_encode()
    return pa.array(list(flat), TYPES[kind])


def _texts(packed: list[PackedTexts]) -> Any:
    sizes = _joined([some.sizes for some in packed])
    ends = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=ends[1:])
    if ends[-1] >= 2**31:
        raise ValueError("more text than one array can hold")
    valid = None
    if any(some.valid is not None for some in packed):
        there = [np.ones(len(some), np.bool_) if some.valid is None else some.valid for some in packed]
        valid = pa.py_buffer(np.packbits(np.concatenate(there), bitorder="little"))
    data = b"".join([some.data for some in packed])
    return pa.StringArray.from_buffers(len(sizes), pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(data), valid)


def _codes(codes: Any, names: list[str]) -> Any:
    """Return codes with their names, those that are not used too: it is the vocabulary of the session, in its order."""
    known = len(names)
    if known > _MANY_NAMES:
        used, codes = np.unique(np.append(codes, -1), return_inverse=True)  # -1 comes first, and is -1 again
        codes = codes[:-1].astype(np.int32) - 1
        names = [names[code] for code in used[1:].tolist()]
    indices = pa.array(codes, pa.int32(), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(names[:known], pa.string()))


def _times(values: list[Any]) -> Any:
    return pa.array(_joined(values).view("M8[us]"), TIME)  # numpy's NaT has our NAT's bits, and becomes null


def _joined(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else np.concatenate(values)


def _extras(chunks: Sequence[Chunk]) -> list[str | None]:
    texts: list[str | None] = []
    for chunk in chunks:
        first = len(texts)
        texts += [None] * len(chunk)
        for place, fields in chunk.extras.items():
            texts[first + place] = msgspec.json.encode(fields).decode()
    return texts

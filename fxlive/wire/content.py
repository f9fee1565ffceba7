"""Hashes of the content of rows, to recognise a message that was received before."""

from __future__ import annotations

import struct
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from fxlive.core.timestamps import NAT
from fxlive.wire.batch import Rows
from fxlive.wire.messages import Kind
from fxlive.wire.undocumented import MAX_EXACT_INTEGER

Hashes = npt.NDArray[np.int64]

_FEW = 8  # up to so many rows, a loop is faster than numpy
_EXACT = (Kind.KEY_INTEGER, Kind.TIME)


def hashes_of(values: Any) -> Hashes:
    """Return Python's hash of each value."""
    return np.fromiter(map(hash, values), np.int64, len(values))


def content_hashes(rows: Rows, names: Hashes) -> Hashes:
    """Return a hash of each row: of all columns but `received_at`, and of the undocumented fields.

    A row is 64 bits for each column and for the undocumented fields: numbers and times as they are, texts as hashes.

    Parameters
    ----------
    rows
        The rows of one channel.
    names
        The hashes of their ids.
    """
    words = [names, rows.timestamp]
    for column in rows.channel.columns:
        if column.name != "id":
            words.append(_words(column.kind, rows.values[column.name]))
    extras = np.zeros(len(rows), np.int64)
    for row, fields in rows.extras.items():
        extras[row] = _hash_of_fields({name: _number(value) for name, value in fields.items()})
    words.append(extras)
    if len(rows) <= _FEW:
        pack = struct.Struct(f"{len(words)}q").pack
        return hashes_of([pack(*row) for row in zip(*[w.tolist() for w in words], strict=True)])
    matrix = np.stack(words, axis=1)
    return hashes_of(matrix.view(f"V{matrix.strides[0]}").ravel().tolist())


def _words(kind: Kind, values: Any) -> Hashes:
    if kind is Kind.NUMBER:
        numbers: Hashes = (values + 0.0).view(np.int64)  # -0.0 becomes 0.0
        return numbers
    if kind in _EXACT:
        integers: Hashes = values
        return integers
    if kind is Kind.INTEGER:  # not by `hash`, in which -1 and -2 are equal
        return np.array([NAT if value is None else value for value in values], np.int64)
    return hashes_of(values)


def _hash_of_fields(fields: dict[str, Any]) -> int:
    try:
        return hash(msgspec.json.encode(fields, order="sorted"))
    except UnicodeEncodeError:  # a lone surrogate
        return hash(repr(sorted(fields.items())))


def _number(value: Any) -> Any:
    """Return an integer as a float, as the column of an undocumented field has it."""
    return float(value) if type(value) is int and abs(value) <= MAX_EXACT_INTEGER else value

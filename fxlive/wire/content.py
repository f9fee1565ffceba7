"""Hashes of the content of rows, to recognise a message that was received before."""

from __future__ import annotations

import secrets
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from fxlive.core.timestamps import NAT
from fxlive.wire.batch import Rows
from fxlive.wire.channels import MAX_COLUMNS, Channel
from fxlive.wire.messages import Kind
from fxlive.wire.undocumented import MAX_EXACT_INTEGER

Hashes = npt.NDArray[np.int64]


def hashes_of(values: Any) -> Hashes:
    """Return Python's hash of each value."""
    return np.fromiter(map(hash, values), np.int64, len(values))


def content_hashes(rows: Rows, names: Hashes) -> Hashes:
    """Return a hash of each row: of all columns but `received_at`, and of the undocumented fields.

    A row is a 64-bit word for each column and for the undocumented fields: numbers and times as they are, texts as
    hashes. The bits of each word are mixed by a bijection. The hash is the sum of the words, each multiplied by a
    random odd number of this process (multilinear hashing).

    Parameters
    ----------
    rows
        The rows of one channel.
    names
        The hashes of their ids.
    """
    numbers, exact, integers, texts = _columns_by_kind(rows.channel)
    values = rows.values
    words: Any = [names, rows.timestamp, *[values[name] for name in exact]]
    for name in integers:  # not by `hash`, in which -1 and -2 are equal
        words.append([NAT if value is None else value for value in values[name]])
    words += [hashes_of(values[name]) for name in texts]
    # Without undocumented fields the word is 0, and 0 stays 0: the row has one hash, whatever is in the same batch.
    words.append(_extra_words(rows) if rows.extras else _ZERO.repeat(len(rows)))
    matrix = np.array(words, np.int64)
    if numbers:
        floats = np.array([values[name] for name in numbers])
        floats += 0.0  # -0.0 becomes 0.0
        matrix = np.concatenate((matrix, floats.view(np.int64)))
    mixed = matrix.view(np.uint64)
    for shift in _SHIFTS:
        mixed ^= mixed >> shift
        mixed *= _MIX
    mixed ^= mixed >> _SHIFTS[0]
    hashes: Hashes = (_MULTIPLIERS[: len(mixed)] @ mixed).view(np.int64)
    return hashes


_ZERO = np.zeros(1, np.int64)
_SHIFTS = (np.uint64(32), np.uint64(29))
_MIX = np.uint64(0xD6E8FEB86659FD93)  # odd, with as many ones as zeros, so that each bit of a word reaches many others
_MULTIPLIERS = np.array([secrets.randbits(64) | 1 for _ in range(MAX_COLUMNS)], np.uint64)


@lru_cache(maxsize=1_024)
def _columns_by_kind(channel: Channel) -> tuple[list[str], list[str], list[str], list[str]]:
    """Return the columns but `id`: floats, 64-bit integers without missing values, integers, all others."""
    groups: tuple[list[str], list[str], list[str], list[str]] = ([], [], [], [])
    for column in channel.columns:
        if column.name != "id":
            groups[_GROUP.get(column.kind, 3)].append(column.name)
    return groups


_GROUP = {Kind.NUMBER: 0, Kind.KEY_INTEGER: 1, Kind.TIME: 1, Kind.INTEGER: 2}


def _extra_words(rows: Rows) -> Hashes:
    words = np.zeros(len(rows), np.int64)
    for row, fields in rows.extras.items():
        words[row] = _hash_of_fields({name: _number(value) for name, value in fields.items()})
    return words


def _hash_of_fields(fields: dict[str, Any]) -> int:
    try:
        return hash(msgspec.json.encode(fields, order="sorted"))
    except UnicodeEncodeError:  # a lone surrogate
        return hash(repr(sorted(fields.items())))


def _number(value: Any) -> Any:
    """Return an integer as a float, as the column of an undocumented field has it."""
    return float(value) if type(value) is int and abs(value) <= MAX_EXACT_INTEGER else value

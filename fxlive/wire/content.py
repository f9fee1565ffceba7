"""Hashes of the content of rows, to recognise a message that was received before."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from fxlive.core.timestamps import NAT
from fxlive.wire.batch import Rows
from fxlive.wire.channels import MAX_COLUMNS, Channel
from fxlive.wire.messages import Kind
from fxlive.wire.undocumented.columns import MAX_EXACT_INTEGER

Hashes = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]


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


_NAMES, _NUMBERS, _OTHERS = (np.uint64(secrets.randbits(64) | 1) for _ in range(3))


def _extra_words(rows: Rows) -> Hashes:
    """Return a word for the undocumented fields of each row; 0 without fields.

    It is the sum of a word for each field, so that neither their order nor how they are stored matters: the mixed bits
    of the value, multiplied by a number that depends on the name. A null is like a missing field.
    """
    words = np.zeros(len(rows), np.uint64)
    block, others = rows.extras.block, rows.extras.others
    if block is not None:
        factors = _name_words(list(block.names))
        if len(block.number_fields):
            words[block.rows] = factors[list(block.number_fields)] @ _number_words(block.numbers)
        for field in block.other_fields:
            words[block.rows] += factors[field] * _value_words(block.values_of(field))
    if others:
        counts = np.fromiter(map(len, others.values()), np.intp, len(others))
        names = list(chain.from_iterable(others.values()))
        values = list(chain.from_iterable(fields.values() for fields in others.values()))
        sums = np.zeros(len(names) + 1, np.uint64)
        np.cumsum(_name_words(names) * _value_words(values), out=sums[1:])
        stops = np.cumsum(counts)
        words[list(others)] = sums[stops] - sums[stops - counts]
    return words.view(np.int64)


def _name_words(names: list[str]) -> Words:
    return _mixed(hashes_of(names).view(np.uint64) ^ _NAMES) | np.uint64(1)


def _value_words(values: Sequence[Any]) -> Words:
    """Return a word for each value; the same for an integer and for the number that its column has; 0 for null."""
    if set(map(type, values)) <= {int, float} and all(map(_is_number, values)):
        return _number_words(np.array(values, np.float64))
    words = np.zeros(len(values), np.uint64)
    numbers = [at for at, value in enumerate(values) if _is_number(value)]
    others = [at for at, value in enumerate(values) if value is not None and not _is_number(value)]
    words[numbers] = _number_words(np.array([values[at] for at in numbers], np.float64))
    hashes = np.array([_hash(values[at]) for at in others], np.int64).view(np.uint64)
    words[others] = _mixed(hashes ^ _OTHERS)  # the hash of an empty text is 0
    return words


def _is_number(value: Any) -> bool:
    return type(value) is float or (type(value) is int and abs(value) <= MAX_EXACT_INTEGER)


def _number_words(numbers: npt.NDArray[np.float64]) -> Words:
    words = _mixed((numbers + 0.0).view(np.uint64) ^ _NUMBERS)  # -0.0 becomes 0.0, and no number the word 0
    words[np.isnan(numbers)] = 0
    return words


def _hash(value: Any) -> int:
    if type(value) is str:
        return hash(value)
    try:
        return ~hash(msgspec.json.encode(value, order="sorted"))  # not that of the same text
    except UnicodeEncodeError:  # a lone surrogate
        return ~hash(repr(value))


def _mixed(words: Words) -> Words:
    for shift in _SHIFTS:
        words = (words ^ (words >> shift)) * _MIX
    return words ^ (words >> _SHIFTS[0])

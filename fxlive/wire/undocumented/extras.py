"""The undocumented fields of the rows of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import UNSET, UnsetType


class Block(NamedTuple):
    """Rows with undocumented fields of the same names.

    Attributes
    ----------
    names
        The columns of the fields.
    rows
        The indices of the rows, ascending.
    values
        For each row, the value of each field; UNSET if the row does not have it.
    number_fields
        The positions in `names` of fields whose values are all null, or numbers that float64 holds exactly.
    numbers
        The values of these as float64, shape (number fields, rows); null is NaN.
    """

    names: tuple[str, ...]
    rows: npt.NDArray[np.int64]
    values: Sequence[tuple[Any, ...]]
    number_fields: Sequence[int] = ()
    numbers: npt.NDArray[np.float64] = np.empty((0, 0))

    @property
    def other_fields(self) -> list[int]:
        """The positions of all other fields."""
        return sorted(set(range(len(self.names))).difference(self.number_fields))

    def values_of(self, field: int) -> list[Any]:
        """Return the values of a field, given its position in `names`; None for UNSET."""
        values = list(map(itemgetter(field), self.values))
        return (
            [None if value is UNSET else value for value in values] if UnsetType in set(map(type, values)) else values
        )


class Extras(Mapping[int, dict[str, Any]]):
    """The undocumented and the unreadable fields of rows: a mapping from the index of a row to {column: JSON value}.

    Rows with the fields of a learned layout are a `block`, without a dictionary for each row. The `others` have one.

    >>> extras = Extras(block=Block(("a", "b"), np.array([0, 2]), [(1, 2), (3, 4)]))
    >>> extras.add("mood", {1: "calm"})
    >>> dict(extras)
    {0: {'a': 1, 'b': 2}, 1: {'mood': 'calm'}, 2: {'a': 3, 'b': 4}}
    >>> dict(extras.take([2, 1]))
    {0: {'a': 3, 'b': 4}, 1: {'mood': 'calm'}}
    """

    __slots__ = ("_place", "block", "others")

    def __init__(self, others: dict[int, dict[str, Any]] | None = None, block: Block | None = None) -> None:
        self.others = {} if others is None else others
        self.block = block
        self._place: dict[int, int] | None = None

    def __len__(self) -> int:
        return len(self.others) + (0 if self.block is None else len(self.block.rows))

    def __iter__(self) -> Iterator[int]:
        if self.block is None:
            return iter(self.others)
        rows = self.block.rows.tolist()
        return iter(sorted([*rows, *self.others]) if self.others else rows)

    def __getitem__(self, row: int) -> dict[str, Any]:
        if row in self.others:
            return self.others[row]
        if self.block is None:
            raise KeyError(row)
        if self._place is None:
            self._place = {row: place for place, row in enumerate(self.block.rows.tolist())}
        values = self.block.values[self._place[row]]
        return {name: value for name, value in zip(self.block.names, values, strict=True) if value is not UNSET}

    def add(self, column: str, values: Mapping[int, Any]) -> None:
        """Add a field to rows, which leave the block."""
        moved = [row for row in values if row not in self.others]
        for row in moved:
            self.others[row] = dict(self.get(row, {}))
        if self.block is not None and moved:
            kept = np.flatnonzero(~np.isin(self.block.rows, moved))
            self.block, self._place = _select(self.block, kept, self.block.rows[kept]), None
        for row, value in values.items():
            self.others[row][column] = value

    def take(self, rows: Sequence[int]) -> Extras:
        """Return the fields of the rows at these indices, in this order."""
        if self.block is None:
            return Extras({new: self.others[old] for new, old in enumerate(rows) if old in self.others})
        array = np.asarray(rows, np.int64)
        places = np.searchsorted(self.block.rows, array)
        places[places == len(self.block.rows)] = 0
        found = np.flatnonzero(self.block.rows[places] == array) if len(self.block.rows) else places[:0]
        others = {new: self.others[old] for new, old in enumerate(rows) if old in self.others} if self.others else {}
        return Extras(others, _select(self.block, places[found], found))


def _select(block: Block, places: Any, rows: Any) -> Block | None:
    """Return the rows of a block at these places, with new indices; None without rows."""
    if not len(places):
        return None
    numbers = block.numbers[:, places] if len(block.number_fields) else block.numbers
    return block._replace(rows=rows, values=[block.values[place] for place in places.tolist()], numbers=numbers)

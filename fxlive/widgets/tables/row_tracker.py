"""Following: which rows of `latest` a widget shows, and which of them have moved, at the cost of what has moved."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

from fxlive.core.arguments import micros_of
from fxlive.core.timestamps import NAT
from fxlive.errors import UnknownColumn
from fxlive.tables.latest import Mark
from fxlive.tables.selection import caseless, wanted
from fxlive.tables.table import RollingTable
from fxlive.wire.messages import Kind

_LOOK_BACK = 10  # so many times what is shown is looked through for rows that are wanted


class Followed:
    """The rows of `latest` that a widget shows: the newest so many, each under a number that stays its own.

    Parameters
    ----------
    table
        Of the channel.
    max_rows
        How many.
    where
        Only rows with this value in this column, as in ``latest(**where)``.

    Raises
    ------
    UnknownColumn, UnknownOption
        Where a column of `where` does not exist, or can have no such value.
    """

    def __init__(self, table: RollingTable, max_rows: int, where: Mapping[str, Any] | None = None) -> None:
        self.table = table
        self.max_rows = max_rows
        self.numbers: dict[Any, int] = {}
        """The number of each key, in the order of the rows."""
        self._where = {name: _condition(table, name, value) for name, value in (where or {}).items()}
        self._next = itertools.count()
        self._mark: Mark | None = None
        self._cut = False  # there may be older rows that would be shown, were there room

    def follow(self) -> tuple[list[Any], list[int]]:
        """Return the keys whose row is new since the last call, and the numbers of those that have gone."""
        was_full = len(self.numbers) == self.max_rows
        changed, gone = self._follow()
        if self._cut and was_full and len(self.numbers) < self.max_rows:  # there is room now for older ones
            self._cut, self._mark = False, None
            again, left = self._follow()
            changed, gone = [*again, *(key for key in changed if key not in set(again))], gone + left
        return [key for key in changed if key in self.numbers], gone

    def _follow(self) -> tuple[list[Any], list[int]]:
        most = self.max_rows * (_LOOK_BACK if self._where else 1)
        moves = self.table.moves(self._mark, most)
        self._mark = moves.mark
        numbers, left = self.numbers, list(moves.gone)
        if moves.whole:
            left += numbers.keys() - set(moves.changed)
        gone = [numbers.pop(key) for key in left if key in numbers]
        changed = []
        for key in moves.changed:
            number = numbers.pop(key, None)
            if self._wanted(key):
                numbers[key] = next(self._next) if number is None else number
                changed.append(key)
            elif number is not None:
                gone.append(number)
        self._cut |= len(moves.changed) == most
        while len(numbers) > self.max_rows:
            gone.append(numbers.pop(next(iter(numbers))))
            self._cut = True
        return changed, gone

    def _wanted(self, key: Any) -> bool:
        if not self._where:
            return True
        row = self.table.newest(key, *self._where)
        return row is not None and all(holds(row.get(name)) for name, holds in self._where.items())


def _condition(table: RollingTable, column: str, value: Any) -> Callable[[Any], bool]:
    """Return what holds of the values of a column that are wanted; they come as they lie in the table."""
    known = ["timestamp", *table.columns]
    if column not in known:
        raise UnknownColumn(column, table.channel.name, known)
    kind = table.kind(column)
    values, missing = wanted(column, kind, value)
    if kind is Kind.TIME:
        values = [micros_of(time) for time in values]

    def holds(found: Any) -> bool:
        if found is None or found != found or found == NAT:
            return missing
        return (found.lower() if caseless(column, kind) else found) in values

    return holds

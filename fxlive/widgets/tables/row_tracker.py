"""RowTracker: the rows of `latest` that a widget shows, and which of them have changed. It costs only the changes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

from fxlive.core.arguments import micros_of
from fxlive.core.timestamps import NAT
from fxlive.errors import UnknownColumn
from fxlive.tables.latest import LatestCursor
from fxlive.tables.selection import comparison_values, is_case_insensitive
from fxlive.tables.table import RollingTable
from fxlive.wire.messages import Kind

_LOOK_BACK = 10  # with a filter, rows are searched among the newest `max_rows` times this


class RowTracker:
    """The newest rows of `latest`, each with a number that never changes.

    Parameters
    ----------
    table
        Table of the channel.
    max_rows
        Maximum number of rows.
    where
        Only rows with this value in this column, as in ``latest(**where)``.

    Raises
    ------
    UnknownColumn, UnknownOption
        If a column of `where` does not exist, or cannot have the value.
    """

    def __init__(self, table: RollingTable, max_rows: int, where: Mapping[str, Any] | None = None) -> None:
        self.table = table
        self.max_rows = max_rows
        self.numbers: dict[Any, int] = {}
        """The number of each key that is shown, oldest row first."""
        self._filters = {name: _filter(table, name, value) for name, value in (where or {}).items()}
        self._next_number = itertools.count()
        self._cursor: LatestCursor | None = None
        self._cut = False  # there may be older rows that are left out because of `max_rows`

    def update(self) -> tuple[list[Any], list[int]]:
        """Return the keys whose row is new since the last call, and the numbers of removed rows."""
        was_full = len(self.numbers) == self.max_rows
        changed, gone = self._read_moves()
        if self._cut and was_full and len(self.numbers) < self.max_rows:  # older rows can be shown again
            self._cut, self._cursor = False, None
            older, also_gone = self._read_moves()
            changed, gone = [*older, *(key for key in changed if key not in set(older))], gone + also_gone
        return [key for key in changed if key in self.numbers], gone

    def _read_moves(self) -> tuple[list[Any], list[int]]:
        limit = self.max_rows * (_LOOK_BACK if self._filters else 1)
        moves = self.table.moves(self._cursor, limit)
        self._cursor = moves.cursor
        numbers, removed = self.numbers, list(moves.gone)
        if moves.whole:
            removed += numbers.keys() - set(moves.changed)
        gone = [numbers.pop(key) for key in removed if key in numbers]
        changed = []
        for key in moves.changed:
            number = numbers.pop(key, None)
            if self._matches(key):
                numbers[key] = next(self._next_number) if number is None else number
                changed.append(key)
            elif number is not None:
                gone.append(number)
        self._cut |= len(moves.changed) == limit
        while len(numbers) > self.max_rows:
            gone.append(numbers.pop(next(iter(numbers))))
            self._cut = True
        return changed, gone

    def _matches(self, key: Any) -> bool:
        if not self._filters:
            return True
        row = self.table.newest(key, *self._filters)
        return row is not None and all(matches(row.get(name)) for name, matches in self._filters.items())


def _filter(table: RollingTable, column: str, value: Any) -> Callable[[Any], bool]:
    """Return a function that returns whether a column's value, as stored in the table, is among the requested ones."""
    known = ["timestamp", *table.columns]
    if column not in known:
        raise UnknownColumn(column, table.channel.name, known)
    kind = table.kind(column)
    values, missing = comparison_values(column, kind, value)
    if kind is Kind.TIME:
        values = [micros_of(time) for time in values]

    def matches(stored: Any) -> bool:
        if stored is None or stored != stored or stored == NAT:
            return missing
        return (stored.lower() if is_case_insensitive(column, kind) else stored) in values

    return matches

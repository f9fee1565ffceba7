"""Columns for undocumented fields. The first value of a field decides the dtype of its column.

Rolling tables and captures share this rule, so that their frames have the same columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec
import numpy as np

from fxlive.wire.channels import MAX_COLUMNS, Channel
from fxlive.wire.messages import Kind
from fxlive.wire.undocumented.extras import Block, Extras
from fxlive.wire.undocumented.names import documented_names

EXTRA = "extra"
MAX_EXACT_INTEGER = 2**53
MAX_NAME_CHARS = 256
"""The longest name of an undocumented column. Fields with longer names go to `extra`."""

_Group = tuple[tuple[str, ...], list[int], Iterable[Sequence[Any]]]
"""Rows with the same fields: the names of the fields, the indices of the rows, and the values of each field."""

_KINDS = {kind.value: kind for kind in (Kind.NUMBER, Kind.FLAG, Kind.TEXT)}


class UndocumentedColumns:
    """The undocumented columns of one channel, in order of their first value.

    Parameters
    ----------
    channel
        The channel. Its documented columns count towards `MAX_COLUMNS`.

    Examples
    --------
    >>> from fxlive.wire.channels import CHANNELS
    >>> undocumented = UndocumentedColumns(CHANNELS["trades"])
    >>> undocumented.fit({1: {"mood": "calm"}}, 2)
    {'mood': [None, 'calm']}
    >>> undocumented.fit({0: {"mood": [1, 2]}}, 1)
    {'extra': ['{"mood":[1,2]}']}
    >>> undocumented.kinds
    {'mood': <Kind.TEXT: 'str'>, 'extra': <Kind.TEXT: 'str'>}
    """

    def __init__(self, channel: Channel) -> None:
        self.kinds: dict[str, Kind] = {}
        self.unreadable: dict[str, int] = {}
        """The number of unreadable values by documented column. `fit` counts them."""
        self._documented = documented_names(channel)
        self._max_columns = MAX_COLUMNS - 2 - len(channel.columns)

    def expect(self, dtypes: Mapping[str, str]) -> None:
        """Add columns before their first value, given their dtypes. Documented names and other dtypes are ignored."""
        for name, dtype in dtypes.items():
            invalid = name in self._documented or dtype not in _KINDS or (name == EXTRA and dtype != Kind.TEXT.value)
            if not invalid and len(self.kinds) < self._max_columns:
                self.kinds.setdefault(name, _KINDS[dtype])

    def fit(self, extras: Mapping[int, Mapping[str, Any]], count: int) -> dict[str, Any]:
        """Return the values of the undocumented columns, one for each row, and add the columns that are new.

        The values of a column are a list, with None for missing ones, or a float64 array.

        A value that does not fit its column goes to the column `extra`, as JSON, and so does an unreadable one of a
        documented column.

        Parameters
        ----------
        extras
            The undocumented and the unreadable fields of rows, by the index of the row.
        count
            The number of rows.
        """
        columns = self._fit_groups(extras, count)
        if columns is None:  # the order of rows decides on new columns; most often the first row has all of them
            for index in islice(extras, 1):
                self._add_kinds(extras[index])
            columns = self._fit_groups(extras, count)
        return self._fit_rows(extras, count) if columns is None else columns

    def _fit_groups(self, extras: Mapping[int, Mapping[str, Any]], count: int) -> dict[str, Any] | None:
        """Fit rows with the same fields together; return None if a column is new, or hardly a row is like another."""
        layouts: dict[tuple[str, ...], list[int]] = {}
        block, others = (extras.block, extras.others) if isinstance(extras, Extras) else (None, extras)
        for index, fields in others.items():
            layouts.setdefault(tuple(fields), []).append(index)
        if len(layouts) * 4 > len(extras) + 4:
            return None
        columns: dict[str, Any] = {}
        misfits: dict[int, dict[str, Any]] = {}
        groups: list[_Group] = [] if block is None else [self._fit_numbers(block, columns, count)]
        for names, indices in layouts.items():
            groups.append((names, indices, zip(*[others[i].values() for i in indices], strict=True)))
        for names, indices, values_of_names in groups:
            for name, values in zip(names, values_of_names, strict=True):
                kind = self.kinds.get(name)
                if kind is None and self._new_kind(name, values) is not None:
                    return None
                if kind is None or not _all_fit(values, kind):
                    for index, value in zip(indices, values, strict=True):
                        if value is not None and (kind is None or _kind(value) is not kind):
                            misfits.setdefault(index, {})[name] = value
                    values = tuple(value if kind is not None and _kind(value) is kind else None for value in values)
                    if not any(value is not None for value in values):
                        continue
                if len(indices) == count:
                    columns[name] = list(values)
                else:
                    column = columns.setdefault(name, [None] * count)
                    for index, value in zip(indices, values, strict=True):
                        column[index] = value
        if misfits:
            columns[EXTRA] = self._extra(dict(sorted(misfits.items())), count)
        return columns

    def _fit_numbers(self, block: Block, columns: dict[str, Any], count: int) -> _Group:
        """Add the columns of a block whose values are known to be numbers; return its other fields."""
        done = set()
        for field, numbers in zip(block.number_fields, block.numbers, strict=True):
            name = block.names[field]
            if self.kinds.get(name) is Kind.NUMBER:
                done.add(field)
                if len(numbers) == count:
                    columns[name] = numbers
                else:
                    columns[name] = np.full(count, np.nan)
                    columns[name][block.rows] = numbers
        fields = [field for field in range(len(block.names)) if field not in done]
        return tuple(block.names[field] for field in fields), block.rows.tolist(), map(block.values_of, fields)

    def _add_kinds(self, fields: Mapping[str, Any]) -> None:
        """Add the columns that a row adds."""
        misfit = False
        for name, value in fields.items():
            if name not in self.kinds and (new := self._new_kind(name, (value,))) is not None:
                self.kinds[name] = new
            misfit |= value is not None and (_kind(value) is None or _kind(value) is not self.kinds.get(name))
        if misfit:
            self.kinds.setdefault(EXTRA, Kind.TEXT)

    def _fit_rows(self, extras: Mapping[int, Mapping[str, Any]], count: int) -> dict[str, Any]:
        """Do the work of `fit` row by row. Slower, for rows that add columns and for rows with different fields."""
        columns: dict[str, list[Any]] = {}
        misfits: dict[int, dict[str, Any]] = {}
        for index, fields in extras.items():
            row_misfits = {}
            for name, value in fields.items():
                if value is None:
                    continue
                kind, column_kind = _kind(value), self.kinds.get(name)
                if column_kind is None and (new := self._new_kind(name, (value,))) is not None:
                    self.kinds[name] = column_kind = new
                if kind is None or kind is not column_kind:
                    row_misfits[name] = value
                else:
                    columns.setdefault(name, [None] * count)[index] = value
            if row_misfits:
                self.kinds.setdefault(EXTRA, Kind.TEXT)
                misfits[index] = row_misfits
        if misfits:
            columns[EXTRA] = self._extra(misfits, count)
        return columns

    def _new_kind(self, name: str, values: Sequence[Any]) -> Kind | None:
        """Return the kind of the column that the first of these values adds; None if none of them adds a column."""
        if name in self._documented or len(name) > MAX_NAME_CHARS or len(self.kinds) >= self._max_columns:
            return None
        return next(filter(None, map(_kind, values)), None)

    def _extra(self, misfits: Mapping[int, Mapping[str, Any]], count: int) -> list[str | None]:
        """Return the values of the column `extra`, and count the unreadable values of documented columns."""
        self.kinds.setdefault(EXTRA, Kind.TEXT)
        column: list[str | None] = [None] * count
        for index, fields in misfits.items():
            for name in fields.keys() & self._documented:
                self.unreadable[name] = self.unreadable.get(name, 0) + 1
            column[index] = msgspec.json.encode(fields).decode()
        return column


_KIND_OF_TYPE = {bool: Kind.FLAG, int: Kind.NUMBER, float: Kind.NUMBER, str: Kind.TEXT}
_TYPES = {
    Kind.FLAG: frozenset({bool, type(None)}),
    Kind.NUMBER: frozenset({int, float, type(None)}),
    Kind.TEXT: frozenset({str, type(None)}),
}


def _all_fit(values: Sequence[Any], kind: Kind) -> bool:
    types = set(map(type, values))
    return types <= _TYPES[kind] and (int not in types or all(_kind(v) is kind for v in values if v is not None))


def _kind(value: Any) -> Kind | None:
    """Return the kind of column for an undocumented value; None if it can only go to `extra`."""
    kind = _KIND_OF_TYPE.get(type(value))
    if type(value) is int and not -MAX_EXACT_INTEGER <= value <= MAX_EXACT_INTEGER:
        return None
    return kind

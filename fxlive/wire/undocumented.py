"""Columns for undocumented fields. The first value of a field decides the dtype of its column.

Rolling tables and captures share this rule, so that their frames have the same columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from fxlive.wire.channels import MAX_COLUMNS, Channel
from fxlive.wire.messages import Kind

EXTRA = "extra"
MAX_EXACT_INTEGER = 2**53
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
        self._documented = {"timestamp", "received_at", *(column.name for column in channel.columns)}
        self._max_columns = MAX_COLUMNS - len(self._documented)

    def expect(self, dtypes: Mapping[str, str]) -> None:
        """Add columns before their first value, given their dtypes. Documented names and other dtypes are ignored."""
        for name, dtype in dtypes.items():
            invalid = name in self._documented or dtype not in _KINDS or (name == EXTRA and dtype != Kind.TEXT.value)
            if not invalid and len(self.kinds) < self._max_columns:
                self.kinds.setdefault(name, _KINDS[dtype])

    def fit(self, extras: Mapping[int, Mapping[str, Any]], count: int) -> dict[str, list[Any]]:
        """Return the values of the undocumented columns, one for each row, and add the columns that are new.

        A value that does not fit its column goes to the column `extra`, as JSON.

        Parameters
        ----------
        extras
            The undocumented fields of rows, by the index of the row.
        count
            The number of rows.
        """
        columns: dict[str, list[Any]] = {}
        for index, fields in extras.items():
            misfits = {}
            for name, value in fields.items():
                if value is None:
                    continue
                kind = _kind(value)
                column_kind = self.kinds.get(name)
                if column_kind is None and kind is not None and len(self.kinds) < self._max_columns:
                    self.kinds[name] = column_kind = kind
                if kind is None or kind is not column_kind:
                    misfits[name] = value
                else:
                    columns.setdefault(name, [None] * count)[index] = value
            if misfits:
                self.kinds.setdefault(EXTRA, Kind.TEXT)
                columns.setdefault(EXTRA, [None] * count)[index] = msgspec.json.encode(misfits).decode()
        return columns


def _kind(value: Any) -> Kind | None:
    """Return the kind of column for an undocumented value; None if it can only go to `extra`."""
    if isinstance(value, bool):
        return Kind.FLAG
    if isinstance(value, int | float):
        return Kind.NUMBER if abs(value) <= MAX_EXACT_INTEGER or isinstance(value, float) else None
    return Kind.TEXT if isinstance(value, str) else None

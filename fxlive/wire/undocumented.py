"""Which column of a frame an undocumented field becomes, and which of its values the column takes.

A rolling table and a reader of captures go by the same rule, so that their frames are the same.
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
    """The undocumented columns of one channel, in the order in which they came.

    Parameters
    ----------
    channel
        The channel; its documented columns count towards the most that a frame has.

    Examples
    --------
    >>> from fxlive.wire.channels import CHANNELS
    >>> drift = UndocumentedColumns(CHANNELS["trades"])
    >>> drift.fit({1: {"mood": "calm"}}, 2)
    {'mood': [None, 'calm']}
    >>> drift.fit({0: {"mood": [1, 2]}}, 1)
    {'extra': ['{"mood":[1,2]}']}
    >>> drift.kinds
    {'mood': <Kind.TEXT: 'str'>, 'extra': <Kind.TEXT: 'str'>}
    """

    def __init__(self, channel: Channel) -> None:
        self.kinds: dict[str, Kind] = {}
        self._max_columns = MAX_COLUMNS - 2 - len(channel.columns)

    def expect(self, dtypes: Mapping[str, str]) -> None:
        """Note columns before they come, by their dtypes; of what is no dtype of such a column, nothing."""
        for name, dtype in dtypes.items():
            if dtype in _KINDS and len(self.kinds) < self._max_columns:
                self.kinds.setdefault(name, _KINDS[dtype])

    def fit(self, extras: Mapping[int, Mapping[str, Any]], count: int) -> dict[str, list[Any]]:
        """Return the values of the undocumented columns of so many rows, noting the columns that are new.

        Parameters
        ----------
        extras
            The undocumented fields of a row, by its place.
        count
            How many rows there are.
        """
        fitted: dict[str, list[Any]] = {}
        for place, fields in extras.items():
            misfits = {}
            for name, value in fields.items():
                if value is None:
                    continue
                kind = _kind(value)
                known = self.kinds.get(name)
                if known is None and kind is not None and len(self.kinds) < self._max_columns:
                    self.kinds[name] = known = kind
                if kind is None or kind is not known:
                    misfits[name] = value
                else:
                    fitted.setdefault(name, [None] * count)[place] = value
            if misfits:
                self.kinds.setdefault(EXTRA, Kind.TEXT)
                fitted.setdefault(EXTRA, [None] * count)[place] = msgspec.json.encode(misfits).decode()
        return fitted


def _kind(value: Any) -> Kind | None:
    """Return the kind of column that an undocumented value makes; None where it makes none."""
    if isinstance(value, bool):
        return Kind.FLAG
    if isinstance(value, int | float):
        return Kind.NUMBER if abs(value) <= MAX_EXACT_INTEGER or isinstance(value, float) else None
    return Kind.TEXT if isinstance(value, str) else None

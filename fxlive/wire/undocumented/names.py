"""The undocumented fields of a message, flattened into columns whose names differ from the documented ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fxlive.wire.channels import CHANNELS, Channel, column_name
from fxlive.wire.lenient import FIELDS, MAX_DEPTH, Unreadable, kept_value

_RESERVED = frozenset({"timestamp", "received_at", "extra", "id"})
_MAX_UNDERSCORES = 8
_MAX_CACHED_NAME_CHARS = 256
_MAX_LAYOUTS = 64
_MAX_LAYOUT_BYTES = 65_536
_CONTAINERS = frozenset({dict, list, Unreadable})


def documented_names(channel: Channel) -> frozenset[str]:
    """Return the names of a channel's columns and of its nested objects. No undocumented column has one of them."""
    documented = CHANNELS.get(channel.name, channel)  # a reader may have selected some of the columns
    nested = [field.column for field in FIELDS.get(channel.name, {}).values() if field.nested is not None]
    added = () if documented.ends is None else ("confirmed",)  # a column of `latest`
    return frozenset(
        ("timestamp", "received_at", "id", *(column.name for column in documented.columns), *nested, *added)
    )


_RESERVED_BY_CHANNEL = {name: _RESERVED | documented_names(channel) for name, channel in CHANNELS.items()}
_LAYOUTS: dict[tuple[str, tuple[str, ...], tuple[str, ...]], tuple[str, ...]] = {}
"""The columns of messages without nested undocumented fields, by channel and by the names of these fields."""


def flatten(
    channel: Channel | None,
    envelope: Mapping[str, Any],
    data: Any,
    size: int,
    undocumented: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the undocumented fields of a message by column.

    Parameters
    ----------
    channel
        The channel; None if it is undocumented.
    envelope
        The undocumented fields of the envelope.
    data
        The message's `data`.
    size
        The size of the message in bytes.
    undocumented
        The fields of `data` that are undocumented; by default all.

    >>> flatten(None, {}, {"openPrice": 1, "x": {"y": 2, "Y": 3}}, 100)
    {'open_price': 1, 'x_y': 2, 'x_y_': 3}
    """
    flat = data if undocumented is None and isinstance(data, dict) else undocumented
    if flat is None or size > _MAX_LAYOUT_BYTES or _has_nested(channel, data):
        return flatten_uncached(channel, envelope, data)
    if not _CONTAINERS.isdisjoint(map(type, flat.values())) or not _CONTAINERS.isdisjoint(map(type, envelope.values())):
        return flatten_uncached(channel, envelope, data)
    layout = ("" if channel is None else channel.name, tuple(envelope), tuple(flat))
    names = _LAYOUTS.get(layout)
    if names is None:
        fields = flatten_uncached(channel, envelope, data)
        if len(_LAYOUTS) >= _MAX_LAYOUTS:
            _LAYOUTS.clear()
        _LAYOUTS[layout] = tuple(fields)
        return fields
    return dict(zip(names, (*envelope.values(), *flat.values()), strict=True))


def _has_nested(channel: Channel | None, data: Any) -> bool:
    """Return whether a documented object of `data` contains an undocumented field."""
    if channel is None:
        return False
    for name, field in FIELDS[channel.name].items():
        if (
            field.nested is not None
            and isinstance(data.get(name), dict)
            and not data[name].keys() <= field.nested.keys()
        ):
            return True
    return False


def flatten_uncached(channel: Channel | None, envelope: Mapping[str, Any], data: Any) -> dict[str, Any]:
    """Do the work of `flatten` for any message."""
    columns = _Columns(_RESERVED if channel is None else _RESERVED_BY_CHANNEL[channel.name])
    for name, value in envelope.items():
        columns.add((name,), value)
    if not isinstance(data, dict):
        columns.add(("data",), data)
        return columns.values
    documented: Mapping[str, Any] = {} if channel is None else FIELDS[channel.name]
    for name, value in data.items():
        if name not in documented:
            columns.add((name,), value)
        elif documented[name].nested is not None and isinstance(value, dict):
            for inner, inner_value in value.items():
                if inner not in documented[name].nested:
                    columns.add((name, inner), inner_value)
    return columns.values


class _Columns:
    """The values of a message by column. A name that is taken gets underscores, and then a number."""

    def __init__(self, reserved: frozenset[str]) -> None:
        self.values: dict[str, Any] = {}
        self._reserved = reserved
        self._repeated: dict[str, int] = {}

    def add(self, path: tuple[str, ...], value: Any) -> None:
        if isinstance(value, dict) and value and len(path) < MAX_DEPTH:
            for name, inner in value.items():
                self.add((*path, name), inner)
            return
        if isinstance(value, Unreadable):  # in an object, so that it does not decide the dtype of a column
            value = {"unreadable": str(value)}
        elif isinstance(value, dict | list):
            value = kept_value(value)
        self.values[self._free_name(path)] = value

    def _free_name(self, path: tuple[str, ...]) -> str:
        short = sum(map(len, path)) <= _MAX_CACHED_NAME_CHARS
        wanted = name = column_name(path) if short else column_name.__wrapped__(path)
        count = self._repeated.get(wanted, 0)
        while name in self._reserved or name in self.values:
            count += 1
            name = wanted + ("_" * count if count <= _MAX_UNDERSCORES else f"_{count}")
        if count:
            self._repeated[wanted] = count
        return name

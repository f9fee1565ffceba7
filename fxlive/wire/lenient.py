"""Messages with unreadable fields: an optional field never decides over its row.

A field whose value cannot be converted is missing in the row; its text goes to the column `extra`. Only an unreadable
field of the envelope, key or symbol rejects the message.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple, get_type_hints

import msgspec

from fxlive.wire.channels import CHANNELS, column_name, nested_fields
from fxlive.wire.messages import Code, Fields, KeyCode, KeyText, Symbol, Text

MAX_DEPTH = 64
"""The most levels of nesting that are kept as JSON. A value nested deeper is kept as text."""


class InvalidMessage(Exception):
    """The reason why a message is rejected."""


class Unreadable(str):
    """The text of a value that JSON cannot hold, such as NaN, a number out of range, or text that is not UTF-8."""

    __slots__ = ()


def decode_leniently(raw: bytes) -> Any:
    """Decode JSON with values that the strict decoder refuses; they become `Unreadable`.

    Raises
    ------
    ValueError, RecursionError
        If it is not JSON apart from such values.

    >>> decode_leniently(b'{"a": NaN, "b": 1}'), decode_leniently(b'{"a": 1e999}')
    ({'a': 'NaN', 'b': 1}, {'a': '1e999'})
    """
    value = _decode_lenient(raw.decode("utf-8", "surrogateescape"))
    return _encodable(value)


def _integer(text: str) -> Any:
    try:
        return int(text)
    except ValueError:  # more digits than Python converts
        return Unreadable(text)


def _number(text: str) -> Any:
    number = float(text)
    return number if math.isfinite(number) else Unreadable(text)


_decode_lenient = json.JSONDecoder(
    parse_int=_integer, parse_float=_number, parse_constant=Unreadable, strict=False
).decode


def _encodable(value: Any) -> Any:
    """Return a value in which texts that UTF-8 cannot encode are replaced by `Unreadable`."""
    if isinstance(value, dict):
        return {_escaped(name): _encodable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_encodable(inner) for inner in value]
    if type(value) is str and not _is_utf8(value):
        return Unreadable(_escaped(value))
    return value


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _escaped(text: str) -> str:
    return text if _is_utf8(text) else text.encode("utf-8", "backslashreplace").decode()


def kept_value(value: Any) -> Any:
    """Return an unreadable or undocumented value in a form that can be written as JSON again.

    >>> kept_value(Unreadable("NaN")), kept_value([1, Unreadable("NaN")])
    ('NaN', [1, 'NaN'])
    """
    if isinstance(value, Unreadable):
        return str(value)
    if isinstance(value, dict | list):
        if is_too_deep(value):
            return _json_text(value)
        return _plain(value)
    return value


def _json_text(value: Any) -> str:
    """Return a value nested deeply as JSON; if even that is impossible, say so."""
    try:
        return msgspec.json.encode(value).decode()
    except Exception:
        return f"nested deeper than {MAX_DEPTH} levels"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, Unreadable) else value


def is_too_deep(value: dict[str, Any] | list[Any]) -> bool:
    """Return whether a value has more than `MAX_DEPTH` levels."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        inner = [v for outer in level for v in (outer.values() if isinstance(outer, dict) else outer)]
        level = [v for v in inner if isinstance(v, dict | list)]
        if not level:
            return False
    return True


# The documented fields of a channel.


class _Field(NamedTuple):
    """A documented field: its column, a struct with this field alone, and the fields of a nested object."""

    column: str
    alone: type[msgspec.Struct]
    required: bool
    is_text: bool
    nested: dict[str, _Field] | None


_TEXT_TYPES = (KeyText, KeyCode, Symbol, Code, Text)


def _fields(struct: type[Fields], path: tuple[str, ...] = ()) -> dict[str, _Field]:
    fields = {}
    for field in msgspec.structs.fields(struct):
        inner = nested_fields(field.type)
        column = column_name((*path, field.encode_name))
        alone = msgspec.defstruct("Alone", [("value", field.type)], gc=False)
        nested = None if inner is None else _fields(inner, (*path, field.encode_name))
        fields[field.encode_name] = _Field(column, alone, field.required, field.type in _TEXT_TYPES, nested)
    return fields


FIELDS = {name: _fields(get_type_hints(channel.message)["data"]) for name, channel in CHANNELS.items()}
"""The documented fields of each channel's `data`, by their names on the wire."""


def readable_fields(
    data: Any, fields: Mapping[str, _Field], path: str = "data"
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split documented fields into readable and unreadable ones; ignore the others.

    Returns
    -------
    tuple of dict and dict
        The readable fields as they are on the wire (a number or a flag in a field of text is text), and the values
        of the unreadable ones by column.

    Raises
    ------
    InvalidMessage
        If a required field is unreadable.
    """
    readable: dict[str, Any] = {}
    unreadable: dict[str, Any] = {}
    for name, value in data.items():
        field = fields.get(name)
        if field is None:
            continue
        if field.nested is not None:
            if isinstance(value, dict):
                readable[name], inner = readable_fields(value, field.nested, f"{path}.{name}")
                unreadable |= inner
            elif value is not None:
                unreadable[field.column] = kept_value(value)
            continue
        if field.is_text and type(value) in (int, float, bool):
            value = str(value).lower() if type(value) is bool else str(value)
        elif type(value) is str and value != value.strip() and not field.required:
            value = _without_blanks(value, field)
        try:
            if isinstance(value, Unreadable):
                raise InvalidMessage(f"{value[:50]!r} is not valid")
            msgspec.convert({"value": value}, field.alone, strict=False)
        except Exception as error:
            if field.required:
                raise InvalidMessage(f"{path}.{name}: {str(error).removesuffix(' - at `$.value`')}") from None
            unreadable[field.column] = kept_value(value)
            continue
        readable[name] = value
    return readable, unreadable


def _without_blanks(text: str, field: _Field) -> str:
    """Return the text of a number without blanks around it; any other text as it is."""
    try:
        msgspec.convert({"value": text.strip()}, field.alone, strict=True)
    except Exception:  # not a field of text
        return text.strip()
    return text

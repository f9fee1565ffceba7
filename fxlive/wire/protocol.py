"""The wire, without I/O and without a clock: bytes in, a typed batch and rejections out; requests in, bytes out.

A message whose every field is documented is decoded by one call into its struct, and the structs of a batch into
columns by one pass for each channel. Only a message that this refuses is looked at again, slowly: it may hold
undocumented fields, be of an undocumented channel, or be wrong. Nothing that `decode` is given makes it raise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple, Union, get_type_hints

import msgspec
import numpy as np

from fxlive.core.timestamps import parse_times
from fxlive.wire.batch import MAX_RAW_CHARS, Batch, Rejection, Rows
from fxlive.wire.channels import CHANNEL_OF_TYPE, CHANNELS, Channel, Column, column_name, nested_fields
from fxlive.wire.messages import CONTROL_MESSAGES, DATA_MESSAGES, Control, Fields, Kind, Message, Undocumented, camel

Raw = bytes | bytearray | memoryview
AnyMessage = Message | Undocumented | Control

MAX_DEPTH = 64
"""How deep what the reference does not name may be nested."""

MAX_REASON_CHARS = 500

_decode_typed = msgspec.json.Decoder(Union[(*DATA_MESSAGES, *CONTROL_MESSAGES)], strict=False).decode
_decode_any = msgspec.json.Decoder().decode
_CONTROL_OF_TYPE = {str(message.__struct_config__.tag): message for message in CONTROL_MESSAGES}
_TAKEN = {"timestamp", "received_at", "extra", "id"}
_TAKEN_BY = {name: _TAKEN.union(c.name for c in channel.columns) for name, channel in CHANNELS.items()}


class _Wrong(Exception):
    """Why a message is rejected."""


def decode(frames: Sequence[Raw], received_at: int, arrival: int = 0) -> Batch:
    """Decode the messages that arrived together.

    Parameters
    ----------
    frames
        The payload of each WebSocket message.
    received_at
        When they arrived, in microseconds since 1970 UTC.
    arrival
        The number of messages that arrived before these.

    Examples
    --------
    >>> batch = decode([b'{"type": "error", "error": "Invalid channel"}', b"what?"], 0)
    >>> len(batch.control), batch.rejected[0].raw
    (1, 'what?')
    """
    batch = Batch(received_at)
    extras: dict[int, dict[str, Any]] = {}
    messages: Sequence[AnyMessage | None]
    try:
        messages = list(map(_decode_typed, frames))
    except Exception:  # whatever is wrong with one of them, one by one it shows
        messages = [_decode_one(place, frame, batch, extras) for place, frame in enumerate(frames)]
    found: dict[str, _Found] = {}
    if len(set(map(type, messages))) == 1 and isinstance(messages[0], Message):  # the usual case: a read of quotes
        found[messages[0].channel] = _Found(messages, range(len(messages)), extras)  # type: ignore[arg-type]
    else:
        for place, message in enumerate(messages):
            if isinstance(message, Control):
                batch.control.append(message)
            elif message is not None:
                of_channel = found.setdefault(message.channel, _Found([], [], {}))
                if place in extras:
                    of_channel.extras[len(of_channel.messages)] = extras[place]
                of_channel.messages.append(message)
                of_channel.places.append(place)  # type: ignore[attr-defined]
    for name, of_channel in found.items():
        rows, wrong = _to_rows(
            CHANNELS.get(name) or Channel(name, columns=_UNDOCUMENTED), of_channel, received_at, arrival
        )
        batch.rejected += [_rejection(received_at, reason, frames[place]) for place, reason in wrong]
        if len(rows):
            batch.rows[name] = rows
    return batch


def subscribe(channels: Mapping[str, Mapping[str, Any] | None]) -> str:
    """Return the request to subscribe to channels, each with its filters (snake_case, sent as camelCase).

    >>> subscribe({"trades": {"strategy_id": "s1"}})
    '{"type":"subscribe","channels":[{"name":"trades","filters":{"strategyId":"s1"}}]}'
    """
    wanted = [{"name": n, "filters": {camel(k): v for k, v in (f or {}).items()}} for n, f in channels.items()]
    return msgspec.json.encode({"type": "subscribe", "channels": wanted}).decode()


def unsubscribe(channels: Sequence[str]) -> str:
    """Return the request to unsubscribe from channels.

    >>> unsubscribe(["trades"])
    '{"type":"unsubscribe","channels":["trades"]}'
    """
    return msgspec.json.encode({"type": "unsubscribe", "channels": list(channels)}).decode()


# The slow way: undocumented fields, undocumented channels, and the reasons of rejections.


def _decode_one(place: int, frame: Raw, batch: Batch, extras: dict[int, dict[str, Any]]) -> AnyMessage | None:
    """Return a message, noting its undocumented fields in `extras`; None where it is rejected, noted in `batch`."""
    try:
        message: AnyMessage = _decode_typed(frame)
        return message
    except Exception:  # whatever is wrong, the slow way says what
        try:
            message, undocumented = _decode_slowly(frame)
        except Exception as error:
            batch.rejected.append(_rejection(batch.received_at, error, frame))
            return None
    if undocumented:
        extras[place] = undocumented
    return message


def _decode_slowly(frame: Raw) -> tuple[AnyMessage, dict[str, Any]]:
    message = _decode_any(frame)
    if not isinstance(message, dict):
        raise _Wrong("not a JSON object")
    kind = message.get("type")
    if not isinstance(kind, str):
        raise _Wrong("type is missing or not text")
    if kind in _CONTROL_OF_TYPE:
        return msgspec.convert(message, _CONTROL_OF_TYPE[kind], strict=False), {}
    name = message.get("channel")
    if not isinstance(name, str):
        raise _Wrong("channel is missing or not text")
    if not isinstance(message.get("timestamp"), str):
        raise _Wrong("timestamp is missing or not text")
    if "data" not in message:
        raise _Wrong("data is missing")
    by_type, channel = CHANNEL_OF_TYPE.get(kind), CHANNELS.get(name)
    if by_type is not None and by_type is not channel:
        raise _Wrong(f"type {kind!r} does not belong on channel {name!r}")
    envelope = {k: message[k] for k in ("type", "channel", "data", "timestamp")}
    envelope["id"] = _text_id(message.get("id"))
    extras = _Extras(channel)
    for field, value in message.items():
        if field not in envelope:
            extras.add((field,), value)
    if channel is None or channel.message is None:
        extras.add(("type",), kind)
        extras.add_all(envelope["data"], ())
        return msgspec.convert(envelope, Undocumented), extras.values
    envelope["data"] = _split(envelope["data"], _SHAPES[channel.name], (), extras)
    if by_type is None:
        extras.add(("type",), kind)
        envelope["type"] = channel.type
    return msgspec.convert(envelope, channel.message, strict=False), extras.values


def _text_id(value: Any) -> str | None:
    """An id is text; a number is taken as its text."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if value is None or isinstance(value, str):
        return value
    raise _Wrong("id is neither text nor a number")


Shape = dict[str, "Shape | None"]


def _shape(fields: type[Fields]) -> Shape:
    """Return the documented names of an object on the wire, with the shape of those that are objects themselves."""
    nested = {f.encode_name: nested_fields(f.type) for f in msgspec.structs.fields(fields)}
    return {name: None if inner is None else _shape(inner) for name, inner in nested.items()}


_SHAPES = {name: _shape(get_type_hints(channel.message)["data"]) for name, channel in CHANNELS.items()}


def _split(data: Any, shape: Shape, path: tuple[str, ...], extras: _Extras) -> Any:
    """Return the documented part of `data`, and add the rest to `extras`."""
    if not isinstance(data, dict):
        return data
    kept = {}
    for name, value in data.items():
        if name not in shape:
            extras.add((*path, name), value)
            continue
        nested = shape[name]
        kept[name] = value if nested is None else _split(value, nested, (*path, name), extras)
    return kept


class _Extras:
    """The undocumented fields of one message, flattened, under names that no column of the channel has."""

    def __init__(self, channel: Channel | None) -> None:
        self._taken = _TAKEN if channel is None else _TAKEN_BY[channel.name]
        self.values: dict[str, Any] = {}

    def add_all(self, data: Any, path: tuple[str, ...]) -> None:
        if isinstance(data, dict):
            for name, value in data.items():
                self.add((*path, name), value)
        else:
            self.add((*path, "data"), data)

    def add(self, path: tuple[str, ...], value: Any) -> None:
        if len(path) > MAX_DEPTH or (isinstance(value, list) and _deep(value)):
            raise _Wrong(f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(value, dict) and value:
            for name, inner in value.items():
                self.add((*path, name), inner)
            return
        name = column_name(path)
        while name in self._taken or name in self.values:
            name += "_"
        self.values[name] = value


def _deep(value: list[Any]) -> bool:
    """Whether a list is nested deeper than later rooms can be asked to write it as JSON again."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        inner = [v for outer in level for v in (outer.values() if isinstance(outer, dict) else outer)]
        level = [v for v in inner if isinstance(v, dict | list)]
        if not level:
            return False
    return True


def _rejection(received_at: int, why: Exception | str, frame: Raw) -> Rejection:
    reason = str(why) if isinstance(why, str | _Wrong | msgspec.MsgspecError) else f"{type(why).__name__}: {why}"
    raw = bytes(memoryview(frame)[: 4 * MAX_RAW_CHARS]).decode("utf-8", "replace")
    return Rejection(received_at, reason[:MAX_REASON_CHARS], raw[:MAX_RAW_CHARS])


# From structs to columns.

_UNDOCUMENTED = (Column("id", Kind.TEXT),)


class _Found(NamedTuple):
    """The messages of one channel in a batch, with their places among all, and the undocumented fields of each."""

    messages: list[Message | Undocumented]
    places: Sequence[int]
    extras: dict[int, dict[str, Any]]


def _to_rows(channel: Channel, found: _Found, received_at: int, arrival: int) -> tuple[Rows, list[tuple[int, str]]]:
    """Return the rows of a channel's messages, and the place and reason of each that holds a wrong time."""
    messages = found.messages
    count = len(messages)
    texts = [m.timestamp for m in messages]
    timestamp, bad = parse_times(texts)
    wrong = {place: f"timestamp: not an ISO 8601 time: {texts[place]!r}" for place in bad}
    values: dict[str, Any] = {"id": [m.id for m in messages]}
    for columns, read in _READERS.get(channel.name, ()):
        for column, raw in zip(columns, read(messages), strict=True):
            if column.kind is Kind.NUMBER:
                values[column.name] = np.array(raw, np.float64)  # None becomes NaN
            elif column.kind is Kind.KEY_INTEGER:
                values[column.name] = np.array(raw, np.int64)
            elif column.kind is Kind.TIME:
                times = list(raw)
                if times == texts:  # the usual case: data.timestamp repeats the envelope's
                    values[column.name] = timestamp
                    continue
                values[column.name], bad = parse_times(times)
                for place in bad:
                    wrong[place] = f"{'.'.join(column.path)}: not an ISO 8601 time: {times[place]!r}"
            else:
                values[column.name] = list(raw)
    numbers = np.array(found.places, np.int64) + arrival
    rows = Rows(channel, messages, timestamp, np.full(count, received_at, np.int64), numbers, values, found.extras)
    if wrong:
        rows = rows.take([place for place in range(count) if place not in wrong])
    return rows, [(found.places[place], reason) for place, reason in sorted(wrong.items())]


Reader = Callable[[Sequence[Any]], Iterator[Sequence[Any]]]


def _readers(channel: Channel) -> list[tuple[list[Column], Reader]]:
    """Return for each object in a channel's messages (`data` and what is nested in it) its columns and their reader."""
    groups: dict[tuple[str, ...], list[Column]] = {}
    for column in channel.columns:
        if column.path:
            groups.setdefault(column.path[:-1], []).append(column)
    return [(columns, _reader(channel, parents, columns)) for parents, columns in groups.items()]


def _reader(channel: Channel, parents: tuple[str, ...], columns: list[Column]) -> Reader:
    names = [column.path[-1] for column in columns]
    get = attrgetter(*names) if len(names) > 1 else lambda fields: (getattr(fields, names[0]),)
    if not parents:
        return lambda messages: zip(*[get(m.data) for m in messages], strict=True)
    missing = (None,) * len(names)
    parent = attrgetter(".".join(("data", *parents)))

    def read(messages: Sequence[Any]) -> Iterator[Sequence[Any]]:
        objects = [parent(m) for m in messages]
        return zip(*[missing if o is None else get(o) for o in objects], strict=True)

    return read


_READERS = {channel.name: _readers(channel) for channel in CHANNELS.values()}

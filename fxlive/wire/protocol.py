"""The protocol, without I/O and without a clock: decode frames into typed batches, and encode requests.

One call decodes a message whose fields are all documented into its struct, and one pass for each channel turns the
structs of a batch into columns. A message that this fast path refuses is decoded again by a slow path. It contains
undocumented fields, belongs to an undocumented channel, or is invalid. `decode` never raises.
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
"""The most levels of nesting in undocumented fields. Deeper messages are rejected."""

MAX_REASON_CHARS = 500

_decode_typed = msgspec.json.Decoder(Union[(*DATA_MESSAGES, *CONTROL_MESSAGES)], strict=False).decode
_decode_any = msgspec.json.Decoder().decode
_CONTROL_OF_TYPE = {str(message.__struct_config__.tag): message for message in CONTROL_MESSAGES}
_RESERVED = {"timestamp", "received_at", "extra", "id"}
_RESERVED_BY_CHANNEL = {name: _RESERVED.union(c.name for c in channel.columns) for name, channel in CHANNELS.items()}


class _InvalidMessage(Exception):
    """The reason why a message is rejected."""


def decode(frames: Sequence[Raw], received_at: int, arrival: int = 0) -> Batch:
    """Decode the messages that arrived together.

    Parameters
    ----------
    frames
        The payloads of the WebSocket messages.
    received_at
        The time of receipt, in microseconds since 1970 UTC.
    arrival
        The number of messages received before these.

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
    except Exception:  # decode one by one to find the messages that the fast path refuses
        messages = [_decode_one(index, frame, batch, extras) for index, frame in enumerate(frames)]
    by_channel: dict[str, _ChannelMessages] = {}
    if len(set(map(type, messages))) == 1 and isinstance(messages[0], Message):  # the usual case: a read of quotes
        indices = range(len(messages))
        by_channel[messages[0].channel] = _ChannelMessages(messages, indices, extras)  # type: ignore[arg-type]
    else:
        for index, message in enumerate(messages):
            if isinstance(message, Control):
                batch.control.append(message)
            elif message is not None:
                group = by_channel.setdefault(message.channel, _ChannelMessages([], [], {}))
                if index in extras:
                    group.extras[len(group.messages)] = extras[index]
                group.messages.append(message)
                group.indices.append(index)  # type: ignore[attr-defined]
    for name, group in by_channel.items():
        channel = CHANNELS.get(name) or Channel(name, columns=_UNDOCUMENTED)
        rows, invalid = _to_rows(channel, group, received_at, arrival)
        batch.rejected += [_rejection(received_at, reason, frames[index]) for index, reason in invalid]
        if len(rows):
            batch.rows[name] = rows
    return batch


def subscribe(channels: Mapping[str, Mapping[str, Any] | None]) -> str:
    """Return a request to subscribe to channels with their filters (in snake_case, sent in camelCase).

    >>> subscribe({"trades": {"strategy_id": "s1"}})
    '{"type":"subscribe","channels":[{"name":"trades","filters":{"strategyId":"s1"}}]}'
    """
    named = [{"name": n, "filters": {camel(k): v for k, v in (f or {}).items()}} for n, f in channels.items()]
    return msgspec.json.encode({"type": "subscribe", "channels": named}).decode()


def unsubscribe(channels: Sequence[str]) -> str:
    """Return a request to unsubscribe from channels.

    >>> unsubscribe(["trades"])
    '{"type":"unsubscribe","channels":["trades"]}'
    """
    return msgspec.json.encode({"type": "unsubscribe", "channels": list(channels)}).decode()


# The slow path: undocumented fields, undocumented channels, and the reasons of rejections.


def _decode_one(index: int, frame: Raw, batch: Batch, extras: dict[int, dict[str, Any]]) -> AnyMessage | None:
    """Return a message and add its undocumented fields to `extras`; None if it is rejected, and added to `batch`."""
    try:
        message: AnyMessage = _decode_typed(frame)
        return message
    except Exception:
        try:
            message, undocumented = _decode_slowly(frame)
        except Exception as error:
            batch.rejected.append(_rejection(batch.received_at, error, frame))
            return None
    if undocumented:
        extras[index] = undocumented
    return message


def _decode_slowly(frame: Raw) -> tuple[AnyMessage, dict[str, Any]]:
    message = _decode_any(frame)
    if not isinstance(message, dict):
        raise _InvalidMessage("not a JSON object")
    kind = message.get("type")
    if not isinstance(kind, str):
        raise _InvalidMessage("type is missing or not text")
    if kind in _CONTROL_OF_TYPE:
        return msgspec.convert(message, _CONTROL_OF_TYPE[kind], strict=False), {}
    name = message.get("channel")
    if not isinstance(name, str):
        raise _InvalidMessage("channel is missing or not text")
    if not isinstance(message.get("timestamp"), str):
        raise _InvalidMessage("timestamp is missing or not text")
    if "data" not in message:
        raise _InvalidMessage("data is missing")
    by_type, channel = CHANNEL_OF_TYPE.get(kind), CHANNELS.get(name)
    if by_type is not None and by_type is not channel:
        raise _InvalidMessage(f"type {kind!r} does not belong on channel {name!r}")
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
    """Return an id as text; a number is accepted."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if value is None or isinstance(value, str):
        return value
    raise _InvalidMessage("id is neither text nor a number")


Shape = dict[str, "Shape | None"]


def _shape(fields: type[Fields]) -> Shape:
    """Return the documented field names of an object on the wire, with the shapes of nested objects."""
    nested = {f.encode_name: nested_fields(f.type) for f in msgspec.structs.fields(fields)}
    return {name: None if inner is None else _shape(inner) for name, inner in nested.items()}


_SHAPES = {name: _shape(get_type_hints(channel.message)["data"]) for name, channel in CHANNELS.items()}


def _split(data: Any, shape: Shape, path: tuple[str, ...], extras: _Extras) -> Any:
    """Return the documented fields of `data`, and add the others to `extras`."""
    if not isinstance(data, dict):
        return data
    documented = {}
    for name, value in data.items():
        if name not in shape:
            extras.add((*path, name), value)
            continue
        nested = shape[name]
        documented[name] = value if nested is None else _split(value, nested, (*path, name), extras)
    return documented


class _Extras:
    """The undocumented fields of one message, flattened, with names that differ from the channel's columns."""

    def __init__(self, channel: Channel | None) -> None:
        self._reserved = _RESERVED if channel is None else _RESERVED_BY_CHANNEL[channel.name]
        self.values: dict[str, Any] = {}

    def add_all(self, data: Any, path: tuple[str, ...]) -> None:
        if isinstance(data, dict):
            for name, value in data.items():
                self.add((*path, name), value)
        else:
            self.add((*path, "data"), data)

    def add(self, path: tuple[str, ...], value: Any) -> None:
        if len(path) > MAX_DEPTH or (isinstance(value, list) and _is_too_deep(value)):
            raise _InvalidMessage(f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(value, dict) and value:
            for name, inner in value.items():
                self.add((*path, name), inner)
            return
        name = column_name(path)
        while name in self._reserved or name in self.values:
            name += "_"
        self.values[name] = value


def _is_too_deep(value: list[Any]) -> bool:
    """Return whether a list has more than `MAX_DEPTH` levels. Encoding it as JSON again could then fail."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        inner = [v for outer in level for v in (outer.values() if isinstance(outer, dict) else outer)]
        level = [v for v in inner if isinstance(v, dict | list)]
        if not level:
            return False
    return True


def _rejection(received_at: int, cause: Exception | str, frame: Raw) -> Rejection:
    is_message = isinstance(cause, str | _InvalidMessage | msgspec.MsgspecError)
    reason = str(cause) if is_message else f"{type(cause).__name__}: {cause}"
    raw = bytes(memoryview(frame)[: 4 * MAX_RAW_CHARS]).decode("utf-8", "replace")
    return Rejection(received_at, reason[:MAX_REASON_CHARS], raw[:MAX_RAW_CHARS])


# From structs to columns.

_UNDOCUMENTED = (Column("id", Kind.TEXT),)


class _ChannelMessages(NamedTuple):
    """The messages of one channel in a batch, their indices in the batch, and their undocumented fields."""

    messages: list[Message | Undocumented]
    indices: Sequence[int]
    extras: dict[int, dict[str, Any]]


def _to_rows(
    channel: Channel, group: _ChannelMessages, received_at: int, arrival: int
) -> tuple[Rows, list[tuple[int, str]]]:
    """Return the rows of a channel's messages, and the index and reason of each message with an invalid time."""
    messages = group.messages
    count = len(messages)
    texts = [m.timestamp for m in messages]
    timestamp, invalid = parse_times(texts)
    reasons = {i: f"timestamp: not an ISO 8601 time: {texts[i]!r}" for i in invalid}
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
                values[column.name], invalid = parse_times(times)
                for i in invalid:
                    reasons[i] = f"{'.'.join(column.path)}: not an ISO 8601 time: {times[i]!r}"
            else:
                values[column.name] = list(raw)
    numbers = np.array(group.indices, np.int64) + arrival
    rows = Rows(channel, messages, timestamp, np.full(count, received_at, np.int64), numbers, values, group.extras)
    if reasons:
        rows = rows.take([i for i in range(count) if i not in reasons])
    return rows, [(group.indices[i], reason) for i, reason in sorted(reasons.items())]


Reader = Callable[[Sequence[Any]], Iterator[Sequence[Any]]]


def _readers(channel: Channel) -> list[tuple[list[Column], Reader]]:
    """Return the columns and the reader of each object in a channel's messages: `data` and the objects nested in it."""
    groups: dict[tuple[str, ...], list[Column]] = {}
    for column in channel.columns:
        if column.path:
            groups.setdefault(column.path[:-1], []).append(column)
    return [(columns, _reader(channel, parents, columns)) for parents, columns in groups.items()]


def _reader(channel: Channel, parents: tuple[str, ...], columns: list[Column]) -> Reader:
    """Return a function from messages to the values of columns whose fields have the path `parents`."""
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

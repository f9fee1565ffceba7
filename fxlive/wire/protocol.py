"""The protocol, without I/O and without a clock: decode frames into typed batches, and encode requests.

One call decodes a message whose fields are all documented into its struct, and one pass for each channel turns the
structs of a batch into columns. A frame that this fast path refuses is decoded again by `slow_path.py`. `decode` never
raises.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple, get_type_hints

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec.structs import astuple

from fxlive.core.timestamps import parse_times
from fxlive.wire.batch import MAX_RAW_CHARS, Batch, Rejection, Rows
from fxlive.wire.channels import CHANNELS, Channel, Column, nested_fields
from fxlive.wire.messages import Control, Kind, Message, Undocumented, camel
from fxlive.wire.slow_path import AnyMessage, Raw, decode_frame
from fxlive.wire.undocumented.extras import Extras
from fxlive.wire.undocumented.layouts import LAYOUTS

MAX_REASON_CHARS = 500


def decode(frames: Sequence[Raw], received_at: int, arrival: int = 0) -> Batch:
    """Decode the messages that arrived together.

    Parameters
    ----------
    frames
        The payloads of the WebSocket messages.
    received_at
        The time of receipt, in microseconds since 1970 UTC.
    arrival
        The number of messages received before these: the sum of `Batch.count` so far.

    Examples
    --------
    >>> batch = decode([b'{"type": "error", "error": "Invalid channel"}', b"what?"], 0)
    >>> len(batch.control), batch.rejected[0].raw
    (1, 'what?')
    """
    batch = Batch(received_at, count=len(frames), size_bytes=sum(map(len, frames)))
    extras: dict[int, dict[str, Any]] = {}
    messages: Sequence[AnyMessage | None]
    sources: Sequence[Raw] = frames
    try:
        messages = list(map(LAYOUTS.decode, frames))
    except Exception:  # decode one by one to find the messages that the fast path refuses
        messages, sources = _decode_one_by_one(frames, batch, extras)
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
        batch.rejected += [_rejection(received_at, reason, sources[index]) for index, reason in invalid]
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


def _decode_one_by_one(
    frames: Sequence[Raw], batch: Batch, extras: dict[int, dict[str, Any]]
) -> tuple[list[AnyMessage | None], list[Raw]]:
    """Return the messages of frames, and the bytes of each; None for a rejected message and for a heartbeat.

    Adds the undocumented and unreadable fields of messages to `extras`, by index.
    """
    messages: list[AnyMessage | None] = []
    sources: list[Raw] = []
    decode_typed = LAYOUTS.decode  # it changes when a layout is learned; the messages of a batch have the same
    for frame in frames:
        try:
            messages.append(decode_typed(frame))
            sources.append(frame)
        except Exception:
            for raw, message, fields, reason in decode_frame(frame):
                if reason is not None:
                    batch.rejected.append(_rejection(batch.received_at, reason, raw))
                elif message is None:
                    batch.heartbeats += 1
                if fields:
                    extras[len(messages)] = fields
                messages.append(message)
                sources.append(raw)
    batch.count = len(messages)
    return messages, sources


def _rejection(received_at: int, reason: str, frame: Raw) -> Rejection:
    raw = bytes(memoryview(frame)[: 4 * MAX_RAW_CHARS]).decode("utf-8", "replace")
    cut = f" (the first {MAX_RAW_CHARS:,} characters of {len(frame):,} bytes)" if len(raw) > MAX_RAW_CHARS else ""
    return Rejection(received_at, reason[: MAX_REASON_CHARS - len(cut)] + cut, raw[:MAX_RAW_CHARS])


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
    """Return the rows of a channel's messages, and the index and reason of each with an invalid envelope time.

    An invalid time of `data` is missing in its row, and its text becomes one of the row's extra fields.
    """
    messages, extras = _without_undocumented(group)
    count = len(messages)
    texts = [m.timestamp for m in messages]
    timestamp, invalid = parse_times(texts)
    reasons = {i: f"timestamp: not an ISO 8601 time: {texts[i]!r}" for i in invalid}
    values: dict[str, Any] = {"id": [m.id for m in messages]}
    for nested in _OBJECTS.get(channel.name, ()):
        for column, raw in nested.read(messages):
            if column.kind is Kind.NUMBER:
                values[column.name] = _to_floats(raw)
            elif column.kind is Kind.KEY_INTEGER:
                values[column.name] = np.array(raw, np.int64)
            elif column.kind is Kind.TIME:
                times = list(raw)
                if times == texts:  # the usual case: data.timestamp repeats the envelope's
                    values[column.name] = timestamp
                    continue
                values[column.name], invalid = parse_times(times)
                extras.add(column.name, {i: times[i] for i in invalid})
            else:
                values[column.name] = list(raw)
    numbers = np.array(group.indices, np.int64) + arrival
    rows = Rows(channel, messages, timestamp, np.full(count, received_at, np.int64), numbers, values, extras)
    if reasons:
        rows = rows.take([i for i in range(count) if i not in reasons])
    return rows, [(group.indices[i], reason) for i, reason in sorted(reasons.items())]


def _without_undocumented(group: _ChannelMessages) -> tuple[list[Message | Undocumented], Extras]:
    """Return messages without the undocumented fields of a learned layout, and the undocumented fields of all."""
    for message_type in set(map(type, group.messages)):
        layout = getattr(message_type, "layout", None)
        if layout is not None:
            messages, extras = layout.split(group.messages, group.extras)
            LAYOUTS.forget_unused(layout)
            return messages, extras
    return group.messages, Extras(group.extras)


class _Object(NamedTuple):
    """An object in a channel's messages: `data`, or one nested in it."""

    get: Callable[[Any], Any]
    columns: list[Column]
    positions: list[int]
    missing: tuple[None, ...]

    def read(self, messages: Sequence[Any]) -> Iterator[tuple[Column, tuple[Any, ...]]]:
        """Yield each column of the object's fields with its values; None in messages without the object."""
        objects = map(self.get, messages)
        fields = list(zip(*[self.missing if o is None else astuple(o) for o in objects], strict=True))
        for column, position in zip(self.columns, self.positions, strict=True):
            yield column, fields[position]


def _objects(channel: Channel) -> list[_Object]:
    columns: dict[tuple[str, ...], list[Column]] = {}
    for column in channel.columns:
        if column.path:
            columns.setdefault(column.path[:-1], []).append(column)
    return [_object(channel, parents, own) for parents, own in columns.items()]


def _object(channel: Channel, parents: tuple[str, ...], columns: list[Column]) -> _Object:
    struct_type: Any = channel.message
    for name in ("data", *parents):
        struct_type = nested_fields(get_type_hints(struct_type)[name])
    names = struct_type.__struct_fields__
    positions = [names.index(column.path[-1]) for column in columns]
    return _Object(attrgetter(".".join(("data", *parents))), columns, positions, (None,) * len(names))


_OBJECTS = {channel.name: _objects(channel) for channel in CHANNELS.values()}


def _to_floats(values: Sequence[float | None]) -> npt.NDArray[np.float64]:
    numbers = np.empty(len(values))
    try:
        struct.pack_into(f"{len(values)}d", numbers.data, 0, *values)  # twice as fast as numpy
    except struct.error:
        return np.array(values, np.float64)  # None becomes NaN
    return numbers

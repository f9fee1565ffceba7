"""The slow path of decoding, for frames that are not one message with documented, readable fields only.

It accepts undocumented fields and channels, unreadable optional fields, several messages in a frame, and heartbeats; it
finds the reasons of rejections.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from fxlive.wire.channels import CHANNEL_OF_TYPE, CHANNELS, Channel
from fxlive.wire.lenient import FIELDS, InvalidMessage, decode_leniently, kept_value, readable_fields
from fxlive.wire.messages import (
    CONTROL_MESSAGES,
    Connection,
    Control,
    Message,
    Subscription,
    Undocumented,
    Unsubscription,
)
from fxlive.wire.splitting import is_heartbeat, split_frame, strip_frame
from fxlive.wire.undocumented.layouts import LAYOUTS, decode_documented
from fxlive.wire.undocumented.names import flatten

Raw = bytes | bytearray | memoryview
AnyMessage = Message | Undocumented | Control

MAX_CHANNEL_CHARS = 1_024
"""The longest name of a channel. Messages of channels with longer names are rejected."""

MAX_LEARNED_BYTES = 65_536
"""The largest message whose undocumented fields may be learned."""

_decode_any = msgspec.json.Decoder().decode


class Decoded(NamedTuple):
    """One message of a frame: its own bytes, and either the message, or why it is rejected, or neither if a heartbeat.

    `extras` are its undocumented and its unreadable fields, by column. The reason of a rejection is text: an exception
    would keep the frames of its traceback, and with them the message, alive.
    """

    raw: Raw
    message: AnyMessage | None = None
    extras: dict[str, Any] | None = None
    reason: str | None = None


def decode_frame(frame: Raw) -> Iterator[Decoded]:
    """Yield the messages of a frame, at least one. Never raises.

    >>> [decoded.message for decoded in decode_frame(b"ping")], [d.raw for d in decode_frame(b"[{},{}]")]
    ([None], [b'{}', b'{}'])
    """
    try:
        value = _decode_any(frame)
    except Exception as error:
        value, reason = None, _reason(error)
    else:
        reason = "not a JSON object"
    if isinstance(value, dict):
        yield _decoded(frame, value)
    else:
        yield from _decode_parts(frame, reason)


def _decode_parts(frame: Raw, reason: str) -> Iterator[Decoded]:
    """Decode a frame that is not one JSON object."""
    frame = bytes(frame)
    whole = _decode_part(frame)
    if whole.reason is None:
        yield whole
        return
    parts = split_frame(frame)
    if parts == [strip_frame(frame)] or parts == [frame]:
        yield whole._replace(reason=reason)
        return
    yield from map(_decode_part, parts)


def _decode_part(raw: bytes) -> Decoded:
    """Decode one message, which may contain values that the strict decoder refuses."""
    content = strip_frame(raw)
    try:
        return Decoded(raw, decode_documented(content))
    except Exception:  # it has other fields, is a heartbeat, or is invalid
        pass
    if is_heartbeat(content[:100].decode("utf-8", "replace").strip('"')):
        return Decoded(raw)
    lenient = False
    try:
        value = _decode_any(content)
    except Exception as error:
        lenient, reason = True, _reason(error)
        try:
            value = decode_leniently(content)
        except Exception:
            return Decoded(raw, reason=reason)
        if not isinstance(value, dict):
            return Decoded(raw, reason=reason)
    return _decoded(raw, value, lenient=lenient)


def _decoded(raw: Raw, value: Any, *, lenient: bool = False) -> Decoded:
    try:
        message, extras = _to_message(value, len(raw), lenient)
    except Exception as error:
        return Decoded(raw, reason=_reason(error))
    return Decoded(raw, message, extras)


def _reason(error: Exception) -> str:
    is_about_message = isinstance(error, InvalidMessage | msgspec.MsgspecError)
    return str(error) if is_about_message else f"{type(error).__name__}: {error}"


def _to_message(message: Any, size: int, lenient: bool) -> tuple[AnyMessage | None, dict[str, Any] | None]:
    """Return a message with its undocumented and unreadable fields; None for a heartbeat."""
    if not isinstance(message, dict):
        raise InvalidMessage("not a JSON object")
    kind, name = message.pop("type", None), message.get("channel")
    if type(kind) is not str:
        raise InvalidMessage("type is missing or not text")
    if is_heartbeat(kind) and not (message.get("data") and name):
        return None, None
    control = _CONTROL_OF_TYPE.get(_squashed(kind))
    if control is not None:
        return msgspec.convert(message | {"type": control.__struct_config__.tag}, control, strict=False), None
    if type(name) is not str:
        raise InvalidMessage("channel is missing or not text")
    if len(name) > MAX_CHANNEL_CHARS:
        raise InvalidMessage(f"the name of the channel has more than {MAX_CHANNEL_CHARS} characters")
    timestamp = message.get("timestamp")
    if type(timestamp) is not str:
        raise InvalidMessage("timestamp is missing or not text")
    if "data" not in message:
        raise InvalidMessage("data is missing")
    channel = _channel(kind, name)
    text_id, unreadable = _text_id(message.pop("id", None))
    data = message["data"]
    for field in ("channel", "timestamp", "data"):
        del message[field]
    if channel is None:
        fields = flatten(None, {**message, "type": kind}, data, size)
        return Undocumented(kind, name, _kept(data) if lenient else data, timestamp, text_id), fields | unreadable
    if not isinstance(data, dict):
        raise InvalidMessage("data is not an object")
    if _squashed(kind) not in _CHANNEL_OF_TYPE:
        message["type"] = kind
    documented = FIELDS[channel.name]
    undocumented = dict(data)
    values = {field: undocumented.pop(field) for field in documented if field in undocumented}
    extras = flatten(channel, message, data, size, undocumented)
    envelope = {"type": channel.type, "channel": channel.name, "timestamp": timestamp, "id": text_id}
    typed = channel.message
    assert typed is not None
    try:
        if lenient:
            raise InvalidMessage("some values are unreadable")
        converted = msgspec.convert(envelope | {"data": values}, typed, strict=False)
    except Exception:
        values, unreadable_fields = readable_fields(values, documented)
        converted = msgspec.convert(envelope | {"data": values}, typed, strict=False)
        return converted, extras | unreadable | unreadable_fields
    if (message or undocumented) and size <= MAX_LEARNED_BYTES and kind == channel.type and not unreadable:
        LAYOUTS.note(channel, message, undocumented)
    return converted, extras | unreadable


def _kept(data: Any) -> Any:
    return {name: kept_value(value) for name, value in data.items()} if isinstance(data, dict) else kept_value(data)


def _text_id(value: Any) -> tuple[str | None, dict[str, Any]]:
    """Return an id as text, a number included, or, if it is unreadable, its value as a field of `extra`."""
    if value is None or type(value) is str:
        return value, {}
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value), {}
    return None, {"id": kept_value(value)}


# Types and channels in any spelling.


def _squashed(name: str) -> str:
    """Return a name in lower case without spaces, hyphens and underscores."""
    return _squash(name) if len(name) <= MAX_CHANNEL_CHARS else name


@lru_cache(256)
def _squash(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).lower()


_CONTROL_OF_TYPE: dict[str, type[Control]] = {
    **{str(control.__struct_config__.tag): control for control in CONTROL_MESSAGES},
    "connected": Connection,
    "subscribed": Subscription,
    "unsubscribed": Unsubscription,
}
_CHANNEL_OF_TYPE = {_squash(kind): channel for kind, channel in CHANNEL_OF_TYPE.items()}


def _channel(kind: str, name: str) -> Channel | None:
    """Return the documented channel of a message; None if its channel is undocumented.

    The name of a channel may be spelled in any way if the type of the message confirms it.
    """
    by_type, by_name = _CHANNEL_OF_TYPE.get(_squashed(kind)), CHANNELS.get(name)
    if by_type is not None and by_type is not by_name:
        if by_name is not None or _squashed(name) != _squashed(by_type.name):
            raise InvalidMessage(f"type {kind!r} does not belong on channel {name!r}")
        return by_type
    return by_name

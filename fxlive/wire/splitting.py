"""Several messages in one frame, and heartbeats. Called only for frames that are not one JSON object.

Accepted are a JSON array of messages, one message per line, messages one after the other, a byte-order mark before
and NUL characters behind. A part that is not JSON ends at the next line, at the next object that follows an object, or
at the next comma before an object that begins with `type`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec

HEARTBEATS = frozenset({"ping", "pong", "heartbeat", "keepalive"})
"""The types of a heartbeat, in lower case without spaces, hyphens and underscores."""

MAX_PARTS = 10_000
"""The most messages of one frame. What follows them is one message, without being split, and rejected as such."""

Span = tuple[int, int]
"""The offsets of a message in its frame: its first byte, and the byte after its last."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\n\0\x1e"  # \x1e separates JSON texts, RFC 7464
_MAX_HEARTBEAT_CHARS = 64
_FAST_ARRAY_BYTES = 2**20  # a larger array is scanned part by part, so that its parts need little memory
_MAX_SCANNED_AGAIN = 2**28  # characters: bounds the time that parts which are not JSON may take

_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_scan = json.JSONDecoder(strict=False).raw_decode
_SEPARATORS = re.compile(r"(?:[\s,\[\]\x00\x1e]++|\xef\xbb\xbf)*+", re.ASCII)  # a byte-order mark is three characters
_NEXT_OBJECT = re.compile(rf"\}}(?={_SEPARATORS.pattern}\{{)|,(?=\s*\{{\s*\"type\")", re.ASCII)
_LINES = re.compile(rb"[^\n]+")  # a carriage return alone is white space
_LINE_OF_JSON = re.compile(rb"(?:^|\n)[\t\r ]*(?:\{[^\n]*\}|\[[^\n]*\]|\"?[A-Za-z_-]{4,10}\"?)[\t\r \0]*(?:\n|$)")


def is_heartbeat(text: Any) -> bool:
    """Return whether a text, or the type of a message, is that of a heartbeat.

    >>> is_heartbeat("PING"), is_heartbeat("keep-alive"), is_heartbeat("trade")
    (True, True, False)
    """
    if not isinstance(text, str) or len(text) > _MAX_HEARTBEAT_CHARS:
        return False
    return re.sub(r"[\s_-]", "", text).lower() in HEARTBEATS


def strip_frame(frame: bytes) -> bytes:
    """Return a frame without byte-order mark, NUL characters and white space at its ends."""
    return frame.strip(_BLANKS).removeprefix(_BYTE_ORDER_MARK).strip(_BLANKS)


def split_frame(frame: bytes) -> list[bytes]:
    r"""Return the messages of a frame, each as its own bytes. A frame of one message gives that message.

    >>> split_frame(b'[{"a": 1}, {"b": 2}]'), split_frame(b'\xef\xbb\xbf{"a": 1}\n{"b": \n{"c": 3}\0')
    ([b'{"a": 1}', b'{"b": 2}'], [b'{"a": 1}', b'{"b":', b'{"c": 3}'])
    """
    content = strip_frame(frame)
    spans = list(islice(_spans(content), MAX_PARTS + 1))
    if len(spans) > MAX_PARTS:
        spans[-1] = (spans[-1][0], len(content))
    return [strip_frame(content[start:stop]) for start, stop in spans] or [frame]


def _spans(content: bytes, *, is_inner: bool = False) -> Iterator[Span]:
    if content[:1] == b"[" and len(content) <= _FAST_ARRAY_BYTES:
        try:
            elements = _decode_array(content)
        except Exception:  # an element is not JSON, or there are several arrays
            elements = None
        if elements is not None:
            yield from _array_spans(content, elements, is_inner)
            return
    if b"\n" in content and _LINE_OF_JSON.search(content):
        for line in _LINES.finditer(content):
            part = strip_frame(line[0])
            if part:
                yield from _shifted(_spans(part), line.start() + line[0].index(part))
    elif content[:1] in (b"{", b"["):
        yield from _scan_spans(content)
    elif content:
        yield 0, len(content)


def _shifted(spans: Iterator[Span], by: int) -> Iterator[Span]:
    return ((start + by, stop + by) for start, stop in spans)


def _array_spans(content: bytes, elements: list[msgspec.Raw], is_inner: bool) -> Iterator[Span]:
    """Yield the spans of an array's elements, and of the elements of arrays in it, but of no deeper ones."""
    if not any(bytes(element).startswith((b"{", b"[{")) for element in elements):
        yield 0, len(content)  # an array of something else is one invalid message
        return
    stop = 1
    for element in elements:
        part = bytes(element)
        start = content.index(part, stop)
        stop = start + len(part)
        if part.startswith(b"[{") and not is_inner:
            yield from _shifted(_spans(part, is_inner=True), start)
        else:
            yield start, stop


def _scan_spans(content: bytes) -> Iterator[Span]:
    """Yield the JSON texts that follow each other, and the parts between them that are not JSON."""
    text = content.decode("latin-1")  # one character a byte: other characters than ASCII are in texts only
    at = _skip_separators(text, 0)
    if at == len(text):
        yield 0, len(text)
    broken_left = max(10, _MAX_SCANNED_AGAIN // len(text))
    while at < len(text):
        try:
            _, stop = _scan(text, at)
        except (ValueError, RecursionError):
            broken_left -= 1
            found = _NEXT_OBJECT.search(text, at) if broken_left > 0 else None
            stop = len(text) if found is None else found.start() + (found[0] == "}")
        yield at, stop
        at = _skip_separators(text, stop)


def _skip_separators(text: str, at: int) -> int:
    found = _SEPARATORS.match(text, at)
    return at if found is None else found.end()

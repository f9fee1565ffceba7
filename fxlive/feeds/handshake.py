"""The status line and headers of the server's answer to a handshake.

They are enough to recognise a refusal. The body is not awaited: it may be large, and on a connection that stays open it
may never be complete. What arrives together with the headers may explain the refusal.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

from fxlive.core.secret import Secret

MAX_HEAD_BYTES = 65_536
MAX_EXPLANATION_CHARS = 200
SWITCHING_PROTOCOLS = 101

_HTTP = b"HTTP/1."
_STATUS_LINE = re.compile(rb"HTTP/1\.\d ([1-5]\d\d)( .*)?")
_BLANK_LINES = (b"\n\r\n", b"\n\n")
_TEXT_TYPES = ("text/plain", "application/json", "application/problem+json", "")
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,8})(?:;[^\n]*)?\r?\n")
_EXPLANATIONS = ("message", "error", "detail", "title", "reason")


class ResponseHead(NamedTuple):
    """Status and headers of an HTTP response, and the position at which they end in the data."""

    status: int
    headers: dict[str, str]
    stop: int

    @property
    def interim(self) -> bool:
        """Whether another response follows: 1xx, except for the 101 that accepts a WebSocket."""
        return self.status < 200 and self.status != SWITCHING_PROTOCOLS


class Refused(Exception):
    """The server answered a handshake with another status than 101.

    `head` and `explanation` (the server's words) are secrets: a server may repeat the token in them.
    """

    def __init__(self, head: ResponseHead, explanation: str) -> None:
        super().__init__(head.status)
        self.head = Secret(head)
        self.explanation = Secret(explanation)


def read_head(data: bytes, start: int = 0) -> ResponseHead | None:
    r"""Return the head of the response that begins at `start`, or None while it is incomplete.

    Header names are in lower case. Of a repeated header the first value counts. Header lines that are malformed, or
    hold characters that cannot be printed, are left out.

    Raises
    ------
    ValueError
        If the data is not an HTTP/1 response, or its head is larger than MAX_HEAD_BYTES.

    Examples
    --------
    >>> read_head(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 5\r\n\r\n")
    ResponseHead(status=429, headers={'retry-after': '7', 'content-length': '5'}, stop=69)
    >>> read_head(b"HTTP/1.1 401 Unauthorized\r\nCont") is None
    True
    """
    beginning = data[start : start + MAX_HEAD_BYTES]
    if not _HTTP.startswith(beginning[: len(_HTTP)]):
        raise ValueError("not an HTTP/1 response")
    stops = [at + len(blank) for blank in _BLANK_LINES if (at := beginning.find(blank)) >= 0]
    if not stops:
        if len(beginning) == MAX_HEAD_BYTES:
            raise ValueError(f"headers of more than {MAX_HEAD_BYTES:,} bytes")
        return None
    status_line, *lines = beginning[: min(stops)].splitlines()
    status = _STATUS_LINE.fullmatch(status_line)
    if status is None:
        raise ValueError("an invalid status line")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = (part.strip() for part in line.decode("latin-1").partition(":"))
        if colon and value.isprintable():
            headers.setdefault(name.lower(), value)
    return ResponseHead(int(status[1]), headers, start + min(stops))


def explanation(head: ResponseHead, body: bytes) -> str:
    r"""Return a refusal's own words: what has arrived of its body, if that is text; empty otherwise.

    Of a JSON object only the message counts. The text has no control characters and at most 200 characters.

    Examples
    --------
    >>> explanation(ResponseHead(401, {"content-type": "application/json"}, 0), b'{"error": "Token expired"}')
    'Token expired'
    >>> explanation(ResponseHead(502, {"content-type": "text/html"}, 0), b"<h1>Bad Gateway</h1>")
    ''
    """
    kind = head.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _TEXT_TYPES or "content-encoding" in head.headers:
        return ""
    if "transfer-encoding" in head.headers:
        size = _CHUNK_SIZE.match(body)
        if head.headers["transfer-encoding"].lower() != "chunked" or size is None:
            return ""
        body = body[size.end() : size.end() + int(size[1], 16)]
    body = body[: 4 * MAX_HEAD_BYTES]
    length = head.headers.get("content-length", "")
    if re.fullmatch(r"[0-9]{1,9}", length):
        body = body[: int(length)]
    text = _message_of(body).strip()
    if text.startswith("<"):
        return ""
    shown = "".join(char if char.isprintable() else " " for char in text[: 4 * MAX_EXPLANATION_CHARS])
    shown = " ".join(shown.split())
    return shown if len(shown) <= MAX_EXPLANATION_CHARS else shown[: MAX_EXPLANATION_CHARS - 3] + "..."


def _message_of(body: bytes) -> str:
    """Return the message in a JSON object, or else the whole text; empty if it is not UTF-8."""
    try:
        decoded: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        try:
            return body.decode()
        except UnicodeDecodeError:
            return ""
    if isinstance(decoded, dict):
        if isinstance(decoded.get("error"), dict):
            decoded = decoded["error"]
        decoded = next((decoded[name] for name in _EXPLANATIONS if isinstance(decoded.get(name), str)), "")
    return decoded if isinstance(decoded, str) else ""

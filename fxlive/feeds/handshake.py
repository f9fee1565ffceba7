"""The status line and headers of the server's answer to a handshake.

They are enough to recognise a refusal. The body is not read: it may be large, and on a connection that stays open it
may never be complete.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_HEAD_BYTES = 65_536
SWITCHING_PROTOCOLS = 101

_HTTP = b"HTTP/1."
_STATUS_LINE = re.compile(rb"HTTP/1\.\d ([1-5]\d\d)( .*)?")
_BLANK_LINES = (b"\n\r\n", b"\n\n")


class ResponseHead(NamedTuple):
    """Status and headers of an HTTP response, and the position at which they end in the data."""

    status: int
    headers: dict[str, str]
    stop: int

    @property
    def interim(self) -> bool:
        """Whether another response follows: 1xx, except for the 101 that accepts a WebSocket."""
        return self.status < 200 and self.status != SWITCHING_PROTOCOLS


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

"""The head of an HTTP response, read from any position of the stream."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fxlive.feeds.handshake import MAX_HEAD_BYTES, read_head

REFUSAL = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nX-Empty:\r\nContent-Length: 5\r\n\r\n"


@given(st.integers(0, len(REFUSAL) - 1), st.binary(max_size=200), st.binary(max_size=50))
def test_a_head_is_complete_at_its_blank_line_and_not_before(size: int, body: bytes, before: bytes) -> None:
    assert read_head(before + REFUSAL[:size], len(before)) is None
    head = read_head(before + REFUSAL + body, len(before))
    assert head is not None
    assert (head.status, head.stop) == (429, len(before) + len(REFUSAL))
    assert head.headers == {"retry-after": "7", "x-empty": "", "content-length": "5"}


@pytest.mark.parametrize(
    ("response", "status"),
    [
        (b"HTTP/1.0 401 Unauthorized\r\n\r\n", 401),
        (b"HTTP/1.1 401\r\n\r\n", 401),
        (b"HTTP/1.1 401 \r\n\r\n", 401),
        (b"HTTP/1.1 401 Nicht erlaubt f\xfcr Sie\r\n\r\n", 401),
        (b"HTTP/1.1 503 Unavailable\nRetry-After: 7\n\nRetry-After: 8\r\n\r\n", 503),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x02{}", 101),
    ],
)
def test_the_status_is_read_from_all_forms_of_a_status_line(response: bytes, status: int) -> None:
    head = read_head(response)
    assert head is not None
    assert (head.status, head.interim) == (status, False)
    assert head.headers.get("retry-after", "7") == "7"


@pytest.mark.parametrize("status", [100, 102, 103, 199])
def test_an_interim_response_is_marked(status: int) -> None:
    head = read_head(b"HTTP/1.1 %d Wait\r\n\r\n" % status + REFUSAL)
    assert head is not None
    assert head.interim
    following = read_head(b"HTTP/1.1 %d Wait\r\n\r\n" % status + REFUSAL, head.stop)
    assert following is not None
    assert following.status == 429


@pytest.mark.parametrize(
    "line",
    [b"no colon", b": no name", b"X-Nul: a\x00b", b"X-Bell: \x07", b"X-Escape: \x1b[2J", b" folded", b"\xff\xfe: \xff"],
)
def test_a_malformed_header_line_costs_only_itself(line: bytes) -> None:
    head = read_head(b"HTTP/1.1 429 Slow\r\n" + line + b"\r\nRetry-After: 7\r\nRetry-After: 8\r\n\r\n")
    assert head is not None
    assert (head.status, head.headers["retry-after"]) == (429, "7")
    assert all(value.isprintable() for value in head.headers.values())


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"-ERR unknown command 'GET'\r\n",
        b"\x15\x03\x03\x00\x02\x02\x46",
        b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",  # the first frame of HTTP/2
        b"<html>",
        b"\r\n",
        b"HTTP/2 401 Unauthorized\r\n\r\n",
        b"HTTP/1.1 four\r\n\r\n",
        b"HTTP/1.1 999 Beyond\r\n\r\n",
        b"HTTP/1.1 0401 Unauthorized\r\n\r\n",
        b"HTTP/1.1  401 Unauthorized\r\n\r\n",
    ],
)
def test_other_protocols_are_refused_at_their_first_bytes_or_line(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"not an HTTP/1 response|an invalid status line"):
        read_head(data)


def test_a_head_larger_than_64_kb_is_refused() -> None:
    line = b"HTTP/1.1 401 Unauthorized\r\nX-Long: "
    largest = line + b"x" * (MAX_HEAD_BYTES - len(line) - 4) + b"\r\n\r\n"
    head = read_head(largest + b"body")
    assert head is not None
    assert head.stop == MAX_HEAD_BYTES
    for larger in (largest.replace(b"\r\n\r\n", b"x\r\n\r\n"), line + b"x" * MAX_HEAD_BYTES):
        with pytest.raises(ValueError, match="headers of more than 65,536 bytes"):
            read_head(larger)


@given(st.one_of(st.binary(), st.binary().map(lambda rest: b"HTTP/1.1 401 " + rest)))
@example(b"HTTP/1.1 401 \x85\r\n\xa0:\xa0\r\n\r\n")
def test_arbitrary_bytes_give_a_head_none_or_a_value_error(data: bytes) -> None:
    try:
        head = read_head(data)
    except ValueError:
        return
    assert head is None or head.stop <= len(data)

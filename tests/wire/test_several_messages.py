"""Several messages in one frame, heartbeats, and types in any spelling."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import pytest

from fxlive.wire.batch import MAX_RAW_CHARS
from fxlive.wire.messages import Connection, Subscription
from fxlive.wire.protocol import decode
from fxlive.wire.splitting import MAX_PARTS, split_frame
from tests.samples import CONNECTION, QUOTE, SUBSCRIPTION, TRADE, message, wire
from tests.wire.decoding import AT, accepted, rejected

ONE, TWO, THREE = (wire(message(QUOTE, {"id": name}, bid=bid)) for name, bid in (("a", 1.0), ("b", 2.0), ("c", 3.0)))


def outcome(frame: bytes) -> tuple[list[str], list[str]]:
    """Decode one frame; return the ids of the rows and the raw texts of the rejections."""
    batch = decode([frame], AT)
    rows = batch.rows.get("market-data")
    assert batch.count == (0 if rows is None else len(rows)) + len(batch.rejected) + batch.heartbeats
    return [] if rows is None else rows.values["id"], [rejection.raw for rejection in batch.rejected]


@pytest.mark.parametrize(
    "frame",
    [
        b"[" + ONE + b"," + TWO + b"]",
        b" [ " + ONE + b" ,\n " + TWO + b" ] ",
        b"[[" + ONE + b"],[" + TWO + b"]]",
        ONE + b"\n" + TWO,
        ONE + b"\r\n" + TWO + b"\r\n",
        b"\n\n" + ONE + b"\n\n" + TWO + b"\n",
        ONE + TWO,
        ONE + b" " + TWO,
        ONE + b",\n" + TWO,
        b"\x1e" + ONE + b"\n\x1e" + TWO + b"\n",
        b"[" + ONE + b"]\n[" + TWO + b"]",
        b"[" + ONE + b"][" + TWO + b"]",
        b"\xef\xbb\xbf[" + ONE + b"," + TWO + b"]\x00",
        b"\xef\xbb\xbf" + ONE + b"\n\xef\xbb\xbf" + TWO + b"\x00\x00",
        ONE + b"\x00\n" + TWO + b"\x00",
        ONE + b"\x00" + TWO,
        ONE + b"\r" + TWO,
        ONE.replace(b", ", b",\r") + b"\n" + TWO,
    ],
)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_each_message_of_a_frame_is_taken(frame: bytes, kind: Any) -> None:
    assert outcome(kind(frame)) == (["a", "b"], [])


@pytest.mark.parametrize(
    "frame",
    [b"\xef\xbb\xbf" + ONE, ONE + b"\x00", b" \n\t" + ONE + b"\n", b"[" + ONE + b"]", ONE.replace(b", ", b",\n")],
)
def test_one_message_may_have_a_byte_order_mark_blanks_or_an_array_around_it(frame: bytes) -> None:
    assert outcome(frame) == (["a"], [])


@pytest.mark.parametrize(
    ("frame", "bad"),
    [
        (b"[" + ONE + b',{"type": 5},' + TWO + b"]", ['{"type": 5}']),
        (b"[" + ONE + b",7," + TWO + b"]", ["7"]),
        (b"[" + ONE + b',{"a":},' + TWO + b"]", ['{"a":}']),
        (b"[" + ONE + b',{"a": "b},' + TWO + b"]", ['{"a": "b}']),
        (ONE + b"\nnonsense\n" + TWO, ["nonsense"]),
        (ONE + b'\n{"cut": \n' + TWO, ['{"cut":']),
        (ONE + b'\n{"type": "trade"}\n' + TWO, ['{"type": "trade"}']),
        (ONE + b'{"a":}' + TWO, ['{"a":}']),
        (ONE + TWO + ONE[:40], [ONE[:40].decode()]),
        (ONE + b"\n" + b"[" + TWO + b",1]", ["1"]),
        (b"[" + ONE + b"," + ONE[:60] + b"," + TWO + b"]", [ONE[:60].decode()]),
        (b"[" + ONE[:60] + b" , " + ONE + b"," + ONE[:8] + b"," + TWO + b"]", [ONE[:60].decode(), ONE[:8].decode()]),
        (ONE + b"," + ONE[:-1] + b", " + TWO, [ONE[:-1].decode()]),
    ],
)
def test_a_bad_message_of_a_frame_costs_only_itself(frame: bytes, bad: list[str]) -> None:
    assert outcome(frame) == (["a", "b"], bad)


def test_a_message_cut_off_anywhere_in_an_array_costs_only_itself() -> None:
    for stop in range(1, len(ONE)):
        ids, bad = outcome(b"[" + ONE + b"," + ONE[:stop] + b"," + TWO + b"]")
        assert ids == ["a", "b"]
        assert len(bad) == 1


def test_an_array_without_objects_is_one_rejection() -> None:
    for frame in (b"[1,2,3]", b"[]", b'["a"]', b"[[1],[2]]"):
        assert outcome(frame) == ([], [frame.decode()])


def test_an_unreadable_field_inside_a_frame_of_several_messages_costs_only_itself() -> None:
    bad = wire(message(QUOTE, {"id": "x"}, bid="-"))
    lenient = wire(message(QUOTE, {"id": "y"}, bid="@")).replace(b'"@"', b"NaN")

    for frame in (b"[" + b",".join([ONE, bad, lenient, TWO]) + b"]", b"\n".join([ONE, bad, lenient, TWO])):
        assert outcome(frame) == (["a", "x", "y", "b"], [])


def test_messages_of_one_frame_are_numbered_one_by_one() -> None:
    batch = decode([ONE, b"[" + TWO + b"," + wire(TRADE) + b"]", b"?", THREE], AT, arrival=10)

    assert batch.count == 5
    assert batch.rows["market-data"].arrival.tolist() == [10, 11, 14]
    assert batch.rows["trades"].arrival.tolist() == [12]


def test_a_page_of_html_is_one_rejection() -> None:
    page = b"<html>\n<head>\n<title>503</title>\n<script>\nvar a = {};\n</script>\n</html>\n"

    assert "malformed" in rejected(page)


@pytest.mark.parametrize(
    "text",
    [
        "ping",
        "PING",
        "pong",
        "Heartbeat",
        " ping\n",
        '"ping"',
        "keep-alive",
        "\ufeffping\0",
        '{"type":"ping"}',
        '{"type": "HEARTBEAT", "timestamp": "2024-01-01T00:00:00.000Z"}',
        '{"type":"heartbeat","data":{"seq":1}}',
        '{"type":"ping","channel":"system","data":{}}',
        '{"type":"Pong","id":7}',
    ],
)
def test_a_heartbeat_is_counted_and_not_rejected(text: str) -> None:
    batch = decode([text.encode()], AT)

    assert (batch.heartbeats, batch.rejected, batch.rows, batch.control) == (1, [], {}, [])
    assert decode([ONE, text.encode(), b"[" + TWO + b"]"], AT).heartbeats == 1


@pytest.mark.parametrize("frame", [b"ping\n" + ONE, ONE + b"\npong\n", b'[{"type":"ping"},' + ONE + b',"ping"]'])
def test_heartbeats_and_messages_may_share_a_frame(frame: bytes) -> None:
    batch = decode([frame], AT)

    assert batch.rows["market-data"].values["id"] == ["a"]
    assert batch.heartbeats == batch.count - 1 > 0
    assert not batch.rejected


@pytest.mark.parametrize("kind", ["SUBSCRIPTION", "Subscription", "subscribed"])
def test_the_type_of_an_answer_may_have_any_spelling(kind: str) -> None:
    (answer,) = decode([wire({**SUBSCRIPTION, "type": kind})], AT).control

    assert isinstance(answer, Subscription)
    assert answer.status == "success"


def test_a_connected_message_is_a_connection_message() -> None:
    (answer,) = decode([wire({**CONNECTION, "type": "CONNECTED"})], AT).control

    assert isinstance(answer, Connection)


@pytest.mark.parametrize(("kind", "name"), [("MARKET_DATA", "MARKET_DATA"), ("market-data", "market_data")])
def test_type_and_channel_may_have_any_spelling(kind: str, name: str) -> None:
    assert accepted(message(QUOTE, {"type": kind, "channel": name})).channel.name == "market-data"
    assert accepted(message(QUOTE, {"type": "news", "channel": "market_data"})).channel.name == "market_data"


def test_the_time_for_a_frame_is_proportional_to_its_length() -> None:
    def seconds(frame: bytes) -> float:
        start = time.process_time()
        decode([frame], AT)
        return time.process_time() - start

    for separator, start, end in ((b",", b"[", b"]"), (b"\n", b"", b""), (b"", b"", b"")):
        for part in (
            wire(message(QUOTE, bid="-")),
            b'{"a":',
            b'{"}{',
            b'{"a":[}{"b":"}{"',
            b"[",
            b"{}",
            ONE[:60],
            b',{"type"',
        ):
            small, large = (start + separator.join([part] * count) + end for count in (200, 4_000))
            decode([small], AT)

            assert seconds(large) < 20 * 10 * max(seconds(small), 0.002)


def test_arrays_nested_deeply_need_little_memory_and_are_not_split_beyond_the_second_level() -> None:
    large = b'{"a":"' + b"a" * 900_000 + b'"}'
    for depth in (3, 450):
        frame = b"[{}," * depth + large + b"]" * depth

        tracemalloc.start()
        parts = split_frame(frame)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert parts == [b"{}", b"{}", frame[8:-2]]
        assert peak < 6 * len(frame)
    for inner in (b"[[" + ONE + b"]," + TWO + b"]", ONE + b"\n[[" + TWO + b"]]"):
        assert outcome(inner) == (["a", "b"], [])


@pytest.mark.parametrize(
    ("start", "part", "separator"),
    [
        (b"", b"ping", b"\n"),
        (b"", b"{}", b"\r\n"),
        (b"", b"[{},{}]", b"\n"),
        (b"", b"{}", b""),
        (b"", b"{", b"}"),
        (b"[", b"{}", b" , "),
        (b"[", b"[{}]", b","),
        (b"[", '{"a":"ä€"}'.encode(), b","),
    ],
)
@pytest.mark.parametrize("count", [2 * MAX_PARTS, 1_000_000])
def test_what_follows_the_most_messages_of_one_frame_is_not_split(
    start: bytes, part: bytes, separator: bytes, count: int
) -> None:
    frame = start + separator.join([part] * count) + b"]" * len(start)

    tracemalloc.start()
    parts = split_frame(frame)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(parts) == MAX_PARTS + 1
    assert frame.endswith(parts[-1])
    assert len(parts[-1]) >= len(frame) - (MAX_PARTS + 1) * len(part + separator)
    assert peak < 3 * len(frame) + 1_000 * MAX_PARTS


def test_what_follows_the_most_messages_of_one_frame_is_one_rejection() -> None:
    for frame in (b"ping\n" * (3 * MAX_PARTS), b"[" + b'"ping",' * (3 * MAX_PARTS) + b"{}]"):
        batch = decode([frame], AT)

        assert (batch.count, batch.heartbeats, len(batch.rejected)) == (MAX_PARTS + 1, MAX_PARTS, 1)
        assert len(batch.rejected[0].raw) == MAX_RAW_CHARS

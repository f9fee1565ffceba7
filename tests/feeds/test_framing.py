"""The fast parser of plain frames reads the same messages as the library's own parser."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from fxlive.feeds.connection import Connection
from fxlive.feeds.framing import cut_frames

payloads = st.binary(max_size=300) | st.integers(120, 70_000).map(bytes)
plain = payloads.map(lambda p: [Frame(Opcode.TEXT, p)])
binary = payloads.map(lambda p: [Frame(Opcode.BINARY, p)])
control = st.sampled_from([Opcode.PING, Opcode.PONG]).flatmap(
    lambda opcode: st.binary(max_size=125).map(lambda p: [Frame(opcode, p)])
)
fragmented = st.lists(st.binary(max_size=200), min_size=2, max_size=4).map(
    lambda parts: [
        Frame(Opcode.TEXT if number == 0 else Opcode.CONT, part, fin=number == len(parts) - 1)
        for number, part in enumerate(parts)
    ]
)
with_ping_inside = fragmented.map(lambda frames: [frames[0], Frame(Opcode.PING, b"?"), *frames[1:]])
streams = st.lists(plain | plain | binary | control | fragmented | with_ping_inside, max_size=12).map(
    lambda groups: [frame for group in groups for frame in group]
)


def by_the_library(stream: bytes, extensions: list[PerMessageDeflate]) -> list[bytes]:
    protocol = ClientProtocol(parse_uri("ws://x/"), max_size=None, state=State.OPEN)
    protocol.extensions = list(extensions)
    protocol.receive_data(stream)
    messages, parts = [], []
    for frame in protocol.events_received():
        if isinstance(frame, Frame) and frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            parts.append(bytes(frame.data))
            if frame.fin:
                messages.append(b"".join(parts))
                parts = []
    return messages


def by_us(stream: bytes, cuts: list[int], extensions: list[PerMessageDeflate]) -> list[bytes]:
    async def read() -> list[bytes]:
        messages: list[bytes] = []
        connection = Connection("ws://x/", lambda received, received_at: messages.extend(received))
        connection._protocol = ClientProtocol(parse_uri("ws://x/"), max_size=None, state=State.OPEN)
        connection._protocol.extensions = list(extensions)
        positions = [0, *sorted(c % (len(stream) + 1) for c in cuts), len(stream)]
        for start, stop in pairwise(positions):
            connection.data_received(stream[start:stop])
        return messages

    return asyncio.run(read())


def deflate() -> PerMessageDeflate:
    return PerMessageDeflate(False, False, 12, 12)


@settings(max_examples=150, deadline=None)
@given(streams, st.lists(st.integers(0, 200_000), max_size=20))
def test_the_messages_are_those_of_the_library_however_the_stream_is_split(frames, cuts):
    stream = b"".join(frame.serialize(mask=False) for frame in frames)
    assert by_us(stream, cuts, []) == by_the_library(stream, [])


@settings(max_examples=60, deadline=None)
@given(streams, st.lists(st.booleans(), min_size=60, max_size=60), st.lists(st.integers(0, 200_000), max_size=20))
def test_compressed_and_plain_messages_may_alternate(frames, compressed, cuts):
    sender = deflate()
    stream, whole, last = b"", True, False
    for frame, compress in zip(frames, compressed, strict=False):
        is_data = frame.opcode not in (Opcode.PING, Opcode.PONG)
        # a message is compressed as a whole or not at all
        compress = compress if whole and is_data else is_data and last
        stream += frame.serialize(mask=False, extensions=[sender] if compress else None)
        if is_data:
            whole, last = frame.fin, compress
    assert by_us(stream, cuts, [deflate()]) == by_the_library(stream, [deflate()])


def test_short_messages_at_the_end_of_a_read_are_delivered_at_once():
    stream = b"".join(Frame(Opcode.TEXT, p).serialize(mask=False) for p in (b"{}", b"", b"x"))
    assert by_us(stream, [], []) == [b"{}", b"", b"x"]


def test_a_frame_above_the_size_limit_is_passed_to_the_library_while_incomplete():
    messages: list[bytes] = []
    start = Frame(Opcode.TEXT, bytes(70_000)).serialize(mask=False)[:100]
    assert cut_frames(start, 0, messages, 60_000, plain=True) == (0, 100)
    assert messages == []

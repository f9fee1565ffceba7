"""What is cut out of the stream here is what the library's own parser would have read."""

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
        Frame(Opcode.TEXT if place == 0 else Opcode.CONT, part, fin=place == len(parts) - 1)
        for place, part in enumerate(parts)
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
        taken: list[bytes] = []
        connection = Connection("ws://x/", lambda messages, received_at: taken.extend(messages))
        connection._protocol = ClientProtocol(parse_uri("ws://x/"), max_size=None, state=State.OPEN)
        connection._protocol.extensions = list(extensions)
        places = [0, *sorted(c % (len(stream) + 1) for c in cuts), len(stream)]
        for start, stop in pairwise(places):
            connection.data_received(stream[start:stop])
        return taken

    return asyncio.run(read())


def deflate() -> PerMessageDeflate:
    return PerMessageDeflate(False, False, 12, 12)


@settings(max_examples=150, deadline=None)
@given(streams, st.lists(st.integers(0, 200_000), max_size=20))
def test_however_the_stream_is_split_the_messages_are_those_the_library_reads(frames, cuts):
    stream = b"".join(frame.serialize(mask=False) for frame in frames)
    assert by_us(stream, cuts, []) == by_the_library(stream, [])


@settings(max_examples=60, deadline=None)
@given(streams, st.lists(st.booleans(), min_size=60, max_size=60), st.lists(st.integers(0, 200_000), max_size=20))
def test_compressed_and_plain_messages_may_come_in_turn(frames, compressed, cuts):
    sender = deflate()
    stream, whole, last = b"", True, False
    for frame, squeeze in zip(frames, compressed, strict=False):
        is_data = frame.opcode not in (Opcode.PING, Opcode.PONG)
        # a message is compressed as a whole or not at all
        squeeze = squeeze if whole and is_data else is_data and last
        stream += frame.serialize(mask=False, extensions=[sender] if squeeze else None)
        if is_data:
            whole, last = frame.fin, squeeze
    assert by_us(stream, cuts, [deflate()]) == by_the_library(stream, [deflate()])


def test_a_short_message_at_the_end_is_not_held_back():
    stream = b"".join(Frame(Opcode.TEXT, p).serialize(mask=False) for p in (b"{}", b"", b"x"))
    assert by_us(stream, [], []) == [b"{}", b"", b"x"]


def test_a_frame_larger_than_the_limit_goes_to_the_library_before_it_is_complete():
    messages: list[bytes] = []
    start = Frame(Opcode.TEXT, bytes(70_000)).serialize(mask=False)[:100]
    assert cut_frames(start, 0, messages, 60_000, plain=True) == (0, 100)
    assert messages == []

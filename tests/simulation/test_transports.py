"""The transports of the simulated network: what a protocol may rely on."""

from __future__ import annotations

import asyncio

import pytest

from tests.simulation.loop import SimulatedLoop, simulate
from tests.simulation.network import Network
from tests.simulation.runs import Recorder, pair, run
from tests.simulation.transports import WINDOW_BYTES


def test_a_half_closed_connection_still_carries_the_answer() -> None:
    async def main(loop: SimulatedLoop, network: Network) -> None:
        near, far = await pair(loop, keep_open=True)
        near.transport.writelines([b"a question", b" of two parts"])
        near.transport.write_eof()
        with pytest.raises(RuntimeError, match="write_eof"):
            near.transport.write(b"more")
        await asyncio.sleep(1.0)
        assert (far.data, far.calls) == (b"a question of two parts", ["eof"])
        far.transport.write(b"an answer")
        far.transport.close()
        assert far.transport.is_closing()
        assert await near.lost is None
        assert near.data == b"an answer"

    run(main)


def test_a_reader_that_pauses_stops_the_writer_and_loses_nothing() -> None:
    async def main(loop: SimulatedLoop, network: Network) -> None:
        near, far = await pair(loop)
        far.transport.pause_reading()
        size = WINDOW_BYTES + 500_000
        near.transport.write(b"x" * size)
        await asyncio.sleep(1.0)
        assert (near.calls, far.data) == (["pause"], b"")
        assert near.transport.get_write_buffer_size() == size - WINDOW_BYTES
        near.transport.close()  # waits for the buffer
        await asyncio.sleep(100.0)
        assert not near.lost.done()
        far.transport.resume_reading()
        assert await near.lost is None
        assert await far.lost is None
        assert len(far.data) == size
        assert near.calls == ["pause", "resume"]

    run(main)


def test_after_an_abort_the_other_side_sees_the_end_or_a_reset() -> None:
    outcomes = set()

    async def main(loop: SimulatedLoop, network: Network) -> None:
        near, far = await pair(loop)
        near.transport.write(b"sent")
        await asyncio.sleep(0.01)
        near.transport.abort()
        assert await near.lost is None
        error = await far.lost
        assert error or far.data == b"sent"  # a reset may overtake what was sent
        outcomes.add(type(error))

    for seed in range(20):
        run(main, seed)
    assert outcomes == {type(None), ConnectionResetError}


def test_an_abort_drops_the_write_buffer() -> None:
    received = set()

    async def main(loop: SimulatedLoop, network: Network) -> None:
        near, far = await pair(loop)
        far.transport.pause_reading()
        near.transport.write(b"x" * (WINDOW_BYTES + 500_000))
        await asyncio.sleep(1.0)
        near.transport.abort()
        await asyncio.sleep(1.0)
        far.transport.resume_reading()
        await far.lost
        received.add(len(far.data))

    for seed in range(10):
        run(main, seed)
    assert received == {0, WINDOW_BYTES}  # after a reset, after an end


def test_writing_to_an_end_that_has_closed_resets_the_writer() -> None:
    async def main(loop: SimulatedLoop, network: Network) -> None:
        near, far = await pair(loop, keep_open=True)
        near.transport.close()
        await asyncio.sleep(1.0)
        assert (far.calls, far.lost.done()) == (["eof"], False)
        far.transport.write(b"too late")
        assert isinstance(await far.lost, ConnectionResetError)
        assert network.connections == []

    run(main)


def test_an_error_of_a_protocol_is_reported_and_ends_its_connection() -> None:
    class Failing(Recorder):
        def data_received(self, data: bytes) -> None:
            raise ValueError("cannot read this")

    async def main() -> None:
        far = Failing()
        await loop.create_server(lambda: far, "localhost", 9000)
        _, near = await loop.create_connection(Recorder, "localhost", 9000)
        near.transport.write(b"data")
        assert isinstance(await far.lost, ValueError)
        await near.lost

    loop = SimulatedLoop(1)
    Network(loop)
    simulate(main(), loop)
    assert "cannot read this" in loop.errors[0]


@pytest.mark.parametrize("seed", range(10))
def test_an_end_that_does_not_notice_a_cut_sees_nothing_that_was_on_the_way(seed: int) -> None:
    async def main(loop: SimulatedLoop, network: Network) -> None:
        near, far = await pair(loop)
        near.transport.write(b"lost")
        near.transport.abort()
        network.connections[0].cut("client")
        await asyncio.sleep(1_000.0)
        assert (far.data, far.calls, far.lost.done()) == (b"", [], False)

    run(main, seed)

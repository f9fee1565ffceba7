"""Runs in a simulated network, and a protocol that notes its calls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.simulation.loop import SimulatedLoop, simulate
from tests.simulation.network import Network
from tests.simulation.transports import Conditions

Main = Callable[[SimulatedLoop, Network], Awaitable[Any]]


def run(main: Main, seed: int = 1, conditions: Conditions | None = None) -> SimulatedLoop:
    """Run a test in a simulated loop with a network; fail if an error was not handled."""
    loop = SimulatedLoop(seed, max_s=100_000.0)
    network = Network(loop, conditions)

    async def whole() -> None:
        await main(loop, network)

    simulate(whole(), loop)
    assert loop.errors == []
    return loop


class Recorder(asyncio.Protocol):
    """Notes what a transport calls."""

    def __init__(self, *, keep_open: bool = False) -> None:
        self.calls: list[str] = []
        self.data = b""
        self.keep_open = keep_open
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> bool:
        self.calls.append("eof")
        return self.keep_open

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set_result(error)


async def pair(loop: SimulatedLoop, *, keep_open: bool = False) -> tuple[Recorder, Recorder]:
    server = Recorder(keep_open=keep_open)
    await loop.create_server(lambda: server, "localhost", 9000)
    _, near = await loop.create_connection(Recorder, "localhost", 9000)
    return near, server

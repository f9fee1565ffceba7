"""The simulated network, under real WebSocket servers and clients and under the project's own simulator."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import jwt
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidHandshake

from fxlive.feeds.connection import Connection
from fxlive.simulator.serving.server import Simulator
from fxlive.simulator.serving.tokens import DEFAULT_SECRET, DEFAULT_USER
from fxlive.wire import protocol
from tests.simulation.guard import guard
from tests.simulation.loop import SimulatedLoop
from tests.simulation.network import Network
from tests.simulation.runs import Recorder, run
from tests.simulation.transports import Conditions


async def echo(connection: ServerConnection) -> None:
    with suppress(ConnectionClosed):
        async for message in connection:
            await connection.send(message)


def echo_server(**options: Any) -> AbstractAsyncContextManager[Server]:
    return serve(echo, "localhost", 8080, **options)


def client(**options: Any) -> connect:
    return connect("ws://localhost:8080", proxy=None, **options)


async def exchange(connection: ClientConnection, count: int) -> None:
    for number in range(count):
        await connection.send(f"{number} " + "x" * (number * 37 % 5_000))
    for number in range(count):
        assert (await connection.recv()).split()[0] == str(number)


# A quiet network


@pytest.mark.parametrize("seed", range(20))
def test_messages_arrive_in_order_however_they_are_split(seed: int) -> None:
    async def main(loop: SimulatedLoop, network: Network) -> None:
        async with echo_server(), client() as connection:
            await exchange(connection, 50)
        await asyncio.sleep(1.0)
        assert network.connections == []

    run(main, seed, Conditions(split=0.8, join=0.5))


def test_one_seed_gives_one_run_and_other_seeds_other_runs() -> None:
    async def main(loop: SimulatedLoop, network: Network) -> None:
        async with echo_server():
            faults = asyncio.create_task(network.random_faults(1.0))
            for _ in range(20):
                with suppress(OSError, ConnectionClosed, InvalidHandshake, TimeoutError):
                    async with client(open_timeout=5, ping_interval=2, ping_timeout=2) as connection:
                        for _ in range(20):
                            await exchange(connection, 3)
                            await asyncio.sleep(0.5)
                await asyncio.sleep(1.0)
            faults.cancel()

    digests = [run(main, seed).digest() for seed in range(8)]
    assert digests == [run(main, seed).digest() for seed in range(8)]
    assert len(set(digests)) == 8


def test_a_run_is_the_same_on_every_python() -> None:
    async def main(loop: SimulatedLoop, network: Network) -> None:
        await loop.create_server(lambda: Recorder(), "localhost", 9000)
        faults = asyncio.create_task(network.random_faults(1.0))
        for number in range(30):
            with suppress(OSError):
                _, near = await loop.create_connection(Recorder, "localhost", 9000)
                near.transport.write(b"x" * number * 1_000)
                await asyncio.wait({near.lost}, timeout=2.0)
                near.transport.abort()
        faults.cancel()

    assert run(main).digest() == "4260be1e9d66b11457c3d9cb34bbd88e"


def test_a_server_on_port_0_gets_a_number_and_a_port_is_used_once() -> None:
    async def main(loop: SimulatedLoop, network: Network) -> None:
        async with serve(echo, "127.0.0.1", 0) as server:
            host, port = next(iter(server.sockets)).getsockname()
            with pytest.raises(OSError, match="in use"):
                await serve(echo, "127.0.0.1", port)
            async with connect(f"ws://{host}:{port}", proxy=None) as connection:
                assert connection.remote_address == (host, port)
                await exchange(connection, 3)
        async with serve(echo, "127.0.0.1", port):  # free again
            pass

    run(main)


def test_nothing_is_sent_on_a_real_socket_when_fxlive_dials() -> None:
    async def main(loop: SimulatedLoop, network: Network) -> None:
        network.add_host("fx.example", "10.0.0.1", "fd00::1")
        received: list[bytes] = []
        answered = asyncio.Event()

        def receive(messages: list[bytes], at: int) -> None:
            received.extend(messages)
            answered.set()

        async with serve(echo, "fd00::1", 80):  # the first address of the name refuses
            connection = Connection("ws://fx.example/", receive)
            await connection.open(lambda request: request, None, None)
            connection.send("hello")
            await answered.wait()
            await connection.close()
            assert received == [b"hello"]
            assert connection.close_code == 1000

    run(main)


def test_a_connected_socket_that_is_closed_unused_ends_at_the_server() -> None:
    async def main(loop: SimulatedLoop, network: Network) -> None:
        async with echo_server():
            sock = socket.socket()
            sock.setblocking(False)
            await loop.sock_connect(sock, ("127.0.0.1", 8080))
            assert len(network.connections) == 1
            sock.close()
            await asyncio.sleep(2.0)
            assert network.connections == []

    run(main)


def test_a_connection_given_up_while_connecting_ends_at_the_server() -> None:
    async def main(loop: SimulatedLoop, network: Network) -> None:
        network.conditions.delay_s = (1.0, 1.0)
        async with echo_server():
            connecting = asyncio.create_task(loop.create_connection(Recorder, "127.0.0.1", 8080))
            await asyncio.sleep(2.5)  # resolved and accepted, but the answer has not come yet
            assert len(network.connections) == 1
            connecting.cancel()
            await asyncio.sleep(5.0)
            assert network.connections == []

    run(main)


def test_tls_is_refused() -> None:
    async def main(loop: SimulatedLoop, network: Network) -> None:
        with pytest.raises(NotImplementedError, match="no TLS"):
            await connect("wss://localhost:8080", proxy=None)

    run(main)


# Faults


def test_delay_and_bandwidth_are_those_asked_for() -> None:
    async def main(loop: SimulatedLoop, network: Network) -> None:
        async with echo_server(compression=None), client(compression=None) as connection:
            network.conditions.delay_s = (2.0, 2.0)
            before = loop.time()
            await exchange(connection, 1)
            assert 4.0 <= loop.time() - before < 4.1
            network.conditions.bytes_per_s = 1_000.0
            before = loop.time()
            await connection.send("x" * 10_000)
            await connection.recv()
            # The answer begins when the whole message has arrived.
            assert 23.9 < loop.time() - before < 24.5

    run(main)


def test_a_cut_resets_both_ends() -> None:
    async def main(loop: SimulatedLoop, network: Network) -> None:
        async with echo_server() as server, client() as connection:
            network.cut()
            with pytest.raises(ConnectionClosedError):
                await connection.recv()
            await asyncio.sleep(1.0)
            assert not server.connections

    run(main)


@pytest.mark.parametrize("notices", ["client", "server"])
def test_an_end_that_does_not_notice_a_cut_finds_out_by_its_own_pings(notices: str) -> None:
    async def main(loop: SimulatedLoop, network: Network) -> None:
        pings: dict[str, Any] = {"ping_interval": 10, "ping_timeout": 10, "close_timeout": 1}
        async with echo_server(**pings) as server, client(**pings) as connection:
            network.connections[0].cut("client" if notices == "client" else "server")
            await asyncio.sleep(5.0)
            assert (connection.state.name == "OPEN") == (notices == "server")
            assert bool(server.connections) == (notices == "client")
            await asyncio.sleep(30.0)
            assert connection.state.name == "CLOSED"
            assert not server.connections

    run(main)


def test_what_is_held_comes_later() -> None:
    async def main(loop: SimulatedLoop, network: Network) -> None:
        async with echo_server() as server, client() as connection:
            network.hold(15.0)
            await exchange(connection, 5)
            assert loop.time() > 15.0
            network.hold(10.0)
            async with client(open_timeout=60):
                assert loop.time() > 25.0
            assert server.connections

    run(main)


def test_what_is_held_can_be_lost_with_the_connection() -> None:
    async def main(loop: SimulatedLoop, network: Network) -> None:
        async with echo_server(), client() as connection:
            await connection.send("lost")
            network.hold(12.0, lost=True)
            with pytest.raises(ConnectionClosedError):
                await connection.recv()
            assert 12.0 < loop.time() < 13.0

    run(main)


def test_connections_are_refused_without_a_server_and_on_demand() -> None:
    async def main(loop: SimulatedLoop, network: Network) -> None:
        with pytest.raises(ConnectionRefusedError):
            await client()
        async with echo_server():
            network.refuse(10.0)
            with pytest.raises(ConnectionRefusedError):
                await client()
            await asyncio.sleep(10.0)
            async with client() as connection:
                await exchange(connection, 1)

    run(main)


def test_a_host_is_unknown_unless_it_was_added_and_on_demand() -> None:
    async def main(loop: SimulatedLoop, network: Network) -> None:
        with pytest.raises(socket.gaierror):
            await connect("ws://nowhere.example", proxy=None)
        async with echo_server():
            network.forget("localhost", 10.0)
            with pytest.raises(socket.gaierror):
                await client()
            await asyncio.sleep(10.0)
            async with client() as connection:
                await exchange(connection, 1)

    run(main)


# The project's own simulator


@pytest.mark.parametrize("seed", [3, 4])
def test_the_projects_simulator_sends_quotes_through_the_network(seed: int) -> None:
    claims = {"sub": DEFAULT_USER, "iat": 1, "exp": 4_102_444_800}
    token = jwt.encode(claims, DEFAULT_SECRET, algorithm="HS256")
    prices: list[tuple[str, float]] = []

    async def main(loop: SimulatedLoop, network: Network) -> None:
        network.conditions.bytes_per_s = 50_000.0
        options: dict[str, Any] = {"start": 1_790_000_000_000, "quotes_per_s": 20, "wait_for_subscriber": True}
        async with Simulator(seed=seed, clock=lambda: 1_790_000_000.0 + loop.time(), **options) as simulator:
            headers = {"Authorization": f"Bearer {token}"}
            async with connect(simulator.url, proxy=None, additional_headers=headers) as connection:
                await connection.send(protocol.subscribe({"market-data": {}}))
                while len(prices) < 2_000:
                    message = json.loads(await connection.recv())
                    if message.get("channel") == "market-data":
                        prices.append((message["data"]["symbol"], message["data"]["bid"]))
        assert 50 < loop.time() < 200

    def digest() -> str:
        prices.clear()
        with guard():
            return run(main, seed).digest()

    first, first_prices = digest(), prices[:]
    assert len({symbol for symbol, _ in first_prices}) > 1
    assert (digest(), prices) == (first, first_prices)

"""A network in memory for the simulated event loop, with faults on demand and by seed. It has no TLS."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

from tests.simulation.loop import SimulatedLoop
from tests.simulation.transports import Conditions, Connection, Ends, Transport

ProtocolFactory = Callable[[], asyncio.BaseProtocol]
AddressInfo = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]

_ANY = ("0.0.0.0", "::")
_ABANDONED_AFTER_S = 1.0


class Network:
    """A network that replaces the real one in a loop.

    Parameters
    ----------
    loop
        The loop in which it is installed; its seed decides the delays, the pieces and the random faults.
    conditions
        How bytes travel. May be changed at any time.

    Examples
    --------
    >>> loop = SimulatedLoop(7)
    >>> network = Network(loop)
    >>> network.add_host("fx.example", "10.0.0.1", "fd00::1")
    >>> [info[4][0] for info in loop.run_until_complete(loop.getaddrinfo("fx.example", 80))]
    ['10.0.0.1', 'fd00::1']
    >>> loop.close()
    """

    def __init__(self, loop: SimulatedLoop, conditions: Conditions | None = None) -> None:
        self.conditions = conditions or Conditions()
        self.connections: list[Connection] = []
        """Connections of which at least one end is open."""
        self.attempts_at: list[float] = []
        """When somebody tried to connect, by the loop's time."""
        self._loop = loop
        self._hosts: dict[str, list[str]] = {"localhost": ["127.0.0.1"]}
        self._listeners: dict[tuple[str, int], Server] = {}
        self._connected: WeakKeyDictionary[socket.socket, Connection] = WeakKeyDictionary()
        self._numbers, self._client_ports, self._server_ports = count(1), count(40_001), count(50_001)
        self._refused_until = self._held_until = 0.0
        self._unknown_until: dict[str, float] = {}
        for name in ("getaddrinfo", "sock_connect", "create_connection", "create_server"):
            setattr(loop, name, getattr(self, name))

    def add_host(self, name: str, *addresses: str) -> None:
        """Make a name known to getaddrinfo()."""
        self._hosts[name] = list(addresses)

    # Faults

    def cut(self, notices: Ends = "both") -> None:
        """Break all connections. The ends that do not notice it wait for an answer for ever."""
        for connection in tuple(self.connections):
            connection.cut(notices)

    def hold(self, for_s: float, *, lost: bool = False) -> None:
        """Deliver nothing for some seconds; new connections wait, too. If `lost`, then reset all connections."""
        self._held_until = max(self._held_until, self._loop.time() + for_s)
        for connection in tuple(self.connections):
            connection.hold(for_s, lost=lost)

    def refuse(self, for_s: float) -> None:
        """Refuse all new connections for some seconds."""
        self._loop.trace(f"connections refused for {for_s:.3f} s")
        self._refused_until = self._loop.time() + for_s

    def forget(self, host: str, for_s: float) -> None:
        """Make a host's name unknown for some seconds."""
        self._loop.trace(f"{host} unknown for {for_s:.3f} s")
        self._unknown_until[host] = self._loop.time() + for_s

    async def random_faults(self, every_s: float = 5.0) -> NoReturn:
        """Apply random faults by the seed, one about every `every_s` seconds, until cancelled."""
        random, calm = self._loop.stream("faults"), self.conditions.delay_s
        while True:
            await asyncio.sleep(every_s * random.uniform(0.2, 1.8))
            fault, for_s = random.randrange(8), every_s * random.uniform(0.1, 2.0)
            connection = random.choice(self.connections) if self.connections else None
            self.conditions.delay_s, self.conditions.bytes_per_s = calm, None
            if fault == 0:
                self.cut()
            elif fault == 1 and connection is not None:
                connection.cut(random.choice(("both", "client", "server")))
            elif fault == 2:
                self.hold(for_s)
            elif fault == 3:
                self.hold(for_s, lost=True)
            elif fault == 4:
                self.refuse(for_s)
            elif fault == 5:
                for host in self._hosts:
                    self.forget(host, for_s)
            elif fault == 6:
                self.conditions.delay_s = (0.0, random.uniform(0.05, 2.0))
            elif fault == 7:
                self.conditions.bytes_per_s = random.uniform(1_000.0, 100_000.0)

    # The loop's methods

    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> list[AddressInfo]:
        await self._travel()
        addresses = self._addresses(host.decode() if isinstance(host, bytes) else host)
        infos = [_address_info(address, int(port or 0)) for address in addresses]
        infos = [info for info in infos if family in (0, info[0])]
        if not infos:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return infos

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        connection = await self._connect(address, sock)
        self._connected[sock] = connection
        self._abandon_if_closed(sock, connection.client)

    async def create_connection(
        self,
        protocol_factory: ProtocolFactory,
        host: str | None = None,
        port: int | None = None,
        *,
        ssl: Any = None,
        family: int = 0,
        sock: socket.socket | None = None,
        server_hostname: str | None = None,
        **options: Any,
    ) -> tuple[Transport, Any]:
        if ssl:
            raise NotImplementedError("the simulated network has no TLS: use ws://")
        if sock is not None:
            transport = self._connected.pop(sock).client
        else:
            transport = (await self._connect_to_any(await self.getaddrinfo(host, port, family=family))).client
        protocol = protocol_factory()
        assert isinstance(protocol, asyncio.Protocol)
        transport.start(protocol)
        try:
            await asyncio.sleep(0)  # connection_made() has been called afterwards
        except BaseException:
            transport.close()
            raise
        return transport, protocol

    async def create_server(
        self,
        protocol_factory: ProtocolFactory,
        host: str | Sequence[str] | None = None,
        port: int | None = None,
        *,
        ssl: Any = None,
        start_serving: bool = True,
        **options: Any,
    ) -> Server:
        if ssl:
            raise NotImplementedError("the simulated network has no TLS: use ws://")
        hosts = [host or _ANY[0]] if host is None or isinstance(host, str) else list(host)
        port = port or next(self._server_ports)
        addresses = [(address, port) for name in hosts for address in self._addresses(name)]
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if any(address in self._listeners for address in addresses):
            raise OSError(errno.EADDRINUSE, f"error while attempting to bind on address {addresses[0]}: in use")
        server = Server(self._loop, self._listeners, protocol_factory, addresses)
        if start_serving:
            await server.start_serving()
        return server

    # Connecting

    def _addresses(self, host: str | None) -> list[str]:
        """Return the addresses of a name; none if it is unknown."""
        try:
            return [str(ipaddress.ip_address(host or "127.0.0.1"))]
        except ValueError:
            known = self._loop.time() >= self._unknown_until.get(str(host), 0.0)
            return self._hosts.get(str(host), []) if known else []

    async def _travel(self) -> None:
        """Wait as long as a packet travels."""
        random = self._loop.stream("packets")
        await asyncio.sleep(random.uniform(*self.conditions.delay_s))
        while self._loop.time() < self._held_until:  # noqa: ASYNC110 - no event says so, only the time
            await asyncio.sleep(self._held_until - self._loop.time() + random.uniform(*self.conditions.delay_s))

    async def _connect_to_any(self, infos: list[AddressInfo]) -> Connection:
        for info in infos[:-1]:
            try:
                return await self._connect(info[4])
            except OSError:
                continue
        return await self._connect(infos[-1][4])

    async def _connect(self, address: Any, sock: socket.socket | None = None) -> Connection:
        self.attempts_at.append(self._loop.time())
        await self._travel()
        host, port = address[:2]
        wildcard = _ANY[":" in host]
        server = self._listeners.get((host, port)) or self._listeners.get((wildcard, port))
        if server is None or self._loop.time() < self._refused_until:
            self._loop.trace(f"{host}:{port} refused")
            await self._travel()
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"Connect call failed {address}")
        source = ("::1" if ":" in host else "127.0.0.1", next(self._client_ports), *address[2:])
        connection = Connection(self._loop, next(self._numbers), self.conditions, source, tuple(address), sock)
        self._loop.trace(f"connection {connection.number} to {host}:{port}")
        self.connections.append(connection)
        open_ends = {"client", "server"}

        def note_end(end: str) -> None:
            open_ends.discard(end)
            if not open_ends and connection in self.connections:
                self.connections.remove(connection)
            if end == "server":
                server.release(connection.server)

        connection.client.on_lost = partial(note_end, "client")
        connection.server.on_lost = partial(note_end, "server")
        server.accept(connection.server)
        try:
            await self._travel()
        except BaseException:
            connection.client.abort()
            raise
        return connection

    def _abandon_if_closed(self, sock: socket.socket, transport: Transport) -> None:
        """Let the server notice it if a connected socket is closed before a protocol uses it."""
        if not transport.claimed and sock.fileno() == -1:
            transport.abort()
        elif not transport.claimed:
            self._loop.call_later(_ABANDONED_AFTER_S, self._abandon_if_closed, sock, transport)


class ListeningSocket:
    """The listening socket in `Server.sockets`, with its address only."""

    def __init__(self, address: tuple[str, int]) -> None:
        info = _address_info(*address)
        self.family, self.type, self.proto = info[:3]
        self._name = info[4]

    def getsockname(self) -> tuple[Any, ...]:
        return self._name


class Server(asyncio.AbstractServer):
    """A listening server. Its wait_closed() waits for its connections, as asyncio's does since Python 3.12."""

    def __init__(
        self,
        loop: SimulatedLoop,
        listeners: dict[tuple[str, int], Server],
        protocol_factory: ProtocolFactory,
        addresses: list[tuple[str, int]],
    ) -> None:
        self._loop, self._listeners, self._factory, self._addresses = loop, listeners, protocol_factory, addresses
        self._transports: list[Transport] = []
        self._serving = self._closed = False
        self._finished: asyncio.Future[None] = loop.create_future()

    @property
    def sockets(self) -> tuple[ListeningSocket, ...]:
        return () if self._closed else tuple(map(ListeningSocket, self._addresses))

    def accept(self, transport: Transport) -> None:
        """Give an accepted connection to a new protocol."""
        protocol = self._factory()
        assert isinstance(protocol, asyncio.Protocol)
        self._transports.append(transport)
        transport.start(protocol)

    def release(self, transport: Transport) -> None:
        """Note that one of its connections has ended."""
        self._transports.remove(transport)
        self._finish_if_done()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def is_serving(self) -> bool:
        return self._serving

    async def start_serving(self) -> None:
        if self._closed:
            raise RuntimeError(f"server {self!r} is closed")
        self._serving = True
        self._listeners.update(dict.fromkeys(self._addresses, self))
        await asyncio.sleep(0)

    async def serve_forever(self) -> None:
        await self.start_serving()
        try:
            await self._loop.create_future()
        finally:
            self.close()
            await self.wait_closed()

    def close(self) -> None:
        if not self._closed:
            self._closed, self._serving = True, False
            for address in self._addresses:
                self._listeners.pop(address, None)
            self._finish_if_done()

    def close_clients(self) -> None:
        for transport in tuple(self._transports):
            transport.close()

    def abort_clients(self) -> None:
        for transport in tuple(self._transports):
            transport.abort()

    async def wait_closed(self) -> None:
        await asyncio.shield(self._finished)

    def _finish_if_done(self) -> None:
        if self._closed and not self._transports and not self._finished.done():
            self._finished.set_result(None)


def _address_info(address: str, port: int) -> AddressInfo:
    if ":" in address:
        return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)

"""A TCP proxy that disturbs its connections on demand: resets, black holes, trickles, jitter and stalls."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress

_CHUNK_BYTES = 65_536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: discard what is unsent, and send RST instead of FIN


class ChaosProxy:
    """Passes the bytes of TCP connections on to a server. Every method may be called from any thread.

    Parameters
    ----------
    target
        The server's port on 127.0.0.1; may be changed for connections to come.
    seed
        Of the random delays and sizes.
    """

    def __init__(self, target: int, seed: int) -> None:
        self.target = target
        self.resets = 0  # by `reset_within`, so far
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._links: set[_Link] = set()
        self._until = {"hole": 0.0, "stall": 0.0, "trickle": 0.0, "jitter": 0.0}
        self._max_delay_s = 0.0
        self._bytes_per_s = 1.0
        self._tasks: set[asyncio.Task[None]] = set()
        ready = threading.Event()

        def serve() -> None:
            asyncio.set_event_loop(self._loop)
            self._loop.run_until_complete(self._listen())
            ready.set()
            self._loop.run_forever()

        threading.Thread(target=serve, name="chaos proxy", daemon=True).start()
        ready.wait()

    # Faults.

    def reset_within(self, max_bytes: int) -> None:
        """Reset each connection after a random number of further bytes from the server."""
        self._call(lambda: [link.reset_after(self._random.randrange(max_bytes)) for link in self._links])

    def black_hole(self, seconds: float) -> None:
        """Swallow everything on the present connections for ever, and on new ones for some time."""

        def swallow() -> None:
            self._until["hole"] = time.monotonic() + seconds
            for link in self._links:
                link.swallowed = True

        self._call(swallow)

    def stall(self, seconds: float) -> None:
        """Pass nothing on for some time."""
        self._call(lambda: self._extend("stall", seconds))

    def trickle(self, seconds: float, bytes_per_s: float) -> None:
        """Pass the server's bytes on one at a time."""
        self._bytes_per_s = bytes_per_s
        self._call(lambda: self._extend("trickle", seconds))

    def jitter(self, seconds: float, max_delay_s: float) -> None:
        """Delay every read of the server's bytes by a random time."""
        self._max_delay_s = max_delay_s
        self._call(lambda: self._extend("jitter", seconds))

    def drop(self) -> None:
        """Reset all connections now."""
        self._call(lambda: [link.reset() for link in list(self._links)])

    def _extend(self, kind: str, seconds: float) -> None:
        self._until[kind] = time.monotonic() + seconds

    def _call(self, function: Callable[[], object]) -> None:
        done = threading.Event()

        def run() -> None:
            function()
            done.set()

        self._loop.call_soon_threadsafe(run)
        done.wait()

    # Passing bytes on.

    async def _listen(self) -> None:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port: int = server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        link = _Link(writer, upstream[1], swallowed=self._holds("hole"))
        self._links.add(link)
        try:
            await asyncio.gather(
                self._pass_on(link, reader, upstream[1], disturbed=False),
                self._pass_on(link, upstream[0], writer, disturbed=True),
            )
        except OSError:
            link.reset()
        finally:
            self._links.discard(link)

    async def _pass_on(
        self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, disturbed: bool
    ) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            await asyncio.sleep(max(0.0, self._until["stall"] - time.monotonic()))
            if disturbed and self._holds("jitter"):
                await asyncio.sleep(self._random.uniform(0.0, self._max_delay_s))
            while disturbed and data and self._holds("trickle") and not link.swallowed:
                writer.write(data[:1])
                data = data[1:]
                await asyncio.sleep(1.0 / self._bytes_per_s)
            if link.swallowed:
                continue
            if disturbed and link.bytes_left is not None:
                if len(data) >= link.bytes_left:
                    writer.write(data[: link.bytes_left])
                    link.reset()
                    self.resets += 1
                    return
                link.bytes_left -= len(data)
            writer.write(data)
            await writer.drain()
        if not link.swallowed:
            with suppress(OSError):
                writer.write_eof()

    def _holds(self, kind: str) -> bool:
        return time.monotonic() < self._until[kind]


class _Link:
    """The two ends of one connection through the proxy."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter, *, swallowed: bool) -> None:
        self.swallowed = swallowed
        self.bytes_left: int | None = None
        self._ends = (client, server)

    def reset_after(self, count: int) -> None:
        self.bytes_left = count

    def reset(self) -> None:
        for end in self._ends:
            sock = end.get_extra_info("socket")
            if sock is not None and sock.fileno() >= 0:
                with suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            end.transport.abort()

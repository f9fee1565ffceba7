"""A server that sends as fast as a client reads: prepared frames, in writes of a megabyte.

`python -m benchmarks.flood COUNT` prints its port. Each client that subscribes receives the acknowledgement and then
COUNT messages.
"""

from __future__ import annotations

import asyncio
import sys

from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Frame, Opcode

from benchmarks.data import messages

_CHUNK = 1_000_000
ACKNOWLEDGED = (
    '{"type":"subscription","status":"success","channels":[{"name":"market-data","subscribed":true,"filters":{}}],'
    '"timestamp":"2024-01-01T00:00:00.000Z"}'
)


async def main(count: int) -> None:
    """Serve until standard input ends."""
    flood = b"".join(Frame(Opcode.TEXT, message).serialize(mask=False) for message in messages(count))

    async def send(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(ACKNOWLEDGED)
        for start in range(0, len(flood), _CHUNK):
            connection.transport.write(flood[start : start + _CHUNK])
            await connection.drain()
        await connection.wait_closed()

    async with serve(send, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))

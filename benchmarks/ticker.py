"""A server that sends quotes of one symbol at a constant rate, each with the time of sending as its timestamp.

`python -m benchmarks.ticker RATE` prints its port and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from datetime import UTC, datetime

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from benchmarks.flood import ACKNOWLEDGED


async def main(rate_per_s: float) -> None:
    """Serve until standard input ends."""

    async def send(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(ACKNOWLEDGED)
        started = time.perf_counter()
        for number in itertools.count():
            await asyncio.sleep(max(0.0, started + number / rate_per_s - time.perf_counter()))
            bid = round(1.08 + number % 97 * 1e-5, 5)
            message = {
                "type": "market_data",
                "channel": "market-data",
                "data": {"symbol": "EURUSD", "bid": bid, "ask": round(bid + 1e-4, 5)},
                "timestamp": datetime.now(UTC).isoformat(),
                "id": f"q{number}",
            }
            try:
                await connection.send(json.dumps(message))
            except ConnectionClosed:
                return

    async with serve(send, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))

"""From the socket to a queryable row, compared with `websockets` receiving the same messages and discarding them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from websockets.asyncio.client import connect as raw_connect

import fxlive
from benchmarks.report import Figure
from fxlive.wire.protocol import subscribe

COUNT = 200_000
RUNS = 5


def measure() -> list[Figure]:
    """Return the rates, measured in turn against one server in its own process."""
    with flood_server(COUNT) as url:
        alone, rows = [], []
        for run in range(RUNS):
            alone.append(COUNT / asyncio.run(_discard(url)))
            rows.append(COUNT / time_session(url + f"?run={run}"))
    ratio = median(r / a for r, a in zip(rows, alone, strict=True))
    return [
        Figure("socket to row: websockets alone, discarding", median(alone), "messages/s"),
        Figure("socket to row: fxlive session", median(rows), "messages/s"),
        Figure("socket to row: fxlive / websockets alone", ratio, "x", target=">= 0.75"),
    ]


@contextmanager
def flood_server(count: int) -> Iterator[str]:
    """Run a server in its own process that sends `count` messages as fast as it can; yield its URL."""
    command = [sys.executable, "-m", "benchmarks.flood", str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield f"ws://127.0.0.1:{server.stdout.readline().strip()}/api/ws"
        server.stdin.close()


async def _discard(url: str) -> float:
    async with raw_connect(url, compression=None, max_size=None) as connection:
        await connection.send(subscribe({"market-data": None}))
        await connection.recv()
        start = time.perf_counter()
        for _ in range(COUNT):
            await connection.recv()
        return time.perf_counter() - start


def time_session(url: str, count: int = COUNT, record: str | None = None) -> float:
    """Return the seconds in which a session receives the messages of a flood."""
    session = fxlive.Session(url, "token", channels=["market-data"], name="bench", record=record)
    start = time.perf_counter()
    session.open()
    opened = time.perf_counter()
    session.wait_for("market-data", rows=count, timeout=120)
    end = time.perf_counter()
    assert len(session.frame("market-data")) == count
    session.close()
    return end - min(opened, start + 0.05)


if __name__ == "__main__":
    for figure in measure():
        print(figure)

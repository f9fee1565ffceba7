"""From the socket to a queryable row, beside `websockets` receiving the same messages and discarding them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from statistics import median

from websockets.asyncio.client import connect as raw_connect

import fxlive
from benchmarks.report import Figure
from fxlive.protocol import subscribe

COUNT = 200_000
RUNS = 5


def measure() -> list[Figure]:
    """Return the rates, run in turn against one server in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.flood", str(COUNT)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = f"ws://127.0.0.1:{server.stdout.readline().strip()}/api/ws"
        alone, rows = [], []
        for run in range(RUNS):
            alone.append(COUNT / asyncio.run(_discard(url)))
            rows.append(COUNT / _take(url + f"?run={run}"))
        server.stdin.close()  # type: ignore[union-attr]
    ratio = median(r / a for r, a in zip(rows, alone, strict=True))
    return [
        Figure("socket to row: websockets alone, discarding", median(alone), "messages/s"),
        Figure("socket to row: fxlive session", median(rows), "messages/s"),
        Figure("socket to row: fxlive / websockets alone", ratio, "x", bar=">= 0.75"),
    ]


async def _discard(url: str) -> float:
    async with raw_connect(url, compression=None, max_size=None) as connection:
        await connection.send(subscribe({"market-data": None}))
        await connection.recv()
        start = time.perf_counter()
        for _ in range(COUNT):
            await connection.recv()
        return time.perf_counter() - start


def _take(url: str) -> float:
    session = fxlive.Session(url, "token", channels=["market-data"], name="bench")
    start = time.perf_counter()
    session.open()
    opened = time.perf_counter()
    session.wait_for("market-data", rows=COUNT, timeout=120)
    end = time.perf_counter()
    assert len(session.frame("market-data")) == COUNT
    session.close()
    return end - min(opened, start + 0.05)


if __name__ == "__main__":
    for figure in measure():
        print(figure)

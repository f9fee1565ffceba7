"""A platform that fills what it can: memory beyond the window, and how long readers wait meanwhile.

Each attack runs at its full size in its own process. The memory is the highest growth of the process, with what the
readers hold, less what pandas shows of the windows at the end. The times are processor time of all threads.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Callable, Iterator
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pandas as pd
import psutil

import fxlive
from benchmarks.isolate import run_in_process
from benchmarks.report import Figure
from fxlive.feeds.memory import MemoryFeed

MAX_MB = 100
MAX_MS = 50
BATCH = 200
READS = 40
TIMESTAMP = "2024-01-01T00:00:00.000Z"
QUOTE = {
    "symbol": "EURUSD",
    "bid": 1.08,
    "ask": 1.0801,
    "last": 1.08,
    "volume": 1.0,
    "spread": 1,
    "timestamp": TIMESTAMP,
}
ORDER = {"symbol": "EURUSD", "type": "BUY_LIMIT", "volume": 0.1, "price": 1.08, "status": "PENDING"}
POSITION = {"symbol": "EURUSD", "type": "BUY", "volume": 0.1, "openPrice": 1.08, "profit": 1.0, "margin": 100.0}
TRADE = {"ticket": 1, "symbol": "EURUSD", "action": "BUY", "volume": 0.1, "profit": 1.0, "status": "FILLED"}
ALERT = {"alertId": "a", "type": "RISK", "severity": "HIGH", "title": "t", "message": "m"}


class Attack(NamedTuple):
    """The channel that is read meanwhile, how many messages come, message number n, and the options of the session."""

    channel: str
    count: int
    frame: Callable[[int], bytes]
    options: dict[str, Any] = {}  # noqa: RUF012 - never changed
    recorded: bool = False
    keep_frames: int = 0


def message(kind: str, channel: str, number: int, data: dict[str, Any], name: str = "") -> bytes:
    """Return a message with an id of its own."""
    envelope = {"type": kind, "channel": channel, "data": data, "timestamp": TIMESTAMP, "id": name or f"m{number}"}
    return json.dumps(envelope).encode()


def quote(number: int, name: str = "", symbol: str = "EURUSD") -> bytes:
    """Return a quote."""
    return message("market_data", "market-data", number, {**QUOTE, "symbol": symbol}, name)


def pair(number: int) -> str:
    """Return a symbol, another for each number."""
    return "".join(chr(65 + number // 26**place % 26) for place in range(6))


def alert(number: int) -> bytes:
    """Return an alert about an entity of its own."""
    return message(
        "alert", "alerts", number, {**ALERT, "alertId": f"a{number}", "entity": {"type": "x", "id": f"e{number}"}}
    )


ATTACKS = {
    "12,000 rejected messages of 64 KB": Attack(
        "market-data", 12_000, lambda n: b"{%d" % n + b"x" * 65_536, {"max_rows": 1_000}
    ),
    "200,000 orders never ended": Attack(
        "orders", 200_000, lambda n: message("order", "orders", n, {**ORDER, "orderId": f"o{n}"})
    ),
    "the same, with a window of 1,000 rows": Attack(
        "orders", 200_000, lambda n: message("order", "orders", n, {**ORDER, "orderId": f"o{n}"}), {"max_rows": 1_000}
    ),
    "180,000 positions never closed": Attack(
        "positions",
        180_000,
        lambda n: message("position", "positions", n, {**POSITION, "ticket": n}),
        {"max_rows": 1_000},
    ),
    "272,000 different entity ids": Attack("alerts", 272_000, alert),
    "50,000 different strategy ids": Attack(
        "trades",
        50_000,
        lambda n: message("trade", "trades", n, {**TRADE, "executionId": f"x{n}", "strategyId": f"s{n}"}),
    ),
    "60,000 ids of 10 KB": Attack("market-data", 60_000, lambda n: quote(n, f"{n:010}" * 1_000), {"max_rows": 1_000}),
    "200,000 symbols while recording": Attack(
        "market-data", 200_000, lambda n: quote(n, symbol=pair(n)), {"max_rows": 1_000}, recorded=True
    ),
    "60 kept frames while 60,000 rows pass": Attack("market-data", 60_000, quote, {"max_rows": 1_000}, keep_frames=60),
}


def measure() -> list[Figure]:
    """Return the memory and the times of each attack."""
    return [figure for name in ATTACKS for figure in run_in_process(_attack, name)]


def _attack(name: str) -> list[Figure]:
    return asyncio.run(_run(name, ATTACKS[name]))


async def _run(name: str, attack: Attack) -> list[Figure]:
    await _warm_up(attack)
    gc.collect()
    process = psutil.Process()
    before = highest = process.memory_info().rss
    session = await _session(**attack.options)
    feed, kept = session._pipeline.feed, []
    assert isinstance(feed, MemoryFeed)
    times: dict[str, list[float]] = {}
    with TemporaryDirectory() as folder:
        if attack.recorded:
            session.record(folder)
        for start in range(0, attack.count, BATCH):
            feed.put(*map(attack.frame, range(start, min(start + BATCH, attack.count))), at=1_704_067_200_000_000)
            if start % (attack.count // READS // BATCH * BATCH or BATCH) == 0:
                for reader, ms in _read(session, attack.channel):
                    times.setdefault(reader, []).append(ms)
            if len(kept) < attack.keep_frames and start % (attack.count // attack.keep_frames) == 0:
                kept.append(session.frame(attack.channel, last=1))
            highest = max(highest, process.memory_info().rss)
        if session.recording is not None:
            session.recording.stop()
        own = sum(_size(frame) for frame in session.snapshot().values())
    return [
        Figure(f"{name}: memory above the window", (highest - before - own) / 2**20, "MB", f"<= {MAX_MB}"),
        *(
            Figure(f"{name}: {reader}, {kind}", value, "ms", f"<= {MAX_MS}" if kind == "median" else None)
            for reader, measured in times.items()
            for kind, value in (("median", median(measured)), ("worst", max(measured)))
        ),
    ]


async def _warm_up(attack: Attack) -> None:
    """Run a small part of the attack once, so that modules and caches do not count."""
    session = await _session(**attack.options)
    for channel in session.channels:
        list(_read(session, channel))
    if attack.recorded:
        with TemporaryDirectory() as folder:
            session.record(folder)
            assert isinstance(session._pipeline.feed, MemoryFeed)
            session._pipeline.feed.put(attack.frame(0), at=1_704_067_200_000_000)
            session.recording.stop()  # type: ignore[union-attr]
    session.close()


async def _session(**options: Any) -> fxlive.Session:
    session = fxlive.Session(feed=MemoryFeed(), **options)  # type: ignore[call-arg]
    await session._pipeline.start()
    return session


def _size(frame: pd.DataFrame) -> int:
    return int(frame.memory_usage(deep=True).sum())


def _read(session: fxlive.Session, channel: str) -> Iterator[tuple[str, float]]:
    table = channel.replace("-", "_")
    readers: dict[str, Callable[[], object]] = {
        "frame": lambda: session.frame(channel),
        "latest": lambda: session.latest(channel),
        "sql": lambda: session.sql(f"select count(*) from {table}"),
    }
    for name, read in readers.items():
        start = time.process_time()
        read()
        yield name, (time.process_time() - start) * 1e3


if __name__ == "__main__":
    for attack_name in ATTACKS:
        for figure in run_in_process(_attack, attack_name):
            print(figure, flush=True)

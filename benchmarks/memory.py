"""What a full window of market-data costs in memory, everything included: the growth of the process."""

from __future__ import annotations

import gc
import json
from collections import deque

import psutil

from benchmarks.data import messages
from benchmarks.isolate import in_a_process
from benchmarks.report import Figure
from fxlive.pipeline.duplicates import RecentIds
from fxlive.tables.store import Store
from fxlive.wire.protocol import decode

ROWS = 1_000_000
THROUGH = 2_600_000  # the window has rolled, and its buffers are as full as they get
BATCH = 500


def measure() -> list[Figure]:
    """Return bytes a row, each measured in a process of its own."""
    full, worst = in_a_process(_window, ROWS), in_a_process(_window, THROUGH)
    return [
        Figure("memory: deque of dicts, 200,000 messages", in_a_process(_deque)[0], "bytes/row"),
        Figure("memory: window of 1,000,000 rows, just full", full[0], "bytes/row", "<= 284"),
        Figure("memory: the same, the highest while 2,600,000 pass", worst[1], "bytes/row", "<= 284"),
    ]


def _window(through: int) -> tuple[float, float]:
    """Return the bytes a row of a window at the end, and at the highest."""
    raw = messages(50_000)
    process = psutil.Process()
    _take(Store(), RecentIds(), raw, 0, 50_000)  # what is loaded and cached once is not the window's
    gc.collect()
    before = process.memory_info().rss
    store, seen, highest = Store(max_rows=ROWS), RecentIds(), 0
    for start in range(0, through, 50_000):
        _take(store, seen, raw, start, 50_000)
        store.tables["market-data"].frame()
        highest = max(highest, process.memory_info().rss)
    assert len(store.tables["market-data"]) == min(through, ROWS)
    return (process.memory_info().rss - before) / ROWS, (highest - before) / ROWS


def _take(store: Store, seen: RecentIds, raw: list[bytes], start: int, count: int) -> None:
    for place in range(0, count, BATCH):
        some = [
            message[: message.rindex(b"msg_")] + b'msg_%d"}' % (start + place + number)
            for number, message in enumerate(raw[place : place + BATCH])
        ]
        decoded = decode(some, 0, start + place)
        seen.duplicates(decoded.rows["market-data"].values["id"])
        store.add(decoded)


def _deque() -> tuple[float]:
    raw = messages(200_000)
    gc.collect()
    before = psutil.Process().memory_info().rss
    rows = deque((json.loads(message) for message in raw), maxlen=ROWS)
    return ((psutil.Process().memory_info().rss - before) / len(rows),)


if __name__ == "__main__":
    for figure in measure():
        print(figure)

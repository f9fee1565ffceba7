"""Memory of a full window of market-data, everything included: the growth of the process."""

from __future__ import annotations

import gc
import json
from collections import deque

import psutil

from benchmarks.data import messages
from benchmarks.isolate import run_in_process
from benchmarks.report import Figure
from fxlive.pipeline.duplicates import RecentMessages
from fxlive.tables.store import Store
from fxlive.wire.protocol import decode

ROWS = 1_000_000
LONG_RUN = 2_600_000  # so many that the window has evicted rows and its buffers have their largest size
BATCH = 500


def measure() -> list[Figure]:
    """Return bytes per row, each measured in its own process."""
    full, worst = run_in_process(_window, ROWS), run_in_process(_window, LONG_RUN)
    return [
        Figure("memory: deque of dicts, 200,000 messages", run_in_process(_deque)[0], "bytes/row"),
        Figure("memory: window of 1,000,000 rows, just full", full[0], "bytes/row", "<= 284"),
        Figure("memory: the same, the highest while 2,600,000 pass", worst[1], "bytes/row", "<= 284"),
    ]


def _window(count: int) -> tuple[float, float]:
    """Return the bytes per row of a window at the end of `count` messages, and the highest value meanwhile."""
    raw = messages(50_000)
    process = psutil.Process()
    _store(Store(), RecentMessages(), raw, 0, 50_000)  # so that modules and caches do not count as the window's memory
    gc.collect()
    before = process.memory_info().rss
    store, recent, highest = Store(max_rows=ROWS), RecentMessages(), 0
    for start in range(0, count, 50_000):
        _store(store, recent, raw, start, 50_000)
        store.tables["market-data"].frame()
        highest = max(highest, process.memory_info().rss)
    assert len(store.tables["market-data"]) == min(count, ROWS)
    return (process.memory_info().rss - before) / ROWS, (highest - before) / ROWS


def _store(store: Store, recent: RecentMessages, raw: list[bytes], start: int, count: int) -> None:
    """Decode messages in batches, with new ids from `start` on, and add them to the store."""
    for first in range(0, count, BATCH):
        batch = [
            message[: message.rindex(b"msg_")] + b'msg_%d"}' % (start + first + number)
            for number, message in enumerate(raw[first : first + BATCH])
        ]
        decoded = decode(batch, 0, start + first)
        recent.find(decoded.rows["market-data"])
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

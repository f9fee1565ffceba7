"""From bytes to a validated, queryable row: fxlive and two hand-written alternatives (libraries: see peers/)."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from statistics import median

import pandas as pd

from benchmarks.data import messages
from benchmarks.report import Figure
from fxlive.pipeline.duplicates import RecentMessages
from fxlive.tables.store import Store
from fxlive.wire.protocol import decode

COUNT = 200_000
BATCH = 500
FEW = 2_000
RUNS = 5


def measure() -> list[Figure]:
    """Return microseconds per message: the median of runs in turn."""
    methods: dict[str, tuple[Callable[[list[bytes]], object], int]] = {
        "json.loads into a deque of dicts, then DataFrame": (_deque, COUNT),
        "pandas.concat for each message": (_concat, FEW),
        "fxlive, 500 messages a read": (_fxlive, COUNT),
        "fxlive, 10 messages a read": (lambda raw: _fxlive(raw, 10), COUNT // 10),
        "fxlive, 1 message a read": (lambda raw: _fxlive(raw, 1), COUNT // 50),
        "fxlive, an undocumented field in each message": (_fxlive_undocumented, COUNT // 10),
    }
    times: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(RUNS):
        for name, (method, count) in methods.items():
            raw = messages(COUNT)[:count]
            start = time.perf_counter()
            method(raw)
            times[name].append((time.perf_counter() - start) / count * 1e6)
    ours, theirs = times["fxlive, 500 messages a read"], times["json.loads into a deque of dicts, then DataFrame"]
    targets = {"fxlive, 500 messages a read": "<= 2.5"}
    figures = [Figure(f"bytes to row: {name}", median(t), "us/message", targets.get(name)) for name, t in times.items()]
    ratio = median(b / a for a, b in zip(ours, theirs, strict=True))
    return [*figures, Figure("bytes to row: json and deque / fxlive", ratio, "x", ">= 4")]


def _fxlive(raw: list[bytes], batch: int = BATCH) -> pd.DataFrame:
    store, recent = Store(), RecentMessages()
    for start in range(0, len(raw), batch):
        decoded = decode(raw[start : start + batch], 0, start)
        for rows in decoded.rows.values():
            assert recent.find(rows) == ([], 0)
        store.add(decoded)
    frame = store.tables["market-data"].frame()
    assert len(frame) == len(raw)
    return frame


def _fxlive_undocumented(raw: list[bytes]) -> pd.DataFrame:
    return _fxlive([message[:-1] + b',"sequence":1}' for message in raw])


def _deque(raw: list[bytes]) -> pd.DataFrame:
    rows: deque[dict[str, object]] = deque(maxlen=1_000_000)
    for text in raw:
        message = json.loads(text)
        rows.append({**message["data"], "received": message["timestamp"], "id": message["id"]})
    return pd.DataFrame(rows)


def _concat(raw: list[bytes]) -> pd.DataFrame:
    frame = pd.DataFrame()
    for text in raw:
        message = json.loads(text)
        frame = pd.concat([frame, pd.DataFrame([message["data"] | {"id": message["id"]}])], ignore_index=True)
    return frame


if __name__ == "__main__":
    for figure in measure():
        print(figure)

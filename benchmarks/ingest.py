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
MANY = 250
RUNS = 5


def measure() -> list[Figure]:
    """Return microseconds per message: the median of runs in turn."""
    raw = messages(COUNT)
    one = [message[:-1] + b',"sequence":1}' for message in raw[: COUNT // 10]]
    methods: dict[str, tuple[Callable[[list[bytes]], object], list[bytes]]] = {
        "json.loads into a deque of dicts, then DataFrame": (_deque, raw),
        "pandas.concat for each message": (_concat, raw[:FEW]),
        "fxlive, 500 messages a read": (_fxlive, raw),
        "fxlive, 10 messages a read": (lambda raw: _fxlive(raw, 10), raw[: COUNT // 10]),
        "fxlive, 1 message a read": (lambda raw: _fxlive(raw, 1), raw[: COUNT // 50]),
        "fxlive, an undocumented field in each message": (_fxlive, one),
        f"fxlive, {MANY} undocumented fields in each message": (_fxlive, _with_many_fields(raw[: COUNT // 20])),
    }
    times: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(RUNS):
        for name, (method, frames) in methods.items():
            start = time.perf_counter()
            method(frames)
            times[name].append((time.perf_counter() - start) / len(frames) * 1e6)
    ours, theirs = times["fxlive, 500 messages a read"], times["json.loads into a deque of dicts, then DataFrame"]
    targets = {"fxlive, 500 messages a read": "<= 2.5"}
    figures = [Figure(f"bytes to row: {name}", median(t), "us/message", targets.get(name)) for name, t in times.items()]
    many = times[f"fxlive, {MANY} undocumented fields in each message"]
    added = median(with_many - without for with_many, without in zip(many, ours, strict=True))
    ratio = median(b / a for a, b in zip(ours, theirs, strict=True))
    return [
        *figures,
        Figure(f"bytes to row: {MANY} undocumented fields, beyond the message without", added, "us/message", "<= 60"),
        Figure("bytes to row: json and deque / fxlive", ratio, "x", ">= 4"),
    ]


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


def _with_many_fields(raw: list[bytes]) -> list[bytes]:
    """Return messages with undocumented numbers at the end of their data."""
    fields = [
        ",".join(f'"field{field}":{(field * 37 + turn * 101) % 9973 / 100}' for field in range(MANY)).encode()
        for turn in range(100)
    ]
    return [
        message.replace(b'},"timestamp"', b"," + fields[number % 100] + b'},"timestamp"')
        for number, message in enumerate(raw)
    ]


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

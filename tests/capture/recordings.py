"""Shared by tests of captures: messages, a disk that fails on demand, and an independent reader."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fxlive.capture.format import layout
from fxlive.capture.format.disk import Disk
from fxlive.wire.batch import Batch
from fxlive.wire.protocol import decode

MAY_8 = 1_399_552_200_000_000  # 2014-05-08 12:30 UTC
DAY_US = 86_400_000_000


def quote(number: int, **fields: Any) -> bytes:
    data = {"symbol": ["EURUSD", "NZDUSD"][number % 2], "bid": 1.38 + number / 1e5, "ask": 1.39, "volume": number}
    return message("market_data", "market-data", {**data, **fields}, number)


def position(number: int, **fields: Any) -> bytes:
    data = {"ticket": 2**62 + number, "symbol": "EURUSD", "type": "BUY", "volume": 0.1, "profit": None}
    return message("position", "positions", {**data, **fields}, number)


def trade(number: int, **fields: Any) -> bytes:
    data = {"executionId": f"exec_{number}", "symbol": "EURUSD", "ticket": None if number % 3 else number}
    return message("trade", "trades", {**data, **fields}, number)


def alert(number: int, **fields: Any) -> bytes:
    data = {"alertId": f"alert_{number}", "title": "Größe ≥ 5 💶", "actions": ["close", "näher"][: number % 3]}
    return message("alert", "alerts", {**data, **fields}, number)


def message(kind: str, channel: str, data: Any, number: int) -> bytes:
    stamp = f"2014-05-08T12:{number // 60_000 % 60:02d}:{number // 1000 % 60:02d}.{number % 1000:03d}Z"
    return json.dumps(
        {"type": kind, "channel": channel, "data": data, "timestamp": stamp, "id": f"msg_{number}"}
    ).encode()


def quotes(start: int, stop: int, at: int = MAY_8) -> Batch:
    return decode([quote(number) for number in range(start, stop)], at, start)


def read(capture: Path, channel: str) -> pd.DataFrame:
    """Read the rows of a channel from the parts that count, and check that each has as many rows as its name says."""
    tables = []
    for part in layout.parts(capture, channel):
        table = pq.read_table(part.file, partitioning=None)
        assert len(table) == len(part)
        tables.append(table)
    return pa.concat_tables(tables).unify_dictionaries().to_pandas() if tables else pd.DataFrame()


def numbers(capture: Path, channel: str) -> list[int]:
    """Return the numbers in the ids of a channel's rows."""
    frame = read(capture, channel)
    return [] if frame.empty else [int(name.removeprefix("msg_")) for name in frame["id"]]


def wait_until(condition: Callable[[], Any], timeout_s: float = 60.0) -> None:
    """Wait for a condition; the limit is generous, because it only matters when a test fails."""
    ends = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends, f"the condition did not become true within {timeout_s:g} s"
        time.sleep(0.005)


class FailingDisk(Disk):
    """A disk that raises `error`, if it is set, whenever a file is written."""

    error: OSError | None = None

    def unfinished(self) -> Path:
        if self.error is not None:
            raise self.error
        return super().unfinished()

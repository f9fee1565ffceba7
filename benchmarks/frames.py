"""`frame()` and `latest()` immediately after an append, for windows of different lengths."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np

from benchmarks.report import Figure
from fxlive.tables.table import RollingTable
from fxlive.wire.batch import Rows
from fxlive.wire.channels import CHANNELS
from fxlive.wire.messages import Kind

LENGTHS = (1_000, 1_000_000, 10_000_000)
BATCH = 50_000
PROBES = 200


def measure() -> list[Figure]:
    """Return milliseconds per call."""
    figures = []
    for length in LENGTHS:
        table = RollingTable(CHANNELS["market-data"], max_rows=length)
        _fill(table, length + length // 10)  # more than the window, so that it has begun to evict
        times = _after_append(table, table.frame)
        figures.append(Figure(f"frame() after an append, {length:,} rows: median", median(times), "ms", "<= 1"))
        figures.append(Figure(f"frame() after an append, {length:,} rows: 99 of 100", _p99(times), "ms"))
    for channel, keys in (("market-data", 28), ("positions", 100), ("positions", 1_000)):
        table = RollingTable(CHANNELS[channel], max_rows=1_000_000)
        _fill(table, 1_100_000, keys)
        times = _after_append(table, table.latest)
        target = "<= 2" if keys <= 100 else None
        figures.append(Figure(f"latest() of {channel}, {keys:,} keys in 1,000,000 rows", median(times), "ms", target))
    return figures


def _after_append(table: RollingTable, call: Callable[[], object]) -> list[float]:
    times = []
    for number in range(PROBES):
        table.append(_rows(table, 10, number * 10, 10))
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e3)
    return times


def _p99(times: list[float]) -> float:
    return float(np.quantile(times, 0.99))


def _fill(table: RollingTable, length: int, keys: int = 28) -> None:
    for start in range(0, length, BATCH):
        table.append(_rows(table, min(BATCH, length - start), start, keys))


def _rows(table: RollingTable, count: int, start: int, keys: int) -> Rows:
    """Return rows such as `protocol` decodes, without decoding."""
    numbers = np.arange(start, start + count)
    timestamps = 1_400_000_000_000_000 + numbers * 1000
    values: dict[str, object] = {}
    for column in table.channel.columns:
        if column.kind is Kind.NUMBER:
            values[column.name] = 1.0 + numbers % 1000 * 1e-5
        elif column.kind is Kind.TIME:
            values[column.name] = timestamps
        elif column.kind is Kind.KEY_INTEGER:
            values[column.name] = 10_000_000 + numbers % keys
        elif column.name == "id":
            values[column.name] = [f"msg_{n}" for n in numbers.tolist()]
        else:
            values[column.name] = [f"S{n % min(keys, 28)}" for n in numbers.tolist()]
    return Rows(table.channel, [None] * count, timestamps, timestamps, numbers, values)  # type: ignore[list-item]


if __name__ == "__main__":
    for figure in measure():
        print(figure)

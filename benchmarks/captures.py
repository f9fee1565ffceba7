"""Captures: the cost of recording for the feed and the disk, and the speed of opening, reading and replaying ten
million rows, compared with pandas, DuckDB and Polars on the same files.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

import fxlive
from benchmarks.data import messages, quotes
from benchmarks.report import Figure
from benchmarks.socket_rate import flood_server, time_session
from fxlive.capture.format import layout
from fxlive.capture.writing.recorder import Recorder
from fxlive.pipeline.duplicates import RecentMessages
from fxlive.tables.store import Store
from fxlive.wire.protocol import decode

COUNT = 10_000_000
FEED_COUNT = 1_000_000
SOCKET_COUNT = 500_000
BATCH = 500
RUNS = 5
DAY_US = 86_400_000_000
HOUR = {"symbol": "EURUSD", "since": "2014-05-20 12:00", "until": "2014-05-20 13:00"}


def measure() -> list[Figure]:
    """Return rates, ratios, sizes and times."""
    figures = [*_tight_loop(), *_socket(), *_day()]
    with tempfile.TemporaryDirectory() as folder:
        path = _ten_million(Path(folder))
        figures += [*_opening(path), *_reading(path), *_replaying(path)]
    return figures


# Recording


def _tight_loop() -> list[Figure]:
    raw = messages(FEED_COUNT)
    with tempfile.TemporaryDirectory() as folder:
        alone, recorded = [], []
        for _ in range(RUNS):
            alone.append(_time_feed(raw, None))
            recorded.append(_time_feed(raw, folder))
    rate_ratio, thread_ratio = (median(a[n] / r[n] for a, r in zip(alone, recorded, strict=True)) for n in (0, 1))
    return [
        Figure("a feed in a tight loop, 500 messages a read", FEED_COUNT / median(a[0] for a in alone), "messages/s"),
        Figure("the same, recording", FEED_COUNT / median(r[0] for r in recorded), "messages/s"),
        Figure("the same: rate while recording / without", rate_ratio, "x", ">= 0.85"),
        Figure("the same, by the processor time of the feed's thread alone", thread_ratio, "x", ">= 0.85"),
    ]


def _time_feed(raw: list[bytes], folder: str | None) -> tuple[float, float]:
    """Decode and store all messages like the pipeline; return the seconds and the feed thread's processor time."""
    store, recent = Store(), RecentMessages()
    recorder = None if folder is None else Recorder(folder, name="bench", url="memory:", store=store)
    start, thread_start = time.perf_counter(), time.thread_time()
    for first in range(0, len(raw), BATCH):
        batch = decode(raw[first : first + BATCH], time.time_ns() // 1000, first)
        for rows in batch.rows.values():
            recent.find(rows)
        store.add(batch)
        if recorder is not None:
            recorder.put(batch)
    seconds, thread_seconds = time.perf_counter() - start, time.thread_time() - thread_start
    if recorder is not None:
        status = recorder.stop()
        assert status.rows == len(raw), status
        assert not status.dropped
    return seconds, thread_seconds


def _socket() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder, flood_server(SOCKET_COUNT) as url:
        alone, recorded = [], []
        for run in range(RUNS):
            alone.append(time_session(f"{url}?run={run}", SOCKET_COUNT))
            recorded.append(time_session(f"{url}?recorded={run}", SOCKET_COUNT, folder))
    rate_ratio = median(a / r for a, r in zip(alone, recorded, strict=True))
    return [
        Figure("socket to row", SOCKET_COUNT / median(alone), "messages/s"),
        Figure("socket to row, recording", SOCKET_COUNT / median(recorded), "messages/s"),
        Figure("the same: rate while recording / without", rate_ratio, "x", ">= 0.85"),
    ]


def _day() -> list[Figure]:
    raw = messages(len(quotes()))
    with tempfile.TemporaryDirectory() as folder:
        with Recorder(folder, name="bench", url="memory:") as recorder:
            for first in range(0, len(raw), BATCH):
                recorder.put(decode(raw[first : first + BATCH], 1_399_552_200_000_000 + first, first))
        size, files = recorder.status.bytes, len(layout.parts(recorder.path))
    return [
        Figure("a day of quotes on disk, sequential ids", size / len(raw), "bytes/quote", "<= 12"),
        Figure("the same: files after close", files, "files", "<= 8"),
    ]


# Reading


def _ten_million(folder: Path) -> Path:
    """Record ten million quotes: the same day repeated, each time a day later."""
    day = quotes()
    raw = messages(len(day))
    store = Store(max_rows=1_000)
    with Recorder(folder, name="bench", url="memory:", store=store) as recorder:
        done = 0
        while done < COUNT:
            shift = done // len(day) * DAY_US
            for first in range(0, len(day), BATCH):
                batch = decode(raw[first : first + BATCH], 0, done)
                rows = batch.rows["market-data"]
                rows.timestamp += shift
                rows.values["data_timestamp"] = rows.timestamp
                rows.received_at[:] = rows.timestamp[-1] + 5_000
                rows.values["id"] = [f"msg_{done + number}" for number in range(len(rows))]
                store.add(batch)
                recorder.put(batch)
                done += len(rows)
                while recorder.status.waiting > 500_000:
                    time.sleep(0.01)
        assert recorder.stop(timeout=300).dropped == 0
    return recorder.path


def _times(calls: dict[str, Callable[[], Any]], runs: int = RUNS) -> dict[str, list[float]]:
    """Run the calls in turn and return the milliseconds of each run."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(runs):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append((time.perf_counter() - start) * 1e3)
    return times


def _opening(path: Path) -> list[Figure]:
    times = _times({"open": lambda: fxlive.open_capture(path)})["open"]
    return [Figure("open_capture, 10,000,000 rows", median(times), "ms", "<= 50")]


def _reading(path: Path) -> list[Figure]:
    import duckdb
    import polars

    folder = path / "channel=market-data"
    since, until = (pd.Timestamp(HOUR[name], tz="UTC") for name in ("since", "until"))
    hour = {
        "fxlive": lambda: fxlive.open_capture(path).frame("market-data", **HOUR),
        "pandas.read_parquet with filters": lambda: pd.read_parquet(
            folder, filters=[("symbol", "==", "EURUSD"), ("timestamp", ">=", since), ("timestamp", "<=", until)]
        ),
        "DuckDB": lambda: duckdb.sql(
            f"select * from '{folder}/*/*.parquet' where symbol = 'EURUSD' and timestamp between "
            f"'{since}'::timestamptz and '{until}'::timestamptz"
        ).df(),
        "Polars": lambda: (
            polars.scan_parquet(folder)
            .filter((polars.col("symbol") == "EURUSD") & polars.col("timestamp").is_between(since, until))
            .collect()
        ),
    }
    whole = {
        "fxlive": lambda: fxlive.open_capture(path).frame("market-data"),
        "pandas.read_parquet": lambda: pd.read_parquet(folder),
        "DuckDB, as a DataFrame": lambda: duckdb.sql(f"select * from '{folder}/*/*.parquet'").df(),
        "Polars, as its own frame": lambda: polars.read_parquet(folder),
    }
    assert len({len(call()) for call in hour.values()}) == 1
    figures = []
    for name, times in _times(hour).items():
        target = "<= 300" if name == "fxlive" else None
        figures.append(Figure(f"one symbol's hour of 10,000,000 rows: {name}", median(times), "ms", target))
    # Not measured: the first frame of a process is slower, until the system has assigned the memory.
    _times({name: whole[name] for name in ("fxlive", "pandas.read_parquet")}, 1)
    frame_times = _times(whole)
    figures += [
        Figure(f"a frame of 10,000,000 rows: {name}", median(times), "ms") for name, times in frame_times.items()
    ]
    ratio = median(f / p for f, p in zip(frame_times["fxlive"], frame_times["pandas.read_parquet"], strict=True))
    figures.append(Figure("the same: fxlive / pandas.read_parquet", ratio, "x", "<= 1"))
    for name, call in {
        "latest()": lambda: fxlive.open_capture(path).latest("market-data"),
        "the last 1,000 rows": lambda: fxlive.open_capture(path).frame("market-data", last=1_000),
        "a mean by symbol in sql()": lambda: fxlive.open_capture(path).sql(
            "select symbol, avg(bid) from market_data group by symbol"
        ),
    }.items():
        figures.append(Figure(f"of 10,000,000 rows: {name}", median(_times({name: call}, 3)[name]), "ms"))
    return figures


def _replaying(path: Path) -> list[Figure]:
    start = time.perf_counter()
    with fxlive.replay(path, speed=None) as session:
        session.wait_until_end(timeout=600)
        seconds = time.perf_counter() - start
        rows = session.health().messages
        assert rows >= COUNT
        session.pause()
        targets = session.start + (session.end - session.start) * np.array([0.3, 0.7, 0.5])
        seeks = _times({str(target): lambda target=target: session.seek(target) for target in targets}, 1)
    return [
        Figure("replay at full speed into the tables", rows / seconds, "messages/s", ">= 200000"),
        Figure("seek in it, with a window of 1,000,000 rows", median(t[0] for t in seeks.values()) / 1e3, "s"),
    ]


if __name__ == "__main__":
    for figure in measure():
        print(figure)

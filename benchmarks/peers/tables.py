"""Rows: from the wire's messages to a queryable window, and a pandas frame of it.

Every implementation receives the same messages, keeps the same window (the newest WINDOW rows) and returns the same
frame: the 13 fields, the envelope's time and the id, with times as datetimes. Only fxlive also validates each message
and drops duplicates.
"""

from __future__ import annotations

import gc
import itertools
import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import make_dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import pandas as pd
import psutil

from benchmarks.data import messages
from benchmarks.isolate import run_in_process
from benchmarks.report import Comparison
from fxlive.pipeline.duplicates import RecentMessages
from fxlive.tables.store import Store
from fxlive.wire.protocol import decode

WINDOW = 100_000
COUNT = 150_000  # more than the window, so that rows are evicted
READ = 500
WARM_UP_COUNT = 2_000
SINGLE_COUNT = 2_000
SNAPSHOTS = 7
RUNS = 5
TIMES = ["timestamp", "data_timestamp"]
EXAMPLE = messages(1)[0]


class Window(Protocol):
    """An implementation to measure: a window that stores the messages of reads and returns a frame."""

    def add(self, read: list[bytes]) -> None:
        """Add the messages of one read of the socket."""

    def frame(self) -> pd.DataFrame:
        """Return the window as a frame."""


def _rows(read: list[bytes]) -> list[dict[str, Any]]:
    return [
        {
            **(data := message["data"]),
            "timestamp": message["timestamp"],
            "data_timestamp": data["timestamp"],
            "id": message["id"],
        }
        for message in map(json.loads, read)
    ]


def _columns(read: list[bytes]) -> dict[str, list[Any]]:
    rows = _rows(read)
    return {name: [row[name] for row in rows] for name in rows[0]}


def _with_times(frame: pd.DataFrame) -> pd.DataFrame:
    for name in TIMES:
        frame[name] = pd.to_datetime(frame[name], format="ISO8601")
    return frame


class Fxlive:
    """The steps that a session performs with a read, from its bytes on."""

    def __init__(self) -> None:
        self._store, self._recent, self._count = Store(max_rows=WINDOW), RecentMessages(), 0

    def add(self, read: list[bytes]) -> None:
        """Decode, validate, check for duplicates, store."""
        batch = decode(read, 0, self._count)
        self._count += len(read)
        assert self._recent.find(batch.rows["market-data"]) == ([], 0)
        self._store.add(batch)

    def frame(self) -> pd.DataFrame:
        """Return a view."""
        return self._store.tables["market-data"].frame()


class Dicts:
    """A deque of dicts, converted to a frame on request."""

    def __init__(self) -> None:
        self._rows: deque[dict[str, Any]] = deque(maxlen=WINDOW)

    def add(self, read: list[bytes]) -> None:
        """Append the dicts."""
        self._rows.extend(_rows(read))

    def frame(self) -> pd.DataFrame:
        """Create a frame of all dicts."""
        return _with_times(pd.DataFrame(list(self._rows)))


class Frames:
    """A deque of frames, one per read, joined with `pandas.concat` on request."""

    def __init__(self, read: int) -> None:
        self._frames: deque[pd.DataFrame] = deque(maxlen=WINDOW // read)

    def add(self, read: list[bytes]) -> None:
        """Append a frame of the read."""
        self._frames.append(_with_times(pd.DataFrame(_rows(read))))

    def frame(self) -> pd.DataFrame:
        """Concatenate the frames."""
        return pd.concat(self._frames, ignore_index=True)


class IbAsync:
    """Objects as in ib_async: dataclasses in a sequence, converted with its `util.df`."""

    def __init__(self) -> None:
        from ib_async import util

        self._quote: Callable[..., Any] = make_dataclass("Quote", list(_columns([EXAMPLE])))
        self._df, self._quotes = util.df, deque[Any](maxlen=WINDOW)

    def add(self, read: list[bytes]) -> None:
        """Append the objects."""
        self._quotes.extend(self._quote(**row) for row in _rows(read))

    def frame(self) -> pd.DataFrame:
        """Create a frame of all objects."""
        return _with_times(self._df(self._quotes))


class Streamz:
    """A stream of frames, one per read, with a sliding window."""

    def __init__(self, read: int) -> None:
        from streamz import Stream

        self._source = Stream()
        window = self._source.map(_rows).map(pd.DataFrame).map(_with_times).sliding_window(WINDOW // read)
        window.sink(lambda frames: setattr(self, "_window", frames))
        self._window: tuple[pd.DataFrame, ...] = ()

    def add(self, read: list[bytes]) -> None:
        """Emit the read."""
        self._source.emit(read)

    def frame(self) -> pd.DataFrame:
        """Concatenate the frames of the window."""
        return pd.concat(self._window, ignore_index=True)


class Polars:
    """Polars frames of newline-delimited JSON, one per read, concatenated and converted to pandas on request."""

    def __init__(self, read: int) -> None:
        import polars

        self._pl, self._frames = polars, deque[Any](maxlen=WINDOW // read)
        self._schema = polars.read_ndjson(EXAMPLE).schema

    def add(self, read: list[bytes]) -> None:
        """Append a frame of the read's JSON."""
        pl = self._pl
        frame = pl.read_ndjson(b"\n".join(read), schema=self._schema).select(
            pl.col("data").struct.unnest().name.map(lambda name: "data_timestamp" if name == "timestamp" else name),
            "timestamp",
            "id",
        )
        self._frames.append(frame.with_columns(pl.col(TIMES).str.to_datetime(time_unit="us", time_zone="UTC")))

    def frame(self) -> pd.DataFrame:
        """Concatenate the frames."""
        return self._pl.concat(self._frames).to_pandas()


class Perspective:
    """A table with a limit, and a view of it from the first request on. Updated by columns: as fast as Arrow."""

    def __init__(self) -> None:
        import perspective

        self._kinds = dict.fromkeys(_columns([EXAMPLE]), "float")
        self._kinds |= dict.fromkeys(("symbol", "id"), "string") | dict.fromkeys(TIMES, "datetime")
        self._table = perspective.Server().new_local_client().table(self._kinds, limit=WINDOW)
        self._view: Any = None

    def add(self, read: list[bytes]) -> None:
        """Update the table."""
        self._table.update(_columns(read))

    def frame(self) -> pd.DataFrame:
        """Read the view."""
        self._view = self._view or self._table.view()
        return self._view.to_dataframe()


class Bokeh:
    """A `ColumnDataSource`, streamed to with a rollover."""

    def __init__(self) -> None:
        from bokeh.models import ColumnDataSource

        self._source = ColumnDataSource({name: [] for name in _columns([EXAMPLE])})

    def add(self, read: list[bytes]) -> None:
        """Stream the read."""
        self._source.stream(_columns(read), rollover=WINDOW)

    def frame(self) -> pd.DataFrame:
        """Create a frame of the source."""
        return _with_times(self._source.to_df())


IMPLEMENTATIONS: dict[str, Callable[[int], Window]] = {
    "fxlive": lambda read: Fxlive(),
    "deque of dicts, DataFrame": lambda read: Dicts(),
    "deque of frames, pandas.concat": Frames,
    "ib_async, util.df": lambda read: IbAsync(),
    "streamz": Streamz,
    "polars": Polars,
    "perspective-python": lambda read: Perspective(),
    "bokeh": lambda read: Bokeh(),
}


def measure() -> list[Comparison]:
    """Measure every implementation in turn, each time in new processes."""
    with TemporaryDirectory() as folder:
        wire = Path(folder) / "wire"
        wire.write_bytes(b"\n".join(messages(COUNT)))
        turns = [{name: _measure_implementation(name, wire) for name in IMPLEMENTATIONS} for _ in range(RUNS)]
    disciplines = (
        (f"ingest, {READ} messages a read, and a frame at the end", "messages/s", "more"),
        (f"memory of a window of {WINDOW:,} rows", "bytes/row", "less"),
        (f"a frame of a window of {WINDOW:,} rows, after a read of 10", "ms", "less"),
        ("ingest, 1 message a read, and a frame at the end", "messages/s", "more"),
    )
    excluded = {"plotly FigureWidget": "draws, and keeps no table"}
    return [
        Comparison(name, unit, better, {key: [turn[key][index] for turn in turns] for key in IMPLEMENTATIONS}, excluded)
        for index, (name, unit, better) in enumerate(disciplines)
    ]


def _measure_implementation(name: str, wire: Path) -> tuple[float, ...]:
    """Return the values of an implementation in all disciplines, in their order."""
    return (*run_in_process(_by_reads, name, wire), run_in_process(_one_by_one, name, wire))


def _by_reads(name: str, wire: Path) -> tuple[float, float, float]:
    """Return messages per second, bytes per row, and milliseconds of a frame."""
    with wire.open("rb") as file:
        raw = [line.rstrip() for line in file]
    # Warm up, so that modules and caches do not count as the window's memory.
    _fill(IMPLEMENTATIONS[name](READ), raw[:WARM_UP_COUNT], READ)
    gc.collect()
    before = psutil.Process().memory_info().rss
    start = time.perf_counter()
    window = _fill(IMPLEMENTATIONS[name](READ), raw, READ)
    seconds = time.perf_counter() - start
    gc.collect()
    memory = (psutil.Process().memory_info().rss - before) / WINDOW
    start = time.perf_counter()
    frame = window.frame()
    rate = COUNT / (seconds + time.perf_counter() - start)
    _check(frame, raw[-WINDOW:])
    times = []
    # A window of frames evicts a whole frame for each of these reads of ten, so it has slightly fewer rows to return.
    for number in range(SNAPSHOTS):
        window.add([message[:-2] + b'-%d"}' % number for message in raw[:10]])
        start = time.perf_counter()
        frame = window.frame()
        times.append((time.perf_counter() - start) * 1e3)
    return rate, memory, median(times)


def _one_by_one(name: str, wire: Path) -> float:
    """Return messages per second if each read has one message, as in a quiet market."""
    with wire.open("rb") as file:
        raw = [line.rstrip() for line in itertools.islice(file, SINGLE_COUNT)]
    _fill(IMPLEMENTATIONS[name](1), raw, 1).frame()
    start = time.perf_counter()
    frame = _fill(IMPLEMENTATIONS[name](1), raw, 1).frame()
    rate = SINGLE_COUNT / (time.perf_counter() - start)
    _check(frame, raw)
    return rate


def _fill(window: Window, raw: list[bytes], read: int) -> Window:
    """Add all messages to a window, `read` at a time."""
    for start in range(0, len(raw), read):
        window.add(raw[start : start + read])
    return window


def _check(frame: pd.DataFrame, raw: list[bytes]) -> None:
    """Check that a frame has all rows, in their order, with times as datetimes."""
    frame = frame.reset_index()
    assert len(frame) == len(raw), len(frame)
    assert list(frame["id"].astype(str)) == [json.loads(message)["id"] for message in raw]
    assert all(pd.api.types.is_datetime64_any_dtype(frame[name]) for name in TIMES), frame.dtypes
    prices = itertools.islice((json.loads(message)["data"]["bid"] for message in raw), 1_000)
    assert list(frame["bid"][:1_000]) == list(prices)

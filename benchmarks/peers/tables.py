"""Rows: from the wire's messages to a window of them that one can query, and a pandas frame of it.

Every way is given the same messages, keeps the same window (the newest WINDOW rows) and gives the same frame: the 13
fields, the envelope's time and id, times as times. fxlive alone validates each message and drops duplicates meanwhile.
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
from benchmarks.isolate import in_a_process
from benchmarks.report import Comparison
from fxlive.pipeline.duplicates import RecentIds
from fxlive.tables.store import Store
from fxlive.wire.protocol import decode

WINDOW = 100_000
THROUGH = 150_000  # the window has rolled
READ = 500
WARM = 2_000
SINGLE = 2_000
SNAPSHOTS = 7
RUNS = 5
TIMES = ["timestamp", "data_timestamp"]
EXAMPLE = messages(1)[0]


class Way(Protocol):
    """What is measured: a window that takes what a read of the socket brought, and gives a frame."""

    def take(self, read: list[bytes]) -> None:
        """Take the messages of one read."""

    def frame(self) -> pd.DataFrame:
        """Return the window."""


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
    """What a session does with a read, from its bytes on."""

    def __init__(self) -> None:
        self._store, self._seen, self._count = Store(max_rows=WINDOW), RecentIds(), 0

    def take(self, read: list[bytes]) -> None:
        """Decode, validate, look for duplicates, add."""
        batch = decode(read, 0, self._count)
        self._count += len(read)
        assert not self._seen.duplicates(batch.rows["market-data"].values["id"])
        self._store.add(batch)

    def frame(self) -> pd.DataFrame:
        """Return a view."""
        return self._store.tables["market-data"].frame()


class Dicts:
    """A deque of dicts; pandas makes a frame of all of them when asked."""

    def __init__(self) -> None:
        self._rows: deque[dict[str, Any]] = deque(maxlen=WINDOW)

    def take(self, read: list[bytes]) -> None:
        """Keep the dicts."""
        self._rows.extend(_rows(read))

    def frame(self) -> pd.DataFrame:
        """Make a frame."""
        return _with_times(pd.DataFrame(list(self._rows)))


class Frames:
    """A deque of frames, one a read, and `pandas.concat` of them when asked."""

    def __init__(self, read: int) -> None:
        self._frames: deque[pd.DataFrame] = deque(maxlen=WINDOW // read)

    def take(self, read: list[bytes]) -> None:
        """Make a frame of the read."""
        self._frames.append(_with_times(pd.DataFrame(_rows(read))))

    def frame(self) -> pd.DataFrame:
        """Put them together."""
        return pd.concat(self._frames, ignore_index=True)


class IbAsync:
    """Objects as ib_async has them, dataclasses in a list, and its `util.df`."""

    def __init__(self) -> None:
        from ib_async import util

        self._quote: Callable[..., Any] = make_dataclass("Quote", list(_columns([EXAMPLE])))
        self._df, self._quotes = util.df, deque[Any](maxlen=WINDOW)

    def take(self, read: list[bytes]) -> None:
        """Keep the objects."""
        self._quotes.extend(self._quote(**row) for row in _rows(read))

    def frame(self) -> pd.DataFrame:
        """Make a frame."""
        return _with_times(self._df(self._quotes))


class Streamz:
    """A stream of reads, each made a frame, and a sliding window of them."""

    def __init__(self, read: int) -> None:
        from streamz import Stream

        self._source = Stream()
        window = self._source.map(_rows).map(pd.DataFrame).map(_with_times).sliding_window(WINDOW // read)
        window.sink(lambda frames: setattr(self, "_window", frames))
        self._window: tuple[pd.DataFrame, ...] = ()

    def take(self, read: list[bytes]) -> None:
        """Emit the read."""
        self._source.emit(read)

    def frame(self) -> pd.DataFrame:
        """Put the window's frames together."""
        return pd.concat(self._window, ignore_index=True)


class Polars:
    """Polars' own reader of newline-delimited JSON; a frame a read, put together and given to pandas when asked."""

    def __init__(self, read: int) -> None:
        import polars

        self._pl, self._frames = polars, deque[Any](maxlen=WINDOW // read)
        self._schema = polars.read_ndjson(EXAMPLE).schema

    def take(self, read: list[bytes]) -> None:
        """Read the JSON."""
        pl = self._pl
        frame = pl.read_ndjson(b"\n".join(read), schema=self._schema).select(
            pl.col("data").struct.unnest().name.map(lambda name: "data_timestamp" if name == "timestamp" else name),
            "timestamp",
            "id",
        )
        self._frames.append(frame.with_columns(pl.col(TIMES).str.to_datetime(time_unit="us", time_zone="UTC")))

    def frame(self) -> pd.DataFrame:
        """Put them together."""
        return self._pl.concat(self._frames).to_pandas()


class Perspective:
    """A table with a limit, and, once somebody asks, a view of it; columns were as quick as Arrow, rows slower."""

    def __init__(self) -> None:
        import perspective

        self._kinds = dict.fromkeys(_columns([EXAMPLE]), "float")
        self._kinds |= dict.fromkeys(("symbol", "id"), "string") | dict.fromkeys(TIMES, "datetime")
        self._table = perspective.Server().new_local_client().table(self._kinds, limit=WINDOW)
        self._view: Any = None

    def take(self, read: list[bytes]) -> None:
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

    def take(self, read: list[bytes]) -> None:
        """Stream the read."""
        self._source.stream(_columns(read), rollover=WINDOW)

    def frame(self) -> pd.DataFrame:
        """Make a frame."""
        return _with_times(self._source.to_df())


WAYS: dict[str, Callable[[int], Way]] = {
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
    """Return what every way costs, in turns; each in processes of its own each time."""
    with TemporaryDirectory() as folder:
        wire = Path(folder) / "wire"
        wire.write_bytes(b"\n".join(messages(THROUGH)))
        turns = [{name: _measured(name, wire) for name in WAYS} for _ in range(RUNS)]
    disciplines = (
        (f"ingest, {READ} messages a read, and a frame at the end", "messages/s", "more"),
        (f"memory of a window of {WINDOW:,} rows", "bytes/row", "less"),
        (f"a frame of a window of {WINDOW:,} rows, after a read of 10", "ms", "less"),
        ("ingest, 1 message a read, and a frame at the end", "messages/s", "more"),
    )
    without = {"plotly FigureWidget": "draws, and keeps no table"}
    return [
        Comparison(name, unit, better, {way: [turn[way][place] for turn in turns] for way in WAYS}, without)
        for place, (name, unit, better) in enumerate(disciplines)
    ]


def _measured(name: str, wire: Path) -> tuple[float, ...]:
    return (*in_a_process(_by_reads, name, wire), in_a_process(_one_by_one, name, wire))


def _by_reads(name: str, wire: Path) -> tuple[float, float, float]:
    """Return messages a second, bytes a row, and milliseconds of a frame."""
    with wire.open("rb") as file:
        raw = [line.rstrip() for line in file]
    _filled(WAYS[name](READ), raw[:WARM], READ)  # what is loaded and cached once is not the window's
    gc.collect()
    before = psutil.Process().memory_info().rss
    start = time.perf_counter()
    way = _filled(WAYS[name](READ), raw, READ)
    took = time.perf_counter() - start
    gc.collect()
    memory = (psutil.Process().memory_info().rss - before) / WINDOW
    start = time.perf_counter()
    frame = way.frame()
    rate = THROUGH / (took + time.perf_counter() - start)
    _check(frame, raw[-WINDOW:])
    times = []
    for number in range(SNAPSHOTS):  # a window of frames drops a whole one for these ten: it has some rows less to give
        way.take([message[:-2] + b'-%d"}' % number for message in raw[:10]])
        start = time.perf_counter()
        frame = way.frame()
        times.append((time.perf_counter() - start) * 1e3)
    return rate, memory, median(times)


def _one_by_one(name: str, wire: Path) -> float:
    """Return messages a second when each comes alone, as on a calm market."""
    with wire.open("rb") as file:
        raw = [line.rstrip() for line in itertools.islice(file, SINGLE)]
    _filled(WAYS[name](1), raw, 1).frame()
    start = time.perf_counter()
    frame = _filled(WAYS[name](1), raw, 1).frame()
    rate = SINGLE / (time.perf_counter() - start)
    _check(frame, raw)
    return rate


def _filled(way: Way, raw: list[bytes], read: int) -> Way:
    for start in range(0, len(raw), read):
        way.take(raw[start : start + read])
    return way


def _check(frame: pd.DataFrame, raw: list[bytes]) -> None:
    """Make sure that a way gives all rows, in their order, with times as times."""
    frame = frame.reset_index()
    assert len(frame) == len(raw), len(frame)
    assert list(frame["id"].astype(str)) == [json.loads(message)["id"] for message in raw]
    assert all(pd.api.types.is_datetime64_any_dtype(frame[name]) for name in TIMES), frame.dtypes
    prices = itertools.islice((json.loads(message)["data"]["bid"] for message in raw), 1_000)
    assert list(frame["bid"][:1_000]) == list(prices)

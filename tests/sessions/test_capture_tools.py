"""Captures in DuckDB, Polars, PyArrow and Dask: each reads the rows of the frame, from disk or object storage."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest

import fxlive
from fxlive.capture.writing.recorder import Recorder
from fxlive.wire.protocol import decode
from tests.capture.recordings import MAY_8, message, position, quote, quotes, wait_until
from tests.capture.sessions import bring_all, equal, path_of, plain, recorded
from tests.handmade import clean_slate  # noqa: F401
from tests.samples import DATA
from tests.sessions.test_capture import wild

duckdb, polars, dask = (pytest.importorskip(name) for name in ("duckdb", "polars", "dask.dataframe"))

# dask 2026.8 calls pandas 3.1 with a deprecated argument.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")

ODD = ["../../away", "q\"uo'te", "sl/a~sh", "$.x", "日本", "a.b", "x; drop table trades"]


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> fxlive.Capture:
    """A capture of unusual messages of all channels, and of undocumented fields with odd names and changing types."""
    pick = random.Random(5)
    values = [1, 2.5, -3, True, False, "text", "1.5", "true", 2**53, 2**53 + 1, 10**30, [1], None]
    frames = wild(5, 400)
    frames += [quote(n, **{name: pick.choice(values) for name in ODD}) for n in range(1_000, 1_200)]
    with recorded(tmp_path_factory.mktemp("captures")) as session:
        bring_all(session, frames, 20, 3)
    return fxlive.open_capture(path_of(session))


@pytest.fixture(scope="module")
def remote(capture: fxlive.Capture) -> Iterator[fxlive.Capture]:
    """The same capture on object storage: fsspec's memory file system."""
    fsspec = pytest.importorskip("fsspec")
    storage = fsspec.filesystem("memory")
    storage.put(capture.path, "/bucket/captures/one", recursive=True)
    yield fxlive.open_capture("memory://bucket/captures/one")
    storage.rm("/bucket", recursive=True)


def comparable(frame: pd.DataFrame) -> pd.DataFrame:
    """Convert a frame to values that all tools have: Python objects, None if missing, without `extra`."""
    frame = plain(frame).drop(columns="extra", errors="ignore")
    columns = {}
    for name in frame.columns:
        values = [_value(v) for v in frame[name].tolist()]
        columns[name] = pd.Series(values, dtype=object)
    return pd.DataFrame(columns)


def _value(value: Any) -> Any:
    if isinstance(value, list | tuple | np.ndarray):
        return tuple(value)
    if pd.isna(value):
        return None
    return value.isoformat() if isinstance(value, pd.Timestamp) else value


@pytest.mark.parametrize("channel", [*DATA, "news/ünicode"])
def test_sql_returns_the_rows_and_columns_of_the_frame(capture: fxlive.Capture, channel: str) -> None:
    name = channel.replace("-", "_")
    found = capture.sql(f'select * from "{name}"')
    expected = comparable(capture.frame(channel))

    seen = comparable(found.set_index("timestamp"))
    beyond = seen.map(lambda value: isinstance(value, float) and abs(value) >= 2**63)
    assert expected[beyond].isna().all(axis=None)
    pd.testing.assert_frame_equal(seen.mask(beyond, None), expected)
    assert str(found["timestamp"].dtype) == "datetime64[us, UTC]"


def test_sql_can_join_and_aggregate_channels(capture: fxlive.Capture) -> None:
    found = capture.sql(
        "select symbol, count(*) as n, avg(bid) as bid, (select count(*) from trades) as trades "
        "from market_data where symbol in ('EURUSD', 'NZDUSD') group by symbol order by symbol"
    )
    quotes = capture.frame("market-data", symbol=["EURUSD", "NZDUSD"])
    by = quotes.groupby("symbol", observed=True)["bid"].agg(["size", "mean"]).sort_index(key=lambda i: i.astype("str"))
    assert found["n"].tolist() == by["size"].tolist()
    assert found["bid"].tolist() == pytest.approx(by["mean"].tolist())
    assert set(found["trades"]) == {len(capture.frame("trades"))}


def test_sql_has_the_tables_gaps_and_rejected(capture: fxlive.Capture) -> None:
    assert capture.sql("select count(*) as n from rejected")["n"].tolist() == [len(capture.rejected())]
    assert list(capture.sql("select * from gaps").columns) == list(capture.gaps().columns)


def test_sql_of_a_channel_without_rows_has_its_columns_and_dtypes(tmp_path: Path) -> None:
    with Recorder(tmp_path, name="default", url="memory:") as recorder:
        recorder.put(quotes(0, 3))
    empty = fxlive.open_capture(recorder.path)
    found = empty.sql("select * from alerts")
    assert found.empty
    assert [*found.columns] == ["timestamp", *empty.frame("alerts").columns]
    assert found.dtypes.astype(str)["title"] == "str"
    assert found.dtypes.astype(str)["threshold"] == "float64"


def test_an_invalid_query_is_a_duckdb_error_with_notes_about_the_tables(capture: fxlive.Capture) -> None:
    with pytest.raises(duckdb.Error, match="nothing"):
        capture.sql("select * from nothing")
    for query in ("select * from market-data", 'select * from "market-data"', "select bidd from market_data"):
        with pytest.raises(duckdb.Error) as refused:
            capture.sql(query)
        known, *more = refused.value.__notes__
        assert known.endswith("gaps, rejected.")
        assert more == (["In SQL market-data is market_data."] if "-" in query else [])


@pytest.mark.parametrize("query", ["", " \n", "-- select * from trades", ";"])
def test_an_empty_query_is_an_error_instead_of_an_empty_frame(capture: fxlive.Capture, query: str) -> None:
    for asked in (capture, fxlive.Session.offline()):
        with pytest.raises(fxlive.UnknownOption, match="a SQL query, such as"):
            asked.sql(query)


def test_polars_and_pyarrow_read_the_rows_with_the_columns_of_the_files(capture: fxlive.Capture) -> None:
    for channel in DATA:
        frame = capture.frame(channel)
        lazily, table = capture.polars(channel).collect(), capture.dataset(channel).to_table()
        ids = [None if pd.isna(value) else value for value in frame["id"]]
        assert lazily["id"].to_list() == table.column("id").to_pylist() == ids
        assert lazily["timestamp"].to_list() == table.column("timestamp").to_pylist()
        assert {"arrival", "extra"} <= set(lazily.columns)
    bids = capture.polars("market_data").filter(polars.col("symbol") == "EURUSD").select("bid").collect()
    assert bids["bid"].to_list() == capture.frame("market-data", symbol="EURUSD")["bid"].tolist()


@pytest.mark.parametrize("channel", [*DATA, "news/ünicode"])
def test_dask_partitions_equal_the_frames_of_a_session(capture: fxlive.Capture, channel: str) -> None:
    lazy = capture.dask(channel)
    found, expected = lazy.compute(scheduler="sync"), capture.frame(channel)

    equal(plain(found), plain(expected))
    assert [*lazy.columns] == [*expected.columns]
    [column] = [expected.columns[-1]]
    assert plain(lazy[[column]].compute(scheduler="sync")).equals(plain(expected[[column]]))


def test_all_tools_can_read_a_capture_at_a_time(capture: fxlive.Capture) -> None:
    at = capture.frame("market-data")["received_at"].iloc[100]
    then = capture.at(at)
    count = len(then.frame("market-data"))

    assert 100 < count < len(capture.frame("market-data"))
    assert then.sql("select count(*) as n from market_data")["n"].tolist() == [count]
    assert then.dataset("market-data").count_rows() == count
    assert then.polars("market-data").select(polars.len()).collect().item() == count
    assert len(then.dask("market-data").compute(scheduler="sync")) == count


def test_all_tools_can_read_a_channel_without_rows(tmp_path: Path) -> None:
    with Recorder(tmp_path, name="default", url="memory:"):
        pass
    [path] = tmp_path.iterdir()
    empty = fxlive.open_capture(path)
    assert empty.dataset("trades").count_rows() == 0
    assert empty.polars("trades").collect().height == 0
    equal(plain(empty.dask("trades").compute(scheduler="sync")), plain(empty.frame("trades")))
    assert "capture of 'default'" in repr(empty)
    assert "table" in empty._repr_html_()


def test_all_tools_read_a_folder_of_captures_as_one(tmp_path: Path) -> None:
    for number in range(2):
        with Recorder(tmp_path, name="default", url="memory:", clock=lambda: MAY_8) as recorder:
            frames = [quote(n) for n in range(number * 50, number * 50 + 50)]
            recorder.put(decode(frames, MAY_8 + number, 0))
    both = fxlive.open_capture(tmp_path)
    assert both.sql("select sum(volume) as s from market_data")["s"].tolist() == [4950.0]
    assert both.polars("market-data").collect().height == both.dataset("market-data").count_rows() == 100
    assert both.dask("market-data")["volume"].sum().compute(scheduler="sync") == 4950.0


def test_a_capture_on_object_storage_can_be_read_and_replayed_like_a_local_one(
    capture: fxlive.Capture, remote: fxlive.Capture
) -> None:
    for channel in capture.channels:
        equal(remote.frame(channel), capture.frame(channel))
        equal(remote.latest(channel), capture.latest(channel))
    everything = "select count(*) as n, sum(volume) as v from market_data"
    equal(remote.sql(everything), capture.sql(everything))
    assert remote.polars("trades").collect().equals(capture.polars("trades").collect())
    equal(
        plain(remote.dask("market-data").compute(scheduler="sync")),
        plain(capture.dask("market-data").compute(scheduler="sync")),
    )
    assert "bucket/captures/one" in repr(remote)
    assert len(fxlive.open_capture("memory://bucket/captures").frame("trades")) == len(capture.frame("trades"))
    with pytest.raises(fxlive.NotACapture):
        fxlive.open_capture("memory://bucket/nothing")
    with fxlive.replay("memory://bucket/captures/one", speed=None) as replayed:
        replayed.wait_until_end(timeout=60)
        equal(replayed.frame("market-data"), capture.frame("market-data"))


@pytest.mark.parametrize(("method", "library"), [("sql", "duckdb"), ("polars", "polars"), ("dask", "dask")])
def test_a_missing_library_is_an_error_that_names_the_extra_to_install(
    capture: fxlive.Capture, monkeypatch: pytest.MonkeyPatch, method: str, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)  # so that importing it fails
    with pytest.raises(fxlive.CaptureError, match=rf"pip install '?{library}.* or fxlive with its extra \[{library}\]"):
        getattr(capture, method)("trades")


def test_channel_names_that_are_equal_in_sql_do_not_break_queries(tmp_path: Path) -> None:
    names = ["a-b", "a_b", "A_B", 'x"; drop view trades; --', "q'"]
    with Recorder(tmp_path, name="default", url="memory:") as recorder:
        recorder.put(decode([message("x", name, {name: 1}, n) for n, name in enumerate(names)], MAY_8))
        recorder.put(decode([position(9)], MAY_8, 9))
    crafted = fxlive.open_capture(recorder.path)
    assert crafted.sql("select count(*) as n from positions")["n"].tolist() == [1]
    assert crafted.sql('select count(*) as n from "x""; drop view trades; __"')["n"].tolist() == [1]


def test_all_tools_read_every_row_while_parts_are_merged(tmp_path: Path) -> None:
    """Parts are merged after they were listed and before they are opened. Each tool then lists them again."""
    with Recorder(tmp_path / "captures", name="default", url="memory:", flush_s=0.02) as recorder:
        recorder.put(quotes(0, 10))
        wait_until(lambda: recorder.status.rows == 10)
        opened = fxlive.open_capture(recorder.path)
        [folder] = opened._captures.folders
        lazily = opened.polars("market-data")
        listed = folder.parts()
        for number in range(10, 40):
            recorder.put(quotes(number, number + 1))
            wait_until(lambda: not recorder.status.waiting)
        wait_until(lambda: not listed["channel=market-data"][0].file.exists())
        refreshed = folder.refresh

        def stay_behind() -> None:
            folder._parts = listed

        for count in (
            lambda: int(opened.sql("select count(*) n from market_data")["n"][0]),
            lambda: lazily.collect().height,
            lambda: lazily.filter(polars.col("bid") > 0).select(polars.len()).collect().item(),
            lambda: opened.polars("market-data").collect().height,
            lambda: unpacked(opened, tmp_path).frame("market-data").shape[0],
        ):
            folder.refresh = stay_behind  # type: ignore[method-assign]
            stay_behind()
            assert count() == 40
        folder.refresh = refreshed  # type: ignore[method-assign]


def unpacked(capture: fxlive.Capture, folder: Path) -> fxlive.Capture:
    [file] = capture.export(folder / "zip", format="zip").values()
    with ZipFile(file) as archive:
        archive.extractall(folder / "unpacked")
    return fxlive.open_capture(folder / "unpacked")

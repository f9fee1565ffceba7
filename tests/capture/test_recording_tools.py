"""Other tools read the folder of a channel without options, also while it is being recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow.dataset as ds
import pytest

from fxlive.capture.format import layout
from fxlive.capture.writing.recorder import Recorder
from fxlive.wire.protocol import decode
from tests.capture.recordings import DAY_US, MAY_8, alert, position, quote, quotes, trade, wait_until

ALL = {"market-data": 30, "positions": 5, "trades": 5, "alerts": 5, "_rejected": 5, "_gaps": 5}


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A running recording: several parts and dates, later undocumented fields, unfinished files, gaps, rejections."""
    now_us = MAY_8
    options = {"name": "default", "url": "memory:", "flush_s": 0.02, "clock": lambda: now_us}
    with Recorder(tmp_path_factory.mktemp("captures"), **options) as recorder:
        for start in range(0, 50, 10):
            at = now_us = MAY_8 + start // 30 * DAY_US
            frames = [quote(n, depth=[n], mood="new") if n > 30 else quote(n) for n in range(start, start + 6)]
            frames += [position(start + 6), trade(start + 7), alert(start + 8), b"what?"]
            recorder.put(decode(frames, at, start))
            recorder.gap(at, at + 5, "connection lost", ("trades",))
            wait_until(lambda: not recorder.status.waiting)
        # Wait until the first date's parts are merged: a tool could fail to open a part that is deleted just then.
        wait_until(lambda: all(dates(recorder.path, channel) == {"2014-05-08": 1, "2014-05-09": 2} for channel in ALL))
        wait_until(lambda: len(list(recorder.path.rglob("*.parquet"))) == 3 * len(ALL))
        (recorder.path / "_unfinished" / "torn.tmp").write_bytes(b"PAR1")
        yield recorder.path


def dates(capture: Path, channel: str) -> Counter[str]:
    return Counter(part.date for part in layout.parts(capture, channel))


@pytest.mark.parametrize("channel", ALL)
def test_pandas_reads_the_folder_of_a_channel(capture: Path, channel: str) -> None:
    frame = pd.read_parquet(capture / f"channel={channel}")

    assert len(frame) == ALL[channel]
    assert str(frame["timestamp"].dtype) == "datetime64[us, UTC]"
    assert sorted(set(frame["date"].astype(str))) == ["2014-05-08", "2014-05-09"]


def test_pandas_reads_the_dtypes_of_the_live_frame(capture: Path) -> None:
    frame = pd.read_parquet(capture / "channel=market-data")

    assert isinstance(frame["symbol"].dtype, pd.CategoricalDtype)
    assert frame["bid"].dtype == "float64"
    assert frame["id"].dtype == "str"
    assert frame["extra"].notna().sum() == 11


@pytest.mark.parametrize("channel", ALL)
def test_pyarrow_reads_the_folder_of_a_channel(capture: Path, channel: str) -> None:
    dataset = ds.dataset(capture / f"channel={channel}", partitioning="hive")

    assert dataset.count_rows() == dataset.to_table().num_rows == ALL[channel]


def test_pyarrow_filters_by_symbol_and_time(capture: Path) -> None:
    dataset = ds.dataset(capture / "channel=market-data", partitioning="hive")
    since = pd.Timestamp("2014-05-08T12:00:00.030Z")

    found = dataset.to_table(filter=(ds.field("symbol") == "EURUSD") & (ds.field("timestamp") >= since))

    assert found.column("id").to_pylist() == [f"msg_{n}" for n in (30, 32, 34, 40, 42, 44)]


@pytest.mark.parametrize("channel", ALL)
def test_duckdb_reads_the_folder_of_a_channel(capture: Path, channel: str) -> None:
    duckdb = pytest.importorskip("duckdb")
    files = f"{capture}/channel={channel}/*/*.parquet"

    found = duckdb.sql(f"select count(*), min(date)::varchar, max(channel) from '{files}'").fetchall()

    assert found == [(ALL[channel], "2014-05-08", channel)]


def test_duckdb_reads_all_channels_with_their_names(capture: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    all_files = f"read_parquet('{capture}/*/*/*.parquet', hive_partitioning=true, union_by_name=true)"

    found = duckdb.sql(f"select channel, count(*) from {all_files} group by channel").fetchall()
    [bids] = duckdb.sql(f"select sum(bid) from {all_files} where channel = 'market-data'").fetchall()

    assert dict(found) == ALL
    assert bids[0] == pytest.approx(sum(1.38 + n / 1e5 for n in range(50) if n % 10 < 6))


@pytest.mark.parametrize("channel", ALL)
def test_polars_reads_the_folder_of_a_channel(capture: Path, channel: str) -> None:
    polars = pytest.importorskip("polars")

    frame = polars.read_parquet(capture / f"channel={channel}", hive_partitioning=True)
    lazily = polars.scan_parquet(capture / f"channel={channel}" / "**" / "*.parquet").select("timestamp").collect()

    assert len(frame) == len(lazily) == ALL[channel]


def test_polars_filters_by_symbol(capture: Path) -> None:
    polars = pytest.importorskip("polars")

    found = polars.scan_parquet(capture / "channel=market-data").filter(polars.col("symbol") == "EURUSD").collect()

    assert len(found) == 15


# dask 2026.8 calls pandas 3.1 in a deprecated way.
@pytest.mark.filterwarnings("ignore:The inplace keyword")
@pytest.mark.parametrize("channel", ALL)
def test_dask_reads_the_folder_of_a_channel(capture: Path, channel: str) -> None:
    dask = pytest.importorskip("dask.dataframe")

    frame = dask.read_parquet(capture / f"channel={channel}")

    assert len(frame) == len(frame.compute(scheduler="sync")) == ALL[channel]


def test_all_tools_read_the_same_from_large_merged_parts(tmp_path: Path) -> None:
    duckdb, polars = pytest.importorskip("duckdb"), pytest.importorskip("polars")
    with Recorder(tmp_path, name="default", url="memory:") as recorder:
        for start in range(0, 20_000, 500):
            recorder.put(quotes(start, start + 500))
    folder = recorder.path / "channel=market-data"

    by_pandas = pd.read_parquet(folder)
    by_duckdb = duckdb.sql(f"select id, bid, volume, timestamp from '{folder}/*/*.parquet'").fetchnumpy()
    by_polars = polars.read_parquet(folder)

    assert by_pandas["id"].tolist() == list(by_duckdb["id"]) == by_polars["id"].to_list()
    for name in ("bid", "volume"):
        assert by_pandas[name].tolist() == by_duckdb[name].tolist() == by_polars[name].to_list()
    assert by_pandas["timestamp"].astype("int64").tolist() == by_polars["timestamp"].to_physical().to_list()

"""Messages that two captures share are one row on every way out of a folder of captures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import fxlive
from fxlive.capture.reading.repeats import Repeats
from fxlive.core.world import WORLD
from fxlive.errors import IncompleteCapture
from tests.capture.recordings import MAY_8, wait_until
from tests.capture.sessions import SECOND, bring, equal, recorded
from tests.capture.test_overlapping import overlapping, quote
from tests.samples import ALERT, POSITION, message, wire

pytestmark = [
    pytest.mark.filterwarnings("ignore::fxlive.errors.IncompleteCapture"),
    pytest.mark.filterwarnings("ignore:The inplace keyword"),  # DuckDB's, about pandas
]

BIDS = sorted([*map(float, range(10)), 99.0])


def exported(capture: fxlive.Capture, folder: Path, format: Any) -> pd.DataFrame:
    return fxlive.read_export(capture.export(folder, ["market-data"], format=format)["market-data"])


WAYS: dict[str, Callable[[fxlive.Capture, Path], Any]] = {
    "frame": lambda capture, _: capture.frame("market-data"),
    "snapshot": lambda capture, _: capture.snapshot()["market-data"],
    "sql": lambda capture, _: capture.sql("select * from market_data"),
    "polars": lambda capture, _: capture.polars("market-data").collect().to_pandas(),
    "dask": lambda capture, _: capture.dask("market-data").compute(),
    "dataset": lambda capture, _: capture.dataset("market-data").to_table().to_pandas(),
    "scanner": lambda capture, _: capture.dataset("market-data").scanner(columns=["bid"]).to_table().to_pandas(),
    "parquet": lambda capture, folder: exported(capture, folder / "out", "parquet"),
    "csv": lambda capture, folder: exported(capture, folder / "out", "csv"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_message_in_two_captures_is_one_row(tmp_path: Path, way: str) -> None:
    overlapping(tmp_path / "captures")
    capture = fxlive.open_capture(tmp_path / "captures")
    frame = capture.frame("market-data")
    found = WAYS[way](capture, tmp_path)
    assert found["bid"].tolist() == frame["bid"].tolist()
    assert sorted(found["bid"]) == BIDS
    if "received_at" in found:
        assert found["received_at"].tolist() == frame["received_at"].tolist()


@pytest.mark.parametrize("way", WAYS)
def test_a_time_before_the_first_copy_of_a_message_leaves_the_other_copy(tmp_path: Path, way: str) -> None:
    with recorded(tmp_path / "captures", "first") as first, recorded(tmp_path / "captures", "second") as second:
        bring(first, quote(1), at=MAY_8)
        bring(second, quote(1), at=MAY_8 + 3_000)
        bring(second, quote(2), at=MAY_8 + SECOND)
        bring(first, quote(2), at=MAY_8 + SECOND + 3_000)  # in the first capture, but later
    capture = fxlive.open_capture(tmp_path / "captures")
    assert WAYS[way](capture.at(pd.Timestamp(MAY_8 + SECOND, unit="us")), tmp_path)["bid"].tolist() == [1.0, 2.0]
    assert WAYS[way](capture, tmp_path / "whole")["bid"].tolist() == [1.0, 2.0]


def test_counts_and_aggregates_have_each_message_once(tmp_path: Path) -> None:
    overlapping(tmp_path)
    capture = fxlive.open_capture(tmp_path)
    assert capture.contents().loc["market-data", "rows"] == 11
    assert capture.sql("select count(*) as n, sum(bid) as bids from market_data").iloc[0].tolist() == [11, sum(BIDS)]
    assert capture.dataset("market-data").count_rows() == 11
    assert len(capture.dask("market-data")) == 11
    assert capture.polars("market-data").select("bid").collect().height == 11
    assert capture.sql("select count(*) as n from alerts").iloc[0, 0] == 1
    assert capture.sql("select count(*) as n from trades").iloc[0, 0] == 2  # without an id
    assert "table" not in capture.sql("show tables")["name"].tolist()


def test_a_capture_within_another_shares_its_messages_although_a_third_lies_between(tmp_path: Path) -> None:
    with recorded(tmp_path, "a") as long:
        bring(long, quote(0), at=MAY_8)
        with recorded(tmp_path, "b") as early:
            bring(early, quote(1), at=MAY_8 + 100 * SECOND)
        with recorded(tmp_path, "c") as late:
            for session in (late, long):
                bring(session, quote(2), at=MAY_8 + 200 * SECOND)
        bring(long, quote(3), at=MAY_8 + 300 * SECOND)
    frame = fxlive.open_capture(tmp_path).frame("market-data")
    assert sorted(frame["bid"]) == [0.0, 1.0, 2.0, 3.0]


def test_a_replay_recorded_again_adds_no_rows_on_any_way_out(tmp_path: Path) -> None:
    captures = tmp_path / "captures"
    with recorded(captures, "first") as session:
        for number in range(500):
            bring(session, quote(number), wire(message(ALERT, {"id": f"a{number}"}, new=number)), at=MAY_8 + number)
    alone = fxlive.open_capture(captures).frame("market-data")
    with fxlive.replay(captures, speed=None, name="again") as replay:
        replay.wait_until_end(timeout=60)
        rows = len(replay.frame("market-data"))
        recording = replay.record(captures)
        replay.seek(replay.start)
        replay.wait_until_end(timeout=60)
        recording.stop()
    assert rows == 500
    capture = fxlive.open_capture(captures)
    assert len(list(captures.iterdir())) == 2
    for way in ("frame", "sql", "polars", "dask", "dataset", "csv"):
        assert WAYS[way](capture, tmp_path)["bid"].tolist() == alone["bid"].tolist(), way
    assert capture.sql("select count(*) as n from alerts").iloc[0, 0] == 500


def test_a_replay_of_overlapping_captures_brings_each_message_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlapping(tmp_path)
    monkeypatch.setattr("fxlive.pipeline.duplicates.REMEMBERED", 2)
    with fxlive.replay(tmp_path, speed=None) as replay:
        replay.wait_until_end(timeout=60)
        assert sorted(replay.frame("market-data")["bid"]) == BIDS
        assert replay.health().duplicates == 0


def test_the_shared_messages_of_a_running_recording_are_found_as_it_grows(tmp_path: Path) -> None:
    with recorded(tmp_path, "first") as first:
        bring(first, *map(quote, range(10)), at=MAY_8)
    with recorded(tmp_path, "second") as second:
        capture = fxlive.open_capture(tmp_path)
        for number in range(5, 15):
            bring(second, quote(number), at=MAY_8 + 1_000 * number)
            wait_until(lambda number=number: float(number) in capture.frame("market-data")["bid"].tolist())  # type: ignore[misc]
            assert capture.sql("select count(*) as n from market_data").iloc[0, 0] == max(10, number + 1)
    assert sorted(capture.frame("market-data")["bid"]) == [float(n) for n in range(15)]


def test_captures_that_share_no_message_are_compared_by_their_ids_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with recorded(tmp_path, "first") as first, recorded(tmp_path, "second") as second:
        bring(first, *map(quote, range(10)), at=MAY_8)
        bring(second, *map(quote, range(20, 30)), at=MAY_8)
    monkeypatch.setattr("fxlive.capture.reading.repeats._contents", lambda *_: pytest.fail("contents were read"))
    assert len(fxlive.open_capture(tmp_path).frame("market-data")) == 20


def test_the_warning_names_the_only_way_on_which_a_message_comes_twice(tmp_path: Path) -> None:
    overlapping(tmp_path)
    with pytest.warns(IncompleteCapture, match="is one row; programs that read the Parquet files themselves"):
        equal(fxlive.open_capture(tmp_path).frame("alerts"), fxlive.open_capture(tmp_path).frame("alerts"))


def test_a_seek_in_a_replay_fills_the_window_although_messages_are_shared(tmp_path: Path) -> None:
    with recorded(tmp_path, "first") as first, recorded(tmp_path, "second") as second:
        for number in range(300):
            bring(first, quote(number), at=MAY_8 + 1_000 * number)
            if number >= 120:
                bring(second, quote(number), at=MAY_8 + 1_000 * number + 300)
    with fxlive.replay(tmp_path, speed=None, max_rows=100) as replay:
        replay.wait_until_end(timeout=60)
        expected = replay.frame("market-data")["bid"].tolist()
        assert expected == list(map(float, range(200, 300)))
        for time in (replay.start, replay.end):
            replay.seek(time)
        assert replay.frame("market-data")["bid"].tolist() == expected
        assert replay.latest("market-data")["bid"].tolist() == [299.0]


@pytest.mark.parametrize("stop", range(12))
@pytest.mark.parametrize("count", [1, 3, 20])
def test_the_last_rows_are_counted_without_repeats(stop: int, count: int) -> None:
    rows = [1, 2, 5, 6, 9]
    repeats = Repeats(np.array(rows), np.array(rows), np.array(rows))
    others = [row for row in range(stop) if row not in rows][-count:]
    first, found = repeats.last_others(stop, count)
    assert found == len(others)
    assert [row for row in range(first, stop) if row not in rows] == others


def test_a_message_that_repeats_one_of_another_capture_confirms_its_position(tmp_path: Path) -> None:
    position = wire(message(POSITION, {"id": "p1"}))
    with recorded(tmp_path, "first") as first:
        bring(first, position, at=WORLD.now_us())
    with recorded(tmp_path, "second") as second:
        bring(second, position, at=WORLD.now_us() + 1_000_000)
    capture = fxlive.open_capture(tmp_path)
    assert capture.gaps()["reason"].tolist() == ["not recorded: between two recordings"]
    assert len(capture.frame("positions")) == 1
    assert capture.latest("positions")["confirmed"].tolist() == [True]
    with fxlive.replay(tmp_path, speed=None) as replay:
        replay.wait_until_end(timeout=60)
        assert replay.latest("positions")["confirmed"].tolist() == [True]


def test_sql_keeps_the_order_of_many_rows(tmp_path: Path) -> None:
    count = 150_000
    with recorded(tmp_path, "first") as first, recorded(tmp_path, "second") as second:
        for start in range(0, count, 5_000):
            quotes = [quote(number) for number in range(start, start + 5_000)]
            bring(first, *quotes, at=MAY_8 + start)
            bring(second, *quotes[::2], at=MAY_8 + start + 300)
        bring(second, *[quote(count + number) for number in range(100_000)], at=MAY_8 + count)
    capture = fxlive.open_capture(tmp_path)
    bids = capture.sql("select bid from market_data")["bid"]
    assert bids.tolist() == capture.frame("market-data")["bid"].tolist()


def test_an_export_has_the_rows_of_its_start(tmp_path: Path) -> None:
    """Rows that running recordings add meanwhile may repeat others, which nobody has looked for."""
    with recorded(tmp_path, "first") as first, recorded(tmp_path, "second") as second:
        for session in (first, second):
            bring(session, *map(quote, range(10)), at=MAY_8)
        source = fxlive.open_capture(tmp_path)._source
        channel = source.channel("market-data")

        def rows() -> int:
            source.refresh()
            return sum(map(len, source.recorded(channel).tables(100)))

        wait_until(lambda: rows() == 10)
        tables = source.recorded(channel).tables(3)
        bids = next(tables).column("bid").to_pylist()
        for session in (first, second):
            bring(session, *map(quote, range(10, 20)), at=MAY_8 + 2_000)
        wait_until(lambda: rows() == 20)
        bids += [bid for table in tables for bid in table.column("bid").to_pylist()]
    assert bids == list(map(float, range(10)))

"""Captures that are attacked or damaged on purpose: an error or a warning that names the file, and never a hang."""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fxlive
from fxlive.capture.format import layout, manifest
from fxlive.capture.format.disk import Disk
from fxlive.capture.writing import recorder as recorder_module
from fxlive.capture.writing.recorder import Recorder
from fxlive.tables.store import Store
from fxlive.wire.protocol import decode
from tests.capture.recordings import MAY_8, alert, message, position, quote, quotes, trade, wait_until
from tests.capture.sessions import bring, lose, path_of, recorded
from tests.handmade import clean_slate  # noqa: F401

pytestmark = [
    pytest.mark.filterwarnings("ignore::fxlive.IncompleteCapture"),
    pytest.mark.filterwarnings("ignore:The inplace keyword"),  # raised by duckdb itself
]
posix = pytest.mark.skipif(os.name != "posix", reason="needs links, pipes and sockets")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture with rows of seven channels, undocumented fields, a gap and a rejection."""
    with recorded(tmp_path_factory.mktemp("original")) as session:
        bring(session, *[quote(n, mood="calm") for n in range(30)], *[position(n) for n in range(30, 36)])
        bring(session, trade(40), alert(41), message("x", "other", {"a": [1], "b": "t"}, 42), b"what?")
        lose(session, MAY_8, MAY_8 + 5)
    return path_of(session)


@pytest.fixture
def capture(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "capture"))


def part(capture: Path, channel: str = "market-data") -> Path:
    return layout.parts(capture, channel)[0].file


def use(capture: Path, *, thorough: bool = True) -> bool:
    """Read a capture in every way; an error must be a CaptureError that names a file."""
    try:
        opened = fxlive.open_capture(capture)
        opened.snapshot()
        opened.latest("positions")
        opened.symbols, opened.gaps(), opened.rejected()
        opened.sql("select max(bid) from market_data")
        if thorough:
            repr(opened), opened._repr_html_()
            with fxlive.replay(capture, speed=None) as replayed:
                replayed.wait_until_end(timeout=60)
    except fxlive.CaptureError as refused:
        named = str(capture) in str(refused)
        return named or pytest.fail(f"no file is named: {refused}")
    return True


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a manifest."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value[:2]):
            yield from paths(inner, (*path, index))


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    changed = copy.copy(value)
    changed[path[0]] = replaced(value[path[0]], path[1:], by)
    return changed


ODD_VALUES: list[Any] = [
    None,
    True,
    -1,
    10**30,
    -(10**30),
    float("nan"),
    1e308,
    2**63,
    "",
    "\0",
    "9999-12-31T23:59:59.999999Z",
    "0000-01-01T00:00:00Z",
    "99999-01-01T00:00:00Z",
    "../../..",
    [],
    {},
    [[]],
    {"timestamp": "float64"},
    {"a": {"b": "str"}},
    "x" * 10**5,
]


def test_no_value_in_the_manifest_breaks_reading(capture: Path) -> None:
    file = capture / "_manifest.json"
    content = json.loads(file.read_text())
    rng = random.Random(0)
    for path in paths(content):
        for value in rng.sample(ODD_VALUES, 1):
            file.write_text(json.dumps(replaced(content, path, value)))
            try:
                assert use(capture, thorough=rng.random() < 0.1)
            except Exception as error:
                error.add_note(f"{path} = {value!r:.60}")
                raise


@pytest.mark.parametrize(
    "drift",
    [
        {"timestamp": "float64"},
        {"bid": "str", "received_at": "boolean"},
        {"extra": "float64"},
        {"mood": "float64"},
        {"mood": "boolean"},
        {f"x{number}": "str" for number in range(1_000)},
        {"": "str", "\0": "float64"},
    ],
)
def test_undocumented_columns_that_the_manifest_invents_break_nothing(capture: Path, drift: dict[str, str]) -> None:
    file = capture / "_manifest.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "drift": {"market-data": drift}}))
    assert use(capture)
    frame = fxlive.open_capture(capture)["market-data"]
    assert frame.index.name == "timestamp"
    assert frame["bid"].notna().all()


def test_a_row_count_that_no_capture_has_is_a_warning(capture: Path) -> None:
    file = capture / "_manifest.json"
    content = json.loads(file.read_text())
    for rows in (10**30, -1, 1.5, "30"):
        file.write_text(json.dumps(replaced(content, ("channels", "market-data", "rows"), rows)))
        with pytest.warns(fxlive.IncompleteCapture, match="_manifest.json could not be read"):
            assert len(fxlive.open_capture(capture)["market-data"]) == 30


def test_a_huge_manifest_is_not_read(capture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "MAX_BYTES", 10_000)
    (capture / "_manifest.json").write_text("[" + " " * 10_000 + "]")
    with pytest.warns(fxlive.IncompleteCapture, match="more than 0 MB"):
        assert len(fxlive.open_capture(capture)["market-data"]) == 30
    with pytest.raises(fxlive.CaptureError, match="not a regular file of at most"):
        manifest.read(capture)


def make_fifo(file: Path) -> None:
    os.mkfifo(file)


def make_socket(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            listener.bind(f"/proc/self/fd/{folder}/{file.name}")  # a path that is short enough for a socket
        finally:
            os.close(folder)


def make_link_to_a_device(file: Path) -> None:
    file.symlink_to("/dev/zero")


def make_folder(file: Path) -> None:
    file.mkdir()


NOT_FILES = [make_fifo, make_socket, make_link_to_a_device, make_folder]


@posix
@pytest.mark.parametrize("make", NOT_FILES)
def test_a_manifest_that_is_not_a_regular_file_is_a_warning(capture: Path, make: Any) -> None:
    (capture / "_manifest.json").unlink()
    make(capture / "_manifest.json")
    with pytest.warns(fxlive.IncompleteCapture, match="_manifest.json could not be read"):
        assert len(fxlive.open_capture(capture)["market-data"]) == 30
    with pytest.raises(fxlive.CaptureError):
        manifest.read(capture)
    assert use(capture)


@posix
@pytest.mark.parametrize("make", NOT_FILES)
@pytest.mark.parametrize("opened_before", [False, True])
def test_a_part_that_is_not_a_regular_file_is_left_out(capture: Path, make: Any, opened_before: bool) -> None:
    opened = fxlive.open_capture(capture)
    file = part(capture)
    if opened_before:
        assert len(opened["market-data"]) == 30
    file.unlink()
    make(file)
    with pytest.warns(fxlive.IncompleteCapture, match="30 rows|regular file|is a link"):
        assert opened["market-data"].empty
    assert len(opened["positions"]) == 6
    assert use(capture)


@posix
@pytest.mark.parametrize("depth", ["channel", "date"])
def test_a_folder_swapped_for_a_link_is_not_read(capture: Path, tmp_path: Path, depth: str) -> None:
    folder = part(capture).parent if depth == "date" else part(capture).parents[1]
    shutil.move(folder, tmp_path / "outside")
    folder.symlink_to(tmp_path / "outside")
    with pytest.warns(fxlive.IncompleteCapture, match=f"{folder.name} is a link"):
        assert fxlive.open_capture(capture)["market-data"].empty
    folder.unlink()
    folder.symlink_to("/")  # must not be listed
    assert use(capture)


@posix
@pytest.mark.parametrize("swapped", ["channel=market-data", "_unfinished", "."])
def test_a_recorder_does_not_write_through_a_link(tmp_path: Path, swapped: str) -> None:
    with Recorder(tmp_path / "in", name="default", url="memory:", flush_s=0.02) as recorder:
        recorder.put(quotes(0, 10))
        wait_until(lambda: "market-data" in manifest.read(recorder.path).channels)  # then it writes nothing more
        folder = recorder.path / swapped
        outside = tmp_path / "outside"
        folder.rename(outside)
        before = sorted(outside.rglob("*"))
        folder.symlink_to(outside)
        recorder.put(quotes(10, 20))
        wait_until(lambda: "is a link, which may lead out of the capture" in (recorder.status.error or ""))
        assert recorder.status.state == "stalled"
        assert sorted(outside.rglob("*")) == before
        folder.unlink()
        shutil.move(outside, folder)
        wait_until(lambda: recorder.status.rows == 20)
    assert len(fxlive.open_capture(recorder.path)["market-data"]) == 20


@posix
def test_a_file_is_not_moved_out_of_a_link(tmp_path: Path) -> None:
    """A folder that becomes a link while a file in it is written."""
    disk = Disk(tmp_path / "in")
    (tmp_path / "in").mkdir()
    unfinished = disk.unfinished()
    unfinished.write_bytes(b"rows")
    unfinished.parent.rename(tmp_path / "outside")
    unfinished.parent.symlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match="is a link, which may lead out of the capture"):
        disk.finish(unfinished, tmp_path / "in" / "part.parquet")
    assert [file.name for file in (tmp_path / "outside").iterdir()] == [unfinished.name]


def rewritten(file: Path, **columns: Any) -> None:
    """Write a part again with other columns (None removes one)."""
    table = pq.read_table(file, partitioning=None)
    metadata = table.schema.metadata
    for name, values in columns.items():
        if name in table.column_names:
            index = table.column_names.index(name)
            table = table.remove_column(index)
        if values is not None:
            table = table.append_column(name, values)
    pq.write_table(table.replace_schema_metadata(metadata), file)


def times(year: int) -> Any:
    return pa.array(np.full(30, np.datetime64(f"{year}-12-31T23:59:59", "us").astype(np.int64))).cast(
        pa.timestamp("us", "UTC")
    )


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"timestamp": None}, "has no column timestamp"),
        ({"arrival": None}, "has no column arrival"),
        ({"timestamp": times(20_000)}, "outside the years 1 to 9999"),
        ({"received_at": times(-500)}, "outside the years 1 to 9999"),
        ({"timestamp": pa.nulls(30, pa.timestamp("us", "UTC"))}, "without timestamp"),
        ({"timestamp": pa.array([None, *[0] * 29], pa.timestamp("us", "UTC"))}, "without timestamp"),
        ({"received_at": pa.array([*[0] * 29, None], pa.timestamp("us", "UTC"))}, "without received_at"),
        ({"arrival": pa.array([*range(29), None], pa.int64())}, "without arrival"),
        ({"bid": pa.array(["x"] * 30)}, "has a column bid of string"),
        ({"received_at": pa.array(range(30), pa.int64())}, "has a column received_at of int64"),
    ],
)
def test_a_part_with_wrong_columns_is_left_out(capture: Path, columns: dict[str, Any], problem: str) -> None:
    rewritten(part(capture), **columns)
    opened = fxlive.open_capture(capture)
    with pytest.warns(fxlive.IncompleteCapture, match=problem):
        assert opened["market-data"].empty
    assert use(capture)


OWN_ROWS: list[tuple[str, str, list[Any], str]] = [
    ("_confirmed", "key", ["abc"], "channel=_confirmed has 1 row without a valid channel and key"),
    ("_confirmed", "key", [None], "channel=_confirmed has 1 row without a valid channel and key"),
    ("_confirmed", "key", [str(2**63)], "channel=_confirmed has 1 row without a valid channel and key"),
    ("_confirmed", "key", ["9" * 5_000], "channel=_confirmed has 1 row without a valid channel and key"),
    ("_confirmed", "of_channel", [None], "channel=_confirmed has 1 row without a valid channel and key"),
    ("_confirmed", "of_channel", ["market-data"], "channel=_confirmed has 1 row without a valid channel and key"),
    ("_gaps", "end", [2**62], r"channel=_gaps has \d rows? without valid end, reason and channels"),
    ("_gaps", "reason", [None], r"channel=_gaps has \d rows? without valid end, reason and channels"),
    ("_gaps", "channels", [None], r"channel=_gaps has \d rows? without valid end, reason and channels"),
    ("_gaps", "channels", [[None]], r"channel=_gaps has \d rows? without valid end, reason and channels"),
]


@pytest.mark.parametrize(("channel", "column", "values", "problem"), OWN_ROWS)
def test_invalid_rows_of_the_recorder_itself_are_left_out(
    tmp_path: Path, channel: str, column: str, values: list[Any], problem: str
) -> None:
    with recorded(tmp_path) as session:
        bring(session, position(1), trade(2), quote(3))
        lose(session, MAY_8, MAY_8 + 5_000_000)
        bring(session, position(1), at=MAY_8 + 6_000_000)  # is confirmed without a row
    file = part(path_of(session), channel)
    kind = pq.read_schema(file).field(column).type
    rewritten(file, **{column: pa.array(values * pq.read_metadata(file).num_rows).cast(kind)})
    opened = fxlive.open_capture(path_of(session))
    with pytest.warns(fxlive.IncompleteCapture, match=problem):
        assert len(opened.latest("positions")) == 1
    opened.exposure(), opened.pnl()
    assert use(path_of(session))


@pytest.mark.parametrize("tickets", [None, pa.nulls(6, pa.int64())])
def test_positions_without_tickets_are_left_out(capture: Path, tickets: Any) -> None:
    rewritten(part(capture, "positions"), ticket=tickets)
    opened = fxlive.open_capture(capture)
    with pytest.warns(fxlive.IncompleteCapture, match="has (rows without|no column) ticket"):
        assert opened["positions"].empty
    assert use(capture)


def test_a_part_without_an_optional_column_is_read(capture: Path) -> None:
    rewritten(part(capture), bid=None, symbol=None, id=None, extra=None)
    frame = fxlive.open_capture(capture)["market-data"]
    assert len(frame) == 30
    assert frame["bid"].isna().all()
    assert use(capture)


def test_a_quote_of_the_year_9999_is_read_everywhere(tmp_path: Path) -> None:
    far = json.loads(quote(2))
    far["timestamp"] = far["data"]["timestamp"] = "9999-12-31T23:59:59.999999Z"
    early = json.loads(quote(3))
    early["timestamp"] = "0001-01-01T00:00:00Z"
    with recorded(tmp_path) as session:
        bring(session, quote(1), json.dumps(far).encode(), json.dumps(early).encode(), trade(4), position(5))
    assert use(path_of(session))
    opened = fxlive.open_capture(path_of(session))
    assert len(opened["market-data"]) == 3
    for tz in (None, "Asia/Tokyo"):
        opened.price_chart("EURUSD", tz=tz)
        opened.price_chart("EURUSD", "candles", "1min", tz=tz)
        opened.chart("market-data", "bid", tz=tz).to_html()
        opened.pnl_chart(tz=tz)
    assert len(fxlive.read_export(opened.export(tmp_path / "out", format="csv")["market-data"])) == 3
    assert len(opened.frame("market-data", last="5min")) >= 1
    opened.report(tmp_path / "report.html")


def test_a_decompression_bomb_is_left_out_without_reading_it(capture: Path) -> None:
    file = part(capture)
    metadata = pq.read_schema(file).metadata
    huge = pa.chunked_array([pa.array(["x" * 2**20] * 30)] * 40)
    table = pa.table({"timestamp": pa.array([MAY_8] * 1_200).cast(pa.timestamp("us", "UTC")), "id": huge})
    for name, values in {"received_at": table.column("timestamp"), "arrival": pa.array(range(1_200))}.items():
        table = table.append_column(name, values)
    bomb = file.with_name("000000000-000001199.parquet")
    pq.write_table(table.replace_schema_metadata(metadata), bomb, compression="zstd", use_dictionary=False)
    assert bomb.stat().st_size < 2**20
    opened = fxlive.open_capture(capture)
    with pytest.warns(fxlive.IncompleteCapture, match="would take more memory than any part"):
        assert len(opened["market-data"]) == 30


@pytest.mark.parametrize("seeds", [range(start, start + 40) for start in range(0, 200, 40)])
def test_flipped_bytes_never_raise_anything_else_than_a_capture_error(capture: Path, seeds: range) -> None:
    files = [file for file in sorted(capture.rglob("*")) if file.is_file()]
    for seed in seeds:
        rng = random.Random(seed)
        file = rng.choice(files)
        content = file.read_bytes()
        damaged = bytearray(content)
        for _ in range(rng.choice([1, 2, 8])):
            tail = min(len(damaged), 400)  # of a Parquet file: the footer
            at = rng.randrange(len(damaged)) if rng.random() < 0.5 else len(damaged) - 1 - rng.randrange(tail)
            damaged[at] ^= rng.randrange(1, 256)
        file.write_bytes(damaged[: rng.randrange(len(damaged))] if rng.random() < 0.1 else damaged)
        try:
            use(capture, thorough=seed % 20 == 0)
        except Exception as error:
            error.add_note(f"seed {seed}: {file.relative_to(capture)}")
            raise
        finally:
            file.write_bytes(content)


def delete(file: Path) -> None:
    file.unlink()


def truncate(file: Path) -> None:
    os.truncate(file, 10)


def replace_by_another(file: Path) -> None:
    rewritten(file, id=None)


def change_in_place(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(0, 0))


@pytest.mark.parametrize("change", [delete, truncate, replace_by_another, change_in_place])
def test_a_recording_says_which_part_has_vanished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recorder_module, "CHECK_PARTS_EVERY_S", 0.02)
    with Recorder(tmp_path, name="default", url="memory:", flush_s=0.02) as recorder:
        recorder.put(quotes(0, 10))
        wait_until(lambda: recorder.status.rows == 10)
        recorder.put(quotes(10, 15))
        wait_until(lambda: recorder.status.rows == 15)
        first = part(recorder.path)
        change(first)
        wait_until(lambda: recorder.status.vanished)
        status = recorder.status
        assert (status.state, status.vanished, status.rows) == ("recording", 10, 5)
        assert first.name in (status.error or "")
        assert "10 rows vanished" in str(status)
        recorder.put(quotes(15, 20))
        wait_until(lambda: recorder.status.rows == 10)
    assert any("have vanished" in record.getMessage() for record in caplog.records)
    opened = fxlive.open_capture(recorder.path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = opened["market-data"]
    assert set(frame["volume"][-10:]) == set(range(10, 20))


def test_a_recorded_file_whose_time_is_set_has_not_vanished_and_one_that_is_back_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recorder_module, "CHECK_PARTS_EVERY_S", 0.0)
    with Recorder(tmp_path / "in", name="default", url="memory:", flush_s=0.02) as recorder:
        recorder.put(quotes(0, 10))
        wait_until(lambda: recorder.status.rows == 10)
        recorder.put(quotes(10, 15))
        wait_until(lambda: recorder.status.rows == 15)
        first, second = (p.file for p in layout.parts(recorder.path, "market-data"))
        os.utime(first, ns=(0, 0))
        second.rename(tmp_path / "away")
        wait_until(lambda: recorder.status.vanished)  # both have been looked at
        assert (recorder.status.vanished, recorder.status.rows) == (5, 10)
        assert first.name not in (recorder.status.error or "")
        (tmp_path / "away").rename(second)
        wait_until(lambda: not recorder.status.vanished)
        assert (recorder.status.rows, recorder.status.error) == (15, None)
    assert (recorder.status.rows, recorder.status.vanished) == (15, 0)
    assert len(fxlive.open_capture(recorder.path)["market-data"]) == 15
    assert first.name not in caplog.text


def test_a_part_that_is_deleted_as_soon_as_it_is_written_has_vanished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "CHECK_PARTS_EVERY_S", 0.0)
    with Recorder(tmp_path, name="default", url="memory:", flush_s=0.02) as recorder:
        publish = recorder._disk.publish

        def publish_and_delete(file: Path, write: Any) -> int:
            size = publish(file, write)
            if file.suffix == ".parquet":
                file.unlink()
            return size

        monkeypatch.setattr(recorder._disk, "publish", publish_and_delete)
        recorder.put(quotes(0, 10))
        wait_until(lambda: recorder.status.vanished == 10)
    assert (recorder.status.vanished, recorder.status.rows) == (10, 0)


def test_a_date_is_merged_again_when_its_vanished_file_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "CHECK_PARTS_EVERY_S", 0.0)
    with Recorder(tmp_path / "in", name="default", url="memory:", flush_s=0.02) as recorder:
        for start in range(0, 30, 10):
            recorder.put(quotes(start, start + 10))
            wait_until(lambda start=start: recorder.status.rows == start + 10)  # type: ignore[misc]
        file = layout.parts(recorder.path, "market-data")[0].file
        file.rename(tmp_path / "away")
        wait_until(lambda: recorder.status.vanished)
        recorder.put(quotes(30, 40))
        wait_until(lambda: recorder.status.waiting == 0)
        assert len(layout.parts(recorder.path, "market-data")) > 1
        (tmp_path / "away").rename(file)
        wait_until(lambda: not recorder.status.vanished)
    assert [len(part) for part in layout.parts(recorder.path, "market-data")] == [40]
    assert fxlive.open_capture(recorder.path)["market-data"]["volume"].tolist() == list(map(float, range(40)))


# The manifest is bounded, and written when it matters.


def written_bytes(recorder: Recorder) -> list[int]:
    """Return a list that gets the size of every manifest that a recorder writes."""
    sizes: list[int] = []
    publish = recorder._disk.publish

    def counting(file: Path, write: Any) -> int:
        size = publish(file, write)
        if file.name == layout.MANIFEST:
            sizes.append(size)
        return size

    recorder._disk.publish = counting  # type: ignore[method-assign]
    return sizes


def test_many_new_symbols_do_not_rewrite_the_manifest_at_each_flush(tmp_path: Path) -> None:
    store = Store()
    with Recorder(tmp_path, name="default", url="memory:", store=store, flush_s=0.02) as recorder:
        sizes = written_bytes(recorder)
        for start in range(0, 100_000, 5_000):
            batch = decode([quote(n, symbol=f"SYM{n:07}") for n in range(start, start + 5_000)], MAY_8, start)
            store.add(batch)
            recorder.put(batch)
            wait_until(lambda: not recorder.status.waiting)
        assert len(sizes) <= 5
    assert max(sizes) < 3 * 2**20
    opened = fxlive.open_capture(recorder.path)
    assert len(opened.symbols) == 50_000  # then the column continues as text
    assert opened["market-data"]["symbol"].nunique() == 100_000


def test_the_manifest_is_bounded_whatever_the_platform_sends(tmp_path: Path) -> None:
    store = Store()
    with Recorder(tmp_path, name="n" * 10**6, url="memory:", store=store, flush_s=0.02) as recorder:
        frames = [
            message("x", f"{n}" + "c" * 1_000, {f"{m}" + "f" * 250: 1 for m in range(200)}, n) for n in range(200)
        ]
        batch = decode(frames, MAY_8)
        store.add(batch)
        recorder.put(batch)
        for number in range(200):
            recorder.gap(number, number + 1, "r" * 60_000, ["trades"])
        wait_until(lambda: not recorder.status.waiting)
    assert (recorder.path / "_manifest.json").stat().st_size < 4 * 2**20
    opened = fxlive.open_capture(recorder.path)
    assert len(opened.gaps()) == 200
    assert all(len(opened[name]) == 1 for name in batch.rows)
    assert pd.Series(opened[next(iter(batch.rows))].columns).str.startswith("0f").any()


def test_a_long_reason_of_a_gap_is_cut_and_no_other_gap_is_lost(tmp_path: Path) -> None:
    with recorded(tmp_path) as session:
        lose(session, MAY_8, MAY_8 + 1, "first")
        lose(session, MAY_8 + 2, MAY_8 + 3, "é" * 3_000_000)
        lose(session, MAY_8 + 4, MAY_8 + 5, "last")
        live = session.gaps()
    assert live["reason"].str.len().tolist() == [5, 1_001, 4]
    written = json.loads((path_of(session) / "_manifest.json").read_text("utf-8"))
    assert [gap["reason"] for gap in written["gaps"]] == live["reason"].tolist()
    assert fxlive.open_capture(path_of(session)).gaps()["reason"].tolist() == live["reason"].tolist()
    for part in path_of(session).glob("channel=_gaps/**/*.parquet"):
        part.unlink()
    with pytest.warns(fxlive.IncompleteCapture):
        assert set(live["reason"]) <= set(fxlive.open_capture(path_of(session)).gaps()["reason"])


def test_a_huge_entry_of_the_manifest_does_not_push_out_the_others() -> None:
    time = "2014-05-08T12:30:00Z"
    gaps = [manifest.GapEntry(time, time, "r", (name,)) for name in ("a", "b" * 2_000_000, "c")]
    drift = {"a": {"x": "str"}, "b" * 2_000_000: {"x": "str"}, "c": {"y": "str"}}
    small = manifest.bounded(manifest.Manifest(session="s", url="u", start=time, gaps=gaps, drift=drift))
    assert [gap.channels for gap in small.gaps] == [("a",), ("c",)]
    assert small.drift == {"a": {"x": "str"}, "c": {"y": "str"}}

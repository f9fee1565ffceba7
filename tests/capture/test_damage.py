"""Invalid, newer and damaged captures: an error that names the file, or the readable rows with a warning."""

from __future__ import annotations

import errno
import json
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem

import fxlive
from fxlive.capture.format import layout
from fxlive.capture.writing.recorder import Recorder
from fxlive.wire.protocol import decode
from tests.capture.recordings import MAY_8, FailingDisk, alert, message, quote, quotes, trade, wait_until
from tests.handmade import clean_slate  # noqa: F401

SECOND = 1_000_000


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """A capture with five parts of ten quotes each, a second apart, an alert and a trade."""
    folder = tmp_path / "in" / "captures"
    with Recorder(folder, name="default", url="memory:", flush_s=0.02, clock=lambda: MAY_8) as recorder:
        for part in range(5):
            recorder.put(quotes(part * 10, part * 10 + 10, MAY_8 + part * SECOND))
            wait_until(lambda: not recorder.status.waiting)
        parts = {part.file: part.file.read_bytes() for part in layout.parts(recorder.path, "market-data")}
        recorder.put(decode([alert(50), trade(51)], MAY_8, 50))
    [merged] = layout.parts(recorder.path, "market-data")
    merged.file.unlink()
    for file, content in parts.items():  # as before the merge
        file.write_bytes(content)
    assert len(parts) == 5
    return recorder.path


def part(capture: Path, number: int) -> Path:
    return layout.parts(capture, "market-data")[number].file


def volumes(opened: fxlive.Capture) -> list[float]:
    return opened.frame("market-data")["volume"].tolist()


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def truncate_to_nothing(file: Path) -> None:
    file.write_bytes(b"")


def zero_a_range(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[20 : len(content) // 2] = bytes(len(content) // 2 - 20)
    file.write_bytes(bytes(content))


def replace_by_text(file: Path) -> None:
    file.write_text("no Parquet at all")


def replace_by_foreign_parquet(file: Path) -> None:
    pd.DataFrame({"a": range(10)}).to_parquet(file)


def replace_by_another_channel(file: Path) -> None:
    file.write_bytes(layout.parts(file.parents[2], "alerts")[0].file.read_bytes())


def change_a_type(file: Path) -> None:
    rows = pq.read_table(file, partitioning=None)
    at = rows.schema.get_field_index("bid")
    metadata = rows.schema.metadata
    rows = rows.set_column(at, "bid", pa.array(["x"] * len(rows))).replace_schema_metadata(metadata)
    pq.write_table(rows, file)


def remove_rows(file: Path) -> None:
    pq.write_table(pq.read_table(file, partitioning=None).slice(0, 4), file)


DAMAGES = [
    truncate,
    truncate_to_nothing,
    zero_a_range,
    replace_by_text,
    replace_by_foreign_parquet,
    replace_by_another_channel,
    change_a_type,
    remove_rows,
]


@pytest.mark.parametrize("damage", [*DAMAGES, Path.unlink])
def test_a_bad_part_is_left_out_with_a_warning_and_a_gap(capture: Path, damage: Callable[[Path], None]) -> None:
    bad = part(capture, 2)
    damage(bad)
    opened = fxlive.open_capture(capture)

    with pytest.warns(fxlive.IncompleteCapture, match="10 rows") as warned:
        found = volumes(opened)

    assert found == [*range(20), *range(30, 50)]
    assert [str(bad) in str(w.message) or damage is Path.unlink for w in warned] == [True]
    gap = opened.gaps().iloc[0]
    assert (gap["channels"], gap["lost_rows"]) == (("market-data",), 10)
    assert (gap["start"], gap["end"]) == tuple(
        pd.to_datetime([MAY_8 + SECOND, MAY_8 + 3 * SECOND], unit="us", utc=True)
    )
    assert volumes(opened) == found  # without another warning
    assert opened.incomplete[0].file in repr(opened)
    assert "color" in opened._repr_html_()
    assert len(opened.frame("alerts")) == 1


def test_a_flipped_bit_never_gives_a_wrong_number(tmp_path: Path) -> None:
    with Recorder(tmp_path, name="default", url="memory:", clock=lambda: MAY_8) as recorder:
        recorder.put(quotes(0, 5_000))
    [whole] = layout.parts(recorder.path)
    content, good = whole.file.read_bytes(), fxlive.open_capture(recorder.path).frame("market-data")
    warned = 0
    for offset in range(100, len(content) * 3 // 4, len(content) // 40):
        flipped = bytearray(content)
        flipped[offset] ^= 1 << offset % 8
        whole.file.write_bytes(flipped)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = fxlive.open_capture(recorder.path).frame("market-data")
        warned += bool(caught)
        assert caught or found.equals(good)
    assert warned > 20


@pytest.mark.parametrize("damage", [*DAMAGES, Path.unlink])
def test_a_replay_of_a_damaged_capture_plays_the_rest_and_has_a_gap(
    capture: Path, damage: Callable[[Path], None]
) -> None:
    damage(part(capture, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fxlive.IncompleteCapture)
        replayed = fxlive.replay(capture, speed=None)
    with replayed:
        replayed.wait_until_end(timeout=60)
        assert replayed.frame("market-data")["volume"].tolist() == [*range(20), *range(30, 50)]
        assert replayed.gaps()["channels"].tolist() == [("market-data",)]
        assert len(replayed.frame("alerts")) == 1
        replayed.pause()
        replayed.seek(pd.Timestamp(MAY_8 + 3 * SECOND, unit="us", tz="UTC"))
        assert replayed.frame("market-data")["volume"].tolist() == [*range(20), *range(30, 40)]
        assert len(replayed.gaps()) == 1


def test_a_part_deleted_while_the_capture_is_open_is_reported_when_it_is_read(capture: Path, tmp_path: Path) -> None:
    opened = fxlive.open_capture(capture)
    assert volumes(opened) == list(range(50))
    part(capture, 2).unlink()

    with pytest.warns(fxlive.IncompleteCapture, match="lacks 10 rows"):
        assert volumes(opened) == [*range(20), *range(30, 50)]
    [file] = opened.export(tmp_path / "out", ["market-data"], format="csv").values()
    assert len(pd.read_csv(file)) == 40


@pytest.mark.parametrize("warm", [False, True])
def test_a_read_error_of_the_storage_is_retried_then_raised_and_excludes_no_part(
    capture: Path, monkeypatch: pytest.MonkeyPatch, warm: bool
) -> None:
    failures = 0
    really_open = LocalFileSystem._open

    def flaky(self: LocalFileSystem, path: str, *args: Any, **options: Any) -> Any:
        nonlocal failures
        failures -= 1
        if failures >= 0 and path.endswith(".parquet"):
            raise TimeoutError("the storage does not answer")
        return really_open(self, path, *args, **options)

    monkeypatch.setattr(LocalFileSystem, "_open", flaky)
    opened = fxlive.open_capture(f"file://{capture}")
    if warm:
        assert volumes(opened) == list(range(50))

    for failures in (1, 2):  # noqa: B007
        assert volumes(opened) == list(range(50))
    failures = 10**9
    with pytest.raises(fxlive.CaptureError, match=r"\.parquet cannot be read at present: the storage does not answer"):
        opened.frame("market-data")
    with pytest.raises(fxlive.CaptureError, match="cannot be read at present"):
        opened.export(capture.parent / "out", ["market-data"], format="csv")
    failures = 0
    assert volumes(opened) == list(range(50))
    assert opened.gaps().empty
    assert not opened.incomplete


@pytest.mark.parametrize("number", [0, 4])
def test_a_missing_part_at_the_beginning_or_the_end_is_reported(capture: Path, number: int) -> None:
    part(capture, number).unlink()
    opened = fxlive.open_capture(capture)

    with pytest.warns(fxlive.IncompleteCapture, match="lacks 10 rows"):
        assert len(opened.frame("market-data")) == 40
    assert opened.gaps()["lost_rows"].tolist() == [10]


@pytest.mark.parametrize("cut_off", [False, True])
def test_a_missing_channel_folder_is_a_warning_and_a_gap_also_in_a_replay(tmp_path: Path, cut_off: bool) -> None:
    with Recorder(tmp_path, name="default", url="memory:", clock=lambda: MAY_8) as recorder:
        recorder.put(quotes(0, 10))
        recorder.put(decode([message("depth", "depth", {"q": 1}, 10), trade(11)], MAY_8 + SECOND, 10))
    capture = recorder.path
    if cut_off:
        content = json.loads((capture / "_manifest.json").read_text())
        (capture / "_manifest.json").write_text(json.dumps({**content, "end": None}))
    shutil.rmtree(capture / "channel=trades")
    shutil.rmtree(capture / "channel=depth")
    opened = fxlive.open_capture(capture)

    with pytest.warns(fxlive.IncompleteCapture, match=r"channel=(trades|depth) lacks 1 row,"):
        assert opened.gaps()[["channels", "lost_rows"]].to_numpy().tolist() == [[("depth",), 1], [("trades",), 1]]
    assert len(opened.incomplete) == 2
    assert "depth" in opened.channels
    with pytest.warns(fxlive.IncompleteCapture):
        replayed = fxlive.replay(capture, speed=None)
    with replayed:
        replayed.wait_until_end(timeout=60)
        assert len(replayed.frame("market-data")) == 10
        assert sorted(replayed.gaps()["channels"]) == [("depth",), ("trades",)]


def test_missing_gaps_are_taken_from_the_manifest_and_missing_rejections_are_reported(tmp_path: Path) -> None:
    with Recorder(tmp_path, name="default", url="memory:", clock=lambda: MAY_8) as recorder:
        recorder.put(quotes(0, 10))
        recorder.gap(MAY_8, MAY_8 + SECOND, "connection lost", ["market-data"])
        recorder.put(decode([b"what?"], MAY_8))
    before = fxlive.open_capture(recorder.path).gaps()
    shutil.rmtree(recorder.path / "channel=_gaps")
    shutil.rmtree(recorder.path / "channel=_rejected")
    opened = fxlive.open_capture(recorder.path)

    with pytest.warns(fxlive.IncompleteCapture) as warned:
        found = opened.gaps()
    assert len(warned) == 2
    assert "lacks 1 gap," in str(warned[0].message)
    assert "_rejected lacks 1 row," in str(warned[1].message)
    assert sorted(found["channels"]) == [("_rejected",), ("market-data",)]
    pd.testing.assert_frame_equal(found[found["lost_rows"].isna()].reset_index(drop=True), before)


def test_an_invalid_part_does_not_hide_the_parts_that_its_name_includes(capture: Path) -> None:
    part(capture, 4).unlink()
    (part(capture, 0).parent / "000000000-000999999.parquet").write_text("no Parquet at all")
    opened = fxlive.open_capture(capture)

    with pytest.warns(fxlive.IncompleteCapture, match=r"000999999\.parquet cannot be read.*: 10 rows are missing"):
        assert volumes(opened) == list(range(40))
    assert opened.gaps()["lost_rows"].tolist() == [10]


def test_rows_dropped_by_the_recorder_are_a_gap_of_the_capture_and_of_its_replay(tmp_path: Path) -> None:
    disks: list[FailingDisk] = []

    def disk(folder: Path) -> FailingDisk:
        disks.append(FailingDisk(folder))
        return disks[0]

    options = {"flush_s": 0.02, "disk": disk, "max_queued_rows": 15, "clock": lambda: MAY_8}
    with Recorder(tmp_path, name="default", url="memory:", **options) as recorder:  # type: ignore[arg-type]
        recorder.put(quotes(0, 10))
        wait_until(lambda: recorder.status.rows == 10)
        disks[0].error = OSError(errno.ENOSPC, "No space left on device")
        for start in range(10, 60, 10):
            recorder.put(quotes(start, start + 10, MAY_8 + start * SECOND))
        wait_until(lambda: recorder.status.state == "stalled")
        disks[0].error = None
        wait_until(lambda: recorder.status.state == "recording" and not recorder.status.waiting)
        recorder.put(quotes(60, 70, MAY_8 + 60 * SECOND))
    opened = fxlive.open_capture(recorder.path)

    assert volumes(opened) == [*range(20), *range(60, 70)]
    [gap] = opened.gaps().to_dict("records")
    assert gap["lost_rows"] == 40
    assert "No space left on device" in gap["reason"]
    assert (gap["start"], gap["end"]) == tuple(
        pd.to_datetime([MAY_8 + 20 * SECOND, MAY_8 + 50 * SECOND], unit="us", utc=True)
    )
    with fxlive.replay(recorder.path, speed=None) as replayed:
        replayed.wait_until_end(timeout=60)
        assert replayed.gaps()["reason"].tolist() == [gap["reason"]]


def test_a_missing_manifest_is_a_warning_and_all_rows_are_read(capture: Path) -> None:
    (capture / "_manifest.json").unlink()

    with pytest.warns(fxlive.IncompleteCapture, match=r"_manifest.json is missing"):
        opened = fxlive.open_capture(capture)
    assert volumes(opened) == list(range(50))
    assert opened.start == pd.Timestamp("2014-05-08 12:30", tz="UTC")
    assert opened.state == "unfinished"


def test_a_channel_with_a_very_long_name_is_read_without_the_manifest(tmp_path: Path) -> None:
    names = ["L" * 300, "Größe" * 40, "short"]
    with Recorder(tmp_path, name="default", url="memory:", clock=lambda: MAY_8) as recorder:
        recorder.put(decode([message("x", name, {"q": 1}, n) for n, name in enumerate(names)], MAY_8))
    (recorder.path / "_manifest.json").unlink()
    shutil.copytree(recorder.path / "channel=short", recorder.path / "channel=No name of ours")

    with pytest.warns(fxlive.IncompleteCapture):
        opened = fxlive.open_capture(recorder.path)
    with pytest.warns(fxlive.IncompleteCapture, match="is not named as the folder of a channel"):
        assert set(names) < set(opened.channels)
    assert [len(opened.frame(name)) for name in names] == [1, 1, 1]


INVALID_MANIFESTS = [
    b"",
    b"{",
    b"[]",
    b'{"format_version": 1}',
    b"\xff",
    b'{"format_version": "x"}',
    b'{"a":"\xff"}',
    b"[" * 10**5,
]


@pytest.mark.parametrize("text", INVALID_MANIFESTS)
def test_an_invalid_manifest_is_a_warning_and_all_rows_are_read(capture: Path, text: bytes) -> None:
    (capture / "_manifest.json").write_bytes(text)

    with pytest.warns(fxlive.IncompleteCapture, match="could not be read"):
        opened = fxlive.open_capture(capture)
    assert volumes(opened) == list(range(50))


@pytest.mark.parametrize("time", ["junk", "2014-99-01T00:00:00Z", "2014-05-08", "NaT", "", "2014-05-08T12:30:00+01:00"])
def test_an_invalid_time_in_the_manifest_is_a_warning(capture: Path, time: str) -> None:
    file = capture / "_manifest.json"
    content = json.loads(file.read_text())
    trades = {**content["channels"], "trades": {**content["channels"]["trades"], "last_received_at": time}}
    gap = {"start": "2014-05-08T12:30:00Z", "end": time, "reason": "x", "channels": []}
    for change in ({"start": time}, {"end": time}, {"channels": trades}, {"gaps": [gap]}):
        file.write_text(json.dumps({**content, **change}))
        with pytest.warns(fxlive.IncompleteCapture, match="could not be read"):
            opened = fxlive.open_capture(capture)
        assert volumes(opened) == list(range(50))
        assert "unfinished" in repr(opened)


def test_undocumented_columns_are_the_same_without_the_manifest_whatever_is_read(tmp_path: Path) -> None:
    with Recorder(tmp_path, name="default", url="memory:", clock=lambda: MAY_8) as recorder:
        for number, mood in enumerate([1, "glad", 2, "sad"]):
            recorder.put(decode([quote(number, mood=mood)], MAY_8 + number, number))
    (recorder.path / "_manifest.json").unlink()

    with pytest.warns(fxlive.IncompleteCapture):
        opened = fxlive.open_capture(recorder.path)
    last = opened.frame("market-data", last=1)
    assert last["mood"].isna().all()  # a number column, because of the first row
    assert last["extra"].tolist() == ['{"mood":"sad"}']


def test_a_newer_capture_is_an_error_that_names_the_file(capture: Path) -> None:
    content = json.loads((capture / "_manifest.json").read_text())
    (capture / "_manifest.json").write_text(json.dumps({**content, "format_version": 2}))

    with pytest.raises(fxlive.NewerCapture, match="Install a newer fxlive") as newer:
        fxlive.open_capture(capture)
    assert (newer.value.file, newer.value.version) == (str(capture / "_manifest.json"), 2)


def test_a_newer_part_is_an_error_that_names_the_file(capture: Path) -> None:
    rows = pq.read_table(part(capture, 1), partitioning=None)
    newer = rows.replace_schema_metadata({**rows.schema.metadata, b"fxlive.format": b"2"})
    pq.write_table(newer, part(capture, 1))

    with pytest.raises(fxlive.NewerCapture, match=part(capture, 1).name):
        fxlive.open_capture(capture).frame("market-data")


def test_a_part_without_a_column_that_a_later_fxlive_added_is_read(capture: Path) -> None:
    rows = pq.read_table(part(capture, 1), partitioning=None)
    pq.write_table(rows.drop_columns(["spread", "extra"]), part(capture, 1))

    opened = fxlive.open_capture(capture)
    assert volumes(opened) == list(range(50))
    assert opened.frame("market-data")["spread"].isna().all()


def make_nothing(folder: Path) -> None:
    pass


def make_a_file(folder: Path) -> None:
    folder.write_text("a file")


def make_an_empty_folder(folder: Path) -> None:
    folder.mkdir()


def make_a_foreign_parquet_file(folder: Path) -> None:
    folder.mkdir()
    pd.DataFrame({"a": [1]}).to_parquet(folder / "000000000-000000000.parquet")


@pytest.mark.parametrize("make", [make_nothing, make_a_file, make_an_empty_folder, make_a_foreign_parquet_file])
def test_a_path_without_a_capture_is_an_error_that_names_the_path(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "x")
    with pytest.raises(fxlive.NotACapture, match=r"is not a capture.*Pass a folder written by record") as wrong:
        fxlive.open_capture(tmp_path / "x")
    assert wrong.value.path == str(tmp_path / "x")
    assert isinstance(wrong.value, fxlive.CaptureError)


def test_an_unknown_kind_of_storage_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(fxlive.CaptureError, match="fsspec"):
        fxlive.open_capture("nowhere://bucket/captures")


def test_captures_of_the_same_time_and_channel_give_a_warning(capture: Path) -> None:
    with Recorder(capture.parent, name="other", url="memory:", clock=lambda: MAY_8 + SECOND) as recorder:
        recorder.put(quotes(100, 110, MAY_8 + 2 * SECOND))
    both = fxlive.open_capture(capture.parent)

    with pytest.warns(fxlive.IncompleteCapture, match="was recorded at the same time"):
        assert len(both.frame("market-data")) == 60
    assert len(both.frame("alerts")) == 1


@pytest.mark.skipif(os.name != "posix", reason="creating links needs rights on Windows")
def test_a_link_in_a_capture_is_not_followed(capture: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.parquet"
    shutil.copy(part(capture, 1), secret)
    part(capture, 1).unlink()
    (part(capture, 0).parent / "000000010-000000019.parquet").symlink_to(secret)

    opened = fxlive.open_capture(capture)
    with pytest.warns(fxlive.IncompleteCapture, match="is a link|lacks 10 rows"):
        assert volumes(opened) == [*range(10), *range(20, 50)]


def test_crafted_names_never_lead_out_of_the_folder(capture: Path, tmp_path: Path) -> None:
    content = json.loads((capture / "_manifest.json").read_text())
    content["channels"]["../../x"] = {**content["channels"]["alerts"], "folder": "../../../etc"}
    content["session"] = "../../../session"
    (capture / "_manifest.json").write_text(json.dumps(content))
    names = ["../../away", "/etc/passwd", "..", "a\0b", "x; drop table trades", "q\"uo'te"]
    with Recorder(capture.parent, name="crafted", url="memory:", clock=lambda: MAY_8) as recorder:
        recorder.put(decode([message("x", name, {name: name, "symbol": "../../s"}, 1) for name in names], MAY_8))
        recorder.put(decode([quote(n, **{name: name}, symbol="../../../s") for n, name in enumerate(names)], MAY_8, 9))
    before = {path for path in tmp_path.rglob("*") if capture.parent not in path.parents}
    both = fxlive.open_capture(capture.parent)

    frames = both.snapshot()
    files = both.export(tmp_path / "out")

    assert {*names} <= set(frames)
    assert "../../x" not in frames
    assert {file.parent for file in files.values()} == {tmp_path / "out"}
    after = {path for path in tmp_path.rglob("*") if capture.parent not in path.parents}
    assert after - before == {tmp_path / "out", *files.values()}

"""The files of a recording, its manifest and its status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import fxlive
from fxlive.capture.format import layout, manifest
from fxlive.capture.format.schema import schema
from fxlive.capture.writing.recorder import Recorder
from fxlive.errors import CaptureError, UnknownOption
from fxlive.wire.batch import Batch, Rejection
from fxlive.wire.channels import CHANNELS, Channel
from fxlive.wire.protocol import decode
from tests.capture.recordings import (
    DAY_US,
    MAY_8,
    alert,
    message,
    numbers,
    position,
    quote,
    quotes,
    read,
    trade,
    wait_until,
)
from tests.handmade import lines_run


def recorder(folder: Path, **options: object) -> Recorder:
    return Recorder(folder, name="default", url="memory:", clock=lambda: MAY_8, **options)  # type: ignore[arg-type]


def test_a_recording_creates_a_folder_named_by_its_start_and_session(tmp_path: Path) -> None:
    with recorder(tmp_path / "captures") as first, recorder(tmp_path / "captures") as second:
        assert first.path == tmp_path / "captures" / "2014-05-08T123000Z-default"
        assert second.path == tmp_path / "captures" / "2014-05-08T123000Z-default-2"


def test_parts_are_named_by_channel_date_of_receipt_and_row_numbers(tmp_path: Path) -> None:
    with recorder(tmp_path, flush_s=60) as recording:
        recording.put(quotes(0, 5))
        recording.put(quotes(5, 8, MAY_8 + DAY_US))

    files = sorted(str(file.relative_to(recording.path)) for file in recording.path.rglob("*.parquet"))
    assert files == [
        "channel=market-data/date=2014-05-08/000000000-000000004.parquet",
        "channel=market-data/date=2014-05-09/000000005-000000007.parquet",
    ]
    assert numbers(recording.path, "market-data") == list(range(8))
    assert not list(recording.path.rglob("*.tmp"))


def test_every_value_is_written_as_it_arrived(tmp_path: Path) -> None:
    batch = decode(
        [
            quote(1, bid=None, timestamp="2014-05-08T12:00:00.000001Z"),
            position(2, lastUpdate=None),
            trade(3, stopLoss="1.25"),
            trade(4),
            alert(5),
            alert(6, actions=None, entity={"type": "strategy", "id": "s1"}),
        ],
        MAY_8,
        100,
    )
    with recorder(tmp_path) as recording:
        recording.put(batch)

    market = read(recording.path, "market-data")
    assert list(market.columns[:3]) == ["timestamp", "received_at", "symbol"]
    assert list(market.columns[-3:]) == ["id", "arrival", "extra"]
    assert market["received_at"][0] == pd.Timestamp(MAY_8, unit="us", tz="UTC")
    assert market["data_timestamp"][0] == pd.Timestamp("2014-05-08T12:00:00.000001Z")
    assert np.isnan(market["bid"][0])
    assert market["arrival"].tolist() == [100]
    [place] = read(recording.path, "positions").to_dict("records")
    assert place["ticket"] == 2**62 + 2
    assert place["last_update"] is pd.NaT
    trades = read(recording.path, "trades")
    assert trades["stop_loss"][0] == 1.25
    assert trades["ticket"].tolist()[0] == 3
    assert pd.isna(trades["ticket"][1])
    alerts = read(recording.path, "alerts")
    assert alerts["title"].tolist() == ["Größe ≥ 5 💶"] * 2
    assert [None if v is None else list(v) for v in alerts["actions"]] == [["close", "näher"], None]
    assert alerts["entity_id"].tolist()[1] == "s1"


def test_a_missing_number_is_null_in_the_file(tmp_path: Path) -> None:
    with recorder(tmp_path) as recording:
        recording.put(decode([quote(1, bid=None)], MAY_8))

    [part] = layout.parts(recording.path)
    assert pq.read_table(part.file, partitioning=None).column("bid").null_count == 1


def test_undocumented_fields_are_json_and_do_not_change_the_schema(tmp_path: Path) -> None:
    with recorder(tmp_path, flush_s=0.02) as recording:
        recording.put(quotes(0, 3))
        wait_until(lambda: recording.status.rows == 3)
        recording.put(decode([quote(3, depth={"levels": [1, 2]}, mood="ünsure", big=2**70, none=None)], MAY_8))
        wait_until(lambda: recording.status.rows == 4)
        schemas = {pq.read_schema(part.file).to_string() for part in layout.parts(recording.path)}

    assert len(schemas) == 1
    extra = read(recording.path, "market-data")["extra"].tolist()
    assert all(pd.isna(value) for value in extra[:3])
    assert json.loads(extra[3]) == {"depth_levels": [1, 2], "mood": "ünsure", "big": 2**70, "none": None}


def test_columns_with_the_same_name_have_the_same_type_in_all_channels() -> None:
    types: dict[str, set[str]] = {}
    for channel in (*CHANNELS.values(), layout.REJECTED, layout.GAPS):
        for field in schema(channel):
            types.setdefault(field.name, set()).add(str(field.type))

    assert {name: kinds for name, kinds in types.items() if len(kinds) > 1} == {}


def test_an_undocumented_channel_is_recorded(tmp_path: Path) -> None:
    frames = [message("weather", "weather", {"sky": "grey", "wind": [1, {"gust": 2}]}, n) for n in range(3)]
    with recorder(tmp_path, flush_s=0.02) as recording:
        for frame in frames:
            recording.put(decode([frame], MAY_8))
            wait_until(lambda: not recording.status.waiting)

    weather = read(recording.path, "weather")
    assert list(weather.columns) == ["timestamp", "received_at", "id", "arrival", "extra"]
    assert [json.loads(value)["sky"] for value in weather["extra"]] == ["grey"] * 3


def test_rows_of_too_many_undocumented_channels_are_recorded_as_rejected(tmp_path: Path) -> None:
    frames = [message("x", f"channel-{n}", {"n": n}, n) for n in range(300)]
    with recorder(tmp_path) as recording:
        recording.put(decode(frames, MAY_8))

    channels = {part.channel_folder for part in layout.parts(recording.path)} - {"channel=_rejected"}
    rejected = read(recording.path, "_rejected")
    assert (len(channels), len(rejected)) == (256, 44)
    assert json.loads(rejected["raw"].iloc[-1]) == {
        "channel": "channel-299",
        "id": "msg_299",
        "type": "x",
        "n": 299,
    }
    assert recording.status.rows == 300
    assert recording.status.waiting == 0


def test_rejected_messages_are_recorded_with_their_text_and_the_reason(tmp_path: Path) -> None:
    with recorder(tmp_path) as recording:
        recording.put(decode([b"what?", b'{"type": 7}', b"\xff\xfe"], MAY_8))

    rejected = read(recording.path, "_rejected")
    assert rejected["raw"].tolist()[:2] == ["what?", '{"type": 7}']
    assert rejected["reason"].str.len().min() > 0
    assert manifest.read(recording.path).rejected == 3


def test_a_row_with_invalid_text_is_recorded_as_rejected_and_its_neighbours_as_rows(tmp_path: Path) -> None:
    batch = quotes(0, 5)
    batch.rows["market-data"].values["symbol"][2] = "\ud800"  # our decoder would reject it
    with recorder(tmp_path) as recording:
        recording.put(batch)

    assert numbers(recording.path, "market-data") == [0, 1, 3, 4]
    [reason] = read(recording.path, "_rejected")["reason"]
    assert "could not be recorded" in reason
    assert recording.status.waiting == 0
    assert recording.status.error is None


def test_gaps_are_rows_and_an_ended_gap_is_one_entry_of_the_manifest(tmp_path: Path) -> None:
    with recorder(tmp_path) as recording:
        recording.gap(MAY_8, None, "connection lost", ("trades", "orders"))
        recording.gap(MAY_8, MAY_8 + 5_000_000, "connection lost", ("trades", "orders"))
        recording.gap(MAY_8 + 9_000_000, None, "connection lost", ["trades"])

    gaps = read(recording.path, "_gaps")
    assert gaps["end"].isna().tolist() == [True, False, True]
    assert [list(channels) for channels in gaps["channels"]] == [["trades", "orders"]] * 2 + [["trades"]]
    entries = manifest.read(recording.path).gaps
    assert [(gap.start[11:19], gap.end and gap.end[11:19]) for gap in entries] == [
        ("12:30:00", "12:30:05"),
        ("12:30:09", None),
    ]


def test_the_manifest_describes_the_capture_and_contains_no_token(tmp_path: Path) -> None:
    hello = {"type": "connection", "status": "connected", "sessionId": "session_1", "userId": "user_9"}
    url = "wss://me:secret-1@example.com/api/ws?token=secret-2#secret-3"
    with Recorder(tmp_path, name="default", url=url, clock=lambda: MAY_8) as recording:
        recording.put(decode([json.dumps(hello).encode()], MAY_8))
        recording.put(quotes(0, 7))
        wait_until(lambda: recording.status.rows == 7)
        during = manifest.read(recording.path)

    assert during.end is None
    after = manifest.read(recording.path)
    assert (after.format_version, after.session, after.url) == (1, "default", "wss://example.com/api/ws")
    assert (after.session_id, after.user_id) == ("session_1", "user_9")
    assert (after.start, after.end) == ("2014-05-08T12:30:00.000000Z", "2014-05-08T12:30:00.000000Z")
    entry = after.channels["market-data"]
    assert (entry.folder, entry.rows, entry.first_received_at) == ("channel=market-data", 7, after.start)
    written = b"".join(file.read_bytes() for file in recording.path.rglob("*") if file.is_file())
    assert b"secret" not in written


@pytest.mark.parametrize(
    "name", ["../../away", "/etc/passwd", "..", "", "a\0b", "x" * 500, "günther", "con\\..\\x", "\ud800"]
)
def test_no_name_leads_out_of_the_captures_folder(tmp_path: Path, name: str) -> None:
    with Recorder(tmp_path / "in" / "here", name=name, url="memory:") as recording:
        recording.put(decode([message("x", name, {"a": 1}, 1)], MAY_8))

    outside = [path for path in tmp_path.rglob("*") if path.is_file() and recording.path not in path.parents]
    assert outside == []
    assert recording.path.parent == tmp_path / "in" / "here"
    assert len(read(recording.path, name)) + len(read(recording.path, "_rejected")) == 1


def test_no_two_channels_share_a_folder_nor_use_that_of_gaps_or_rejections() -> None:
    names = ["trades", "Trades", "TRADES", "_gaps", "_rejected", "a/b", "a%2Fb", "", "~", "\0", "x" * 300, "x" * 301]
    folders = {layout.channel_folder(Channel(name)).lower() for name in names}

    assert len(folders) == len(names)
    assert folders.isdisjoint({"channel=_gaps", "channel=_rejected"})
    assert [layout.channel_of(layout.channel_folder(Channel(name))) for name in names[:-2]] == names[:-2]


def test_a_folder_that_cannot_be_created_is_an_error_before_recording_starts(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")

    with pytest.raises(CaptureError, match=r"file.*Choose another folder"):
        recorder(file)


@pytest.mark.parametrize("path", [5, False, b"captures"], ids=repr)
def test_an_invalid_path_is_an_error_before_anything_is_opened(path: Any) -> None:
    with pytest.raises(UnknownOption, match=r"path must be a folder"):
        recorder(path)
    with fxlive.Session.offline("unrecorded") as session:
        with pytest.raises(UnknownOption, match="path must be"):
            session.record(path)
        assert session.recording is None


def test_a_program_that_exits_without_stop_leaves_a_complete_capture(tmp_path: Path) -> None:
    code = (
        "import sys; from fxlive.capture.writing.recorder import Recorder; from tests.capture.recordings import quotes;"
        "Recorder(sys.argv[1], name='default', url='memory:', flush_s=60).put(quotes(0, 50))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=Path(__file__).parents[2], check=True)

    [capture] = tmp_path.iterdir()
    assert numbers(capture, "market-data") == list(range(50))
    assert manifest.read(capture).end is not None


def test_the_status_has_rows_bytes_rate_and_free_space(tmp_path: Path) -> None:
    recording = recorder(tmp_path, flush_s=0.02)
    assert recording.status.state == "recording"
    for start in range(0, 5000, 500):
        recording.put(quotes(start, start + 500))
    wait_until(lambda: recording.status.rows == 5000 and recording.status.bytes > 0)

    status = recording.status
    assert status.rows_per_s > 0
    assert status.waiting == status.dropped == 0
    assert (status.disk_free_bytes or 0) > 0
    assert status.error is None
    ended = recording.stop()
    assert ended == recording.stop()
    assert (ended.state, ended.rows) == ("stopped", 5000)
    assert ended.bytes == sum(part.file.stat().st_size for part in layout.parts(recording.path))


def test_batches_and_gaps_after_stop_are_ignored(tmp_path: Path) -> None:
    recording = recorder(tmp_path)
    recording.stop()
    recording.put(quotes(0, 5))
    recording.gap(MAY_8, None, "late", ())

    assert recording.status.rows == 0
    assert layout.parts(recording.path) == []


def test_put_does_no_work_per_message(tmp_path: Path) -> None:
    with recorder(tmp_path) as recording:
        few, many = (lines_run(recording.put, quotes(*span)) for span in ((0, 5), (5, 20_000)))

    assert 0 < many < few + 10
    assert numbers(recording.path, "market-data") == list(range(20_000))


def test_an_invalid_batch_raises_no_error_in_the_feed(tmp_path: Path) -> None:
    broken = quotes(0, 5)
    broken.rows["market-data"].values["symbol"] = 5
    with recorder(tmp_path) as recording:
        recording.put(broken)
        recording.put(Batch(MAY_8, rejected=[Rejection(MAY_8, "why", "what")]))

    assert recording.status.dropped == 5
    assert len(read(recording.path, "_rejected")) == 1

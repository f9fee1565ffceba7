"""With a disk that is full, slow or unmounted the feed continues, the status says so, and lost rows are a gap."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from fxlive.capture.format import layout, manifest
from fxlive.capture.writing import recorder as recording
from fxlive.capture.writing.recorder import Recorder
from fxlive.wire.protocol import decode
from tests.capture.recordings import MAY_8, FailingDisk, numbers, quotes, read, wait_until

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Failing:
    """A recorder with a disk that fails on demand."""

    def __init__(self, folder: Path, **options: int) -> None:
        disks: list[FailingDisk] = []

        def disk(capture: Path) -> FailingDisk:
            disks.append(FailingDisk(capture))
            return disks[0]

        self.recorder = Recorder(folder, name="default", url="memory:", flush_s=0.02, disk=disk, **options)
        self.disk = disks[0]


def test_recording_stalls_on_a_full_disk_and_continues_without_loss_when_there_is_space(
    tmp_path: Path,
) -> None:
    failing = Failing(tmp_path)
    with failing.recorder as recorder:
        recorder.put(quotes(0, 10))
        wait_until(lambda: recorder.status.rows == 10)
        failing.disk.error = FULL
        recorder.put(quotes(10, 20))
        wait_until(lambda: recorder.status.state == "stalled")

        assert recorder.status.error == "No space left on device"
        assert numbers(recorder.path, "market-data") == list(range(10))

        failing.disk.error = None
        wait_until(lambda: recorder.status.state == "recording" and recorder.status.rows == 20)
        assert recorder.status.error is None

    assert numbers(recorder.path, "market-data") == list(range(20))
    assert read(recorder.path, "_gaps").empty


def test_rows_beyond_the_bounds_are_dropped_and_counted_and_recorded_as_a_gap(tmp_path: Path) -> None:
    failing = Failing(tmp_path, max_queued_rows=100)
    with failing.recorder as recorder:
        failing.disk.error = FULL
        for start in range(0, 300, 10):
            recorder.put(quotes(start, start + 10, MAY_8 + start))
        wait_until(lambda: recorder.status.state == "stalled")
        assert recorder.status.waiting == 100
        assert recorder.status.dropped == 200
        failing.disk.error = None
        wait_until(lambda: not recorder.status.waiting)
        recorder.put(quotes(300, 310, MAY_8 + 300))

    assert numbers(recorder.path, "market-data") == [*range(100), *range(300, 310)]
    [gap] = read(recorder.path, "_gaps").to_dict("records")
    assert (gap["timestamp"].value // 1000, gap["end"].value // 1000) == (MAY_8 + 100, MAY_8 + 290)
    assert gap["lost_rows"] == 200
    assert list(gap["channels"]) == ["market-data"]
    assert "No space left on device" in gap["reason"]
    about = manifest.read(recorder.path)
    assert about.dropped == about.gaps[0].lost_rows == 200


def test_a_gap_fits_into_a_full_queue(tmp_path: Path) -> None:
    failing = Failing(tmp_path, max_queued_rows=10)
    with failing.recorder as recorder:
        failing.disk.error = FULL
        recorder.put(quotes(0, 10))
        recorder.put(quotes(10, 20))
        recorder.gap(MAY_8, None, "connection lost", ("trades",))
        failing.disk.error = None

    assert sorted(read(recorder.path, "_gaps")["reason"].str.slice(0, 12)) == ["connection l", "not recorded"]


def test_memory_is_bounded_also_for_large_texts(tmp_path: Path) -> None:
    limit = 8 * 2**20
    failing = Failing(tmp_path, max_queued_bytes=limit)
    with failing.recorder as recorder:
        failing.disk.error = FULL
        tracemalloc.start()
        for _ in range(1000):
            recorder.put(decode([b"x" * 65_000] * 5, MAY_8))  # 325 MB in total
        used_bytes, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert recorder.status.dropped > 4000
        assert used_bytes < 2 * limit
        failing.disk.error = None

    assert recorder.status.rows + recorder.status.dropped == 5001  # including the gap


def test_stop_returns_on_a_disk_that_stays_full_and_reports_the_lost_rows(tmp_path: Path) -> None:
    failing = Failing(tmp_path)
    failing.recorder.put(quotes(0, 10))
    wait_until(lambda: failing.recorder.status.rows == 10)
    failing.disk.error = FULL
    failing.recorder.put(quotes(10, 15))

    failing.recorder.stop(timeout=0.3)
    wait_until(lambda: failing.recorder.status.state == "stopped")  # a busy machine may need longer

    ended = failing.recorder.status
    assert (ended.state, ended.rows, ended.dropped) == ("stopped", 10, 5)
    assert ended.error == "No space left on device; the last 5 rows were lost"
    assert numbers(failing.recorder.path, "market-data") == list(range(10))


def test_recording_stalls_on_a_disk_that_does_not_answer_and_put_never_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "SILENT_DISK_S", 0.1)
    answer, asked = threading.Event(), threading.Event()
    failing = Failing(tmp_path)
    publish = failing.disk.publish

    def silent(*arguments: object) -> int:
        asked.set()
        answer.wait(60)
        return publish(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(failing.disk, "publish", silent)
    with failing.recorder as recorder:
        recorder.put(quotes(0, 10))
        assert asked.wait(60)
        recorder.put(quotes(10, 20))
        wait_until(lambda: recorder.status.state == "stalled")
        assert "has not answered" in (recorder.status.error or "")
        answer.set()

    assert numbers(recorder.path, "market-data") == list(range(20))


def test_an_unmounted_folder_is_not_recreated_and_recording_continues_when_it_is_back(tmp_path: Path) -> None:
    failing = Failing(tmp_path / "mount")
    with failing.recorder as recorder:
        recorder.put(quotes(0, 10))
        wait_until(lambda: recorder.status.rows == 10)
        (tmp_path / "mount").rename(tmp_path / "unplugged")
        recorder.put(quotes(10, 20))
        wait_until(lambda: recorder.status.state == "stalled")
        assert not (tmp_path / "mount").exists()
        (tmp_path / "unplugged").rename(tmp_path / "mount")
        wait_until(lambda: recorder.status.rows == 20)

    assert numbers(recorder.path, "market-data") == list(range(20))


def test_an_error_after_the_rename_leaves_every_row_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = Failing(tmp_path)
    with failing.recorder as recorder:
        recorder.put(quotes(0, 10))
        wait_until(lambda: recorder.status.rows == 10)
        with monkeypatch.context() as patched:

            def fail(folder: Path) -> None:
                raise OSError(errno.EIO, "Input/output error")

            patched.setattr(failing.disk, "sync_folder", fail)
            recorder.put(quotes(10, 20))
            wait_until(lambda: recorder.status.state == "stalled")
            recorder.put(quotes(20, 30))
        wait_until(lambda: recorder.status.rows == 30)

    assert numbers(recorder.path, "market-data") == list(range(30))
    assert len(list(recorder.path.rglob("*.parquet"))) == len(layout.parts(recorder.path))


def test_a_damaged_part_is_left_as_it_is_and_recording_continues(tmp_path: Path) -> None:
    with Recorder(tmp_path, name="default", url="memory:", flush_s=0.02) as recorder:
        for start in range(0, 120, 10):
            recorder.put(quotes(start, start + 10))
            wait_until(lambda: not recorder.status.waiting)
            if start == 20:
                layout.parts(recorder.path)[1].file.write_bytes(b"PAR1 no more")

    assert (recorder.status.rows, recorder.status.vanished) == (110, 10)
    assert sum(len(part) for part in layout.parts(recorder.path)) == 120
    assert not list(recorder.path.rglob("*.tmp"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mount = tmp_path / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)]
    if os.name != "posix" or shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a tmpfs cannot be mounted")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


def fill(file: Path) -> None:
    with file.open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))


def test_a_full_file_system_keeps_its_rows_and_accepts_more_when_there_is_space(small_disk: Path) -> None:
    filler = small_disk / "filler"
    with Recorder(small_disk, name="default", url="memory:", flush_s=0.02) as recorder:
        recorder.put(quotes(0, 1000))
        wait_until(lambda: recorder.status.rows == 1000)
        with pytest.raises(OSError, match="No space"):
            fill(filler)
        recorder.put(quotes(1000, 2000))
        wait_until(lambda: recorder.status.state == "stalled")
        assert "No space" in (recorder.status.error or "")
        assert numbers(recorder.path, "market-data") == list(range(1000))
        filler.unlink()
        wait_until(lambda: recorder.status.rows == 2000)

    assert numbers(recorder.path, "market-data") == list(range(2000))

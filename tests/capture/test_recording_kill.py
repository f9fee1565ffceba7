"""After `kill -9` every row older than the flush interval is in the capture, once, without a repair."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pandas as pd
import pytest

import fxlive
from fxlive.capture.format import layout
from tests.capture.killing import kill_under_load, start_process
from tests.capture.recordings import numbers

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kill -9 needs a POSIX system")

# Kills itself at a chosen step of its third merge.
MERGING = """
import os, signal, sys
from pathlib import Path
from fxlive.capture.format import layout
from fxlive.capture.format.disk import Disk
from fxlive.capture.writing.recorder import Recorder
from tests.capture.recordings import quotes, wait_until

layout.MERGED_AT_ONCE = 4
step = sys.argv[2]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

class Deadly(Disk):
    merges = removals = 0

    def finish(self, unfinished, file):
        start, stop = file.stem.split("-") if file.suffix == ".parquet" else (0, 0)
        merged = int(stop) - int(start) >= 20
        self.merges += merged
        if merged and self.merges == 3 and step == "before the rename":
            die()
        size = super().finish(unfinished, file)
        if merged and self.merges == 3 and step == "after the rename":
            die()
        return size

    def remove(self, file):
        if self.merges == 3 and file.suffix == ".parquet":
            self.removals += 1
            if self.removals == 3:
                die()
        return super().remove(file)

recorder = Recorder(sys.argv[1], name="load", url="memory:", flush_s=0.02, disk=Deadly)
for start in range(0, 10_000, 10):
    recorder.put(quotes(start, start + 10))
    wait_until(lambda: not recorder.status.waiting)
    print(start + 10, flush=True)
"""


@pytest.mark.parametrize("seed", range(6))
def test_rows_older_than_the_flush_interval_survive_kill_9_under_load(tmp_path: Path, seed: int) -> None:
    assert kill_under_load(tmp_path, seed) > 0


@pytest.mark.parametrize("step", ["before the rename", "after the rename", "while replaced parts are deleted"])
def test_kill_9_during_a_merge_loses_no_row_and_duplicates_none(tmp_path: Path, step: str) -> None:
    process = start_process(MERGING, tmp_path, step)
    out, _ = process.communicate(timeout=110)

    assert process.returncode == -signal.SIGKILL
    [capture] = tmp_path.iterdir()
    found = numbers(capture, "market-data")
    assert found == list(range(len(found)))
    assert len(found) >= int(out.split()[-1])
    assert fxlive.open_capture(capture).frame("market-data")["volume"].tolist() == found
    files = set(capture.rglob("*.parquet"))
    superseded = files - {part.file for part in layout.parts(capture)}
    assert (len(superseded) > 0) == (step != "before the rename")
    message = f"{len(superseded)} files were merged into larger ones"
    assert (message in repr(fxlive.open_capture(capture))) == (step != "before the rename")
    for file in superseded:  # as the message advises
        file.unlink()
    plain = pd.read_parquet(capture / "channel=market-data")
    assert sorted(plain["volume"]) == found

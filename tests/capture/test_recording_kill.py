"""`kill -9`: whatever is older than the flush interval is there, once and whole, without a repair."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pandas as pd
import pytest

import fxlive
from fxlive.capture.format import layout
from tests.capture.killing import kill_under_load, started
from tests.capture.recordings import numbers

pytestmark = pytest.mark.skipif(os.name != "posix", reason="only where there is a kill -9")

# Kills itself at one moment of its third merge.
MERGING = """
import os, signal, sys
from pathlib import Path
from fxlive.capture.format import layout
from fxlive.capture.format.disk import Disk
from fxlive.capture.writing.recorder import Recorder
from tests.capture.recordings import quotes, wait_until

layout.MERGED_AT_ONCE = 4
moment = sys.argv[2]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

class Deadly(Disk):
    merges = removals = 0

    def finish(self, unfinished, file):
        start, stop = file.stem.split("-") if file.suffix == ".parquet" else (0, 0)
        merged = int(stop) - int(start) >= 20
        self.merges += merged
        if merged and self.merges == 3 and moment == "before the name":
            die()
        size = super().finish(unfinished, file)
        if merged and self.merges == 3 and moment == "after the name":
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
def test_what_is_older_than_the_flush_interval_survives_kill_9_under_load(tmp_path: Path, seed: int) -> None:
    assert kill_under_load(tmp_path, seed) > 0


@pytest.mark.parametrize("moment", ["before the name", "after the name", "while the old ones go"])
def test_a_kill_while_parts_are_merged_loses_no_row_and_shows_none_twice(tmp_path: Path, moment: str) -> None:
    process = started(MERGING, tmp_path, moment)
    out, _ = process.communicate(timeout=60)

    assert process.returncode == -signal.SIGKILL
    [capture] = tmp_path.iterdir()
    found = numbers(capture, "market-data")
    assert found == list(range(len(found)))
    assert len(found) >= int(out.split()[-1])
    assert fxlive.open_capture(capture).frame("market-data")["volume"].tolist() == found
    files = set(capture.rglob("*.parquet"))
    superseded = files - {part.file for part in layout.parts(capture)}
    assert (len(superseded) > 0) == (moment != "before the name")
    remark = f"{len(superseded)} files were merged into larger ones"
    assert (remark in repr(fxlive.open_capture(capture))) == (moment != "before the name")
    for file in superseded:  # as the remark advises
        file.unlink()
    plain = pd.read_parquet(capture / "channel=market-data")
    assert sorted(plain["volume"]) == found

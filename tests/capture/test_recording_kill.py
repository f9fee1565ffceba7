"""`kill -9`: whatever is older than the flush interval is there, once and whole, without a repair."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import fxlive
from fxlive.capture import layout, manifest
from tests.capture.recordings import numbers, read

ROOT = Path(__file__).parents[2]
FLUSH_S = 1.0

pytestmark = pytest.mark.skipif(os.name != "posix", reason="only where there is a kill -9")

# Says which message it has put last, and when. It merges two parts as soon as there are two, so nearly always.
LOAD = """
import sys, time
from fxlive.capture import layout
from fxlive.capture.recording import Recorder
from fxlive.protocol import decode
from tests.capture.recordings import alert, message, position, quote, trade

layout.MERGED_AT_ONCE = 2
recorder = Recorder(sys.argv[1], name="load", url="memory:", flush_s=float(sys.argv[2]))
number = 0
while True:
    frames = [quote(n) for n in range(number, number + 180)]
    frames += [position(n, mood="calm") for n in range(number + 180, number + 195)]
    frames += [trade(number + 195), alert(number + 196), message("x", "other", {"a": [1]}, number + 197)]
    frames += [b"broken %d" % (number + 198), b"broken %d" % (number + 199)]
    recorder.put(decode(frames, time.time_ns() // 1000, number))
    number += 200
    sys.stdout.write(f"{number} {time.time()}\\n")
    sys.stdout.flush()
    time.sleep(0.004)
"""

# Kills itself at one moment of its third merge.
MERGING = """
import os, signal, sys
from pathlib import Path
from fxlive.capture import layout
from fxlive.capture.disk import Disk
from fxlive.capture.recording import Recorder
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


def started(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def check_whole(capture: Path) -> dict[str, list[int]]:
    """Every row is there once, in order, up to the last of its channel, and holds what was sent."""
    found = {name: numbers(capture, name) for name in ("market-data", "positions", "trades", "alerts", "other")}
    found["_rejected"] = [int(raw.split()[1]) for raw in read(capture, "_rejected").get("raw", ())]
    within = {
        "market-data": range(180),
        "positions": range(180, 195),
        "trades": [195],
        "alerts": [196],
        "other": [197],
        "_rejected": [198, 199],
    }
    for name, of_one in found.items():
        sent = [start + place for start in range(0, max(of_one, default=0) + 200, 200) for place in within[name]]
        assert of_one == sent[: len(of_one)], name
    market = read(capture, "market-data")
    assert market["volume"].tolist() == found["market-data"]
    assert market["symbol"].tolist() == [["EURUSD", "NZDUSD"][n % 2] for n in found["market-data"]]
    assert set(read(capture, "positions")["extra"]) == {'{"mood":"calm"}'}
    opened = fxlive.open_capture(capture)
    assert opened.frame("market-data")["volume"].tolist() == found["market-data"]
    assert set(opened.frame("positions")["mood"]) == {"calm"}
    assert [int(raw.split()[1]) for raw in opened.rejected()["raw"]] == found["_rejected"]
    assert opened.state == "unfinished"
    assert opened.gaps().empty
    return found


@pytest.mark.parametrize("seed", range(6))
def test_what_is_older_than_the_flush_interval_survives_kill_9_under_load(tmp_path: Path, seed: int) -> None:
    process = started(LOAD, tmp_path, FLUSH_S)
    assert process.stdout is not None
    said = [process.stdout.readline()]
    ends = time.monotonic() + random.Random(seed).uniform(1.2, 3.2)
    while time.monotonic() < ends:
        said.append(process.stdout.readline())
    killed_at = time.time()
    process.send_signal(signal.SIGKILL)
    said += process.stdout.read().splitlines()
    process.wait()
    process.stdout.close()

    [capture] = tmp_path.iterdir()
    found = check_whole(capture)
    put = pd.DataFrame([line.split() for line in said if len(line.split()) == 2], columns=["number", "at"]).astype(
        float
    )
    safe = int(put["number"][put["at"] <= killed_at - FLUSH_S].max())
    assert safe > 0
    for name, last_of_200 in {"market-data": 180, "positions": 195, "trades": 196, "_rejected": 200}.items():
        assert found[name][-1] + 1 >= safe - 200 + last_of_200, name
    about = manifest.read(capture)
    assert about.end is None
    assert set(about.channels) == {"market-data", "positions", "trades", "alerts", "other"}
    merged = [part for part in layout.parts(capture, "market-data") if len(part) > 0.9 * len(found["market-data"]) / 2]
    assert merged, "nothing was merged"


@pytest.mark.parametrize("moment", ["before the name", "after the name", "while the old ones go"])
def test_a_kill_while_parts_are_merged_loses_no_row_and_shows_none_twice(tmp_path: Path, moment: str) -> None:
    process = started(MERGING, tmp_path, moment)
    out, _ = process.communicate(timeout=60)

    assert process.returncode == -signal.SIGKILL
    [capture] = tmp_path.iterdir()
    found = numbers(capture, "market-data")
    assert found == list(range(len(found)))
    assert len(found) >= int(out.split()[-1])
    count = len(list(capture.rglob("*.parquet")))
    assert (count > len(layout.parts(capture))) == (moment != "before the name")

"""`kill -9` under load, and what must be found of the capture: for the tests, and a hundred times for the soak."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

import fxlive
from fxlive.capture.format import manifest
from tests.capture.recordings import numbers, read

ROOT = Path(__file__).parents[2]
FLUSH_S = 1.0

# Says which message it has put last, and when. It merges two parts as soon as there are two, so nearly always.
LOAD = """
import sys, time
from fxlive.capture.format import layout
from fxlive.capture.writing.recorder import Recorder
from fxlive.wire.protocol import decode
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


def kill_under_load(folder: Path, seed: int) -> int:
    """Record, be killed at a random moment, and check what is there; return how many rows were."""
    process = started(LOAD, folder, FLUSH_S)
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

    [capture] = folder.iterdir()
    found = check_whole(capture)
    put = pd.DataFrame([line.split() for line in said if len(line.split()) == 2], columns=["number", "at"]).astype(
        float
    )
    safe = int(put["number"][put["at"] <= killed_at - FLUSH_S].max())
    assert safe > 0
    for name, last_of_200 in {"market-data": 180, "positions": 195, "trades": 196, "_rejected": 200}.items():
        wanted, last = safe - 200 + last_of_200, found[name][-1] + 1
        assert last >= wanted, f"{name} ends with {last}, and {wanted} was older than {FLUSH_S:g} s"
    about = manifest.read(capture)
    assert about.end is None
    assert set(about.channels) == {"market-data", "positions", "trades", "alerts", "other"}
    return sum(map(len, found.values()))

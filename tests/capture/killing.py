"""Records under load, kills the process with `kill -9`, and checks the capture. Used by tests and by the soak."""

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

# Prints the number of messages put so far, the time, and the duration of the slowest flush (the running one included).
# Two parts are merged at once, so a merge nearly always runs.
LOAD = """
import sys, time
from fxlive.capture.format import layout
from fxlive.capture.writing.recorder import Recorder
from fxlive.wire.protocol import decode
from tests.capture.recordings import alert, message, position, quote, trade

layout.MERGED_AT_ONCE = 2
slowest_s, began = 0.0, None

class Timed(Recorder):
    def _flush(self, **options):
        global slowest_s, began
        began = time.monotonic()
        try:
            return super()._flush(**options)
        finally:
            slowest_s, began = max(slowest_s, time.monotonic() - began), None

recorder = Timed(sys.argv[1], name="load", url="memory:", flush_s=float(sys.argv[2]))
number = 0
while True:
    frames = [quote(n) for n in range(number, number + 180)]
    frames += [position(n, mood="calm") for n in range(number + 180, number + 195)]
    frames += [trade(number + 195), alert(number + 196), message("x", "other", {"a": [1]}, number + 197)]
    frames += [b"broken %d" % (number + 198), b"broken %d" % (number + 199)]
    recorder.put(decode(frames, time.time_ns() // 1000, number))
    number += 200
    running = began
    flush_s = slowest_s if running is None else max(slowest_s, time.monotonic() - running)
    sys.stdout.write(f"{number} {time.time()} {flush_s}\\n")
    sys.stdout.flush()
    time.sleep(0.004)
"""


def start_process(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def check_complete(capture: Path) -> dict[str, list[int]]:
    """Check that each channel has its rows once, in order and without gaps, with the values that were sent.

    Return the numbers of the messages found, by channel.
    """
    found = {name: numbers(capture, name) for name in ("market-data", "positions", "trades", "alerts", "other")}
    found["_rejected"] = [int(raw.split()[1]) for raw in read(capture, "_rejected").get("raw", ())]
    offsets = {
        "market-data": range(180),
        "positions": range(180, 195),
        "trades": [195],
        "alerts": [196],
        "other": [197],
        "_rejected": [198, 199],
    }
    for name, found_numbers in found.items():
        last = max(found_numbers, default=0)
        sent = [start + offset for start in range(0, last + 200, 200) for offset in offsets[name]]
        assert found_numbers == sent[: len(found_numbers)], name
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


def survivors(lines: list[str], now: float) -> int:
    """Return how many messages must survive a kill at `now`: those older than the flush interval.

    On a busy machine the recorder may be late. It is allowed the longest pause between two lines of the process, and
    the duration of its slowest flush.
    """
    reports = pd.DataFrame([line.split() for line in lines if len(line.split()) == 3], dtype=float)
    reports.columns = pd.Index(["number", "at", "flush_s"])
    pause_s = max(reports["at"].diff().max(), now - reports["at"].iloc[-1])
    safe = reports["number"][reports["at"] <= now - FLUSH_S - pause_s - reports["flush_s"].max()]
    return 0 if safe.empty else int(safe.max())


def kill_under_load(folder: Path, seed: int) -> int:
    """Record in another process, kill it at a random time, check the capture, and return its number of rows."""
    process = start_process(LOAD, folder, FLUSH_S)
    assert process.stdout is not None
    lines = [process.stdout.readline()]
    earliest = time.time() + random.Random(seed).uniform(1.2, 3.2)
    while time.time() < earliest or not survivors(lines[::10], time.time() - 0.1):
        lines.append(process.stdout.readline())
        assert lines[-1], "the process has ended"
    killed_at = time.time()
    process.send_signal(signal.SIGKILL)
    lines += process.stdout.read().splitlines()
    process.wait()
    process.stdout.close()

    [capture] = folder.iterdir()
    found = check_complete(capture)
    safe = survivors(lines, killed_at)
    assert safe > 0
    for name, last_of_200 in {"market-data": 180, "positions": 195, "trades": 196, "_rejected": 200}.items():
        expected, last = safe - 200 + last_of_200, found[name][-1] + 1
        assert last >= expected, f"{name} ends with {last}, but {expected} was older than {FLUSH_S:g} s"
    content = manifest.read(capture)
    assert content.end is None
    assert set(content.channels) == {"market-data", "positions", "trades", "alerts", "other"}
    return sum(map(len, found.values()))

"""A day of quotes through the simulator, a socket and a session at maximum speed: duration and completeness."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

import fxlive
from benchmarks.data import quotes
from benchmarks.report import Figure


def measure() -> list[Figure]:
    """Return the duration, and the number of wrong quotes in the frame of the session and the exported Parquet file."""
    expected = quotes()
    with tempfile.TemporaryDirectory() as folder:
        ticks = Path(folder) / "ticks.parquet"
        expected.to_parquet(ticks)
        seconds, frame, file = _replay(ticks, len(expected), folder)
        exported = fxlive.read_export(file)
    wrong = _differences(frame, expected) + _differences(exported, expected)
    return [
        Figure(f"a day of {len(expected):,} quotes through simulator, socket and session", seconds, "s"),
        Figure("the same: quotes lost, doubled, out of order or changed", wrong, "quotes", "<= 0"),
    ]


def _replay(ticks: Path, count: int, folder: str) -> tuple[float, pd.DataFrame, Path]:
    command = [sys.executable, "-m", "fxlive.simulator", "simulate", "--port", "0", "--json", "--exit-with-parent"]
    command += ["--ticks", str(ticks), "--speed", "max", "--wait-for-subscriber", "--quotes-only", "--quiet"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())
        start = time.perf_counter()
        session = fxlive.Session(address["url"], address["token"], channels=["market-data"], name="day").open()
        frame = session.wait_for("market-data", rows=count, timeout=300)
        seconds = time.perf_counter() - start
        file = session.export(folder, ["market-data"])["market-data"]
        session.close()
        process.stdin.close()
    return seconds, frame, file


def _differences(frame: pd.DataFrame, expected: pd.DataFrame) -> float:
    """Return the number of rows that differ from the file's row at the same position, plus repeated ids."""
    if len(frame) != len(expected):
        return abs(len(frame) - len(expected))
    wrong = frame["data_timestamp"].to_numpy() != pd.to_datetime(expected["timestamp"], utc=True).to_numpy()
    wrong |= frame["symbol"].astype(str).to_numpy() != expected["symbol"].to_numpy()
    for name in ("bid", "ask"):
        wrong |= frame[name].to_numpy() != expected[name].to_numpy()
    return float(wrong.sum() + frame["id"].duplicated().sum())


if __name__ == "__main__":
    for figure in measure():
        print(figure)

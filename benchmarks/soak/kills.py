"""A hundred `kill -9` of a recording under load, each followed by a check of the capture."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.soak.outcome import Outcome, progress
from tests.capture.killing import kill_under_load


def kills(count: int, seed: int) -> Outcome:
    """Kill a recording under load `count` times, and check the rows on disk each time."""
    outcome = Outcome()
    rows = 0
    for number in range(count):
        progress(f"kill {number + 1:,} of {count:,}")
        with tempfile.TemporaryDirectory() as folder:
            try:
                rows += kill_under_load(Path(folder), seed + number)
            except Exception as error:
                outcome.check(False, f"kills: seed {seed + number}: {type(error).__name__}: {error}")
    outcome.figure("kills: of a recording under load", count, "kills")
    outcome.figure("kills: rows found, complete and once", rows, "rows")
    return outcome

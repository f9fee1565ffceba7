"""A million mutated messages through decoding, store and recorder, compared with an independent model."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.soak.outcome import Outcome, progress
from tests.wire.fuzz import run


def mutated_messages(count: int, seed: int) -> Outcome:
    """Send mutated messages; every batch must be as the model expects, and every message accounted for."""
    outcome = Outcome()
    start = time.process_time()
    with TemporaryDirectory() as folder:
        try:
            totals = run(count, seed, Path(folder), lambda messages: progress(f"{messages:,} mutated messages"))
        except AssertionError as error:
            outcome.check(False, f"mutated messages: {error}")
            return outcome
    for name in ("messages", "rows", "rejected", "heartbeats"):
        outcome.figure(f"mutated messages: {name}", totals[name], "messages")
    outcome.figure("mutated messages: time", (time.process_time() - start) / totals["messages"] * 1e6, "us/message")
    return outcome

"""A hundred thousand mutated messages, compared with an independent model; `make soak` runs a million."""

from __future__ import annotations

from pathlib import Path

from tests.wire.fuzz import run


def test_no_mutated_message_is_lost_or_raises(tmp_path: Path) -> None:
    totals = run(100_000, 12, tmp_path)

    assert all(totals[name] > 500 for name in ("rows", "rejected", "heartbeats", "control"))

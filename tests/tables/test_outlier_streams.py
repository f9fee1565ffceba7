"""Random streams with timestamps far ahead: a store and a capture, which sees all rows at once, agree on `latest`."""

from __future__ import annotations

from random import Random

import numpy as np
import pyarrow as pa
import pytest

from fxlive.capture.reading.latest import newest_rows, without_covered, without_ended
from fxlive.tables.store import Store
from fxlive.wire.channels import CHANNELS
from fxlive.wire.protocol import decode
from tests.sessions.test_closings import position, trade

SECOND = 1_000_000
JUMPS_S = (0, 0, 0, 0, -90, -400, 70, 300, 900, 18_000)
"""Small enough that the time reaches most of them."""


def stream(seed: int, length: int = 120) -> list[tuple[int, list[bytes]]]:
    """Return batches of positions and trades of a few tickets, each with its receipt in seconds."""
    rng = Random(seed)
    batches: list[tuple[int, list[bytes]]] = []
    now = jump = left = 0
    for _ in range(length):
        now += rng.choice([0, 1, 5, 30] if seed % 2 else [0, 1])
        frames = []
        for _ in range(rng.choice([1, 1, 1, 4])):
            if not left:
                jump, left = rng.choice(JUMPS_S), rng.choice([1, 1, 2, 3, 4, 6])
            left -= 1
            ticket, at_s = rng.randrange(1, 5), max(0, now + jump) + rng.random()
            if rng.random() < 0.2:
                frames.append(trade(rng.choice([0.1, 0.2]), max(0, now) + 0.5, "CLOSED", ticket=ticket))
            else:
                frames.append(position(rng.choice([0.1, 0.2, 0.3, 0.0]), at_s, ticket=ticket))
        batches.append((now, frames))
    return batches


def latest_of_all_rows(store: Store) -> list[tuple[int, float]]:
    """Return ticket and volume of the rows that a capture of these messages has as its `latest`."""
    positions, trades = (store.tables[name].frame() for name in ("positions", "trades"))
    stamps, receipts = positions.index, positions["received_at"]
    rows = pa.table(
        {
            "timestamp": pa.array(stamps.asi8, pa.int64()).cast(pa.timestamp("us", "UTC")),
            "received_at": pa.array(receipts.astype(np.int64), pa.int64()).cast(pa.timestamp("us", "UTC")),
            "ticket": pa.array(positions["ticket"].to_numpy()),
        }
    )
    newest = positions.iloc[newest_rows(rows, CHANNELS["positions"])]
    newest = without_covered(without_ended(newest, CHANNELS["positions"]), trades)
    return sorted(zip(newest["ticket"].tolist(), newest["volume"].tolist(), strict=True))


@pytest.mark.parametrize("seed", range(40))
def test_latest_is_at_any_time_that_of_all_rows_at_once(seed: int) -> None:
    store = Store()
    for number, (now, frames) in enumerate(stream(seed)):
        store.add(decode(frames, now * SECOND))
        if number % 8 != 7:
            continue
        latest = store.tables["positions"].latest()
        found = sorted(zip(latest.index.tolist(), latest["volume"].tolist(), strict=True))
        assert found == latest_of_all_rows(store)

"""The hand-over of a recording from a session to the one that replaces it."""

from __future__ import annotations

from collections.abc import Iterable

from fxlive.pipeline.pipeline import Pipeline, Recording
from fxlive.wire.batch import Batch

MAX_PENDING_ROWS = 1_000_000


class PendingRecording:
    """Keeps batches and gaps in memory until the former session's recording has ended, then passes them on.

    For a moment both sessions are connected and receive the same messages. Those that the former session has received
    are in its capture, so they are left out: captures that are read as one hold each message once.
    """

    def __init__(self) -> None:
        self._batches: list[Batch] = []
        self._gaps: list[tuple[int, int | None, str, tuple[str, ...]]] = []
        self._rows = 0

    def put(self, batch: Batch) -> None:
        """Keep a batch; beyond a million rows the oldest are dropped, which the former session records."""
        self._batches.append(batch)
        self._rows += _count(batch)
        while self._rows > MAX_PENDING_ROWS and len(self._batches) > 1:
            self._rows -= _count(self._batches.pop(0))

    def gap(self, start_us: int, end_us: int | None, reason: str, channels: Iterable[str]) -> None:
        """Keep a gap."""
        self._gaps.append((start_us, end_us, reason, tuple(channels)))

    def pass_on(self, recording: Recording, former: Pipeline) -> None:
        """Record everything that was kept, except for messages that the former session has received."""
        for gap in self._gaps:
            recording.gap(*gap)
        for batch in self._batches:
            recording.put(former.not_received(batch))
        self._batches.clear()


def _count(batch: Batch) -> int:
    return sum(map(len, batch.rows.values()))

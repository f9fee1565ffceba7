"""The state of a recording at one moment, and the rate at which it writes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fxlive.core.shown_text import counted, printable
from fxlive.core.world import World

RATE_PERIOD_S = 10.0

RecordingState = Literal["recording", "stalled", "stopped"]


@dataclass(frozen=True)
class RecordingStatus:
    """The state of a recording and its counters.

    Attributes
    ----------
    path
        The capture's folder.
    state
        ``"recording"``; ``"stalled"`` while the disk does not accept data, which `error` explains; or ``"stopped"``.
        Rows that have been written stay readable in every state.
    rows, bytes
        The rows on disk, and the size of the files that hold them.
    rows_per_s
        The rate at which rows were written in the last ten seconds; 0 once the recording has stopped.
    waiting
        The rows that have been received and are not on disk yet.
    dropped
        The rows that are lost, because the disk failed for too long or was too slow.
    disk_free_bytes
        The free space on the disk; None if it cannot be determined.
    error
        The reason why the recording is stalled, or the last error of a stopped one, or which file has vanished; None if
        there was no error.
    vanished
        The rows that were on disk and whose files another process has deleted or changed since.
    """

    path: Path
    state: RecordingState
    rows: int
    bytes: int
    rows_per_s: float
    waiting: int
    dropped: int
    disk_free_bytes: int | None
    error: str | None
    vanished: int = 0

    def __str__(self) -> str:
        parts = [counted(self.rows, "row"), f"{self.bytes / 1e6:,.1f} MB", f"{self.rows_per_s:,.0f} rows/s"]
        parts += [f"{counted(self.dropped, 'row')} lost"] if self.dropped else []
        parts += [f"{counted(self.vanished, 'row')} vanished"] if self.vanished else []
        parts += [f"{self.disk_free_bytes / 1e9:,.1f} GB left"] if self.disk_free_bytes is not None else []
        parts += [self.error] if self.error else []
        return printable(f"{self.state}: {', '.join(parts)} in {self.path}")


class RowRate:
    """Measures how many rows were written per second in the last ten seconds."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._samples: deque[tuple[float, int]] = deque([(world.monotonic_s(), 0)])

    def add(self, rows: int) -> None:
        """Note how many rows have been written so far."""
        now = self._world.monotonic_s()
        self._samples.append((now, rows))
        while len(self._samples) > 2 and self._samples[0][0] < now - RATE_PERIOD_S:
            self._samples.popleft()

    def per_s(self, rows: int) -> float:
        """Return the rate, given how many rows have been written so far."""
        since, before = self._samples[0]
        return (rows - before) / max(self._world.monotonic_s() - since, 1e-3)


def error_text(error: Exception) -> str:
    """Return an error's message: the system's text for an OSError, otherwise the type and the message."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}"

"""What waits to be written: a queue that takes rows at next to no cost, and never holds more than its bounds.

Rows count from the moment they are put in until they are on disk, so the bounds hold for the recorder as a whole. Rows
that find no room are dropped and counted; what has been dropped since somebody asked is a `Hole`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from fxlive.capture.format.chunk import Chunk, Hole

MANY_ROWS = 250_000
MANY_BYTES = 64 * 2**20


class Inbox:
    """The bounded queue.

    Parameters
    ----------
    max_rows, max_bytes
        How much may wait, the bytes being an estimate of what the rows take in memory.
    on_many
        Called when many rows have come since the last `take`: as Arrow columns they take a third of the memory.
    """

    def __init__(self, max_rows: int, max_bytes: int, on_many: Callable[[], None] = lambda: None) -> None:
        self.dropped = 0
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._on_many = on_many
        self._lock = threading.Lock()
        self._chunks: list[Chunk] = []
        self._rows = self._bytes = self._fresh_rows = self._fresh_bytes = 0
        self._hole: Hole | None = None

    @property
    def waiting_rows(self) -> int:
        """How many rows are not on disk yet."""
        return self._rows

    def put(self, chunk: Chunk, *, reserve: int = 0) -> bool:
        """Add rows, and return whether there was room; a `reserve` of rows and kilobytes is open to what matters most.

        Never blocks: the lock is only ever held for a few assignments.
        """
        count = len(chunk)
        with self._lock:
            rows, size = self._rows + count, self._bytes + chunk.size_bytes
            if rows > self._max_rows + reserve or size > self._max_bytes + reserve * 1024:
                self._drop(chunk, count)
                return False
            self._rows, self._bytes = rows, size
            self._fresh_rows += count
            self._fresh_bytes += chunk.size_bytes
            self._chunks.append(chunk)
            many = self._fresh_rows > MANY_ROWS or self._fresh_bytes > MANY_BYTES
        if many:
            self._on_many()
        return True

    def _drop(self, chunk: Chunk, count: int) -> None:
        first, last = int(chunk.received_at[0]), int(chunk.received_at[-1])
        if self._hole is None:
            self._hole = Hole(first, last)
        self._hole.end = max(self._hole.end, last)
        self._hole.rows += count
        self._hole.channels.add(chunk.channel.name)
        self.dropped += count

    def take(self) -> list[Chunk]:
        """Return what has come since the last call; it counts as waiting until it is `written`."""
        with self._lock:
            chunks, self._chunks = self._chunks, []
            self._fresh_rows = self._fresh_bytes = 0
        return chunks

    def take_hole(self) -> Hole | None:
        """Return what has been dropped since the last call."""
        with self._lock:
            hole, self._hole = self._hole, None
        return hole

    def written(self, rows: int, size_bytes: int) -> None:
        """Make room: so much is on disk."""
        with self._lock:
            self._rows -= rows
            self._bytes -= size_bytes

"""The bounded queue between the feed and the recorder's thread.

Rows count from the moment they are put into the queue until they are on disk, so the bounds hold for all rows in
memory. Rows that do not fit are dropped and counted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from fxlive.capture.format.chunk import Chunk, DroppedRows

BACKLOG_ROWS = 250_000
BACKLOG_BYTES = 64 * 2**20


class WriteQueue:
    """Rows that wait to be written.

    Parameters
    ----------
    max_rows, max_bytes
        The bounds. The bytes are an estimate of the memory that the rows take.
    on_backlog
        Called when many rows have arrived since the last `take`. Converted to Arrow columns they take a third of the
        memory, so it pays to convert them early.
    """

    def __init__(self, max_rows: int, max_bytes: int, on_backlog: Callable[[], None] = lambda: None) -> None:
        self.dropped = 0
        """The number of rows that were dropped so far."""
        self.max_rows = max_rows
        self.max_bytes = max_bytes
        self._on_backlog = on_backlog
        self._lock = threading.Lock()
        self._chunks: list[Chunk] = []
        self._rows = self._bytes = self._new_rows = self._new_bytes = 0
        self._dropped_rows: DroppedRows | None = None

    @property
    def waiting_rows(self) -> int:
        """The number of rows that are not on disk yet."""
        return self._rows

    @property
    def waiting_bytes(self) -> int:
        """The estimated memory of these rows."""
        return self._bytes

    def put(self, chunk: Chunk, *, reserve: int = 0) -> bool:
        """Add rows, and return whether they fit; otherwise they are dropped. Never waits for the disk.

        Parameters
        ----------
        chunk
            The rows.
        reserve
            How far the rows may exceed the bounds, in rows and in kilobytes. For rows that must not be dropped.
        """
        count = len(chunk)
        with self._lock:
            rows, size = self._rows + count, self._bytes + chunk.size_bytes
            if rows > self.max_rows + reserve or size > self.max_bytes + reserve * 1024:
                self._drop(chunk, count)
                return False
            self._rows, self._bytes = rows, size
            self._new_rows += count
            self._new_bytes += chunk.size_bytes
            self._chunks.append(chunk)
            backlog = self._new_rows > BACKLOG_ROWS or self._new_bytes > BACKLOG_BYTES
        if backlog:
            self._on_backlog()
        return True

    def _drop(self, chunk: Chunk, count: int) -> None:
        first, last = int(chunk.received_at[0]), int(chunk.received_at[-1])
        if self._dropped_rows is None:
            self._dropped_rows = DroppedRows(first, last)
        self._dropped_rows.end = max(self._dropped_rows.end, last)
        self._dropped_rows.rows += count
        self._dropped_rows.channels.add(chunk.channel.name)
        self.dropped += count

    def take(self) -> list[Chunk]:
        """Return the rows that were added since the last call. They count as waiting until `release` is called."""
        with self._lock:
            chunks, self._chunks = self._chunks, []
            self._new_rows = self._new_bytes = 0
        return chunks

    def take_dropped(self) -> DroppedRows | None:
        """Return which rows were dropped since the last call; None if none were."""
        with self._lock:
            dropped, self._dropped_rows = self._dropped_rows, None
        return dropped

    def release(self, rows: int, size_bytes: int) -> None:
        """Make room for other rows, because these are on disk or no longer needed in memory."""
        with self._lock:
            self._rows -= rows
            self._bytes -= size_bytes

"""The writer of one channel: rows that wait for the disk, and the parts that are on it."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from errno import ENOENT
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from fxlive.capture.format.chunk import Chunk
from fxlive.capture.format.disk import Disk
from fxlive.capture.format.layout import (
    MAX_MERGED_ROWS,
    SINGLE_PART_ROWS,
    Part,
    channel_folder,
    date_folder,
    next_merge,
    part_name,
)
from fxlive.capture.format.notes import as_rejections
from fxlive.capture.format.schema import split_by_date, table
from fxlive.capture.writing import parts
from fxlive.wire.batch import Rejection
from fxlive.wire.channels import Channel

MAX_ROWS_AT_ONCE = 2**20
ROWS_ENCODED_AT_ONCE = 100_000
_FINAL_LEVEL, _INTERIM_LEVEL = 9, 3  # zstd levels of parts that stay, and of parts that will soon be merged again


@dataclass
class _WrittenPart:
    """A part on disk that counts, the number of merges behind it, its size, and its stamp and end (see `Disk`)."""

    part: Part
    level: int
    size_bytes: int
    stamp: tuple[int, int] | None
    end: bytes | None
    vanished: bool = False


@dataclass
class _EncodedRows:
    """An Arrow table of rows received on one date, ready to be written, and the size that the queue counts for it."""

    rows: Any
    date: str
    size_bytes: int


class ChannelWriter:
    """Encodes, writes and merges the rows of one channel.

    Parameters
    ----------
    channel
        The channel.
    disk
        The capture's files.
    """

    def __init__(self, channel: Channel, disk: Disk) -> None:
        self.channel = channel
        self.folder = channel_folder(channel)
        self.rows = 0
        self.first_received_at: int | None = None
        self.last_received_at: int | None = None
        self._disk = disk
        self._encoded: deque[_EncodedRows] = deque()
        self._parts: dict[str, list[_WrittenPart]] = {}  # by date
        self._replaced: list[Path] = []
        self._damaged_dates: set[str] = set()
        self._incomplete_dates: set[str] = set()  # a part of theirs has vanished
        self._merged_dates: set[str] = set()
        self._merging_date: str | None = None

    # Writing.

    @property
    def waiting_bytes(self) -> int:
        """The size of the rows that are encoded and not on disk yet, as the queue counts it."""
        return sum(encoded.size_bytes for encoded in self._encoded)

    def add(self, chunks: Sequence[Chunk]) -> list[Rejection]:
        """Encode rows for `write`; return the rows that cannot be encoded, which no decoder should produce.

        Few rows are encoded at a time, because the feed has to wait while Python objects are read.
        """
        rejections: list[Rejection] = []
        pending: list[Chunk] = []
        rows = 0
        for chunk in chunks:
            pending.append(chunk)
            rows += len(chunk)
            if rows >= ROWS_ENCODED_AT_ONCE:
                rejections += self._encode(pending)
                pending, rows = [], 0
        return rejections + self._encode(pending) if pending else rejections

    def _encode(self, chunks: Sequence[Chunk]) -> list[Rejection]:
        try:
            dates = split_by_date(table(self.channel, chunks))
        except Exception as error:
            return self._encode_halves(chunks, error)
        self._encoded += [_EncodedRows(rows, date_folder(day), rows.nbytes) for day, rows in dates]
        return []

    def _encode_halves(self, chunks: Sequence[Chunk], error: Exception) -> list[Rejection]:
        """Bisect rows that cannot be encoded together, so that only the invalid ones are rejected."""
        if len(chunks) > 1:
            half = len(chunks) // 2
            return self._encode(chunks[:half]) + self._encode(chunks[half:])
        [rows] = chunks
        if len(rows) > 1:
            half = len(rows) // 2
            return self._encode([rows.slice(0, half)]) + self._encode([rows.slice(half, len(rows))])
        return as_rejections(rows, f"could not be recorded: {type(error).__name__}: {error}")

    def write(self) -> Iterator[tuple[int, int]]:
        """Write the encoded rows; after each part, yield its number of rows and the size that the queue counted.

        Raises
        ------
        OSError
            If a part cannot be written. Its rows are kept for the next call.
        """
        while self._encoded:
            first = self._encoded[0]
            group, rows = [first], len(first.rows)
            for encoded in list(self._encoded)[1:]:
                if encoded.date != first.date or rows + len(encoded.rows) > MAX_ROWS_AT_ONCE:
                    break
                group.append(encoded)
                rows += len(encoded.rows)
            merged = first.rows
            if len(group) > 1:
                merged = pa.concat_tables([encoded.rows for encoded in group]).unify_dictionaries()
            file = self._file(first.date, self.rows, self.rows + rows)
            try:
                size = self._disk.publish(file, partial(parts.write, merged))
            except OSError:
                self._disk.remove(file)  # the error may have come after the rename, and the rows are written again
                raise
            part = Part(file, self.folder, first.date.removeprefix("date="), self.rows, self.rows + rows)
            self._parts.setdefault(first.date, []).append(self._written(part, 0, size))
            self._note_received(merged.column("received_at"))
            self.rows += rows
            for _ in group:
                self._encoded.popleft()
            yield rows, sum(encoded.size_bytes for encoded in group)

    def _file(self, date: str, start: int, stop: int) -> Path:
        return self._disk.capture / self.folder / date / part_name(start, stop)

    def _note_received(self, received: Any) -> None:
        micros = received.cast(pa.int64())
        if self.first_received_at is None:
            self.first_received_at = micros[0].as_py()
        self.last_received_at = micros[-1].as_py()

    @property
    def size_bytes(self) -> int:
        """The size of the parts that count."""
        return sum(w.size_bytes for written_parts in self._parts.values() for w in written_parts if not w.vanished)

    def vanished(self) -> list[Part]:
        """Return the parts that another process has deleted or changed and not brought back; they are not merged.

        The parts of a date that is being merged are as before: the merge may have their rows already.
        """
        for date, written_parts in self._parts.items():
            if date == self._merging_date:
                continue
            for written in written_parts:
                written.vanished = not self._is_unchanged(written)
            if any(written.vanished for written in written_parts):
                self._incomplete_dates.add(date)
            else:
                self._incomplete_dates.discard(date)
        return [w.part for written_parts in self._parts.values() for w in written_parts if w.vanished]

    def _written(self, part: Part, level: int, size_bytes: int) -> _WrittenPart:
        return _WrittenPart(part, level, size_bytes, self._disk.stamp(part.file), self._disk.end(part.file))

    def _is_unchanged(self, written: _WrittenPart) -> bool:
        """Return whether a part is as it was written; its time alone may have been set."""
        file = written.part.file
        stamp = self._disk.stamp(file)
        if stamp is None or written.stamp is None:  # it may have been deleted before its stamp was taken
            return False
        if stamp == written.stamp:
            return True
        if stamp[0] != written.stamp[0]:
            return False
        if written.end is None or self._disk.end(file) != written.end:
            return False
        written.stamp = stamp
        return True

    # Merging.

    def merge(self, *, closed: bool, thorough: bool) -> Generator[None, None, None] | None:
        """Begin the next merge and return it as a generator that does one step at a time; None if there is none.

        Parameters
        ----------
        closed
            Whether the recording has ended, so that all dates are complete. Otherwise all but the last are.
        thorough
            Whether large parts of the last date are compressed as well as those of a complete date, which takes four
            times as long.
        """
        for date, written_parts in list(self._parts.items()):
            if date in self._damaged_dates | self._incomplete_dates or (date in self._merged_dates and not closed):
                continue
            complete = closed or date != next(reversed(self._parts))
            starts = [written.part.start for written in written_parts]
            stops = [written.part.stop for written in written_parts]
            which = next_merge(starts, stops, [written.level for written in written_parts], closed=complete)
            if which is not None:
                rows = stops[which.stop - 1] - starts[which.start]
                final = rows <= MAX_MERGED_ROWS if complete else rows >= SINGLE_PART_ROWS and thorough
                return self._merge(date, which, _FINAL_LEVEL if final else _INTERIM_LEVEL)
            if complete:
                self._merged_dates.add(date)
        return None

    def _merge(self, date: str, which: slice, level: int) -> Generator[None, None, None]:
        sources = self._parts[date][which]
        start, stop = sources[0].part.start, sources[-1].part.stop
        target = self._file(date, start, stop)
        self._merging_date = date
        try:
            if not all(map(self._is_unchanged, sources)):
                raise OSError(ENOENT, "a part was deleted or changed")
            files = [written.part.file for written in sources]
            for size in parts.merge(files, target, self._disk, level=level, rows=stop - start):
                if size is not None:
                    # New parts may have been appended in the meantime, so the indices are still valid.
                    merged = Part(target, self.folder, date.removeprefix("date="), start, stop)
                    merges = 1 + max(written.level for written in sources)
                    self._parts[date][which] = [self._written(merged, merges, size)]
                    self._replaced += [written.part.file for written in sources if written.part.file != target]
                yield
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno == ENOENT:
                self._incomplete_dates.add(date)  # a part was deleted: leave the others as they are until it is back
            elif not isinstance(error, OSError) or error.errno is None:
                self._damaged_dates.add(date)
            raise
        finally:
            self._merging_date = None
        self.remove_replaced()

    def remove_replaced(self) -> None:
        """Delete the parts that merged ones have replaced, including those that could not be deleted before."""
        self._replaced = [file for file in self._replaced if not self._disk.remove(file)]

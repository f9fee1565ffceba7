"""One channel of a capture that is being recorded: its rows that are not on disk yet, and its parts that are."""

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
    LARGE_ROWS,
    WHOLE_ROWS,
    Part,
    channel_folder,
    date_folder,
    next_merge,
    part_name,
)
from fxlive.capture.format.notes import refused
from fxlive.capture.format.schema import by_date, table
from fxlive.capture.writing import parts
from fxlive.wire.batch import Rejection
from fxlive.wire.channels import Channel

MAX_ROWS_AT_ONCE = 2**20
ROWS_ENCODED_AT_ONCE = 100_000
_FINAL, _PASSING = 9, 3  # zstd levels: of parts that stay, and of those that are soon merged again


@dataclass
class _Live:
    """A part that counts: how often its rows were merged, and its size."""

    part: Part
    level: int
    size_bytes: int


@dataclass
class _Waiting:
    """Rows received on one date, ready to be written, with the bytes that they take and count in the inbox."""

    rows: Any
    date: str
    size_bytes: int


class ChannelWriter:
    """Writes one channel.

    Parameters
    ----------
    channel
        What its rows hold.
    disk
        Where they go.
    """

    def __init__(self, channel: Channel, disk: Disk) -> None:
        self.channel = channel
        self.folder = channel_folder(channel)
        self.rows = 0
        self.first_received_at: int | None = None
        self.last_received_at: int | None = None
        self._disk = disk
        self._waiting: deque[_Waiting] = deque()
        self._live: dict[str, list[_Live]] = {}
        self._replaced: list[Path] = []
        self._damaged: set[str] = set()
        self._settled: set[str] = set()

    # Writing.

    @property
    def waiting_bytes(self) -> int:
        """What the rows that are ready, and not on disk yet, count in the inbox."""
        return sum(waiting.size_bytes for waiting in self._waiting)

    def add(self, chunks: Sequence[Chunk]) -> list[Rejection]:
        """Make rows ready for `write`; return those that are not of the file's kind, which no decoder should let by.

        A few at a time, because the feed waits while Python's values are read.
        """
        misfits: list[Rejection] = []
        some: list[Chunk] = []
        rows = 0
        for chunk in chunks:
            some.append(chunk)
            rows += len(chunk)
            if rows >= ROWS_ENCODED_AT_ONCE:
                misfits += self._add(some)
                some, rows = [], 0
        return misfits + self._add(some) if some else misfits

    def _add(self, chunks: Sequence[Chunk]) -> list[Rejection]:
        try:
            made = by_date(table(self.channel, chunks))
        except Exception as error:
            return self._add_halves(chunks, error)
        self._waiting += [_Waiting(rows, date_folder(day), rows.nbytes) for day, rows in made]
        return []

    def _add_halves(self, chunks: Sequence[Chunk], error: Exception) -> list[Rejection]:
        if len(chunks) > 1:
            half = len(chunks) // 2
            return self._add(chunks[:half]) + self._add(chunks[half:])
        [rows] = chunks
        if len(rows) > 1:
            half = len(rows) // 2
            return self._add([rows.part(0, half)]) + self._add([rows.part(half, len(rows))])
        return refused(rows, f"could not be recorded: {type(error).__name__}: {error}")

    def write(self) -> Iterator[tuple[int, int]]:
        """Write what is ready; after each part, yield its rows and what they counted in the inbox.

        Raises
        ------
        OSError
            What is not written then stays ready.
        """
        while self._waiting:
            first = self._waiting[0]
            some, rows = [first], len(first.rows)
            for waiting in list(self._waiting)[1:]:
                if waiting.date != first.date or rows + len(waiting.rows) > MAX_ROWS_AT_ONCE:
                    break
                some.append(waiting)
                rows += len(waiting.rows)
            joined = first.rows
            if len(some) > 1:
                joined = pa.concat_tables([waiting.rows for waiting in some]).unify_dictionaries()
            file = self._file(first.date, self.rows, self.rows + rows)
            try:
                size = self._disk.publish(file, partial(parts.write, joined))
            except OSError:
                self._disk.remove(file)  # it may have failed after it had its name; the rows are still here
                raise
            self._note(Part(file, self.folder, first.date.removeprefix("date="), self.rows, self.rows + rows), size)
            self._note_received(joined.column("received_at"))
            self.rows += rows
            for _ in some:
                self._waiting.popleft()
            yield rows, sum(waiting.size_bytes for waiting in some)

    def _file(self, date: str, start: int, stop: int) -> Path:
        return self._disk.capture / self.folder / date / part_name(start, stop)

    def _note(self, part: Part, size_bytes: int) -> None:
        self._live.setdefault(f"date={part.date}", []).append(_Live(part, 0, size_bytes))

    def _note_received(self, received: Any) -> None:
        micros = received.cast(pa.int64())
        if self.first_received_at is None:
            self.first_received_at = micros[0].as_py()
        self.last_received_at = micros[-1].as_py()

    @property
    def size_bytes(self) -> int:
        """The size of the parts that count."""
        return sum(live.size_bytes for lives in self._live.values() for live in lives)

    # Merging.

    def merge(self, *, closed: bool, thorough: bool) -> Generator[None, None, None] | None:
        """Return a merge to be done now, one step at each `next`; None where there is none.

        Dates before the last are over, as all are where the recording is `closed`. Of a `thorough` merge the large
        parts are as small as those of a date that is over; it takes four times as long.
        """
        for date, lives in list(self._live.items()):
            if date in self._damaged or (date in self._settled and not closed):
                continue
            over = closed or date != next(reversed(self._live))
            starts, stops = [live.part.start for live in lives], [live.part.stop for live in lives]
            which = next_merge(starts, stops, [live.level for live in lives], closed=over)
            if which is not None:
                rows = stops[which.stop - 1] - starts[which.start]
                stays = rows <= LARGE_ROWS if over else rows >= WHOLE_ROWS and thorough
                return self._merge(date, which, _FINAL if stays else _PASSING)
            if over:
                self._settled.add(date)
        return None

    def _merge(self, date: str, which: slice, level: int) -> Generator[None, None, None]:
        old = self._live[date][which]
        start, stop = old[0].part.start, old[-1].part.stop
        target = self._file(date, start, stop)
        try:
            for size in parts.merge([live.part.file for live in old], target, self._disk, level=level):
                if size is not None:
                    # New parts may have come meanwhile, behind these.
                    merged = Part(target, self.folder, date.removeprefix("date="), start, stop)
                    self._live[date][which] = [_Live(merged, 1 + max(live.level for live in old), size)]
                    self._replaced += [live.part.file for live in old if live.part.file != target]
                yield
        except (pa.ArrowException, OSError) as error:
            if not isinstance(error, OSError) or error.errno in (None, ENOENT):
                self._damaged.add(date)  # somebody damaged or took a part: leave what there is as it is
            raise
        self.remove_replaced()

    def remove_replaced(self) -> None:
        """Remove the parts that merged ones have replaced, also those that could not be removed before."""
        self._replaced = [file for file in self._replaced if not self._disk.remove(file)]

"""Reading the rows of one channel: only the columns, row groups and rows that are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from fxlive.capture.format.schema import TIME, schema
from fxlive.capture.reading.folder import Folder, unreadable
from fxlive.capture.reading.part_file import FORMAT, PartFile
from fxlive.errors import CaptureError
from fxlive.wire.channels import Channel
from fxlive.wire.undocumented import EXTRA

T = TypeVar("T")

_MERGED_MEANWHILE = 20  # how often a recorder may take a part away before it is read


class Recorded:
    """The rows of one channel in one capture or several, in the order of arrival.

    Parameters
    ----------
    channel
        The channel.
    folders
        The captures, by their beginnings.
    until_us
        Only what was received up to this moment; None: all.
    """

    def __init__(self, channel: Channel, folders: Sequence[Folder], until_us: int | None = None) -> None:
        self.channel = channel
        self.until_us = until_us
        self.folders = folders
        self._until = received_until(until_us)

    def part_files(self) -> list[PartFile]:
        """Return the parts that can be read now."""
        return list(self._again(lambda part_files: part_files))

    def dataset(self) -> Any:
        """Return the rows as an Arrow dataset."""
        made = self._dataset(_fragments(self.part_files()))
        return made if self._until is None else made.filter(self._until)

    def table(self, *, where: Any = None, columns: Sequence[str] | None = None) -> Any:
        """Return rows as an Arrow table, without `extra` where no row has undocumented fields.

        Parameters
        ----------
        where
            An Arrow expression, pushed down: what the footers exclude is not read.
        columns
            Only these.
        """
        condition = self._until if where is None else where if self._until is None else where & self._until

        def read(part_files: list[PartFile]) -> Any:
            names = list(columns or self._columns(part_files))
            return self._dataset(_fragments(part_files)).to_table(columns=names, filter=condition)

        return self._again(read)

    def made(self, make: Callable[[Iterable[Any], int], Any], *, where: Any = None, last: int | None = None) -> Any:
        """Return what is made of the rows, given their Arrow batches one after the other, and their number.

        Parameters
        ----------
        make
            Makes it; called anew where files changed meanwhile.
        where
            An Arrow expression, pushed down.
        last
            At least the last so many rows; those before them are not read where there is no condition.
        """
        if where is not None or self._until is not None:
            rows = self.table(where=where)
            return make(rows.to_batches(), len(rows))

        def read(part_files: list[PartFile]) -> Any:
            some = _fragments(part_files) if last is None else _tail(part_files, last)
            count = sum(fragment.count_rows() for fragment in some)
            return make(self._dataset(some).to_batches(columns=self._columns(part_files)), count)

        return self._again(read)

    def _columns(self, part_files: Sequence[PartFile]) -> list[str]:
        names = self._names()
        return [*names, EXTRA] if any(part_file.has_extra for part_file in part_files) else names

    def _names(self) -> list[str]:
        return ["timestamp", "received_at", *(column.name for column in self.channel.columns)]

    def rows(self, columns: Sequence[str], choose: Any) -> Any:
        """Return some rows as an Arrow table: `choose` takes a table of these columns, and gives the places it wants.

        Only the row groups in which a wanted row lies are read once more, with all columns.
        """

        def read(part_files: list[PartFile]) -> Any:
            scanned = self._dataset(_fragments(part_files)).to_table(columns=[*columns, "received_at"])
            if self._until is not None:
                kept = pc.indices_nonzero(_mask(scanned, self._until))
                places = kept.to_numpy()[choose(scanned.take(kept))]
            else:
                places = choose(scanned)
            return self._taken(part_files, np.asarray(places, np.int64))

        return self._again(read)

    def _taken(self, part_files: list[PartFile], places: Any) -> Any:
        sizes = np.array(
            [part_file.rows_of(group) for part_file in part_files for group in range(part_file.groups)], np.int64
        )
        ends = np.cumsum(sizes)
        of = np.searchsorted(ends, places, side="right")
        wanted = np.unique(of)
        shift = np.zeros(len(sizes), np.int64)  # by how much a group's rows lie further ahead among those that are read
        shift[wanted] = (ends - sizes)[wanted] - np.concatenate([[0], np.cumsum(sizes[wanted])[:-1]])
        some, number, chosen = [], 0, set(wanted.tolist())
        for part_file in part_files:
            groups = [group for group in range(part_file.groups) if number + group in chosen]
            number += part_file.groups
            if groups:
                some.append(part_file.fragment.subset(row_group_ids=groups))
        return self._dataset(some).to_table(columns=self._columns(part_files)).take(places - shift[of])

    def tables(self, max_rows: int) -> Iterator[Any]:
        """Yield the rows as Arrow tables of about so many rows, one without any where there are none."""
        held = [schema(self.channel).empty_table().select(columns := [*self._names(), EXTRA])]
        yielded = False
        for folder in self.folders:
            for batch in batches(folder, self.channel, columns, max_rows):
                some = pa.Table.from_batches([batch])
                held.append(some if self._until is None else some.filter(_mask(some, self._until)))
                if sum(map(len, held)) >= max_rows:
                    yield pa.concat_tables(held)
                    held, yielded = [], True
        if held or not yielded:
            yield pa.concat_tables(held)

    def _dataset(self, fragments: Sequence[Any]) -> Any:
        return ds.FileSystemDataset(fragments, schema(self.channel), FORMAT, self.folders[0].files.filesystem)

    def _again(self, read: Any) -> Any:
        """Read; look anew where a recorder merged parts meanwhile, and leave out what turns out to be damaged."""
        failed = False
        for _ in range(_MERGED_MEANWHILE):
            try:
                found = [(folder, folder.part_files(self.channel)) for folder in self.folders]
                self._tell_of_overlaps([(folder, part_files) for folder, part_files in found if part_files])
                return read([part_file for _, part_files in found for part_file in part_files])
            except FileNotFoundError:
                for folder in self.folders:
                    folder.look_anew()
            except (OSError, pa.ArrowException) as error:
                if not self._leave_out_damaged() and failed:
                    raise unreadable(self.channel.name, error) from error
                failed = True
        raise CaptureError(f"The parts of {self.channel.name} changed each time they were to be read. Try once more.")

    def _tell_of_overlaps(self, found: list[tuple[Folder, list[PartFile]]]) -> None:
        for (former, some), (following, others) in pairwise(found):
            if others[0].span("received_at")[0] < some[-1].span("received_at")[1]:
                what = f"was recorded at the same time as {former.name}, and both hold {self.channel.name}: "
                following.tell(following.path, what + "their rows stand one after the other, and may be there twice.")

    def _leave_out_damaged(self) -> bool:
        found = False
        for folder in self.folders:
            for part_file in folder.part_files(self.channel):
                try:
                    for _ in self._dataset([part_file.fragment]).to_batches():
                        pass
                except FileNotFoundError:
                    return True
                except (OSError, pa.ArrowException) as error:
                    found = folder.doubt(part_file.part, self.channel, error) or found
        return found


def _fragments(part_files: Sequence[PartFile]) -> list[Any]:
    return [part_file.fragment for part_file in part_files]


def part_files_of(folder: Folder, channel: Channel) -> list[PartFile]:
    """Return the parts of one capture that can be read now, whatever a recorder does meanwhile."""
    return Recorded(channel, [folder]).part_files()


def while_merging(folders: Sequence[Folder], read: Callable[[], T], *errors: type[Exception]) -> T:
    """Return what another tool reads of captures' files, tried anew where parts were merged before it had opened them.

    Parameters
    ----------
    folders
        The captures.
    read
        Lists the parts, and reads.
    *errors
        What the tool raises where a file is gone.
    """
    for _ in range(_MERGED_MEANWHILE):
        known = [folder.parts() for folder in folders]
        try:
            return read()
        except errors:
            for folder in folders:
                folder.look_anew()
            if known == [folder.parts() for folder in folders]:
                raise
    return read()


def received_until(until_us: int | None) -> Any:
    """Return the condition that a row was received up to a moment; None where there is none."""
    return None if until_us is None else ds.field("received_at") <= pa.scalar(until_us, pa.int64()).cast(TIME)


def _mask(table: Any, condition: Any) -> Any:
    return ds.dataset(table).to_table(columns={"kept": condition}).column("kept")


def _tail(part_files: Sequence[PartFile], last: int) -> list[Any]:
    """Return the row groups at the end that hold at least the last so many rows."""
    some: list[Any] = []
    for part_file in reversed(part_files):
        if last <= 0:
            break
        groups: list[int] = []
        for group in reversed(range(part_file.groups)):
            if last <= 0:
                break
            groups.append(group)
            last -= part_file.rows_of(group)
        some.append(part_file.fragment.subset(row_group_ids=groups[::-1]))
    return some[::-1]


def batches(
    folder: Folder, channel: Channel, columns: Sequence[str], max_rows: int, row: int = 0, stop: int | None = None
) -> Iterator[Any]:
    """Yield the rows of a channel of one capture from number `row` on as Arrow batches, up to number `stop`.

    Parts that are merged meanwhile are followed; of one that turns out to be damaged comes what lies before that.
    """
    failed_at = -1
    while part_file := next((p for p in part_files_of(folder, channel) if p.part.stop > row), None):
        if stop is not None and max(row, part_file.part.start) >= stop:
            return
        row = max(row, part_file.part.start)
        fragment, skip = _from(part_file, row - part_file.part.start)
        dataset = ds.FileSystemDataset([fragment], schema(channel), FORMAT, folder.files.filesystem)
        try:
            for batch in dataset.to_batches(columns=list(columns), batch_size=max_rows):
                dropped = min(skip, len(batch))
                skip -= dropped
                row += len(batch) - dropped
                if stop is not None and row >= stop:
                    yield batch.slice(dropped, len(batch) - dropped - (row - stop))
                    return
                if dropped < len(batch):
                    yield batch.slice(dropped)
        except FileNotFoundError:
            folder.look_anew()
        except (OSError, pa.ArrowException) as error:
            if not folder.doubt(part_file.part, channel, error) and failed_at == row:
                raise unreadable(part_file.part.file.as_posix(), error) from error
            failed_at = row


def _from(part_file: PartFile, row: int) -> tuple[Any, int]:
    """Return the row groups of a part that hold the rows from a place on, and how many of their rows come before."""
    group = 0
    while row >= part_file.rows_of(group):
        row -= part_file.rows_of(group)
        group += 1
    return part_file.fragment.subset(row_group_ids=list(range(group, part_file.groups))), row

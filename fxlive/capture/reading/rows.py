"""Reading the rows of one channel: only the columns, row groups and rows that are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from fxlive.capture.format.schema import TIME, schema
from fxlive.capture.reading.folder import Folder, unreadable
from fxlive.capture.reading.part_file import CAPTURE, FORMAT, PartFile
from fxlive.capture.reading.repeats import Repeats, but_repeats, find_repeats, schema_of_both
from fxlive.core.progress import Progress
from fxlive.errors import CaptureError
from fxlive.wire.channels import Channel
from fxlive.wire.undocumented.columns import EXTRA

T = TypeVar("T")


@dataclass(frozen=True)
class Found:
    """The parts of a channel that can be read, and the rows of them that are wanted.

    Attributes
    ----------
    by_folder
        The captures, each with its parts that can be read.
    repeats
        The rows that repeat a row of an earlier capture, by the path of their own.
    wanted
        The Arrow expression for the rows to read: no repeats, and received in time; None for all rows.
    """

    by_folder: list[tuple[Folder, list[PartFile]]]
    repeats: dict[str, Repeats]
    wanted: Any

    @property
    def part_files(self) -> list[PartFile]:
        """The parts of all captures."""
        return [part_file for _, part_files in self.by_folder for part_file in part_files]

    def repeats_of(self, folder: Folder) -> Repeats:
        """Return the repeated rows of a capture."""
        return self.repeats.get(folder.path, Repeats())

    @property
    def repeated_rows(self) -> int:
        """The number of repeated rows."""
        return sum(map(len, self.repeats.values()))


_ROWS_FOR_END = 100_000
_MAX_RETRIES = 20  # a recorder may merge and delete a part before it is opened, but hardly that often in a row


class ChannelReader:
    """Reads the rows of one channel from one or several captures, in the order of arrival.

    While a recorder is running it merges parts and deletes the old ones. Each method then lists the parts again and
    starts over. Parts that turn out to be damaged are left out and reported by their `Folder`.

    Parameters
    ----------
    channel
        The channel.
    folders
        The captures, sorted by start.
    until_us
        Leave out rows received after this time (microseconds); None: read all.
    """

    def __init__(self, channel: Channel, folders: Sequence[Folder], until_us: int | None = None) -> None:
        self.channel = channel
        self.until_us = until_us
        self.folders = folders
        self._until = received_until(until_us)

    def part_files(self) -> list[PartFile]:
        """Return the parts that can be read now."""
        return self.found().part_files

    def found(self) -> Found:
        """Return the parts that can be read now, and which of their rows are wanted."""
        found: Found = self._retry(lambda found: found)
        return found

    def dataset(self) -> Any:
        """Return the rows as an Arrow dataset, with the further column `capture` if captures share messages."""

        def whole(found: Found) -> Any:
            dataset = self._dataset(_fragments(found.part_files), with_capture=bool(found.repeats))
            return dataset if found.wanted is None else dataset.filter(found.wanted)

        return self._retry(whole)

    def table(self, *, where: Any = None, columns: Sequence[str] | None = None) -> Any:
        """Return rows as an Arrow table.

        Parameters
        ----------
        where
            An Arrow expression that selects rows. Row groups whose statistics exclude it are not read.
        columns
            The columns. Default: those of the channel, and `extra` if any row has undocumented fields.
        """

        def read(found: Found) -> Any:
            names = list(columns or self._columns(found.part_files))
            dataset = self._dataset(_fragments(found.part_files), with_capture=bool(found.repeats))
            return dataset.to_table(columns=names, filter=both(where, found.wanted))

        return self._retry(read)

    def build(self, make: Callable[[Iterable[Any], int], Any], *, where: Any = None, last: int | None = None) -> Any:
        """Return `make(batches, count)`, where `batches` yields the rows as Arrow batches and `count` is their number.

        Parameters
        ----------
        make
            Called again if files have changed while they were read.
        where
            An Arrow expression that selects rows. Row groups whose statistics exclude it are not read.
        last
            Read at least this number of rows from the end. Without `where` and `until_us`, earlier row groups are not
            read.
        """
        if where is not None or self.until_us is not None:
            rows = self.table(where=where)
            return make(rows.to_batches(), len(rows))

        def read(found: Found) -> Any:
            part_files = found.part_files
            fragments = _fragments(part_files) if last is None else _tail(part_files, last + found.repeated_rows)
            dataset = self._dataset(fragments, with_capture=bool(found.repeats))
            count = dataset.count_rows(filter=found.wanted)
            return make(dataset.to_batches(columns=self._columns(part_files), filter=found.wanted), count)

        return self._retry(read)

    def end_us(self) -> int | None:
        """Return the end of the channel's time by its last 100,000 rows, as `Progress`; None if there are no rows."""

        def read(found: Found) -> Any:
            fragments = _fragments(found.part_files)
            if self.until_us is None:
                fragments = _tail(found.part_files, _ROWS_FOR_END + found.repeated_rows)
            dataset = self._dataset(fragments, with_capture=bool(found.repeats))
            return dataset.to_table(columns=["timestamp", "received_at"], filter=found.wanted)

        rows = self._retry(read)
        rows = rows.slice(max(0, len(rows) - _ROWS_FOR_END))
        return followed(rows).end if len(rows) else None

    def _columns(self, part_files: Sequence[PartFile]) -> list[str]:
        names = self._names()
        return [*names, EXTRA] if any(part_file.has_extra for part_file in part_files) else names

    def _names(self) -> list[str]:
        return ["timestamp", "received_at", *(column.name for column in self.channel.columns)]

    def rows(self, columns: Sequence[str], choose: Callable[[Any], Any]) -> Any:
        """Return chosen rows with all columns, as an Arrow table.

        Only the row groups that contain a chosen row are read with all columns.

        Parameters
        ----------
        columns
            The columns that `choose` needs.
        choose
            Takes a table of these columns and `received_at`; returns the indices of the chosen rows.
        """

        def read(found: Found) -> Any:
            part_files, shared = found.part_files, bool(found.repeats)
            needed = [*columns, "received_at", *(("arrival", CAPTURE) if shared else ())]
            scanned = self._dataset(_fragments(part_files), with_capture=shared).to_table(columns=needed)
            if found.wanted is not None:
                wanted = pc.indices_nonzero(_mask(scanned, found.wanted))
                indices = wanted.to_numpy()[choose(scanned.take(wanted))]
            else:
                indices = choose(scanned)
            return self._take_rows(part_files, np.asarray(indices, np.int64))

        return self._retry(read)

    def _take_rows(self, part_files: list[PartFile], indices: Any) -> Any:
        sizes = [part_file.rows_of(group) for part_file in part_files for group in range(part_file.groups)]
        group_sizes = np.array(sizes, np.int64)
        ends = np.cumsum(group_sizes)
        group_of_row = np.searchsorted(ends, indices, side="right")
        groups_read = np.unique(group_of_row)
        # An index into all rows, less the shift of its group, is an index into the rows of the groups that are read.
        shift = np.zeros(len(group_sizes), np.int64)
        read_before = np.concatenate([[0], np.cumsum(group_sizes[groups_read])[:-1]])
        shift[groups_read] = (ends - group_sizes)[groups_read] - read_before
        fragments, first_group, chosen = [], 0, set(groups_read.tolist())
        for part_file in part_files:
            groups = [group for group in range(part_file.groups) if first_group + group in chosen]
            first_group += part_file.groups
            if groups:
                fragments.append(part_file.fragment.subset(row_group_ids=groups))
        rows = self._dataset(fragments).to_table(columns=self._columns(part_files))
        return rows.take(indices - shift[group_of_row])

    def tables(self, max_rows: int) -> Iterator[Any]:
        """Yield the rows as Arrow tables of about `max_rows` rows; if there are no rows, one empty table."""
        columns = [*self._names(), EXTRA]
        pending = [schema(self.channel).empty_table().select(columns)]
        yielded = False
        found = self.found()
        for folder, part_files in found.by_folder:
            stop = part_files[-1].part.stop if part_files else 0
            repeats = found.repeats_of(folder)
            for batch in read_batches(folder, self.channel, columns, max_rows, stop=stop, repeats=repeats):
                rows = pa.Table.from_batches([batch])
                pending.append(rows if self._until is None else rows.filter(_mask(rows, self._until)))
                if sum(map(len, pending)) >= max_rows:
                    yield pa.concat_tables(pending)
                    pending, yielded = [], True
        if pending or not yielded:
            yield pa.concat_tables(pending)

    def _dataset(self, fragments: Sequence[Any], *, with_capture: bool = False) -> Any:
        columns = schema_of_both(self.channel) if with_capture else schema(self.channel)
        return ds.FileSystemDataset(fragments, columns, FORMAT, self.folders[0].files.filesystem)

    def _retry(self, read: Callable[[Found], Any]) -> Any:
        """Call `read` with the current parts, again if a recorder merged some or some turned out to be damaged."""
        failed = False
        for _ in range(_MAX_RETRIES):
            try:
                by_folder = [(folder, folder.part_files(self.channel)) for folder in self.folders]
                self._warn_of_overlaps([(folder, part_files) for folder, part_files in by_folder if part_files])
                repeats = {path: r.until(self.until_us) for path, r in find_repeats(self.channel, by_folder).items()}
                wanted = both(self._until, but_repeats(repeats, by_folder))
                return read(Found(by_folder, {path: r for path, r in repeats.items() if len(r)}, wanted))
            except FileNotFoundError:
                for folder in self.folders:
                    folder.reload()
            except (OSError, pa.ArrowException) as error:
                if not self._exclude_damaged() and failed:
                    raise unreadable(self.channel.name, error) from error
                failed = True
        raise CaptureError(
            f"The files of {self.channel.name} changed {_MAX_RETRIES} times while they were read. Try again."
        )

    def _warn_of_overlaps(self, by_folder: list[tuple[Folder, list[PartFile]]]) -> None:
        for (former, former_files), (following, following_files) in pairwise(by_folder):
            if following_files[0].span("received_at")[0] < former_files[-1].span("received_at")[1]:
                following.warn(
                    following.path,
                    f"was recorded at the same time as {former.name}, and both have rows of {self.channel.name}: their "
                    "rows come one after the other, not in the order of receipt. A message that is in both is one row; "
                    "programs that read the Parquet files themselves have it twice.",
                )

    def _exclude_damaged(self) -> bool:
        """Read all parts and exclude the damaged ones; return whether the list of parts has changed."""
        changed = False
        for folder in self.folders:
            for part_file in folder.part_files(self.channel):
                try:
                    for _ in self._dataset([part_file.fragment]).to_batches():
                        pass
                except FileNotFoundError:
                    return True
                except (OSError, pa.ArrowException) as error:
                    changed = folder.exclude_if_damaged(part_file.part, self.channel, error) or changed
        return changed


def followed(rows: Any) -> Progress:
    """Return how far the timestamps of rows have come.

    Parameters
    ----------
    rows
        An Arrow table with `timestamp` and `received_at`, in the order of arrival.
    """
    progress = Progress()
    progress.add(*(rows.column(name).cast(pa.int64()).to_numpy() for name in ("timestamp", "received_at")))
    return progress


def _fragments(part_files: Sequence[PartFile]) -> list[Any]:
    return [part_file.fragment for part_file in part_files]


def part_files_of(folder: Folder, channel: Channel) -> list[PartFile]:
    """Return the parts of a channel of one capture that can be read now, even while a recorder merges parts."""
    return ChannelReader(channel, [folder]).part_files()


def retry_while_merging(folders: Sequence[Folder], read: Callable[[], T], *errors: type[Exception]) -> T:
    """Call `read`, again if it fails because a recorder merged parts after they were listed.

    Parameters
    ----------
    folders
        The captures.
    read
        Lists the parts and has another library read them.
    *errors
        The exceptions that the library raises if a file does not exist.
    """
    for _ in range(_MAX_RETRIES):
        before = [folder.parts() for folder in folders]
        try:
            return read()
        except errors:
            for folder in folders:
                folder.reload()
            if before == [folder.parts() for folder in folders]:
                raise
    return read()


def received_until(until_us: int | None) -> Any:
    """Return the Arrow expression for rows received up to a time (microseconds); None if there is no limit."""
    return None if until_us is None else ds.field("received_at") <= pa.scalar(until_us, pa.int64()).cast(TIME)


def both(first: Any, second: Any) -> Any:
    """Return the Arrow expression that is true where both are; None stands for all rows."""
    if first is None or second is None:
        return second if first is None else first
    return first & second


def _mask(table: Any, condition: Any) -> Any:
    return ds.dataset(table).to_table(columns={"kept": condition}).column("kept")


def _tail(part_files: Sequence[PartFile], last: int) -> list[Any]:
    """Return fragments of the last row groups, with at least `last` rows in all."""
    fragments: list[Any] = []
    for part_file in reversed(part_files):
        if last <= 0:
            break
        groups: list[int] = []
        for group in reversed(range(part_file.groups)):
            if last <= 0:
                break
            groups.append(group)
            last -= part_file.rows_of(group)
        fragments.append(part_file.fragment.subset(row_group_ids=groups[::-1]))
    return fragments[::-1]


def read_batches(
    folder: Folder,
    channel: Channel,
    columns: Sequence[str],
    max_rows: int,
    row: int = 0,
    stop: int | None = None,
    *,
    repeats: Repeats | None = None,
) -> Iterator[Any]:
    """Yield the rows of a channel of one capture as Arrow batches.

    If parts are merged in the meantime, reading continues in the merged part. If a part turns out to be damaged, its
    rows up to the damage are yielded.

    Parameters
    ----------
    folder, channel, columns
        The capture, the channel and the columns to read.
    max_rows
        The largest size of a batch.
    row, stop
        The numbers of the first row and of the row before which to stop; None: to the end.
    repeats
        Rows to leave out.
    """
    for first, batch in _numbered_batches(folder, channel, columns, max_rows, row, stop):
        repeated = Repeats() if repeats is None else repeats.within(first, first + len(batch))
        if len(repeated):
            batch = batch.take(np.delete(np.arange(len(batch)), repeated.rows - first))
        if len(batch):
            yield batch


def _numbered_batches(
    folder: Folder, channel: Channel, columns: Sequence[str], max_rows: int, row: int, stop: int | None
) -> Iterator[tuple[int, Any]]:
    """Yield batches, each with the number of its first row."""
    failed_at = -1
    while part_file := next((p for p in part_files_of(folder, channel) if p.part.stop > row), None):
        if stop is not None and max(row, part_file.part.start) >= stop:
            return
        row = max(row, part_file.part.start)
        fragment, skip = _from_row(part_file, row - part_file.part.start)
        dataset = ds.FileSystemDataset([fragment], schema(channel), FORMAT, folder.files.filesystem)
        try:
            for batch in dataset.to_batches(columns=list(columns), batch_size=max_rows):
                skipped = min(skip, len(batch))
                skip -= skipped
                row += len(batch) - skipped
                first = row - (len(batch) - skipped)
                if stop is not None and row >= stop:
                    yield first, batch.slice(skipped, stop - first)
                    return
                if skipped < len(batch):
                    yield first, batch.slice(skipped)
        except FileNotFoundError:
            folder.reload()
        except (OSError, pa.ArrowException) as error:
            if not folder.exclude_if_damaged(part_file.part, channel, error) and failed_at == row:
                raise unreadable(part_file.part.file.as_posix(), error) from error
            failed_at = row


def _from_row(part_file: PartFile, row: int) -> tuple[Any, int]:
    """Return a fragment of the row groups from that of a row on, and how many of its rows come before the row."""
    group = 0
    while row >= part_file.rows_of(group):
        row -= part_file.rows_of(group)
        group += 1
    return part_file.fragment.subset(row_group_ids=list(range(group, part_file.groups))), row

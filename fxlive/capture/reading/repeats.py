"""Messages that several captures have: the rows of later captures that repeat a row of an earlier one.

Two captures share messages if two sessions were recorded at the same time, as when one replaces the other, or if a
replay was recorded again. A repeated row has the id and the content of a row that another capture received at most ten
seconds before or after it. Rows without an id never repeat another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from fxlive.capture.format.layout import OWN_CHANNELS
from fxlive.capture.format.schema import TIME, schema
from fxlive.capture.reading.folder import Folder
from fxlive.capture.reading.frames import to_frame
from fxlive.capture.reading.part_file import CAPTURE, FORMAT, PartFile
from fxlive.tables.columns.vocabulary import Vocabulary
from fxlive.wire.channels import Channel
from fxlive.wire.undocumented.columns import EXTRA, UndocumentedColumns

APART_US = 10_000_000  # two sessions receive the same message at most so far apart
_RUN_ROWS = 2**18  # compared at a time; a row group can have more
_NONE = np.empty(0, np.int64)

Integers = npt.NDArray[np.int64]
Parts = Sequence[tuple[Folder, Sequence[PartFile]]]


@dataclass(frozen=True)
class Repeats:
    """The repeated rows of one channel of one capture, sorted by row number.

    Attributes
    ----------
    rows
        Their row numbers.
    arrival
        Their numbers among the messages of all channels.
    known_us
        When another capture received the message (microseconds).
    """

    rows: Integers = field(default_factory=lambda: _NONE)
    arrival: Integers = field(default_factory=lambda: _NONE)
    known_us: Integers = field(default_factory=lambda: _NONE)

    def __len__(self) -> int:
        return len(self.rows)

    def until(self, until_us: int | None) -> Repeats:
        """Return the rows whose message another capture had received by a time (microseconds); None: all."""
        return self if until_us is None else self._at(self.known_us <= until_us)

    def within(self, start: int, stop: int) -> Repeats:
        """Return those with a row number from `start` to before `stop`."""
        return self._at(slice(*np.searchsorted(self.rows, [start, stop])))

    def last_others(self, stop: int, count: int) -> tuple[int, int]:
        """Return the row number from which on, to before `stop`, `count` rows are no repeats, and how many these are.

        If there are fewer, it is 0, and the number is that of all.
        """
        others = stop - int(np.searchsorted(self.rows, stop))
        if others <= count:
            return 0, others
        before = others - count  # of the other rows, and each repeat moves them by one
        return before + int(np.searchsorted(self.rows - np.arange(len(self)), before, side="right")), count

    def _at(self, index: Any) -> Repeats:
        return Repeats(self.rows[index], self.arrival[index], self.known_us[index])

    @property
    def others(self) -> Any:
        """The Arrow expression that is true for all other rows of the same capture."""
        return ~ds.field("arrival").isin(pa.array(self.arrival))


def find_repeats(channel: Channel, parts: Parts) -> dict[str, Repeats]:
    """Return the repeated rows of a channel by the path of their capture. Captures without such rows are left out.

    What was found is kept with the folder for as long as the files of the time that both captures share stay the same.

    Parameters
    ----------
    channel
        The channel.
    parts
        The captures, sorted by start, each with its parts of the channel.

    Raises
    ------
    OSError, ArrowException
        If a file cannot be read.
    """
    found: dict[str, Repeats] = {}
    if channel in OWN_CHANNELS:  # without ids
        return found
    earlier: list[tuple[Folder, Sequence[PartFile], int, int]] = []
    latest = -(2**63)
    for folder, part_files in parts:
        if not part_files:
            continue
        first, last = _span(part_files)
        if first <= latest + APART_US:
            pairs = [
                _repeats_of(
                    channel,
                    folder,
                    part_files,
                    other,
                    other_files,
                    max(first, other_first) - APART_US,
                    min(last, other_last) + APART_US,
                )
                for other, other_files, other_first, other_last in earlier
                if first <= other_last + APART_US and other_first <= last + APART_US
            ]
            repeats = reduce(_joined, pairs, Repeats())
            if len(repeats):
                found[folder.path] = repeats
        earlier.append((folder, part_files, first, last))
        latest = max(latest, last)
    return found


def but_repeats(found: dict[str, Repeats], parts: Parts) -> Any:
    """Return the Arrow expression that is true for all rows but repeated ones; None if no row is repeated.

    It needs the column `CAPTURE`, which `schema_of_both` adds to that of the files.
    """
    repeated = [
        (ds.field(CAPTURE) == folder.name) & ~found[folder.path].others for folder, _ in parts if folder.path in found
    ]
    return ~reduce(lambda first, second: first | second, repeated) if repeated else None


def _span(part_files: Sequence[PartFile]) -> tuple[int, int]:
    spans = [part_file.span("received_at") for part_file in part_files]
    return min(first for first, _ in spans), max(last for _, last in spans)


def _joined(first: Repeats, second: Repeats) -> Repeats:
    """Return the rows of both, each once, with the earlier receipt."""
    if not len(first) or not len(second):
        return second if len(second) else first
    rows, arrival, known_us = (
        np.concatenate([getattr(first, name), getattr(second, name)]) for name in ("rows", "arrival", "known_us")
    )
    order = np.lexsort((known_us, rows))
    kept = order[np.flatnonzero(np.diff(rows[order], prepend=-1))]
    return Repeats(rows[kept], arrival[kept], known_us[kept])


def _repeats_of(
    channel: Channel,
    folder: Folder,
    part_files: Sequence[PartFile],
    other: Folder,
    other_files: Sequence[PartFile],
    start_us: int,
    end_us: int,
) -> Repeats:
    """Return the rows of a capture that repeat rows of another one, received from `start_us` to `end_us`."""
    part_files, other_files = _received(part_files, start_us, end_us), _received(other_files, start_us, end_us)
    files = tuple(part_file.part.file for part_file in (*part_files, *other_files))
    known = folder.repeats.get((other.path, channel.name))
    if known is None or known[0] != files:
        runs = [
            _repeats_in(channel, part_file, groups, other_files)
            for part_file in part_files
            for groups in part_file.runs_of_groups(_RUN_ROWS)
        ]
        known = folder.repeats[other.path, channel.name] = files, reduce(_joined, runs, Repeats())
    repeats: Repeats = known[1]
    return repeats


def _received(part_files: Sequence[PartFile], start_us: int, end_us: int) -> list[PartFile]:
    """Return the parts with rows received in an interval."""
    spans = ((part_file, *part_file.span("received_at")) for part_file in part_files)
    return [part_file for part_file, first, last in spans if first <= end_us and last >= start_us]


def _repeats_in(
    channel: Channel, part_file: PartFile, groups: Sequence[int], other_files: Sequence[PartFile]
) -> Repeats:
    """Return the rows in row groups of a part that repeat rows of another capture."""
    run = _dataset(channel, [part_file.fragment.subset(row_group_ids=list(groups))])
    brief = run.to_table(columns=["received_at", "arrival", "id"])
    received = _integers(brief, "received_at")
    start_us, end_us = int(received.min()) - APART_US, int(received.max()) + APART_US
    condition = _at_times(start_us, end_us) & ds.field("id").is_valid() & (ds.field("id") != "")
    other_fragments = [file.fragment for file in _received(other_files, start_us, end_us)]
    if not other_fragments:
        return Repeats()
    others = _dataset(channel, other_fragments)
    ids = others.to_table(columns=["id"], filter=condition).column("id")
    shared = np.flatnonzero(pc.is_in(brief.column("id"), ids.combine_chunks()).to_numpy())
    if not len(shared):
        return Repeats()
    columns = ["timestamp", "received_at", *(column.name for column in channel.columns), EXTRA]
    mine = run.to_table(columns=columns).take(shared)
    same_ids = ds.field("id").isin(mine.column("id").combine_chunks())
    theirs = others.to_table(columns=columns, filter=condition & same_ids)
    contents = _contents(channel, pa.concat_tables([theirs, mine]))
    repeated, known_us = _compare(
        contents[: len(theirs)], _integers(theirs, "received_at"), contents[len(theirs) :], received[shared]
    )
    first_row = part_file.part.start + sum(map(part_file.rows_of, range(groups[0])))
    return Repeats(first_row + shared[repeated], _integers(brief, "arrival")[shared[repeated]], known_us)


def _contents(channel: Channel, rows: Any) -> Integers:
    """Return a number for each row, equal for rows that differ in nothing but their receipt."""
    frame = to_frame(rows.to_batches(), len(rows), channel, Vocabulary(), UndocumentedColumns(channel))
    frame = frame.drop(columns="received_at").reset_index()
    frame.columns = pd.RangeIndex(frame.shape[1])
    groups = frame.groupby(list(frame.columns), dropna=False, observed=True, sort=False)
    return np.asarray(groups.ngroup(), dtype=np.int64)


def _compare(
    theirs: Integers, theirs_us: Integers, mine: Integers, mine_us: Integers
) -> tuple[npt.NDArray[np.intp], Integers]:
    """Return which of `mine` equal one of `theirs` of about the same time, and the first receipt of that one."""
    order = np.lexsort((theirs_us, theirs))
    theirs, theirs_us = theirs[order], theirs_us[order]
    # The first of the equal ones that was not received earlier than `APART_US` before.
    starts, stops = np.searchsorted(theirs, mine, "left"), np.searchsorted(theirs, mine, "right")
    at = starts.copy()
    several = np.flatnonzero(stops - starts > 1)
    for row in several.tolist():
        at[row] += np.searchsorted(theirs_us[starts[row] : stops[row]], mine_us[row] - APART_US, "left")
    valid = np.flatnonzero(at < stops)
    repeated = valid[np.abs(theirs_us[at[valid]] - mine_us[valid]) <= APART_US]
    return repeated, theirs_us[at[repeated]]


def _at_times(start_us: int, end_us: int) -> Any:
    start, end = (pa.scalar(time, pa.int64()).cast(TIME) for time in (start_us, end_us))
    return (ds.field("received_at") >= start) & (ds.field("received_at") <= end)


def _integers(rows: Any, name: str) -> Integers:
    column = rows.column(name).cast(pa.int64())
    integers: Integers = (column.fill_null(-1) if column.null_count else column).to_numpy()
    return integers


def _dataset(channel: Channel, fragments: Sequence[Any]) -> Any:
    return ds.FileSystemDataset(fragments, schema(channel), FORMAT, fragments[0].filesystem)


def schema_of_both(channel: Channel) -> Any:
    """Return the schema of the files with the further column `CAPTURE`: the name of the capture's folder."""
    return schema(channel).append(pa.field(CAPTURE, pa.string()))

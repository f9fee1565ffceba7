"""The rows of a channel as a Dask DataFrame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow.dataset as ds

from fxlive.capture.exporting.optional import optional_library
from fxlive.capture.format.schema import schema
from fxlive.capture.reading.files import Files
from fxlive.capture.reading.frames import to_frame
from fxlive.capture.reading.part_file import FORMAT, PartFile
from fxlive.capture.reading.repeats import Repeats
from fxlive.capture.reading.rows import ChannelReader, both, received_until
from fxlive.tables.columns.vocabulary import Vocabulary
from fxlive.wire.channels import CHANNELS, ID, Channel
from fxlive.wire.undocumented.columns import EXTRA, UndocumentedColumns

PARTITION_ROWS = 1_000_000


@dataclass(frozen=True)
class PartitionSource:
    """Everything that a worker needs to read a channel's partitions, besides the files.

    Attributes
    ----------
    root
        The path or URL of the folder that holds the capture.
    channel
        The channel's name.
    symbols
        The symbols of the session, in the order of the categories.
    undocumented
        The dtypes of the channel's undocumented columns.
    until_us
        Leave out rows received after this time (microseconds); None: keep all.
    """

    root: str
    channel: str
    symbols: tuple[str, ...]
    undocumented: dict[str, str]
    until_us: int | None


RowGroups = tuple[str | None, tuple[int, ...], Repeats]
"""The path of a Parquet file, the numbers of some of its row groups, and the rows in them that another capture has.

The path is None if there are no rows.
"""
_NO_ROWS: RowGroups = (None, (), Repeats())


def dask_frame(reader: ChannelReader, files: Files, symbols: Sequence[str], drift: UndocumentedColumns) -> Any:
    """Return the rows of a channel as a Dask DataFrame. Each partition is a frame as `Capture.frame` returns it.

    Raises
    ------
    CaptureError
        If Dask is not installed.
    """
    with optional_library("dask.dataframe", "dask[dataframe,distributed]"):
        import dask
        import dask.dataframe.utils

    dataframe: Any = dask.dataframe
    root = files.root if files.local else files.shown
    undocumented = {name: kind.value for name, kind in drift.kinds.items()}
    source = PartitionSource(root, reader.channel.name, tuple(symbols), undocumented, reader.until_us)
    found = reader.found()
    partitions = [
        groups
        for folder, part_files in found.by_folder
        for part_file in part_files
        for groups in _partitions_of(part_file, found.repeats_of(folder))
    ]
    empty = dataframe.utils.clear_known_categories(read_partition(_NO_ROWS, source))
    with dask.config.set({"dataframe.convert-string": False}):  # text stays pandas' str, as in other frames
        return dataframe.from_map(read_partition, partitions or [_NO_ROWS], source=source, meta=empty, label="fxlive")


def _partitions_of(part_file: PartFile, repeats: Repeats) -> Iterator[RowGroups]:
    """Yield the row groups of a part, in runs of at most about a million rows."""
    for groups in part_file.runs_of_groups(PARTITION_ROWS):
        first = part_file.part.start + sum(map(part_file.rows_of, range(groups[0])))
        repeated = repeats.within(first, first + sum(map(part_file.rows_of, groups)))
        yield part_file.part.file.as_posix(), tuple(groups), repeated


def read_partition(row_groups: RowGroups, source: PartitionSource, columns: list[str] | None = None) -> pd.DataFrame:
    """Read row groups of a file as a frame. Dask calls this on its workers, with the columns that it needs."""
    file, groups, repeats = row_groups
    channel = CHANNELS.get(source.channel) or Channel(source.channel, columns=(ID,))
    documented = [c for c in channel.columns if columns is None or c.name in columns]
    with_extra = columns is None or any(name in source.undocumented for name in columns)
    names = ["timestamp", "received_at", *(c.name for c in documented), *([EXTRA] if with_extra else [])]
    rows = schema(channel).empty_table().select(names)
    if file is not None:
        filesystem = Files(source.root).filesystem
        fragment = FORMAT.make_fragment(file, filesystem, row_groups=list(groups))
        rows = ds.FileSystemDataset([fragment], schema(channel), FORMAT, filesystem).to_table(
            columns=names, filter=both(received_until(source.until_us), repeats.others if len(repeats) else None)
        )
    vocabulary, drift = Vocabulary(), UndocumentedColumns(channel)
    vocabulary.encode(source.symbols)
    drift.expect(source.undocumented if with_extra else {})
    selected = Channel(source.channel, columns=tuple(documented))
    frame = to_frame(rows.to_batches(), len(rows), selected, vocabulary, drift)
    if columns is None:
        columns = ["received_at", *(c.name for c in documented), *source.undocumented]
    return frame[columns]

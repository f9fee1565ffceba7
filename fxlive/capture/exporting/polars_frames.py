"""The rows of a channel as a Polars LazyFrame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from fxlive.capture.exporting.optional import optional_library
from fxlive.capture.format.schema import schema
from fxlive.capture.reading.files import Files
from fxlive.capture.reading.part_file import CAPTURE, PartFile
from fxlive.capture.reading.rows import ChannelReader, retry_while_merging


def lazy_frame(reader: ChannelReader, files: Files) -> Any:
    """Return the rows of a channel as a Polars LazyFrame, with the columns of the files.

    If the capture is still being recorded, the files are listed when the frame is collected, because the recorder may
    merge them before then.

    Raises
    ------
    CaptureError
        If Polars is not installed.
    """
    with optional_library("polars", "polars"):
        import polars
        from polars.io.plugins import register_io_source

    if all(folder.ended for folder in reader.folders):
        return _scan(polars, reader, files)
    errors = (OSError, polars.exceptions.PolarsError)

    def source(columns: list[str] | None, predicate: Any, rows: int | None, _batch: int | None) -> Iterator[Any]:
        def read() -> Any:
            frame = _scan(polars, reader, files)
            frame = frame if predicate is None else frame.filter(predicate)
            frame = frame if columns is None else frame.select(columns)
            return (frame if rows is None else frame.head(rows)).collect()

        yield retry_while_merging(reader.folders, read, *errors)

    columns = retry_while_merging(reader.folders, lambda: _scan(polars, reader, files).collect_schema(), *errors)
    return register_io_source(source, schema=columns)


def _scan(polars: Any, reader: ChannelReader, files: Files) -> Any:
    found = reader.found()
    if not found.part_files:
        return polars.from_arrow(schema(reader.channel).empty_table()).lazy()
    if not files.local:
        frame = polars.scan_pyarrow_dataset(reader.dataset()).drop(CAPTURE, strict=False)
    elif not found.repeats:
        frame = _scan_files(polars, found.part_files)
    else:
        frames = []
        for folder, part_files in found.by_folder:
            repeated = found.repeats_of(folder).arrival
            if part_files:
                kept = polars.col("arrival").is_in(repeated).not_().fill_null(True)
                frames.append(_scan_files(polars, part_files).filter(kept))
        frame = polars.concat(frames, how="diagonal_relaxed")
    if reader.until_us is not None:
        frame = frame.filter(polars.col("received_at") <= pd.Timestamp(reader.until_us, unit="us", tz="UTC"))
    return frame


def _scan_files(polars: Any, part_files: Sequence[PartFile]) -> Any:
    paths = [part_file.part.file for part_file in part_files]
    return polars.scan_parquet(paths, glob=False, hive_partitioning=False, missing_columns="insert")

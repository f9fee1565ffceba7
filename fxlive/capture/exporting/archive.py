"""Export of captures as CSV files, or as one zip file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv, fs

from fxlive.capture.exporting.csv_text import guarded
from fxlive.capture.format.layout import MANIFEST
from fxlive.capture.reading.folder import Folder
from fxlive.capture.reading.rows import retry_while_merging
from fxlive.core.names import column_names
from fxlive.errors import CaptureError

Progress = Callable[[str, int, int], None]
"""Called with the name of the channel or file that is being written, the rows or bytes done, and their total."""

_COPIED_BYTES = 2**22  # copied at a time
_MAX_OPEN_FILES = 500  # systems often limit a process to about a thousand


def write_csv(frames: Iterable[pd.DataFrame], file: Path) -> None:
    """Write frames one after the other to one CSV file. The file appears under its name when it is complete.

    Times are ISO 8601 in UTC, lists are JSON, and missing values are empty. A text that a spreadsheet would take for a
    formula gets an apostrophe in front, which `read_export` removes.

    Raises
    ------
    CaptureError
        If the file cannot be written.
    """
    with _atomic_file(file) as unfinished:
        writer = None
        for frame in frames:
            rows = _csv_table(frame)
            if writer is None:
                writer = csv.CSVWriter(str(unfinished), rows.schema)
            writer.write_table(rows)
        if writer is not None:
            writer.close()


def _csv_table(frame: pd.DataFrame) -> Any:
    """Return a frame as an Arrow table with the same types in every chunk: text for codes, lists and empty columns."""
    frame = frame.reset_index()
    frame = frame.set_axis(column_names(map(str, frame.columns)), axis="columns")
    lists = [name for name, dtype in frame.dtypes.items() if isinstance(dtype, np.dtype) and dtype.kind == "O"]
    for name in lists:
        frame[name] = [None if v is None else json.dumps(v, ensure_ascii=False) for v in frame[name]]
    rows = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata()
    fields = [
        pa.field(f.name, pa.large_string() if f.name in lists or _is_text(f.type) else f.type) for f in rows.schema
    ]
    rows = rows.cast(pa.schema(fields))
    columns = [guarded(c) if pa.types.is_large_string(c.type) else c for c in rows.columns]
    return pa.table(columns, names=guarded(pa.array(rows.column_names, pa.string())).to_pylist())


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_dictionary(kind) or pa.types.is_string(kind) or pa.types.is_null(kind))


def write_zip(folders: Sequence[Folder], file: Path, progress: Progress) -> None:
    """Write captures as one zip file with a folder for each. Unpacked, they can be opened like the originals.

    Raises
    ------
    CaptureError
        If the file cannot be written.
    """
    with _atomic_file(file) as unfinished, ExitStack() as open_files:
        members = [
            (f"{folder.name}{info.path.removeprefix(folder.path)}", info.size, open_member)
            for folder in folders
            for info, open_member in retry_while_merging(
                [folder], partial(_members, folder, open_files), FileNotFoundError
            )
        ]
        total, done = sum(size for _, size, _ in members), 0
        with ZipFile(unfinished, "w", ZIP_STORED) as archive:
            for name, _, open_member in members:
                with open_member() as source, archive.open(name, "w") as target:
                    while content := source.read(_COPIED_BYTES):
                        target.write(content)
                        done += len(content)
                        progress(file.name, done, total)


def _members(folder: Folder, open_files: ExitStack) -> list[tuple[Any, Callable[[], Any]]]:
    """Return the manifest and the parts of a capture that count, each with a function that opens it.

    If the recording has not ended, the files are opened now, because a recorder may delete them. A running recorder
    keeps few files. If there are many, the recording was interrupted, and they can be opened one by one.
    """
    filesystem = folder.files.filesystem
    parts = [part.file.as_posix() for channel_parts in folder.parts().values() for part in channel_parts]
    manifest, *infos = filesystem.get_file_info([f"{folder.path}/{MANIFEST}", *parts])
    for info in infos:
        if info.type == fs.FileType.NotFound:
            raise FileNotFoundError(info.path)
    if manifest.type != fs.FileType.NotFound:
        infos = [manifest, *infos]
    if folder.ended or len(infos) > _MAX_OPEN_FILES:
        return [(info, partial(filesystem.open_input_stream, info.path)) for info in infos]
    streams = [open_files.enter_context(filesystem.open_input_stream(info.path)) for info in infos]
    return [(info, partial(nullcontext, stream)) for info, stream in zip(infos, streams, strict=True)]


@contextmanager
def _atomic_file(file: Path) -> Iterator[Path]:
    """Yield a temporary path, and rename that file to `file` when the block has succeeded."""
    unfinished = file.with_name(f"{file.name}.unfinished")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        unfinished.replace(file)
    except OSError as error:
        raise CaptureError(f"{file} could not be written: {error.strerror or error}. Choose another folder.") from error
    finally:
        with suppress(OSError):
            unfinished.unlink()

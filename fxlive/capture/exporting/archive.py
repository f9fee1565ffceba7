"""A capture for elsewhere: a CSV file for each channel, or the whole of it in one zip file."""

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

from fxlive.capture.format.layout import MANIFEST
from fxlive.capture.reading.folder import Folder
from fxlive.capture.reading.rows import retry_while_merging
from fxlive.errors import CaptureError

Progress = Callable[[str, int, int], None]
_PIECE_BYTES = 2**22
_MOST_HELD = 500  # a process may open some thousand files


def write_csv(frames: Iterable[pd.DataFrame], file: Path) -> None:
    """Write frames one after the other as one CSV file, which appears under its name when it is whole.

    Times are ISO 8601 in UTC, lists JSON, and what is missing is empty.

    Raises
    ------
    CaptureError
        Where the file cannot be written.
    """
    with _whole(file) as unfinished:
        writer = None
        for frame in frames:
            rows = _texts(frame)
            if writer is None:
                writer = csv.CSVWriter(str(unfinished), rows.schema)
            writer.write_table(rows)
        if writer is not None:
            writer.close()


def _texts(frame: pd.DataFrame) -> Any:
    frame = frame.reset_index()
    lists = [name for name, dtype in frame.dtypes.items() if isinstance(dtype, np.dtype) and dtype.kind == "O"]
    for name in lists:
        frame[name] = [None if v is None else json.dumps(v, ensure_ascii=False) for v in frame[name]]
    rows = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata()
    plain = [pa.field(f.name, pa.large_string() if _text(f.type, f.name in lists) else f.type) for f in rows.schema]
    return rows.cast(pa.schema(plain))


def _text(kind: Any, lists: bool) -> bool:
    return bool(lists or pa.types.is_dictionary(kind) or pa.types.is_string(kind) or pa.types.is_null(kind))


def write_zip(folders: Sequence[Folder], file: Path, progress: Progress) -> None:
    """Write captures as one zip file, each a folder in it; unpacked, they are the captures that they were.

    Raises
    ------
    CaptureError
        Where the file cannot be written.
    """
    with _whole(file) as unfinished, ExitStack() as held:
        inside = [
            (f"{folder.name}{info.path.removeprefix(folder.path)}", info.size, open_it)
            for folder in folders
            for info, open_it in retry_while_merging([folder], partial(_files, folder, held), FileNotFoundError)
        ]
        total, done = sum(size for _, size, _ in inside), 0
        with ZipFile(unfinished, "w", ZIP_STORED) as archive:
            for name, _, open_it in inside:
                with open_it() as source, archive.open(name, "w") as target:
                    while some := source.read(_PIECE_BYTES):
                        target.write(some)
                        done += len(some)
                        progress(file.name, done, total)


def _files(folder: Folder, held: ExitStack) -> list[tuple[Any, Callable[[], Any]]]:
    """Return the files of a capture that count, its manifest and its parts, each with what opens it.

    Those of a capture that has no end are open already: a recorder may take them away. One that is at work leaves few;
    where there are many, the recording was cut off.
    """
    filesystem = folder.files.filesystem
    parts = [part.file.as_posix() for parts in folder.parts().values() for part in parts]
    about, *found = filesystem.get_file_info([f"{folder.path}/{MANIFEST}", *parts])
    for info in found:
        if info.type == fs.FileType.NotFound:
            raise FileNotFoundError(info.path)
    kept = [*([] if about.type == fs.FileType.NotFound else [about]), *found]
    if folder.ended or len(kept) > _MOST_HELD:
        return [(info, partial(filesystem.open_input_stream, info.path)) for info in kept]
    streams = [held.enter_context(filesystem.open_input_stream(info.path)) for info in kept]
    return [(info, partial(nullcontext, stream)) for info, stream in zip(kept, streams, strict=True)]


@contextmanager
def _whole(file: Path) -> Iterator[Path]:
    """Give the path of an unfinished file, which has its name only when all of it is written."""
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

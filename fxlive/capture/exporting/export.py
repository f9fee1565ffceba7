"""Export of frames as Parquet files, and reading them back as equal frames."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd

from fxlive.core.arguments import path_of
from fxlive.core.names import column_names, file_names
from fxlive.errors import CaptureError

_CATEGORIES = "categories of columns without a value"
_COLUMNS = "names of columns"


def files_for(channels: Iterable[str], folder: str | Path, suffix: str) -> dict[str, Path]:
    """Return a file in a folder for each channel. Names of undocumented channels are made safe and unique.

    >>> [file.name for file in files_for(["trades", "depth/L2", "depth:L2"], "out", "csv").values()]
    ['trades.csv', 'depth_L2.csv', 'depth_L2-2.csv']
    """
    folder = path_of(folder, "a folder")
    channels = list(channels)
    return {c: folder / f"{name}.{suffix}" for c, name in zip(channels, file_names(channels), strict=True)}


def write_frame(frame: pd.DataFrame, file: Path) -> None:
    """Write a frame as a Parquet file for `read_frame`. The file appears under its name when it is complete.

    Raises
    ------
    CaptureError
        If the file cannot be written.
    """
    unfinished = file.with_suffix(".parquet.unfinished")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _for_parquet(frame).to_parquet(unfinished, engine="pyarrow", compression="zstd")
        unfinished.replace(file)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise CaptureError(f"{file} could not be written: {error.strerror or error}. Choose another folder.") from error


def _for_parquet(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with what Parquet would lose in its `attrs`.

    That is the categories of columns without a value, and the names of columns that other readers may not accept.
    """
    copy = frame.copy(deep=False)
    categorical = {name: column for name, column in frame.items() if isinstance(column.dtype, pd.CategoricalDtype)}
    empty = {name: list(column.cat.categories) for name, column in categorical.items() if column.isna().all()}
    copy.attrs = {**frame.attrs, _CATEGORIES: empty}
    names, safe = list(map(str, frame.columns)), column_names([str(frame.index.name), *map(str, frame.columns)])[1:]
    if names != safe:
        copy.columns, copy.attrs[_COLUMNS] = pd.Index(safe), names
    return copy


def read_frame(file: str | Path) -> pd.DataFrame:
    """Read a file that `export` wrote. Of a Parquet file, return an equal frame.

    ``pandas.read_parquet`` reads it, too, but returns lists as arrays instead of tuples. Of a CSV file, return the same
    index, texts, numbers, times and lists. Codes are text. Undocumented columns are float64, boolean or text, as they
    were written. (In the file itself, a text that a spreadsheet would take for a formula has an apostrophe in front.)

    Raises
    ------
    CaptureError
        If the file does not exist or is not one that `export` wrote.

    Examples
    --------
    >>> import fxlive
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     files = fxlive.Session.offline().export(folder)
    ...     fxlive.read_export(files["trades"]).empty
    True
    """
    file = path_of(file, "a file of export()")
    if file.exists() and not file.is_file():  # reading a pipe could wait forever
        raise CaptureError(f"{file} is not a file of export() that can be read: it is not a regular file.")
    if file.suffix.lower() == ".csv":
        from fxlive.capture.exporting.csv_text import read_csv

        return read_csv(file)
    try:
        return _from_parquet(pd.read_parquet(file, engine="pyarrow"))
    except FileNotFoundError as error:
        raise CaptureError(f"{file} cannot be read: there is no such file.") from error
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise CaptureError(f"{file} is not a Parquet file that can be read: {error}") from error


def _from_parquet(frame: pd.DataFrame) -> pd.DataFrame:
    categories = frame.attrs.pop(_CATEGORIES, {})
    frame.columns = pd.Index(frame.attrs.pop(_COLUMNS, frame.columns))
    for name in frame.columns:
        dtype = frame[name].dtype
        if isinstance(dtype, pd.CategoricalDtype) and dtype.categories.empty:  # pandas gives them the dtype object
            names = pd.Index(categories.get(name, []), dtype="str")
            frame[name] = frame[name].astype(pd.CategoricalDtype(names))
        elif dtype == np.dtype(object):
            frame[name] = pd.Series([None if v is None else tuple(v) for v in frame[name]], frame.index, dtype=object)
    return frame

"""Export of frames as Parquet files, and reading them back as equal frames."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import chain, count
from pathlib import Path

import numpy as np
import pandas as pd

from fxlive.core.arguments import path_of
from fxlive.errors import CaptureError

_CATEGORIES = "categories of columns without a value"


def files_for(channels: Iterable[str], folder: str | Path, suffix: str) -> dict[str, Path]:
    """Return a file in a folder for each channel. Names of undocumented channels are made safe and unique.

    >>> [file.name for file in files_for(["trades", "depth/L2", "depth:L2"], "out", "csv").values()]
    ['trades.csv', 'depth_L2.csv', 'depth_L2-2.csv']
    """
    folder = path_of(folder, "a folder")
    files: dict[str, Path] = {}
    taken: set[str] = set()
    for channel in channels:
        safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in channel)[:60] or "_"
        candidates = chain([safe], (f"{safe}-{number}" for number in count(2)))
        name = next(candidate for candidate in candidates if candidate.lower() not in taken)
        taken.add(name.lower())
        files[channel] = folder / f"{name}.{suffix}"
    return files


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
        _with_categories(frame).to_parquet(unfinished, engine="pyarrow", compression="zstd")
        unfinished.replace(file)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise CaptureError(f"{file} could not be written: {error.strerror or error}. Choose another folder.") from error


def _with_categories(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with the categories of columns without a value in its `attrs`; Parquet would lose them."""
    copy = frame.copy(deep=False)
    categorical = {name: column for name, column in frame.items() if isinstance(column.dtype, pd.CategoricalDtype)}
    empty = {name: list(column.cat.categories) for name, column in categorical.items() if column.isna().all()}
    copy.attrs = {**frame.attrs, _CATEGORIES: empty}
    return copy


def read_frame(file: str | Path) -> pd.DataFrame:
    """Read a Parquet file that `export` wrote, and return the frame that was written.

    ``pandas.read_parquet`` reads it, too, but returns lists as arrays instead of tuples. Read a CSV file with
    ``pandas.read_csv``.

    Raises
    ------
    CaptureError
        If the file does not exist or is not a readable Parquet file.

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
    try:
        frame = pd.read_parquet(file, engine="pyarrow")
    except FileNotFoundError as error:
        raise CaptureError(f"{file} cannot be read: there is no such file.") from error
    except (OSError, ValueError) as error:
        if file.suffix.lower() == ".csv":
            raise CaptureError(f"{file} is not a Parquet file. Read a CSV file with pandas.read_csv.") from error
        raise CaptureError(f"{file} is not a Parquet file that can be read: {error}") from error
    categories = frame.attrs.pop(_CATEGORIES, {})
    for name in frame.columns:
        dtype = frame[name].dtype
        if isinstance(dtype, pd.CategoricalDtype) and dtype.categories.empty:  # pandas gives them the dtype object
            names = pd.Index(categories.get(name, []), dtype="str")
            frame[name] = frame[name].astype(pd.CategoricalDtype(names))
        elif dtype == np.dtype(object):
            frame[name] = pd.Series([None if v is None else tuple(v) for v in frame[name]], frame.index, dtype=object)
    return frame

"""A session's windows as Parquet files, one for each channel, that read back equal."""

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
    """Return the file of each channel in a folder; one that the reference does not name may be called anything.

    >>> [file.name for file in files_for(["trades", "depth/L2", "depth:L2"], "out", "csv").values()]
    ['trades.csv', 'depth_L2.csv', 'depth_L2-2.csv']
    """
    folder = path_of(folder, "a folder")
    files: dict[str, Path] = {}
    taken: set[str] = set()
    for channel in channels:
        name = "".join(c if c.isalnum() or c in "-_" else "_" for c in channel)[:60] or "_"
        others = chain([name], (f"{name}-{number}" for number in count(2)))
        name = next(other for other in others if other.lower() not in taken)
        taken.add(name.lower())
        files[channel] = folder / f"{name}.{suffix}"
    return files


def write_frame(frame: pd.DataFrame, file: Path) -> None:
    """Write a frame so that `read_frame` gives it back; the file appears under its name only when it is whole.

    Raises
    ------
    CaptureError
        Where it cannot be written; it names the file.
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
    """Return the frame with the categories of columns without a value in its `attrs`; Parquet would forget them."""
    kept = frame.copy(deep=False)
    columns = {name: column for name, column in frame.items() if isinstance(column.dtype, pd.CategoricalDtype)}
    empty = {name: list(column.cat.categories) for name, column in columns.items() if column.isna().all()}
    kept.attrs = {**frame.attrs, _CATEGORIES: empty}
    return kept


def read_frame(file: str | Path) -> pd.DataFrame:
    """Read a Parquet file that `export` wrote as the frame that was written: pandas reads lists as arrays, here they
    are tuples. A CSV is read by ``pandas.read_csv``.

    Raises
    ------
    CaptureError
        Where there is no such Parquet file.
    """
    file = path_of(file, "a file of export()")
    try:
        frame = pd.read_parquet(file, engine="pyarrow")
    except FileNotFoundError as error:
        raise CaptureError(f"{file} cannot be read: there is no such file.") from error
    except (OSError, ValueError) as error:
        why = "pandas.read_csv reads a CSV." if file.suffix.lower() == ".csv" else str(error)
        raise CaptureError(
            f"{file} is not a Parquet file that can be read, as export writes them by default: {why}"
        ) from error
    categories = frame.attrs.pop(_CATEGORIES, {})
    for name in frame.columns:
        dtype = frame[name].dtype
        if isinstance(dtype, pd.CategoricalDtype) and dtype.categories.empty:  # pandas reads none of them as objects
            names = pd.Index(categories.get(name, []), dtype="str")
            frame[name] = frame[name].astype(pd.CategoricalDtype(names))
        elif dtype == np.dtype(object):
            frame[name] = pd.Series([None if v is None else tuple(v) for v in frame[name]], frame.index, dtype=object)
    return frame

"""A session's windows as Parquet files, one for each channel, that read back equal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from fxlive.errors import CaptureError


def write_frames(frames: Mapping[str, pd.DataFrame], folder: str | Path) -> dict[str, Path]:
    """Write each frame to ``<folder>/<channel>.parquet``, replacing what is there; return the files by channel.

    A file appears under its name only when it is whole.

    Raises
    ------
    CaptureError
        Where a file cannot be written; it names the file.
    """
    folder = Path(folder)
    files = {}
    for channel, frame in frames.items():
        # a channel that the reference does not name may be called anything
        name = "".join(c if c.isalnum() or c in "-_" else "_" for c in channel) or "_"
        file = folder / f"{name}.parquet"
        unfinished = file.with_suffix(".parquet.unfinished")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            frame.to_parquet(unfinished, engine="pyarrow", compression="zstd")
            unfinished.replace(file)
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            raise CaptureError(
                f"{file} could not be written: {error.strerror or error}. Choose another folder."
            ) from error
        files[channel] = file
    return files


def read_frame(file: str | Path) -> pd.DataFrame:
    """Read a file of `write_frames` as the frame that was written: pandas reads lists as arrays, here they are tuples.

    Raises
    ------
    CaptureError
        Where there is no such Parquet file.
    """
    try:
        frame = pd.read_parquet(file, engine="pyarrow")
    except (OSError, ValueError) as error:
        raise CaptureError(f"{file} is not a Parquet file that can be read: {error}") from error
    for name in frame.columns:
        dtype = frame[name].dtype
        if isinstance(dtype, pd.CategoricalDtype) and dtype.categories.empty:  # pandas reads none of them as objects
            frame[name] = frame[name].astype(pd.CategoricalDtype(pd.Index([], dtype="str")))
        elif dtype == np.dtype(object):
            frame[name] = pd.Series([None if v is None else tuple(v) for v in frame[name]], frame.index, dtype=object)
    return frame

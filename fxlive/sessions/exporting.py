"""Exporting the windows of a session to files. The function becomes a method of `Session`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from fxlive.capture.exporting.export import files_for, write_frame
from fxlive.errors import UnknownOption
from fxlive.sessions.reading.readable import Readable
from fxlive.wire.channels import channel_name

_FORMATS = ("parquet", "csv")


def export(
    self: Readable,
    path: str | Path,
    channels: Sequence[str] | None = None,
    *,
    format: Literal["parquet", "csv"] = "parquet",
) -> dict[str, Path]:
    """Write the window of each channel to a file, all as of one moment; existing files are replaced.

    Parameters
    ----------
    path
        A folder; it is created if it does not exist.
    channels
        Only these channels. Default: all.
    format
        ``"parquet"``, which `fxlive.read_export` reads back as an equal frame and other Parquet readers read as it is;
        or ``"csv"``.

    Returns
    -------
    dict
        The file of each channel, ``<path>/<channel>.parquet``.

    Raises
    ------
    CaptureError
        If a file cannot be written.
    UnknownOption
        If `format` is unknown.

    Examples
    --------
    ``fxlive.export("out", ["trades"], format="csv")``
    """
    if format not in _FORMATS:
        raise UnknownOption("format", format, _FORMATS)
    requested = [channels] if isinstance(channels, str) else channels
    names = None if requested is None else {channel_name(name, tuple(self.channels)) for name in requested}
    frames = {name: frame for name, frame in self.snapshot().items() if names is None or name in names}
    files = files_for(frames, path, format)
    for name, frame in frames.items():
        if format == "csv":
            from fxlive.capture.exporting.archive import write_csv

            write_csv([frame], files[name])
        else:
            write_frame(frame, files[name])
    return files

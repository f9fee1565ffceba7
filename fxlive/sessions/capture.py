"""Capture: a recorded session, opened; it is read as a live one is, and by other tools."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from fxlive.core.arguments import path_of
from fxlive.errors import CaptureError, UnknownOption
from fxlive.sessions.display import capture_html, capture_text
from fxlive.sessions.reading.capture_source import RecordedReadings
from fxlive.sessions.still_charts import Stills

if TYPE_CHECKING:
    from fxlive.capture.reading.files import Files

_FORMATS = ("parquet", "csv", "zip")
_CHUNK_ROWS = 1_000_000


def open_capture(path: str | os.PathLike[str]) -> Capture:
    """Open a capture, or a folder of captures as one; also one that is still being recorded, or was cut off.

    Only the names of the files are read now; a frame reads what it needs. While a capture is being recorded, each call
    reads what has come by then.

    Parameters
    ----------
    path
        The folder that `record` made, or the one in which it made several; or a URL such as
        ``s3://bucket/captures/2014-05-08T123000Z-default``, for which fsspec has a file system.

    Returns
    -------
    Capture
        With the methods of a session that read.

    Raises
    ------
    NotACapture
        Where there is none.
    NewerCapture
        Where a newer fxlive wrote it.

    Warns
    -----
    IncompleteCapture
        Where something of it is missing or damaged; the rest can be read, and `gaps` has a row for it.

    Examples
    --------
    >>> import tempfile
    >>> import fxlive
    >>> recording = fxlive.Session.offline().record(tempfile.mkdtemp())
    >>> recording.stop().state
    'stopped'
    >>> open_capture(recording.path).frame("trades").empty
    True
    """
    from fxlive.capture.reading.files import Files
    from fxlive.capture.reading.folder import find

    return Capture(find(Files(path)))


class Capture(RecordedReadings, Stills):
    """A recorded session, or several as one; `open_capture` opens it.

    `start` is when the recording began, and `end` when it was stopped (None while it goes on, or where it was cut off).
    """

    def export(
        self,
        path: str | Path,
        channels: Sequence[str] | None = None,
        *,
        format: Literal["parquet", "csv", "zip"] = "parquet",
        progress: Callable[[str, int, int], None] | None = None,
    ) -> dict[str, Path]:
        """Write the capture for elsewhere, replacing what is there: a file for each channel, or all of it in one.

        Parameters
        ----------
        path
            A folder; it is made where it is missing.
        channels
            Only these; by default those that have rows. A zip holds all.
        format
            ``"parquet"``, which `fxlive.read_export` gives back as an equal frame; ``"csv"``, a million rows at a time;
            or ``"zip"``: the capture as it is, which opens once it is unpacked.
        progress
            Called with what is written, how much of it is done, and how much there is (rows; bytes of a zip).

        Returns
        -------
        dict
            The file of each channel; of a zip, of the capture's name.

        Raises
        ------
        CaptureError
            Where a file cannot be written, and where a zip is asked for of less than the whole capture.
        UnknownOption
            For a format that there is not.

        Examples
        --------
        ``fxlive.open_capture("captures").export("out", ["trades"], format="csv")``
        """
        from fxlive.capture.exporting.archive import write_csv, write_zip
        from fxlive.capture.exporting.export import files_for, write_frame

        self._refresh()
        told = progress or (lambda what, done, total: None)
        if format not in _FORMATS:
            raise UnknownOption("format", format, _FORMATS)
        if format == "zip":
            if channels is not None or self._until_us is not None:
                raise CaptureError(
                    "A zip holds the whole capture as it is: leave out the channels and the moment, "
                    "or export as 'parquet' or 'csv'."
                )
            name = self.path.rstrip("/").rsplit("/", 1)[-1]
            file = path_of(path, "a folder") / f"{name}.zip"
            write_zip(self._folders, file, told)
            return {name: file}
        counts = self.contents()["rows"]
        wanted = [channels] if isinstance(channels, str) else channels
        names = [self._channel(name) for name in wanted] if wanted is not None else counts.index[counts > 0].tolist()
        files = files_for(names, path, format)
        for name in names:
            if format == "parquet":
                told(name, 0, int(counts[name]))
                write_frame(self.frame(name), files[name])
                told(name, int(counts[name]), int(counts[name]))
            else:
                write_csv(self._chunks(name, int(counts[name]), told), files[name])
        return files

    def _chunks(self, channel: str, count: int, told: Callable[[str, int, int], None]) -> Iterator[pd.DataFrame]:
        """Yield the frame of a channel about a million rows at a time, and tell how many of `count` there were."""
        from fxlive.capture.reading.frames import to_frame

        of = self._of(channel)
        drift = self._known(channel, whole=True)
        rows = 0
        for table in self._recorded(of).tables(_CHUNK_ROWS):
            yield to_frame(table.to_batches(), len(table), of, self._symbols, drift)
            rows += len(table)
            told(channel, rows, count)

    # For other tools.

    def dataset(self, channel: str) -> Any:
        """Return a channel as a ``pyarrow.dataset.Dataset``, lazily, with the columns of its files.

        Those are the columns of the frame, `arrival`, which numbers the messages of all channels, and `extra`, in which
        all undocumented fields are, as JSON.

        Parameters
        ----------
        channel
            Such as ``"trades"``.
        """
        self._refresh()
        return self._recorded(self._of(self._channel(channel))).dataset()

    def polars(self, channel: str) -> Any:
        """Return a channel as a ``polars.LazyFrame``, with the columns of its files, as `dataset` has them.

        Raises
        ------
        CaptureError
            Where Polars is not installed.
        """
        from fxlive.capture.exporting.polars_frames import lazy_frame

        self._refresh()
        return lazy_frame(self._recorded(self._of(self._channel(channel))), self._files)

    def dask(self, channel: str) -> Any:
        """Return a channel as a ``dask.dataframe.DataFrame`` whose partitions are frames as `frame` gives them.

        A partition is at most about a million rows of one file. The workers must see the capture under the same path;
        on object storage all do.

        Raises
        ------
        CaptureError
            Where Dask is not installed.
        """
        from fxlive.capture.exporting.dask_frames import dask_frame

        self._refresh()
        of = self._of(self._channel(channel))
        drift = self._known(of.name, whole=True)
        return dask_frame(self._recorded(of), self._files, self._symbols.names, drift)

    def sql(self, query: str) -> pd.DataFrame:
        """Return the result of a SQL query; DuckDB reads only what it needs of the files.

        Each channel is a view, ``market_data`` that of ``market-data``, with the columns of the frame, `timestamp` too;
        `extra` holds all undocumented fields as JSON. ``gaps`` and ``rejected`` are what the methods of that name give
        (and hide channels of those names, which the platform's document does not know).

        Parameters
        ----------
        query
            Such as ``"select symbol, avg(ask - bid) from market_data group by symbol"``.

        Raises
        ------
        CaptureError
            Where DuckDB is not installed.
        UnknownOption
            Where there is no query in the text. What DuckDB does not understand is an error of its own, with a note of
            the tables.
        """
        from fxlive.capture.exporting import sql

        self._refresh()
        channels = {n: (self._recorded(of), self._known(n, whole=True)) for n, of in self._channels().items()}
        frames = {"gaps": self.gaps(), "rejected": self.rejected().reset_index()}
        return sql.query(query, channels, frames, self._files, [*map(sql.view_name, channels), *frames])

    @property
    def _files(self) -> Files:
        return self._folders[0].files

    # Showing itself.

    def __repr__(self) -> str:
        return capture_text(self.name, self.path, self.state, self.contents(), self.gaps(), self._remarks())

    def _repr_html_(self) -> str:
        return capture_html(self.name, self.path, self.state, self.contents(), self.gaps(), self._remarks())

    def _remarks(self) -> list[str]:
        """Return what is wrong with its files: what is missing, and what other tools would count twice."""
        twice = [part for folder in self._folders for part in folder.superseded]
        told = [str(lost) for lost in self.incomplete]
        if twice:
            told.append(
                f"{len(twice):,} files were merged into larger ones and not taken away, such as {twice[0].file}. "
                f"They are not counted here; delete them before other tools read {sum(map(len, twice)):,} rows twice."
            )
        return told

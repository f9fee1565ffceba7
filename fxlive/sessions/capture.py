"""Capture: a recorded session on disk, read like a live one, and by other tools."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from fxlive.core.arguments import micros_of, path_of
from fxlive.errors import CaptureError, IncompleteCapture, UnknownOption
from fxlive.sessions import still_charts
from fxlive.sessions.display import capture_html, capture_text
from fxlive.sessions.reading.capture_source import CaptureSource
from fxlive.sessions.reading.readable import Readable

if TYPE_CHECKING:
    import dask.dataframe
    import polars
    import pyarrow.dataset

_FORMATS = ("parquet", "csv", "zip")
_CSV_CHUNK_ROWS = 1_000_000


def open_capture(path: str | os.PathLike[str]) -> Capture:
    """Open a capture, or a folder of captures as one; also one that is being recorded, or that was cut off.

    Opening reads file names only; a frame reads the files it needs. While a capture is being recorded, each call reads
    the rows recorded so far.

    Parameters
    ----------
    path
        The folder that `record` made, or a folder that holds several of them; or a URL such as
        ``s3://bucket/captures/2014-05-08T123000Z-default`` of a file system that fsspec supports.

    Returns
    -------
    Capture
        With the reading and analysis methods of a session.

    Raises
    ------
    NotACapture
        If there is no capture.
    NewerCapture
        If a newer version of fxlive wrote it.

    Warns
    -----
    IncompleteCapture
        If files are missing or damaged. The rest can be read, and `gaps` has a row for them.

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
    from fxlive.capture.reading.folder import find_captures

    return Capture(CaptureSource(find_captures(Files(path))))


class Capture(Readable):
    """A recorded session, or several read as one; `open_capture` opens it."""

    def __init__(self, captures: CaptureSource) -> None:
        super().__init__(captures)
        self._captures = captures

    @property
    def path(self) -> str:
        """The folder of the capture, or the folder that holds several."""
        return self._captures.path

    @property
    def start(self) -> pd.Timestamp:
        """When the recording began."""
        return self._captures.start

    @property
    def end(self) -> pd.Timestamp | None:
        """When the recording was stopped; None if it continues or was cut off."""
        return self._captures.end

    @property
    def state(self) -> str:
        """``"recorded"``, or ``"unfinished"`` if a recording continues or was cut off."""
        return self._captures.state

    @property
    def incomplete(self) -> list[IncompleteCapture]:
        """The missing or damaged files found so far."""
        return self._captures.incomplete

    def at(self, time: Any) -> Capture:
        """Return the capture as the session was at a time: with the messages received by then.

        Parameters
        ----------
        time
            A time; without a zone it is UTC.

        Examples
        --------
        ``fxlive.open_capture(path).at("2014-05-08 12:30").latest("positions")`` holds the positions open at 12:30.
        """
        return Capture(CaptureSource(self._captures.folders, micros_of(time)))

    def contents(self) -> pd.DataFrame:
        """Return the size of the capture by channel.

        Returns
        -------
        DataFrame
            Indexed by `channel`: `rows`, `first_received_at`, `last_received_at` (``datetime64[us, UTC]``), `files`,
            `bytes`.
        """
        return self._captures.contents()

    # Exporting.

    def export(
        self,
        path: str | Path,
        channels: Sequence[str] | None = None,
        *,
        format: Literal["parquet", "csv", "zip"] = "parquet",
        progress: Callable[[str, int, int], None] | None = None,
    ) -> dict[str, Path]:
        """Write the capture to other files: one per channel, or all of it in one; existing files are replaced.

        Parameters
        ----------
        path
            A folder; it is created if it does not exist.
        channels
            Only these channels. Default: those with rows. A zip holds all.
        format
            ``"parquet"``, which `fxlive.read_export` reads back as an equal frame; ``"csv"``, written a million rows
            at a time; or ``"zip"``: the capture as it is, which `open_capture` opens once it is unpacked.
        progress
            Called with the name of the channel or zip, how much is written, and how much there is (rows; for a zip
            bytes).

        Returns
        -------
        dict
            The file of each channel; for a zip, the file by the capture's name.

        Raises
        ------
        CaptureError
            If a file cannot be written, or if a zip is requested of a part of the capture.
        UnknownOption
            If `format` is unknown.

        Examples
        --------
        ``fxlive.open_capture("captures").export("out", ["trades"], format="csv")``
        """
        from fxlive.capture.exporting.archive import write_csv, write_zip
        from fxlive.capture.exporting.export import files_for, write_frame

        self._captures.refresh()
        report = progress or (lambda name, done, total: None)
        if format not in _FORMATS:
            raise UnknownOption("format", format, _FORMATS)
        if format == "zip":
            if channels is not None or self._captures.until_us is not None:
                raise CaptureError(
                    "A zip holds the whole capture. Leave out the channels and the time, or export as 'parquet' or "
                    "'csv'."
                )
            name = self.path.rstrip("/").rsplit("/", 1)[-1]
            file = path_of(path, "a folder") / f"{name}.zip"
            write_zip(self._captures.folders, file, report)
            return {name: file}
        counts = self.contents()["rows"]
        requested = [channels] if isinstance(channels, str) else channels
        names = counts.index[counts > 0].tolist() if requested is None else [self._channel(name) for name in requested]
        files = files_for(names, path, format)
        for name in names:
            if format == "parquet":
                report(name, 0, int(counts[name]))
                write_frame(self.frame(name), files[name])
                report(name, int(counts[name]), int(counts[name]))
            else:
                write_csv(self._csv_chunks(name, int(counts[name]), report), files[name])
        return files

    def _csv_chunks(self, channel: str, count: int, report: Callable[[str, int, int], None]) -> Iterator[pd.DataFrame]:
        """Yield the frame of a channel about a million rows at a time, and report the progress."""
        from fxlive.capture.reading.frames import to_frame

        captures = self._captures
        definition = captures.channel(channel)
        drift = captures.undocumented(channel, complete=True)
        written = 0
        for table in captures.recorded(definition).tables(_CSV_CHUNK_ROWS):
            yield to_frame(table.to_batches(), len(table), definition, captures.vocabulary, drift)
            written += len(table)
            report(channel, written, count)

    # Other tools.

    def dataset(self, channel: str) -> pyarrow.dataset.Dataset:
        """Return a channel as a lazy ``pyarrow.dataset.Dataset`` with the columns of its files.

        Those are the columns of the frame, `arrival`, which numbers the messages of all channels, and `extra`, which
        holds all undocumented fields as JSON. If captures share messages, there is also the column `capture`, the name
        of the folder, by which the dataset leaves out the rows of a message but one.

        Parameters
        ----------
        channel
            Such as ``"trades"``.
        """
        self._captures.refresh()
        return self._captures.recorded(self._captures.channel(self._channel(channel))).dataset()

    def polars(self, channel: str) -> polars.LazyFrame:
        """Return a channel as a ``polars.LazyFrame`` with the columns of its files, as of `dataset`.

        Raises
        ------
        CaptureError
            If Polars is not installed.
        """
        from fxlive.capture.exporting.polars_frames import lazy_frame

        self._captures.refresh()
        recorded = self._captures.recorded(self._captures.channel(self._channel(channel)))
        frame: polars.LazyFrame = lazy_frame(recorded, self._captures.files)
        return frame

    def dask(self, channel: str) -> dask.dataframe.DataFrame:
        """Return a channel as a ``dask.dataframe.DataFrame`` with partitions like the frames of `frame`.

        A partition holds at most about a million rows of one file. The workers must see the capture under the same
        path; with object storage they do.

        Raises
        ------
        CaptureError
            If Dask is not installed.
        """
        from fxlive.capture.exporting.dask_frames import dask_frame

        captures = self._captures
        captures.refresh()
        definition = captures.channel(self._channel(channel))
        drift = captures.undocumented(definition.name, complete=True)
        recorded, symbols = captures.recorded(definition), captures.vocabulary.names
        frame: dask.dataframe.DataFrame = dask_frame(recorded, captures.files, symbols, drift)
        return frame

    # Charts: still figures with the names and parameters of the live ones.

    price_chart = still_charts.price_chart
    pnl_chart = still_charts.pnl_chart
    chart = still_charts.chart
    metrics_chart = still_charts.metrics_chart
    grid = still_charts.grid
    alerts_feed = still_charts.alerts_feed
    status_bar = still_charts.status_bar
    dashboard = still_charts.dashboard

    # Display.

    def __repr__(self) -> str:
        return capture_text(self.name, self.path, self.state, self.contents(), self.gaps(), self._problems())

    def _repr_html_(self) -> str:
        return capture_html(self.name, self.path, self.state, self.contents(), self.gaps(), self._problems())

    def _problems(self) -> list[str]:
        """Return the problems of the files: missing or damaged ones, and rows that other tools would count twice."""
        problems = [str(lost) for lost in self.incomplete]
        merged = [part for folder in self._captures.folders for part in folder.superseded]
        if merged:
            problems.append(
                f"{len(merged):,} files were merged into larger ones and not deleted, such as {merged[0].file}. "
                f"fxlive ignores them; delete them before other tools read {sum(map(len, merged)):,} rows twice."
            )
        return problems

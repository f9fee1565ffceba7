"""Capture: a recorded session, opened; it is read as a live one is."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd

from fxlive.capture.layout import GAPS, REJECTED
from fxlive.channels import CHANNELS, ID, Channel
from fxlive.columns import UTC, Vocabulary
from fxlive.display import capture_html, capture_text
from fxlive.drift import EXTRA, Drift
from fxlive.errors import IncompleteCapture, UnknownOption
from fxlive.readings import Readings
from fxlive.selection import keyed, micros_of, select, span_of, utc
from fxlive.store import Gap, gaps_frame
from fxlive.timestamps import NAT

# Arrow's datasets are loaded by who reads: they are a quarter of fxlive's import time, and not for everyone.
if TYPE_CHECKING:
    from fxlive.capture.files import Files
    from fxlive.capture.folder import Folder
    from fxlive.capture.reading import Recorded

_OWN = (GAPS, REJECTED)
_FORMATS = ("parquet", "csv", "zip")
_CHUNK_ROWS = 1_000_000
_CONTENTS = ["rows", "first_received_at", "last_received_at", "files", "bytes"]


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
    from fxlive.capture.files import Files
    from fxlive.capture.folder import find

    return Capture(find(Files(path)))


class Capture(Readings):
    """A recorded session, or several as one; `open_capture` opens it.

    `start` is when the recording began, and `end` when it was stopped (None while it goes on, or where it was cut off).
    """

    def __init__(self, folders: list[Folder], until_us: int | None = None) -> None:
        self._folders = folders
        self._until_us = until_us
        self._symbols = Vocabulary()
        names = dict.fromkeys("" if f.manifest is None else f.manifest.session for f in folders)
        self.name = ", ".join(name or "unknown" for name in names)

    # What it is.

    @property
    def path(self) -> str:
        """Where it lies: its folder, or that of several captures."""
        first = self._folders[0]
        return first.path if len(self._folders) == 1 else first.files.root

    @property
    def start(self) -> pd.Timestamp:
        """When the recording began."""
        return _stamp(self._folders[0].start_us)

    @property
    def end(self) -> pd.Timestamp | None:
        """When the recording was stopped; None while it goes on, or where it was cut off."""
        if self._until_us is not None:
            return _stamp(self._until_us)
        self._refresh()
        about = self._folders[-1].manifest
        return None if about is None or about.end is None else _stamp(micros_of(about.end))

    @property
    def state(self) -> str:
        """Return "recorded", or "unfinished" where a recording goes on or was cut off."""
        self._refresh()
        return "recorded" if all(folder.ended for folder in self._folders) else "unfinished"

    @property
    def channels(self) -> list[str]:
        """The channels that can be read: the seven documented ones, and any other that is in it."""
        return list(self._channels())

    def _channels(self) -> dict[str, Channel]:
        found = {c.name: c for folder in self._folders for c in folder.channels() if c not in _OWN}
        return {**CHANNELS, **found}

    @property
    def incomplete(self) -> list[IncompleteCapture]:
        """What of it is missing or damaged, as far as it was read."""
        return [lost for folder in self._folders for lost in folder.lost]

    def at(self, time: Any) -> Self:
        """Return the capture as the session was at a moment: with what had been received by then.

        Parameters
        ----------
        time
            The moment; without a zone it is UTC.

        Examples
        --------
        ``fxlive.open_capture(path).at("2014-05-08 12:30").latest("positions")`` are the positions that were open.
        """
        return type(self)(self._folders, micros_of(time))

    # Reading.

    def _refresh(self) -> None:
        for folder in self._folders:
            folder.refresh()

    def _recorded(self, channel: Channel) -> Recorded:
        from fxlive.capture.reading import Recorded

        return Recorded(channel, self._folders, self._until_us)

    def _of(self, name: str) -> Channel:
        return self._channels().get(name) or Channel(name, columns=(ID,))

    def _known(self, channel: str, *, whole: bool = False) -> Drift:
        """Return the undocumented columns of a channel's frames, and note the symbols, as the manifests tell them.

        Where a manifest is lost, or `whole` is asked of a capture without an end, they are looked for in all rows: what
        a column takes depends on those that came first.
        """
        from fxlive.capture.frames import note_drift
        from fxlive.capture.reading import pieces_of

        of = self._of(channel)
        drift = Drift(of)
        told = True
        for folder in self._folders:
            about = folder.manifest
            if about is not None:
                self._symbols.encode(about.symbols)
                drift.expect(about.drift.get(channel, {}))
            if about is None or channel not in about.drift or (whole and not folder.ended):
                told = told and not any(piece.has_extra for piece in pieces_of(folder, of))
        if not told:
            note_drift(self._recorded(of).table(columns=[EXTRA]).column(EXTRA), of, drift)
        return drift

    def _frame(self, rows: Any, channel: Channel) -> pd.DataFrame:
        from fxlive.capture.frames import to_frame

        return to_frame(rows, channel, self._symbols, self._known(channel.name))

    def _window(self, channel: str) -> pd.DataFrame:
        return self._selected(channel, None, None, None, {})

    def _selected(self, channel: str, last: Any, since: Any, until: Any, where: dict[str, Any]) -> pd.DataFrame:
        from fxlive.capture.conditions import condition

        self._refresh()
        of = self._of(channel)
        recorded = self._recorded(of)
        count = None if last is None else span_of(last)
        if isinstance(count, pd.Timedelta) and not where and until is None and self._until_us is None:
            newest = max((piece.span("timestamp")[1] for piece in recorded.pieces()), default=0)
            begin = _stamp(newest) - count
            since = begin if since is None else max(utc(since), begin)
        rows = recorded.table(
            where=condition(of, since, until, where), last=count if isinstance(count, int) and not where else None
        )
        return select(self._frame(rows, of), channel, last=last, since=since, until=until, where=where)

    def _windows(self) -> dict[str, pd.DataFrame]:
        from fxlive.capture.frames import note_symbols

        self._refresh()
        channels = self._channels()
        tables = {name: self._recorded(channel).table() for name, channel in channels.items()}
        for name, rows in tables.items():
            self._known(name)
            note_symbols(rows, channels[name], self._symbols)
        return {name: self._frame(rows, channels[name]) for name, rows in tables.items()}

    def _newest(self, channel: str) -> pd.DataFrame:
        from fxlive.capture import latest

        self._refresh()
        of = self._of(channel)
        if not of.key:
            return self._frame(self._recorded(of).table(last=0), of).iloc[:0]
        rows = self._recorded(of).rows(latest.columns(of), lambda scanned: latest.newest_places(scanned, of))
        newest = latest.without_ended(self._frame(rows, of), of)
        if of is CHANNELS["positions"]:
            closings = self._selected("trades", None, None, None, {"status": "CLOSED"})
            newest = latest.without_covered(newest, closings)
        return keyed(newest, of)

    def _attrs(self) -> dict[Hashable, Any]:
        return {"state": self.state} if self._until_us is None else {"state": self.state, "at": str(self.end)}

    def _labelled(self, frame: pd.DataFrame, channel: str) -> pd.DataFrame:
        frame = super()._labelled(frame, channel)
        if frame.index.name != "timestamp" and self._of(channel).ends:
            begins = self.gaps()["start"]
            if len(begins):
                frame.attrs["unconfirmed"] = frame.index[frame["received_at"] <= begins.iloc[-1]].tolist()
        return frame

    def gaps(self) -> pd.DataFrame:
        """Return the times in which messages may be missing: of the session, of the recorder, and of its files.

        Returns
        -------
        DataFrame
            `start`, `end` (``datetime64[us, UTC]``, NaT while it lasts), `duration_s`, `reason`, `channels` (a tuple),
            `lost_rows` (Int64; known only of what the recorder dropped or the files lack).
        """
        from fxlive.capture.gaps import gaps_of

        self._refresh()
        found = gaps_of(self._folders, self._until_us)
        frame = gaps_frame([Gap(gap.start, gap.end, gap.reason, gap.channels) for gap in found])
        frame["lost_rows"] = pd.array([gap.lost_rows for gap in found], dtype="Int64")
        return frame

    def rejected(self) -> pd.DataFrame:
        """Return the messages that could not be taken.

        Returns
        -------
        DataFrame
            Indexed by `received_at`; `reason` and `raw`, the first 64 KB of the text.
        """
        from fxlive.capture.frames import to_frame

        self._refresh()
        rows = self._recorded(REJECTED).table()
        frame = to_frame(rows, REJECTED, Vocabulary(), Drift(REJECTED))
        return frame.set_index("received_at")

    def contents(self) -> pd.DataFrame:
        """Return what is in it, by channel.

        Returns
        -------
        DataFrame
            Indexed by `channel`: `rows`, `first_received_at`, `last_received_at` (``datetime64[us, UTC]``), `files`,
            `bytes`.
        """
        self._refresh()
        found = {name: self._content(channel) for name, channel in self._channels().items()}
        frame = pd.DataFrame.from_dict(found, orient="index", columns=_CONTENTS).rename_axis("channel")
        for name in ("first_received_at", "last_received_at"):
            frame[name] = pd.array(frame[name].to_numpy(np.int64), dtype=UTC)
        return frame

    def _content(self, channel: Channel) -> tuple[int, int, int, int, int]:
        recorded = self._recorded(channel)
        pieces = recorded.pieces()
        rows = sum(len(piece.part) for piece in pieces)
        if self._until_us is not None:
            pieces = [piece for piece in pieces if piece.span("received_at")[0] <= self._until_us]
            rows = recorded.dataset().count_rows()
        if not pieces:
            return 0, NAT, NAT, 0, 0
        first = min(piece.span("received_at")[0] for piece in pieces)
        last = max(piece.span("received_at")[1] for piece in pieces)
        last = last if self._until_us is None else min(last, self._until_us)
        return rows, first, last, len(pieces), sum(piece.size_bytes for piece in pieces)

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
            Where a file cannot be written.
        UnknownOption
            For a format that there is not.

        Examples
        --------
        ``fxlive.open_capture("captures").export("out", ["trades"], format="csv")``
        """
        from fxlive.capture.archive import write_csv, write_zip
        from fxlive.capture.export import file_name, write_frame

        self._refresh()
        told = progress or (lambda what, done, total: None)
        if format not in _FORMATS:
            raise UnknownOption("format", format, _FORMATS)
        if format == "zip":
            name = self.path.rstrip("/").rsplit("/", 1)[-1]
            file = Path(path) / f"{name}.zip"
            write_zip(self._folders, file, told)
            return {name: file}
        counts = self.contents()["rows"]
        wanted = [channels] if isinstance(channels, str) else channels
        names = [self._channel(name) for name in wanted] if wanted is not None else counts.index[counts > 0].tolist()
        files: dict[str, Path] = {}
        taken: set[str] = set()
        for name in names:
            safe = file_name(name, taken)
            taken.add(safe.lower())
            files[name] = Path(path) / f"{safe}.{format}"
            if format == "parquet":
                write_frame(self.frame(name), files[name])
                told(name, int(counts[name]), int(counts[name]))
            else:
                write_csv(self._chunks(name, int(counts[name]), told), files[name])
        return files

    def _chunks(self, channel: str, count: int, told: Callable[[str, int, int], None]) -> Iterator[pd.DataFrame]:
        """Yield the frame of a channel about a million rows at a time, and tell how many of `count` there were."""
        from fxlive.capture.frames import to_frame

        of = self._of(channel)
        drift = self._known(channel, whole=True)
        rows = 0
        for table in self._recorded(of).tables(_CHUNK_ROWS):
            yield to_frame(table, of, self._symbols, drift)
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
        from fxlive.capture.tools import lazy_frame

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
        from fxlive.capture.tools import dask_frame

        self._refresh()
        of = self._of(self._channel(channel))
        drift = self._known(of.name, whole=True)
        return dask_frame(self._recorded(of), self._files, self._symbols.names, drift)

    def sql(self, query: str) -> pd.DataFrame:
        """Return the result of a SQL query; DuckDB reads only what it needs of the files.

        Each channel is a view, ``market_data`` that of ``market-data``, with the columns of the frame, `timestamp` too;
        `extra` holds all undocumented fields as JSON. ``gaps`` and ``rejected`` are what the methods of that name give.

        Parameters
        ----------
        query
            Such as ``"select symbol, avg(ask - bid) from market_data group by symbol"``.

        Raises
        ------
        CaptureError
            Where DuckDB is not installed.
        """
        from fxlive.capture import tools

        self._refresh()
        channels = {n: (self._recorded(of), self._known(n, whole=True)) for n, of in self._channels().items()}
        frames = {"gaps": self.gaps(), "rejected": self.rejected().reset_index()}
        return tools.query(query, channels, frames, self._files)

    @property
    def _files(self) -> Files:
        return self._folders[0].files

    # Showing itself.

    def __repr__(self) -> str:
        return capture_text(self.name, self.path, self.state, self.contents(), self.gaps(), self.incomplete)

    def _repr_html_(self) -> str:
        return capture_html(self.name, self.path, self.state, self.contents(), self.gaps(), self.incomplete)


def _stamp(micros: int) -> pd.Timestamp:
    return pd.Timestamp(micros, unit="us", tz="UTC")

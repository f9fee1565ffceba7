"""RecordedReadings: what can be read of captures: the rows of their files as the frames of the session that was."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from fxlive.capture.format.layout import GAPS, REJECTED
from fxlive.core.arguments import micros_of, rows_or_duration, utc
from fxlive.core.dtypes import UTC
from fxlive.core.timestamps import NAT
from fxlive.errors import CaptureError, IncompleteCapture
from fxlive.sessions.reading.readable import Readings
from fxlive.tables.gaps import Gap, gaps_frame
from fxlive.tables.selection import index_by_key, select
from fxlive.tables.vocabulary import Vocabulary
from fxlive.wire.channels import CHANNELS, ID, Channel
from fxlive.wire.undocumented import EXTRA, UndocumentedColumns

# Arrow's datasets are loaded by who reads: they are a quarter of fxlive's import time, and not for everyone.
if TYPE_CHECKING:
    from fxlive.capture.reading.folder import Folder
    from fxlive.capture.reading.rows import Recorded

_OWN = (GAPS, REJECTED)
_CONTENTS = ["rows", "first_received_at", "last_received_at", "files", "bytes"]


class RecordedReadings(Readings):
    """The methods that read, of one capture or several as one.

    Parameters
    ----------
    folders
        The captures, by their beginnings.
    until_us
        Only what had been received by this moment (microseconds); None: all.
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

    @property
    def symbols(self) -> list[str]:
        """The symbols that any channel has had, sorted."""
        self._refresh()
        for folder in self._folders:
            self._symbols.encode([] if folder.manifest is None else folder.manifest.symbols)
        if any(folder.manifest is None for folder in self._folders):  # then only the rows tell
            self._windows()
        return sorted(self._symbols.names)

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

    def _folders_anew(self) -> list[Folder]:
        """Return its folders for who plays them: each is looked at by one reader alone."""
        from fxlive.capture.reading.folder import Folder

        if self._until_us is not None:
            raise CaptureError("A capture at a moment is not played: replay the whole capture, and seek(...) there.")
        return [Folder(folder.files, folder.path) for folder in self._folders]

    def _recorded(self, channel: Channel) -> Recorded:
        from fxlive.capture.reading.rows import Recorded

        return Recorded(channel, self._folders, self._until_us)

    def _of(self, name: str) -> Channel:
        return self._channels().get(name) or Channel(name, columns=(ID,))

    def _known(self, channel: str, *, whole: bool = False) -> UndocumentedColumns:
        """Return the undocumented columns of a channel's frames, and note the symbols, as the manifests tell them.

        Where a manifest is lost, or `whole` is asked of a capture without an end, they are looked for in all rows: what
        a column takes depends on those that came first.
        """
        from fxlive.capture.reading.frames import note_drift
        from fxlive.capture.reading.rows import pieces_of

        of = self._of(channel)
        drift = UndocumentedColumns(of)
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
        from fxlive.capture.reading.frames import to_frame

        return to_frame(rows.to_batches(), len(rows), channel, self._symbols, self._known(channel.name))

    def _window(self, channel: str) -> pd.DataFrame:
        return self._selected(channel, None, None, None, {})

    def _selected(self, channel: str, last: Any, since: Any, until: Any, where: dict[str, Any]) -> pd.DataFrame:
        from fxlive.capture.reading.conditions import condition
        from fxlive.capture.reading.frames import to_frame

        self._refresh()
        of = self._of(channel)
        recorded = self._recorded(of)
        count = None if last is None else rows_or_duration(last)
        if isinstance(count, pd.Timedelta) and not where and until is None and self._until_us is None:
            newest = max((piece.span("timestamp")[1] for piece in recorded.pieces()), default=0)
            begin = _stamp(newest) - count
            since = begin if since is None else max(utc(since), begin)
        drift = self._known(channel)
        frame = recorded.made(
            lambda batches, rows: to_frame(batches, rows, of, self._symbols, drift),
            where=condition(of, since, until, where),
            last=count if isinstance(count, int) and not where else None,
        )
        return select(frame, channel, last=last, since=since, until=until, where=where)

    def _windows(self) -> dict[str, pd.DataFrame]:
        from fxlive.capture.reading.frames import note_symbols

        self._refresh()
        channels = self._channels()
        tables = {name: self._recorded(channel).table() for name, channel in channels.items()}
        for name, rows in tables.items():
            self._known(name)
            note_symbols(rows, channels[name], self._symbols)
        return {name: self._frame(rows, channels[name]) for name, rows in tables.items()}

    def _newest(self, channel: str) -> pd.DataFrame:
        from fxlive.capture.reading import latest

        self._refresh()
        of = self._of(channel)
        if not of.key:
            return self._selected(channel, 0, None, None, {})
        rows = self._recorded(of).rows(latest.columns(of), lambda scanned: latest.newest_places(scanned, of))
        newest = latest.without_ended(self._frame(rows, of), of)
        if of is CHANNELS["positions"]:
            closings = self._selected("trades", None, None, None, {"status": "CLOSED"})
            exactly = (closings["status"] == "CLOSED").to_numpy()  # as a live session has it
            newest = latest.without_covered(newest, closings[exactly])
        return index_by_key(newest, of)

    def _attrs(self) -> dict[Hashable, Any]:
        return {"state": self.state} if self._until_us is None else {"state": self.state, "at": str(self.end)}

    def _labelled(self, frame: pd.DataFrame, channel: str) -> pd.DataFrame:
        frame = super()._labelled(frame, channel)
        if frame.index.name != "timestamp" and self._of(channel).ends:
            frame.attrs["known_since"] = self.start.isoformat()  # what was open then is here once it moved
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
        from fxlive.capture.reading.gaps import gaps_of

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
        from fxlive.capture.reading.frames import to_frame

        self._refresh()
        rows = self._recorded(REJECTED).table()
        frame = to_frame(rows.to_batches(), len(rows), REJECTED, Vocabulary(), UndocumentedColumns(REJECTED))
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


def _stamp(micros: int) -> pd.Timestamp:
    return pd.Timestamp(micros, unit="us", tz="UTC")

"""CaptureSource: the rows of one or several captures on disk."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fxlive.capture.format.layout import OWN_CHANNELS, REJECTED
from fxlive.core.arguments import micros_of, rows_or_duration, utc
from fxlive.core.dtypes import UTC
from fxlive.core.timestamps import NAT
from fxlive.errors import CaptureError, IncompleteCapture
from fxlive.tables.columns.vocabulary import Vocabulary
from fxlive.tables.gaps import Gap, gaps_frame
from fxlive.tables.open_rows.unconfirmed import unconfirmed_attrs
from fxlive.tables.selection import index_by_key, select
from fxlive.wire.channels import CHANNELS, ID, Channel
from fxlive.wire.messages import Kind
from fxlive.wire.undocumented.columns import EXTRA, UndocumentedColumns

# Arrow's datasets are imported when a capture is read: they are a quarter of fxlive's import time.
if TYPE_CHECKING:
    from fxlive.capture.format.notes import Gap as RecordedGap
    from fxlive.capture.reading.files import Files
    from fxlive.capture.reading.folder import Folder
    from fxlive.capture.reading.rows import ChannelReader

_CONTENTS = ["rows", "first_received_at", "last_received_at", "files", "bytes"]


class CaptureSource:
    """The rows, gaps and rejected messages of captures, as a `Source`. Several captures are read as one.

    Each call looks at the folders again, so a capture that is still being recorded grows.

    Parameters
    ----------
    folders
        The captures, sorted by their start.
    until_us
        Only what had been received by this time, in microseconds since 1970 UTC; None for everything.
    """

    def __init__(self, folders: list[Folder], until_us: int | None = None) -> None:
        self.folders = folders
        self.until_us = until_us
        self.vocabulary = Vocabulary()
        names = dict.fromkeys("" if f.manifest is None else f.manifest.session for f in folders)
        self.name = ", ".join(name or "unknown" for name in names)

    # About the captures.

    @property
    def path(self) -> str:
        """The folder of the capture, or the folder that holds several."""
        first = self.folders[0]
        return first.path if len(self.folders) == 1 else first.files.root

    @property
    def files(self) -> Files:
        """The file system that holds the captures."""
        return self.folders[0].files

    @property
    def start(self) -> pd.Timestamp:
        """When the first recording began."""
        return to_timestamp(self.folders[0].start_us)

    @property
    def end(self) -> pd.Timestamp | None:
        """When the last recording was stopped; None if it continues or was cut off."""
        if self.until_us is not None:
            return to_timestamp(self.until_us)
        self.refresh()
        manifest = self.folders[-1].manifest
        return None if manifest is None or manifest.end is None else to_timestamp(micros_of(manifest.end))

    @property
    def state(self) -> str:
        """``"recorded"``, or ``"unfinished"`` if a recording continues or was cut off."""
        self.refresh()
        return "recorded" if all(folder.ended for folder in self.folders) else "unfinished"

    @property
    def incomplete(self) -> list[IncompleteCapture]:
        """The missing or damaged files found so far."""
        return [problem for folder in self.folders for problem in folder.incomplete]

    def refresh(self) -> None:
        """List the files again where a recording may have added some."""
        for folder in self.folders:
            folder.refresh()

    def reopened_folders(self) -> list[Folder]:
        """Return new `Folder` objects of the captures, for a replay: a `Folder` serves one reader.

        Raises
        ------
        CaptureError
            If the source is limited to a time.
        """
        from fxlive.capture.reading.folder import Folder

        if self.until_us is not None:
            raise CaptureError(
                "A capture limited to a time cannot be replayed. Replay the whole capture, then call seek(...)."
            )
        return [Folder(folder.files, folder.path) for folder in self.folders]

    def contents(self) -> pd.DataFrame:
        """Return rows, times, files and bytes by channel; see `Capture.contents`."""
        self.refresh()
        contents = {name: self._content(channel) for name, channel in self._channels().items()}
        frame = pd.DataFrame.from_dict(contents, orient="index", columns=_CONTENTS).rename_axis("channel")
        for name in ("first_received_at", "last_received_at"):
            frame[name] = pd.array(frame[name].to_numpy(np.int64), dtype=UTC)
        return frame

    def _content(self, channel: Channel) -> tuple[int, int, int, int, int]:
        recorded = self.recorded(channel)
        found = recorded.found()
        part_files = found.part_files
        rows = sum(len(part_file.part) for part_file in part_files) - found.repeated_rows
        if self.until_us is not None:
            part_files = [part_file for part_file in part_files if part_file.span("received_at")[0] <= self.until_us]
            rows = recorded.dataset().count_rows()
        if not part_files:
            return 0, NAT, NAT, 0, 0
        first = min(part_file.span("received_at")[0] for part_file in part_files)
        last = max(part_file.span("received_at")[1] for part_file in part_files)
        last = last if self.until_us is None else min(last, self.until_us)
        return rows, first, last, len(part_files), sum(part_file.size_bytes for part_file in part_files)

    # Channels, symbols and undocumented columns.

    @property
    def channels(self) -> list[str]:
        return list(self._channels())

    def _channels(self) -> dict[str, Channel]:
        recorded = {c.name: c for folder in self.folders for c in folder.channels() if c not in OWN_CHANNELS}
        return {**CHANNELS, **recorded}

    def channel(self, name: str) -> Channel:
        """Return the definition of a channel by its name."""
        return self._channels().get(name) or Channel(name, columns=(ID,))

    @property
    def symbols(self) -> list[str]:
        self.refresh()
        for folder in self.folders:
            self.vocabulary.encode([] if folder.manifest is None else folder.manifest.symbols)
        if any(folder.manifest is None or folder.manifest.lacks_symbols for folder in self.folders):
            self._note_recorded_symbols()
        return sorted(self.vocabulary.names)

    def _note_recorded_symbols(self) -> None:
        from fxlive.capture.reading.frames import note_symbols

        for channel in self._channels().values():
            columns = [column.name for column in channel.columns if column.kind is Kind.SYMBOL]
            if columns:
                note_symbols(self.recorded(channel).table(columns=columns), channel, self.vocabulary)

    def undocumented(self, channel: str, *, complete: bool = False) -> UndocumentedColumns:
        """Return the undocumented columns of a channel, and add the manifests' symbols to the vocabulary.

        The columns are read from the manifests. They are searched for in all rows if a manifest is missing, or if
        `complete` is asked of a capture without an end: the dtype of a column depends on its first values.
        """
        from fxlive.capture.reading.frames import note_drift
        from fxlive.capture.reading.rows import part_files_of

        definition = self.channel(channel)
        drift = UndocumentedColumns(definition)
        in_manifests = True
        for folder in self.folders:
            manifest = folder.manifest
            if manifest is not None:
                self.vocabulary.encode(manifest.symbols)
                drift.expect(manifest.drift.get(channel, {}))
            if manifest is None or channel not in manifest.drift or (complete and not folder.ended):
                has_extra = any(part_file.has_extra for part_file in part_files_of(folder, definition))
                in_manifests = in_manifests and not has_extra
        if not in_manifests:
            note_drift(self.recorded(definition).table(columns=[EXTRA]).column(EXTRA), definition, drift)
        return drift

    # Rows.

    def recorded(self, channel: Channel) -> ChannelReader:
        """Return the recorded rows of a channel, as Arrow data."""
        from fxlive.capture.reading.rows import ChannelReader

        return ChannelReader(channel, self.folders, self.until_us)

    def rows(
        self,
        channel: str,
        *,
        last: Any = None,
        since: Any = None,
        until: Any = None,
        where: Mapping[str, Any] | None = None,
    ) -> pd.DataFrame:
        from fxlive.capture.reading.conditions import condition
        from fxlive.capture.reading.frames import to_frame

        self.refresh()
        where = dict(where or {})
        definition = self.channel(channel)
        recorded = self.recorded(definition)
        span = None if last is None else rows_or_duration(last)
        end_us = recorded.end_us() if isinstance(span, pd.Timedelta) else None
        if isinstance(span, pd.Timedelta) and end_us is not None and not where and until is None:
            start = to_timestamp(end_us) - span
            since = start if since is None else max(utc(since), start)
        drift = self.undocumented(channel)
        frame = recorded.build(
            lambda batches, rows: to_frame(batches, rows, definition, self.vocabulary, drift),
            where=condition(definition, since, until, where),
            last=span if isinstance(span, int) and not where else None,
        )
        return select(frame, channel, last=last, since=since, until=until, where=where, end_us=end_us)

    def snapshot(self) -> dict[str, pd.DataFrame]:
        from fxlive.capture.reading.frames import note_symbols

        self.refresh()
        channels = self._channels()
        tables = {name: self.recorded(channel).table() for name, channel in channels.items()}
        for name, rows in tables.items():
            self.undocumented(name)
            note_symbols(rows, channels[name], self.vocabulary)
        return {name: self._frame(rows, channels[name]) for name, rows in tables.items()}

    def _frame(self, rows: Any, channel: Channel) -> pd.DataFrame:
        from fxlive.capture.reading.frames import to_frame

        return to_frame(rows.to_batches(), len(rows), channel, self.vocabulary, self.undocumented(channel.name))

    def latest(self, channel: str) -> pd.DataFrame:
        from fxlive.capture.reading import latest

        self.refresh()
        definition = self.channel(channel)
        if not definition.key:
            return self.rows(channel, last=0)
        recorded = self.recorded(definition)
        rows = recorded.rows(latest.columns(definition), lambda scanned: latest.newest_rows(scanned, definition))
        newest = latest.without_ended(self._frame(rows, definition), definition)
        if definition is CHANNELS["positions"]:
            trades = self.rows("trades", where={"ticket": newest["ticket"].tolist()})
            newest = latest.without_covered(newest, trades)
        if definition.ends is not None:
            newest = newest.assign(confirmed=self._are_confirmed(newest, definition))
        return index_by_key(newest, definition)

    def _are_confirmed(self, newest: pd.DataFrame, channel: Channel) -> Any:
        """Return whether each position or order has ended, or was confirmed after the last gap.

        Its newest row, an older row that came late, or a message that was received before confirms it.
        """
        from fxlive.capture.reading import latest

        after_us = latest.end_of_last_gap(self._gaps_of(channel.name))
        if after_us is None:
            return np.ones(len(newest), np.bool_)
        key = channel.key[0]
        confirmed = latest.are_certain(newest, channel, after_us)
        if not confirmed.all():
            late = self.rows(channel.name, where={key: newest.loc[~confirmed, key].tolist()})
            confirmed |= newest[key].isin(late.loc[latest.received_us(late) > after_us, key]).to_numpy(np.bool_)
            notes = latest.confirmations_of(self.folders, self.until_us)
            recent = [key for at, name, key in notes if name == channel.name and at > after_us]
            confirmed |= newest[key].isin(recent).to_numpy(np.bool_)
        return confirmed

    def _gaps_of(self, channel: str) -> list[RecordedGap]:
        """Return the gaps of a channel, sorted by start."""
        from fxlive.capture.reading.gaps import gaps_of

        return [gap for gap in gaps_of(self.folders, self.until_us) if not gap.channels or channel in gap.channels]

    def gaps(self) -> pd.DataFrame:
        from fxlive.capture.reading.gaps import gaps_of

        self.refresh()
        gaps = gaps_of(self.folders, self.until_us)
        frame = gaps_frame([Gap(gap.start, gap.end, gap.reason, gap.channels) for gap in gaps])
        frame["lost_rows"] = pd.array([gap.lost_rows for gap in gaps], dtype="Int64")
        return frame

    def rejected(self) -> pd.DataFrame:
        from fxlive.capture.reading.frames import to_frame

        self.refresh()
        rows = self.recorded(REJECTED).table()
        frame = to_frame(rows.to_batches(), len(rows), REJECTED, Vocabulary(), UndocumentedColumns(REJECTED))
        return frame.set_index("received_at")

    def sql(self, query: str) -> pd.DataFrame:
        from fxlive.capture.exporting import sql

        self.refresh()

        def view(name: str, channel: Channel) -> sql.View:
            return sql.view_of(self.recorded(channel), self.undocumented(name, complete=True), self.files)

        channels = {name: partial(view, name, channel) for name, channel in self._channels().items()}
        others = {"gaps": self.gaps, "rejected": lambda: self.rejected().reset_index()}
        return sql.query(query, channels, others, files=self.files, folders=self.folders)

    # About frames.

    def attrs(self, channel: str, frame: pd.DataFrame) -> dict[Hashable, Any]:
        attrs: dict[Hashable, Any] = {"state": self.state}
        if self.until_us is not None:
            attrs["at"] = str(self.end)
        is_latest = frame.index.name != "timestamp"
        if is_latest and self.channel(channel).ends:
            attrs["known_since"] = self.start.isoformat()  # what was open at the start is here once it changed
            gaps = self._gaps_of(channel)
            if gaps:
                attrs |= unconfirmed_attrs(frame, gaps[-1].start, gaps[-1].end)
        return attrs

    def check_subscribed(self, *channels: str) -> None:
        pass  # a capture does not know what was subscribed

    def has_evicted(self, channel: str) -> bool:
        return False


def to_timestamp(micros: int) -> pd.Timestamp:
    """Return microseconds since 1970 UTC as a Timestamp."""
    return pd.Timestamp(micros, unit="us", tz="UTC")

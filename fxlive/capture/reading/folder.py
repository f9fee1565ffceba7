"""The folder of one capture: which files count, which rows are missing, and what can be read.

Only files found in the capture's own folder are read; paths that files contain are ignored. A problem with a file is
reported once, as an `IncompleteCapture` warning, and the missing rows appear in `gaps`.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from fxlive.capture.format import layout, manifest
from fxlive.capture.format.layout import GAPS, MANIFEST, REJECTED, Part
from fxlive.capture.format.manifest import Manifest
from fxlive.capture.format.notes import Gap
from fxlive.capture.format.schema import schema
from fxlive.capture.reading.files import Entry, Files
from fxlive.capture.reading.part_file import CAPTURE, FORMAT, PartFile, mismatch
from fxlive.core.shown_text import counted
from fxlive.errors import CaptureError, IncompleteCapture, NewerCapture, NotACapture
from fxlive.wire.channels import CHANNELS, ID, Channel

log = logging.getLogger("fxlive")


class Folder:
    """The folder of one capture. Until the recording has ended, `refresh` looks for new parts.

    Parameters
    ----------
    files
        The files of the folder that was opened.
    path
        The path of the capture's folder.

    Attributes
    ----------
    name
        The name of the folder.
    manifest
        The manifest; None if it is missing or invalid.
    incomplete
        The problems found so far.
    superseded
        Parts that were merged into larger ones but not deleted, because the recorder was interrupted.
    log_only
        Whether problems are logged without a warning. For readers on a background thread, whose warnings nobody sees.
    repeats
        The rows that repeat rows of another capture, by its path and the channel, as `find_repeats` keeps them.

    Raises
    ------
    NewerCapture
        If a newer version of fxlive wrote the capture.
    """

    def __init__(self, files: Files, path: str) -> None:
        self.files = files
        self.path = path
        self.name = path.rstrip("/").rsplit("/", 1)[-1]
        self.incomplete: list[IncompleteCapture] = []
        self.superseded: list[Part] = []
        self.log_only = False
        self.repeats: dict[tuple[str, str], Any] = {}
        self._warned: set[tuple[str, str]] = set()
        self._names: dict[str, str] = {}  # of channels, by folder
        self._part_files: dict[Path, PartFile] = {}
        self._sizes: dict[Path, int] = {}
        self._excluded: dict[Part, str] = {}  # with the reason
        self._missing_rows: dict[str, list[Gap]] = {}
        self._lock = threading.RLock()  # the list of parts, the open parts and the excluded parts change together
        self._parts: dict[str, list[Part]] | None = None
        self.manifest = self._read_manifest()

    # Manifest, channels and parts.

    @property
    def ended(self) -> bool:
        """Whether the recording was stopped. Otherwise it is still running, or was interrupted."""
        return self.manifest is not None and self.manifest.end is not None

    @property
    def start_us(self) -> int:
        """The start of the recording in microseconds; without a manifest, the time in the folder's name, or 0."""
        if self.manifest is not None:
            return manifest.to_micros(self.manifest.start)
        with suppress(ValueError):
            date, time = self.name[:10], self.name[11:17]
            return manifest.to_micros(f"{date}T{time[:2]}:{time[2:4]}:{time[4:6]}")
        return 0

    def refresh(self) -> None:
        """Reload the manifest and the list of parts, unless the recording has ended."""
        if not self.ended:
            self.reload()

    def reload(self) -> None:
        """Reload the manifest and the list of parts."""
        with self._lock:
            self.manifest = self._read_manifest()  # before the parts: they are never older than the manifest
            self._parts = None

    def channels(self) -> list[Channel]:
        """Return the channels that have rows, or should have: those of the manifest, then others."""
        names = {entry.folder: name for name, entry in self._entries().items()}
        if self._expected_rows(REJECTED):
            names[layout.channel_folder(REJECTED)] = REJECTED.name
        channels = []
        for folder in dict.fromkeys([*names, *self.parts()]):
            name = names.get(folder) or self._channel_name(folder)
            if name is None:
                self.warn(f"{self.path}/{folder}", "is not named as the folder of a channel: its rows were left out.")
                continue
            channels.append(_OWN_CHANNELS.get(folder) or CHANNELS.get(name) or Channel(name, columns=(ID,)))
        return channels

    def _channel_name(self, folder: str) -> str | None:
        """Return the name of a folder's channel; None if the folder is not one of a channel.

        A very long name is cut in the folder's name, but complete in the metadata of the parts.
        """
        if folder in _OWN_CHANNELS:
            return _OWN_CHANNELS[folder].name
        if folder not in self._names:
            names = chain([layout.channel_of(folder)], map(self._name_in_metadata, self.parts().get(folder, [])))
            name = next((name for name in names if layout.channel_folder(Channel(name)) == folder), None)
            if name is None:
                return None
            self._names[folder] = name
        return self._names[folder]

    def _name_in_metadata(self, part: Part) -> str:
        try:
            fragment = FORMAT.make_fragment(part.file.as_posix(), self.files.filesystem)
            return str((fragment.physical_schema.metadata or {}).get(b"fxlive.channel", b"").decode())
        except (OSError, pa.ArrowException, UnicodeDecodeError):  # reported when the part is read
            return ""

    def _entries(self) -> dict[str, manifest.ChannelEntry]:
        """Return the channels of the manifest; those with an unexpected folder name are ignored."""
        entries = {} if self.manifest is None else self.manifest.channels
        return {name: entry for name, entry in entries.items() if layout.channel_folder(Channel(name)) == entry.folder}

    def parts(self) -> dict[str, list[Part]]:
        """Return the parts that count, by the name of the channel's folder, in the order of their rows."""
        with self._lock:
            if self._parts is None:
                self._parts = self._list_parts()
            return self._parts

    def _list_parts(self) -> dict[str, list[Part]]:
        by_date: dict[tuple[str, str], list[Part]] = {}
        for folder in self._entries_in(self.path):
            if folder.folder and folder.name.startswith("channel="):
                if self.files.is_link(folder.path):
                    self.warn(folder.path, f"{_IS_LINK}: its rows were left out.")
                    continue
                for part in self._parts_in(folder.path):
                    if part not in self._excluded:  # an invalid part must not hide the parts that its name includes
                        by_date.setdefault((part.channel_folder, part.date), []).append(part)
        parts: dict[str, list[Part]] = {}
        self.superseded = []
        for (channel, _), listed in by_date.items():
            current = layout.current_parts(listed)
            parts.setdefault(channel, []).extend(current)
            self.superseded += sorted(set(listed) - set(current), key=lambda part: part.file)
        files = {part.file for channel_parts in parts.values() for part in channel_parts}
        self._part_files = {file: part_file for file, part_file in self._part_files.items() if file in files}
        self._sizes = {file: size for file, size in self._sizes.items() if file in files}
        return {name: sorted(channel_parts, key=lambda part: part.start) for name, channel_parts in parts.items()}

    def _parts_in(self, folder: str) -> Iterator[Part]:
        for entry in self._files_of_dates(folder):
            part = None if entry.folder else layout.part_of(Path(entry.path))
            if part is None or Path(entry.path).parents[1].as_posix() != folder:
                continue
            if self.files.is_link(entry.path):
                self.warn(entry.path, f"{_IS_LINK}: its rows were left out.")
                continue
            if not entry.regular:
                self.warn(entry.path, "is not a regular file: its rows were left out.")
                continue
            self._sizes[part.file] = entry.size_bytes
            yield part

    def _files_of_dates(self, folder: str) -> Iterator[Entry]:
        """Yield the files in a channel's folders of dates. Links to other folders are not followed."""
        if not self.files.local:  # one request for all, because an object storage has no links
            yield from self._entries_in(folder, deep=True)
            return
        for date in self._entries_in(folder):
            if date.folder and self.files.is_link(date.path):
                self.warn(date.path, f"{_IS_LINK}: its rows were left out.")
            elif date.folder:
                yield from self._entries_in(date.path)

    def _entries_in(self, folder: str, *, deep: bool = False) -> list[Entry]:
        try:
            return self.files.entries(folder, deep=deep)
        except OSError as error:
            raise unreadable(folder, error) from error

    def _read_manifest(self) -> Manifest | None:
        file = f"{self.path}/{MANIFEST}"
        try:
            return manifest.decode(self.files.read(file, manifest.MAX_BYTES), file)
        except NewerCapture:
            raise
        except FileNotFoundError:
            self.warn(file, "is missing: the name of the session and the expected number of rows are unknown.")
        except (OSError, CaptureError) as error:
            self.warn(file, f"could not be read, so the expected number of rows is unknown ({error}).")
        return None

    # Reading parts.

    def part_files(self, channel: Channel) -> list[PartFile]:
        """Return the readable parts of a channel, in the order of their rows; exclude and report the others.

        Raises
        ------
        FileNotFoundError
            If a recorder has merged and deleted a part since the parts were listed.
        NewerCapture
            If a newer version of fxlive wrote one.
        CaptureError
            If the storage cannot be read at present.
        """
        folder = layout.channel_folder(channel)
        with self._lock:
            while True:  # excluding a part may uncover others that its name includes
                parts, excluded = self.parts().get(folder, []), len(self._excluded)
                for part in parts:
                    if self._check_regular(part) and part.file not in self._part_files:
                        self._open(part, channel)
                if len(self._excluded) == excluded:
                    break
            part_files = [self._part_files[part.file] for part in parts]
            self._find_missing_rows(channel, part_files)
        return part_files

    def _check_regular(self, part: Part) -> bool:
        """Return whether a part is a regular file; exclude it otherwise, before it is opened."""
        try:
            self.files.check_regular(part.file.as_posix())
        except FileNotFoundError:
            raise
        except OSError as error:
            self._exclude(part, f"cannot be read ({error.strerror})")
            return False
        return True

    def _open(self, part: Part, channel: Channel) -> None:
        """Read the footer of a part; exclude the part if it is invalid."""
        for last_try in (False, True):
            of_this = ds.field(CAPTURE) == self.name
            fragment = FORMAT.make_fragment(part.file.as_posix(), self.files.filesystem, partition_expression=of_this)
            try:
                fragment.ensure_complete_metadata()
                difference = mismatch(fragment, part, channel)
                break
            except FileNotFoundError:
                raise
            except (OSError, pa.ArrowException) as error:
                if self.exclude_if_damaged(part, channel, error):
                    return
                if last_try:
                    raise unreadable(part.file.as_posix(), error) from error
        if difference is None:
            part_file = PartFile(part, fragment, self._sizes.get(part.file, 0))
            difference = part_file.invalid_times() or part_file.missing_values(channel)
        if difference is None:
            self._part_files[part.file] = part_file
        else:
            self._exclude(part, difference)

    def exclude_if_damaged(self, part: Part, channel: Channel, error: Exception) -> bool:
        """Find out whether an error came from the content of a part or from the storage; exclude a damaged part.

        Returns
        -------
        bool
            Whether the part is damaged.

        Raises
        ------
        FileNotFoundError
            If a recorder has merged and deleted the part.
        CaptureError
            If the storage cannot be read at present.
        """
        if isinstance(error, MemoryError):
            raise error
        try:
            content = pa.BufferReader(self.files.read(part.file.as_posix()))
        except FileNotFoundError:
            raise
        except OSError as storage_error:
            raise unreadable(part.file.as_posix(), storage_error) from error
        try:
            for _ in FORMAT.make_fragment(content).to_batches(schema=schema(channel)):
                pass
        except MemoryError:
            raise
        except (OSError, pa.ArrowException) as damage:
            self._exclude(part, f"cannot be read ({first_line(damage)})")
            return True
        return False

    def _exclude(self, part: Part, reason: str) -> None:
        with self._lock:
            self._part_files.pop(part.file, None)
            self._excluded[part] = reason
            self._parts = None

    # Missing rows.

    def missing_rows(self, channel: Channel) -> list[Gap]:
        """Return gaps for the rows of a channel that the manifest or the row numbers call for and no part has."""
        self.part_files(channel)
        return self._missing_rows[layout.channel_folder(channel)]

    def _find_missing_rows(self, channel: Channel, part_files: Sequence[PartFile]) -> None:
        folder = layout.channel_folder(channel)
        excluded = {part: 0 for part in self._excluded if part.channel_folder == folder}
        first, last = self._received_span(channel)
        gaps = []
        for start, stop, part in self._missing_ranges(channel, [file.part for file in part_files], list(excluded)):
            before = [file.span("received_at")[1] for file in part_files if file.part.stop <= start]
            after = [file.span("received_at")[0] for file in part_files if file.part.start >= stop]
            gap_start, gap_end = max(before, default=first), min(after, default=last)
            cause = "no file has these rows" if part is None else f"{part.file.name} {self._excluded[part]}"
            gaps.append(Gap(gap_start, gap_end, f"missing in the capture: {cause}", (channel.name,), stop - start))
            if part is None:
                self.warn(f"{self.path}/{folder}", f"lacks {counted(stop - start, 'row')}, which no file has.")
            else:
                excluded[part] += stop - start
        for part, rows in excluded.items():
            missing = (
                f"{counted(rows, 'row')} {'is' if rows == 1 else 'are'} missing"
                if rows
                else "its rows are in other files"
            )
            self.warn(part.file.as_posix(), f"{self._excluded[part]}: {missing}.")
        self._missing_rows[folder] = gaps

    def _missing_ranges(
        self, channel: Channel, readable: Sequence[Part], excluded: Sequence[Part]
    ) -> Iterator[tuple[int, int, Part | None]]:
        """Yield ranges of missing row numbers, each with the excluded part that had the rows; None if there is none."""
        expected = self._expected_rows(channel)
        end = expected if self.ended and expected else max([expected, *(part.stop for part in excluded)])
        row = 0
        for start, stop in [*((part.start, part.stop) for part in readable), (end, end)]:
            while row < start:
                part = next((part for part in excluded if part.start <= row < part.stop), None)
                ends = [part.stop] if part is not None else [p.start for p in excluded if p.start > row]
                range_stop = min([start, *ends])
                yield row, range_stop, part
                row = range_stop
            row = max(row, stop)

    def _expected_rows(self, channel: Channel) -> int:
        """Return the least number of rows that a channel should have. The manifest may be older than the parts."""
        if channel is REJECTED:
            return 0 if self.manifest is None else self.manifest.rejected
        entry = None if channel is GAPS else self._entries().get(channel.name)
        return 0 if entry is None else entry.rows

    def _received_span(self, channel: Channel) -> tuple[int, int | None]:
        """Return the first and the last receipt of a channel, or else of the recording; None if the end is unknown."""
        entry = None if channel in _OWN_CHANNELS.values() else self._entries().get(channel.name)
        if entry is not None:
            return manifest.to_micros(entry.first_received_at), manifest.to_micros(entry.last_received_at)
        end = None if self.manifest is None else self.manifest.end
        return self.start_us, None if end is None else manifest.to_micros(end)

    def warn(self, file: str, problem: str) -> None:
        """Report a problem with a file; the same problem is reported once."""
        if (file, problem) not in self._warned:
            self._warned.add((file, problem))
            self.incomplete.append(IncompleteCapture(file, problem))
            if self.log_only:
                log.warning("%s", self.incomplete[-1])
            else:
                warnings.warn(self.incomplete[-1], stacklevel=2)


_IS_LINK = "is a link, which may point outside the capture"
_OWN_CHANNELS = {layout.channel_folder(channel): channel for channel in layout.OWN_CHANNELS}


def unreadable(file: str, error: Exception) -> CaptureError:
    """Return the error for a file that cannot be read because of the storage, not because of its content."""
    return CaptureError(f"{file} cannot be read at present: {first_line(error)}. No rows were left out; try again.")


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, cut to 200 characters; the type's name if it has no message."""
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def find_captures(files: Files) -> list[Folder]:
    """Return the capture at a path, or the captures in its subfolders, sorted by start.

    Raises
    ------
    NotACapture
        If there is no capture.
    """
    try:
        if not files.is_folder(files.root):
            raise NotACapture(files.shown, "there is no such folder")
        entries = files.entries(files.root)
        if _is_capture(entries):
            return [Folder(files, files.root)]
        paths = [entry.path for entry in entries if entry.folder and _is_capture(files.entries(entry.path))]
    except OSError as error:
        raise NotACapture(files.shown, f"it cannot be read ({first_line(error)})") from error
    if not paths:
        reason = f"neither the folder nor its subfolders have a {MANIFEST} or folders of channels"
        raise NotACapture(files.shown, reason)
    return sorted((Folder(files, path) for path in paths), key=lambda folder: (folder.start_us, folder.name))


def _is_capture(entries: Iterable[Any]) -> bool:
    return any(e.name == MANIFEST or (e.folder and e.name.startswith("channel=")) for e in entries)

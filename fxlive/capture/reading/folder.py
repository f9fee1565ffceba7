"""A capture's folder as it is found: which of its files count, what is missing among them, and what can be read.

Nothing is taken from a file that has not been found in the capture's own folder, and nothing that a file holds names
another. What cannot be read is told once as an `IncompleteCapture`, and is a hole that `gaps` shows.
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

from fxlive.capture.format import layout, manifest
from fxlive.capture.format.layout import GAPS, MANIFEST, REJECTED, Part
from fxlive.capture.format.manifest import Manifest
from fxlive.capture.format.notes import Gap
from fxlive.capture.format.schema import schema
from fxlive.capture.reading.files import Entry, Files
from fxlive.capture.reading.part_file import FORMAT, PartFile, mismatch
from fxlive.errors import CaptureError, IncompleteCapture, NewerCapture, NotACapture
from fxlive.wire.channels import CHANNELS, ID, Channel

log = logging.getLogger("fxlive")


class Folder:
    """One capture, as it lies there: while it has no end it is looked at anew each time.

    Parameters
    ----------
    files
        Where it lies.
    path
        Its folder there.

    Raises
    ------
    NewerCapture
        Where it is of a newer format.
    """

    def __init__(self, files: Files, path: str) -> None:
        self.files = files
        self.path = path
        self.name = path.rstrip("/").rsplit("/", 1)[-1]
        self.lost: list[IncompleteCapture] = []
        self.superseded: list[Part] = []  # merged into larger ones, but not taken away: the recorder was cut off
        self.quiet = False  # what is read on a background thread warns nobody: it is logged
        self._told: set[tuple[str, str]] = set()
        self._part_files: dict[Path, PartFile] = {}
        self._sizes: dict[Path, int] = {}
        self._damaged: dict[Part, str] = {}
        self._holes: dict[str, list[Gap]] = {}
        self._lock = threading.RLock()  # what is listed, examined and told of belongs together
        self._parts: dict[str, list[Part]] | None = None
        self.manifest = self._read_manifest()

    # What is there.

    @property
    def ended(self) -> bool:
        """Whether the recording was stopped: if not, it goes on, or was cut off."""
        return self.manifest is not None and self.manifest.end is not None

    @property
    def start_us(self) -> int:
        """When the recording began, or what its name says of that."""
        if self.manifest is not None:
            return manifest.micros(self.manifest.start)
        with suppress(ValueError):
            date, time = self.name[:10], self.name[11:17]
            return manifest.micros(f"{date}T{time[:2]}:{time[2:4]}:{time[4:6]}")
        return 0

    def refresh(self) -> None:
        """Look anew while it has no end: which parts there are, and whether it has ended."""
        if not self.ended:
            self.look_anew()

    def look_anew(self) -> None:
        """Look anew, which parts there are."""
        with self._lock:
            self.manifest = self._read_manifest()  # first: the parts are never behind it
            self._parts = None

    def channels(self) -> list[Channel]:
        """Return the channels that have rows or should have, by their coming, and the recorder's own."""
        names = {entry.folder: name for name, entry in self._entries().items()}
        if self._expected(REJECTED):
            names[layout.channel_folder(REJECTED)] = REJECTED.name
        found = []
        for folder in dict.fromkeys([*names, *self.parts()]):
            name = names.get(folder) or self._name_of(folder)
            if name is None:
                self.tell(f"{self.path}/{folder}", "is not named as the folder of a channel: its rows were left out.")
                continue
            found.append(_OWN.get(folder) or CHANNELS.get(name) or Channel(name, columns=(ID,)))
        return found

    def _name_of(self, folder: str) -> str | None:
        """Return the channel whose folder this is; a very long name is in its parts alone, where no manifest is."""
        if folder in _OWN:
            return _OWN[folder].name
        names = chain([layout.channel_of(folder)], map(self._noted_in, self.parts().get(folder, [])))
        return next((name for name in names if layout.channel_folder(Channel(name)) == folder), None)

    def _noted_in(self, part: Part) -> str:
        try:
            noted = FORMAT.make_fragment(part.file.as_posix(), self.files.filesystem).physical_schema.metadata or {}
            return str(noted.get(b"fxlive.channel", b"").decode())
        except (OSError, pa.ArrowException, UnicodeDecodeError):  # who reads it says what is wrong with it
            return ""

    def _entries(self) -> dict[str, manifest.ChannelEntry]:
        """Return what the manifest says of channels whose folders are named as they should be."""
        entries = {} if self.manifest is None else self.manifest.channels
        return {name: entry for name, entry in entries.items() if layout.channel_folder(Channel(name)) == entry.folder}

    def parts(self) -> dict[str, list[Part]]:
        """Return the parts that count by the names of their channels' folders, in the order of their rows."""
        with self._lock:
            if self._parts is None:
                self._parts = self._listed()
            return self._parts

    def _listed(self) -> dict[str, list[Part]]:
        by_date: dict[tuple[str, str], list[Part]] = {}
        for folder in self._entries_in(self.path):
            if folder.folder and folder.name.startswith("channel="):
                for part in self._parts_in(folder.path):
                    if part not in self._damaged:  # it must not hide those that it claims to have been merged from
                        by_date.setdefault((part.channel_folder, part.date), []).append(part)
        parts: dict[str, list[Part]] = {}
        self.superseded = []
        for (channel, _), some in by_date.items():
            counted = layout.uncovered(some)
            parts.setdefault(channel, []).extend(counted)
            self.superseded += sorted(set(some) - set(counted), key=lambda part: part.file)
        there = {part.file for some in parts.values() for part in some}
        self._part_files = {file: part_file for file, part_file in self._part_files.items() if file in there}
        self._sizes = {file: size for file, size in self._sizes.items() if file in there}
        return {name: sorted(some, key=lambda part: part.start) for name, some in parts.items()}

    def _parts_in(self, folder: str) -> Iterator[Part]:
        for entry in self._entries_in(folder, deep=True):
            part = None if entry.folder else layout.part_of(Path(entry.path))
            if part is None or Path(entry.path).parents[1].as_posix() != folder:
                continue
            if any(self.files.leads_out(path) for path in (folder, str(part.file.parent), entry.path)):
                self.tell(entry.path, "is a link, which may lead anywhere: its rows were left out.")
                continue
            self._sizes[part.file] = entry.size_bytes
            yield part

    def _entries_in(self, folder: str, *, deep: bool = False) -> list[Entry]:
        try:
            return self.files.entries(folder, deep=deep)
        except OSError as error:
            raise unreadable(folder, error) from error

    def _read_manifest(self) -> Manifest | None:
        file = f"{self.path}/{MANIFEST}"
        try:
            return manifest.decode(self.files.read(file), file)
        except NewerCapture:
            raise
        except FileNotFoundError:
            self.tell(file, "is missing: whose session it was, and how many rows there should be, is not known.")
        except (OSError, CaptureError) as error:
            self.tell(file, f"could not be read, so how many rows there should be is not known ({error}).")
        return None

    # What can be read.

    def part_files(self, channel: Channel) -> list[PartFile]:
        """Return the parts of a channel that can be read.

        Raises
        ------
        FileNotFoundError
            Where a recorder took one away meanwhile.
        NewerCapture
            Where one is of a newer format.
        CaptureError
            Where nothing can be read at present.
        """
        folder = layout.channel_folder(channel)
        with self._lock:
            while True:
                parts, known = self.parts().get(folder, []), len(self._damaged)
                for part in parts:
                    if part.file not in self._part_files:
                        self._examine(part, channel)
                if len(self._damaged) == known:
                    break
            part_files = [self._part_files[part.file] for part in parts]
            self._note_holes(channel, part_files)
        return part_files

    def _examine(self, part: Part, channel: Channel) -> None:
        for last_try in (False, True):
            fragment = FORMAT.make_fragment(part.file.as_posix(), self.files.filesystem)
            try:
                fragment.ensure_complete_metadata()
                wrong = mismatch(fragment, part, channel)
                break
            except FileNotFoundError:
                raise
            except (OSError, pa.ArrowException) as error:
                if self.doubt(part, channel, error):
                    return
                if last_try:
                    raise unreadable(part.file.as_posix(), error) from error
        if wrong is None:
            self._part_files[part.file] = PartFile(part, fragment, self._sizes.get(part.file, 0))
        else:
            self._leave_out(part, wrong)

    def doubt(self, part: Part, channel: Channel, error: Exception) -> bool:
        """Leave a part out that could not be read, if its bytes are to blame; return whether they are.

        Raises
        ------
        FileNotFoundError
            Where a recorder took it away meanwhile.
        CaptureError
            Where it cannot be said, because nothing can be read at present.
        """
        if isinstance(error, MemoryError):
            raise error
        try:
            content = pa.BufferReader(self.files.read(part.file.as_posix()))
        except FileNotFoundError:
            raise
        except OSError as again:
            raise unreadable(part.file.as_posix(), again) from error
        try:
            for _ in FORMAT.make_fragment(content).to_batches(schema=schema(channel)):
                pass
        except MemoryError:
            raise
        except (OSError, pa.ArrowException) as wrong:
            self._leave_out(part, f"cannot be read ({first_line(wrong)})")
            return True
        return False

    def _leave_out(self, part: Part, why: str) -> None:
        with self._lock:
            self._part_files.pop(part.file, None)
            self._damaged[part] = why
            self._parts = None

    def holes(self, channel: Channel) -> list[Gap]:
        """Return where rows of a channel should be and are not: parts that are gone, damaged or foreign."""
        self.part_files(channel)
        return self._holes[layout.channel_folder(channel)]

    def _note_holes(self, channel: Channel, part_files: Sequence[PartFile]) -> None:
        folder = layout.channel_folder(channel)
        damaged = {part: 0 for part in self._damaged if part.channel_folder == folder}
        first, last = self._span(channel)
        gaps = []
        for start, stop, part in self._missing(channel, [part_file.part for part_file in part_files], list(damaged)):
            before = [part_file.span("received_at")[1] for part_file in part_files if part_file.part.stop <= start]
            after = [part_file.span("received_at")[0] for part_file in part_files if part_file.part.start >= stop]
            gap_start, gap_end = max(before, default=first), min(after, default=last)
            why = "a part is gone" if part is None else f"{part.file.name} {self._damaged[part]}"
            gaps.append(Gap(gap_start, gap_end, f"missing in the capture: {why}", (channel.name,), stop - start))
            if part is None:
                self.tell(f"{self.path}/{folder}", f"lacks {stop - start:,} rows: a part is gone.")
            else:
                damaged[part] += stop - start
        for part, rows in damaged.items():
            missing = f"{rows:,} rows are missing" if rows else "what rows it held are in other parts"
            self.tell(part.file.as_posix(), f"{self._damaged[part]}: {missing}.")
        self._holes[folder] = gaps

    def _missing(
        self, channel: Channel, good: Sequence[Part], damaged: Sequence[Part]
    ) -> Iterator[tuple[int, int, Part | None]]:
        """Yield the numbers of rows that are missing, and the damaged part that held them; None where it is gone."""
        expected = self._expected(channel)
        end = expected if self.ended and expected else max([expected, *(part.stop for part in damaged)])
        at = 0
        for start, stop in [*((part.start, part.stop) for part in good), (end, end)]:
            while at < start:
                part = next((part for part in damaged if part.start <= at < part.stop), None)
                ends = [part.stop] if part is not None else [p.start for p in damaged if p.start > at]
                upto = min([start, *ends])
                yield at, upto, part
                at = upto
            at = max(at, stop)

    def _expected(self, channel: Channel) -> int:
        """Return how many rows there are at least: the manifest lags behind the parts."""
        if channel is REJECTED:
            return 0 if self.manifest is None else self.manifest.rejected
        entry = None if channel is GAPS else self._entries().get(channel.name)
        return 0 if entry is None else entry.rows

    def _span(self, channel: Channel) -> tuple[int, int | None]:
        """Return from when to when rows of a channel were received, as far as the manifest tells."""
        entry = None if channel in _OWN.values() else self._entries().get(channel.name)
        if entry is not None:
            return manifest.micros(entry.first_received_at), manifest.micros(entry.last_received_at)
        end = None if self.manifest is None else self.manifest.end
        return self.start_us, None if end is None else manifest.micros(end)

    def tell(self, file: str, what: str) -> None:
        """Tell, once, that something is wrong with a file."""
        if (file, what) not in self._told:
            self._told.add((file, what))
            self.lost.append(IncompleteCapture(file, what))
            if self.quiet:
                log.warning("%s", self.lost[-1])
            else:
                warnings.warn(self.lost[-1], stacklevel=2)


_OWN = {layout.channel_folder(channel): channel for channel in (GAPS, REJECTED)}


def unreadable(file: str, error: Exception) -> CaptureError:
    """Return the error that something could not be read for reasons that are not its own."""
    return CaptureError(f"{file} cannot be read at present: {first_line(error)}. Nothing was left out; try once more.")


def first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def find(files: Files) -> list[Folder]:
    """Return the captures at a path, by their beginnings: the one that it is, or those that lie in it.

    Raises
    ------
    NotACapture
        Where there is none.
    """
    try:
        if not files.is_folder(files.root):
            raise NotACapture(files.shown, "there is no such folder")
        inside = files.entries(files.root)
        if _is_capture(inside):
            return [Folder(files, files.root)]
        found = [e.path for e in inside if e.folder and _is_capture(files.entries(e.path))]
    except OSError as error:
        raise NotACapture(files.shown, f"it cannot be read ({first_line(error)})") from error
    if not found:
        raise NotACapture(files.shown, f"it has neither a {MANIFEST} nor folders of channels, nor do the folders in it")
    return sorted((Folder(files, path) for path in found), key=lambda folder: (folder.start_us, folder.name))


def _is_capture(entries: Iterable[Any]) -> bool:
    return any(e.name == MANIFEST or (e.folder and e.name.startswith("channel=")) for e in entries)

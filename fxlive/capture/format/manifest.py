"""The manifest of a capture: its channels, its start and end, and its gaps."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import numpy as np

from fxlive.capture.format.disk import Disk
from fxlive.capture.format.layout import MANIFEST
from fxlive.capture.format.schema import FORMAT_VERSION
from fxlive.core.shown_text import shortened
from fxlive.errors import CaptureError, NewerCapture
from fxlive.tables.gaps import MAX_REASON_CHARS

_MAX_CHARS = 1_000  # of a name
_MAX_LIST_CHARS = 10**6
_MANY_SYMBOLS = 2_000
_OVERHEAD_CHARS = 8  # quotation marks and indentation
T = TypeVar("T")

MAX_BYTES = 64 * 2**20
"""A larger file is not read."""

_ISO_TIME = re.compile(r"(?!0000)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z?", re.ASCII)

Count = Annotated[int, msgspec.Meta(ge=0, le=10**15)]


class ChannelEntry(msgspec.Struct):
    """A channel of a capture: the name of its folder, the number of rows, and the receipt of the first and the last."""

    folder: str
    rows: Count
    first_received_at: str
    last_received_at: str


class GapEntry(msgspec.Struct):
    """A time in which rows may be missing; `end` is None if the gap had not ended or its end is unknown."""

    start: str
    end: str | None
    reason: str
    channels: tuple[str, ...]
    lost_rows: Count | None = None


class Manifest(msgspec.Struct, kw_only=True):
    """The content of ``_manifest.json``. While recording it is up to a few seconds older than the parts.

    Times are ISO 8601 in UTC.

    Attributes
    ----------
    format_version
        The version of the capture format.
    session, url
        The name of the session, and the address that it read, without secrets.
    session_id, user_id
        The ids that the platform sent on connection; None if it did not.
    start, end
        The start and the end of the recording; `end` is None until the recording is stopped.
    channels
        The recorded channels by name.
    rejected
        The number of rejected messages.
    dropped
        The number of rows that the recorder could not keep.
    gaps
        The newest 10,000 gaps.
    symbols
        The symbols of the session, in the order of the categories of its frames.
    symbols_left_out
        The number of further symbols. Only the rows have them.
    drift
        The dtypes of the undocumented columns of each channel, in their order.
    """

    format_version: Annotated[int, msgspec.Meta(ge=1)] = FORMAT_VERSION
    session: str
    url: str
    session_id: str | None = None
    user_id: str | None = None
    start: str
    end: str | None = None
    channels: dict[str, ChannelEntry] = {}
    rejected: Count = 0
    dropped: Count = 0
    gaps: list[GapEntry] = []
    symbols: list[str] = []
    symbols_left_out: Count = 0
    drift: dict[str, dict[str, str]] = {}

    @property
    def lacks_symbols(self) -> bool:
        """Whether rows may have symbols that are not in `symbols`. A long list is not written at each new symbol."""
        return self.symbols_left_out > 0 or (self.end is None and len(self.symbols) > _MANY_SYMBOLS)


def write(manifest: Manifest, disk: Disk) -> int:
    """Write the manifest, replacing the previous one; return its size in bytes. See `bounded` for what it leaves out.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    text = msgspec.json.format(msgspec.json.encode(bounded(manifest)), indent=2)
    return disk.publish(disk.capture / MANIFEST, lambda file: _write_bytes(file, text))


def bounded(manifest: Manifest) -> Manifest:
    """Return a manifest of at most about 3 MB: the first symbols and columns, and the newest gaps.

    Readers find the other symbols and columns in the rows, the other gaps in ``_gaps``, and the channels with very long
    names in the folders.
    """
    copy = msgspec.structs.replace(manifest, url=manifest.url[:_MAX_CHARS], session=manifest.session[:_MAX_CHARS])
    copy.channels = {name: entry for name, entry in manifest.channels.items() if len(name) <= _MAX_CHARS}
    copy.symbols = _first(manifest.symbols, len)
    copy.symbols_left_out = len(manifest.symbols) - len(copy.symbols)
    gaps = [msgspec.structs.replace(gap, reason=shortened(gap.reason, MAX_REASON_CHARS)) for gap in manifest.gaps]
    copy.gaps = _first(gaps[::-1], _chars_of_gap, skip_large=True)[::-1]
    copy.drift = dict(
        _first(manifest.drift.items(), lambda item: len(item[0]) + sum(map(len, item[1])), skip_large=True)
    )
    return copy


def _chars_of_gap(gap: GapEntry) -> int:
    return len(gap.reason) + sum(map(len, gap.channels)) + 100


def _first(values: Iterable[T], chars: Callable[[T], int], *, skip_large: bool = False) -> list[T]:
    """Return the first values, with a million characters in all; with `skip_large`, but those that alone have more."""
    sized = [(value, chars(value) + _OVERHEAD_CHARS) for value in values]
    if skip_large:
        sized = [(value, size) for value, size in sized if size <= _MAX_LIST_CHARS]
    sums = accumulate(size for _, size in sized)
    return [value for (value, _), total in zip(sized, sums, strict=True) if total <= _MAX_LIST_CHARS]


def _write_bytes(file: Path, text: bytes) -> None:
    file.write_bytes(text)


def read(capture: str | Path) -> Manifest:
    """Read the manifest of a capture.

    Raises
    ------
    CaptureError
        If the manifest is missing, cannot be read, is invalid, or was written by a newer version of fxlive.
    """
    file = Path(capture) / MANIFEST
    try:
        found = os.lstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:  # reading a pipe could wait forever
            raise CaptureError(f"{file} is not a regular file of at most {MAX_BYTES / 1e6:,.0f} MB. Remove it.")
        return decode(file.read_bytes(), str(file))
    except FileNotFoundError as error:
        raise CaptureError(f"{file} does not exist. Pass the folder of a capture.") from error
    except OSError as error:
        raise CaptureError(f"{file} could not be read: {error.strerror or error}.") from error


def decode(text: bytes, file: str) -> Manifest:
    """Decode and validate the text of a manifest.

    Parameters
    ----------
    text
        The content of the file.
    file
        The path, for error messages.

    Raises
    ------
    NewerCapture
        If a newer version of fxlive wrote it.
    CaptureError
        If it is not a valid manifest.
    """
    try:
        content = msgspec.json.decode(text)
        version = content["format_version"]
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise NewerCapture(file, version, FORMAT_VERSION)
        manifest = msgspec.convert(content, Manifest)
        for time in _times(manifest):
            to_micros(time)
        return manifest
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CaptureError(f"{file} is not the manifest of a capture: {error}.") from error


def _times(manifest: Manifest) -> Iterator[str]:
    yield manifest.start
    for channel in manifest.channels.values():
        yield from (channel.first_received_at, channel.last_received_at)
    for gap in manifest.gaps:
        yield gap.start
        yield from [] if gap.end is None else [gap.end]
    yield from [] if manifest.end is None else [manifest.end]


def to_iso(micros: int) -> str:
    """Return a time, given in microseconds since 1970 UTC, as ISO 8601.

    >>> to_iso(1_399_552_200_000_000)
    '2014-05-08T12:30:00.000000Z'
    """
    return f"{np.datetime64(micros, 'us')}Z"


def to_micros(text: str) -> int:
    """Return a time of a manifest in microseconds since 1970 UTC.

    Raises
    ------
    ValueError
        If the text is not an ISO 8601 time in UTC of the years 1 to 9999, as `to_iso` returns it.

    Examples
    --------
    >>> to_micros("2014-05-08T12:30:00.000000Z")
    1399552200000000
    """
    if _ISO_TIME.fullmatch(text) is None:
        raise ValueError(f"{text[:40]!r} is not a time")
    return int(np.datetime64(text.removesuffix("Z"), "us").astype(np.int64))

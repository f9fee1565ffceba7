"""The manifest of a capture: what is in it, from when to when, and where something is missing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import numpy as np

from fxlive.capture.format.disk import Disk
from fxlive.capture.format.layout import MANIFEST
from fxlive.capture.format.schema import FORMAT_VERSION
from fxlive.errors import CaptureError, NewerCapture

_MOMENT = re.compile(r"-?\d{4,6}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z?", re.ASCII)


class ChannelEntry(msgspec.Struct):
    """A channel of a capture: the name of its folder, its rows, and when the first and the last were received."""

    folder: str
    rows: int
    first_received_at: str
    last_received_at: str


class GapEntry(msgspec.Struct):
    """A time in which something may be missing; `end` is None while it lasts or if nobody saw its end."""

    start: str
    end: str | None
    reason: str
    channels: tuple[str, ...]
    lost_rows: int | None = None


class Manifest(msgspec.Struct, kw_only=True):
    """What `_manifest.json` says. While recording it lags a few seconds behind the parts, which are the truth.

    Times are ISO 8601 in UTC. `rejected` counts messages that could not be taken, `dropped` the rows that the recorder
    had no room for; `gaps` holds the newest ten thousand. `end` is None until the recording was stopped. `symbols` and
    `drift` are what the session's frames were made of: the symbols in the order in which they came, and the dtypes of
    the undocumented columns by channel.
    """

    format_version: int = FORMAT_VERSION
    session: str
    url: str
    session_id: str | None = None
    user_id: str | None = None
    start: str
    end: str | None = None
    channels: dict[str, ChannelEntry] = {}
    rejected: int = 0
    dropped: int = 0
    gaps: list[GapEntry] = []
    symbols: list[str] = []
    drift: dict[str, dict[str, str]] = {}


def write(manifest: Manifest, disk: Disk) -> None:
    """Write the manifest in place of the one before."""
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    disk.publish(disk.capture / MANIFEST, lambda file: _write_bytes(file, text))


def _write_bytes(file: Path, text: bytes) -> None:
    file.write_bytes(text)


def read(capture: str | Path) -> Manifest:
    """Read the manifest of a capture.

    Raises
    ------
    CaptureError
        Where there is none, where it is not one, and where it is of a newer format.
    """
    file = Path(capture) / MANIFEST
    try:
        return decode(file.read_bytes(), str(file))
    except FileNotFoundError as error:
        raise CaptureError(f"{file} is not there. Name the folder of a capture, or record one.") from error
    except OSError as error:
        raise CaptureError(f"{file} could not be read: {error.strerror or error}.") from error


def decode(text: bytes, file: str) -> Manifest:
    """Return the manifest that a file's text is.

    Raises
    ------
    NewerCapture
        Where it is of a newer format.
    CaptureError
        Where it is none.
    """
    try:
        found = msgspec.json.decode(text)
        version = found["format_version"]
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise NewerCapture(file, version, FORMAT_VERSION)
        manifest = msgspec.convert(found, Manifest)
        for time in _times(manifest):
            micros(time)
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


def moment(micros: int) -> str:
    """Return microseconds since 1970 as ISO 8601.

    >>> moment(1_399_552_200_000_000)
    '2014-05-08T12:30:00.000000Z'
    """
    return f"{np.datetime64(micros, 'us')}Z"


def micros(moment: str) -> int:
    """Return the microseconds since 1970 of a manifest's time.

    Raises
    ------
    ValueError
        Where it is none as `moment` gives it.

    >>> micros("2014-05-08T12:30:00.000000Z")
    1399552200000000
    """
    if _MOMENT.fullmatch(moment) is None:
        raise ValueError(f"{moment[:40]!r} is not a time")
    return int(np.datetime64(moment.removesuffix("Z"), "us").astype(np.int64))


def without_secrets(url: str) -> str:
    """Return a URL without what may hold a token: user, query and fragment.

    >>> without_secrets("wss://me:secret@example.com:8765/api/ws?token=abc")
    'wss://example.com:8765/api/ws'
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()

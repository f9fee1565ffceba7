"""The names of a capture's folders and files, and which of the files count.

    2014-05-08T123000Z-default/
        _manifest.json
        _unfinished/                                     files that are being written; ignored by readers
        channel=market-data/date=2014-05-08/000000000-000004095.parquet
        channel=_rejected/...   channel=_gaps/...        rejected messages, and times in which rows may be missing
        channel=_confirmed/...                           positions and orders that are still there after a gap

A part is a Parquet file with consecutive rows of one channel. Its name gives the numbers of its first and last row,
counted per channel from the start of the capture. Its date is the day on which the rows were received.

Small parts are merged into larger ones. The merged part is complete before the parts that it replaces are deleted. A
part whose rows are all in a larger part of the same folder therefore does not count. This rule alone makes a capture
readable after an interruption at any time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from fxlive.wire.channels import Channel, Column
from fxlive.wire.messages import Kind

MANIFEST = "_manifest.json"
UNFINISHED = "_unfinished"

REJECTED = Channel("_rejected", columns=(Column("reason", Kind.TEXT), Column("raw", Kind.TEXT)))
"""Messages that were rejected; `timestamp` is the time of receipt."""

GAPS = Channel(
    "_gaps",
    columns=(
        Column("end", Kind.TIME),
        Column("reason", Kind.TEXT),
        Column("channels", Kind.LIST),
        Column("lost_rows", Kind.INTEGER),
    ),
)
"""Times in which rows may be missing; `timestamp` is the start of the gap.

A gap that has not ended is written without an `end`. When it ends it is written again, with the same start and reason;
then the row with the end counts. `lost_rows` is known only for rows that the recorder itself had to drop.
"""

CONFIRMED = Channel("_confirmed", columns=(Column("of_channel", Kind.TEXT), Column("key", Kind.TEXT)))
"""Positions and orders that a message confirmed after a gap, without a row: it had been received before.

`timestamp` is the time of receipt.
"""

OWN_CHANNELS = (GAPS, REJECTED, CONFIRMED)
"""The recorder's own channels, whose names begin with an underscore."""

_PART = re.compile(r"(\d{9,18})-(\d{9,18})\.parquet")
_DATE = re.compile(r"date=(-?\d{4,6}-\d\d-\d\d)")
_MAX_NAME = 120  # file systems allow 255 bytes; the name of a channel may be of any length


@dataclass(frozen=True)
class Part:
    """The rows `start` up to `stop` (exclusive) of one channel, received on one date, in one file."""

    file: Path
    channel_folder: str
    date: str
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def capture_name(start_us: int, session: str) -> str:
    """Return the name of a capture's folder. Characters of the session's name that could form a path are replaced.

    >>> capture_name(1_399_552_200_000_000, "default"), capture_name(0, "../../etc")
    ('2014-05-08T123000Z-default', '1970-01-01T000000Z-etc')
    """
    start = datetime.fromtimestamp(start_us / 1e6, UTC).strftime("%Y-%m-%dT%H%M%SZ")
    safe = re.sub(r"[^A-Za-z0-9_.-]+", "_", session).strip("._")[:60]
    return f"{start}-{safe or 'session'}"


def channel_folder(channel: Channel) -> str:
    """Return the name of a channel's folder.

    Everything but lower-case letters, digits, hyphens and underscores after the first character is percent-encoded,
    which other tools decode. So no name can form a path, two names never collide on a file system that ignores case,
    and no name collides with the recorder's own channels. A very long name is cut and ends with a hash.

    >>> channel_folder(Channel("market-data")), channel_folder(Channel("../_x")), channel_folder(GAPS)
    ('channel=market-data', 'channel=%2E%2E%2F_x', 'channel=_gaps')
    """
    if channel in OWN_CHANNELS:
        return f"channel={channel.name}"
    raw = channel.name.encode("utf-8", "surrogatepass")
    safe = [_encode_byte(byte, index) for index, byte in enumerate(raw)]
    name = "".join(safe) or "~"
    if len(name) > _MAX_NAME:
        name = "".join(safe[: _MAX_NAME // 3]) + "~" + blake2b(raw, digest_size=16).hexdigest()
    return f"channel={name}"


def _encode_byte(byte: int, index: int) -> str:
    char = chr(byte)
    plain = "a" <= char <= "z" or "0" <= char <= "9" or char == "-" or (char == "_" and index > 0)
    return char if plain else f"%{byte:02X}"


def channel_of(folder: str) -> str:
    """Return the name of the channel that a folder belongs to; a very long name stays cut.

    >>> channel_of("channel=%2E%2E%2F_x")
    '../_x'
    """
    name = folder.removeprefix("channel=")
    return "" if name == "~" else unquote(name)


def date_folder(day: int) -> str:
    """Return the name of the folder of a date, which is given in days since 1970.

    >>> date_folder(16198)
    'date=2014-05-08'
    """
    return f"date={np.datetime64(day, 'D')}"  # accepts any number of days, unlike datetime


def part_name(start: int, stop: int) -> str:
    """Return the file name of the part that holds the rows `start` up to `stop` (exclusive).

    >>> part_name(0, 4096)
    '000000000-000004095.parquet'
    """
    return f"{start:09d}-{stop - 1:09d}.parquet"


def parts(capture: str | Path, channel: str | None = None) -> list[Part]:
    """Return the parts of a capture that count, sorted by channel and row.

    While a recorder is running it merges parts. If a listed file no longer exists when it is opened, list the parts
    again: its rows are in a larger part.

    Parameters
    ----------
    capture
        The capture's folder.
    channel
        Only the parts of this channel: its name on the wire, or that of one of the `OWN_CHANNELS`.
    """
    own = {own.name: own for own in OWN_CHANNELS}
    pattern = "channel=*" if channel is None else channel_folder(own.get(channel, Channel(channel)))
    current: list[Part] = []
    for date in sorted(Path(capture).glob(f"{pattern}/date=*")):
        current += current_parts(_parts_in(date))
    return sorted(current, key=lambda part: (part.channel_folder, part.start))


def _parts_in(folder: Path) -> Iterable[Part]:
    return [part for file in folder.iterdir() if (part := part_of(file)) is not None]


def part_of(file: Path) -> Part | None:
    """Return the part that a path describes, by the names of file and folders; None if they are not those of a part.

    >>> part_of(Path("channel=trades/date=2014-05-08/000000000-000004095.parquet")).stop
    4096
    """
    match, date = _PART.fullmatch(file.name), _DATE.fullmatch(file.parent.name)
    channel = file.parent.parent.name
    if match is None or date is None or not channel.startswith("channel=") or int(match[1]) > int(match[2]):
        return None
    return Part(file, channel, date[1], int(match[1]), int(match[2]) + 1)


def current_parts(parts: Iterable[Part]) -> list[Part]:
    """Return the parts of one channel and date that are not contained in a larger one, sorted by row."""
    current: list[Part] = []
    for part in sorted(parts, key=lambda part: (part.start, -part.stop)):
        if not current or part.stop > current[-1].stop:
            current.append(part)
    return current


MERGED_AT_ONCE = 8
MAX_PARTS = 8
MAX_MERGED_ROWS = 2**22
SINGLE_PART_ROWS = 2**20
MIN_REWRITTEN_ROWS = 4096


def next_merge(starts: Sequence[int], stops: Sequence[int], levels: Sequence[int], *, closed: bool) -> slice | None:
    """Return which parts of one channel and date to merge now; None if there is nothing to merge.

    While rows of a date still arrive, eight consecutive parts of the same level become one, up to four million rows. So
    each row is rewritten a few times only, and an hour of recording is a few files. A date that is complete ends with
    at most eight parts. If it has at most a million rows it becomes one part; a single part that was never merged is
    rewritten, too, because that makes it smaller.

    Only parts with consecutive row numbers are merged. So the name of a part never includes rows that are stored under
    another date, which can happen when the clock was set back over midnight.

    Parameters
    ----------
    starts, stops
        The rows of each part, in order.
    levels
        How many merges each part is the result of.
    closed
        Whether the date is complete.

    Returns
    -------
    slice or None
        The indices of the parts to merge.

    Examples
    --------
    >>> next_merge([0, 1, 2], [1, 2, 3], [0, 0, 0], closed=False)
    >>> next_merge([0, 1, 2], [1, 2, 3], [0, 0, 0], closed=True)
    slice(0, 3, None)
    """
    for run in _consecutive(starts, stops):
        if closed:
            rows = stops[run.stop - 1] - starts[run.start]
            never_merged = levels[run.start] == 0 and rows >= MIN_REWRITTEN_ROWS
            if rows <= SINGLE_PART_ROWS and (run.stop - run.start > 1 or never_merged):
                return run
            if run.stop - run.start > MAX_PARTS:
                return slice(run.start + MAX_PARTS - 1, run.stop)
            continue
        for first in range(run.start, run.stop - MERGED_AT_ONCE + 1):
            group = slice(first, first + MERGED_AT_ONCE)
            if len(set(levels[group])) == 1 and stops[group.stop - 1] - starts[first] <= MAX_MERGED_ROWS:
                return group
    return None


def _consecutive(starts: Sequence[int], stops: Sequence[int]) -> Iterable[slice]:
    """Yield the runs of parts in which each part begins where the one before ends."""
    first = 0
    for index in range(1, len(starts) + 1):
        if index == len(starts) or starts[index] != stops[index - 1]:
            yield slice(first, index)
            first = index

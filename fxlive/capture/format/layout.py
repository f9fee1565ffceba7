"""Where things lie in a capture: the names of its folders and files, and which of its files count.

    2014-05-08T123000Z-default/
        _manifest.json
        _unfinished/                                     what is being written; nothing in it counts
        channel=market-data/date=2014-05-08/000000000-000004095.parquet
        channel=_rejected/...   channel=_gaps/...        what could not be taken, and when something may be missing

A part is named by the numbers of its first and last row, counted by channel from the beginning of the capture; its
date is that on which the rows were received. Parts are merged as they age: a merged part holds the rows of several and
is there before they go, so a part whose rows all lie in a larger one of the same folder does not count. Nothing else
is needed to read a capture that was cut off at any moment.
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
"""Messages that could not be taken; `timestamp` is when they were received."""

GAPS = Channel(
    "_gaps",
    columns=(
        Column("end", Kind.TIME),
        Column("reason", Kind.TEXT),
        Column("channels", Kind.LIST),
        Column("lost_rows", Kind.INTEGER),
    ),
)
"""Times in which something may be missing: `timestamp` is where one begins.

A gap that has no `end` yet is written without; once it ends it is written again, with the same beginning and reason,
and the row with the end counts. `lost_rows` is known only of what the recorder itself had to drop.
"""

_PART = re.compile(r"(\d{9,18})-(\d{9,18})\.parquet")
_DATE = re.compile(r"date=(-?\d{4,6}-\d\d-\d\d)")
_MAX_NAME = 120  # a file system takes 255 bytes, and a channel's name may have any length


@dataclass(frozen=True)
class Part:
    """One file of a channel's rows: those from number `start` up to `stop`, all received on one date."""

    file: Path
    channel_folder: str
    date: str
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def capture_name(start_us: int, session: str) -> str:
    """Return the name of a capture's folder; a session's name cannot lead out of where that lies.

    >>> capture_name(1_399_552_200_000_000, "default"), capture_name(0, "../../etc")
    ('2014-05-08T123000Z-default', '1970-01-01T000000Z-etc')
    """
    start = datetime.fromtimestamp(start_us / 1e6, UTC).strftime("%Y-%m-%dT%H%M%SZ")
    safe = re.sub(r"[^A-Za-z0-9_.-]+", "_", session).strip("._")[:60]
    return f"{start}-{safe or 'session'}"


def channel_folder(channel: Channel) -> str:
    """Return the name of a channel's folder.

    Whatever is not a small letter, a digit, a hyphen or an inner underscore is percent-encoded, which tools decode. So
    no name leads out of the capture, no two meet where case does not count, and none is taken for the recorder's own.

    >>> channel_folder(Channel("market-data")), channel_folder(Channel("../_x")), channel_folder(GAPS)
    ('channel=market-data', 'channel=%2E%2E%2F_x', 'channel=_gaps')
    """
    if channel is GAPS or channel is REJECTED:
        return f"channel={channel.name}"
    raw = channel.name.encode("utf-8", "surrogatepass")
    safe = [_encoded(byte, place) for place, byte in enumerate(raw)]
    name = "".join(safe) or "~"
    if len(name) > _MAX_NAME:
        name = "".join(safe[: _MAX_NAME // 3]) + "~" + blake2b(raw, digest_size=16).hexdigest()
    return f"channel={name}"


def _encoded(byte: int, place: int) -> str:
    char = chr(byte)
    plain = "a" <= char <= "z" or "0" <= char <= "9" or char == "-" or (char == "_" and place > 0)
    return char if plain else f"%{byte:02X}"


def channel_of(folder: str) -> str:
    """Return the channel whose folder has this name (of a very long name, what is left of it).

    >>> channel_of("channel=%2E%2E%2F_x")
    '../_x'
    """
    name = folder.removeprefix("channel=")
    return "" if name == "~" else unquote(name)


def date_folder(day: int) -> str:
    """Return the name of the folder of a date, given as days since 1970.

    >>> date_folder(16198)
    'date=2014-05-08'
    """
    return f"date={np.datetime64(day, 'D')}"  # takes any number, which datetime does not


def part_name(start: int, stop: int) -> str:
    """Return the name of the part that holds the rows from `start` up to `stop`.

    >>> part_name(0, 4096)
    '000000000-000004095.parquet'
    """
    return f"{start:09d}-{stop - 1:09d}.parquet"


def parts(capture: str | Path, channel: str | None = None) -> list[Part]:
    """Return the parts of a capture that count, by channel and row, those of one channel only where it is named.

    A recorder may be merging: a file that is gone when it is opened is part of a larger one by then, so list anew.

    Parameters
    ----------
    capture
        The folder of the capture.
    channel
        The channel's name on the wire, or ``_gaps`` or ``_rejected``.
    """
    own = {own.name: own for own in (GAPS, REJECTED)}
    wanted = "channel=*" if channel is None else channel_folder(own.get(channel, Channel(channel)))
    found: list[Part] = []
    for date in sorted(Path(capture).glob(f"{wanted}/date=*")):
        found += uncovered(_parts_in(date))
    return sorted(found, key=lambda part: (part.channel_folder, part.start))


def _parts_in(folder: Path) -> Iterable[Part]:
    return [part for file in folder.iterdir() if (part := part_of(file)) is not None]


def part_of(file: Path) -> Part | None:
    """Return what a file in the folder of a date is, by the names alone; None where it is no part.

    >>> part_of(Path("channel=trades/date=2014-05-08/000000000-000004095.parquet")).stop
    4096
    """
    match, date = _PART.fullmatch(file.name), _DATE.fullmatch(file.parent.name)
    channel = file.parent.parent.name
    if match is None or date is None or not channel.startswith("channel=") or int(match[1]) > int(match[2]):
        return None
    return Part(file, channel, date[1], int(match[1]), int(match[2]) + 1)


def uncovered(parts: Iterable[Part]) -> list[Part]:
    """Return the parts of one date that lie in no larger one, in the order of their rows."""
    kept: list[Part] = []
    for part in sorted(parts, key=lambda part: (part.start, -part.stop)):
        if not kept or part.stop > kept[-1].stop:
            kept.append(part)
    return kept


MERGED_AT_ONCE = 8
MAX_PARTS = 8
LARGE_ROWS = 2**22
WHOLE_ROWS = 2**20
WORTH_A_REWRITE = 4096


def next_merge(starts: Sequence[int], stops: Sequence[int], levels: Sequence[int], *, closed: bool) -> slice | None:
    """Return which parts of one channel and date should be merged now; None where all is well.

    While a date lasts, eight parts that were merged equally often become one, up to four million rows, so a row is
    rewritten a handful of times and an hour is a handful of files. Of a date that is over at most eight remain; a small
    one becomes a single part, written anew for its size even if it was one. Only parts that follow upon each other are
    merged, so a part's name never claims rows that lie elsewhere (they may, where the computer's clock was set back
    over midnight).

    Parameters
    ----------
    starts, stops
        The rows of each part, in order.
    levels
        How often each was merged.
    closed
        Whether nothing more will come.

    >>> next_merge([0, 1, 2], [1, 2, 3], [0, 0, 0], closed=False)
    >>> next_merge([0, 1, 2], [1, 2, 3], [0, 0, 0], closed=True)
    slice(0, 3, None)
    """
    for run in _runs(starts, stops):
        if closed:
            rows = stops[run.stop - 1] - starts[run.start]
            fresh = levels[run.start] == 0 and rows >= WORTH_A_REWRITE
            if rows <= WHOLE_ROWS and (run.stop - run.start > 1 or fresh):
                return run
            if run.stop - run.start > MAX_PARTS:
                return slice(run.start + MAX_PARTS - 1, run.stop)
            continue
        for first in range(run.start, run.stop - MERGED_AT_ONCE + 1):
            some = slice(first, first + MERGED_AT_ONCE)
            if len(set(levels[some])) == 1 and stops[some.stop - 1] - starts[first] <= LARGE_ROWS:
                return some
    return None


def _runs(starts: Sequence[int], stops: Sequence[int]) -> Iterable[slice]:
    first = 0
    for place in range(1, len(starts) + 1):
        if place == len(starts) or starts[place] != stops[place - 1]:
            yield slice(first, place)
            first = place

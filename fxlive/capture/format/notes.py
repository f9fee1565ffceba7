"""What a recorder notes besides the platform's rows: rejections and gaps, as rows of channels of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from fxlive.capture.format.chunk import Chunk, Hole, chunk
from fxlive.capture.format.layout import GAPS, REJECTED
from fxlive.capture.format.manifest import GapEntry, moment
from fxlive.core.timestamps import NAT
from fxlive.wire.batch import MAX_RAW_CHARS, Rejection, Rows
from fxlive.wire.channels import Channel

MAX_MANIFEST_GAPS = 10_000


@dataclass(frozen=True)
class Gap:
    """A time in which something may be missing (microseconds); `lost_rows` where the recorder dropped them itself."""

    start: int
    end: int | None
    reason: str
    channels: tuple[str, ...]
    lost_rows: int | None = None


def gap_of(hole: Hole, why: str | None) -> Gap:
    """Return the gap that a hole in the queue is."""
    reason = f"not recorded: {why or 'more came than the disk takes'}"
    return Gap(hole.start, hole.end, reason, tuple(sorted(hole.channels)), hole.rows)


def gap_rows(gap: Gap, now_us: int) -> Chunk:
    """Return a gap as a row."""
    values = {
        "end": np.array([NAT if gap.end is None else gap.end], np.int64),
        "reason": [clean(gap.reason)],
        "channels": [tuple(map(clean, gap.channels))],
        "lost_rows": [gap.lost_rows],
    }
    return _own_rows(GAPS, [gap.start], [now_us], values)


def rejected_rows(rejected: Sequence[Rejection]) -> Chunk:
    """Return rejections as rows."""
    stamps = [r.received_at for r in rejected]
    values = {"reason": [r.reason for r in rejected], "raw": [r.raw for r in rejected]}
    return _own_rows(REJECTED, stamps, stamps, values)


def _own_rows(channel: Channel, stamps: list[int], received: list[int], values: dict[str, Any]) -> Chunk:
    unnumbered = np.full(len(stamps), -1, np.int64)
    return chunk(Rows(channel, [], np.array(stamps, np.int64), np.array(received, np.int64), unnumbered, values))


def refused(rows: Chunk, reason: str) -> list[Rejection]:
    """Return rows that have no place in a capture as rejections, their values as JSON."""
    return [
        Rejection(int(rows.received_at[place]), clean(reason), clean(_json(rows, place))[:MAX_RAW_CHARS])
        for place in range(len(rows))
    ]


def _json(rows: Chunk, place: int) -> str:
    values = {name: _plain(values[place]) for name, values in rows.values.items()} | rows.extras.get(place, {})
    try:
        return msgspec.json.encode({"channel": rows.channel.name, **values}).decode()
    except Exception:  # that may be why they have no place
        return repr({"channel": rows.channel.name, **values})


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def clean(text: str) -> str:
    """Return a text that every file can hold: half a surrogate pair is written out."""
    return text.encode("utf-8", "backslashreplace").decode()


class GapBook:
    """The gaps of a recording, each once: one that has ended takes the place of itself without an end."""

    def __init__(self) -> None:
        self._gaps: dict[tuple[int, str], GapEntry] = {}

    def note(self, rows: Chunk) -> None:
        """Add the gaps that rows of their channel hold."""
        columns = (rows.values[name] for name in ("end", "reason", "channels", "lost_rows"))
        for start, end, reason, channels, lost in zip(rows.timestamp.tolist(), *columns, strict=True):
            ends = None if end == NAT else moment(int(end))
            if ends is not None or (start, reason) not in self._gaps:
                self._gaps[start, reason] = GapEntry(moment(start), ends, reason, channels, lost)
        while len(self._gaps) > MAX_MANIFEST_GAPS:
            del self._gaps[next(iter(self._gaps))]

    def entries(self) -> list[GapEntry]:
        """Return the newest ten thousand, as the manifest has them."""
        return list(self._gaps.values())

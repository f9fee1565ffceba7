"""Rejections, gaps and confirmations as rows of the recorder's own channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from fxlive.capture.format.chunk import Chunk, DroppedRows, to_chunk
from fxlive.capture.format.layout import CONFIRMED, GAPS, REJECTED
from fxlive.capture.format.manifest import GapEntry, to_iso
from fxlive.core.timestamps import NAT
from fxlive.wire.batch import MAX_RAW_CHARS, Rejection, Rows
from fxlive.wire.channels import Channel

MAX_MANIFEST_GAPS = 10_000


@dataclass(frozen=True)
class Gap:
    """A time in which rows may be missing.

    Attributes
    ----------
    start, end
        Microseconds since 1970 UTC; `end` is None while the gap lasts.
    reason
        The reason, for people.
    channels
        The names of the channels.
    lost_rows
        The number of rows that the recorder dropped or that the files lack; None if the number is unknown.
    """

    start: int
    end: int | None
    reason: str
    channels: tuple[str, ...]
    lost_rows: int | None = None


def gap_of_dropped_rows(dropped: DroppedRows, cause: str | None) -> Gap:
    """Return dropped rows as a gap; `cause` is the disk's error, None if it had none."""
    reason = f"not recorded: {cause or 'rows arrived faster than the disk could write them'}"
    return Gap(dropped.start, dropped.end, reason, tuple(sorted(dropped.channels)), dropped.rows)


def gap_rows(gap: Gap, now_us: int) -> Chunk:
    """Return a gap as a row of ``_gaps``."""
    values = {
        "end": np.array([NAT if gap.end is None else gap.end], np.int64),
        "reason": [clean(gap.reason)],
        "channels": [tuple(map(clean, gap.channels))],
        "lost_rows": [gap.lost_rows],
    }
    return _rows_of(GAPS, [gap.start], [now_us], values)


def rejected_rows(rejected: Sequence[Rejection]) -> Chunk:
    """Return rejections as rows of ``_rejected``."""
    stamps = [r.received_at for r in rejected]
    values = {"reason": [r.reason for r in rejected], "raw": [r.raw for r in rejected]}
    return _rows_of(REJECTED, stamps, stamps, values)


def confirmed_rows(channel: str, keys: Sequence[Any], received_at: int) -> Chunk:
    """Return positions or orders that were confirmed without a row as rows of ``_confirmed``."""
    stamps = [received_at] * len(keys)
    return _rows_of(CONFIRMED, stamps, stamps, {"of_channel": [channel] * len(keys), "key": list(map(str, keys))})


def _rows_of(channel: Channel, timestamp: list[int], received_at: list[int], values: dict[str, Any]) -> Chunk:
    unnumbered = np.full(len(timestamp), -1, np.int64)
    return to_chunk(
        Rows(channel, [], np.array(timestamp, np.int64), np.array(received_at, np.int64), unnumbered, values)
    )


def as_rejections(rows: Chunk, reason: str) -> list[Rejection]:
    """Return rows that cannot be written as rejections, with their values as JSON."""
    return [
        Rejection(int(rows.received_at[index]), clean(reason), clean(_json(rows, index))[:MAX_RAW_CHARS])
        for index in range(len(rows))
    ]


def _json(rows: Chunk, index: int) -> str:
    values = {name: _plain(values[index]) for name, values in rows.values.items()} | rows.extras.get(index, {})
    try:
        return msgspec.json.encode({"channel": rows.channel.name, **values}).decode()
    except Exception:  # a value without a JSON form may be the reason why the row cannot be written
        return repr({"channel": rows.channel.name, **values})


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def clean(text: str) -> str:
    """Return text that can be encoded as UTF-8: unpaired surrogates are replaced by their escape sequences."""
    return text.encode("utf-8", "backslashreplace").decode()


class GapLog:
    """The gaps of a recording for its manifest. When a gap is recorded again with its end, it replaces the open one."""

    def __init__(self) -> None:
        self._gaps: dict[tuple[int, str], GapEntry] = {}

    def add(self, rows: Chunk) -> None:
        """Add rows of ``_gaps``."""
        columns = (rows.values[name] for name in ("end", "reason", "channels", "lost_rows"))
        for start, end, reason, channels, lost in zip(rows.timestamp.tolist(), *columns, strict=True):
            end_text = None if end == NAT else to_iso(int(end))
            if end_text is not None or (start, reason) not in self._gaps:
                self._gaps[start, reason] = GapEntry(to_iso(start), end_text, reason, channels, lost)
        while len(self._gaps) > MAX_MANIFEST_GAPS:
            del self._gaps[next(iter(self._gaps))]

    def entries(self) -> list[GapEntry]:
        """Return the newest 10,000 gaps."""
        return list(self._gaps.values())

"""Tape: what a capture holds, as the typed batches that once arrived, in the order in which they did.

Messages of all channels are put in order by their `arrival`, which the recorder numbers; rejections and gaps, which
have no number, by their time. A block is what has been read ahead; a batch of any size is cut from it at no cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, overload

import msgspec
import numpy as np
import pyarrow as pa

from fxlive.capture.format.layout import GAPS, REJECTED
from fxlive.capture.format.notes import Gap
from fxlive.capture.reading.folder import Folder
from fxlive.capture.reading.gaps import gaps_of, noted
from fxlive.capture.reading.part_file import PartFile
from fxlive.capture.reading.rows import Recorded, batches, part_files_of
from fxlive.core.timestamps import NAT, Micros
from fxlive.wire.batch import Batch, Rejection, Rows
from fxlive.wire.channels import CHANNELS, Channel
from fxlive.wire.messages import Kind, Message, Undocumented, camel
from fxlive.wire.undocumented import EXTRA

BLOCK_ROWS = 65_536
FOREVER = int(np.iinfo(np.int64).max)


class Recalled(Sequence[Any]):
    """The messages of rows, made only when somebody asks: times are written anew, nested fields of undocumented
    channels stay flat.
    """

    def __init__(self, channel: Channel, timestamp: Micros, values: dict[str, Any], extras: list[str | None]) -> None:
        self._channel = channel
        self._timestamp = timestamp
        self._values = values
        self._extras = extras

    def __len__(self) -> int:
        return len(self._timestamp)

    @overload
    def __getitem__(self, place: int) -> Message | Undocumented: ...

    @overload
    def __getitem__(self, place: slice) -> list[Message | Undocumented]: ...

    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return [self[p] for p in range(*place.indices(len(self)))]
        data: dict[str, Any] = {}
        for column in self._channel.columns:
            value = _value(column.kind, self._values[column.name][place])
            if column.path and value is not None:
                inner = data
                for name in column.path[:-1]:
                    inner = inner.setdefault(camel(name), {})
                inner[camel(column.path[-1])] = value
        envelope = {
            "channel": self._channel.name,
            "timestamp": _text(self._timestamp[place]),
            "id": self._values["id"][place],
        }
        if self._channel.message is None:
            fields = _decoded(self._extras[place]) if self._extras else {}
            kind = str(fields.pop("type", self._channel.name))
            return Undocumented(type=kind, data=fields, **envelope)
        return msgspec.convert({"type": self._channel.type, "data": data, **envelope}, self._channel.message)


def _value(kind: Kind, value: Any) -> Any:
    if kind is Kind.TIME:
        return None if value == NAT else _text(value)
    if kind is Kind.NUMBER:
        return None if np.isnan(value) else float(value)
    return int(value) if isinstance(value, np.integer) else value


def _text(micros: Any) -> str:
    whole = np.datetime64(int(micros), "us")
    return f"{whole.astype('M8[ms]') if micros % 1000 == 0 else whole}Z"


def _decoded(text: str | None) -> dict[str, Any]:
    try:
        fields = {} if text is None else msgspec.json.decode(text)
    except msgspec.MsgspecError:
        fields = {EXTRA: text}
    return fields if isinstance(fields, dict) else {EXTRA: text}


class Stretch:
    """Rows of one channel that lie ready, of which the next are taken again and again."""

    def __init__(self, channel: Channel, rows: Any) -> None:
        self.channel = channel
        self.arrival: Micros = rows.column("arrival").to_numpy()
        self._received = _micros(rows.column("received_at"))
        self.due: Micros = np.maximum.accumulate(self._received)  # where the clock was set back, nothing waits for it
        self._timestamp = _micros(rows.column("timestamp"))
        self._values = {c.name: _values(c.kind, rows.column(c.name)) for c in channel.columns}
        extras = rows.column(EXTRA)
        self._extras: list[str | None] = [] if extras.null_count == len(extras) else extras.to_pylist()
        self.at = 0

    def __len__(self) -> int:
        return len(self.arrival)

    def take(self, stop: int) -> Rows:
        """Return the rows from the next one up to place `stop`."""
        start, self.at = self.at, stop
        values = {name: column[start:stop] for name, column in self._values.items()}
        texts = self._extras[start:stop]
        extras = {place: _decoded(text) for place, text in enumerate(texts) if text is not None}
        timestamp = self._timestamp[start:stop]
        messages = Recalled(self.channel, timestamp, values, texts)
        return Rows(
            self.channel, messages, timestamp, self._received[start:stop], self.arrival[start:stop], values, extras
        )


def _micros(column: Any) -> Micros:
    values = column.cast(pa.int64())
    micros: Micros = (values.fill_null(NAT) if values.null_count else values).to_numpy()
    return micros


def _values(kind: Kind, column: Any) -> Any:
    """Return a column as `Rows` holds it."""
    if kind is Kind.TIME:
        return _micros(column)
    if kind in (Kind.NUMBER, Kind.KEY_INTEGER):
        return column.to_numpy()
    if kind in (Kind.SYMBOL, Kind.CODE):
        joined = column.unify_dictionaries().combine_chunks()
        if isinstance(joined, pa.ChunkedArray):
            return []
        names = np.array([*joined.dictionary.to_pylist(), None], object)
        return names[joined.indices.fill_null(-1).to_numpy(zero_copy_only=False)].tolist()
    values = column.to_pylist()
    return [None if v is None else tuple(v) for v in values] if kind is Kind.LIST else values


class Block:
    """What has been read ahead: stretches of all channels, and the rejections of their time."""

    def __init__(self, stretches: Sequence[Stretch], rejected: Sequence[Rejection]) -> None:
        self._stretches = [s for s in stretches if len(s)]
        self._rejected = list(rejected)
        self._arrivals = np.sort(np.concatenate([s.arrival for s in self._stretches] or [np.empty(0, np.int64)]))
        self._taken = 0

    @property
    def due(self) -> int:
        """When the next of it is due, in microseconds; FOREVER where all of it was taken."""
        ahead = [int(s.due[s.at]) for s in self._stretches if s.at < len(s)]
        return min([*ahead, *(r.received_at for r in self._rejected[:1])], default=FOREVER)

    def take(self, until_us: int, max_rows: int) -> Batch | None:
        """Return what is due by a moment, at most about so many rows; None where nothing is."""
        left = len(self._arrivals) - self._taken
        whole = left <= max_rows
        bound = None if whole else self._arrivals[self._taken + max_rows - 1]
        rows: dict[str, Rows] = {}
        latest = -FOREVER
        for stretch in self._stretches:
            stop = int(np.searchsorted(stretch.due, until_us, side="right"))
            if bound is not None:
                stop = min(stop, int(np.searchsorted(stretch.arrival, bound, side="right")))
            if stop > stretch.at:
                latest = max(latest, int(stretch.due[stop - 1]))
                self._taken += stop - stretch.at
                rows[stretch.channel.name] = stretch.take(stop)
        count = 0
        while count < len(self._rejected) and self._rejected[count].received_at <= (until_us if whole else latest):
            count += 1
        rejected, self._rejected = self._rejected[:count], self._rejected[count:]
        if not rows and not rejected:
            return None
        return Batch(max([latest, *(r.received_at for r in rejected)]), rows, [], rejected)


class Tape:
    """The captures in these folders, one after the other, with what they held when this was made.

    `absences` are the gaps in which the session was away, `losses` those that it did not see: rows that the recorder
    dropped or the files lack, and the times between captures.

    Parameters
    ----------
    folders
        The captures, by their beginnings.

    Raises
    ------
    IncompleteCapture
        As a warning, where something of them is missing.
    """

    def __init__(self, folders: Sequence[Folder]) -> None:
        self._folders = folders
        found = [
            {channel: part_files_of(folder, channel) for channel in folder.channels() if channel is not GAPS}
            for folder in folders
        ]
        self._stops = [{c: p[-1].part.stop if p else 0 for c, p in channels.items()} for channels in found]
        spans = [p.span("received_at") for channels in found for part_files in channels.values() for p in part_files]
        start = folders[0].start_us if folders else 0
        self.start_us = min((first for first, _ in spans), default=start)
        self.end_us = max((last for _, last in spans), default=start)
        absences = [gap for gap in noted(folders) if gap.lost_rows is None]
        self.absences = in_turn(absences)
        self.losses = [gap for gap in gaps_of(folders) if gap not in set(absences)]
        self._known_lost = sum(len(folder.lost) for folder in folders)
        for folder in folders:
            folder.quiet = True
        self.channels = list(dict.fromkeys(c.name for f in folders for c in f.channels() if c not in (GAPS, REJECTED)))

    def found_missing(self) -> list[Gap]:
        """Return the gaps that came to light since the last call: a part may be damaged where only reading shows it."""
        known = sum(len(folder.lost) for folder in self._folders)
        if known == self._known_lost:
            return []
        self._known_lost = known
        told = {*noted(self._folders), *self.losses}
        found = [gap for gap in gaps_of(self._folders) if gap not in told]
        self.losses += found
        return found

    def blocks(self, *, window_of_us: int | None = None, max_rows: int = FOREVER) -> Iterator[Block]:
        """Yield everything in the order of arrival.

        Parameters
        ----------
        window_of_us, max_rows
            Leave out what a window of so many rows would not hold any more at this moment (microseconds); not of
            channels of which something outlives the window.
        """
        skipped = {} if window_of_us is None else self._skipped(window_of_us, max_rows)
        for number, (folder, stops) in enumerate(zip(self._folders, self._stops, strict=True)):
            yield from _merged(folder, {c: (skipped.get((number, c.name), 0), stop) for c, stop in stops.items()})

    def _skipped(self, moment_us: int, max_rows: int) -> dict[tuple[int, str], int]:
        skipped: dict[tuple[int, str], int] = {}
        left: dict[str, int] = {}
        for number, folder in reversed(list(enumerate(self._folders))):
            for channel in self._stops[number]:
                if channel is REJECTED or channel.ends is not None or channel is CHANNELS["trades"]:
                    continue
                rows = _rows_until(part_files_of(folder, channel), moment_us)
                wanted = min(rows, left.get(channel.name, max_rows))
                left[channel.name] = left.get(channel.name, max_rows) - wanted
                skipped[number, channel.name] = rows - wanted
        return skipped


def _rows_until(part_files: Sequence[PartFile], moment_us: int) -> int:
    """Return the number of the first row that was received after a moment."""
    row = 0
    for part_file in part_files:
        first, last = part_file.span("received_at")
        if last <= moment_us:
            row = part_file.part.stop
        elif first <= moment_us:
            received = _micros(part_file.fragment.to_table(columns=["received_at"]).column("received_at"))
            return part_file.part.start + int(np.searchsorted(np.maximum.accumulate(received), moment_us, side="right"))
        else:
            break
    return row


class _Cursor:
    """One channel of a capture: its rows in batches, of which the present one is used up part_file by part_file."""

    def __init__(self, folder: Folder, channel: Channel, first_row: int, stop_row: int) -> None:
        names = ["timestamp", "received_at", *(column.name for column in channel.columns), "arrival", EXTRA]
        self.channel = channel
        self._batches = batches(folder, channel, names, BLOCK_ROWS, first_row, stop_row)
        self._held: Any = None
        self.last = FOREVER  # the arrival of the last row that is held
        self.next()

    @property
    def ended(self) -> bool:
        return self._held is None

    def next(self) -> None:
        self._held = next((pa.Table.from_batches([batch]) for batch in self._batches), None)
        self.last = FOREVER if self._held is None else self._held.column("arrival")[-1].as_py()

    def take(self, bound: int) -> Stretch | None:
        """Return the rows up to this arrival."""
        arrival = self._held.column("arrival").to_numpy()
        stop = int(np.searchsorted(arrival, bound, side="right"))
        some, self._held = self._held.slice(0, stop), self._held.slice(stop)
        if not len(self._held):
            self.next()
        return Stretch(self.channel, some) if len(some) else None


def _merged(folder: Folder, rows: dict[Channel, tuple[int, int]]) -> Iterator[Block]:
    """Yield what a capture's channels hold from one row number up to another."""
    cursors = [_Cursor(folder, channel, *which) for channel, which in rows.items() if channel is not REJECTED]
    rejected = _rejections(folder)[: rows[REJECTED][1]] if REJECTED in rows else []
    while cursors := [cursor for cursor in cursors if not cursor.ended]:
        bound = min(cursor.last for cursor in cursors)
        stretches = [s for cursor in cursors if (s := cursor.take(bound)) is not None]
        ends = max(int(s.due[-1]) for s in stretches)
        if all(cursor.ended for cursor in cursors):
            ends = FOREVER
        count = next((n for n, r in enumerate(rejected) if r.received_at > ends), len(rejected))
        yield Block(stretches, rejected[:count])
        rejected = rejected[count:]
    if rejected:
        yield Block([], rejected)


def _rejections(folder: Folder) -> list[Rejection]:
    rows = Recorded(REJECTED, [folder]).table()
    columns = (rows.column(name).to_pylist() for name in ("reason", "raw"))
    return [Rejection(*row) for row in zip(_micros(rows.column("received_at")).tolist(), *columns, strict=True)]


def in_turn(gaps: Sequence[Gap]) -> list[Gap]:
    """Return gaps by their beginnings, each ended where the next begins: a session is away once at a time.

    >>> [gap.end for gap in in_turn([Gap(0, 9, "a", ()), Gap(5, 7, "b", ())])]
    [5, 7]
    """
    ordered = sorted(gaps, key=lambda gap: gap.start)
    for at, (former, following) in enumerate(pairwise(list(ordered))):
        if former.end is None or former.end > following.start:
            ordered[at] = replace(former, end=following.start)
    return ordered

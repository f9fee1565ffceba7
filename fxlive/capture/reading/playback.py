"""Captures as one stream of the batches that once arrived.

Messages of all channels are merged by `arrival`, the number that the recorder gave them. Rejections and gaps have no
number and are merged by time. Rows are read ahead in blocks; batches of any size are cut from a block without copying.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, overload

import msgspec
import numpy as np
import pyarrow as pa

from fxlive.capture.format.layout import CONFIRMED, GAPS, OWN_CHANNELS, REJECTED
from fxlive.capture.format.notes import Gap
from fxlive.capture.reading.folder import Folder
from fxlive.capture.reading.gaps import gaps_of, recorded_gaps
from fxlive.capture.reading.latest import confirmations_of
from fxlive.capture.reading.part_file import PartFile
from fxlive.capture.reading.repeats import Repeats
from fxlive.capture.reading.rows import ChannelReader, part_files_of, read_batches
from fxlive.core.timestamps import NAT, Micros
from fxlive.wire.batch import Batch, Rejection, Rows
from fxlive.wire.channels import CHANNELS, Channel
from fxlive.wire.messages import Kind, Message, Undocumented, camel
from fxlive.wire.undocumented.columns import EXTRA
from fxlive.wire.undocumented.extras import Extras

BLOCK_ROWS = 65_536
FOREVER = int(np.iinfo(np.int64).max)


class LazyMessages(Sequence[Any]):
    """The messages of recorded rows, each built when it is accessed.

    They equal the messages that arrived, with two exceptions: times are formatted in one way, and nested fields
    of undocumented channels stay flat.
    """

    def __init__(self, channel: Channel, timestamp: Micros, values: dict[str, Any], extras: list[str | None]) -> None:
        self._channel = channel
        self._timestamp = timestamp
        self._values = values
        self._extras = extras

    def __len__(self) -> int:
        return len(self._timestamp)

    @overload
    def __getitem__(self, index: int) -> Message | Undocumented: ...

    @overload
    def __getitem__(self, index: slice) -> list[Message | Undocumented]: ...

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        data: dict[str, Any] = {}
        for column in self._channel.columns:
            value = _json_value(column.kind, self._values[column.name][index])
            if column.path and value is not None:
                parent = data
                for name in column.path[:-1]:
                    parent = parent.setdefault(camel(name), {})
                parent[camel(column.path[-1])] = value
        envelope = {
            "channel": self._channel.name,
            "timestamp": _iso_time(self._timestamp[index]),
            "id": self._values["id"][index],
        }
        if self._channel.message is None:
            fields = _decode_extra(self._extras[index]) if self._extras else {}
            kind = str(fields.pop("type", self._channel.name))
            return Undocumented(type=kind, data=fields, **envelope)
        return msgspec.convert({"type": self._channel.type, "data": data, **envelope}, self._channel.message)


def _json_value(kind: Kind, value: Any) -> Any:
    if kind is Kind.TIME:
        return None if value == NAT else _iso_time(value)
    if kind is Kind.NUMBER:
        return None if np.isnan(value) else float(value)
    return int(value) if isinstance(value, np.integer) else value


def _iso_time(micros: Any) -> str:
    time = np.datetime64(int(micros), "us")
    return f"{time.astype('M8[ms]') if micros % 1000 == 0 else time}Z"


def _decode_extra(text: str | None) -> dict[str, Any]:
    try:
        fields = {} if text is None else msgspec.json.decode(text)
    except msgspec.MsgspecError:
        fields = {EXTRA: text}
    return fields if isinstance(fields, dict) else {EXTRA: text}


class Segment:
    """Rows of one channel in memory, from which batches are taken in order.

    Attributes
    ----------
    arrival
        The number of each message among those of all channels.
    due
        When each row is due: its receipt (microseconds), or an earlier row's if the clock was set back in between.
    next
        The index of the next row to take.
    """

    def __init__(self, channel: Channel, rows: Any) -> None:
        self.channel = channel
        self.arrival: Micros = rows.column("arrival").to_numpy()
        self._received_at = _micros(rows.column("received_at"))
        self.due: Micros = np.maximum.accumulate(self._received_at)
        self._timestamp = _micros(rows.column("timestamp"))
        self._values = {c.name: _values(c.kind, rows.column(c.name)) for c in channel.columns}
        extras = rows.column(EXTRA)
        self._extras: list[str | None] = [] if extras.null_count == len(extras) else extras.to_pylist()
        self.next = 0

    def __len__(self) -> int:
        return len(self.arrival)

    def take(self, stop: int) -> Rows:
        """Return the rows from the next one up to index `stop` (exclusive)."""
        start, self.next = self.next, stop
        values = {name: column[start:stop] for name, column in self._values.items()}
        texts = self._extras[start:stop]
        extras = Extras({index: _decode_extra(text) for index, text in enumerate(texts) if text is not None})
        timestamp = self._timestamp[start:stop]
        messages = LazyMessages(self.channel, timestamp, values, texts)
        received_at, arrival = self._received_at[start:stop], self.arrival[start:stop]
        return Rows(self.channel, messages, timestamp, received_at, arrival, values, extras)


def _micros(column: Any) -> Micros:
    values = column.cast(pa.int64())
    micros: Micros = (values.fill_null(NAT) if values.null_count else values).to_numpy()
    return micros


def _values(kind: Kind, column: Any) -> Any:
    """Return the values of an Arrow column in the form in which `Rows` has them."""
    if kind is Kind.TIME:
        return _micros(column)
    if kind in (Kind.NUMBER, Kind.KEY_INTEGER):
        return column.to_numpy()
    if kind in (Kind.SYMBOL, Kind.CODE):
        codes = column.unify_dictionaries().combine_chunks()
        if isinstance(codes, pa.ChunkedArray):  # without rows
            return []
        names = np.array([*codes.dictionary.to_pylist(), None], object)
        return names[codes.indices.fill_null(-1).to_numpy(zero_copy_only=False)].tolist()
    values = column.to_pylist()
    return [None if v is None else tuple(v) for v in values] if kind is Kind.LIST else values


class Block:
    """Rows of all channels that have been read ahead, and the rejections of the same time."""

    def __init__(self, segments: Sequence[Segment], rejected: Sequence[Rejection]) -> None:
        self._segments = [s for s in segments if len(s)]
        self._rejected = list(rejected)
        self._arrivals = np.sort(np.concatenate([s.arrival for s in self._segments] or [np.empty(0, np.int64)]))
        self._taken = 0

    @property
    def due(self) -> int:
        """When the next row or rejection is due, in microseconds; FOREVER if all have been taken."""
        rows = [int(s.due[s.next]) for s in self._segments if s.next < len(s)]
        return min([*rows, *(r.received_at for r in self._rejected[:1])], default=FOREVER)

    def take(self, until_us: int, max_rows: int) -> Batch | None:
        """Return the rows and rejections due up to a time, about `max_rows` at most; None if there are none."""
        remaining = len(self._arrivals) - self._taken
        all_fit = remaining <= max_rows
        max_arrival = None if all_fit else self._arrivals[self._taken + max_rows - 1]
        rows: dict[str, Rows] = {}
        last_due = -FOREVER
        for segment in self._segments:
            stop = int(np.searchsorted(segment.due, until_us, side="right"))
            if max_arrival is not None:
                stop = min(stop, int(np.searchsorted(segment.arrival, max_arrival, side="right")))
            if stop > segment.next:
                last_due = max(last_due, int(segment.due[stop - 1]))
                self._taken += stop - segment.next
                rows[segment.channel.name] = segment.take(stop)
        count = 0
        while count < len(self._rejected) and self._rejected[count].received_at <= (until_us if all_fit else last_due):
            count += 1
        rejected, self._rejected = self._rejected[:count], self._rejected[count:]
        if not rows and not rejected:
            return None
        return Batch(max([last_due, *(r.received_at for r in rejected)]), rows, [], rejected)


class Playback:
    """Captures as one stream of batches, with the rows that they have when it is created.

    Parameters
    ----------
    folders
        The captures, sorted by start.

    Attributes
    ----------
    start_us, end_us
        The first and the last receipt, in microseconds.
    channels
        The names of the channels.
    disconnections
        The recorded gaps in which the session was disconnected. They do not overlap.
    confirmations
        Positions and orders that messages without a row confirmed: time of receipt (microseconds), channel and key.
    losses
        The other gaps: rows that the recorder dropped or the files lack, and the times between captures.

    Warns
    -----
    IncompleteCapture
        If rows are missing or damaged.
    """

    def __init__(self, folders: Sequence[Folder]) -> None:
        self._folders = folders
        by_folder = [
            {
                channel: part_files_of(folder, channel)
                for channel in folder.channels()
                if channel not in (GAPS, CONFIRMED)
            }
            for folder in folders
        ]
        self._stops = [{c: p[-1].part.stop if p else 0 for c, p in channels.items()} for channels in by_folder]
        self._repeats = self._find_repeats(by_folder)
        spans = [p.span("received_at") for channels in by_folder for files in channels.values() for p in files]
        start = folders[0].start_us if folders else 0
        self.start_us = min((first for first, _ in spans), default=start)
        self.end_us = max((last for _, last in spans), default=start)
        disconnections = [gap for gap in recorded_gaps(folders) if gap.lost_rows is None]
        self.disconnections = without_overlaps(disconnections)
        self.losses = [gap for gap in gaps_of(folders) if gap not in set(disconnections)]
        self.confirmations = confirmations_of(folders)
        self._known_problems = sum(len(folder.incomplete) for folder in folders)
        for folder in folders:
            folder.log_only = True
        self.channels = list(dict.fromkeys(c.name for f in folders for c in f.channels() if c not in OWN_CHANNELS))

    def _find_repeats(self, by_folder: Sequence[dict[Channel, list[PartFile]]]) -> dict[tuple[int, Channel], Repeats]:
        """Return the rows that repeat a row of an earlier capture, by the number of the capture and the channel."""
        found: dict[tuple[int, Channel], Repeats] = {}
        for channel in dict.fromkeys(channel for channels in by_folder for channel in channels):
            with_rows = [number for number, channels in enumerate(by_folder) if channels.get(channel)]
            if len(with_rows) > 1:
                repeats = ChannelReader(channel, self._folders).found().repeats
                found |= {
                    (n, channel): repeats[self._folders[n].path] for n in with_rows if self._folders[n].path in repeats
                }
        return found

    def take_new_losses(self) -> list[Gap]:
        """Return the gaps found since the last call. Some damage is found only when the rows are read."""
        problems = sum(len(folder.incomplete) for folder in self._folders)
        if problems == self._known_problems:
            return []
        self._known_problems = problems
        known = {*recorded_gaps(self._folders), *self.losses}
        losses = [gap for gap in gaps_of(self._folders) if gap not in known]
        self.losses += losses
        return losses

    def blocks(self, *, window_of_us: int | None = None, max_rows: int = FOREVER) -> Iterator[Block]:
        """Yield all rows and rejections in the order of arrival.

        Parameters
        ----------
        window_of_us
            Leave out rows that a window of `max_rows` rows per channel would no longer hold at this time
            (microseconds). Channels whose rows outlive the window are played from the start. None: yield everything.
        max_rows
            The size of that window.
        """
        skipped = {} if window_of_us is None else self._skipped(window_of_us, max_rows)
        for number, (folder, stops) in enumerate(zip(self._folders, self._stops, strict=True)):
            spans = {c: (skipped.get((number, c.name), 0), stop) for c, stop in stops.items()}
            repeats = {c: self._repeats[number, c] for c in stops if (number, c) in self._repeats}
            yield from _merge(folder, spans, repeats)

    def _skipped(self, time_us: int, max_rows: int) -> dict[tuple[int, str], int]:
        """Return the first row to play, by the number of the capture and the name of the channel."""
        skipped: dict[tuple[int, str], int] = {}
        remaining: dict[str, int] = {}
        for number, folder in reversed(list(enumerate(self._folders))):
            for channel in self._stops[number]:
                if channel is REJECTED or channel.ends is not None or channel is CHANNELS["trades"]:
                    continue
                stop = _rows_until(part_files_of(folder, channel), time_us)
                wanted = remaining.get(channel.name, max_rows)
                repeats = self._repeats.get((number, channel), Repeats())
                skipped[number, channel.name], played = repeats.last_others(stop, wanted)
                remaining[channel.name] = wanted - played
        return skipped


def _rows_until(part_files: Sequence[PartFile], time_us: int) -> int:
    """Return the number of the first row that was received after a time."""
    row = 0
    for part_file in part_files:
        first, last = part_file.span("received_at")
        if last <= time_us:
            row = part_file.part.stop
        elif first <= time_us:
            received = _micros(part_file.fragment.to_table(columns=["received_at"]).column("received_at"))
            rows = np.searchsorted(np.maximum.accumulate(received), time_us, side="right")
            return part_file.part.start + int(rows)
        else:
            break
    return row


class _Cursor:
    """Reads one channel of a capture in batches, and hands out the rows of the current batch by arrival."""

    def __init__(
        self, folder: Folder, channel: Channel, first_row: int, stop_row: int, repeats: Repeats | None
    ) -> None:
        names = ["timestamp", "received_at", *(column.name for column in channel.columns), "arrival", EXTRA]
        self.channel = channel
        self._batches = read_batches(folder, channel, names, BLOCK_ROWS, first_row, stop_row, repeats=repeats)
        self._rows: Any = None
        self.last_arrival = FOREVER  # of the current batch
        self._read_next()

    @property
    def ended(self) -> bool:
        return self._rows is None

    def _read_next(self) -> None:
        self._rows = next((pa.Table.from_batches([batch]) for batch in self._batches), None)
        self.last_arrival = FOREVER if self._rows is None else self._rows.column("arrival")[-1].as_py()

    def take(self, max_arrival: int) -> Segment | None:
        """Return the rows of the current batch up to an arrival; None if there are none."""
        arrival = self._rows.column("arrival").to_numpy()
        stop = int(np.searchsorted(arrival, max_arrival, side="right"))
        rows, self._rows = self._rows.slice(0, stop), self._rows.slice(stop)
        if not len(self._rows):
            self._read_next()
        return Segment(self.channel, rows) if len(rows) else None


def _merge(folder: Folder, rows: dict[Channel, tuple[int, int]], repeats: dict[Channel, Repeats]) -> Iterator[Block]:
    """Yield a capture's rows but its repeats, merged by arrival.

    Parameters
    ----------
    folder
        The capture.
    rows
        The first and the stop row of each channel.
    repeats
        The rows of each channel to leave out.
    """
    cursors = [
        _Cursor(folder, channel, *span, repeats.get(channel))
        for channel, span in rows.items()
        if channel is not REJECTED
    ]
    rejected = _rejections(folder)[: rows[REJECTED][1]] if REJECTED in rows else []
    while cursors := [cursor for cursor in cursors if not cursor.ended]:
        max_arrival = min(cursor.last_arrival for cursor in cursors)
        segments = [s for cursor in cursors if (s := cursor.take(max_arrival)) is not None]
        until = max(int(s.due[-1]) for s in segments)
        if all(cursor.ended for cursor in cursors):
            until = FOREVER
        count = next((n for n, r in enumerate(rejected) if r.received_at > until), len(rejected))
        yield Block(segments, rejected[:count])
        rejected = rejected[count:]
    if rejected:
        yield Block([], rejected)


def _rejections(folder: Folder) -> list[Rejection]:
    rows = ChannelReader(REJECTED, [folder]).table()
    columns = (rows.column(name).to_pylist() for name in ("reason", "raw"))
    return [Rejection(*row) for row in zip(_micros(rows.column("received_at")).tolist(), *columns, strict=True)]


def without_overlaps(gaps: Sequence[Gap]) -> list[Gap]:
    """Return gaps sorted by start. A gap that lasts beyond the start of the next one is ended there.

    >>> [gap.end for gap in without_overlaps([Gap(0, 9, "a", ()), Gap(5, 7, "b", ())])]
    [5, 7]
    """
    ordered = sorted(gaps, key=lambda gap: gap.start)
    for index, (former, following) in enumerate(pairwise(list(ordered))):
        if former.end is None or former.end > following.start:
            ordered[index] = replace(former, end=following.start)
    return ordered

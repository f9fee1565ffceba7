"""The store: the rolling table of each channel, gaps, rejections and counters."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import pandas as pd

from fxlive.core.shown_text import shortened
from fxlive.tables.columns.vocabulary import Vocabulary
from fxlive.tables.counters import Counters, quantiles_ms
from fxlive.tables.gaps import MAX_REASON_CHARS, Gap, gaps_frame
from fxlive.tables.open_rows.closings import Closings
from fxlive.tables.rejections import RejectionLog, rejected_frame
from fxlive.tables.table import RollingTable
from fxlive.wire.batch import MAX_RAW_CHARS, Batch, Rejection, Rows
from fxlive.wire.channels import CHANNELS, ID, Channel
from fxlive.wire.statuses import side_of

log = logging.getLogger("fxlive")

MAX_UNDOCUMENTED_CHANNELS = 256
"""The most undocumented channels with a table. Messages of further channels are rejected."""


MAX_LARGE_BYTES = 2**30
USUAL_BYTES = 1_024
"""The windows of all channels hold at most 1 GB of what messages have beyond 1,024 bytes each. Then the channel with
most of it loses its oldest rows early."""


class Store:
    """The rolling tables of all channels, and the gaps, rejections and counters of a session.

    Parameters
    ----------
    max_rows, window_us
        The bounds of the window of each channel, as in `RollingTable`.

    Examples
    --------
    >>> list(Store().snapshot())[:2]
    ['trades', 'positions']
    """

    def __init__(self, *, max_rows: int = 1_000_000, window_us: int | None = None) -> None:
        self._bounds: dict[str, Any] = {"max_rows": max_rows, "window_us": window_us}
        self.lock = threading.RLock()
        self._symbols = Vocabulary()
        self.tables = {channel.name: self._new_table(channel) for channel in CHANNELS.values()}
        self.counters = {name: Counters() for name in self.tables}
        self.rejected = RejectionLog()
        self.heartbeats = 0
        self.evicted_early = 0
        """The number of rows that left their window because messages were too large."""
        self.gaps: list[Gap] = []
        self._closings = Closings()
        self._revisions = 0  # of the positions' time, up to which closed positions were removed

    def _new_table(self, channel: Channel) -> RollingTable:
        return RollingTable(channel, symbols=self._symbols, lock=self.lock, **self._bounds)

    # Writing.

    def add(self, batch: Batch) -> None:
        """Add a batch without duplicates. Readers on other threads see all of it at once.

        If the rows of a channel cannot be stored, they are moved to the rejections of the batch. An internal error
        affects only the step in which it is raised: each message is either a row or a rejection.
        """
        with self.lock:
            for name, rows in tuple(batch.rows.items()):
                self._add_rows(batch, name, rows)
            _attempt(self.reject, batch.rejected)
            self.heartbeats += batch.heartbeats
            _attempt(self._close_positions, batch.rows.get("positions"), batch.rows.get("trades"))

    def _add_rows(self, batch: Batch, name: str, rows: Rows) -> None:
        stop = self.stop_of(name)
        try:
            table = self._table(name)
            if table is None:
                reject_rows(batch, name, f"more than {MAX_UNDOCUMENTED_CHANNELS} undocumented channels")
                return
            table.append(rows)
        except Exception as error:
            log.exception("Could not store messages of %s", name)
            if self.stop_of(name) == stop:
                reject_rows(batch, name, error)
                return
        _attempt(lambda: self.counters[name].count(rows))
        _attempt(lambda: self._note_size(self.tables[name], batch.size_of(name) - USUAL_BYTES * len(rows)))

    def stop_of(self, channel: str) -> int:
        """Return the number of the next row of a channel. It has grown if, and only if, rows were stored."""
        table = self.tables.get(channel)
        return 0 if table is None else table.stop

    def _note_size(self, table: RollingTable, large_bytes: int) -> None:
        """Count what the messages of a table have beyond their usual size, and evict rows if it is too much."""
        if large_bytes <= 0:
            return
        table.note_large(large_bytes)
        if self.large_bytes > MAX_LARGE_BYTES:
            largest = max(self.tables.values(), key=lambda table: table.large_bytes)
            self.evicted_early += largest.evict_large(largest.large_bytes // 2)

    @property
    def large_bytes(self) -> int:
        """The bytes beyond 1,024 of each message, summed over all windows."""
        return sum(table.large_bytes for table in self.tables.values())

    def _table(self, name: str) -> RollingTable | None:
        """Return the table of a channel, a new one at its first message; None if there are too many channels."""
        if name not in self.tables:
            if len(self.tables) >= len(CHANNELS) + MAX_UNDOCUMENTED_CHANNELS:
                return None
            self.counters.setdefault(name, Counters())  # duplicates may have been counted before
            # A new dict, because it is read without the lock.
            self.tables = {**self.tables, name: self._new_table(Channel(name, columns=(ID,)))}
        return self.tables[name]

    def reject(self, rejections: list[Rejection]) -> None:
        """Record rejected messages."""
        with self.lock:
            self.rejected.extend(rejections)

    def _close_positions(self, positions: Rows | None, trades: Rows | None) -> None:
        """Remove the positions from `latest` whose volume is covered by closing trades later than their newest row.

        The platform sends a closed position once more, with volume 0; this is for the case that the message is lost. A
        trade with the timestamp of the row is taken to be included in it: the row states the remaining volume.
        """
        table, closings = self.tables["positions"], self._closings
        tickets: set[int] = set()
        if positions is not None and len(closings):
            stamped = zip(positions.values["ticket"].tolist(), positions.timestamp.tolist(), strict=True)
            tickets.update(ticket for ticket, at in stamped if closings.may_cover(ticket, at))
        if trades is not None:
            values = trades.values
            stamps, volumes = trades.timestamp.tolist(), values["volume"].tolist()
            columns = values["ticket"], values["execution_id"], stamps, volumes, values["status"], values["action"]
            tickets.update(row[0] for row in zip(*columns, strict=True) if closings.add(*row))
        if table.progress.revisions != self._revisions:  # other rows of positions may be the newest now
            self._revisions = table.progress.revisions
            tickets.update(closings.tickets)
        for ticket in tickets:
            newest = table.newest(ticket, "timestamp", "volume", "type")
            if newest is not None:
                side = side_of(newest["type"] or "")
                if closings.cover(ticket, newest["timestamp"], newest["volume"], side):
                    table.remove_from_latest(ticket)

    def open_gap(self, start: int, reason: str, channels: tuple[str, ...]) -> None:
        """Begin a gap: from `start` (microseconds since 1970 UTC) on, messages of these channels may be lost."""
        self.gaps.append(Gap(start, None, shortened(reason, MAX_REASON_CHARS), channels))
        self._begin_gap(channels, None)

    def close_gap(self, end: int) -> Gap | None:
        """End the open gap and return it; None if there is none."""
        if not self.gaps or self.gaps[-1].end is not None:
            return None
        self.gaps[-1].end = end
        return self.gaps[-1]

    def add_gap(self, gap: Gap) -> None:
        """Add a gap that the feed did not open itself. An open gap stays the last."""
        gap.reason = shortened(gap.reason, MAX_REASON_CHARS)
        has_open_gap = bool(self.gaps) and self.gaps[-1].end is None
        self.gaps.insert(len(self.gaps) - has_open_gap, gap)
        self._begin_gap(gap.channels, gap.end)

    def _begin_gap(self, channels: tuple[str, ...], until_us: int | None) -> None:
        for name, table in self.tables.items():
            if not channels or name in channels:
                table.begin_gap(until_us)

    def last_gap(self, channel: str) -> Gap | None:
        """Return the last gap of a channel; None if it has none."""
        return next((gap for gap in reversed(self.gaps) if not gap.channels or channel in gap.channels), None)

    def confirm(self, rows: Rows) -> list[Any]:
        """Confirm the positions or orders of messages that were received before; return those that were unconfirmed."""
        table = self.tables.get(rows.channel.name)
        if table is None or rows.channel.ends is None:
            return []
        return table.confirm(list(rows.values[rows.channel.key[0]]), int(rows.received_at[-1]))

    def expect(self, symbols: Sequence[str], drift: Mapping[str, Mapping[str, str]]) -> None:
        """Add the symbols and undocumented columns of another session, in their order, to give the same frames."""
        with self.lock:
            self._symbols.encode(symbols)
            for name, columns in drift.items():
                table = self._table(name)
                if table is not None:
                    table.expect(columns)

    def clear(self) -> None:
        """Remove all rows, gaps, rejections and counts. Columns stay, and row numbers continue."""
        with self.lock:
            for table in self.tables.values():
                table.clear()
            self.counters = {name: Counters() for name in self.tables}
            self.rejected.clear()
            self.heartbeats = self.evicted_early = 0
            self.gaps = []
            self._closings.clear()

    # Reading.

    def snapshot(self) -> dict[str, pd.DataFrame]:
        """Return the frames of all channels at one instant."""
        with self.lock:
            return {name: table.frame() for name, table in self.tables.items()}

    def gaps_frame(self) -> pd.DataFrame:
        """Return the gaps: `start`, `end` (NaT until it ends), `duration_s`, `reason`, `channels`."""
        return gaps_frame(list(self.gaps))

    def rejected_frame(self) -> pd.DataFrame:
        """Return the newest rejections, indexed by `received_at`: `reason` and `raw`."""
        with self.lock:
            rejected = list(self.rejected)
        return rejected_frame(rejected)

    @property
    def vocabulary(self) -> Vocabulary:
        """The symbols of all channels, as the categories of their columns."""
        return self._symbols

    @property
    def rejections(self) -> int:
        """The number of all rejected messages, including those that are no longer kept."""
        return self.rejected.total

    @property
    def symbols(self) -> list[str]:
        """The symbols of all channels, in order of arrival."""
        return list(self._symbols.names)

    def latency_ms(self, quantiles: tuple[float, ...]) -> list[float]:
        """Return quantiles of the time from event to receipt over all channels, as `Counters.latency_ms`."""
        latencies = [us for counters in tuple(self.counters.values()) for us in list(counters.latencies)]
        return quantiles_ms(latencies, quantiles)

    def drift(self) -> dict[str, dict[str, str]]:
        """Return the dtypes of undocumented columns, by channel and column."""
        return {name: dict(table.drift) for name, table in self.tables.items() if table.drift}

    def unreadable(self) -> dict[str, dict[str, int]]:
        """Return the number of unreadable values in documented columns, by channel and column."""
        counts = {name: table.unreadable for name, table in self.tables.items()}
        return {name: columns for name, columns in counts.items() if columns}


def _attempt(step: Callable[..., None], *arguments: Any) -> None:
    """Call a step that comes after messages were stored. An internal error in it is logged."""
    try:
        step(*arguments)
    except Exception:
        log.exception("An internal error did not affect the messages themselves")


def reject_rows(batch: Batch, name: str, reason: str | Exception) -> None:
    """Move the rows of a channel to the rejections of the batch. An exception as reason is an internal error."""
    if isinstance(reason, Exception):
        reason = f"internal error: {type(reason).__name__}: {reason}"
    messages = batch.rows.pop(name).messages
    batch.rejected += [Rejection(batch.received_at, reason, _raw(messages, index)) for index in range(len(messages))]


def _raw(messages: Sequence[Any], index: int) -> str:
    """Return a message as JSON, cut to the size of a rejection; empty if it cannot be written."""
    try:
        return msgspec.json.encode(messages[index]).decode()[:MAX_RAW_CHARS]
    except Exception:  # a text with a lone surrogate, a message that cannot be built, no memory
        return ""

"""Store: everything that a session knows: a rolling table for each channel, gaps, rejections and counters."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pandas as pd

from fxlive.core.dtypes import STR
from fxlive.tables.counters import Counters, quantiles_ms
from fxlive.tables.gaps import Gap, gaps_frame, times_array
from fxlive.tables.table import RollingTable
from fxlive.tables.vocabulary import Vocabulary
from fxlive.wire.batch import MAX_RAW_CHARS, Batch, Rejection, Rows
from fxlive.wire.channels import CHANNELS, ID, Channel

log = logging.getLogger("fxlive")

MAX_REJECTED = 10_000
MAX_UNDOCUMENTED_CHANNELS = 256
MAX_CLOSED_TICKETS = 10_000
VOLUME_TOLERANCE = 1e-9


class Store:
    """The rolling tables of all channels, with what else a session remembers.

    Parameters
    ----------
    max_rows, window_us
        The bounds of each channel's window, as in `RollingTable`.

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
        self.rejected: deque[Rejection] = deque(maxlen=MAX_REJECTED)
        self.rejections = 0
        self.gaps: list[Gap] = []
        self._closings: OrderedDict[int, dict[str, tuple[int, float]]] = OrderedDict()

    def _new_table(self, channel: Channel) -> RollingTable:
        return RollingTable(channel, symbols=self._symbols, lock=self.lock, **self._bounds)

    # In.

    def add(self, batch: Batch) -> None:
        """Take a batch whose duplicates have been dropped; all of it shows at once to readers of other threads.

        The rows of a channel that cannot be taken in go to the rejections of the batch, and are in it no more.
        """
        with self.lock:
            for name, rows in tuple(batch.rows.items()):
                try:
                    table = self._table(name)
                    if table is None:
                        reason = f"more than {MAX_UNDOCUMENTED_CHANNELS} channels that the reference does not name"
                        _reject_rows(batch, name, reason)
                        continue
                    table.append(rows)
                    self.counters[name].note(rows)
                except Exception as error:  # a fault of ours must not cost the other channels anything
                    log.exception("messages of %s could not be taken in", name)
                    _reject_rows(batch, name, f"internal error: {type(error).__name__}: {error}")
            self.reject(batch.rejected)
            self._close_positions(batch.rows.get("positions"), batch.rows.get("trades"))

    def _table(self, name: str) -> RollingTable | None:
        """Return the table of a channel, a new one where it comes for the first time; None where there are too many."""
        if name not in self.tables:
            if len(self.tables) >= len(CHANNELS) + MAX_UNDOCUMENTED_CHANNELS:
                return None
            self.counters.setdefault(name, Counters())  # it may have counted duplicates already
            self.tables = {**self.tables, name: self._new_table(Channel(name, columns=(ID,)))}  # read without the lock
        return self.tables[name]

    def reject(self, rejections: list[Rejection]) -> None:
        """Remember messages that could not be taken."""
        self.rejected.extend(rejections)
        self.rejections += len(rejections)

    def _close_positions(self, positions: Rows | None, trades: Rows | None) -> None:
        """Take out of `latest` the positions whose volume is covered by closing trades later than their newest row.

        The platform sends a closed position once more, with volume 0; this is for when that message does not come. A
        trade of the same moment as the row counts for part of it: the row says what is left.
        """
        touched: set[int] = set()
        if positions is not None and self._closings:
            touched.update(positions.values["ticket"].tolist())
        if trades is not None and "CLOSED" in trades.values["status"]:
            for place, status in enumerate(trades.values["status"]):
                ticket = trades.values["ticket"][place]
                if status == "CLOSED" and ticket is not None:
                    closings = self._closings.setdefault(ticket, {})
                    execution, at = trades.values["execution_id"][place], int(trades.timestamp[place])
                    if execution in closings:  # said again: its last word counts, from when it was first said
                        at = min(at, closings[execution][0])
                    closings[execution] = (at, trades.values["volume"][place])
                    touched.add(ticket)
        while len(self._closings) > MAX_CLOSED_TICKETS:
            self._closings.popitem(last=False)
        table = self.tables["positions"]
        for ticket in touched & self._closings.keys():
            newest = table.newest(ticket, "timestamp", "volume")
            if newest is not None:
                after = [volume for at, volume in self._closings[ticket].values() if at > newest["timestamp"]]
                if sum(after) >= newest["volume"] - VOLUME_TOLERANCE:
                    table.forget(ticket)

    def open_gap(self, start: int, reason: str, channels: tuple[str, ...]) -> None:
        """Begin a gap: from now on messages of these channels may be lost."""
        self.gaps.append(Gap(start, None, reason, channels))

    def close_gap(self, end: int) -> Gap | None:
        """End the gap that lasts, and return it; None where there is none."""
        if not self.gaps or self.gaps[-1].end is not None:
            return None
        self.gaps[-1].end = end
        return self.gaps[-1]

    def add_gap(self, gap: Gap) -> None:
        """Add a gap that is not the feed's own; one that lasts stays the last."""
        lasts = bool(self.gaps) and self.gaps[-1].end is None
        self.gaps.insert(len(self.gaps) - lasts, gap)

    def expect(self, symbols: Sequence[str], drift: Mapping[str, Mapping[str, str]]) -> None:
        """Have the frames of another session: its symbols and its undocumented columns, in their order."""
        with self.lock:
            self._symbols.encode(symbols)
            for name, columns in drift.items():
                table = self._table(name)
                if table is not None:
                    table.expect(columns)

    def clear(self) -> None:
        """Forget everything that has come; the columns stay, and rows go on being numbered."""
        with self.lock:
            for table in self.tables.values():
                table.clear()
            self.counters = {name: Counters() for name in self.tables}
            self.rejected.clear()
            self.rejections = 0
            self.gaps = []
            self._closings.clear()

    # Out.

    def snapshot(self) -> dict[str, pd.DataFrame]:
        """Return the frame of every channel at one moment."""
        with self.lock:
            return {name: table.frame() for name, table in self.tables.items()}

    def gaps_frame(self) -> pd.DataFrame:
        """Return the gaps: `start`, `end` (NaT while it lasts), `duration_s`, `reason`, `channels`."""
        return gaps_frame(list(self.gaps))

    def rejected_frame(self) -> pd.DataFrame:
        """Return the newest rejections, indexed by `received_at`: `reason` and `raw`."""
        with self.lock:
            rejected = list(self.rejected)
        return rejected_frame(rejected)

    @property
    def symbols(self) -> list[str]:
        """The symbols of all channels, in the order in which they came."""
        return list(self._symbols.names)

    def latency_ms(self, quantiles: tuple[float, ...]) -> list[float]:
        """Return quantiles of the time from event to receipt over all channels, as `Counters.latency_ms`."""
        late = [us for counters in tuple(self.counters.values()) for us in list(counters.latencies)]
        return quantiles_ms(late, quantiles)

    def drift(self) -> dict[str, dict[str, str]]:
        """Return the undocumented columns: their dtypes, by channel and name."""
        return {name: dict(table.drift) for name, table in self.tables.items() if table.drift}


def _reject_rows(batch: Batch, name: str, reason: str) -> None:
    raw = (msgspec.json.encode(message).decode()[:MAX_RAW_CHARS] for message in batch.rows[name].messages)
    batch.rejected += [Rejection(batch.received_at, reason, text) for text in raw]
    del batch.rows[name]


def rejected_frame(rejected: Sequence[Rejection]) -> pd.DataFrame:
    """Return rejections as a frame, indexed by `received_at`: `reason` and `raw`."""
    return pd.DataFrame(
        {
            "reason": pd.array([r.reason for r in rejected], dtype=STR),
            "raw": pd.array([r.raw for r in rejected], dtype=STR),
        },
        index=pd.DatetimeIndex(times_array([r.received_at for r in rejected]), name="received_at"),
    )

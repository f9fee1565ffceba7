"""The times at which trades and positions count: their timestamps, but not those that are far ahead of the channel.

An outlier (see `core.progress`) happened before it arrived, so it counts at the end of the account's time at its
arrival: the newest trusted timestamp of trades and positions received so far. A trade counts a microsecond after a
position's row, because a row already includes a trade of its time. Sessions, captures and replays share this rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fxlive.core.progress import CONFIRMATIONS, LONG_AGO, Micros, Progress

if TYPE_CHECKING:
    from fxlive.tables.table import RollingTable
    from fxlive.wire.batch import Rows

Flags = npt.NDArray[np.bool_]

CHANNELS = ("positions", "trades")
_DELAY_US = {"positions": 0, "trades": 1}
MAX_OUTLIERS = 20_000
"""The most outliers of a channel whose times are remembered; those that came last are kept."""


def are_outliers(timestamps: Micros, received_at: Micros) -> Flags:
    """Return which messages of a channel, given in the order of arrival, have timestamps far ahead of the others."""
    progress = Progress()
    progress.add(timestamps, received_at)
    return progress.are_outliers(timestamps)


def times_at_arrival(timestamps: Micros, outlier: Flags, former_end: int = LONG_AGO) -> Micros:
    """Return the timestamps of a channel; of an outlier, the end of the channel's time at its arrival.

    `former_end` is the end before the first message. Outliers before the first trusted message count at its time.

    >>> times_at_arrival(np.array([1, 99, 2]), np.array([False, True, False])).tolist()
    [1, 1, 2]
    """
    if not outlier.any():
        return timestamps
    ends = np.maximum.accumulate(np.where(outlier, former_end, timestamps))
    trusted = timestamps[~outlier]
    first = trusted[0] if len(trusted) else timestamps.min()
    return np.where(outlier, np.where(ends == LONG_AGO, first, ends), timestamps)


def are_counted(keys: npt.NDArray[np.int64], outlier: Flags) -> Flags:
    """Return which rows of a state (a position, an order) count, as for `latest`.

    An outlier counts if no trusted row of its key came before, or if it is at least the third outlier in a row.

    >>> are_counted(np.array([7, 7, 8]), np.array([False, True, True])).tolist()
    [True, False, True]
    """
    counted = np.ones(len(keys), np.bool_)
    if not outlier.any():
        return counted
    rows = np.flatnonzero(np.isin(keys, keys[outlier]))
    rows = rows[np.argsort(keys[rows], kind="stable")]
    number = np.arange(len(rows))
    is_first = np.concatenate(([True], keys[rows[1:]] != keys[rows[:-1]]))
    first = np.maximum.accumulate(np.where(is_first, number, 0))
    last_trusted = np.maximum.accumulate(np.where(outlier[rows], -1, number))
    in_a_row = number - last_trusted
    counted[rows] = ~outlier[rows] | (last_trusted < first) | (in_a_row >= CONFIRMATIONS)
    return counted


class OutlierTimes(dict[tuple[int, int], int]):
    """The times at which the outliers of a channel count, by timestamp and receipt; empty in the ordinary case."""

    def __init__(self, times: Mapping[tuple[int, int], int] | None = None) -> None:
        super().__init__(times or {})
        self._lowest = min((stamp for stamp, _ in self), default=0)  # no later than any timestamp of an outlier

    def add(self, timestamps: Micros, received_at: Micros, times: Micros) -> None:
        """Add outliers; the oldest are dropped if there are too many."""
        lowest = int(timestamps.min())
        self._lowest = min(self._lowest, lowest) if self else lowest
        self.update(zip(zip(timestamps.tolist(), received_at.tolist(), strict=True), times.tolist(), strict=True))
        while len(self) > MAX_OUTLIERS:
            del self[next(iter(self))]

    def of(self, timestamps: Micros, received_at: Micros) -> Micros:
        """Return the times at which messages count."""
        if not self:
            return timestamps
        times = timestamps.copy()
        for index in np.flatnonzero(timestamps >= self._lowest).tolist():
            times[index] = self.of_one(int(timestamps[index]), int(received_at[index]))
        return times

    def of_one(self, timestamp: int, received_at: int) -> int:
        """Return the time at which a message counts."""
        return self.get((timestamp, received_at), timestamp)


class AccountTimes:
    """The times at which the outliers among positions and trades count."""

    def __init__(self) -> None:
        self.positions = OutlierTimes()
        self.trades = OutlierTimes()
        self._revisions = (0, 0)

    @classmethod
    def of_rows(cls, positions: tuple[Micros, Micros], trades: tuple[Micros, Micros]) -> AccountTimes:
        """Return the times of all outliers, given the timestamps and receipts of each channel in order of arrival."""
        times, channels = cls(), {"positions": positions, "trades": trades}
        outliers = {name: are_outliers(*rows) for name, rows in channels.items()}
        for name, other in zip(CHANNELS, reversed(CHANNELS), strict=True):
            if outliers[name].any():
                (stamps, received), outlier = channels[name], outliers[name]
                ends = _ends_at(received[outlier], *channels[other], outliers[other])
                times._add(name, stamps, received, outlier, times_at_arrival(stamps, outlier), ends)
        return times

    def of_channel(self, channel: str) -> OutlierTimes:
        """Return the times of the outliers of ``"positions"`` or ``"trades"``."""
        return self.positions if channel == "positions" else self.trades

    def copy(self) -> AccountTimes:
        """Return a copy that does not change."""
        copied = AccountTimes()
        if self.positions or self.trades:
            copied.positions, copied.trades = OutlierTimes(self.positions), OutlierTimes(self.trades)
        return copied

    def clear(self) -> None:
        """Forget all outliers."""
        self.positions, self.trades, self._revisions = OutlierTimes(), OutlierTimes(), (0, 0)

    def follow(self, positions: RollingTable, trades: RollingTable, added: Mapping[str, Rows]) -> bool:
        """Note the outliers among rows that the tables have just added.

        Returns whether rows added before have become outliers, or outliers have become trusted.
        """
        tables = {"positions": positions, "trades": trades}
        revisions = (positions.progress.revisions, trades.progress.revisions)
        if revisions != self._revisions:
            self._revisions = revisions
            self._revise(tables)
            return True
        for name, other in zip(CHANNELS, reversed(CHANNELS), strict=True):
            rows = added.get(name)
            if rows is not None and tables[name].outlier.any():
                outlier, table = tables[name].outlier, tables[name]
                own = times_at_arrival(rows.timestamp, outlier, table.former_end)
                ends = self._ends_of(tables[other], other, rows.received_at[outlier], added.get(other))
                self._add(name, rows.timestamp, rows.received_at, outlier, own, ends)
        return False

    def _ends_of(self, table: RollingTable, name: str, received_at: Micros, added: Rows | None) -> Micros:
        """Return the end of a table's time at each of these receipts; `added` are its last rows if they are new."""
        last = table.values(max(table.first, table.stop - 1), "received_at")[1][0]
        if not len(last) or last[-1] <= received_at.min():
            return np.full(len(received_at), table.progress.end)
        stamps, received = table.values(None, "timestamp", "received_at")[1]
        outlier = self.of_channel(name).of(stamps, received) != stamps
        new = 0 if added is None else min(len(added), len(stamps))
        outlier[len(stamps) - new :] = table.outlier[len(table.outlier) - new :] if new else []
        return _ends_at(received_at, stamps, received, outlier)

    def _revise(self, tables: dict[str, RollingTable]) -> None:
        windows: dict[str, Any] = {
            name: table.values(None, "timestamp", "received_at")[1] for name, table in tables.items()
        }
        found = self.of_rows(windows["positions"], windows["trades"])
        self.positions, self.trades = (
            OutlierTimes({**_received_before(received, self.of_channel(name)), **found.of_channel(name)})
            for name, (_, received) in windows.items()
        )

    def _add(
        self, name: str, stamps: Micros, received: Micros, outlier: Flags, own_ends: Micros, other_ends: Micros
    ) -> None:
        stamps = stamps[outlier]
        own_ends = own_ends[outlier]
        ends = np.where(other_ends < own_ends, own_ends, other_ends + _DELAY_US[name])
        self.of_channel(name).add(stamps, received[outlier], np.minimum(ends, stamps))


def _received_before(received_at: Micros, times: OutlierTimes) -> dict[tuple[int, int], int]:
    """Return the outliers received before these messages: they have left the window."""
    first = int(received_at.min()) if len(received_at) else LONG_AGO
    return {key: at for key, at in times.items() if key[1] < first}


def _ends_at(times: Micros, stamps: Micros, received_at: Micros, outlier: Flags) -> Micros:
    """Return the end of a channel's time when it had received the messages up to each of these times."""
    stamps, received_at = stamps[~outlier], received_at[~outlier]
    order: Any = np.argsort(received_at, kind="stable")
    ends = np.concatenate(([LONG_AGO], np.maximum.accumulate(stamps[order])))
    found: Micros = ends[np.searchsorted(received_at[order], times, side="right")]
    return found

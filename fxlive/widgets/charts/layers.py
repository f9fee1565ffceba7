"""Building blocks of a chart: point layers, price lines and the status of the data behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from fxlive.pipeline.pipeline import Pipeline
from fxlive.tables.open_rows.unconfirmed import unconfirmed_text
from fxlive.tables.table import RollingTable

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

UP, DOWN = "#26a69a", "#ef5350"
"""Colours of rising prices and buys, and of falling prices and sells. Legible on light and dark backgrounds."""


@dataclass(frozen=True)
class Points:
    """Some points of a layer.

    `columns` are the layer's, all of one length: first the time in milliseconds since 1970 UTC, ascending. `stop` is
    the position at which to read on. If `restart`, they replace all points read before.
    """

    columns: tuple[Floats, ...]
    stop: int
    restart: bool = False

    def __len__(self) -> int:
        return len(self.columns[0])

    def take(self, indices: Any) -> Points:
        """Return only the points at these indices."""
        return Points(tuple(column[indices] for column in self.columns), self.stop, self.restart)


@dataclass(frozen=True)
class Column:
    """The target of a column's values: an attribute, such as ``y``, of some of the layer's traces."""

    attribute: str
    traces: tuple[int, ...] = (0,)


class Layer(Protocol):
    """Some traces of a chart whose points share their times."""

    @property
    def traces(self) -> Sequence[go.Scatter]:
        """The traces, with their style and without points."""

    @property
    def columns(self) -> Sequence[Column]:
        """The target of each column of the points."""

    @property
    def thin(self) -> bool:
        """Whether the points are downsampled to the pixels of the screen."""

    @property
    def replaces(self) -> bool:
        """Whether new points replace all points drawn at the first new time or later."""

    @property
    def holds(self) -> bool:
        """Whether the line is extended to the newest point of the chart, because its last value still holds."""

    def read(self, start: int | None) -> Points:
        """Return the points after position `start`, or with None the whole window. Valid until the next call."""


class RevisablePoints:
    """Points of which later ones may replace earlier ones, for layers that `replaces`.

    They are stored in one buffer with free space at its end, so a change costs only as much as it brings.

    Parameters
    ----------
    columns
        Number of columns, including the time.
    window_ms
        How much to keep, back from the newest point, and one point before that.
    """

    def __init__(self, columns: int, window_ms: float) -> None:
        self._points = np.empty((columns, _FREE))
        self._revisions = np.zeros(_FREE, np.int64)  # the revision that brought each point
        self._window_ms = window_ms
        self._first = self._stop = 0
        self._revision = self._restart_revision = 0

    def replace(self, since_ms: float, columns: Sequence[Floats]) -> None:
        """Replace all points from a time on."""
        self._revision += 1
        count = len(columns[0])
        at = self._first + int(np.searchsorted(self._points[0, self._first : self._stop], since_ms))
        if at < self._stop and (not count or columns[0][0] > self._points[0, at]):
            self._restart_revision = self._revision  # points were removed that no new point replaces
        at = self._reserve(at, count)
        self._stop = at + count
        for index, column in enumerate(columns):
            self._points[index, at : self._stop] = column
        self._revisions[at : self._stop] = self._revision
        x = self._points[0, self._first : self._stop]
        if len(x):
            self._first += max(0, int(np.searchsorted(x, x[-1] - self._window_ms)) - 1)

    def restart(self) -> None:
        """Remove all points. Readers restart from the points that follow."""
        self._revision += 1
        self._restart_revision = self._revision
        self._first = self._stop = 0

    def read(self, start: int | None) -> Points:
        """Return the points that came with a revision after `start`, or with None all. Valid until the next change."""
        restart = start is not None and start < self._restart_revision
        first = self._first
        if start is not None and not restart:
            first += int(np.searchsorted(self._revisions[self._first : self._stop], start, "right"))
        return Points(tuple(self._points[:, first : self._stop]), self._revision, restart)

    def _reserve(self, at: int, count: int) -> int:
        """Make room for `count` points at index `at`. Return the index, which changes if the buffer was moved."""
        if at + count <= len(self._revisions):
            return at
        kept = at - self._first
        points = np.empty((len(self._points), 2 * (kept + count) + _FREE))
        revisions = np.zeros(points.shape[1], np.int64)
        points[:, :kept] = self._points[:, self._first : at]
        revisions[:kept] = self._revisions[self._first : at]
        self._points, self._revisions, self._first = points, revisions, 0
        return kept


_FREE = 256


@dataclass(frozen=True)
class PriceLine:
    """A horizontal line at a value, such as the price of an open position; fainter if it is not confirmed."""

    y: float
    text: str
    role: Literal["buy", "sell", "stop_loss", "take_profit"]
    confirmed: bool = True

    def content(self) -> dict[str, Any]:
        """Return the line as sent to the page."""
        line = {"y": self.y, "text": self.text, "role": self.role}
        return line if self.confirmed else {**line, "confirmed": False}


@dataclass(frozen=True)
class Badge:
    """Status of the data behind a widget. `since` is in milliseconds since 1970 UTC, `why` is shown as a tooltip.

    A live badge with a reason shows its beginning, too: some figures rest on positions that may have been closed.
    """

    state: Literal["live", "stale", "disconnected", "unsubscribed", "closed", "failed", "seeking", "paused", "ended"]
    since: float | None = None
    why: str | None = None


class DataStatus:
    """Status of the channels behind a widget: badge, gaps, and whether their tables were cleared.

    Parameters
    ----------
    pipeline
        Fills the tables.
    channels
        Names of the channels. The badge is stale if one of them is; it names the first.
    """

    def __init__(self, pipeline: Pipeline, *channels: str) -> None:
        self._pipeline = pipeline
        self._channels = channels

    def badge(self) -> Badge:
        """Return the status now. A channel is stale by its own limit, as in `health()`.

        While a replay is paused, seeking or at its end, that is the status, whatever was recorded of that moment.
        """
        pipeline = self._pipeline
        halt = pipeline.feed.halt
        if halt is not None and pipeline.state not in ("closed", "failed"):
            return Badge(halt)
        match pipeline.state:
            case "connecting" | "reconnecting":
                gap = pipeline.store.gaps[-1] if pipeline.store.gaps else None
                if gap is None or gap.end is not None:
                    return Badge("disconnected")
                return Badge("disconnected", gap.start / 1000.0, gap.reason)
            case "closed":
                return Badge("closed")
            case "failed":
                return Badge("failed", why=None if pipeline.error is None else str(pipeline.error))
        missing = [channel for channel in self._channels if channel not in pipeline.feed.subscriptions]
        if missing:
            return Badge("unsubscribed", why=f"{', '.join(missing)}: not subscribed")
        for channel in self._channels:
            if pipeline.stale(channel):
                last = pipeline.store.counters[channel].last_received_at
                return Badge("stale", None if last is None else last / 1000.0, f"{channel} is silent")
        return Badge("live", why=self._unconfirmed() if "positions" in self._channels else None)

    def _unconfirmed(self) -> str | None:
        """Return the number of unconfirmed positions in words; None if all are confirmed."""
        store = self._pipeline.store
        gap, count = store.last_gap("positions"), store.tables["positions"].unconfirmed_count()
        return None if gap is None else unconfirmed_text(count, gap.start, gap.end)

    def epoch(self) -> int | None:
        """Return how often the channels' tables were cleared; None while they are being filled again."""
        if self._pipeline.feed.halt == "seeking":
            return None
        tables = self._pipeline.store.tables
        return sum(tables[channel].clearings for channel in self._channels)

    def gaps(self, since_ms: float = -np.inf) -> tuple[tuple[float, float | None], ...]:
        """Return the times in which messages may be missing, each as (start, end), oldest first.

        Times are in milliseconds since 1970 UTC; the end of a gap that lasts is None. Gaps that ended before
        `since_ms` are left out.
        """
        gaps: list[tuple[float, float | None]] = []
        for gap in reversed(self._pipeline.store.gaps):
            if gap.end is not None and gap.end / 1000.0 < since_ms:
                break
            if not gap.channels or set(gap.channels) & set(self._channels):
                gaps.append((gap.start / 1000.0, None if gap.end is None else gap.end / 1000.0))
        return tuple(gaps[::-1])


class TableWatcher:
    """Detects changes of tables, for readers to whom looking at the rows ten times a second is too costly."""

    def __init__(self, *tables: Callable[[], RollingTable]) -> None:
        self._tables = tables
        self._seen: tuple[tuple[int, int, int], ...] | None = None

    def changed(self) -> bool:
        """Return whether `latest` has changed, or a table was cleared, since the last call; True on the first call."""
        now = tuple((table().stop, table().clearings, table().changes) for table in self._tables)
        changed, self._seen = now != self._seen, now
        return changed


def in_window(
    stamps: Ints, rows: npt.NDArray[np.intp], window_us: int, drawn: npt.NDArray[np.bool_]
) -> npt.NDArray[np.intp]:
    """Return the indices `rows` sorted by time, from the start of the window before the newest of them.

    Rows that are not `drawn` (see `RollingTable.are_drawn`) are left out. If they turn out to be right, the chart
    begins again (see `RollingTable.clearings`).
    """
    rows = rows[drawn[rows]]
    times = stamps[rows]
    if len(rows) > 1 and (np.diff(times) < 0).any():  # some messages came late
        order = np.argsort(times, kind="stable")
        rows, times = rows[order], times[order]
    return rows[np.searchsorted(times, times[-1] - window_us) :] if len(rows) else rows

"""What a chart is made of: layers of points, marks at certain prices, and word of how the data behind it fares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from fxlive.pipeline.pipeline import Pipeline
from fxlive.tables.table import RollingTable

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

UP, DOWN = "#26a69a", "#ef5350"
"""The colours of what rises or was bought, and of what falls or was sold: legible on light and on dark."""


@dataclass(frozen=True)
class Points:
    """Some points of a layer.

    `columns` are the layer's, of one length: first the time in milliseconds since 1970 UTC, ascending. `stop` is
    where the next points come from. Where they are `anew`, they take the place of all that came before.
    """

    columns: tuple[Floats, ...]
    stop: int
    anew: bool = False

    def __len__(self) -> int:
        return len(self.columns[0])

    def take(self, places: Any) -> Points:
        """Return only the points at these places."""
        return Points(tuple(column[places] for column in self.columns), self.stop, self.anew)


@dataclass(frozen=True)
class Column:
    """Where the values of a column go: to an attribute such as ``y`` of some of the layer's traces."""

    attribute: str
    traces: tuple[int, ...] = (0,)


class Layer(Protocol):
    """Some traces of a chart whose points share their times."""

    @property
    def traces(self) -> Sequence[go.Scatter]:
        """How they look."""

    @property
    def columns(self) -> Sequence[Column]:
        """Where each column of the points goes."""

    @property
    def thin(self) -> bool:
        """Whether only the points that a screen can show are drawn."""

    @property
    def replaces(self) -> bool:
        """Whether the first new point takes the place of what is drawn at its time or later."""

    @property
    def holds(self) -> bool:
        """Whether the last value is drawn on to the newest point of the chart, because it still is the value."""

    def read(self, start: int | None) -> Points:
        """Return the points that have come since `start`, or with None all of the window; used before the next call."""


class Revised:
    """Points of which later ones may take the place of earlier ones: those of a layer that `replaces`.

    They lie in one buffer that has room behind the last, so that a change costs what it brings.

    Parameters
    ----------
    columns
        How many, the time among them.
    window_ms
        How much to keep, back from the newest point, and the last point before that.
    """

    def __init__(self, columns: int, window_ms: float) -> None:
        self._points = np.empty((columns, _ROOM))
        self._changes = np.zeros(_ROOM, np.int64)  # with which change each point came
        self._window_ms = window_ms
        self._first = self._stop = 0
        self._count = self._cut = 0

    def replace(self, since_ms: float, columns: Sequence[Floats]) -> None:
        """Put points in the place of all from a time on."""
        self._count += 1
        more = len(columns[0])
        at = self._first + int(np.searchsorted(self._points[0, self._first : self._stop], since_ms))
        if at < self._stop and (not more or columns[0][0] > self._points[0, at]):
            self._cut = self._count  # points have gone that no new one takes the place of
        at = self._claim(at, more)
        self._stop = at + more
        for place, column in enumerate(columns):
            self._points[place, at : self._stop] = column
        self._changes[at : self._stop] = self._count
        x = self._points[0, self._first : self._stop]
        if len(x):
            self._first += max(0, int(np.searchsorted(x, x[-1] - self._window_ms)) - 1)

    def restart(self) -> None:
        """Forget all points: who reads is to begin anew."""
        self._count += 1
        self._cut = self._count
        self._first = self._stop = 0

    def read(self, start: int | None) -> Points:
        """Return the points that came with a change after `start`, or with None all; good until the next change."""
        anew = start is not None and start < self._cut
        first = self._first
        if start is not None and not anew:
            first += int(np.searchsorted(self._changes[self._first : self._stop], start, "right"))
        return Points(tuple(self._points[:, first : self._stop]), self._count, anew)

    def _claim(self, at: int, more: int) -> int:
        """Have room for more points behind place `at`, and return where that is then."""
        if at + more <= len(self._changes):
            return at
        kept = at - self._first
        points = np.empty((len(self._points), 2 * (kept + more) + _ROOM))
        changes = np.zeros(points.shape[1], np.int64)
        points[:, :kept] = self._points[:, self._first : at]
        changes[:kept] = self._changes[self._first : at]
        self._points, self._changes, self._first = points, changes, 0
        return kept


_ROOM = 256


@dataclass(frozen=True)
class Mark:
    """A horizontal line at a value, such as the price of an open position."""

    y: float
    text: str
    role: Literal["buy", "sell", "stop_loss", "take_profit"]


@dataclass(frozen=True)
class Badge:
    """How the data behind a widget fares; `since` is in milliseconds since 1970 UTC, `why` is for who wants to know."""

    state: Literal["live", "stale", "disconnected", "unsubscribed", "closed", "failed", "seeking", "paused", "ended"]
    since: float | None = None
    why: str | None = None


class Fares:
    """How the channels behind a widget fare.

    Parameters
    ----------
    pipeline
        What brings them.
    channels
        Their names; stale is the first of them that is.
    """

    def __init__(self, pipeline: Pipeline, *channels: str) -> None:
        self._pipeline = pipeline
        self._channels = channels

    def badge(self) -> Badge:
        """Return how they fare now; stale goes by the channel, as in `health()`.

        Of a replay that stands still it is said that it does, whatever was recorded of that moment.
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
        return Badge("live")

    def epoch(self) -> int | None:
        """Return how often the channels' tables were cleared; None while they are filled again."""
        if self._pipeline.feed.halt == "seeking":
            return None
        tables = self._pipeline.store.tables
        return sum(tables[channel].clearings for channel in self._channels)

    def gaps(self, since_ms: float = -np.inf) -> tuple[tuple[float, float | None], ...]:
        """Return the times in which messages may be missing: start and end (None while it lasts), in milliseconds.

        Only those that had not ended at a time.
        """
        found: list[tuple[float, float | None]] = []
        for gap in reversed(self._pipeline.store.gaps):
            if gap.end is not None and gap.end / 1000.0 < since_ms:
                break
            if not gap.channels or set(gap.channels) & set(self._channels):
                found.append((gap.start / 1000.0, None if gap.end is None else gap.end / 1000.0))
        return tuple(found[::-1])


class Moved:
    """Remembers whether tables have moved, for what is costly to look at ten times a second."""

    def __init__(self, *tables: Callable[[], RollingTable]) -> None:
        self._tables = tables
        self._stops: tuple[tuple[int, int], ...] | None = None

    def moved(self) -> bool:
        """Return whether rows have come, or all have gone, since the last call; True at the first."""
        stops = tuple((table().stop, table().clearings) for table in self._tables)
        moved, self._stops = stops != self._stops, stops
        return moved


def in_window(stamps: Ints, rows: npt.NDArray[np.intp], window_us: int) -> npt.NDArray[np.intp]:
    """Return the rows in the order of their times, without those older than the window before the newest of them."""
    moments = stamps[rows]
    if len(rows) > 1 and (np.diff(moments) < 0).any():  # some came late
        order = np.argsort(moments, kind="stable")
        rows, moments = rows[order], moments[order]
    return rows[np.searchsorted(moments, moments[-1] - window_us) :] if len(rows) else rows

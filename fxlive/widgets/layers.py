"""What a chart is made of: layers of points, marks at certain prices, and word of how the data behind it fares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from fxlive.pipeline import Pipeline
from fxlive.table import RollingTable

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
        """Return the points that have come since `start`, or with None all of the window."""


class Revised:
    """Points of which later ones may take the place of earlier ones: those of a layer that `replaces`.

    Parameters
    ----------
    columns
        How many, the time among them.
    window_ms
        How much to keep, back from the newest point, and the last point before that.
    """

    def __init__(self, columns: int, window_ms: float) -> None:
        self._columns: list[Floats] = [np.empty(0) for _ in range(columns)]
        self._window_ms = window_ms
        self._changes = np.empty(0, np.int64)  # with which change each point came
        self._count = self._cut = 0

    def replace(self, since_ms: float, columns: Sequence[Floats]) -> None:
        """Put points in the place of all from a time on."""
        self._count += 1
        x = self._columns[0]
        stop = int(np.searchsorted(x, since_ms))
        if stop < len(x) and (not len(columns[0]) or columns[0][0] > x[stop]):
            self._cut = self._count  # points have gone that no new one takes the place of
        newest = columns[0][-1] if len(columns[0]) else x[stop - 1] if stop else since_ms
        first = min(max(0, int(np.searchsorted(x, newest - self._window_ms)) - 1), stop)
        self._columns = [np.concatenate([o[first:stop], n]) for o, n in zip(self._columns, columns, strict=True)]
        self._changes = np.concatenate([self._changes[first:stop], np.full(len(columns[0]), self._count)])

    def read(self, start: int | None) -> Points:
        """Return the points that came with a change after `start`, or with None all."""
        anew = start is not None and start < self._cut
        first = 0 if start is None or anew else int(np.searchsorted(self._changes, start, "right"))
        return Points(tuple(column[first:] for column in self._columns), self._count, anew)


@dataclass(frozen=True)
class Mark:
    """A horizontal line at a value, such as the price of an open position."""

    y: float
    text: str
    role: Literal["buy", "sell", "stop_loss", "take_profit"]


@dataclass(frozen=True)
class Badge:
    """How the data behind a widget fares; `since` is in milliseconds since 1970 UTC."""

    state: Literal["live", "stale", "disconnected", "closed", "failed", "seeking", "paused", "ended"]
    since: float | None = None


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
        state, halt = self._pipeline.state, self._pipeline.feed.halt
        if halt is not None and state not in ("closed", "failed"):
            return Badge(halt)
        match state:
            case "connecting" | "reconnecting":
                gaps = self._pipeline.store.gaps
                return Badge("disconnected", gaps[-1].start / 1000.0 if gaps and gaps[-1].end is None else None)
            case "closed" | "failed":
                return Badge(state)
        for channel in self._channels:
            if self._pipeline.stale(channel):
                last = self._pipeline.store.counters[channel].last_received_at
                return Badge("stale", None if last is None else last / 1000.0)
        return Badge("live")

    def epoch(self) -> int | None:
        """Return how often the channels' tables were cleared; None while they are filled again."""
        if self._pipeline.feed.halt == "seeking":
            return None
        tables = self._pipeline.store.tables
        return sum(tables[channel].clearings for channel in self._channels)

    def gaps(self) -> tuple[tuple[float, float | None], ...]:
        """Return the times in which messages may be missing: start and end (None while it lasts), in milliseconds."""
        return tuple(
            (gap.start / 1000.0, None if gap.end is None else gap.end / 1000.0)
            for gap in list(self._pipeline.store.gaps)
            if not gap.channels or set(gap.channels) & set(self._channels)
        )


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

"""The P&L ledger: the state of every position and execution and the totals of every group, updated event by event.

Events are applied in the order of their timestamps; at equal timestamps trades before positions, each in the order of
arrival. The events of one timestamp form a step, and a series has one point per step: the totals after its events. A
late event is inserted where it belongs: the ledger undoes the steps from there on and applies them again.

The value of a position is the unrealized profit of its newest row, and 0 if its volume is 0. A trade of the same ticket
that closes (by its status, or because it is opposite to the position) and is later than that row reduces the value by
its share of the volume, until the next row arrives. So a partial close never counts as realized and unrealized at once,
and a position is closed when such trades cover its volume.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, NamedTuple

from fxlive.analytics.inputs import MISSING
from fxlive.analytics.profit.events import UNKNOWN, Event, PositionEvent, TradeEvent
from fxlive.core.volumes import is_covered

MAX_STEPS = 10_000
"""How many of the newest steps can be undone."""

_TIME_AND_RANK = itemgetter(0, 1)


class PositionState(NamedTuple):
    """The newest row of a position, the volume closed since, and the value of the rest. Amounts in millionths."""

    time: int
    unrealized: int
    volume: int
    closed: int
    group: str | None
    value: int


class ExecutionState(NamedTuple):
    """The last report of an execution, with the time of its first. Amounts in millionths."""

    first_time: int
    group: str | None
    ticket: int | None
    profit: int
    commission: int
    swap: int
    closed: int


class Totals(NamedTuple):
    """The totals of a group, in millionths."""

    unrealized: int = 0
    realized: int = 0
    commission: int = 0
    swap: int = 0
    peak: int = 0


@dataclass(slots=True)
class _Step:
    """One timestamp: its events, the totals of the groups that it changed, and the former entries of the state."""

    time: int
    events: list[Event] = field(default_factory=list)
    groups: dict[str | None, Totals] = field(default_factory=dict)
    undo: list[tuple[dict[Any, Any], Any, Any]] = field(default_factory=list)


class Points(NamedTuple):
    """New and corrected points by group, each (time, *totals). They replace the group's points from `since` on.

    A group whose points from `since` on are removed without a replacement has an empty list.
    """

    since: int
    groups: dict[str | None, list[tuple[int, ...]]]


class Ledger:
    """Positions, executions and totals as of the last event.

    Only the newest 10,000 steps can be undone. An event older than those counts from the oldest of them on.

    Parameters
    ----------
    by
        The field by which trades and positions are grouped; None for one group, which is None.
    """

    def __init__(self, by: str | None = None) -> None:
        self.positions: dict[int, PositionState] = {}
        self.executions: dict[str, ExecutionState] = {}
        self.totals: dict[str | None, Totals] = {}
        self.late = 0
        """How many events were too old to be inserted where they belong."""
        self._by = by
        self._start: int | None = None  # of the series, where the peaks start
        self._group_of_ticket: dict[int, str] = {}
        self._side_of_ticket: dict[int, int] = {}  # by the position's newest row, before that by its first trade
        self._steps: deque[_Step] = deque()
        self._truncated = False  # whether steps before the first of `_steps` were dropped

    def apply(self, events: list[Event], start: int | None = None) -> Points:
        """Apply events, given in any order, and return the points that result.

        `start`, in microseconds, is the new start of the series if it has changed; then all points are returned.
        """
        if not events:
            return Points(0, {})
        events = sorted(events, key=_TIME_AND_RANK)
        undone: dict[str | None, None] = {}
        if self._steps and events[0].time <= self._steps[-1].time:
            events = self._rewind(events, undone)
        since = events[0].time
        if start is not None:
            self._start = max(start, self._steps[0].time if self._truncated and self._steps else 0)
            since = 0
        points: dict[str | None, list[tuple[int, ...]]] = {}
        for step in self._steps_of(events):
            if self._start is None or step.time >= self._start:
                for group, totals in step.groups.items():
                    points.setdefault(group, []).append((step.time, *totals))
        return Points(since, {group: points.get(group, []) for group in {**undone, **points}})

    def restore(self, events: list[Event], time: int, start: int | None, totals: Mapping[str | None, Totals]) -> None:
        """Take over the state that these events lead to, with `totals` at `time`, which can no longer be revised.

        Of the positions the last row of each is enough.
        """
        self._start = start
        for _ in self._steps_of(sorted(events, key=_TIME_AND_RANK)):
            pass
        self._steps.clear()
        self._steps.append(_Step(time))
        self._truncated = True
        self.totals = dict(totals)

    def _rewind(self, events: list[Event], undone: dict[str | None, None]) -> list[Event]:
        """Undo the steps from the first of these events on; add their groups to `undone`.

        Returns all events that are to be applied then, in order.
        """
        if self._truncated:
            oldest = self._steps[0].time
            late = sum(event.time < oldest for event in events)
            if late:
                self.late += late
                events = [event._replace(time=oldest) if event.time < oldest else event for event in events]
        again: list[Event] = []
        while self._steps and self._steps[-1].time >= events[0].time:
            step = self._steps.pop()
            for mapping, key, former in reversed(step.undo):
                if former is None:
                    del mapping[key]
                else:
                    mapping[key] = former
            again += step.events  # sorted below; no two steps have the same time
            undone.update(dict.fromkeys(step.groups))
        return sorted([*again, *events], key=_TIME_AND_RANK)

    def _steps_of(self, events: list[Event]) -> Iterator[_Step]:
        """Apply events, given in order, and yield each step when it is complete."""
        step: _Step | None = None
        for event in events:
            if step is None or event.time != step.time:
                if step is not None:
                    yield self._finish(step)
                step = _Step(event.time)
            step.events.append(event)
            if isinstance(event, TradeEvent):
                self._apply_trade(event, step)
            else:
                self._apply_position(event, step)
        if step is not None:
            yield self._finish(step)

    def _finish(self, step: _Step) -> _Step:
        """Update the peaks and remember the step."""
        is_start = step.time == self._start
        if is_start:
            for group in self.totals:
                self._add_to_totals(group, step)  # every group has a point where the series starts
        for group in step.groups:
            totals = self.totals[group]
            total = totals.unrealized + totals.realized
            if is_start or total > totals.peak:
                totals = self.totals[group] = totals._replace(peak=total)
            step.groups[group] = totals
        self._steps.append(step)
        if len(self._steps) > MAX_STEPS:
            self._steps.popleft()
            self._truncated = True
        return step

    # The effects of events on the state.

    def _apply_trade(self, trade: TradeEvent, step: _Step) -> None:
        group, ticket = trade.group, trade.ticket
        if self._by not in (None, "symbol"):
            if ticket is not None and group is not None:
                self._assign_group(ticket, group, step)
            elif group is None:
                group = UNKNOWN if ticket is None else self._group_of_ticket.get(ticket, UNKNOWN)
        former = self.executions.get(trade.execution)
        first_time = trade.time if former is None else former.first_time
        if former is not None:
            self._add_realized(former, -1, step)
            self._add_closed(former, -1, step)
        if ticket is not None and ticket not in self._side_of_ticket and trade.position_side:
            _set(step, self._side_of_ticket, ticket, trade.position_side)
        closes = ticket is not None and trade.closes(self._side_of_ticket.get(ticket, 0))
        closed = trade.volume if closes else 0
        execution = ExecutionState(first_time, group, ticket, trade.profit, trade.commission, trade.swap, closed)
        _set(step, self.executions, trade.execution, execution)
        self._add_realized(execution, 1, step)
        self._add_closed(execution, 1, step)

    def _apply_position(self, row: PositionEvent, step: _Step) -> None:
        ticket, former = row.ticket, self.positions.get(row.ticket)
        unrealized, volume = row.unrealized, row.volume
        if unrealized == MISSING:
            unrealized = 0 if former is None else former.value
        if volume == MISSING and former is not None and former.volume != MISSING:
            volume = max(0, former.volume - former.closed)
        group = row.group if self._by in (None, "symbol") else self._group_of_ticket.get(ticket, UNKNOWN)
        if row.side and self._side_of_ticket.get(ticket) != row.side:
            _set(step, self._side_of_ticket, ticket, row.side)
        value = _remaining(unrealized, volume, 0)
        self._set_position(ticket, PositionState(row.time, unrealized, volume, 0, group, value), step)

    def _assign_group(self, ticket: int, group: str, step: _Step) -> None:
        if self._group_of_ticket.get(ticket) != group:
            _set(step, self._group_of_ticket, ticket, group)
            if ticket in self.positions:
                self._set_position(ticket, self.positions[ticket]._replace(group=group), step)

    def _add_closed(self, execution: ExecutionState, sign: int, step: _Step) -> None:
        """Add (`sign` 1) or remove (-1) the volume that an execution closes of its position."""
        position = None if execution.ticket is None else self.positions.get(execution.ticket)
        if execution.closed and position is not None and execution.first_time > position.time:
            closed = position.closed + sign * execution.closed
            value = _remaining(position.unrealized, position.volume, closed)
            self._set_position(execution.ticket, position._replace(closed=closed, value=value), step)

    def _set_position(self, ticket: int | None, position: PositionState, step: _Step) -> None:
        former = self.positions.get(ticket)  # type: ignore[arg-type]
        if former is not None:
            self._add_to_totals(former.group, step, unrealized=-former.value)
        self._add_to_totals(position.group, step, unrealized=position.value)
        _set(step, self.positions, ticket, position)

    def _add_realized(self, execution: ExecutionState, sign: int, step: _Step) -> None:
        """Add (`sign` 1) or remove (-1) the money of an execution."""
        net = execution.profit - execution.commission + execution.swap
        self._add_to_totals(execution.group, step, 0, sign * net, sign * execution.commission, sign * execution.swap)

    def _add_to_totals(
        self, group: str | None, step: _Step, unrealized: int = 0, realized: int = 0, commission: int = 0, swap: int = 0
    ) -> None:
        totals = self.totals.get(group, _NO_TOTALS)
        if group not in step.groups:
            step.undo.append((self.totals, group, self.totals.get(group)))
            step.groups[group] = totals
        self.totals[group] = Totals(
            totals.unrealized + unrealized,
            totals.realized + realized,
            totals.commission + commission,
            totals.swap + swap,
            totals.peak,
        )


_NO_TOTALS = Totals()


def _set(step: _Step, mapping: dict[Any, Any], key: Any, value: Any) -> None:
    """Set an entry of the state so that undoing the step restores the former one."""
    step.undo.append((mapping, key, mapping.get(key)))
    mapping[key] = value


def _remaining(unrealized: int, volume: int, closed: int) -> int:
    """Return the unrealized profit that remains of a position after `closed` of its volume was closed."""
    if volume == MISSING:
        return unrealized
    if is_covered(volume, closed):
        return 0
    return unrealized if closed <= 0 else round(unrealized * ((volume - closed) / volume))

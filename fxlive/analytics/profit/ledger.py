"""The ledger of profit and loss: what is known of each position and each execution, brought up to date row by row.

An amount of money is counted in whole millionths of the account's currency. Whole numbers have the same sum in any
order, so groups add up to the whole, and a series fed in pieces is the one computed at once, to the last bit.

The series begins where the open positions are known (`events.SeriesStart`); what was realized before is in its first
point. To begin earlier, with the old trades that a late comer is told, would show their sum without the positions that
were open then, and a fall or a jump where these come in.

The ledger takes events in the order of their envelopes' times; of equal times trades first, then positions, each in the
order of arrival. There is a point for each time, holding what is true after all its events. An event that comes late is
put where it belongs, and the points from there on are corrected.

What a position is worth: what its newest row says, nothing when its volume is 0. A CLOSED trade of its ticket later
than that row has taken its share of the volume out, until the next row says what is left; so the position is gone when
such trades cover its volume, and a partial close is not counted twice meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd

from fxlive.analytics.inputs import MILLION, MISSING, Floats, Micros, Money, times_us
from fxlive.analytics.profit.events import (
    UNKNOWN,
    By,
    Event,
    PositionEvent,
    SeriesStart,
    TradeEvent,
    check_by,
    check_positions,
    check_trades,
    position_events,
    trade_events,
)
from fxlive.analytics.profit.series import Series, at_once, begun
from fxlive.core.dtypes import UTC

MAX_REVISED = 10_000
MAX_CORRECTED_AT_FIRST = 2_000
VOLUME_TOLERANCE = 5  # millionths of a lot: parts are rounded each
_NUMBERS = ("unrealized", "realized", "commission", "swap", "total", "peak", "drawdown")
_IN_ORDER = itemgetter(0, 1)  # time, then rank


class PnlPoints(NamedTuple):
    """Points of one group's series: `times` in microseconds since 1970 UTC, the rest as the columns of `pnl`.

    They take the place of every point of that group from `since` on (which may be more than they are).
    """

    since: int
    times: Micros
    unrealized: Floats
    realized: Floats
    commission: Floats
    swap: Floats
    total: Floats
    peak: Floats
    drawdown: Floats

    @classmethod
    def of(
        cls, since: int, times: Micros, unrealized: Money, realized: Money, commission: Money, swap: Money, peak: Money
    ) -> Self:
        """Return points of amounts in whole millionths."""
        total = unrealized + realized
        columns = (unrealized, realized, commission, swap, total, peak, peak - total)
        return cls(since, times, *(column / MILLION for column in columns))

    def frame(self) -> pd.DataFrame:
        """Return them as `pnl` does."""
        index = pd.DatetimeIndex(pd.array(self.times, dtype=UTC), name="timestamp")
        return pd.DataFrame(dict(zip(_NUMBERS, self[2:], strict=True)), index=index)


class Held(NamedTuple):
    """What the newest row of a position says, and what became of it since: `amount` is what is left of it."""

    time: int
    unrealized: int
    volume: int
    closed: int
    group: str | None
    amount: int


class Execution(NamedTuple):
    """The last word on an execution, and when its first was said."""

    first: int
    group: str | None
    ticket: int | None
    profit: int
    commission: int
    swap: int
    closed: int


class _Totals(NamedTuple):
    unrealized: int = 0
    realized: int = 0
    commission: int = 0
    swap: int = 0
    peak: int = 0


@dataclass(slots=True)
class _Step:
    """One time: its events, the groups that they touched, and how to take it all back."""

    time: int
    events: list[Event] = field(default_factory=list)
    groups: dict[str | None, _Totals] = field(default_factory=dict)
    undo: list[tuple[dict[Any, Any], Any, Any]] = field(default_factory=list)


class PnlStream:
    """Profit and loss, brought up to date with the new rows alone.

    However the rows are split over updates, and whichever table's come first, the points are those of `pnl` over all of
    them, bit for bit. An update costs what its rows cost, and what a late one makes to be corrected. Corrected are at
    most the last 10,000 times; what comes later than that counts from the oldest of these, and is counted in `late`.

    Parameters
    ----------
    by
        As in `pnl`.

    Examples
    --------
    >>> stream = PnlStream()
    >>> rows = pd.DataFrame(
    ...     {"ticket": [7], "symbol": "EURUSD", "volume": 0.1, "profit": 10.0, "unrealized_pnl": 10.0},
    ...     index=pd.to_datetime([0], utc=True),
    ... )
    >>> stream.update(positions=rows)[None].total
    array([10.])
    """

    def __init__(self, by: By | None = None) -> None:
        check_by(by)
        self.late = 0
        """How many events came too late to be put where they belong."""
        self.held: dict[int, Held] = {}
        self.executions: dict[str, Execution] = {}
        self.totals: dict[str | None, _Totals] = {}
        self._by = by
        self._beginning = SeriesStart()
        self._begins: int | None = None
        self._of_ticket: dict[int, str] = {}
        self._steps: deque[_Step] = deque()
        self._forgotten = False

    def begin(self, positions: pd.DataFrame, trades: pd.DataFrame) -> dict[str | None, PnlPoints]:
        """Take the rows that are there at first, all at once, and return the points of each group.

        It does what `update` would, by columns where the case is plain (see `series.py`): ten times as fast. Only the
        newest 2,000 events can then still be corrected.

        Parameters
        ----------
        positions, trades
            As in `update`.

        Returns
        -------
        dict
            As of `update`.

        Raises
        ------
        InvalidFrame, UnknownColumn
            As in `update`.
        """
        check_positions(positions)
        check_trades(trades, self._by)
        of_trades, of_positions = times_us(trades, "trades"), times_us(positions, "positions")
        times = np.sort(np.concatenate((of_trades, of_positions)))
        if len(times) <= MAX_CORRECTED_AT_FIRST:
            return self.update(positions, trades)
        cut = int(times[-MAX_CORRECTED_AT_FIRST - 1])
        old = positions[of_positions <= cut], trades[of_trades <= cut]
        series = at_once(*old, self._by, VOLUME_TOLERANCE)
        if series is None:
            return self.update(positions, trades)
        self._beginning.update(positions)
        self._begins = self._beginning.time
        points = {}
        if self._begins is None or self._begins <= cut:
            series = {group: begun(one, self._begins) for group, one in series.items()}
            points = {group: PnlPoints.of(int(one.times[0]), *one) for group, one in series.items()}
        self._remember(*old, cut, series)
        for group, more in self._update(positions[of_positions > cut], trades[of_trades > cut]).items():
            former = points.get(group)
            if former is not None:
                more = PnlPoints(
                    former.since, *(np.concatenate(both) for both in zip(former[1:], more[1:], strict=True))
                )
            points[group] = more
        return points

    def _remember(
        self, positions: pd.DataFrame, trades: pd.DataFrame, cut: int, series: Mapping[str | None, Series]
    ) -> None:
        """Know what all these rows leave behind: it is what the trades and each position's last row leave behind."""
        in_time = positions.iloc[np.argsort(times_us(positions, "positions"), kind="stable")]
        last = in_time.drop_duplicates("ticket", keep="last")
        events: list[Event] = [*trade_events(trades, self._by), *position_events(last, self._by)]
        for _ in self._taken(sorted(events, key=_IN_ORDER)):
            pass
        self._steps.clear()
        self._steps.append(_Step(cut))
        self._forgotten = True
        self.totals = {group: _Totals(*(int(amounts[-1]) for amounts in one[1:])) for group, one in series.items()}

    def update(
        self, positions: pd.DataFrame | None = None, trades: pd.DataFrame | None = None
    ) -> dict[str | None, PnlPoints]:
        """Take the new rows, and return the new and the corrected points of each group that has any.

        Parameters
        ----------
        positions, trades
            Rows of the two channels, in the order of arrival.

        Returns
        -------
        dict
            By group; without `by` the one group is None. Usually a group's points follow those that it had; where the
            first time is not later than the last one had, they replace all from `since` on; so do those of the first
            positions, all that there was before.

        Raises
        ------
        InvalidFrame, UnknownColumn
            For rows that cannot be counted; nothing has been taken then.
        """
        return self._update(positions, trades, self._beginning)

    def _update(
        self, positions: pd.DataFrame | None, trades: pd.DataFrame | None, beginning: SeriesStart | None = None
    ) -> dict[str | None, PnlPoints]:
        events: list[Event] = []
        if trades is not None:
            events += trade_events(trades, self._by)
        if positions is not None:
            events += position_events(positions, self._by)
        if not events:
            return {}
        events.sort(key=_IN_ORDER)
        touched: dict[str | None, None] = {}
        if self._steps and events[0].time <= self._steps[-1].time:
            events = self._rewound(events, touched)
        since = events[0].time
        if positions is not None and beginning is not None and beginning.update(positions):
            assert beginning.time is not None
            self._begins = max(beginning.time, self._steps[0].time if self._forgotten and self._steps else 0)
            since = 0  # all points from there on come now, and those before go
        points: dict[str | None, list[tuple[int, ...]]] = {}
        for step in self._taken(events):
            if self._begins is None or step.time >= self._begins:
                for group, totals in step.groups.items():
                    points.setdefault(group, []).append((step.time, *totals))
        touched.update(dict.fromkeys(points))
        rows = {group: np.array(points.get(group, []), np.int64).reshape(-1, 6) for group in touched}
        return {group: PnlPoints.of(since, *of.T) for group, of in rows.items()}

    def _rewound(self, events: list[Event], touched: dict[str | None, None]) -> list[Event]:
        """Take back what is not earlier than the first of these events, and return all that is to be taken then."""
        if self._forgotten:
            horizon = self._steps[0].time
            late = sum(event.time < horizon for event in events)
            if late:
                self.late += late
                events = [event._replace(time=horizon) if event.time < horizon else event for event in events]
        again: list[Event] = []
        while self._steps and self._steps[-1].time >= events[0].time:
            step = self._steps.pop()
            for of, key, former in reversed(step.undo):
                if former is None:
                    del of[key]
                else:
                    of[key] = former
            again += step.events  # sorted below: no two steps are of one time
            touched.update(dict.fromkeys(step.groups))
        return sorted([*again, *events], key=_IN_ORDER)

    def _taken(self, events: Iterable[Event]) -> Iterable[_Step]:
        """Take events in order, and give each time as it ends."""
        step: _Step | None = None
        for event in events:
            if step is None or event.time != step.time:
                if step is not None:
                    yield self._ended(step)
                step = _Step(event.time)
            step.events.append(event)
            if isinstance(event, TradeEvent):
                self._execute(event, step)
            else:
                self._mark(event, step)
        if step is not None:
            yield self._ended(step)

    def _ended(self, step: _Step) -> _Step:
        begins = step.time == self._begins
        if begins:
            for group in self.totals:
                self._add(group, step)
        for group in step.groups:
            totals = self.totals[group]
            total = totals.unrealized + totals.realized
            if begins or total > totals.peak:
                totals = self.totals[group] = totals._replace(peak=total)
            step.groups[group] = totals
        self._steps.append(step)
        if len(self._steps) > MAX_REVISED:
            self._steps.popleft()
            self._forgotten = True
        return step

    # What the events do.

    def _execute(self, trade: TradeEvent, step: _Step) -> None:
        group, ticket = trade.group, trade.ticket
        if self._by not in (None, "symbol"):
            if ticket is not None and group is not None:
                self._name(ticket, group, step)
            elif group is None:
                group = UNKNOWN if ticket is None else self._of_ticket.get(ticket, UNKNOWN)
        former = self.executions.get(trade.execution)
        first = trade.time if former is None else former.first
        if former is not None:
            self._book(former, -1, step)
            self._close(former, -1, step)
        execution = Execution(first, group, ticket, trade.profit, trade.commission, trade.swap, trade.closed)
        _put(step, self.executions, trade.execution, execution)
        self._book(execution, 1, step)
        self._close(execution, 1, step)

    def _mark(self, row: PositionEvent, step: _Step) -> None:
        ticket, former = row.ticket, self.held.get(row.ticket)
        unrealized, volume = row.unrealized, row.volume
        if unrealized == MISSING:
            unrealized = 0 if former is None else former.amount
        if volume == MISSING and former is not None and former.volume != MISSING:
            volume = max(0, former.volume - former.closed)
        group = row.group if self._by in (None, "symbol") else self._of_ticket.get(ticket, UNKNOWN)
        self._hold(ticket, Held(row.time, unrealized, volume, 0, group, _left(unrealized, volume, 0)), step)

    def _name(self, ticket: int, group: str, step: _Step) -> None:
        """Let a ticket belong to a group from now on."""
        if self._of_ticket.get(ticket) != group:
            _put(step, self._of_ticket, ticket, group)
            if ticket in self.held:
                self._hold(ticket, self.held[ticket]._replace(group=group), step)

    def _close(self, execution: Execution, sign: int, step: _Step) -> None:
        held = None if execution.ticket is None else self.held.get(execution.ticket)
        if execution.closed and held is not None and execution.first > held.time:
            closed = held.closed + sign * execution.closed
            amount = _left(held.unrealized, held.volume, closed)
            self._hold(execution.ticket, held._replace(closed=closed, amount=amount), step)

    def _hold(self, ticket: int | None, held: Held, step: _Step) -> None:
        former = self.held.get(ticket)  # type: ignore[arg-type]
        if former is not None:
            self._add(former.group, step, unrealized=-former.amount)
        self._add(held.group, step, unrealized=held.amount)
        _put(step, self.held, ticket, held)

    def _book(self, execution: Execution, sign: int, step: _Step) -> None:
        net = execution.profit - execution.commission + execution.swap
        self._add(execution.group, step, 0, sign * net, sign * execution.commission, sign * execution.swap)

    def _add(
        self, group: str | None, step: _Step, unrealized: int = 0, realized: int = 0, commission: int = 0, swap: int = 0
    ) -> None:
        totals = self.totals.get(group, _NOTHING)
        if group not in step.groups:
            step.undo.append((self.totals, group, self.totals.get(group)))
            step.groups[group] = totals
        self.totals[group] = _Totals(
            totals.unrealized + unrealized,
            totals.realized + realized,
            totals.commission + commission,
            totals.swap + swap,
            totals.peak,
        )


_NOTHING = _Totals()


def _put(step: _Step, of: dict[Any, Any], key: Any, value: Any) -> None:
    step.undo.append((of, key, of.get(key)))
    of[key] = value


def _left(unrealized: int, volume: int, closed: int) -> int:
    """Return what is left of a position's profit when so much of its volume has been closed since."""
    if volume == 0 or (volume != MISSING and closed >= volume - VOLUME_TOLERANCE):
        return 0
    return unrealized if closed <= 0 or volume == MISSING else round(unrealized * ((volume - closed) / volume))

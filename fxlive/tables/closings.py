"""The trades that may close a position: by their status, or because they are opposite to it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from fxlive.core.volumes import is_covered, micro_lots
from fxlive.wire.statuses import Side, TradeState, side_of, trade_state

MAX_CLOSED_TICKETS = 10_000
"""The most tickets whose trades are remembered; those traded last are kept."""

MAX_EXECUTIONS = 100_000
"""The most executions of these tickets together."""


@dataclass(slots=True)
class _Execution:
    """The reports of one execution: its largest volume in millionths of a lot, and times of any kind.

    The first time and the largest volume count, so a position that was covered once stays covered. A capture, which
    sees all rows at once, then agrees with the session.
    """

    volume: int = 0
    closed_at: Any = None  # the time of the first report with a status that closes
    executed_at: Any = None  # the time of the first report with a status that only says that it was executed
    side: Side = 0  # in the latter

    def add(self, at: Any, volume: float | None, closes: bool, side: Side) -> None:
        self.volume = max(self.volume, micro_lots(volume) or 0)
        if closes and self.closed_at is None:
            self.closed_at = at
        elif not closes and self.executed_at is None:
            self.executed_at, self.side = at, side

    def closes_at(self, side: Side) -> Any:
        """Return when it closed a part of a position of this side; None if it did not."""
        opposite = self.executed_at if side and self.side == -side else None
        times = [at for at in (self.closed_at, opposite) if at is not None]
        return min(times, default=None)


@dataclass(slots=True)
class _Ticket:
    last_at: Any
    executions: dict[str | None, _Execution] = field(default_factory=dict)


class Closings:
    """The executed trades of the tickets traded last. Times are of any type that can be compared.

    Examples
    --------
    >>> closings = Closings()
    >>> closings.add(7, "e2", 100, 0.3, "FILLED", "SELL")
    >>> closings.cover(7, 50, -0.3, 1), closings.cover(7, 50, 1.0, 1)
    (True, False)
    """

    def __init__(self) -> None:
        self._tickets: OrderedDict[int, _Ticket] = OrderedDict()
        self._executions = 0

    def __len__(self) -> int:
        return len(self._tickets)

    def add(
        self,
        ticket: int | None,
        execution: str | None,
        at: Any,
        volume: float | None,
        status: str | None,
        action: str | None,
    ) -> None:
        """Add a report of a trade. One that cannot close anything is ignored."""
        state = TradeState.EXECUTED if status is None else trade_state(status)
        side = side_of(action) if action is not None else 0
        closes = state is TradeState.CLOSES
        if ticket is None or not (closes or (state is TradeState.EXECUTED and side)):
            return
        trades = self._tickets.get(ticket)
        if trades is None:
            trades = self._tickets[ticket] = _Ticket(at)
        else:
            self._tickets.move_to_end(ticket)
            trades.last_at = max(trades.last_at, at)
        if execution not in trades.executions:
            trades.executions[execution] = _Execution()
            self._executions += 1
        trades.executions[execution].add(at, volume, closes, side)
        while len(self._tickets) > MAX_CLOSED_TICKETS or self._executions > MAX_EXECUTIONS:
            _, dropped = self._tickets.popitem(last=False)
            self._executions -= len(dropped.executions)

    def may_cover(self, ticket: int, at: Any) -> bool:
        """Return whether there are trades of a ticket after a time. Costs little."""
        trades = self._tickets.get(ticket)
        return trades is not None and trades.last_at > at

    def cover(self, ticket: int, at: Any, volume: float | None, side: Side) -> bool:
        """Return whether the trades after a position's newest row close all of it.

        A trade with the timestamp of the row is taken to be included in it: the row states the remaining volume.

        Parameters
        ----------
        ticket, at, volume, side
            Of that row: ticket, timestamp, volume in lots (its sign is ignored) and side. If the side is unknown, it is
            that of the first trade that does not close by its status.
        """
        trades, open_volume = self._tickets.get(ticket), micro_lots(volume)
        if trades is None or open_volume is None:
            return False
        side = side or next((execution.side for execution in trades.executions.values() if execution.side), 0)
        closed = 0
        for execution in trades.executions.values():
            closed_at = execution.closes_at(side)
            if closed_at is not None and closed_at > at:
                closed += execution.volume
        return closed > 0 and bool(is_covered(open_volume, closed))

    def clear(self) -> None:
        """Forget all trades."""
        self._tickets.clear()
        self._executions = 0

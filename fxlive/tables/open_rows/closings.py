"""The trades that may close a position: by their status, or because they are opposite to it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from fxlive.core.volumes import is_covered, micro_lots
from fxlive.wire.statuses import Side, TradeState, side_of, trade_state

MAX_CLOSED_TICKETS = 10_000
"""The most tickets whose trades are remembered; those traded last are kept."""

MAX_EXECUTIONS = 100_000
"""The most executions of these tickets together."""


class _Execution:
    """The reports of one execution: its largest volume, and the first time of each kind.

    The first time and the largest volume count, so a position that was covered once stays covered. A capture, which
    sees all rows at once, then agrees with the session.
    """

    __slots__ = ("closed_at", "executed_at", "side", "volume")

    def __init__(self) -> None:
        self.volume = 0.0  # in lots, without sign
        self.closed_at: Any = None  # of the first report with a status that closes
        self.executed_at: Any = None  # of the first report with a status that only says that it was executed
        self.side: Side = 0  # in the latter

    def closes_at(self, side: Side) -> Any:
        """Return when it closed a part of a position of this side; None if it did not."""
        opposite = self.executed_at if side and self.side == -side else None
        times = [at for at in (self.closed_at, opposite) if at is not None]
        return min(times, default=None)


class Closings:
    """The executed trades of the tickets traded last. Times are of any type that can be compared.

    Examples
    --------
    >>> closings = Closings()
    >>> closings.add(7, "e2", 100, 0.3, "FILLED", "SELL")
    True
    >>> closings.cover(7, 50, -0.3, 1), closings.cover(7, 50, 1.0, 1)
    (True, False)
    """

    def __init__(self) -> None:
        self._tickets: OrderedDict[int, dict[str | None, _Execution]] = OrderedDict()
        self._last_at: dict[int, Any] = {}  # the time of the last trade of each ticket
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
    ) -> bool:
        """Add a report of a trade, and return whether it may close something; otherwise it is ignored."""
        state = TradeState.EXECUTED if status is None else trade_state(status)
        side = side_of(action) if action is not None else 0
        closes = state is TradeState.CLOSES
        if ticket is None or not (closes or (state is TradeState.EXECUTED and side)):
            return False
        executions = self._tickets.get(ticket)
        if executions is None:
            executions = self._tickets[ticket] = {}
            self._last_at[ticket] = at
        else:
            self._tickets.move_to_end(ticket)
            if at > self._last_at[ticket]:
                self._last_at[ticket] = at
        known = executions.get(execution)
        if known is None:
            known = executions[execution] = _Execution()
            self._executions += 1
        if volume is not None and abs(volume) > known.volume:  # False for NaN
            known.volume = abs(volume)
        if closes and known.closed_at is None:
            known.closed_at = at
        elif not closes and known.executed_at is None:
            known.executed_at, known.side = at, side
        if len(self._tickets) > MAX_CLOSED_TICKETS or self._executions > MAX_EXECUTIONS:
            self._drop_oldest()
        return True

    def _drop_oldest(self) -> None:
        ticket, executions = self._tickets.popitem(last=False)
        del self._last_at[ticket]
        self._executions -= len(executions)

    def may_cover(self, ticket: int, at: Any) -> bool:
        """Return whether there are trades of a ticket after a time. Costs little."""
        last_at = self._last_at.get(ticket)
        return last_at is not None and bool(last_at > at)

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
        side = side or next((execution.side for execution in trades.values() if execution.side), 0)
        closed = 0
        for execution in trades.values():
            closed_at = execution.closes_at(side)
            if closed_at is not None and closed_at > at:
                closed += micro_lots(execution.volume) or 0
        return closed > 0 and bool(is_covered(open_volume, closed))

    def clear(self) -> None:
        """Forget all trades."""
        self._tickets.clear()
        self._last_at.clear()
        self._executions = 0

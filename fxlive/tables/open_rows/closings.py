"""The trades that may close a position: by their status, or because they are opposite to it."""

from __future__ import annotations

from collections import OrderedDict
from heapq import heappop, heappush
from typing import Any

from fxlive.core.volumes import is_covered, micro_lots
from fxlive.wire.statuses import Side, TradeState, side_of, trade_state

MAX_CLOSED_TICKETS = 10_000
"""The most tickets whose trades are remembered; those traded last are kept."""

MAX_EXECUTIONS = 100_000
"""The most executions of these tickets together."""


_LONGEST_KEY = 32


def short_key(key: Any) -> Any:
    """Return a key to remember: of a text above 32 characters only its hash, so that it takes no memory.

    >>> short_key("e1"), short_key(7), type(short_key("e" * 10_000))
    ('e1', 7, <class 'int'>)
    """
    return hash(key) if isinstance(key, str) and len(key) > _LONGEST_KEY else key


class _Execution:
    """The reports of one execution: its largest volume, and the first time of each kind.

    The first time and the largest volume count, so a position that was covered once stays covered. A capture, which
    sees all rows at once, then agrees with the session.
    """

    __slots__ = ("closed_at", "executed_at", "number", "side", "volume")

    def __init__(self, number: int) -> None:
        self.number = number  # of the ticket's executions
        self.volume = 0.0  # in lots, without sign
        self.closed_at: Any = None  # of the first report with a status that closes
        self.executed_at: Any = None  # of the first report with a status that only says that it was executed
        self.side: Side = 0  # in the latter

    def closes_at(self, side: Side) -> Any:
        """Return when it closed a part of a position of this side; None if it did not."""
        opposite = self.executed_at if side and self.side == -side else None
        times = [at for at in (self.closed_at, opposite) if at is not None]
        return min(times, default=None)


class _ClosedVolume:
    """The volume that trades later than a row close of a position of one side. Rows mostly come in order of time.

    Each execution is added and removed once, so that a ticket with many executions costs little at each of them.
    """

    __slots__ = ("_counted", "_times", "at", "micro_lots", "side")

    def __init__(self, side: Side, at: Any) -> None:
        self.side = side
        self.at = at
        self.micro_lots = 0
        self._counted: dict[int, tuple[Any, int]] = {}  # by number of execution: when it closes, and its volume
        self._times: list[tuple[Any, int]] = []  # a heap of (time, number), also of executions that close earlier now

    def update(self, execution: _Execution) -> None:
        """Count an execution as its reports now say."""
        former_at, former = self._counted.pop(execution.number, (None, 0))
        self.micro_lots -= former
        closed_at = execution.closes_at(self.side)
        if closed_at is None or not closed_at > self.at:
            return
        volume = micro_lots(execution.volume) or 0
        self._counted[execution.number] = closed_at, volume
        self.micro_lots += volume
        if closed_at != former_at:
            heappush(self._times, (closed_at, execution.number))

    def advance(self, at: Any) -> None:
        """Move on to a later row: remove the executions that are not later."""
        self.at = at
        while self._times and not self._times[0][0] > at:
            _, number = heappop(self._times)
            self.micro_lots -= self._counted.pop(number, (None, 0))[1]


class _Ticket:
    """The executions of a ticket, and the volume that they closed by side of the position."""

    __slots__ = ("_closed", "_first", "executions", "last_at")

    def __init__(self, at: Any) -> None:
        self.executions: dict[Any, _Execution] = {}  # by the short key of their id
        self.last_at = at  # the time of the last trade
        self._first: _Execution | None = None  # the first with a side
        self._closed: dict[Side, _ClosedVolume] = {}

    def update(self, execution: _Execution) -> None:
        """Take over what a new report has changed in an execution."""
        if execution.side and (self._first is None or execution.number < self._first.number):
            self._first = execution
        for closed in self._closed.values():
            closed.update(execution)

    def closed_micro_lots(self, at: Any, side: Side) -> int:
        """Return the volume closed after a time; of a position of unknown side by the side of the first execution."""
        side = side or (self._first.side if self._first is not None else 0)
        closed = self._closed.get(side)
        if closed is None or at < closed.at:
            closed = self._closed[side] = _ClosedVolume(side, at)
            for execution in self.executions.values():
                closed.update(execution)
        elif at > closed.at:
            closed.advance(at)
        return closed.micro_lots


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
        self._tickets: OrderedDict[int, _Ticket] = OrderedDict()
        self._executions = 0

    def __len__(self) -> int:
        return len(self._tickets)

    @property
    def tickets(self) -> list[int]:
        """The tickets that have such trades."""
        return list(self._tickets)

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
        trades = self._tickets.get(ticket)
        if trades is None:
            trades = self._tickets[ticket] = _Ticket(at)
        else:
            self._tickets.move_to_end(ticket)
            if at > trades.last_at:
                trades.last_at = at
        key = short_key(execution)
        known = trades.executions.get(key)
        if known is None:
            known = trades.executions[key] = _Execution(len(trades.executions))
            self._executions += 1
        if volume is not None and abs(volume) > known.volume:  # False for NaN
            known.volume = abs(volume)
        if closes and known.closed_at is None:
            known.closed_at = at
        elif not closes and known.executed_at is None:
            known.executed_at, known.side = at, side
        trades.update(known)
        if len(self._tickets) > MAX_CLOSED_TICKETS or self._executions > MAX_EXECUTIONS:
            self._drop_oldest()
        return True

    def _drop_oldest(self) -> None:
        _, trades = self._tickets.popitem(last=False)
        self._executions -= len(trades.executions)

    def may_cover(self, ticket: int, at: Any) -> bool:
        """Return whether there are trades of a ticket after a time. Costs little."""
        trades = self._tickets.get(ticket)
        return trades is not None and bool(trades.last_at > at)

    def cover(self, ticket: int, at: Any, volume: float | None, side: Side) -> bool:
        """Return whether the trades after a position's newest row close all of it.

        A trade with the timestamp of the row is taken to be included in it: the row states the remaining volume.

        Parameters
        ----------
        ticket, at, volume, side
            Of that row: ticket, timestamp, volume in lots (its sign is ignored) and side. If the side is unknown, it is
            that of the first trade that does not close by its status.
        """
        open_volume = micro_lots(volume)
        if ticket not in self._tickets or open_volume is None:
            return False
        closed = self.closed_micro_lots(ticket, at, side)
        return closed > 0 and bool(is_covered(open_volume, closed))

    def closed_micro_lots(self, ticket: int, at: Any, side: Side) -> int:
        """Return the volume, in millionths of a lot, that trades later than a row have closed; as of `cover`."""
        trades = self._tickets.get(ticket)
        return 0 if trades is None else trades.closed_micro_lots(at, side)

    def clear(self) -> None:
        """Forget all trades."""
        self._tickets.clear()
        self._executions = 0

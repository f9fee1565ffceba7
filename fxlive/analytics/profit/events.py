"""The ledger's input: rows of trades and positions as validated events, with amounts in whole millionths."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from fxlive.analytics.inputs import MISSING, Money, check_columns, integers, millionths, texts, times_us
from fxlive.errors import InvalidFrame, UnknownOption
from fxlive.wire.statuses import TradeState, side_of, trade_state

By = Literal["symbol", "strategy_id", "connection_id"]
BYS: tuple[str, ...] = get_args(By)
UNKNOWN = "unknown"
"""The group of positions whose ticket has not appeared in a trade yet, and of rows in which the field is missing."""

_POSITIONS = ("ticket", "symbol", "volume", "profit", "unrealized_pnl")
_TRADES = ("execution_id", "ticket", "symbol", "volume", "profit", "commission", "swap", "status")


class TradeEvent(NamedTuple):
    """A row of trades. Money and volume (without its sign) in millionths, `time` in microseconds."""

    time: int
    rank: int  # 0: sorts before positions of the same time
    execution: str
    ticket: int | None
    group: str | None
    profit: int
    commission: int
    swap: int
    volume: int
    state: TradeState
    side: int  # 0 if unknown, or if it was not executed

    def closes(self, side: int) -> bool:
        """Return whether it closes a part of a position of this side; 0 if the side is unknown."""
        if self.state is TradeState.EXECUTED:
            return side != 0 and self.side == -side
        return self.state is TradeState.CLOSES

    @property
    def position_side(self) -> int:
        """The side of its position if it is the first trade that opens one; 0 if unknown, or if it closes."""
        return 0 if self.state is TradeState.CLOSES else self.side


class PositionEvent(NamedTuple):
    """A row of positions. Money and volume (without its sign) in millionths or `MISSING`, `time` in microseconds."""

    time: int
    rank: int  # 1
    ticket: int
    group: str | None
    unrealized: int
    volume: int
    side: int  # 0 if unknown


Event = TradeEvent | PositionEvent


class SeriesStart:
    """Determines the time at which a P&L series starts: the first at which all open positions are known.

    After connecting, the platform first reports the positions that are open, each with the timestamp of its last
    change, and trades that may be older. The series starts at the newest timestamp of that initial report: the rows
    with the same `received_at` as the first row (the same timestamp, if there is no such column), up to the first
    ticket that appears a second time.
    """

    def __init__(self) -> None:
        self.time: int | None = None
        """In microseconds since 1970 UTC; None before the first row."""
        self._received_at: int | None = None
        self._tickets: set[int] | None = set()  # of the initial report; None when it is complete

    def update(self, positions: pd.DataFrame) -> bool:
        """Process rows in the order of arrival, and return whether the start has changed."""
        if self._tickets is None or not len(positions):
            return False
        before, times = self.time, times_us(positions, "positions")
        received = pd.DatetimeIndex(positions["received_at"]).asi8 if "received_at" in positions.columns else times
        for ticket, time, received_at in zip(positions["ticket"].to_numpy(np.int64), times, received, strict=True):
            self._received_at = int(received_at) if self._received_at is None else self._received_at
            if received_at != self._received_at or ticket in self._tickets:
                self._tickets = None
                break
            self._tickets.add(int(ticket))
            self.time = max(int(time), self.time or 0)
        return self.time != before


def check_by(by: str | None) -> None:
    """Raise UnknownOption if `by` is not None or one of `BYS`."""
    if by is not None and by not in BYS:
        raise UnknownOption("by", by, ("None", *BYS))


def check_positions(frame: pd.DataFrame) -> None:
    """Raise UnknownColumn or InvalidFrame if rows of positions lack a column or a ticket."""
    check_columns(frame, "positions", *_POSITIONS)
    _check_keys(frame["ticket"], "positions")
    _check_tickets(frame["ticket"], "positions")


def check_trades(frame: pd.DataFrame, by: str | None) -> None:
    """Raise UnknownColumn or InvalidFrame if rows of trades lack a column (`by` included) or an execution id."""
    check_columns(frame, "trades", *_TRADES, *([] if by is None else [by]))
    _check_keys(frame["execution_id"], "trades")
    _check_tickets(frame["ticket"], "trades")


def trade_events(frame: pd.DataFrame, by: str | None) -> list[TradeEvent]:
    """Return an event for each row of trades; checks the rows first."""
    check_trades(frame, by)
    if not len(frame):
        return []
    states, sides = trade_states(frame)
    groups: list[str | None] = [None] * len(frame) if by is None else texts(frame, by)
    if by == "symbol":
        groups = [UNKNOWN if group is None else group for group in groups]
    return [
        TradeEvent(*values)
        for values in zip(
            times_us(frame, "trades").tolist(),
            [0] * len(frame),
            texts(frame, "execution_id"),
            integers(frame, "ticket"),
            groups,
            *(
                zero_if_missing(millionths(frame, column, "trades")).tolist()
                for column in ("profit", "commission", "swap")
            ),
            volumes(frame, "trades", 0).tolist(),
            states,
            sides,
            strict=True,
        )
    ]


def position_events(frame: pd.DataFrame, by: str | None) -> list[PositionEvent]:
    """Return an event for each row of positions; checks the rows first."""
    check_positions(frame)
    if not len(frame):
        return []
    tickets = integers(frame, "ticket")
    unrealized = millionths(frame, "unrealized_pnl", "positions")
    if (unrealized == MISSING).any():
        unrealized = np.where(unrealized == MISSING, millionths(frame, "profit", "positions"), unrealized)
    groups: list[str | None] = [None] * len(frame)
    if by == "symbol":
        groups = [UNKNOWN if group is None else group for group in texts(frame, "symbol")]
    columns = (tickets, groups, unrealized.tolist(), volumes(frame, "positions", MISSING).tolist(), sides_of(frame))
    times = times_us(frame, "positions").tolist()
    return [PositionEvent(*values) for values in zip(times, [1] * len(frame), *columns, strict=True)]


def trade_states(trades: pd.DataFrame) -> tuple[list[TradeState], list[int]]:
    """Return what the status of each trade says, and its side, 0 if unknown or not executed.

    Without a column `action`, sides are unknown, and only a status closes a position.
    """
    names = texts(trades, "status")
    state_of = {name: TradeState.EXECUTED if name is None else trade_state(name) for name in set(names)}
    states = [state_of[name] for name in names]
    if "action" not in trades.columns:
        return states, [0] * len(states)
    actions = texts(trades, "action")
    side = {action: 0 if action is None else side_of(action) for action in set(actions)}
    sides: list[int] = [
        0 if state is TradeState.NOT_EXECUTED else side[action] for state, action in zip(states, actions, strict=True)
    ]
    return states, sides


def sides_of(positions: pd.DataFrame) -> list[int]:
    """Return the side of each row of positions by its `type`; 0 if unknown, or if there is no such column."""
    if "type" not in positions.columns:
        return [0] * len(positions)
    types = texts(positions, "type")
    side = {name: 0 if name is None else side_of(name) for name in set(types)}
    return [side[name] for name in types]


def volumes(frame: pd.DataFrame, name: str, missing: int) -> Money:
    """Return the volumes of a frame in millionths of a lot without their signs, and `missing` for missing ones."""
    amounts = millionths(frame, "volume", name)
    return np.where(amounts == MISSING, missing, np.abs(amounts))


def _check_keys(keys: pd.Series[Any], name: str) -> None:
    if keys.isna().any():
        raise InvalidFrame(name, f"has rows without {keys.name}: drop them with frame.dropna(subset={keys.name!r})")


def _check_tickets(tickets: pd.Series[Any], name: str) -> None:
    if is_numeric_dtype(tickets.dtype):
        return
    try:
        tickets.dropna().to_numpy(np.int64)
    except (ValueError, TypeError) as error:
        raise InvalidFrame(name, f"has a ticket that is not a whole number: {error}") from error


def zero_if_missing(amounts: Money) -> Money:
    """Return amounts with 0 in place of `MISSING`."""
    return np.where(amounts == MISSING, 0, amounts)

"""What the ledger is told: executions and positions, each checked once and in whole millionths."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from fxlive.analytics.inputs import MISSING, Money, check_columns, millionths, numbers, texts, times_us
from fxlive.errors import InvalidFrame, UnknownOption

By = Literal["symbol", "strategy_id", "connection_id"]
BYS: tuple[str, ...] = get_args(By)
UNKNOWN = "unknown"
"""The group of positions whose ticket no trade has named yet, and of rows without that field."""

_POSITIONS = ("ticket", "symbol", "volume", "profit", "unrealized_pnl")
_TRADES = ("execution_id", "ticket", "symbol", "volume", "profit", "commission", "swap", "status")


class Trade(NamedTuple):
    time: int
    rank: int  # 0: before positions of the same time
    execution: str
    ticket: int | None
    group: str | None
    profit: int
    commission: int
    swap: int
    closed: int  # volume that it closes


class Row(NamedTuple):
    """A position's row."""

    time: int
    rank: int  # 1
    ticket: int
    group: str | None
    unrealized: int
    volume: int


Event = Trade | Row


class Beginning:
    """Finds the moment from which on all open positions are known: profit and loss begins there.

    Who comes late is told first of the positions that are open then, each with the time of its last change, and of
    trades that are older than that. So it is the newest time of the rows that came with the first one (of the same
    `received_at`, without that of the same time), up to the first ticket that comes again.
    """

    def __init__(self) -> None:
        self.time: int | None = None
        """In microseconds since 1970 UTC; None before the first row."""
        self._with: int | None = None
        self._tickets: set[int] | None = set()

    def take(self, positions: pd.DataFrame) -> bool:
        """Take rows in the order of arrival, and return whether the moment is another now."""
        if self._tickets is None or not len(positions):
            return False
        before, times = self.time, times_us(positions, "positions")
        received = pd.DatetimeIndex(positions["received_at"]).asi8 if "received_at" in positions.columns else times
        for ticket, time, at in zip(positions["ticket"].to_numpy(np.int64), times, received, strict=True):
            self._with = int(at) if self._with is None else self._with
            if at != self._with or ticket in self._tickets:
                self._tickets = None
                break
            self._tickets.add(int(ticket))
            self.time = max(int(time), self.time or 0)
        return self.time != before


def check_by(by: str | None) -> None:
    """Raise UnknownOption where there is no such grouping."""
    if by is not None and by not in BYS:
        raise UnknownOption("by", by, ("None", *BYS))


def check_positions(frame: pd.DataFrame) -> None:
    """Raise where rows of positions cannot be counted."""
    check_columns(frame, "positions", *_POSITIONS)
    _check_keys(frame["ticket"], "positions")
    _check_tickets(frame["ticket"], "positions")


def check_trades(frame: pd.DataFrame, by: str | None) -> None:
    """Raise where trades cannot be counted, or not grouped like that."""
    check_columns(frame, "trades", *_TRADES, *([] if by is None else [by]))
    _check_keys(frame["execution_id"], "trades")
    _check_tickets(frame["ticket"], "trades")


def trade_events(frame: pd.DataFrame, by: str | None) -> list[Trade]:
    """Return the events of trades."""
    check_trades(frame, by)
    if not len(frame):
        return []
    closed = np.array([status == "CLOSED" for status in texts(frame, "status")])
    groups: list[str | None] = [None] * len(frame) if by is None else texts(frame, by)
    if by == "symbol":
        groups = [UNKNOWN if group is None else group for group in groups]
    return [
        Trade(*values)
        for values in zip(
            times_us(frame, "trades").tolist(),
            [0] * len(frame),
            texts(frame, "execution_id"),
            numbers(frame, "ticket"),
            groups,
            *(known(millionths(frame, column, "trades")).tolist() for column in ("profit", "commission", "swap")),
            np.where(closed, known(millionths(frame, "volume", "trades")), 0).tolist(),
            strict=True,
        )
    ]


def position_events(frame: pd.DataFrame, by: str | None) -> list[Row]:
    """Return the events of rows of positions."""
    check_positions(frame)
    if not len(frame):
        return []
    tickets = numbers(frame, "ticket")
    unrealized = millionths(frame, "unrealized_pnl", "positions")
    if (unrealized == MISSING).any():
        unrealized = np.where(unrealized == MISSING, millionths(frame, "profit", "positions"), unrealized)
    groups: list[str | None] = [None] * len(frame)
    if by == "symbol":
        groups = [UNKNOWN if group is None else group for group in texts(frame, "symbol")]
    volumes = millionths(frame, "volume", "positions").tolist()
    times = times_us(frame, "positions").tolist()
    return [
        Row(*values)
        for values in zip(times, [1] * len(frame), tickets, groups, unrealized.tolist(), volumes, strict=True)
    ]


def _check_keys(keys: pd.Series[Any], what: str) -> None:
    if keys.isna().any():
        raise InvalidFrame(what, f"has rows without {keys.name}: drop them with frame.dropna(subset={keys.name!r})")


def _check_tickets(tickets: pd.Series[Any], what: str) -> None:
    if is_numeric_dtype(tickets.dtype):
        return
    try:
        tickets.dropna().to_numpy(np.int64)
    except (ValueError, TypeError) as error:
        raise InvalidFrame(what, f"has a ticket that is no whole number: {error}") from error


def known(amounts: Money) -> Money:
    """Return amounts with 0 where they are missing."""
    return np.where(amounts == MISSING, 0, amounts)

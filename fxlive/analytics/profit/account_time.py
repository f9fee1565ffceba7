"""Trades and positions at the times at which they count: those with a timestamp far ahead at their arrival.

The money of a trade is real, so it counts. A position's row is a state: it must not override the rows that came after
it, and counts only if `latest` would show it. The results of analyses say so in `attrs["reasons"]`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from fxlive.analytics.inputs import Flags, integers, received_us, times_us, with_times
from fxlive.core.shown_text import counted
from fxlive.tables.open_rows.account_times import AccountTimes, are_counted
from fxlive.tables.open_rows.unconfirmed import with_reason

OUTLIERS = "outliers"
"""The entry in the `attrs` of `latest` of positions that says which rows have timestamps far ahead, in words."""

_Result = TypeVar("_Result", pd.DataFrame, "pd.Series[Any]")


class AccountFrames(NamedTuple):
    """Rows of positions and trades, indexed by the times at which they count."""

    positions: pd.DataFrame
    trades: pd.DataFrame
    positions_reason: str | None = None
    """Which rows of positions had a timestamp far ahead, in words."""
    trades_reason: str | None = None
    """Which trades had a timestamp far ahead, in words."""

    def explain(self, result: _Result, positions: Iterable[str], trades: Iterable[str]) -> _Result:
        """Add the reasons to the figures of a result that depend on positions, and to those that depend on trades."""
        result = with_reason(result, self.positions_reason, positions)
        return with_reason(result, self.trades_reason, trades)


def at_account_time(
    positions: pd.DataFrame,
    trades: pd.DataFrame,
    times: AccountTimes | None = None,
    *,
    earlier: pd.DataFrame | None = None,
) -> AccountFrames:
    """Return rows of positions and trades, given in the order of arrival, at the times at which they count.

    Parameters
    ----------
    positions, trades
        Rows as in `pnl`, which have been checked. Frames without `received_at` are returned as they are.
    times
        The times of the rows with timestamps far ahead, as a session knows them. Default: derived from the rows.
    earlier
        The rows of positions before these, if these are not all. Only with `times`.
    """
    if not all("received_at" in frame.columns or not len(frame) for frame in (positions, trades)):
        return AccountFrames(positions, trades)
    stamps = times_us(positions, "positions"), received_us(positions)
    trade_stamps = times_us(trades, "trades"), received_us(trades)
    if times is None:
        times = AccountTimes.of_rows(stamps, trade_stamps)
    reasons: list[str | None] = [None, None]
    position_times, trade_times = times.positions.of(*stamps), times.trades.of(*trade_stamps)
    outlier = position_times != stamps[0]
    if outlier.any():
        kept = _counted(positions, outlier, times, earlier)
        reasons[0] = positions_text(int(outlier.sum()), int((outlier & kept).sum()))
        positions = with_times(positions, position_times)[kept]
    outlier = trade_times != trade_stamps[0]
    if outlier.any():
        trades, reasons[1] = with_times(trades, trade_times), trades_text(int(outlier.sum()))
    return AccountFrames(positions, trades, *reasons)


def _counted(positions: pd.DataFrame, outlier: Flags, times: AccountTimes, earlier: pd.DataFrame | None) -> Flags:
    """Return which rows of positions count, given which have timestamps far ahead."""
    tickets = np.array(integers(positions, "ticket"), np.int64)
    if earlier is None or not len(earlier):
        return are_counted(tickets, outlier)
    stamps = times_us(earlier, "positions")
    outlier = np.concatenate((times.positions.of(stamps, received_us(earlier)) != stamps, outlier))
    return are_counted(np.concatenate((earlier["ticket"].to_numpy(np.int64), tickets)), outlier)[len(earlier) :]


def positions_text(count: int, kept: int) -> str:
    """Return how many rows of positions have timestamps far ahead, and how many of them count, in words."""
    left_out = f"{counted(count - kept, 'position row')} with a timestamp far ahead left out"
    at_arrival = f"{counted(kept, 'position row')} with a timestamp far ahead counted at its arrival"
    return "; ".join([*([left_out] if count > kept else []), *([at_arrival] if kept else [])])


def trades_text(count: int) -> str:
    """Return how many trades have timestamps far ahead, in words."""
    return f"{counted(count, 'trade')} with a timestamp far ahead counted at {'its' if count == 1 else 'their'} arrival"


def trades_at_arrival(trades: pd.DataFrame) -> AccountFrames:
    """Return rows of trades without positions; see `at_account_time`."""
    return at_account_time(trades[:0], trades)

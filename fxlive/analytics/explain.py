"""Attribution of a change in profit and loss to price, new trades and costs."""

from __future__ import annotations

from typing import Any

import pandas as pd

from fxlive.analytics.inputs import MILLION, MISSING, times_us
from fxlive.analytics.profit.events import SeriesStart, check_positions, check_trades, position_events, trade_events
from fxlive.analytics.profit.ledger import ExecutionState, Ledger, PositionState
from fxlive.core.arguments import utc
from fxlive.core.volumes import is_covered
from fxlive.errors import UnknownOption


def explain(positions: pd.DataFrame, trades: pd.DataFrame, start: Any = None, end: Any = None) -> pd.Series[float]:
    """Return where the change of total profit and loss between two times comes from, in the account's currency.

    Parameters
    ----------
    positions, trades
        As in `pnl`, with the rows before `start`.
    start, end
        Timestamps: pandas or datetime objects, or ISO 8601 text; without a time zone they are UTC. Rows at `start`
        belong to the state at the start, rows at `end` to the state at the end. Default: before the first row, after
        the last. A time before the first point of `pnl` counts as before the first row.

    Returns
    -------
    Series
        Five values (float64) by name. The first four add up to the last:

        - `price`: the gain, realized or not, of the positions that were open at the start.
        - `new_trades`: the gain of the positions opened later.
        - `costs`: swap - commission of the executions since the start; negative: a cost.
        - `remainder`: the rest: executions whose position was never reported, and corrections of earlier executions.
        - `change`: the total at the end minus the total at the start.

    Raises
    ------
    InvalidFrame, UnknownColumn
        As in `pnl`.
    UnknownOption
        If `start` or `end` is not a timestamp, or `start` is later than `end`.

    Examples
    --------
    >>> when = pd.to_datetime(["2024-01-01T00:00Z", "2024-01-01T00:01Z"])
    >>> positions = pd.DataFrame(
    ...     {"ticket": 7, "symbol": "EURUSD", "volume": 0.1, "profit": [0.0, 10.0], "unrealized_pnl": [0.0, 10.0]},
    ...     index=when,
    ... )
    >>> trades = pd.DataFrame(
    ...     {"execution_id": "e1", "ticket": 7, "symbol": "EURUSD", "volume": 0.1, "profit": 0.0, "commission": 0.5,
    ...      "swap": 0.0, "status": "FILLED"}, index=when[:1]
    ... )
    >>> explain(positions, trades, start=when[0]).to_dict()
    {'price': 10.0, 'new_trades': 0.0, 'costs': 0.0, 'remainder': 0.0, 'change': 10.0}
    """
    check_positions(positions)
    check_trades(trades, None)
    times_us(positions, "positions")
    times_us(trades, "trades")
    first = None if start is None else utc(start, "start")
    last = None if end is None else utc(end, "end")
    if first is not None and last is not None and first > last:
        raise UnknownOption("start", start, (f"a time up to the end, {last}",))
    series_start = SeriesStart()
    series_start.update(positions)
    begins = None if series_start.time is None else pd.Timestamp(series_start.time, unit="us", tz="UTC")
    if begins is not None and last is not None and last < begins:
        positions, trades = positions[:0], trades[:0]
    ledger = Ledger()
    if first is not None and (begins is None or first >= begins):
        _apply(ledger, positions[positions.index <= first], trades[trades.index <= first])
        positions, trades = positions[positions.index > first], trades[trades.index > first]
    former_positions, former_executions = dict(ledger.positions), dict(ledger.executions)
    former_total = _total(ledger)
    if last is not None:
        positions, trades = positions[positions.index <= last], trades[trades.index <= last]
    _apply(ledger, positions, trades)
    change = _total(ledger) - former_total
    price = new = costs = 0
    for ticket, position in ledger.positions.items():
        former = former_positions.get(ticket)
        if former is not None and _is_open(former):
            price += position.value - former.value
        else:
            new += position.value
    for execution_id, execution in ledger.executions.items():
        reported = former_executions.get(execution_id)
        costs -= _cost(execution) - (0 if reported is None else _cost(reported))
        if reported is None and execution.ticket in ledger.positions:
            former = former_positions.get(execution.ticket)
            if former is not None and _is_open(former):
                price += execution.profit
            else:
                new += execution.profit
    parts = {"price": price, "new_trades": new, "costs": costs, "remainder": change - price - new - costs}
    return pd.Series({name: amount / MILLION for name, amount in {**parts, "change": change}.items()})


def _apply(ledger: Ledger, positions: pd.DataFrame, trades: pd.DataFrame) -> None:
    ledger.apply([*trade_events(trades, None), *position_events(_newest(positions), None)])


def _newest(positions: pd.DataFrame) -> pd.DataFrame:
    """Return the newest row of each ticket, which determines the ledger's state; all rows if a value is missing."""
    if positions[["unrealized_pnl", "volume"]].isna().any(axis=None):
        return positions
    return positions.sort_index(kind="stable").drop_duplicates("ticket", keep="last")


def _total(ledger: Ledger) -> int:
    totals = ledger.totals.get(None)
    return 0 if totals is None else totals.unrealized + totals.realized


def _is_open(position: PositionState) -> bool:
    return position.volume == MISSING or not is_covered(position.volume, position.closed) or position.value != 0


def _cost(execution: ExecutionState) -> int:
    return execution.commission - execution.swap

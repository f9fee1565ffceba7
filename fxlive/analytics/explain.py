"""What a change in profit and loss comes from."""

from __future__ import annotations

from typing import Any

import pandas as pd

from fxlive.analytics.inputs import MILLION, times_us
from fxlive.analytics.profit.events import SeriesStart, check_positions, check_trades
from fxlive.analytics.profit.ledger import Execution, Held, PnlStream
from fxlive.core.arguments import utc
from fxlive.errors import UnknownOption


def explain(positions: pd.DataFrame, trades: pd.DataFrame, start: Any = None, end: Any = None) -> pd.Series[float]:
    """Return where the change of total profit and loss between two times comes from, in the account's currency.

    Parameters
    ----------
    positions, trades
        As in `pnl`, from before `start` on.
    start, end
        What has happened up to and with `start` is the beginning, and up to and with `end` the end; without a zone they
        are UTC. Default: before the first row, and after the last. What is earlier than the first point of `pnl` is
        before the first row, too.

    Returns
    -------
    Series
        float64, which adds up to the last:

        - `price`: what the positions that were open at the start have gained, realized or not;
        - `new_trades`: the same of positions opened since;
        - `costs`: swap less commission of what was executed since;
        - `remainder`: what belongs to neither: executions whose position was never seen, and corrections of what was
          executed before;
        - `change`: total at the end less total at the start.

    Raises
    ------
    InvalidFrame, UnknownColumn
        As in `pnl`.
    UnknownOption
        Where `start` or `end` is no time, or the one is later than the other.

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
    ledger, beginning = PnlStream(), SeriesStart()
    beginning.update(positions)
    begins = None if beginning.time is None else pd.Timestamp(beginning.time, unit="us", tz="UTC")
    if begins is not None and last is not None and last < begins:
        positions, trades = positions[:0], trades[:0]
    if first is not None and (begins is None or first >= begins):
        ledger.update(_newest(positions[positions.index <= first]), trades[trades.index <= first])
        positions, trades = positions[positions.index > first], trades[trades.index > first]
    held, executions, totals = dict(ledger.held), dict(ledger.executions), ledger.totals.get(None)
    if last is not None:
        positions, trades = positions[positions.index <= last], trades[trades.index <= last]
    ledger.update(_newest(positions), trades)
    after = ledger.totals.get(None)
    change = 0 if after is None else after.unrealized + after.realized
    change -= 0 if totals is None else totals.unrealized + totals.realized
    price = new = costs = 0
    for ticket, now in ledger.held.items():
        before = held.get(ticket)
        if _open(before):
            price += now.amount - before.amount  # type: ignore[union-attr]
        else:
            new += now.amount
    for name, execution in ledger.executions.items():
        former = executions.get(name)
        cost = _cost(execution) - (0 if former is None else _cost(former))
        costs -= cost
        if former is None and execution.ticket in ledger.held:
            if _open(held.get(execution.ticket)):
                price += execution.profit
            else:
                new += execution.profit
    parts = {"price": price, "new_trades": new, "costs": costs, "remainder": change - price - new - costs}
    return pd.Series({name: amount / MILLION for name, amount in {**parts, "change": change}.items()})


def _newest(positions: pd.DataFrame) -> pd.DataFrame:
    """Return the newest row of each ticket, which is all that a ledger ends up with; all where one is incomplete."""
    if positions[["unrealized_pnl", "volume"]].isna().any(axis=None):
        return positions
    return positions.sort_index(kind="stable").drop_duplicates("ticket", keep="last")


def _open(held: Held | None) -> bool:
    return held is not None and held.volume != 0 and (held.closed < held.volume or held.amount != 0)


def _cost(execution: Execution) -> int:
    return execution.commission - execution.swap

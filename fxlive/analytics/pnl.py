"""Profit and loss over time, from the newest report on each position and each execution."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fxlive.analytics.profit.events import By, SeriesStart, check_by, check_positions, check_trades
from fxlive.analytics.profit.series import starting_at, vectorized_series
from fxlive.analytics.profit.stream import PnlPoints, PnlStream

_NO_POINTS = PnlPoints.from_millionths(0, *np.empty((6, 0), np.int64))


def pnl(positions: pd.DataFrame, trades: pd.DataFrame, by: By | None = None) -> pd.DataFrame:
    """Return profit and loss over time, in the account's currency.

    Amounts are those that the platform reports, marked to market by the platform. They are added up in whole
    millionths, so groups add up to the whole exactly.

    Parameters
    ----------
    positions
        Rows of positions in the order of arrival, indexed by timestamps with a time zone: `ticket`, `symbol`, `volume`
        (lots, its sign is ignored; 0 closes the position), `profit` and `unrealized_pnl` (money); optionally `type`
        (``"BUY"`` or ``"SELL"``) and `received_at`.
    trades
        Rows of trades in the order of arrival, indexed likewise: `execution_id`, `ticket`, `symbol`, `volume` (lots),
        `profit`, `commission` (positive: a cost), `swap` (positive: income), `status`, the column `by`, and optionally
        `action`. A trade closes (a part of) its position if its status says so (``"CLOSED"``, in any spelling), or if
        it was executed with an `action` opposite to the position's `type` (if that is missing, to its first trade). Of
        an execution that is reported several times, the last report counts.

        Both include the platform's initial report on connection: the open positions and recent trades.
    by
        None for the whole account, or ``"symbol"``, ``"strategy_id"``, ``"connection_id"`` for a series of each group.
        Positions carry no strategy and no connection: they belong to the group of the newest trade of their ticket,
        and to ``"unknown"`` before the first.

    Returns
    -------
    DataFrame
        Indexed by `timestamp` (``datetime64[us, UTC]``), or by the group and `timestamp`. There is a row for each
        message timestamp at which the group changed. All columns are float64, in the account's currency:

        - `unrealized`: the sum of the open positions' `unrealized_pnl` (`profit` if that is missing, the position's
          former value if both are).
        - `realized`: the sum of profit - commission + swap over all executions.
        - `commission` (positive: a cost) and `swap` (positive: income): sums over all executions. `realized` already
          includes them.
        - `total`: unrealized + realized.
        - `peak`: the highest `total` so far, from the first row on. It is at least 0 in a group that begins later than
          the series, and if there are no positions.
        - `drawdown`: peak - total, never negative. `peak` and `drawdown` of groups do not add up to the whole.

        The series starts where all open positions are known: at the newest timestamp of the positions that the platform
        reports first. P&L realized before is included in the first row, as far as the platform reported it.

        ``attrs["known_since"]`` is when the first row was received (ISO 8601 text, None if there are no rows).

    Raises
    ------
    UnknownOption
        If `by` has another value.
    UnknownColumn
        If a column is missing.
    InvalidFrame
        If the index does not consist of timestamps with a time zone, a ticket or execution id is missing, or an amount
        is not a number of at most 1e12.

    Examples
    --------
    The platform's sample position: 0.1 lots of EURUSD, bought at 1.08500 and now at 1.08600, gain 10 USD, and its
    commission is 0.50.

    >>> when = pd.to_datetime(["2024-01-01T00:00Z"])
    >>> positions = pd.DataFrame(
    ...     {"ticket": 123456, "symbol": "EURUSD", "volume": 0.1, "profit": 10.0, "unrealized_pnl": 10.0}, index=when
    ... )
    >>> trades = pd.DataFrame(
    ...     {"execution_id": "exec_123", "ticket": 123456, "symbol": "EURUSD", "volume": 0.1, "profit": 0.0,
    ...      "commission": 0.5, "swap": 0.0, "status": "FILLED"}, index=when
    ... )
    >>> pnl(positions, trades)[["unrealized", "realized", "total", "drawdown"]].to_numpy().tolist()
    [[10.0, -0.5, 9.5, 0.0]]
    """
    check_by(by)
    check_positions(positions)
    check_trades(trades, by)
    vectorized = vectorized_series(positions, trades, by)
    if vectorized is None:
        series = PnlStream(by).update(positions, trades)
    else:
        start = SeriesStart()
        start.update(positions)
        series = {
            group: PnlPoints.from_millionths(0, *starting_at(one, start.time)) for group, one in vectorized.items()
        }
    if by is None:
        frame = (series[None] if series else _NO_POINTS).frame()
    elif series:
        frame = pd.concat({group: series[group].frame() for group in sorted(series, key=str)}, names=[by])
    else:
        index = pd.MultiIndex.from_arrays(
            [pd.Index([], dtype="str"), _NO_POINTS.frame().index], names=[by, "timestamp"]
        )
        frame = _NO_POINTS.frame().set_index(index)
    frame.attrs["known_since"] = known_since(positions, trades)
    return frame


def known_since(*frames: pd.DataFrame) -> str | None:
    """Return when the first row of these frames was received, as ISO 8601 text; None if there are no rows."""
    first = [frame.get("received_at", frame.index).min() for frame in frames if len(frame)]
    return min(first).isoformat() if first else None

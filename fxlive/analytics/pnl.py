"""Profit and loss over time, from the newest word on each position and each execution."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fxlive.analytics.profit.events import By, SeriesStart, check_by, check_positions, check_trades
from fxlive.analytics.profit.ledger import VOLUME_TOLERANCE, PnlPoints, PnlStream
from fxlive.analytics.profit.series import at_once, begun

_NO_POINTS = PnlPoints.of(0, *np.empty((6, 0), np.int64))


def pnl(positions: pd.DataFrame, trades: pd.DataFrame, by: By | None = None) -> pd.DataFrame:
    """Return profit and loss over time, in the account's currency.

    Parameters
    ----------
    positions, trades
        Rows of the two channels, in the order of arrival. What the platform tells of the time before we connected (open
        positions, recent trades) is among them and counts.
    by
        None for the whole, or ``"symbol"``, ``"strategy_id"``, ``"connection_id"``: a series for each. Positions carry
        no strategy and no connection: theirs are those of the newest trade of their ticket, and until there is one they
        are ``"unknown"``. The groups' amounts add up to the whole at every time.

    Returns
    -------
    DataFrame
        Indexed by `timestamp` (``datetime64[us, UTC]``), or by the group and `timestamp`: a point for each envelope
        time at which something of the group was said. All float64:

        - `unrealized`: sum of the open positions' `unrealized_pnl` (`profit` where that is missing; where both are,
          what was said before);
        - `realized`: sum of profit - commission + swap over executions, each once, with its last word;
        - `commission` (what it cost, positive) and `swap` (what it brought), which are in `realized`;
        - `total`: unrealized + realized;
        - `peak`: the highest total so far, from the first point on (at least 0 in a group that begins later, and where
          no positions are told);
        - `drawdown`: peak - total, never negative. A group has its own peak, so these two do not add up.

        The first point is where the open positions are known: the newest time of the rows of positions that came with
        the first one. What was realized before, as far as it was told, is in it.

        ``attrs["known_since"]`` is when the first row came (ISO 8601, None where none has): what was realized before is
        in only as far as the platform told it then.

    Raises
    ------
    InvalidFrame, UnknownColumn, UnknownOption
        For rows that cannot be counted.

    Examples
    --------
    The reference's sample position: 0.1 lots of EURUSD from 1.08500 to 1.08600 are 10 USD, its commission is 0.50.

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
    plain = at_once(positions, trades, by, VOLUME_TOLERANCE)
    if plain is None:
        series = PnlStream(by).update(positions, trades)
    else:
        beginning = SeriesStart()
        beginning.update(positions)
        series = {group: PnlPoints.of(0, *begun(one, beginning.time)) for group, one in plain.items()}
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
    """Return when the first row of these frames came, as ISO 8601; None where there is none."""
    first = [frame.get("received_at", frame.index).min() for frame in frames if len(frame)]
    return min(first).isoformat() if first else None

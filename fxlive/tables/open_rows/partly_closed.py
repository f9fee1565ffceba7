"""The share of a position that is still open after the closing trades that follow its newest row."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fxlive.core.volumes import is_covered, micro_lots
from fxlive.tables.open_rows.closings import Closings, trade_rows
from fxlive.wire.statuses import side_of

PARTLY_CLOSED = "partly_closed"
"""The entry in the `attrs` of a result with the lots that count of each partly closed position, by ticket."""


def open_shares(positions: pd.DataFrame, trades: pd.DataFrame, until: Any = None) -> npt.NDArray[np.float64]:
    """Return the share of each position that is open after the trades that are later than its row.

    Parameters
    ----------
    positions
        Newest rows, indexed by `ticket`: `timestamp`, `volume`, `type`. Of outliers, the times at which they count.
    trades
        Rows of trades, indexed by timestamp: `execution_id`, `ticket`, `volume`, `status`, and optionally `action`. Of
        outliers, the times at which they count.
    until
        Leave out later trades; None: take all.

    Examples
    --------
    >>> times = pd.to_datetime(["2024-01-01T00:00Z", "2024-01-01T00:01Z"])
    >>> positions = pd.DataFrame({"timestamp": times[:1], "volume": 1.0, "type": "BUY"}, index=[7])
    >>> trades = pd.DataFrame({"execution_id": "e1", "ticket": 7, "volume": 0.25, "status": "CLOSED"}, index=times[1:])
    >>> open_shares(positions, trades).tolist()
    [0.75]
    """
    closings: dict[int, Closings] = {}  # one for each ticket, because all of them are needed
    trades = trades[trades["ticket"].isin(positions.index).to_numpy(bool)].sort_index(kind="stable")
    trades = trades if until is None else trades[trades.index <= until]
    for row in trade_rows(trades, trades.index):
        closings.setdefault(row[0], Closings()).add(*row)
    shares = np.ones(len(positions))
    columns = (positions[name].tolist() for name in ("timestamp", "volume", "type"))
    for number, (ticket, at, volume, side) in enumerate(zip(positions.index, *columns, strict=True)):
        lots = micro_lots(volume)
        if ticket in closings and lots:
            closed = closings[ticket].closed_micro_lots(ticket, at, side_of(side) if isinstance(side, str) else 0)
            shares[number] = 0.0 if closed and is_covered(lots, closed) else (lots - closed) / lots
    return shares

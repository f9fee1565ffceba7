"""The share of a position that is still open after the closing trades that follow its newest row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fxlive.core.volumes import is_covered, micro_lots
from fxlive.tables.open_rows.closings import Closings
from fxlive.wire.statuses import side_of

PARTLY_CLOSED = "partly_closed"
"""The entry in the `attrs` of a result with the lots that count of each partly closed position, by ticket."""


def open_shares(positions: pd.DataFrame, trades: pd.DataFrame, until: Any = None) -> npt.NDArray[np.float64]:
    """Return the share of each position that is open after the trades that are later than its row.

    Parameters
    ----------
    positions
        Newest rows, indexed by `ticket`: `timestamp`, `volume`, `type`.
    trades
        Rows of trades, indexed by timestamp: `execution_id`, `ticket`, `volume`, `status`, and optionally `action`.
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
    for row in _rows(trades[trades["ticket"].isin(positions.index).to_numpy(bool)], until):
        closings.setdefault(row[0], Closings()).add(*row)
    shares = np.ones(len(positions))
    columns = (positions[name].tolist() for name in ("timestamp", "volume", "type"))
    for number, (ticket, at, volume, side) in enumerate(zip(positions.index, *columns, strict=True)):
        lots = micro_lots(volume)
        if ticket in closings and lots:
            closed = closings[ticket].closed_micro_lots(ticket, at, side_of(side) if isinstance(side, str) else 0)
            shares[number] = 0.0 if closed and is_covered(lots, closed) else (lots - closed) / lots
    return shares


def _rows(trades: pd.DataFrame, until: Any) -> Iterator[tuple[Any, ...]]:
    trades = trades.sort_index(kind="stable")
    trades = trades if until is None else trades[trades.index <= until]
    texts = (
        trades[name].astype(object).where(trades[name].notna(), None).tolist()
        if name in trades
        else [None] * len(trades)
        for name in ("status", "action")
    )
    numbers = (trades[name].tolist() for name in ("ticket", "execution_id", "volume"))
    for at, ticket, execution, volume, status, action in zip(trades.index, *numbers, *texts, strict=True):
        yield ticket, execution, at, volume, status, action

"""Profit and loss that is updated with new rows, at the cost of those rows alone."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
import pandas as pd

from fxlive.analytics.inputs import MILLION, Floats, Micros, Money, times_us
from fxlive.analytics.profit.events import (
    By,
    Event,
    SeriesStart,
    check_by,
    check_positions,
    check_trades,
    position_events,
    trade_events,
)
from fxlive.analytics.profit.ledger import Ledger, Points, Totals
from fxlive.analytics.profit.series import starting_at, vectorized_series
from fxlive.core.dtypes import UTC

MAX_EVENTS_KEPT = 2_000
"""How many of the newest events can still be revised after `PnlStream.begin`."""

_COLUMNS = ("unrealized", "realized", "commission", "swap", "total", "peak", "drawdown")


class PnlPoints(NamedTuple):
    """Points of one group: `times` in microseconds since 1970 UTC, and the columns of `pnl` in the account's currency.

    They replace all points of the group from `since` on. There may be none: then those points are only removed.
    """

    since: int
    times: Micros
    unrealized: Floats
    realized: Floats
    commission: Floats
    swap: Floats
    total: Floats
    peak: Floats
    drawdown: Floats

    @classmethod
    def from_millionths(
        cls, since: int, times: Micros, unrealized: Money, realized: Money, commission: Money, swap: Money, peak: Money
    ) -> Self:
        """Return the points of amounts in whole millionths."""
        total = unrealized + realized
        columns = (unrealized, realized, commission, swap, total, peak, peak - total)
        return cls(since, times, *(column / MILLION for column in columns))

    def frame(self) -> pd.DataFrame:
        """Return the points as a DataFrame, as `pnl` returns them."""
        index = pd.DatetimeIndex(pd.array(self.times, dtype=UTC), name="timestamp")
        return pd.DataFrame(dict(zip(_COLUMNS, self[2:], strict=True)), index=index)


class PnlStream:
    """Profit and loss over time, updated with new rows.

    However the rows are divided into updates, and whichever channel comes first, the points equal those of `pnl` over
    all rows, bit for bit. An update costs time in proportion to its rows, and to the points that a late row corrects.

    Up to 10,000 of the newest timestamps can be corrected. A row that is older than those counts from the oldest of
    them on, and is counted in `late`.

    Parameters
    ----------
    by
        None for the whole account, or ``"symbol"``, ``"strategy_id"``, ``"connection_id"``, as in `pnl`.

    Raises
    ------
    UnknownOption
        If `by` has another value.

    Examples
    --------
    >>> stream = PnlStream()
    >>> rows = pd.DataFrame(
    ...     {"ticket": [7], "symbol": "EURUSD", "volume": 0.1, "profit": 10.0, "unrealized_pnl": 10.0},
    ...     index=pd.to_datetime([0], utc=True),
    ... )
    >>> stream.update(positions=rows)[None].total
    array([10.])
    """

    def __init__(self, by: By | None = None) -> None:
        check_by(by)
        self._by = by
        self._start = SeriesStart()
        self._ledger = Ledger(by)

    @property
    def late(self) -> int:
        """How many rows were too old to be inserted where they belong."""
        return self._ledger.late

    def begin(self, positions: pd.DataFrame, trades: pd.DataFrame) -> dict[str | None, PnlPoints]:
        """Process the first rows, and return the points of each group; for a stream without rows.

        The result is that of `update`. If no execution is reported twice and no amount is missing, it is computed by
        columns, about ten times as fast; then only the newest 2,000 rows can still be corrected.

        Parameters
        ----------
        positions, trades
            As in `update`.

        Returns
        -------
        dict
            As in `update`.

        Raises
        ------
        InvalidFrame, UnknownColumn
            As in `update`.
        """
        check_positions(positions)
        check_trades(trades, self._by)
        trade_times, position_times = times_us(trades, "trades"), times_us(positions, "positions")
        times = np.sort(np.concatenate((trade_times, position_times)))
        if len(times) <= MAX_EVENTS_KEPT:
            return self.update(positions, trades)
        cut = int(times[-MAX_EVENTS_KEPT - 1])
        old_positions, old_trades = positions[position_times <= cut], trades[trade_times <= cut]
        series = vectorized_series(old_positions, old_trades, self._by)
        if series is None:
            return self.update(positions, trades)
        self._start.update(positions)
        start = self._start.time
        points = {}
        if start is None or start <= cut:
            series = {group: starting_at(one, start) for group, one in series.items()}
            points = {group: PnlPoints.from_millionths(int(one.times[0]), *one) for group, one in series.items()}
        totals = {group: Totals(*(int(amounts[-1]) for amounts in one[1:])) for group, one in series.items()}
        self._ledger.restore(self._events(_last_rows(old_positions), old_trades), cut, start, totals)
        new = self._ledger.apply(self._events(positions[position_times > cut], trades[trade_times > cut]))
        for group, more in _pnl_points(new).items():
            former = points.get(group)
            if former is not None:
                more = PnlPoints(
                    former.since, *(np.concatenate(both) for both in zip(former[1:], more[1:], strict=True))
                )
            points[group] = more
        return points

    def update(
        self, positions: pd.DataFrame | None = None, trades: pd.DataFrame | None = None
    ) -> dict[str | None, PnlPoints]:
        """Process new rows, and return the new and corrected points of each group that has any.

        Parameters
        ----------
        positions, trades
            New rows of the two channels, in the order of arrival; None for no rows.

        Returns
        -------
        dict
            `PnlPoints` by group; without `by` the only group is None. The points replace all points of the group from
            `since` on. Usually none exists there yet; a late row, or the first rows of positions, which determine where
            the series starts, replace earlier points.

        Raises
        ------
        InvalidFrame, UnknownColumn
            If rows cannot be processed, as in `pnl`. The stream is unchanged then.
        """
        events = self._events(positions, trades)
        changed = positions is not None and self._start.update(positions)
        return _pnl_points(self._ledger.apply(events, self._start.time if changed else None))

    def _events(self, positions: pd.DataFrame | None, trades: pd.DataFrame | None) -> list[Event]:
        events: list[Event] = []
        if trades is not None:
            events += trade_events(trades, self._by)
        if positions is not None:
            events += position_events(positions, self._by)
        return events


def _last_rows(positions: pd.DataFrame) -> pd.DataFrame:
    """Return the last row of each position in order of time."""
    in_time = positions.iloc[np.argsort(times_us(positions, "positions"), kind="stable")]
    return in_time.drop_duplicates("ticket", keep="last")


def _pnl_points(points: Points) -> dict[str | None, PnlPoints]:
    columns = {group: np.array(rows, np.int64).reshape(-1, 6).T for group, rows in points.groups.items()}
    return {group: PnlPoints.from_millionths(points.since, *group_columns) for group, group_columns in columns.items()}

"""Trading performance: the figures of closed trades, named and scaled as the platform's own.

Each execution counts once, with its last report, at the time of its first. A *trade* is an execution with status
CLOSED; it wins if its own net is above 0. Net is profit - commission + swap. Money is added up in whole millionths (see
`pnl`), so the figures of a stream equal those of all executions at once, to the last bit.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

import pandas as pd

from fxlive.analytics.inputs import MILLION, check_columns, index_us, integers
from fxlive.analytics.profit.events import UNKNOWN, By, TradeEvent, check_by, sides_of, trade_events
from fxlive.core.dtypes import UTC
from fxlive.wire.statuses import TradeState

_NO_TRADE = "no closed trade"
_NO_WIN = "no winning trade"
_NO_LOSS = "no losing trade"
_NO_OPENING = "no closed trade has a known opening"
_NO_DRAWDOWN = "no drawdown"
_NOT_RECOVERED = "not recovered yet"


@dataclass(slots=True)
class _Tally:
    """The counts and sums of one group; money in whole millionths, times in microseconds."""

    executions: int = 0
    net: int = 0
    commission: int = 0
    swap: int = 0
    trades: int = 0
    wins: int = 0
    gross_profit: int = 0
    gross_loss: int = 0
    streak: int = 0  # the current one: wins above zero, other trades below
    longest_win_streak: int = 0
    longest_loss_streak: int = 0
    with_opening: int = 0  # trades whose opening is known, and the sum of their holding times
    holding_us: int = 0
    peak: int = 0
    peak_at: int = 0
    drawdown: int = 0  # the largest so far; the following describe it
    drawdown_start: int = 0
    drawdown_trough: int = 0
    drawdown_peak: int = 0
    drawdown_recovery: int | None = None

    def add(self, trade: TradeEvent, closing: bool, opened: int | None) -> None:
        """Count an execution; `opened` is the time of its ticket's opening, None if unknown."""
        if not self.executions:
            self.peak_at = trade.time
        net = trade.profit - trade.commission + trade.swap
        self.executions += 1
        self.net += net
        self.commission += trade.commission
        self.swap += trade.swap
        if closing:
            self.trades += 1
            if net > 0:
                self.wins += 1
                self.gross_profit += net
                self.streak = max(self.streak, 0) + 1
            else:
                self.gross_loss += net
                self.streak = min(self.streak, 0) - 1
            self.longest_win_streak = max(self.longest_win_streak, self.streak)
            self.longest_loss_streak = max(self.longest_loss_streak, -self.streak)
            if opened is not None:
                self.with_opening += 1
                self.holding_us += trade.time - opened
        if self.net >= self.peak:
            self.peak, self.peak_at = self.net, trade.time
        if self.peak - self.net > self.drawdown:
            self.drawdown, self.drawdown_peak = self.peak - self.net, self.peak
            self.drawdown_start, self.drawdown_trough = self.peak_at, trade.time
            self.drawdown_recovery = None
        elif self.drawdown and self.drawdown_recovery is None and self.net >= self.drawdown_peak:
            self.drawdown_recovery = trade.time

    def metrics(self) -> tuple[dict[str, Any], dict[str, int], dict[str, str]]:
        """Return the value and the sample size of each metric, and the reason of each that is NaN."""
        reasons: dict[str, str] = {}

        def ratio(name: str, numerator: float, denominator: float, reason: str) -> float:
            if denominator == 0:
                reasons[name] = reason
                return math.nan
            return numerator / denominator

        n, not_won = self.trades, self.trades - self.wins
        average_win = ratio("average_win", self.gross_profit / MILLION, self.wins, _NO_WIN)
        average_loss = ratio("average_loss", self.gross_loss / MILLION, not_won, _NO_LOSS)
        values: dict[str, Any] = {
            "total_trades": n,
            "win_rate": ratio("win_rate", 100 * self.wins, n, _NO_TRADE),
            "net_profit": self.net / MILLION,
            "current_drawdown": (self.peak - self.net) / MILLION,
            "gross_profit": self.gross_profit / MILLION,
            "gross_loss": self.gross_loss / MILLION,
            "opening_costs": (self.net - self.gross_profit - self.gross_loss) / MILLION,
            "commission": self.commission / MILLION,
            "swap": self.swap / MILLION,
            "profit_factor": ratio("profit_factor", self.gross_profit, -self.gross_loss, _NO_LOSS),
            "expectancy": ratio("expectancy", (self.gross_profit + self.gross_loss) / MILLION, n, _NO_TRADE),
            "average_win": average_win,
            "average_loss": average_loss,
            "payoff": math.nan,
            "longest_win_streak": self.longest_win_streak,
            "longest_loss_streak": self.longest_loss_streak,
            "holding_time_s": ratio("holding_time_s", self.holding_us / 1e6, self.with_opening, _NO_OPENING),
            "max_drawdown": self.drawdown / MILLION,
            "max_drawdown_start": pd.NaT,
            "max_drawdown_trough": pd.NaT,
            "max_drawdown_recovery": pd.NaT,
        }
        if not self.wins or not self.gross_loss:
            reasons["payoff"] = _NO_LOSS if self.wins else _NO_WIN
        else:
            values["payoff"] = average_win / -average_loss
        if self.drawdown:
            values["max_drawdown_start"] = _timestamp(self.drawdown_start)
            values["max_drawdown_trough"] = _timestamp(self.drawdown_trough)
        else:
            reasons["max_drawdown_start"] = reasons["max_drawdown_trough"] = _NO_DRAWDOWN
        if self.drawdown_recovery is not None:
            values["max_drawdown_recovery"] = _timestamp(self.drawdown_recovery)
        else:
            reasons["max_drawdown_recovery"] = _NOT_RECOVERED if self.drawdown else _NO_DRAWDOWN
        of_some_trades = {"average_win": self.wins, "average_loss": not_won, "holding_time_s": self.with_opening}
        of_executions = {"net_profit", "current_drawdown", "commission", "swap"}
        samples = {
            name: of_some_trades.get(name, self.executions if name in of_executions or "drawdown" in name else n)
            for name in values
        }
        samples["opening_costs"] = self.executions - n
        return values, samples, reasons


class _Execution(NamedTuple):
    """The last report of an execution, with the time of its first."""

    trade: TradeEvent
    reported_at: int
    """The time of the last report."""
    number: int
    """How many executions were reported before it for the first time; the order of equal times."""


class PerformanceStream:
    """The figures of `performance`, updated with new trades.

    However the trades are divided into updates, the figures equal those of `performance` over all trades. An update
    costs time in proportion to its rows. If one of them is late, or reports an execution again, everything is counted
    again.

    Parameters
    ----------
    by
        None for the whole account, or ``"symbol"``, ``"strategy_id"``, ``"connection_id"``, as in `performance`.

    Raises
    ------
    UnknownOption
        If `by` has another value.

    Examples
    --------
    >>> when = pd.to_datetime(["2024-01-01T00:00Z"])
    >>> closed = pd.DataFrame(
    ...     {"execution_id": "e2", "ticket": 7, "symbol": "EURUSD", "volume": 0.1, "profit": 10.0, "commission": 0.5,
    ...      "swap": 0.0, "status": "CLOSED"}, index=when
    ... )
    >>> stream = PerformanceStream()
    >>> stream.update(closed)
    >>> stream.metrics()["net_profit"]
    9.5
    """

    def __init__(self, by: By | None = None) -> None:
        check_by(by)
        self._by = by
        self._executions: dict[str, _Execution] = {}
        self._reported_sides: dict[int, list[tuple[int, int]]] = {}  # by ticket: (time, side) of each change
        self._newest: int | None = None
        self._reset_counts()

    def _reset_counts(self) -> None:
        self._opened: dict[int, int] = {}
        self._sides: dict[int, int] = {}  # of positions, by their first trade
        self._group_of_ticket: dict[int, str] = {}
        self._tallies: dict[str | None, _Tally] = {None: _Tally()} if self._by is None else {}

    def update(self, trades: pd.DataFrame, *, positions: pd.DataFrame | None = None) -> None:
        """Process new rows of the trades channel, in the order of arrival, and optionally rows of positions.

        Raises
        ------
        InvalidFrame, UnknownColumn
            If rows cannot be processed, as in `performance`. The stream is unchanged then.
        """
        events = trade_events(trades, self._by)
        recount = positions is not None and self._note_sides(positions)
        for trade in events:
            former = self._executions.get(trade.execution)
            recount |= former is not None or (self._newest is not None and trade.time < self._newest)
            self._newest = trade.time if self._newest is None else max(self._newest, trade.time)
            execution = _Execution(trade, trade.time, len(self._executions))
            if former is not None:
                last = execution if trade.time >= former.reported_at else former
                first = min(former.trade.time, trade.time)
                execution = _Execution(last.trade._replace(time=first), last.reported_at, former.number)
            self._executions[trade.execution] = execution
            if not recount:
                self._count(trade)
        if recount:
            self._reset_counts()
            for execution in sorted(self._executions.values(), key=lambda one: (one.trade.time, one.number)):
                self._count(execution.trade)

    def _note_sides(self, positions: pd.DataFrame) -> bool:
        """Note the sides of positions; return whether the trades counted so far may contradict one."""
        contradiction = False
        if positions.index.name == "ticket":
            positions = positions.reset_index()
        check_columns(positions, "positions", "ticket")
        rows = sorted(
            zip(_times_of(positions), integers(positions, "ticket"), sides_of(positions), strict=True), key=_FIRST
        )
        for time, ticket, side in rows:
            if not side or ticket is None:
                continue
            sides = self._reported_sides.setdefault(ticket, [])
            place = bisect_right(sides, time, key=_FIRST)
            if not sides:
                contradiction |= self._sides.get(ticket, side) != side
            elif place and sides[place - 1][1] == side:
                continue
            else:
                contradiction |= self._newest is not None and time < self._newest
            sides.insert(place, (time, side))
        return contradiction

    def _count(self, trade: TradeEvent) -> None:
        ticket, group = trade.ticket, trade.group
        closing = trade.closes(0 if ticket is None else self._side(ticket, trade))
        if ticket is not None:
            if group is not None:
                self._group_of_ticket[ticket] = group
            elif self._by is not None:
                group = self._group_of_ticket.get(ticket)
            if not closing and trade.state is not TradeState.NOT_EXECUTED:
                self._opened.setdefault(ticket, trade.time)
        if self._by is not None and group is None:
            group = UNKNOWN
        if group not in self._tallies:
            self._tallies[group] = _Tally()
        self._tallies[group].add(trade, closing, None if ticket is None else self._opened.get(ticket))

    def _side(self, ticket: int, trade: TradeEvent) -> int:
        """Return the side of a trade's position before the trade: as reported, or by its first trade; 0 if unknown.

        A netting position changes its side, so the newest earlier row counts. Before the first row, that one counts.
        """
        if trade.position_side:
            self._sides.setdefault(ticket, trade.position_side)
        sides = self._reported_sides.get(ticket)
        if not sides:
            return self._sides.get(ticket, 0)
        return sides[max(0, bisect_left(sides, trade.time, key=_FIRST) - 1)][1]

    def metrics(self) -> pd.Series[Any] | pd.DataFrame:
        """Return the current figures, as `performance` returns them."""
        metrics = {group: tally.metrics() for group, tally in self._tallies.items()}
        if self._by is None:
            values, samples, reasons = metrics[None]
            series = pd.Series(values, dtype=object)
            series.attrs = {"samples": samples, "reasons": reasons}
            return series
        groups = sorted(metrics, key=str)
        names, *_ = _Tally().metrics()
        frame = pd.DataFrame([metrics[group][0] for group in groups], columns=list(names))
        for name in names:
            if name.startswith("max_drawdown_"):
                frame[name] = pd.array(frame[name].tolist(), dtype=UTC)
            else:
                frame[name] = frame[name].astype("int64" if name in _COUNTS else "float64")
        frame.index = pd.Index([str(group) for group in groups], dtype="str", name=self._by)
        frame.attrs = {
            "samples": {group: metrics[group][1] for group in groups},
            "reasons": {group: metrics[group][2] for group in groups},
        }
        return frame


_FIRST = itemgetter(0)
_COUNTS = ("total_trades", "longest_win_streak", "longest_loss_streak")


def performance(
    trades: pd.DataFrame, by: By | None = None, *, positions: pd.DataFrame | None = None
) -> pd.Series[Any] | pd.DataFrame:
    """Return the performance of trading: the platform's own figures of closed trades, and more.

    Money is in the account's currency. Each execution counts once, with its last report, at the time of its first. A
    trade is an execution that closes a position or a part of it: by its status (``"CLOSED"``, in any spelling), or
    because it was executed against the side of its position. `n` is the number of trades. Net is profit - commission +
    swap.

    Parameters
    ----------
    trades
        Rows of trades in the order of arrival, indexed by timestamps with a time zone: `execution_id`, `ticket`,
        `symbol`, `volume` (lots), `profit`, `commission` (positive: a cost), `swap` (positive: income), `status`, the
        column `by`, and optionally `action`; without it, only a status closes a position.
    by
        None for the whole account, or ``"symbol"``, ``"strategy_id"``, ``"connection_id"`` for each group. A trade
        without a strategy or connection belongs to the group of the previous trade of its ticket, else to
        ``"unknown"``.
    positions
        Rows of positions, or their `latest`: `ticket` and `type`, the side of each position. The newest row before a
        trade counts, else the first. Default: the side is that of the position's first trade, so the opening trades
        must be in `trades`.

    Returns
    -------
    Series or DataFrame
        A Series (object) by metric; with `by` a DataFrame with a row for each group and a column for each metric
        (counts int64, times ``datetime64[us, UTC]``, others float64):

        - `total_trades`: n. `win_rate`: the percentage of trades whose net is above 0. `net_profit`: the net of all
          executions. `current_drawdown`: how far that sum is below its peak (at least 0), positive. These four are
          defined as the platform's.
        - `gross_profit`: the net of the winning trades. `gross_loss`: the net of the others, negative. `opening_costs`:
          the net of the executions that are not trades. The three add up to `net_profit`.
        - `commission` (positive: a cost) and `swap` (positive: income) of all executions.
        - `profit_factor`: gross_profit / -gross_loss. `expectancy`: (gross_profit + gross_loss) / n.
        - `average_win` and `average_loss` (at most 0): the mean net of the winning trades, and of the others.
          `payoff`: average_win / -average_loss.
        - `longest_win_streak`, `longest_loss_streak`: the most winning trades, and other trades, in a row.
        - `holding_time_s`: the mean time in seconds from the opening of a ticket (its first execution that is not a
          trade) to each of its trades. Trades without a known opening are left out.
        - `max_drawdown`: the largest `current_drawdown`, positive. `max_drawdown_start` (time of the peak before it),
          `max_drawdown_trough`, `max_drawdown_recovery` (when the peak was reached again).

        A figure that cannot be computed is NaN (NaT for times). ``attrs["reasons"]`` explains why, by metric;
        ``attrs["samples"]`` has the number of observations of each metric. With `by`, both are by group and metric.

    Raises
    ------
    UnknownOption
        If `by` has another value.
    UnknownColumn
        If a column is missing.
    InvalidFrame
        If the index does not consist of timestamps with a time zone, an execution id is missing, or an amount is not a
        number of at most 1e12.

    Examples
    --------
    >>> when = pd.to_datetime(["2024-01-01T00:00Z", "2024-01-01T01:00Z"])
    >>> trades = pd.DataFrame(
    ...     {"execution_id": ["e1", "e2"], "ticket": 7, "symbol": "EURUSD", "volume": 0.1, "profit": [0.0, 10.0],
    ...      "commission": 0.5, "swap": 0.0, "status": ["FILLED", "CLOSED"]}, index=when
    ... )
    >>> performance(trades)[["total_trades", "win_rate", "net_profit", "holding_time_s"]].tolist()
    [1, 100.0, 9.0, 3600.0]
    """
    stream = PerformanceStream(by)
    stream.update(trades, positions=positions)
    return stream.metrics()


def _timestamp(micros: int) -> pd.Timestamp:
    return pd.Timestamp(micros, unit="us", tz="UTC")


def _times_of(positions: pd.DataFrame) -> list[int]:
    """Return the time of each row of positions: of its index, or of the column `timestamp`; 0 if it has neither."""
    times: Any = positions.index
    if not isinstance(times, pd.DatetimeIndex):
        if "timestamp" not in positions.columns:
            return [0] * len(positions)
        times = pd.DatetimeIndex(positions["timestamp"])
    micros: list[int] = index_us(times, "positions").tolist()
    return micros

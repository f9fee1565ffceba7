"""How trading did: the figures of its closed trades, named and scaled as the platform's own.

Each execution counts once, with its last word, at the time at which it was first said. A *trade* is a closing
execution (status CLOSED); it wins when its own net is above zero. Net is profit - commission + swap. Everything is
counted in whole millionths (see `pnl`), so a stream of executions gives what all of them at once give, to the last bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from fxlive.analytics.inputs import MILLION
from fxlive.analytics.profit.events import UNKNOWN, By, Trade, check_by, trade_events
from fxlive.core.dtypes import UTC

_REASONS = {
    "trades": "no trade has been closed",
    "wins": "no trade has won",
    "losses": "no trade has lost",
    "held": "of no closed trade the opening is known",
    "drawdown": "there was no drawdown",
    "recovery": "the drawdown has not been made good",
}


@dataclass(slots=True)
class _Tally:
    """One group's counts; money in whole millionths, times in microseconds."""

    executions: int = 0
    net: int = 0
    commission: int = 0
    swap: int = 0
    trades: int = 0
    wins: int = 0
    gained: int = 0
    lost: int = 0
    losses: int = 0
    run: int = 0  # of the streak that lasts: wins above zero, losses below
    won_in_a_row: int = 0
    lost_in_a_row: int = 0
    held_us: int = 0
    held: int = 0
    peak: int = 0
    peak_at: int = 0
    worst: int = 0
    worst_from: int = 0
    worst_at: int = 0
    worst_peak: int = 0
    recovered_at: int | None = None

    def add(self, trade: Trade, closing: bool, opened: int | None) -> None:
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
                self.gained += net
                self.run = max(self.run, 0) + 1
            else:
                self.lost += net
                self.losses += net < 0
                self.run = min(self.run, 0) - 1
            self.won_in_a_row = max(self.won_in_a_row, self.run)
            self.lost_in_a_row = max(self.lost_in_a_row, -self.run)
            if opened is not None:
                self.held += 1
                self.held_us += trade.time - opened
        if self.net >= self.peak:
            self.peak, self.peak_at = self.net, trade.time
        if self.peak - self.net > self.worst:
            self.worst, self.worst_from, self.worst_at = self.peak - self.net, self.peak_at, trade.time
            self.worst_peak, self.recovered_at = self.peak, None
        elif self.worst and self.recovered_at is None and self.net >= self.worst_peak:
            self.recovered_at = trade.time

    def metrics(self) -> tuple[dict[str, Any], dict[str, int], dict[str, str]]:
        """Return the value of each metric, the size of its sample, and why there is none where it is NaN."""
        reasons: dict[str, str] = {}

        def ratio(name: str, above: float, below: float, lacks: str) -> float:
            if below == 0:
                reasons[name] = _REASONS[lacks]
                return math.nan
            return above / below

        decided = self.trades
        mean_win = ratio("average_win", self.gained / MILLION, self.wins, "wins")
        mean_loss = ratio("average_loss", self.lost / MILLION, decided - self.wins, "losses")
        values: dict[str, Any] = {
            "total_trades": decided,
            "win_rate": ratio("win_rate", 100 * self.wins, decided, "trades"),
            "net_profit": self.net / MILLION,
            "current_drawdown": (self.peak - self.net) / MILLION,
            "gross_profit": self.gained / MILLION,
            "gross_loss": self.lost / MILLION,
            "opening_costs": (self.net - self.gained - self.lost) / MILLION,
            "commission": self.commission / MILLION,
            "swap": self.swap / MILLION,
            "profit_factor": ratio("profit_factor", self.gained, -self.lost, "losses"),
            "expectancy": ratio("expectancy", (self.gained + self.lost) / MILLION, decided, "trades"),
            "average_win": mean_win,
            "average_loss": mean_loss,
            "payoff": math.nan,
            "longest_win_streak": self.won_in_a_row,
            "longest_loss_streak": self.lost_in_a_row,
            "holding_time_s": ratio("holding_time_s", self.held_us / 1e6, self.held, "held"),
            "max_drawdown": self.worst / MILLION,
            "max_drawdown_start": pd.NaT,
            "max_drawdown_trough": pd.NaT,
            "max_drawdown_recovery": pd.NaT,
        }
        if not self.wins or not self.lost:
            reasons["payoff"] = _REASONS["losses" if self.wins else "wins"]
        else:
            values["payoff"] = mean_win / -mean_loss
        if self.worst:
            values["max_drawdown_start"] = _moment(self.worst_from)
            values["max_drawdown_trough"] = _moment(self.worst_at)
        else:
            reasons["max_drawdown_start"] = reasons["max_drawdown_trough"] = _REASONS["drawdown"]
        if self.recovered_at is not None:
            values["max_drawdown_recovery"] = _moment(self.recovered_at)
        else:
            reasons["max_drawdown_recovery"] = _REASONS["recovery" if self.worst else "drawdown"]
        of_trades = {"average_win": self.wins, "average_loss": decided - self.wins, "holding_time_s": self.held}
        of_all = {"net_profit", "current_drawdown", "commission", "swap"}
        samples = {
            name: of_trades.get(name, self.executions if name in of_all or "drawdown" in name else decided)
            for name in values
        }
        samples["opening_costs"] = self.executions - decided
        return values, samples, reasons


class _Said(NamedTuple):
    """The last word on an execution, at the time of its first; `word_at` is when the last was said.

    `number` says how many others had been heard of before it: it decides between equal times.
    """

    trade: Trade
    closing: bool
    word_at: int
    number: int


class PerformanceStream:
    """The figures of `performance`, brought up to date with the new trades alone.

    However the trades are split over updates, the figures are those of `performance` over all of them. An update costs
    what its rows cost; one that comes late, or says again what was said, makes all be counted anew.

    Parameters
    ----------
    by
        As in `pnl`.

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
        self._said: dict[str, _Said] = {}
        self._last_at: int | None = None
        self._begin()

    def _begin(self) -> None:
        self._opened: dict[int, int] = {}
        self._of_ticket: dict[int, str] = {}
        self._tallies: dict[str | None, _Tally] = {None: _Tally()} if self._by is None else {}

    def update(self, trades: pd.DataFrame) -> None:
        """Take the new rows of the trades channel, in the order of arrival.

        Raises
        ------
        InvalidFrame, UnknownColumn
            For rows that cannot be counted; nothing has been taken then.
        """
        events = trade_events(trades, self._by)
        closing = (trades["status"] == "CLOSED").to_numpy(bool, na_value=False).tolist() if events else []
        anew = False
        for trade, closed in zip(events, closing, strict=True):
            former = self._said.get(trade.execution)
            anew |= former is not None or (self._last_at is not None and trade.time < self._last_at)
            self._last_at = trade.time if self._last_at is None else max(self._last_at, trade.time)
            said = _Said(trade, closed, trade.time, len(self._said))
            if former is not None:
                word = said if trade.time >= former.word_at else former
                first = min(former.trade.time, trade.time)
                said = _Said(word.trade._replace(time=first), word.closing, word.word_at, former.number)
            self._said[trade.execution] = said
            if not anew:
                self._add(trade, closed)
        if anew:
            self._begin()
            for said in sorted(self._said.values(), key=lambda said: (said.trade.time, said.number)):
                self._add(said.trade, said.closing)

    def _add(self, trade: Trade, closing: bool) -> None:
        ticket, group = trade.ticket, trade.group
        if ticket is not None:
            if group is not None:
                self._of_ticket[ticket] = group
            elif self._by is not None:
                group = self._of_ticket.get(ticket)
            if not closing:
                self._opened.setdefault(ticket, trade.time)
        if self._by is not None and group is None:
            group = UNKNOWN
        if group not in self._tallies:
            self._tallies[group] = _Tally()
        self._tallies[group].add(trade, closing, None if ticket is None else self._opened.get(ticket))

    def metrics(self) -> pd.Series[Any] | pd.DataFrame:
        """Return the figures as they are now, as `performance` does."""
        told = {group: tally.metrics() for group, tally in self._tallies.items()}
        if self._by is None:
            values, samples, reasons = told[None]
            series = pd.Series(values, dtype=object)
            series.attrs = {"samples": samples, "reasons": reasons}
            return series
        groups = sorted(told, key=str)
        names, *_ = _Tally().metrics()
        frame = pd.DataFrame([told[group][0] for group in groups], columns=list(names))
        for name in names:
            if name.startswith("max_drawdown_"):
                frame[name] = pd.array(frame[name].tolist(), dtype=UTC)
            else:
                frame[name] = frame[name].astype("int64" if name in _COUNTS else "float64")
        frame.index = pd.Index([str(group) for group in groups], dtype="str", name=self._by)
        frame.attrs = {
            "samples": {group: told[group][1] for group in groups},
            "reasons": {group: told[group][2] for group in groups},
        }
        return frame


_COUNTS = ("total_trades", "longest_win_streak", "longest_loss_streak")


def performance(trades: pd.DataFrame, by: By | None = None) -> pd.Series[Any] | pd.DataFrame:
    """Return how trading did: the platform's own figures of its closed trades, and more of them.

    Money is in the account's currency. `n` below is the number of closed trades; what has no answer is NaN (NaT), and
    ``attrs["reasons"]`` says why; ``attrs["samples"]`` has the size of each metric's sample.

    Parameters
    ----------
    trades
        Rows of the trades channel, in the order of arrival.
    by
        None for the whole, or ``"symbol"``, ``"strategy_id"``, ``"connection_id"``; a trade that does not say belongs
        where the one of its ticket before it does, else to ``"unknown"``.

    Returns
    -------
    Series or DataFrame
        By metric; with `by` a row for each group, the metrics its columns.

        - `total_trades`: n. `win_rate`: percent of them whose net is above zero. `net_profit`: sum of the net of all
          executions. `current_drawdown`: how far that sum is below its highest so far (at least 0), positive. These
          four are the platform's.
        - `gross_profit`, `gross_loss`: sum of the net of the trades that won, and of the others (negative).
          `opening_costs`: net of the executions that closed nothing; the three add up to `net_profit`.
        - `commission` (positive: a cost) and `swap` (positive: income), of all executions.
        - `profit_factor`: gross_profit / -gross_loss. `expectancy`: (gross_profit + gross_loss) / n.
        - `average_win`, `average_loss` (not positive): mean net of the trades that won, and of the others. `payoff`:
          average_win / -average_loss.
        - `longest_win_streak`, `longest_loss_streak`: trades in a row.
        - `holding_time_s`: mean seconds from the first execution of a ticket to each that closed of it, where the first
          is known.
        - `max_drawdown`: the largest `current_drawdown` there was; `max_drawdown_start` (the highest before it),
          `max_drawdown_trough`, `max_drawdown_recovery` (when that highest was reached again): times, UTC.

    Raises
    ------
    InvalidFrame, UnknownColumn, UnknownOption
        As in `pnl`.

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
    stream.update(trades)
    return stream.metrics()


def _moment(micros: int) -> pd.Timestamp:
    return pd.Timestamp(micros, unit="us", tz="UTC")

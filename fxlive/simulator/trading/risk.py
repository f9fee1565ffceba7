"""How the account does, per day, week and month, and the alerts when it does badly."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fxlive.simulator import wire
from fxlive.simulator.market.quotes import DAY_MS
from fxlive.simulator.trading.account import Account
from fxlive.simulator.trading.books import Execution, Update


class _Period:
    """The books of the current day, week or month; money in cents."""

    def __init__(self) -> None:
        self.key: int | None = None
        self.reset()

    def reset(self) -> None:
        self.trades = self.wins = self.net = self.peak = 0

    @property
    def drawdown(self) -> int:
        return self.peak - self.net


class Performance:
    """Counts executions into the current UTC day, ISO week and month of market time.

    A trade is a closing execution and wins when its own net is above zero; net profit is the sum of all executions'
    profit - commission + swap; the drawdown is how far that sum is below its highest point of the period (or below
    zero, where it began). All of it follows from the trades channel alone.
    """

    def __init__(self) -> None:
        self.periods = {"DAY": _Period(), "WEEK": _Period(), "MONTH": _Period()}

    @property
    def day(self) -> _Period:
        """The current day's books."""
        return self.periods["DAY"]

    def roll(self, time_ms: int) -> None:
        """Begin the periods anew that have ended by this market time."""
        days = time_ms // DAY_MS
        if self.day.key == days:
            return
        date = datetime.fromtimestamp(days * DAY_MS / 1000, UTC)
        # 1970 began on a Thursday; ISO weeks begin on Mondays.
        for name, key in (("DAY", days), ("WEEK", (days + 3) // 7), ("MONTH", date.year * 12 + date.month)):
            period = self.periods[name]
            if period.key != key:
                period.key = key
                period.reset()

    def add(self, execution: Execution) -> None:
        """Book an execution."""
        self.roll(execution.time_ms)
        for period in self.periods.values():
            period.net += execution.net
            period.peak = max(period.peak, period.net)
            if execution.closing:
                period.trades += 1
                period.wins += execution.net > 0

    def updates(self, time_ms: int) -> list[Update]:
        """One analytics row for each period."""
        self.roll(time_ms)
        return [
            Update(
                "analytics",
                name,
                wire.analytics(
                    period=name,
                    total_trades=period.trades,
                    win_rate=round(100 * period.wins / period.trades, 1) if period.trades else 0.0,
                    net_profit=period.net / 100,
                    current_drawdown=period.drawdown / 100,
                    time_ms=time_ms,
                ),
                {},
            )
            for name, period in self.periods.items()
        ]


class Watch:
    """Raises an alert when a figure crosses its threshold, once until it has come back."""

    daily_loss_limit = 1_000_00
    drawdown_limit = 500_00
    lowest_margin_level = 1_000.0

    def __init__(self, user_id: str, first_number: int = 1) -> None:
        self._user_id = user_id
        self._number = first_number - 1
        self._raised: dict[str, int | None] = {}

    def check(self, account: Account, performance: Performance) -> list[Update]:
        """Alerts due now."""
        now_ms, day = account.now_ms, performance.day
        alerts = []
        used = max(0, -day.net) / self.daily_loss_limit * 100
        for threshold, severity, title in (
            (80, "WARNING", "Daily Loss Limit Approaching"),
            (100, "CRITICAL", "Daily Loss Limit Exceeded"),
        ):
            if self._crosses(f"loss {threshold}", used >= threshold, day.key):
                alerts.append(
                    self.alert(
                        now_ms,
                        kind="RISK_LIMIT",
                        severity=severity,
                        title=title,
                        message=f"Daily loss has reached {used:.1f}% of the maximum limit",
                        threshold=threshold,
                        current=round(used, 1),
                    )
                )
        if self._crosses("drawdown", day.drawdown >= self.drawdown_limit, day.key):
            alerts.append(
                self.alert(
                    now_ms,
                    kind="DRAWDOWN",
                    severity="WARNING",
                    title="Drawdown Limit Reached",
                    message=f"The day's drawdown has reached {day.drawdown / 100:.2f} USD",
                    threshold=self.drawdown_limit / 100,
                    current=day.drawdown / 100,
                )
            )
        level = account.margin_level()
        if level is not None and self._crosses("margin", level < self.lowest_margin_level, None):
            alerts.append(
                self.alert(
                    now_ms,
                    kind="MARGIN_LEVEL",
                    severity="WARNING",
                    title="Margin Level Low",
                    message=f"The margin level has fallen to {level:.1f}%",
                    threshold=self.lowest_margin_level,
                    current=level,
                )
            )
        return alerts

    def alert(self, now_ms: int, *, entity: tuple[str, str] | None = None, **fields: Any) -> Update:
        """An alert with the next number; about the user unless `entity` (type, id) says otherwise."""
        self._number += 1
        entity_type, entity_id = entity or ("USER", self._user_id)
        data = wire.alert(
            alert_id=f"alert_{self._number}", created_ms=now_ms, entity_type=entity_type, entity_id=entity_id, **fields
        )
        return Update("alerts", data["alertId"], data, {})

    def _crosses(self, name: str, beyond: bool, period: int | None) -> bool:
        """Whether this is news: the figure is beyond its threshold and was not, or a new period began."""
        if not beyond:
            # A figure that trembles at its threshold would raise an alert a second: within a period, once is enough.
            if period is None or self._raised.get(name) != period:
                self._raised.pop(name, None)
            return False
        if name in self._raised and self._raised[name] == period:
            return False
        self._raised[name] = period
        return True

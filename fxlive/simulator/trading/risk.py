"""The account's performance per day, week and month, and the alerts about its risk."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fxlive.simulator import wire
from fxlive.simulator.market.quotes import DAY_MS
from fxlive.simulator.trading.account import Account
from fxlive.simulator.trading.books import Execution, Update


class _Period:
    """Totals of the current day, week or month; money in cents."""

    def __init__(self) -> None:
        self.key: int | None = None
        self.reset()

    def reset(self) -> None:
        self.trades = self.wins = self.net = self.peak = 0

    @property
    def drawdown(self) -> int:
        return self.peak - self.net


class Performance:
    """Totals of the executions in the current UTC day, ISO week and month of market time.

    - The net of an execution is profit - commission + swap.
    - A trade is a closing execution. It wins if its own net is above zero.
    - Net profit is the sum of the nets of all executions.
    - The drawdown is the distance of the net profit below its highest value in the period, which starts at zero.

    All of it can be computed from the trades channel alone.
    """

    def __init__(self) -> None:
        self.periods = {"DAY": _Period(), "WEEK": _Period(), "MONTH": _Period()}

    @property
    def day(self) -> _Period:
        """The totals of the current day."""
        return self.periods["DAY"]

    def roll(self, time_ms: int) -> None:
        """Reset the periods that have ended by this market time."""
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
        """Add an execution to the totals."""
        self.roll(execution.time_ms)
        for period in self.periods.values():
            period.net += execution.net
            period.peak = max(period.peak, period.net)
            if execution.closing:
                period.trades += 1
                period.wins += execution.net > 0

    def updates(self, time_ms: int) -> list[Update]:
        """Return an analytics row for each period."""
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


class RiskMonitor:
    """Creates an alert when a figure crosses its threshold.

    Alerts about the daily loss and the drawdown are created at most once a day. The alert about the margin level is
    created again after the level has recovered. Limits are in cents, the margin level in percent.
    """

    daily_loss_limit = 1_000_00
    drawdown_limit = 500_00
    min_margin_level = 1_000.0

    def __init__(self, user_id: str, first_number: int = 1) -> None:
        self._user_id = user_id
        self._number = first_number - 1
        self._raised: dict[str, int | None] = {}

    def check(self, account: Account, performance: Performance) -> list[Update]:
        """Return the alerts that are due now."""
        now_ms, day = account.now_ms, performance.day
        alerts = []
        used = max(0, -day.net) / self.daily_loss_limit * 100
        for threshold, severity, title in (
            (80, "WARNING", "Daily Loss Limit Approaching"),
            (100, "CRITICAL", "Daily Loss Limit Exceeded"),
        ):
            if self._is_due(f"loss {threshold}", used >= threshold, day.key):
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
        if self._is_due("drawdown", day.drawdown >= self.drawdown_limit, day.key):
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
        if level is not None and self._is_due("margin", level < self.min_margin_level, None):
            alerts.append(
                self.alert(
                    now_ms,
                    kind="MARGIN_LEVEL",
                    severity="WARNING",
                    title="Margin Level Low",
                    message=f"The margin level has fallen to {level:.1f}%",
                    threshold=self.min_margin_level,
                    current=level,
                )
            )
        return alerts

    def alert(self, now_ms: int, *, entity: tuple[str, str] | None = None, **fields: Any) -> Update:
        """Return an alert with the next number, about `entity` (type, id) or, by default, the user."""
        self._number += 1
        entity_type, entity_id = entity or ("USER", self._user_id)
        data = wire.alert(
            alert_id=f"alert_{self._number}", created_ms=now_ms, entity_type=entity_type, entity_id=entity_id, **fields
        )
        return Update("alerts", data["alertId"], data, {})

    def _is_due(self, name: str, beyond: bool, period: int | None) -> bool:
        """Return whether to create an alert: the figure is `beyond` its threshold and no alert exists (this period)."""
        if not beyond:
            # With a period, the alert is not rearmed before the period ends: a figure that oscillates around its
            # threshold would raise an alert each second.
            if period is None or self._raised.get(name) != period:
                self._raised.pop(name, None)
            return False
        if name in self._raised and self._raised[name] == period:
            return False
        self._raised[name] = period
        return True

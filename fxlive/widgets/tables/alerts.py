"""The alerts feed: the platform's alerts, the newest first, with what the user has acknowledged.

The platform has no message for it, so that an alert was acknowledged is known here alone: it lives in the widget, and
so in all its views, for as long as the kernel runs.
"""

from __future__ import annotations

from typing import Any

from fxlive.errors import UnknownOption
from fxlive.pipeline.pipeline import Pipeline
from fxlive.tables.table import RollingTable
from fxlive.widgets.base import LiveWidget
from fxlive.widgets.charts.layers import Badge, Fares
from fxlive.widgets.tables.following import Followed

MAX_ALERTS = 500
MAX_CHARS = 2_000
"""How much of a text goes to the page."""
_MOST_A_TICK = 100

_COLUMNS = ("alert_id", "timestamp", "severity", "type", "title", "message", "entity_type", "entity_id")


class AlertsFeed(LiveWidget):
    """A live list of alerts, the newest first.

    Parameters
    ----------
    table
        Of alerts.
    fares
        Says how they fare.
    **options
        As for `LiveWidget`.
    """

    def __init__(self, table: RollingTable, fares: Fares, **options: Any) -> None:
        self._table = table
        self._fares = fares
        self._rows = Followed(table, MAX_ALERTS)
        self._severities: dict[str, str | None] = {}  # of those acknowledged: a graver one is to be seen anew
        self._waiting: dict[str, None] = {}  # ids of alerts that are new to the views
        self._gone: list[int] = []
        self._acknowledged: list[int] = []  # as all views know it
        self._badge: Badge | None = None  # the same; None before the first
        super().__init__("alerts", **options)

    @property
    def acknowledged(self) -> frozenset[str]:
        """The ids of the alerts in the feed that have been acknowledged."""
        return self.refresher.ask(lambda: frozenset(self._follow()))

    def acknowledge(self, *alert_ids: str) -> None:
        """Acknowledge alerts, in all views; without an id all that are in the feed.

        Raises
        ------
        UnknownOption
            Where there is no such alert in the feed; lists those there are.
        """

        def work() -> None:
            self._follow()
            for alert_id in alert_ids:
                if alert_id not in self._rows.numbers:
                    known = [*reversed(self._rows.numbers)] or ["none, for there is no alert yet"]
                    raise UnknownOption("alert_id", alert_id, known)
            self._note(list(alert_ids or self._rows.numbers))

        self.refresher.ask(work)

    def act(self, action: str, request: dict[str, Any]) -> None:
        """Acknowledge the alerts that a view names by their numbers: those that its reader has seen."""
        if action != "acknowledge":
            super().act(action, request)
        wanted = set(request["numbers"])
        self.refresher.ask(lambda: self._note([key for key, number in self._rows.numbers.items() if number in wanted]))

    # On the background thread.

    def epoch(self) -> int | None:
        """Return how often the channel was cleared."""
        return self._fares.epoch()

    def forget(self) -> None:
        """Have no view know anything."""
        self._badge = None

    def window(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Return every alert."""
        acknowledged, badge = self._numbers(self._follow()), self._fares.badge()
        if self._badge is None:  # the first view
            self._waiting.clear()
            self._gone.clear()
            self._acknowledged, self._badge = acknowledged, badge
        alerts = [self._alert(key) for key in self._rows.numbers]
        return {"alerts": alerts, "acknowledged": acknowledged, "most": MAX_ALERTS, "badge": vars(badge)}, []

    def changes(self) -> tuple[dict[str, Any], list[bytes]]:
        """Return the alerts that are new, the numbers of those that are gone, and which have been acknowledged."""
        if self._badge is None:
            return {}, []
        acknowledged, badge = self._numbers(self._follow()), self._fares.badge()
        content: dict[str, Any] = {}
        if self._gone:
            content["gone"], self._gone = self._gone, []
        if self._waiting:
            keys = list(self._waiting)[:_MOST_A_TICK]
            for key in keys:
                del self._waiting[key]
            content["alerts"] = [self._alert(key) for key in keys]
        if acknowledged != self._acknowledged:
            self._acknowledged = content["acknowledged"] = acknowledged
        if badge != self._badge:
            self._badge, content["badge"] = badge, vars(badge)
        return content, []

    def _follow(self) -> dict[str, str | None]:
        """Take up what has come; returns the alerts that are acknowledged."""
        changed, gone = self._rows.follow()
        if gone:
            self._gone += gone
            self._waiting = {key: None for key in self._waiting if key in self._rows.numbers}
            self._severities = {key: was for key, was in self._severities.items() if key in self._rows.numbers}
        self._waiting.update(dict.fromkeys(changed))
        for key in self._severities.keys() & changed:
            if self._severity(key) != self._severities[key]:
                del self._severities[key]
        return self._severities

    def _note(self, keys: list[str]) -> None:
        self._severities.update({key: self._severity(key) for key in keys})

    def _severity(self, key: str) -> str | None:
        severity: str | None = (self._table.newest(key, "severity") or {}).get("severity")
        return severity

    def _numbers(self, keys: dict[str, str | None]) -> list[int]:
        return sorted(self._rows.numbers[key] for key in keys)

    def _alert(self, key: str) -> dict[str, Any]:
        row = self._table.newest(key, *_COLUMNS) or {}
        texts = {name: value[:MAX_CHARS] for name, value in row.items() if isinstance(value, str)}
        return {"n": self._rows.numbers[key], "at": row["timestamp"] / 1000.0, **texts}


def alerts_feed(pipeline: Pipeline, session: str, *, name: str | None = None, **options: Any) -> AlertsFeed:
    """Return a live list of alerts; what the session's method of this name does."""
    table = pipeline.store.tables["alerts"]
    return AlertsFeed(table, Fares(pipeline, "alerts"), name=f"{session}: {name or 'alerts'}", **options)

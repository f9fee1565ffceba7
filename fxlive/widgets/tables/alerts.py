"""The alerts feed: the platform's alerts, newest first. The user can acknowledge them.

The platform has no message for acknowledgements. They are stored in the widget, so all its views show them, and they
are lost when the kernel ends.
"""

from __future__ import annotations

from typing import Any

from fxlive.errors import UnknownOption
from fxlive.pipeline.pipeline import Pipeline
from fxlive.tables.table import RollingTable
from fxlive.widgets.base import LiveWidget
from fxlive.widgets.charts.layers import Badge, DataStatus
from fxlive.widgets.tables.row_tracker import RowTracker

MAX_ALERTS = 500
MAX_CHARS = 2_000
"""Longest text that is sent to the page; longer ones are cut."""
_MAX_ALERTS_A_TICK = 100

_COLUMNS = ("alert_id", "timestamp", "severity", "type", "title", "message", "entity_type", "entity_id")


class AlertsFeed(LiveWidget):
    """A live list of alerts, newest first.

    Parameters
    ----------
    table
        Table of alerts.
    status
        Status of the channel.
    **options
        As for `LiveWidget`.
    """

    def __init__(self, table: RollingTable, status: DataStatus, **options: Any) -> None:
        self._table = table
        self._status = status
        self._rows = RowTracker(table, MAX_ALERTS)
        # Severity of each acknowledged alert at that time. With another severity it counts as not acknowledged.
        self._severities: dict[str, str | None] = {}
        self._unsent: dict[str, None] = {}  # ids of alerts to send to the views
        self._gone: list[int] = []
        self._acknowledged: list[int] = []  # as last sent to all views
        self._badge: Badge | None = None  # as last sent to all views; None before the first view
        super().__init__("alerts", **options)

    @property
    def acknowledged(self) -> frozenset[str]:
        """The ids of the alerts in the feed that have been acknowledged."""
        return self.refresher.call(lambda: frozenset(self._update()))

    def acknowledge(self, *alert_ids: str) -> None:
        """Acknowledge alerts, in all views. Without an id, acknowledge all alerts in the feed.

        Raises
        ------
        UnknownOption
            If the feed has no such alert. The message lists the ids in the feed.
        """

        def acknowledge() -> None:
            self._update()
            for alert_id in alert_ids:
                if alert_id not in self._rows.numbers:
                    known = [*reversed(self._rows.numbers)] or ["the id of an alert in the feed, which is empty"]
                    raise UnknownOption("alert_id", alert_id, known)
            self._acknowledge(list(alert_ids or self._rows.numbers))

        self.refresher.call(acknowledge)

    def act(self, action: str, request: dict[str, Any]) -> None:
        """Acknowledge the alerts whose numbers a view sends: those that it shows to the user."""
        if action != "acknowledge":
            super().act(action, request)
        numbers = set(request["numbers"])
        self.refresher.call(
            lambda: self._acknowledge([key for key, number in self._rows.numbers.items() if number in numbers])
        )

    # On the background thread.

    def epoch(self) -> int | None:
        """Return how often the table was cleared; None while it is being filled again."""
        return self._status.epoch()

    def reset(self) -> None:
        """Treat the next snapshot as the first."""
        self._badge = None

    def snapshot(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Return every alert."""
        acknowledged, badge = self._numbers(self._update()), self._status.badge()
        if self._badge is None:  # the first view
            self._unsent.clear()
            self._gone.clear()
            self._acknowledged, self._badge = acknowledged, badge
        alerts = [self._alert(key) for key in self._rows.numbers]
        return {"alerts": alerts, "acknowledged": acknowledged, "most": MAX_ALERTS, "badge": vars(badge)}, []

    def changes(self) -> tuple[dict[str, Any], list[bytes]]:
        """Return new and changed alerts, the numbers of removed ones, and the numbers of the acknowledged ones."""
        if self._badge is None:
            return {}, []
        acknowledged, badge = self._numbers(self._update()), self._status.badge()
        content: dict[str, Any] = {}
        if self._gone:
            content["gone"], self._gone = self._gone, []
        if self._unsent:
            keys = list(self._unsent)[:_MAX_ALERTS_A_TICK]
            for key in keys:
                del self._unsent[key]
            content["alerts"] = [self._alert(key) for key in keys]
        if acknowledged != self._acknowledged:
            self._acknowledged = content["acknowledged"] = acknowledged
        if badge != self._badge:
            self._badge, content["badge"] = badge, vars(badge)
        return content, []

    def _update(self) -> dict[str, str | None]:
        """Read the changes of the table. Return the acknowledged alerts with their severity."""
        changed, gone = self._rows.update()
        if gone:
            self._gone += gone
            self._unsent = {key: None for key in self._unsent if key in self._rows.numbers}
            self._severities = {key: was for key, was in self._severities.items() if key in self._rows.numbers}
        self._unsent.update(dict.fromkeys(changed))
        for key in self._severities.keys() & changed:
            if self._severity(key) != self._severities[key]:
                del self._severities[key]
        return self._severities

    def _acknowledge(self, keys: list[str]) -> None:
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
    """Return a live list of alerts. Implements `Session.alerts_feed`."""
    table = pipeline.store.tables["alerts"]
    return AlertsFeed(table, DataStatus(pipeline, "alerts"), session=session, name=name or "alerts", **options)

"""The kernel's side of the alerts feed: alerts sent to the page, and acknowledgements."""

from __future__ import annotations

from typing import Any

import pytest

import fxlive
from fxlive.widgets.tables.alerts import MAX_ALERTS, MAX_CHARS, AlertsFeed, alerts_feed
from tests.samples import ALERT, message
from tests.widgets.kernel_side import ManualRefresher, Platform, send_from_view
from tests.widgets.recording_comm import RecordedPage


class FeedView:
    """A view of a feed, with only the alerts that were sent to it."""

    def __init__(self, feed: AlertsFeed, page: RecordedPage, view: str = "a") -> None:
        self.feed, self.page, self.view, self.read = feed, page, view, len(page.sent)
        self.alerts: dict[int, dict[str, Any]] = {}
        self.acknowledged: list[int] = []
        send_from_view(feed, "snapshot", view)
        self.tick()

    def tick(self) -> int:
        """Refresh the feed. Return the number of parts received."""
        self.feed.refresher.tick()
        received = 0
        for part in self.page.parts(self.feed, self.read):
            content = part.content
            if content.get("v", self.view) != self.view:
                continue
            received += 1
            self.alerts |= {alert["n"]: alert for alert in content.get("alerts", ())}
            for number in content.get("gone", ()):
                del self.alerts[number]
            self.acknowledged = content.get("acknowledged", self.acknowledged)
        self.read = len(self.page.sent)
        return received

    def ids(self) -> list[str]:
        return [alert["alert_id"] for alert in self.alerts.values()]

    def acknowledged_ids(self) -> list[str]:
        return [self.alerts[number]["alert_id"] for number in self.acknowledged]


def feed_of(platform: Platform, **options: Any) -> AlertsFeed:
    return alerts_feed(platform.pipeline, "test", refresher=ManualRefresher(), **options)


def alert(number: int, **data: Any) -> dict[str, Any]:
    return message(ALERT, {"id": None}, alertId=f"a{number}", **data)


def test_a_view_gets_all_alerts_and_then_new_and_changed_ones(platform: Platform, page: RecordedPage) -> None:
    platform.put(alert(1), alert(2, severity="CRITICAL", entity=None, message=None))
    view = FeedView(feed_of(platform), page)
    assert list(view.alerts.values()) == [
        {
            "n": 0,
            "at": 1_704_067_200_000.0,
            "alert_id": "a1",
            "severity": "WARNING",
            "type": "RISK_LIMIT",
            "title": "Daily Loss Limit Approaching",
            "message": "Daily loss has reached 80% of the maximum limit",
            "entity_type": "USER",
            "entity_id": "user_456",
        },
        {
            "n": 1,
            "at": 1_704_067_200_000.0,
            "alert_id": "a2",
            "severity": "CRITICAL",
            "type": "RISK_LIMIT",
            "title": "Daily Loss Limit Approaching",
        },
    ]
    assert view.tick() == 0
    platform.put(alert(3), alert(1, title="Worse"))
    view.tick()
    assert view.ids() == ["a1", "a2", "a3"]
    assert view.alerts[0]["title"] == "Worse"


def test_acknowledgements_show_in_all_views_and_after_a_reload(platform: Platform, page: RecordedPage) -> None:
    platform.put(alert(1), alert(2), alert(3))
    feed = feed_of(platform)
    view, other = FeedView(feed, page, "a"), FeedView(feed, page, "b")
    assert feed.acknowledged == frozenset()
    feed.act("acknowledge", {"numbers": [next(n for n in view.alerts if view.alerts[n]["alert_id"] == "a2"), 99]})
    view.tick()
    other.tick()
    assert (view.acknowledged_ids(), other.acknowledged_ids()) == (["a2"], ["a2"])
    assert FeedView(feed, page, "after the reload").acknowledged_ids() == ["a2"]
    assert feed.acknowledged == {"a2"}


def test_some_or_all_alerts_can_be_acknowledged_from_a_cell(platform: Platform, page: RecordedPage) -> None:
    platform.put(alert(1), alert(2), alert(3))
    feed = feed_of(platform)
    feed.acknowledge("a1", "a3")
    assert feed.acknowledged == {"a1", "a3"}
    with pytest.raises(fxlive.UnknownOption, match=r"alert_id must be a3, a2 or a1, got 'a4'"):
        feed.acknowledge("a4")
    feed.acknowledge()
    assert feed.acknowledged == {"a1", "a2", "a3"}
    platform.put(alert(4))
    assert feed.acknowledged == {"a1", "a2", "a3"}  # not later alerts


def test_an_alert_with_a_new_severity_is_not_acknowledged_any_more(platform: Platform, page: RecordedPage) -> None:
    platform.put(alert(1), alert(2))
    feed = feed_of(platform)
    view = FeedView(feed, page)
    feed.acknowledge()
    platform.put(alert(1, current=81), alert(2, severity="CRITICAL"))
    view.tick()
    assert view.acknowledged_ids() == ["a1"]
    assert feed.acknowledged == {"a1"}


def test_only_the_newest_alerts_and_their_acknowledgements_are_kept(platform: Platform, page: RecordedPage) -> None:
    platform.put(*(alert(number) for number in range(MAX_ALERTS)))
    feed = feed_of(platform)
    view = FeedView(feed, page)
    feed.acknowledge("a0", "a1")
    platform.put(alert(MAX_ALERTS))
    view.tick()
    assert set(view.ids()) == {f"a{number}" for number in range(1, MAX_ALERTS + 1)}
    assert (feed.acknowledged, view.acknowledged_ids()) == ({"a1"}, ["a1"])


def test_many_alerts_are_sent_over_several_ticks(platform: Platform, page: RecordedPage) -> None:
    view = FeedView(feed_of(platform), page)
    platform.put(*(alert(number, message="x" * 100_000) for number in range(250)))
    counts = []
    while view.tick():
        counts.append(len(view.alerts))
    assert counts == [100, 200, 250]
    assert {len(alert["message"]) for alert in view.alerts.values()} == {MAX_CHARS}


def test_an_unknown_action_is_an_error(platform: Platform, page: RecordedPage) -> None:
    with pytest.raises(ValueError, match="unknown action 'delete'"):
        feed_of(platform).act("delete", {})


def test_session_method_and_module_function_make_the_same_feed(page: RecordedPage) -> None:
    session = fxlive.Session.offline("feeds")
    fxlive.use(session)
    try:
        assert fxlive.alerts_feed().name == session.alerts_feed().name == "feeds: alerts"
    finally:
        session.close()

"""The alerts feed's half in the kernel: what the page is told, and what has been acknowledged."""

from __future__ import annotations

from typing import Any

import pytest

import fxlive
from fxlive.widgets.tables.alerts import MAX_ALERTS, MAX_CHARS, AlertsFeed, alerts_feed
from tests.samples import ALERT, message
from tests.widgets.kernel_side import Here, Platform, say
from tests.widgets.recording_comm import Recorded


class Shown:
    """A feed and what a view of it would know, by what it is told alone."""

    def __init__(self, feed: AlertsFeed, page: Recorded, view: str = "a") -> None:
        self.feed, self.page, self.view, self.read = feed, page, view, len(page.sent)
        self.alerts: dict[int, dict[str, Any]] = {}
        self.acknowledged: list[int] = []
        say(feed, "window", view)
        self.tick()

    def tick(self) -> int:
        self.feed.refresher.tick()
        told = 0
        for said in self.page.said(self.feed, self.read):
            content = said.content
            if content.get("v", self.view) != self.view:
                continue
            told += 1
            self.alerts |= {alert["n"]: alert for alert in content.get("alerts", ())}
            for number in content.get("gone", ()):
                del self.alerts[number]
            self.acknowledged = content.get("acknowledged", self.acknowledged)
        self.read = len(self.page.sent)
        return told

    def ids(self) -> list[str]:
        return [alert["alert_id"] for alert in self.alerts.values()]

    def dimmed(self) -> list[str]:
        return [self.alerts[number]["alert_id"] for number in self.acknowledged]


def feed_of(platform: Platform, **options: Any) -> AlertsFeed:
    return alerts_feed(platform.pipeline, "test", refresher=Here(), **options)


def alert(number: int, **data: Any) -> dict[str, Any]:
    return message(ALERT, {"id": None}, alertId=f"a{number}", **data)


def test_a_view_gets_all_alerts_and_then_those_that_come_or_change(platform: Platform, page: Recorded) -> None:
    platform.put(alert(1), alert(2, severity="CRITICAL", entity=None, message=None))
    shown = Shown(feed_of(platform), page)
    assert list(shown.alerts.values()) == [
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
    assert shown.tick() == 0
    platform.put(alert(3), alert(1, title="Worse"))
    shown.tick()
    assert shown.ids() == ["a1", "a2", "a3"]
    assert shown.alerts[0]["title"] == "Worse"


def test_what_was_acknowledged_shows_in_all_views_and_after_a_reload(platform: Platform, page: Recorded) -> None:
    platform.put(alert(1), alert(2), alert(3))
    feed = feed_of(platform)
    shown, other = Shown(feed, page, "a"), Shown(feed, page, "b")
    assert feed.acknowledged == frozenset()
    feed.act("acknowledge", {"numbers": [next(n for n in shown.alerts if shown.alerts[n]["alert_id"] == "a2"), 99]})
    shown.tick()
    other.tick()
    assert (shown.dimmed(), other.dimmed()) == (["a2"], ["a2"])
    assert Shown(feed, page, "after the reload").dimmed() == ["a2"]
    assert feed.acknowledged == {"a2"}


def test_alerts_are_acknowledged_from_a_cell_some_or_all(platform: Platform, page: Recorded) -> None:
    platform.put(alert(1), alert(2), alert(3))
    feed = feed_of(platform)
    feed.acknowledge("a1", "a3")
    assert feed.acknowledged == {"a1", "a3"}
    with pytest.raises(fxlive.UnknownOption, match=r"alert_id must be a3, a2 or a1, got 'a4'"):
        feed.acknowledge("a4")
    feed.acknowledge()
    assert feed.acknowledged == {"a1", "a2", "a3"}
    platform.put(alert(4))
    assert feed.acknowledged == {"a1", "a2", "a3"}  # not what comes after


def test_an_alert_that_comes_again_with_another_severity_is_to_be_seen_anew(platform: Platform, page: Recorded) -> None:
    platform.put(alert(1), alert(2))
    feed = feed_of(platform)
    shown = Shown(feed, page)
    feed.acknowledge()
    platform.put(alert(1, current=81), alert(2, severity="CRITICAL"))
    shown.tick()
    assert shown.dimmed() == ["a1"]
    assert feed.acknowledged == {"a1"}


def test_only_the_newest_are_kept_and_what_is_known_of_the_others_is_forgotten(
    platform: Platform, page: Recorded
) -> None:
    platform.put(*(alert(number) for number in range(MAX_ALERTS)))
    feed = feed_of(platform)
    shown = Shown(feed, page)
    feed.acknowledge("a0", "a1")
    platform.put(alert(MAX_ALERTS))
    shown.tick()
    assert set(shown.ids()) == {f"a{number}" for number in range(1, MAX_ALERTS + 1)}
    assert (feed.acknowledged, shown.dimmed()) == ({"a1"}, ["a1"])


def test_a_flood_of_alerts_comes_a_part_at_a_time(platform: Platform, page: Recorded) -> None:
    shown = Shown(feed_of(platform), page)
    platform.put(*(alert(number, message="x" * 100_000) for number in range(250)))
    counts = []
    while shown.tick():
        counts.append(len(shown.alerts))
    assert counts == [100, 200, 250]
    assert {len(alert["message"]) for alert in shown.alerts.values()} == {MAX_CHARS}


def test_a_button_that_there_is_not_does_nothing(platform: Platform, page: Recorded) -> None:
    with pytest.raises(ValueError, match="there is nothing called 'delete' to do"):
        feed_of(platform).act("delete", {})


def test_the_feed_is_a_method_of_the_session_and_a_function_of_the_module(page: Recorded) -> None:
    session = fxlive.Session.offline("feeds")
    fxlive.use(session)
    try:
        assert fxlive.alerts_feed().name == session.alerts_feed().name == "feeds: alerts"
    finally:
        session.close()

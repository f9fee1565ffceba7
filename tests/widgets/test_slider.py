"""The time slider of a replay, and the replay's time in other widgets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fxlive
from fxlive.core.background import call
from fxlive.widgets.slider import MAX_GAPS, TimeSlider, time_slider
from fxlive.widgets.status import status_bar
from tests.capture.recordings import MAY_8, quote
from tests.capture.sessions import SECOND, bring, lose, path_of, recorded
from tests.handmade import wait_until
from tests.widgets.kernel_side import ManualRefresher, open_view
from tests.widgets.recording_comm import RecordedPage


@pytest.fixture(scope="module")
def minute(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture: a quote each second for a minute, with two gaps; then half a minute without quotes; then one more."""
    with recorded(tmp_path_factory.mktemp("captures")) as session:
        for number in range(60):
            bring(session, quote(number), at=MAY_8 + number * SECOND)
            if number in (20, 40):
                lose(session, MAY_8 + number * SECOND + 1, MAY_8 + number * SECOND + 500_001, f"lost at {number}")
        bring(session, quote(60), at=MAY_8 + 90 * SECOND)
    return path_of(session)


@pytest.fixture
def replay(minute: Path) -> Iterator[fxlive.Replay]:
    with fxlive.replay(minute, paused=True) as replayed:
        yield replayed


def slider_of(replay: fxlive.Replay) -> TimeSlider:
    return time_slider(replay._pipeline, replay._feed, replay.name, refresher=ManualRefresher())


def state(page: RecordedPage, widget: Any) -> tuple[dict[str, Any], str]:
    """The current values of a view and the text of its badge, from all messages so far."""
    values: dict[str, Any] = {}
    badge: dict[str, Any] = {}
    for part in page.parts(widget):
        values |= part.content.get("s", {})
        badge = part.content.get("badge", badge)
    return values, badge.get("text", badge.get("state"))


def ms(seconds: float) -> float:
    return MAY_8 / 1000 + seconds * 1000


def test_the_slider_has_the_ends_of_the_recording_and_its_gaps(page: RecordedPage, replay: fxlive.Replay) -> None:
    open_view(slider_of(replay))
    [window] = page.replies()
    content = window.content
    assert (content["start"], content["end"]) == (ms(0), ms(90))
    assert [gap[2] for gap in content["gaps"]] == ["lost at 20", "lost at 40"]
    assert content["gaps"][0][:2] == [ms(20) + 0.001, ms(20.5) + 0.001]
    assert content["speeds"] == (0.5, 1.0, 2.0, 5.0, 10.0, 60.0, None)
    assert (content["s"]["time"], content["s"]["speed"], content["s"]["over"]) == (ms(0), 1.0, False)
    assert replay.time_slider().name == "replay: time"


def test_of_too_many_gaps_the_longest_are_drawn(page: RecordedPage, tmp_path: Path) -> None:
    with recorded(tmp_path) as session:
        bring(session, quote(0), at=MAY_8)
        for number in range(MAX_GAPS + 50):
            start = MAY_8 + number * SECOND
            lose(session, start, start + 100_000 + number, "x" * 1_000)
        bring(session, quote(1), at=MAY_8 + 600 * SECOND)
    with fxlive.replay(path_of(session), paused=True) as replayed:
        gaps = slider_of(replayed).snapshot({})[0]["gaps"]
    assert (len(gaps), gaps[0][0], len(gaps[0][2])) == (MAX_GAPS, ms(50), 200)


def test_the_slider_seeks_plays_pauses_and_sets_the_speed(page: RecordedPage, replay: fxlive.Replay) -> None:
    slider = slider_of(replay)
    open_view(slider)
    assert state(page, slider)[1] == "paused"
    slider.act("seek", {"time": ms(30.25)})
    slider.refresher.tick()
    assert len(replay.frame("market-data")) == 31
    values, badge = state(page, slider)
    assert (values["time"], values["halt"], values["seeks"], badge) == (ms(30.25), "paused", 1, "paused")

    slider.act("speed", {"speed": 60.0})
    slider.act("play", {})
    slider.refresher.tick()
    values, badge = state(page, slider)
    assert (values["speed"], values["halt"], badge) == (60.0, None, "playing")
    assert (replay.speed, replay.paused) == (60.0, False)
    wait_until(lambda: replay.time.timestamp() * 1000 > ms(40))
    slider.act("pause", {})
    slider.refresher.tick()
    assert state(page, slider)[0]["time"] == replay._feed.now_us() / 1000

    slider.act("speed", {"speed": None})
    slider.act("play", {})
    replay.wait_until_end(20)
    slider.refresher.tick()
    values, badge = state(page, slider)
    assert (values["time"], values["speed"], values["halt"], badge) == (ms(90), None, "ended", "ended")
    slider.act("speed", {"speed": 0.5})
    slider.act("play", {})  # from the beginning
    assert replay.time < replay.start + 20 * (replay.end - replay.start) / 90
    assert not replay.ended


def test_invalid_speeds_and_actions_are_errors_and_times_are_limited_to_the_recording(
    page: RecordedPage, replay: fxlive.Replay
) -> None:
    slider = slider_of(replay)
    for speed in (0, -1, 7, "fast"):
        with pytest.raises(ValueError, match="speed must be"):
            slider.act("speed", {"speed": speed})
    with pytest.raises(ValueError, match="unknown action 'rewind'"):
        slider.act("rewind", {})
    slider.act("seek", {"time": ms(-1e6)})
    assert replay.time == replay.start
    slider.act("seek", {"time": ms(1e6)})
    assert replay.time == replay.end


def test_only_changes_are_sent_and_a_second_view_gets_the_values_of_the_first(
    page: RecordedPage, replay: fxlive.Replay
) -> None:
    slider = slider_of(replay)
    open_view(slider, "a")
    assert [slider.refresher.tick() for _ in range(20)] == [0] * 20
    replay.seek("2014-05-08 12:30:10")  # by code
    slider.refresher.tick()
    assert page.updates()[-1].content["s"] == {"time": ms(10), "seeks": 1}
    assert page.ticks[-1].size < 200
    open_view(slider, "b")
    assert page.replies()[-1].content["s"].items() >= state(page, slider)[0].items()


def test_the_slider_shows_that_the_session_was_closed_or_has_failed(page: RecordedPage, replay: fxlive.Replay) -> None:
    slider = slider_of(replay)
    replay.seek(replay.start + (replay.end - replay.start) / 2)
    open_view(slider)

    async def fail() -> None:
        replay._pipeline.failed(fxlive.CaptureError("The disk is gone."))

    call(fail())
    slider.refresher.tick()
    values, badge = state(page, slider)
    assert (values["over"], values["error"], badge) == (True, "The disk is gone.", "failed")
    replay.close()
    slider.refresher.tick()
    values, badge = state(page, slider)
    assert (values["time"], badge) == (ms(45), "closed")
    slider.act("seek", {"time": ms(3)})
    slider.act("play", {})
    assert values["time"] == ms(45)


def test_the_status_bar_pauses_the_replay_and_uses_its_clock(page: RecordedPage, replay: fxlive.Replay) -> None:
    bar = status_bar(replay._pipeline, replay.name, replay._controls(), refresher=ManualRefresher())
    replay.seek("2014-05-08 12:30:55")
    open_view(bar)
    values, badge = state(page, bar)
    assert (values["replay"], values["paused"], badge) == (True, True, "paused")
    assert (values["connected_s"], values["stale"], values["gaps"]) == (14, [], 2)
    assert values["rate_per_s"] == pytest.approx(1.0, abs=0.11)
    bar.act("resume", {})
    bar.refresher.tick()
    assert not replay.paused
    assert state(page, bar)[1] == "connected"
    bar.act("pause", {})
    bar.refresher.tick()
    assert (replay.paused, bar.refresher.paused, state(page, bar)[1]) == (True, False, "paused")

    replay.seek("2014-05-08 12:31:20")  # silent for 21 s by now
    bar._due = 0.0
    bar.refresher.tick()
    assert state(page, bar)[0]["stale"] == ["market-data"]
    replay.seek(replay.end)
    replay.resume()
    replay.wait_until_end(20)
    bar._due = 0.0
    bar.refresher.tick()
    values, badge = state(page, bar)
    assert (values["stale"], badge) == ([], "ended")


def test_the_badge_of_a_chart_follows_the_replay_and_its_clock(page: RecordedPage, replay: fxlive.Replay) -> None:
    chart = replay.price_chart("EURUSD")
    chart.refresher = ManualRefresher()
    replay.speed = 1e-6  # practically stopped
    badges = []
    for to, paused in (("12:30:50", True), ("12:30:50", False), ("12:31:15", False), ("12:31:30", False)):
        replay.seek(f"2014-05-08 {to}")
        replay.paused = paused
        open_view(chart)
        badges.append(page.replies()[-1].content["badge"])
    assert [badge["state"] for badge in badges] == ["paused", "live", "stale", "ended"]
    assert badges[2]["since"] == ms(59)


def test_only_the_dashboard_of_a_replay_has_the_slider(page: RecordedPage, replay: fxlive.Replay) -> None:
    assert list(replay.dashboard().parts) == ["status", "time", "price", "pnl", "metrics", "alerts"]
    assert list(fxlive.Session.offline("other").dashboard().parts) == ["status", "price", "pnl", "metrics", "alerts"]

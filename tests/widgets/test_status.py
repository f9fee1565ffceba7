"""The status bar: what it says of a session, how little of it is sent, and what its buttons do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import fxlive
from fxlive.core.background import call
from fxlive.errors import CaptureError, ServerUnavailable
from fxlive.widgets import status
from fxlive.widgets.status import Controls, StatusBar, host_of
from tests.widgets.kernel_side import Here, look
from tests.widgets.recording_comm import Recorded

START_US = 1_700_000_000_000_000
STAMP = datetime.fromtimestamp(START_US / 1e6, UTC).isoformat()


class Bar:
    """A status bar on a session that is connected to nothing, with clocks that a test sets (seconds)."""

    def __init__(self, folder: Path, **controls: Any) -> None:
        self.now = 0.0
        self.session = fxlive.Session.offline("bar")
        self.pipeline = self.session._pipeline
        self.pipeline._clock = lambda: START_US + int(self.now * 1e6)
        call(self.pipeline.start())
        call(self.pipeline.feed.subscribe({"market-data": {}, "trades": {}}))
        self.pipeline.connected(START_US)
        standard = vars(self.session._controls())
        self.bar = StatusBar(
            self.pipeline,
            Controls(**(standard | controls)),
            name="bar",
            refresher=Here(),
            clock=lambda: self.now,
        )
        self._count = 0
        self.folder = folder

    def quotes(self, count: int, late_ms: float = 5.0, **data: Any) -> None:
        """Quotes that come now, so many milliseconds after their time."""
        frames = []
        at = START_US + int(self.now * 1e6)
        stamp = datetime.fromtimestamp((at - late_ms * 1000) / 1e6, UTC).isoformat()
        for _ in range(count):
            self._count += 1
            message = {"type": "market_data", "channel": "market-data", "data": {"symbol": "EURUSD", **data}}
            frames.append(json.dumps({**message, "timestamp": stamp, "id": f"q{self._count}"}).encode())
        self.pipeline.feed.put(*frames, at=at)  # type: ignore[attr-defined]

    def tick(self, after_s: float = 0.0) -> None:
        self.now += after_s
        self.bar.refresher.tick()

    def press(self, action: str, **request: Any) -> None:
        self.bar.act(action, request)
        self.tick()

    @property
    def word(self) -> list[Any]:
        """How the last action stands, and what is said of it."""
        return max(self.bar._work.values())[1:]


@pytest.fixture
def on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bar]:
    monkeypatch.chdir(tmp_path)
    bar = Bar(tmp_path)
    yield bar
    bar.session.close()


def state(page: Recorded) -> dict[str, Any]:
    """What a view has been told in all."""
    told: dict[str, Any] = {}
    for said in page.said():
        told |= said.content.get("s", {})
    return told


def test_it_says_what_health_says(page: Recorded, on: Bar) -> None:
    on.quotes(90, late_ms=5.0)
    on.quotes(10, late_ms=45.0, new_field=1.0)
    on.pipeline.feed.put(b"what?", at=START_US)  # type: ignore[attr-defined]
    twice = {"type": "trade", "channel": "trades", "timestamp": STAMP, "id": "t"}
    frame = json.dumps({**twice, "data": {"executionId": "e", "symbol": "EURUSD"}}).encode()
    on.pipeline.feed.put(frame, frame, at=START_US)  # type: ignore[attr-defined]
    on.now = 4.0
    look(on.bar)

    said, health = state(page), on.session.health()
    assert (said["state"], said["messages"], said["rejected"], said["duplicates"], said["dropped"], said["drift"]) == (
        health.state, health.messages, health.rejected, health.duplicates, health.dropped, 1,
    ) == ("connected", 101, 1, 1, 0, 1)  # fmt: skip
    assert (said["rate_per_s"], said["connected_s"]) == (round(health.rate_per_s, 1), 4)
    assert (said["p50_ms"], said["p99_ms"]) == (round(health.latency_p50_ms, 1), round(health.latency_p99_ms, 1))
    assert (said["p50_ms"], said["p99_ms"]) == (5.0, 45.0)
    assert said["drift_names"] == "market-data: new_field"
    assert (said["gaps"], said["gap"], said["stale"], said["recording"], said["error"]) == (0, None, [], None, None)


def test_counters_are_read_once_a_second_and_only_what_is_new_is_sent(
    page: Recorded, on: Bar, monkeypatch: pytest.MonkeyPatch
) -> None:
    on.quotes(10)
    look(on.bar)
    asked = []
    latency = status.latency_ms
    monkeypatch.setattr(status, "latency_ms", lambda pipeline: asked.append(1) or latency(pipeline))
    for _ in range(30):
        on.quotes(5)
        on.tick(0.1)
    assert 2 <= len(asked) <= 4
    news = page.news()
    assert len(news) == len(asked)
    assert all(said.content.keys() == {"s"} for said in news)
    assert all(said.content["s"].keys() <= {"messages", "rate_per_s", "connected_s"} for said in news)
    assert max(tick.size for tick in page.ticks[1:]) < 250

    on.tick(1.0)
    before = len(page.ticks)
    on.tick(0.05)
    assert len(page.ticks) == before


def test_the_state_shows_at_once_with_its_gap_while_it_lasts_and_after(page: Recorded, on: Bar) -> None:
    look(on.bar)
    assert page.answers()[0].content["badge"]["text"] == "connected"
    on.now = 0.3
    on.pipeline.lost(START_US + 300_000, "the server hung up")
    on.tick()
    said = page.news()[-1].content
    assert (said["badge"], said["s"]["state"]) == (
        {"state": "disconnected", "since": None, "why": None, "text": "reconnecting"},
        "reconnecting",
    )
    on.tick(12.0)
    assert state(page)["gap"] == {
        "start": START_US / 1000 + 300,
        "lasts": True,
        "s": 12,
        "why": "the server hung up",
    }
    assert (state(page)["gaps"], state(page)["connected_s"]) == (1, None)
    on.pipeline.connected(START_US + 12_500_000)
    on.tick()
    assert (state(page)["gap"]["lasts"], state(page)["gap"]["s"]) == (False, 12.2)


def test_a_failed_session_says_why_and_a_closed_one_that_it_is(page: Recorded, on: Bar) -> None:
    look(on.bar)
    on.pipeline.failed(ServerUnavailable("Nobody is there."))
    on.tick()
    said = page.news()[-1].content
    assert (said["badge"]["state"], said["s"]["error"]) == ("failed", "Nobody is there.")
    on.press("record")
    assert on.word[0] == "failed"
    assert "could not record: The session has failed: Nobody is there." in on.word[1]
    on.press("close")
    assert on.word == ["done", "closed; what has come stays readable"]
    assert page.news()[-1].content["badge"]["text"] == "closed"


def test_a_closed_session_is_connected_no_more(page: Recorded, on: Bar) -> None:
    look(on.bar)
    on.tick(5.0)
    assert state(page)["connected_s"] == 5
    on.press("close")
    assert (state(page)["state"], state(page)["connected_s"]) == ("closed", None)
    assert on.session.health().connected_s is None


def test_a_channel_that_is_silent_is_named(page: Recorded, on: Bar) -> None:
    on.quotes(1)
    look(on.bar)
    on.tick(11.0)
    assert state(page)["stale"] == ["market-data"]
    on.quotes(1)
    on.tick(1.0)
    assert state(page)["stale"] == []


def test_a_second_view_gets_what_the_first_has_been_told(page: Recorded, on: Bar) -> None:
    look(on.bar, "a")
    for _ in range(3):
        on.quotes(3)
        on.tick(1.0)
    told = state(page)
    on.quotes(3)
    on.now += 0.5
    look(on.bar, "b")
    assert page.answers()[-1].content["s"] == told
    on.tick(1.0)
    assert page.news()[-1].content["s"]["messages"] == 12


def test_only_the_host_of_a_url_is_shown() -> None:
    for url in ("wss://fx.example:8443/api/ws?token=secret#secret", "wss://me:secret@fx.example:8443/secret"):
        assert host_of(url) == "fx.example:8443"
    assert host_of("wss://[::1]:80/x") == "[::1]:80"


def test_pausing_stops_the_drawing_of_the_others_and_not_of_the_bar(page: Recorded, on: Bar) -> None:
    chart = on.session.metrics_chart()
    look(on.bar)
    chart.refresher = on.bar.refresher
    look(chart)
    on.press("pause")
    assert (state(page)["paused"], on.word) == (True, ["done", "charts are paused, data keeps coming"])

    on.quotes(7)
    trouble = {"type": "system", "channel": "system", "timestamp": STAMP, "data": {"status": "DOWN"}}
    on.pipeline.feed.put(json.dumps(trouble).encode(), at=START_US)  # type: ignore[attr-defined]
    on.tick(1.0)
    assert state(page)["messages"] == 8
    assert [said.key for said in page.news() if "system" in said.content] == []

    on.press("resume")
    on.tick(0.1)
    assert state(page)["paused"] is False
    assert [said.content["system"]["chips"][0]["status"] for said in page.news() if "system" in said.content] == [
        "DOWN"
    ]
    chart.close()


def test_of_a_replay_the_replay_is_paused_and_not_the_drawing(page: Recorded, tmp_path: Path) -> None:
    paused: list[bool] = [False]
    on = Bar(
        tmp_path,
        pause=lambda: paused.append(True),
        resume=lambda: paused.append(False),
        paused=lambda: paused[-1],
    )
    look(on.bar)
    on.press("pause")
    assert (state(page)["replay"], state(page)["paused"], on.bar.refresher.paused) == (True, True, False)
    paused.append(False)  # by the user's own code
    on.tick()
    assert state(page)["paused"] is False
    on.press("pause")
    on.press("resume")
    assert paused[-2:] == [True, False]
    on.session.close()


def test_record_and_stop_say_where_and_how_much(page: Recorded, on: Bar) -> None:
    look(on.bar)
    on.press("record", folder="  mine ")
    recording = on.session.recording
    assert recording is not None
    assert recording.path.parent == on.folder / "mine"
    assert on.word == ["done", f"recording to mine/{recording.path.name}"]
    on.quotes(20)
    on.tick(1.0)
    said = state(page)["recording"]
    assert (said["state"], said["path"], said["error"]) == ("recording", f"mine/{recording.path.name}", None)
    assert said["free_mb"] > 0

    on.press("stop")
    assert on.word == ["done", f"recorded 20 rows to mine/{recording.path.name}"]
    on.tick(1.0)
    assert state(page)["recording"] is None
    on.press("record", folder="")
    assert (on.folder / "captures").is_dir()


def test_export_says_how_many_files_and_where(page: Recorded, on: Bar) -> None:
    on.quotes(3)
    look(on.bar)
    on.press("export")
    assert on.word == ["done", "exported 7 files to exports"]
    assert len(fxlive.read_export(on.folder / "exports" / "market-data.parquet")) == 3


def test_what_does_not_work_is_said_in_the_bar_and_the_next_press_works(page: Recorded, on: Bar) -> None:
    look(on.bar)
    (on.folder / "file").write_text("in the way")
    for action in ("record", "export"):
        on.press(action, folder="file/within")
        how, text = on.word
        assert how == "failed"
        assert text.startswith(f"could not {action}: ")
        assert text.endswith("Choose another folder.")
    assert page.news()[-1].content["s"]["work"].keys() == {"record", "export"}
    on.press("export", folder="exports")
    assert on.word[0] == "done"


def test_an_action_shows_that_it_is_at_work_and_is_not_begun_twice(page: Recorded, tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()
    exports = []

    def slow(folder: str) -> dict[str, Path]:
        exports.append(folder)
        begun.set()
        go_on.wait(10)
        raise CaptureError("The disk is full.")

    on = Bar(tmp_path, export=slow)
    look(on.bar)
    worker = threading.Thread(target=on.bar.act, args=("export", {"folder": "a"}))
    worker.start()
    assert begun.wait(10)
    on.tick()
    assert state(page)["work"]["export"][1:] == ["busy", "exporting"]
    on.press("export", folder="b")
    on.press("pause")  # the others work meanwhile
    assert on.word[0] == "done"
    go_on.set()
    worker.join()
    on.tick()
    assert state(page)["work"]["export"][1:] == ["failed", "could not export: The disk is full."]
    assert exports == ["a"]
    on.session.close()


def test_reconnect_says_when_it_is_back_or_why_not(page: Recorded, tmp_path: Path) -> None:
    def back() -> None:
        on.pipeline.lost(START_US, "asked for")
        on.pipeline.connected(START_US + 1)

    def refused() -> None:
        on.pipeline.lost(START_US, "asked for")
        on.pipeline.failed(ServerUnavailable("Nobody is there."))

    acts = iter([back, refused])
    on = Bar(tmp_path, reconnect=lambda: next(acts)())
    look(on.bar)
    on.press("reconnect")
    assert on.word == ["done", "connected again"]
    on.press("reconnect")
    assert on.word == ["failed", "could not reconnect: Nobody is there."]
    on.session.close()


def test_what_nobody_offers_cannot_be_pressed(page: Recorded, on: Bar) -> None:
    with pytest.raises(ValueError, match="nothing called 'sell' to do"):
        on.bar.act("sell", {})


def test_the_bar_holds_no_token(page: Recorded, on: Bar) -> None:
    on.pipeline.feed.url = "wss://me:hush@fx.example/api/ws?token=hush"
    look(on.bar)
    on.tick(1.0)
    assert page.answers()[0].content["host"] == "fx.example"
    assert "hush" not in repr([(tick.data, tick.buffers) for tick in page.sent]) + repr(on.bar)

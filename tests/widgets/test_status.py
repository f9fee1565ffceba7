"""The status bar: values shown, how little is sent, and the buttons."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import fxlive
from fxlive.capture.format import layout
from fxlive.capture.writing import recorder as recorder_module
from fxlive.core.background import call
from fxlive.errors import CaptureError, ServerUnavailable
from fxlive.widgets import status
from fxlive.widgets.status import Controls, StatusBar, host_of
from tests.handmade import wait_until
from tests.widgets.kernel_side import ManualRefresher, open_view
from tests.widgets.recording_comm import RecordedPage

START_US = 1_700_000_000_000_000
STAMP = datetime.fromtimestamp(START_US / 1e6, UTC).isoformat()


class Bar:
    """A status bar of a session without a connection. The test sets the clock `now`, in seconds since START_US."""

    def __init__(self, folder: Path, **controls: Any) -> None:
        self.now = 0.0
        self.session = fxlive.Session.offline("bar")
        self.pipeline = self.session._pipeline
        self.pipeline._clock = lambda: START_US + int(self.now * 1e6)
        call(self.pipeline.start())
        call(self.pipeline.feed.subscribe({"market-data": {}, "trades": {}}))
        self.pipeline.connected(START_US)
        standard = vars(self.session._controls())
        self.widget = StatusBar(
            self.pipeline,
            Controls(**(standard | controls)),
            session="s",
            name="bar",
            refresher=ManualRefresher(),
            clock=lambda: self.now,
        )
        self._count = 0
        self.folder = folder

    def quotes(self, count: int, late_ms: float = 5.0, **data: Any) -> None:
        """Receive quotes now whose timestamp is `late_ms` milliseconds earlier."""
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
        self.widget.refresher.tick()

    def press(self, action: str, **request: Any) -> None:
        self.widget.act(action, request)
        self.tick()

    @property
    def outcome(self) -> list[Any]:
        """State and text of the last action."""
        return max(self.widget._outcomes.values())[1:]


@pytest.fixture
def bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bar]:
    monkeypatch.chdir(tmp_path)
    bar = Bar(tmp_path)
    yield bar
    bar.session.close()


def state(page: RecordedPage) -> dict[str, Any]:
    """The current values of a view, from all messages so far."""
    values: dict[str, Any] = {}
    for part in page.parts():
        values |= part.content.get("s", {})
    return values


def test_the_bar_shows_the_same_as_health(page: RecordedPage, bar: Bar) -> None:
    bar.quotes(90, late_ms=5.0)
    bar.quotes(10, late_ms=45.0, new_field=1.0)
    bar.pipeline.feed.put(b"not JSON", at=START_US)  # type: ignore[attr-defined]
    trade = {"type": "trade", "channel": "trades", "timestamp": STAMP, "id": "t"}
    frame = json.dumps({**trade, "data": {"executionId": "e", "symbol": "EURUSD"}}).encode()
    bar.pipeline.feed.put(frame, frame, at=START_US)  # type: ignore[attr-defined]
    bar.now = 4.0
    open_view(bar.widget)

    shown, health = state(page), bar.session.health()
    names = ("state", "messages", "rejected", "duplicates", "dropped")
    assert [shown[name] for name in names] == [getattr(health, name) for name in names] == ["connected", 101, 1, 1, 0]
    assert shown["drift"] == 1
    assert (shown["rate_per_s"], shown["connected_s"]) == (round(health.rate_per_s, 1), 4)
    assert (shown["p50_ms"], shown["p99_ms"]) == (round(health.latency_p50_ms, 1), round(health.latency_p99_ms, 1))
    assert (shown["p50_ms"], shown["p99_ms"]) == (5.0, 45.0)
    assert shown["drift_names"] == "market-data: new_field"
    assert (shown["gaps"], shown["gap"], shown["stale"], shown["recording"], shown["error"]) == (
        0,
        None,
        [],
        None,
        None,
    )


def test_counters_are_read_once_a_second_and_only_changed_values_are_sent(
    page: RecordedPage, bar: Bar, monkeypatch: pytest.MonkeyPatch
) -> None:
    bar.quotes(10)
    open_view(bar.widget)
    reads = []
    latency = status.latency_ms
    monkeypatch.setattr(status, "latency_ms", lambda pipeline: reads.append(1) or latency(pipeline))
    for _ in range(30):
        bar.quotes(5)
        bar.tick(0.1)
    assert 2 <= len(reads) <= 4
    updates = page.updates()
    assert len(updates) == len(reads)
    assert all(update.content.keys() == {"s"} for update in updates)
    assert all(update.content["s"].keys() <= {"messages", "rate_per_s", "connected_s"} for update in updates)
    assert max(tick.size for tick in page.ticks[1:]) < 250

    bar.tick(1.0)
    before = len(page.ticks)
    bar.tick(0.05)
    assert len(page.ticks) == before


def test_a_change_of_state_shows_at_once_with_its_gap(page: RecordedPage, bar: Bar) -> None:
    open_view(bar.widget)
    assert page.replies()[0].content["badge"]["text"] == "connected"
    bar.now = 0.3
    bar.pipeline.lost(START_US + 300_000, "the server hung up")
    bar.tick()
    content = page.updates()[-1].content
    assert (content["badge"], content["s"]["state"]) == (
        {"state": "disconnected", "since": None, "why": None, "text": "reconnecting"},
        "reconnecting",
    )
    bar.tick(12.0)
    assert state(page)["gap"] == {
        "start": START_US / 1000 + 300,
        "lasts": True,
        "s": 12,
        "why": "the server hung up",
    }
    assert (state(page)["gaps"], state(page)["connected_s"]) == (1, None)
    bar.pipeline.connected(START_US + 12_500_000)
    bar.tick()
    assert (state(page)["gap"]["lasts"], state(page)["gap"]["s"]) == (False, 12.2)


def test_a_failed_session_shows_its_error_and_a_closed_one_its_state(page: RecordedPage, bar: Bar) -> None:
    open_view(bar.widget)
    bar.pipeline.failed(ServerUnavailable("Nobody is there."))
    bar.tick()
    content = page.updates()[-1].content
    assert (content["badge"]["state"], content["s"]["error"]) == ("failed", "Nobody is there.")
    bar.press("record")
    assert bar.outcome[0] == "failed"
    assert "could not record: The session has failed: Nobody is there." in bar.outcome[1]
    bar.press("close")
    assert bar.outcome == ["done", "closed; data received so far stays readable"]
    assert page.updates()[-1].content["badge"]["text"] == "closed"


def test_a_closed_session_has_no_connection_time(page: RecordedPage, bar: Bar) -> None:
    open_view(bar.widget)
    bar.tick(5.0)
    assert state(page)["connected_s"] == 5
    bar.press("close")
    assert (state(page)["state"], state(page)["connected_s"]) == ("closed", None)
    assert bar.session.health().connected_s is None


def test_a_stale_channel_is_named(page: RecordedPage, bar: Bar) -> None:
    bar.quotes(1)
    open_view(bar.widget)
    bar.tick(11.0)
    assert state(page)["stale"] == ["market-data"]
    bar.quotes(1)
    bar.tick(1.0)
    assert state(page)["stale"] == []


def test_a_second_view_gets_the_values_last_sent_to_the_first(page: RecordedPage, bar: Bar) -> None:
    open_view(bar.widget, "a")
    for _ in range(3):
        bar.quotes(3)
        bar.tick(1.0)
    values = state(page)
    bar.quotes(3)
    bar.now += 0.5
    open_view(bar.widget, "b")
    assert page.replies()[-1].content["s"] == values
    bar.tick(1.0)
    assert page.updates()[-1].content["s"]["messages"] == 12


def test_only_host_and_port_of_a_url_are_shown() -> None:
    for url in ("wss://fx.example:8443/api/ws?token=secret#secret", "wss://me:secret@fx.example:8443/secret"):
        assert host_of(url) == "fx.example:8443"
    assert host_of("wss://[::1]:80/x") == "[::1]:80"


def test_pausing_stops_the_updates_of_other_widgets_but_not_of_the_bar(page: RecordedPage, bar: Bar) -> None:
    chart = bar.session.metrics_chart()
    open_view(bar.widget)
    chart.refresher = bar.widget.refresher
    open_view(chart)
    bar.press("pause")
    assert (state(page)["paused"], bar.outcome) == (True, ["done", "charts are paused, data keeps coming"])

    bar.quotes(7)
    message = {"type": "system", "channel": "system", "timestamp": STAMP, "data": {"status": "DOWN"}}
    bar.pipeline.feed.put(json.dumps(message).encode(), at=START_US)  # type: ignore[attr-defined]
    bar.tick(1.0)
    assert state(page)["messages"] == 8
    assert [part.key for part in page.updates() if "system" in part.content] == []

    bar.press("resume")
    bar.tick(0.1)
    assert state(page)["paused"] is False
    systems = [part.content["system"] for part in page.updates() if "system" in part.content]
    assert [system["chips"][0]["status"] for system in systems] == ["DOWN"]
    chart.close()


def test_for_a_replay_the_button_pauses_the_replay_and_not_the_widgets(page: RecordedPage, tmp_path: Path) -> None:
    paused: list[bool] = [False]
    bar = Bar(
        tmp_path,
        pause=lambda: paused.append(True),
        resume=lambda: paused.append(False),
        paused=lambda: paused[-1],
    )
    open_view(bar.widget)
    bar.press("pause")
    assert (state(page)["replay"], state(page)["paused"], bar.widget.refresher.paused) == (True, True, False)
    paused.append(False)  # by the user's own code
    bar.tick()
    assert state(page)["paused"] is False
    bar.press("pause")
    bar.press("resume")
    assert paused[-2:] == [True, False]
    bar.session.close()


def test_record_and_stop_report_folder_and_rows(page: RecordedPage, bar: Bar) -> None:
    open_view(bar.widget)
    bar.press("record", folder="  mine ")
    recording = bar.session.recording
    assert recording is not None
    assert recording.path.parent == bar.folder / "mine"
    assert bar.outcome == ["done", f"recording to mine/{recording.path.name}"]
    bar.quotes(20)
    bar.tick(1.0)
    shown = state(page)["recording"]
    assert (shown["state"], shown["path"], shown["error"]) == ("recording", f"mine/{recording.path.name}", None)
    assert shown["free_mb"] > 0

    bar.press("stop")
    assert bar.outcome == ["done", f"recorded 20 rows to mine/{recording.path.name}"]
    bar.tick(1.0)
    assert state(page)["recording"] is None
    bar.press("record", folder="")
    assert (bar.folder / "captures").is_dir()


def test_export_reports_the_number_of_files_and_the_folder(page: RecordedPage, bar: Bar) -> None:
    bar.quotes(3)
    open_view(bar.widget)
    bar.press("export")
    assert bar.outcome == ["done", "exported 7 files to exports"]
    assert len(fxlive.read_export(bar.folder / "exports" / "market-data.parquet")) == 3


def test_a_failed_action_is_reported_and_the_next_one_works(page: RecordedPage, bar: Bar) -> None:
    open_view(bar.widget)
    (bar.folder / "file").write_text("in the way")
    for action in ("record", "export"):
        bar.press(action, folder="file/within")
        outcome, text = bar.outcome
        assert outcome == "failed"
        assert text.startswith(f"could not {action}: ")
        assert text.endswith("Choose another folder.")
    assert page.updates()[-1].content["s"]["outcomes"].keys() == {"record", "export"}
    bar.press("export", folder="exports")
    assert bar.outcome[0] == "done"


def test_a_running_action_is_shown_as_busy_and_not_started_twice(page: RecordedPage, tmp_path: Path) -> None:
    started, finish = threading.Event(), threading.Event()
    exports = []

    def slow(folder: str) -> dict[str, Path]:
        exports.append(folder)
        started.set()
        finish.wait(60)
        raise CaptureError("The disk is full.")

    bar = Bar(tmp_path, export=slow)
    open_view(bar.widget)
    worker = threading.Thread(target=bar.widget.act, args=("export", {"folder": "a"}))
    worker.start()
    assert started.wait(60)
    bar.tick()
    assert state(page)["outcomes"]["export"][1:] == ["busy", "exporting"]
    bar.press("export", folder="b")
    bar.press("pause")  # other actions work meanwhile
    assert bar.outcome[0] == "done"
    finish.set()
    worker.join()
    bar.tick()
    assert state(page)["outcomes"]["export"][1:] == ["failed", "could not export: The disk is full."]
    assert exports == ["a"]
    bar.session.close()


def test_reconnect_reports_success_or_the_reason_of_failure(page: RecordedPage, tmp_path: Path) -> None:
    def back() -> None:
        bar.pipeline.lost(START_US, "asked for")
        bar.pipeline.connected(START_US + 1)

    def refused() -> None:
        bar.pipeline.lost(START_US, "asked for")
        bar.pipeline.failed(ServerUnavailable("Nobody is there."))

    acts = iter([back, refused])
    bar = Bar(tmp_path, reconnect=lambda: next(acts)())
    open_view(bar.widget)
    bar.press("reconnect")
    assert bar.outcome == ["done", "connected again"]
    bar.press("reconnect")
    assert bar.outcome == ["failed", "could not reconnect: Nobody is there."]
    bar.session.close()


def test_an_unknown_action_is_an_error(page: RecordedPage, bar: Bar) -> None:
    with pytest.raises(ValueError, match="unknown action 'sell'"):
        bar.widget.act("sell", {})


def test_the_bar_contains_no_token(page: RecordedPage, bar: Bar) -> None:
    bar.pipeline.feed.url = "wss://me:hush@fx.example/api/ws?token=hush"
    open_view(bar.widget)
    bar.tick(1.0)
    assert page.replies()[0].content["host"] == "fx.example"
    assert "hush" not in repr([(tick.data, tick.buffers) for tick in page.sent]) + repr(bar.widget)


def test_the_bar_names_a_recorded_file_that_has_vanished(
    page: RecordedPage, bar: Bar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "CHECK_PARTS_EVERY_S", 0.0)
    open_view(bar.widget)
    bar.press("record", folder="mine")
    recording = bar.session.recording
    assert recording is not None
    bar.quotes(20)
    wait_until(lambda: recording.status.rows == 20)
    [part] = layout.parts(recording.path)
    part.file.unlink()
    wait_until(lambda: recording.status.vanished)
    bar.tick(1.0)
    shown = state(page)["recording"]
    assert (shown["state"], shown["vanished"], shown["rows"]) == ("recording", 20, 0)
    assert part.file.name in shown["error"]
    bar.press("stop")
    assert "20 rows vanished" in bar.outcome[1]

"""A replay has the frames, order, timing and clock of the recorded session, and can be paused and moved by seek."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import fxlive
from fxlive.capture.format import layout
from fxlive.capture.reading.files import Files
from fxlive.capture.reading.folder import find_captures
from fxlive.capture.reading.playback import Playback
from fxlive.capture.writing.recorder import Recorder
from fxlive.feeds.replay import ReplayFeed
from fxlive.wire.batch import Batch
from fxlive.wire.protocol import decode
from tests.capture.recordings import DAY_US, MAY_8, message, position, quote, quotes, trade, wait_until
from tests.capture.sessions import SECOND, all_equal, bring, bring_all, equal, lose, path_of, plain, recorded
from tests.handmade import clean_slate  # noqa: F401
from tests.samples import DATA, wire
from tests.sessions.test_capture import wild


def moment(micros: int) -> pd.Timestamp:
    return pd.Timestamp(micros, unit="us", tz="UTC")


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32), sizes=st.lists(st.integers(1, 60), min_size=1, max_size=4))
@example(seed=3376, sizes=[4])  # a repetition confirms an order at the moment at which the connection is lost
def test_a_replayed_session_equals_the_live_one_value_by_value(seed: int, sizes: list[int]) -> None:
    with TemporaryDirectory() as folder:
        with recorded(Path(folder)) as session:
            middle = bring_all(session, wild(seed, 100), *sizes)
            lose(session, middle, middle + SECOND)
            last = bring_all(session, wild(seed + 1, 100), *sizes, at=middle + 2 * SECOND)
            lose(session, last, None)
        with fxlive.replay(path_of(session), speed=None) as replayed:
            replayed.wait_until_end()

            all_equal(replayed.snapshot(), session.snapshot())
            for channel in session.channels:
                equal(replayed.latest(channel), session.latest(channel))
            equal(replayed.rejected(), session.rejected())
            equal(replayed.gaps()[["start", "end", "reason"]], session.gaps()[["start", "end", "reason"]])
            assert replayed.state == "reconnecting"
            assert replayed.health().drift == session.health().drift


def test_a_replay_of_an_unfinished_recording_ends_with_the_rows_at_its_opening(tmp_path: Path) -> None:
    with Recorder(tmp_path, name="default", url="memory:", flush_s=0.02) as recorder:
        recorder.put(quotes(0, 10))
        wait_until(lambda: recorder.status.rows == 10)
        [first] = layout.parts(recorder.path)
        with fxlive.replay(recorder.path, paused=True) as replayed:
            for number in range(10, 30):  # until the part that the replay has listed is merged into a larger one
                recorder.put(quotes(number, number + 1, MAY_8 + 3600 * SECOND))
                recorder.put(decode([trade(100 + number), b"what?"], MAY_8 + 3600 * SECOND, 100 + number))
                wait_until(lambda: not recorder.status.waiting)
            wait_until(lambda: not first.file.exists())
            replayed.seek(replayed.start)
            replayed.resume()
            replayed.wait_until_end(timeout=60)
            assert len(replayed.frame("market-data")) == 10
            assert replayed.frame("trades").empty
            assert replayed.rejected().empty
        with fxlive.replay(recorder.path, speed=None) as replayed:
            replayed.wait_until_end(timeout=60)
            assert len(replayed.frame("market-data")) == 30


class Collecting:
    """A sink that collects the batches in order."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def deliver(self, batch: Batch, *, silently: bool = False) -> None:
        self.batches.append(batch)

    def connected(self, at: int) -> None:
        pass

    def lost(self, at: int, reason: str, channels: tuple[str, ...] | None = None) -> None:
        pass


def played(capture: Path) -> list[Batch]:
    """Return the batches of a replay feed of the capture, at maximum speed."""

    async def play() -> list[Batch]:
        sink = Collecting()
        feed = ReplayFeed(Playback(find_captures(Files(capture))), "x", speed=None, paused=False, max_rows=100)
        await feed.start(sink)  # type: ignore[arg-type]
        await asyncio.wait_for(feed.wait_until_ended(), 60)
        await feed.close()
        return sink.batches

    return asyncio.run(play())


def test_messages_of_all_channels_are_replayed_in_the_order_of_arrival(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fxlive.capture.reading import playback
    from fxlive.feeds import replay

    monkeypatch.setattr(playback, "BLOCK_ROWS", 50)
    monkeypatch.setattr(replay, "MAX_ROWS_AT_ONCE", 20)
    pick = random.Random(3)
    makers = [quote, quote, quote, position, trade, lambda n: message("x", "other", {"n": n}, n)]
    with recorded(tmp_path) as session:
        bring_all(session, [pick.choice(makers)(n) for n in range(2_000)], 7, 40)

    batches = played(path_of(session))

    arrivals = [sorted(int(a) for rows in batch.rows.values() for a in rows.arrival) for batch in batches]
    assert [a for batch in arrivals for a in batch] == list(range(2_000))
    assert max(map(len, arrivals)) <= 20
    assert all(batch.received_at == max(r.received_at[-1] for r in batch.rows.values()) for batch in batches)
    for batch in batches:
        for rows in batch.rows.values():
            assert [m.id for m in rows.messages] == rows.values["id"]


@pytest.fixture(scope="module")
def minute(tmp_path_factory: pytest.TempPathFactory) -> fxlive.Session:
    """A minute with a message each second and a short gap, then an hour without messages, then one more."""
    with recorded(tmp_path_factory.mktemp("captures")) as session:
        for number in range(60):
            frame = position(number) if number % 10 == 9 else quote(number)
            bring(session, frame, at=MAY_8 + number * SECOND)
            if number == 30:
                lose(session, MAY_8 + 30 * SECOND + 1, MAY_8 + 30 * SECOND + 500_000)
        bring(session, quote(60), at=MAY_8 + 3600 * SECOND)
    return session


@pytest.fixture
def paused(minute: fxlive.Session) -> Iterator[fxlive.Replay]:
    with fxlive.replay(path_of(minute), paused=True) as replayed:
        yield replayed


def volumes(session: Any) -> list[float]:
    return sorted([*session.frame("market-data")["volume"], *(session.frame("positions")["ticket"] - 2**62)])


def test_a_replay_that_starts_paused_has_no_rows_and_a_clock_that_stands_still(paused: fxlive.Replay) -> None:
    assert (paused.paused, paused.ended, paused.speed) == (True, False, 1.0)
    assert paused.start == paused.time == moment(MAY_8)
    assert paused.end == moment(MAY_8 + 3600 * SECOND)
    assert volumes(paused) == []
    assert paused.state == "connected"


def test_a_message_is_not_replayed_before_it_is_due(paused: fxlive.Replay) -> None:
    paused.seek(moment(MAY_8 + 59 * SECOND))
    paused.resume()
    paused.speed = 1.0
    assert volumes(paused) == list(range(60))  # the last is an hour away
    assert paused.time < paused.end
    assert not paused.ended

    paused.speed = 100_000.0
    paused.wait_until_end(timeout=60)
    assert volumes(paused) == list(range(61))
    assert paused.time == paused.end


def test_no_message_is_ahead_of_the_clock_at_a_thousand_times_the_speed(minute: fxlive.Session) -> None:
    clocks = []
    with fxlive.replay(path_of(minute), speed=1_000.0, paused=True) as replayed:

        def note(quote: Any) -> None:
            clocks.append((quote.data.volume, replayed.time))

        replayed.on("market-data", note)
        replayed.resume()
        replayed.wait_for("market-data", rows=54, timeout=60)
        replayed.pause()
        wait_until(lambda: len(clocks) == 54)
    assert all(time >= moment(MAY_8 + int(number) * SECOND) for number, time in clocks)  # never early


def test_a_paused_replay_delivers_nothing_until_it_is_resumed(paused: fxlive.Replay) -> None:
    paused.speed = None
    assert volumes(paused) == []
    paused.resume()
    paused.wait_until_end(timeout=60)
    assert volumes(paused) == list(range(61))


@pytest.mark.parametrize("seconds", [30, 5, 45, 0, -10, 59.5, 1_800, 10_000])
def test_after_a_seek_the_frames_are_those_of_that_time(
    paused: fxlive.Replay, minute: fxlive.Session, seconds: float
) -> None:
    capture = fxlive.open_capture(path_of(minute))
    for to in (20, seconds, 40, seconds):
        at = moment(MAY_8 + int(to * SECOND))
        paused.seek(at)
        then = capture.at(max(at, paused.start))

        assert paused.time == min(max(at, paused.start), paused.end)
        for channel in ("market-data", "positions"):
            equal(plain(paused.frame(channel)), plain(then.frame(channel)))
            equal(plain(paused.latest(channel)), plain(then.latest(channel)))
        assert paused.gaps()["start"].tolist() == then.gaps()["start"].tolist()
        assert paused.state == "connected"
    paused.time = moment(MAY_8 + 10 * SECOND)
    assert volumes(paused) == list(range(11))


def test_a_seek_restores_the_window_and_the_open_positions(minute: fxlive.Session) -> None:
    with fxlive.replay(path_of(minute), speed=None, paused=True, max_rows=5) as replayed:
        replayed.seek(moment(MAY_8 + 50 * SECOND))
        assert replayed.frame("market-data")["volume"].tolist() == [45, 46, 47, 48, 50]
        assert (replayed.latest("positions").index - 2**62).tolist() == [9, 19, 29, 39, 49]


def test_callbacks_are_notified_only_of_messages_after_a_seek(
    minute: fxlive.Session,
) -> None:
    heard: list[float] = []
    with fxlive.replay(path_of(minute), speed=1.0) as replayed:
        replayed.on("market-data", lambda quote: heard.append(quote.data.volume))
        wait_until(lambda: heard)
        replayed.seek(moment(MAY_8 + 58 * SECOND))
        replayed.speed = None
        replayed.wait_until_end(timeout=60)
        wait_until(lambda: heard[-1] == 60)
    assert min(heard) < 10
    assert not {20, 40, 57, 58} & set(heard)


def test_concurrent_seeks_all_return_and_one_of_them_takes_effect(paused: fxlive.Replay) -> None:
    with ThreadPoolExecutor(8) as pool:
        for round_ in range(5):
            moments = [MAY_8 + (number * 7 + round_) % 59 * SECOND for number in range(8)]
            list(pool.map(paused.seek, map(moment, moments), timeout=60))
            assert paused.time in map(moment, moments)
            assert volumes(paused) == list(range((paused.time - paused.start) // pd.Timedelta("1s") + 1))
    assert paused._feed.halt == "paused"


def test_a_replay_can_be_closed_during_a_seek(minute: fxlive.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    blocks = Playback.blocks

    def slow(self: Playback, **options: Any) -> Any:
        if options:
            go_on.wait(20)
        yield from blocks(self, **options)

    monkeypatch.setattr(Playback, "blocks", slow)
    replayed = fxlive.replay(path_of(minute), paused=True)
    with ThreadPoolExecutor(1) as pool:
        seeking = pool.submit(replayed.seek, moment(MAY_8 + 20 * SECOND))
        wait_until(lambda: replayed._feed.halt == "seeking")
        assert "seeking" in repr(replayed)
        replayed.close()
        seeking.result(timeout=60)
        go_on.set()
    assert replayed.state == "closed"


def test_staleness_is_measured_by_the_clock_of_the_replay(paused: fxlive.Replay) -> None:
    paused.seek(moment(MAY_8 + 20 * SECOND))
    assert not paused.frame("market-data").attrs["stale"]
    assert paused.health().channels.loc["market-data", "age_s"] == 0.0
    paused.seek(moment(MAY_8 + 80 * SECOND))
    assert paused.frame("market-data").attrs["stale"]
    assert paused.health().channels.loc["market-data", "age_s"] == 22.0


def test_rates_after_a_seek_are_those_recorded_just_before_that_time(paused: fxlive.Replay) -> None:
    for seconds, rate in ((50, 1.0), (5, 1.0), (66, 0.4), (90, 0.0)):
        paused.seek(moment(MAY_8 + seconds * SECOND))
        assert paused.health().rate_per_s == pytest.approx(rate, abs=0.21)


def test_latency_is_that_of_the_recorded_session(tmp_path: Path) -> None:
    with recorded(tmp_path) as session:
        bring(session, quote(0), at=MAY_8 - 30 * 60 * SECOND + 40_000)
    with fxlive.replay(path_of(session), speed=None) as replayed:
        replayed.wait_until_end(timeout=60)
        assert replayed.health().latency_p50_ms == pytest.approx(40.0)
        equal(replayed.frame("market-data")[["received_at"]], session.frame("market-data")[["received_at"]])


def test_callbacks_receive_the_messages_of_the_live_session(tmp_path: Path) -> None:
    frames = [wire(sample) for sample in DATA.values()]
    undocumented = message("news", "other", {"headline": "a", "levels": [1, 2]}, 1)
    messages: dict[str, list[Any]] = {"live": [], "replayed": []}
    with recorded(tmp_path) as session:
        bring(session, undocumented)  # so that its channel exists
        for channel in session.channels:
            session.on(channel, messages["live"].append)
        bring(session, *frames, message("news", "other", {"headline": "b", "levels": [1, 2]}, 2))
        wait_until(lambda: len(messages["live"]) == 8)
    with fxlive.replay(path_of(session), speed=None, paused=True) as replayed:
        for channel in session.channels:
            replayed.on(channel, messages["replayed"].append)
        replayed.resume()
        wait_until(lambda: len(messages["replayed"]) == 9)
    by_id = {m.id: m for m in messages["replayed"]}
    assert [by_id[m.id] for m in messages["live"]] == messages["live"]


def test_a_folder_of_captures_is_replayed_as_one(tmp_path: Path) -> None:
    for number in range(3):
        with recorded(tmp_path) as session:
            frames = [quote(n) for n in range(number * 100, number * 100 + 100)]
            bring_all(session, frames, 10, at=MAY_8 + number * DAY_US)
    with fxlive.replay(tmp_path, speed=None) as replayed:
        replayed.wait_until_end(timeout=60)
        assert replayed.frame("market-data")["volume"].tolist() == list(range(300))
        assert replayed.gaps()["reason"].tolist() == ["not recorded: between two recordings"] * 2
        replayed.pause()
        replayed.seek(moment(MAY_8 + DAY_US + 50_000))
        assert replayed.frame("market-data")["volume"].max() == 129


def test_an_opened_capture_is_replayed_like_its_path(minute: fxlive.Session, tmp_path: Path) -> None:
    for number in range(2):
        with recorded(tmp_path) as session:
            bring_all(session, [quote(n) for n in range(number * 10, number * 10 + 10)], 10, at=MAY_8 + number * DAY_US)
    for path, count in ((path_of(minute), None), (tmp_path, 20)):
        capture = fxlive.open_capture(path)
        with fxlive.replay(capture, speed=None) as replayed:
            played = replayed.wait_until_end(timeout=60).frame("market-data")
        assert len(played) == (count or len(capture.frame("market-data")))
        assert not any(folder.log_only for folder in capture._captures.folders)  # the capture still gives warnings
    with pytest.raises(fxlive.CaptureError, match=r"Replay the whole capture, then call seek"):
        fxlive.replay(capture.at("2014-05-08 12:30"))
    with pytest.raises(fxlive.UnknownOption, match=r"path must be a folder or a URL"):
        fxlive.replay([capture.path])  # type: ignore[arg-type]


def test_a_channel_can_be_unsubscribed_and_filters_are_refused(paused: fxlive.Replay) -> None:
    assert set(paused.subscriptions) == {"market-data", "positions"}
    paused.unsubscribe("positions")
    assert set(paused.subscriptions) == {"market-data"}
    with pytest.raises(fxlive.InvalidSubscription, match=r"frame\('positions', symbol=\.\.\.\)"):
        paused.subscribe("positions", symbol="EURUSD")
    paused.speed = None
    paused.resume()
    paused.wait_until_end(timeout=60)
    assert paused.frame("positions").empty
    paused.subscribe("positions")
    paused.seek(paused.end)
    assert len(paused.frame("positions")) == 6


@pytest.mark.parametrize("speed", [0, -1.0, float("inf"), float("nan"), "fast", True])
def test_an_invalid_speed_is_an_error(minute: fxlive.Session, speed: Any) -> None:
    with pytest.raises(ValueError, match=r"speed must be a number above 0 or None for as fast as possible"):
        fxlive.replay(path_of(minute), speed=speed)


def test_seek_to_a_number_is_an_error(paused: fxlive.Replay) -> None:
    with pytest.raises(fxlive.UnknownOption, match=r"time must be a timestamp with a date.* got 5\."):
        paused.seek(5)


def test_the_timeout_of_a_wait_may_be_a_text_such_as_10ms(paused: fxlive.Replay) -> None:
    with pytest.raises(fxlive.UnknownOption, match=r"timeout must be .* got 'soon'"):
        paused.wait_until_end(timeout="soon")
    with pytest.raises(fxlive.WaitTimeout, match=r"did not end within 0\.01 s"):
        paused.wait_until_end(timeout="10ms")


def test_a_folder_that_is_not_a_capture_is_an_error_and_leaves_no_session(tmp_path: Path) -> None:
    with pytest.raises(fxlive.NotACapture):
        fxlive.replay(tmp_path)
    assert fxlive.sessions() == []


def test_the_repr_and_timeouts_of_a_replay_show_its_state_and_time(paused: fxlive.Replay) -> None:
    paused.seek(moment(MAY_8 + 20 * SECOND))
    assert "paused" in repr(paused)
    assert "2014-05-08 12:30:20" in repr(paused)
    assert fxlive.current() is paused
    with pytest.raises(fxlive.WaitTimeout, match="did not end within"):
        paused.wait_until_end(timeout=0.05)
    with pytest.raises(fxlive.WaitTimeout, match=r"^Timed out after 0\.05 s waiting for .* Session state: paused\.$"):
        paused.wait_for("trades", rows=10_000, timeout=0.05)
    paused.reconnect()
    assert paused.state == "connected"


def test_a_replay_of_an_empty_capture_is_at_its_end(tmp_path: Path) -> None:
    with recorded(tmp_path) as session:
        pass
    with fxlive.replay(path_of(session)) as replayed:
        replayed.wait_until_end(timeout=60)
        assert replayed.start == replayed.end == replayed.time
        assert replayed.frame("trades").empty


def test_a_replay_can_be_recorded_again(minute: fxlive.Session, tmp_path: Path) -> None:
    with fxlive.replay(path_of(minute), speed=None, paused=True) as replayed:
        again = replayed.record(tmp_path)
        replayed.resume()
        replayed.wait_until_end(timeout=60)
    first, second = fxlive.open_capture(path_of(minute)), fxlive.open_capture(again.path)
    for channel in ("market-data", "positions"):
        equal(second.frame(channel), first.frame(channel))
    assert json.loads((again.path / "_manifest.json").read_text())["url"].startswith("capture:")
    assert plain(second.gaps()).equals(plain(first.gaps()))

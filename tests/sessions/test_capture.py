"""A capture, opened: the live session's frames value by value, also while it is written, of parts, and at a moment."""

from __future__ import annotations

import random
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fxlive
from fxlive.capture.writing.recorder import Recorder
from fxlive.core.background import call
from fxlive.entrypoints.demo import demo
from fxlive.wire.channels import CHANNELS
from tests.capture.recordings import (
    DAY_US,
    MAY_8,
    alert,
    message,
    position,
    quote,
    quotes,
    trade,
    wait_until,
)
from tests.capture.sessions import SECOND, all_equal, bring, bring_all, equal, lose, path_of, plain, recorded, started
from tests.handmade import clean_slate  # noqa: F401
from tests.samples import DATA, POSITION, TRADE, stamp, wire
from tests.samples import message as sample
from tests.tables.model import RandomMessages


def utc(micros: int) -> pd.Timestamp:
    return pd.Timestamp(micros, unit="us", tz="UTC")


def wild(seed: int, count: int) -> list[bytes]:
    """Messages of all channels with what the reference leaves open: fields missing, unknown, odd; and broken ones."""
    source, pick = RandomMessages(seed, drift=True, jitter_us=200_000), random.Random(seed)
    frames = []
    for number in range(count):
        which = pick.choice([*DATA, "news", "broken"])
        if which == "broken":
            frames.append(pick.choice([b"what?", b'{"type": 7}', b"\xff\xfe", '{"type": "größe"}'.encode()]))
        elif which == "news":
            fields = {pick.choice("abc"): pick.choice([1, "x", True, [1, {"b": 2}], 2**70]) for _ in range(3)}
            frames.append(message("news", "news/ünicode", fields, number))
        else:
            frames.append(wire(source.message(which, 0.3)[0]))
    return frames


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32), sizes=st.lists(st.integers(1, 60), min_size=1, max_size=4))
def test_an_opened_capture_is_the_live_session_value_by_value(seed: int, sizes: list[int]) -> None:
    with TemporaryDirectory() as folder:
        with recorded(Path(folder)) as session:
            bring_all(session, wild(seed, 200), *sizes)
        capture = fxlive.open_capture(path_of(session))

        assert capture.channels == session.channels
        all_equal(capture.snapshot(), session.snapshot())
        for channel in session.channels:
            equal(capture.frame(channel), session.frame(channel))
            equal(capture.latest(channel), session.latest(channel))
        equal(capture.rejected(), session.rejected())


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> tuple[fxlive.Session, fxlive.Capture]:
    """A session of two thousand messages over a minute, with gaps, and what was recorded of it."""
    frames: list[bytes] = []
    for number in range(0, 2_000, 10):
        frames += [quote(n, mood="new") if n > 1_000 else quote(n) for n in range(number, number + 6)]
        frames += [position(number + 6), trade(number + 7), alert(number + 8), b"broken"]
    with recorded(tmp_path_factory.mktemp("captures")) as session:
        middle = bring_all(session, frames[:1_000], 17, 3)
        lose(session, middle + SECOND, middle + 3 * SECOND)
        last = bring_all(session, frames[1_000:], 17, 3, at=middle + 4 * SECOND)
        lose(session, last + SECOND, None)
    return session, fxlive.open_capture(path_of(session))


@pytest.mark.parametrize(
    "selection",
    [
        {},
        {"last": 5},
        {"last": 0},
        {"last": 10**9},
        {"last": "200ms"},
        {"since": "2014-05-08T12:00:01.500Z"},
        {"since": "2014-05-08T12:00:00.250Z", "until": "2014-05-08T12:00:01.500Z"},
        {"until": "2014-05-08T11:00:00Z"},
        {"since": "2014-05-08T12:00:01Z", "last": "100ms"},
        {"symbol": "EURUSD"},
        {"symbol": ["EURUSD", "NZDUSD"], "last": 3},
        {"symbol": ["GBPUSD"]},
        {"symbol": "NZDUSD", "since": "2014-05-08T12:00:01Z", "last": "100ms"},
        {"mood": "new", "last": 4},
        {"volume": 7.0},
        {"mood": None, "id": "msg_3"},
        {"bid": [1.38003, 1.38004]},
    ],
)
def test_a_selection_finds_the_rows_that_it_finds_live(
    day: tuple[fxlive.Session, fxlive.Capture], selection: dict[str, Any]
) -> None:
    session, capture = day
    found, expected = capture.frame("market_data", **selection), session.frame("market_data", **selection)

    pd.testing.assert_frame_equal(found, expected, check_exact=True, check_freq=False, check_categorical=False)
    assert found["symbol"].dtype == expected["symbol"].dtype  # so that joins work, whatever was read


@pytest.mark.parametrize(
    ("channel", "selection"),
    [
        ("positions", {"type": "buy"}),
        ("positions", {"type": ["Buy", "ünknown", None], "ticket": str(2**62 + 16)}),
        ("trades", {"ticket": ["27", None]}),
        ("market-data", {"received_at": "2014-05-08 12:00"}),
        ("market-data", {"bid": "high"}),
        ("alerts", {"severity": 5}),
        ("alerts", {"actions": "ACKNOWLEDGE"}),
        ("market-data", {"since": "2014-05-08 12:01", "until": "2014-05-08 12:00"}),
    ],
    ids=str,
)
def test_values_are_taken_as_they_are_live(
    day: tuple[fxlive.Session, fxlive.Capture], channel: str, selection: dict[str, Any]
) -> None:
    session, capture = day
    try:
        expected = session.frame(channel, **selection)
    except fxlive.UnknownOption as error:
        with pytest.raises(fxlive.UnknownOption, match=re.escape(str(error))):
            capture.frame(channel, **selection)
    else:
        found = capture.frame(channel, **selection)
        pd.testing.assert_frame_equal(found, expected, check_exact=True, check_freq=False, check_categorical=False)
        assert len(found) > 0 or "received_at" in selection


def test_a_ticket_of_64_bits_is_found(day: tuple[fxlive.Session, fxlive.Capture]) -> None:
    _, capture = day
    assert capture.frame("positions", ticket=2**62 + 16)["ticket"].tolist() == [2**62 + 16]
    assert capture.frame("positions", ticket=10**30).empty


def test_what_is_read_of_a_capture_is_told_by_the_names_that_a_session_uses(
    day: tuple[fxlive.Session, fxlive.Capture], tmp_path: Path
) -> None:
    session, capture = day
    assert list(capture) == session.channels == list(CHANNELS)
    assert capture["market_data"].equals(capture.frame("market-data"))
    with pytest.raises(fxlive.UnknownColumn, match="Did you mean symbol"):
        capture.frame("market-data", symbl="EURUSD")
    with pytest.raises(fxlive.InvalidChannel, match="Did you mean trades"):
        capture.frame("trade")
    with pytest.raises(fxlive.UnknownOption, match="last must be"):
        capture.frame("trades", last="nonsense")
    with pytest.raises(fxlive.UnknownOption, match="time must be"):
        capture.frame("trades", until=utc(MAY_8).timestamp())
    attrs = capture.frame("trades").attrs
    assert (attrs["channel"], attrs["session"], attrs["state"]) == ("trades", "default", "recorded")
    files = capture.export(tmp_path / "out")
    equal(fxlive.read_export(files["alerts"]), session.frame("alerts"))


def test_the_gaps_and_the_rejections_are_those_of_the_session(day: tuple[fxlive.Session, fxlive.Capture]) -> None:
    session, capture = day
    live, found = session.gaps(), capture.gaps()
    assert len(live) == 2
    equal(found[live.columns], live)
    assert found["lost_rows"].isna().all()
    equal(capture.rejected(), session.rejected())
    positions = capture.latest("positions")
    assert positions.attrs["unconfirmed"] == positions.index.tolist()


def test_what_is_open_in_a_capture_says_since_when_it_is_known(tmp_path: Path) -> None:
    session = started()
    bring(session, position(1))
    session.record(tmp_path)
    bring(session, position(2))
    session.close()
    capture = fxlive.open_capture(path_of(session))

    positions = capture.latest("positions")
    assert len(positions) == 1
    assert pd.Timestamp(positions.attrs["known_since"]) == capture.start
    assert "known_since" not in capture.latest("market-data").attrs


def test_a_recording_that_begins_in_an_outage_knows_of_it_at_once_and_two_of_them_tell_it_once(tmp_path: Path) -> None:
    session = started()
    bring(session, quote(1))
    session.record(tmp_path)
    lose(session, MAY_8 + SECOND, None, "the cable")
    first = session.recording
    second = session.record(tmp_path)
    assert first is not None
    wait_until(lambda: not second.status.waiting)

    [gap] = fxlive.open_capture(second.path).gaps().to_dict("records")  # as it is found after a kill
    assert (gap["reason"], gap["start"], gap["channels"]) == ("the cable", utc(MAY_8 + SECOND), ())
    assert pd.isna(gap["end"])

    async def back() -> None:
        session._pipeline.connected(MAY_8 + 2 * SECOND)

    call(back())
    session.close()
    both = fxlive.open_capture(tmp_path).gaps()
    assert both.loc[both["reason"] == "the cable", "end"].tolist() == [utc(MAY_8 + 2 * SECOND)]


def test_a_capture_shows_what_is_in_it_with_its_gaps_drawn(day: tuple[fxlive.Session, fxlive.Capture]) -> None:
    session, capture = day
    text, html = repr(capture), capture._repr_html_()
    for shown in ("market-data", "1,200 rows", "2 gaps", str(path_of(session))):
        assert shown in text
    assert "<td>1,200</td>" in html
    assert "connection lost</title>" in html
    assert html.count("<svg") == 4
    contents = capture.contents()
    assert contents["rows"].sum() == 1_800
    assert contents.loc["market-data", "first_received_at"] == pd.Timestamp(MAY_8, unit="us", tz="UTC")
    assert capture.end is not None
    assert capture.start < capture.end


def test_two_strategies_whose_names_differ_in_case_are_two(tmp_path: Path) -> None:
    with recorded(tmp_path) as session:
        bring(session, *(trade(n, strategyId=name) for n, name in enumerate(["s1", "S1", "S1"])))
    for source in (session, fxlive.open_capture(path_of(session))):
        assert [len(source.frame("trades", strategy_id=name)) for name in ("s1", "S1", ["s1", "S1"])] == [1, 2, 3]


@pytest.mark.parametrize("count", [0, 5_000])
def test_however_many_gaps_there_are_a_capture_draws_each_pixel_once(tmp_path: Path, count: int) -> None:
    with recorded(tmp_path) as session:
        bring(session, quote(1))
        for second in range(count):
            lose(session, MAY_8 + second * SECOND, MAY_8 + second * SECOND + 1, "the cable")
        bring(session, quote(2), at=MAY_8 + 5_000 * SECOND)
    html = fxlive.open_capture(path_of(session))._repr_html_()
    assert html.count("<rect") == (1 if count == 0 else 241)
    assert html.count("the cable, and 20 more") > 100 or count == 0


def test_at_a_moment_a_capture_is_what_the_session_was_then(tmp_path: Path) -> None:
    then: list[tuple[int, dict[str, pd.DataFrame], dict[str, pd.DataFrame], pd.DataFrame]] = []
    with recorded(tmp_path) as session:
        for number in range(6):
            at = MAY_8 + number * SECOND
            bring_all(session, wild(number, 40), 7, step_us=1, at=at)
            latest = {channel: session.latest(channel) for channel in session.channels}
            then.append((at + SECOND // 2, session.snapshot(), latest, session.gaps()))
            lose(session, at + SECOND * 5 // 8, at + SECOND * 3 // 4)
    capture = fxlive.open_capture(path_of(session))

    for at, frames, latest, gaps in then:
        moment = capture.at(pd.Timestamp(at, unit="us", tz="UTC"))
        for channel, frame in frames.items():
            for found, expected in ((moment.frame(channel), frame), (moment.latest(channel), latest[channel])):
                equal(plain(found)[plain(expected).columns], plain(expected))
                assert found.drop(columns=expected.columns).isna().all(axis=None)  # what came later is not there yet
        assert len(moment.gaps()) == len(gaps)
        assert moment.contents()["rows"].sum() == sum(map(len, frames.values()))


def closing(ticket: int, volume: float, at: int, execution: str) -> bytes:
    fields = {"ticket": ticket, "volume": volume, "executionId": execution, "status": "CLOSED"}
    return wire(sample(TRADE, {"timestamp": stamp(at), "id": f"{execution}-{at}"}, **fields))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_positions_that_are_open_are_those_of_the_live_session(seed: int) -> None:
    pick = random.Random(seed)
    frames = []
    for at in range(60):
        ticket, volume = pick.randrange(5), pick.choice([0.0, 0.1, 0.2, 0.5])
        if pick.random() < 0.6:
            fields = {"ticket": ticket, "volume": volume}
            frames.append(wire(sample(POSITION, {"timestamp": stamp(at * 1000), "id": f"p{at}"}, **fields)))
        else:
            frames.append(closing(ticket, volume, at * 1000, f"e{pick.randrange(20)}"))
    with TemporaryDirectory() as folder:
        with recorded(Path(folder)) as session:
            bring_all(session, frames, 1, 4)
        capture = fxlive.open_capture(path_of(session))
        equal(capture.latest("positions"), session.latest("positions"))
        equal(capture.latest("trades"), session.latest("trades"))


def test_a_capture_is_read_while_it_is_being_written(tmp_path: Path) -> None:
    session = started()
    with Recorder(tmp_path, name="default", url="memory:", flush_s=0.02, store=session._pipeline.store) as recorder:
        session._pipeline.recording = recorder
        bring(session, *[quote(n) for n in range(10)])
        capture = fxlive.open_capture(recorder.path)
        assert capture.state == "unfinished"
        assert "still being recorded" in repr(capture)
        for start in range(10, 300, 10):
            bring(session, *[quote(n, mood="new") for n in range(start, start + 10)], at=MAY_8 + start)
            wait_until(lambda: not recorder.status.waiting)
            equal(capture.frame("market-data"), session.frame("market-data"))
    session.close()
    assert capture.state == "recorded"
    equal(capture.frame("market-data"), session.frame("market-data"))
    assert capture.end is not None


def test_parts_that_are_merged_while_they_are_read_cost_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fxlive.capture.format import layout

    monkeypatch.setattr(layout, "MERGED_AT_ONCE", 2)
    with Recorder(tmp_path, name="default", url="memory:", flush_s=0.01) as recorder:
        recorder.put(quotes(0, 10))
        capture = fxlive.open_capture(recorder.path)
        put = 10
        for _ in range(100):
            recorder.put(quotes(put, put + 10))
            put += 10
            found = [int(name[4:]) for name in capture.frame("market-data", last=10**6)["id"]]
            assert found == list(range(len(found)))
            assert capture.latest("market-data").shape[0] <= 2
    assert len(capture.frame("market-data")) == put


def test_a_folder_of_captures_opens_as_one_with_a_gap_between_them(tmp_path: Path) -> None:
    whole = []
    for number in range(3):
        with recorded(tmp_path) as session:
            bring_all(
                session, [quote(n) for n in range(number * 100, number * 100 + 100)], 10, at=MAY_8 + number * DAY_US
            )
            whole.append(session.frame("market-data"))
    capture = fxlive.open_capture(tmp_path)

    equal(capture.frame("market-data"), pd.concat(whole))
    assert capture.latest("market-data")["volume"].tolist() == [298, 299]
    gaps = capture.gaps()
    assert gaps["reason"].str.contains("between two recordings").sum() == len(gaps) == 2
    assert gaps["end"].notna().all()
    assert capture.contents().loc["market-data", "rows"] == 300
    assert capture.frame("market-data", since="2014-05-08T12:00:00.250Z")["volume"].min() == 250


def test_a_column_of_many_codes_has_the_categories_of_the_session_in_their_order(tmp_path: Path) -> None:
    pick = random.Random(1)
    frames = [trade(n, strategyId=f"s{pick.randrange(6_000)}" if n % 7 else None) for n in range(12_000)]
    with recorded(tmp_path) as session:
        for start in range(0, len(frames), 2_000):
            bring(session, *frames[start : start + 2_000], at=MAY_8 + start)
            wait_until(lambda: session.recording and not session.recording.status.waiting)
    capture = fxlive.open_capture(path_of(session))
    equal(capture.frame("trades"), session.frame("trades"))


def test_what_the_tables_cannot_take_in_is_recorded_as_rejected(tmp_path: Path) -> None:
    with recorded(tmp_path) as session:
        for start in range(0, 300, 50):
            bring(session, *[message("x", f"channel-{n}", {"n": n}, n) for n in range(start, start + 50)])
    capture = fxlive.open_capture(path_of(session))
    assert len(capture.rejected()) == 44
    equal(capture.rejected(), session.rejected())
    assert capture.channels == session.channels


def test_what_a_fault_of_ours_costs_the_session_is_recorded_as_it_is_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(batch: object) -> None:
        raise RuntimeError("no memory, say")

    with recorded(tmp_path) as session:
        bring(session, quote(1))
        with monkeypatch.context() as broken:
            broken.setattr(session._pipeline.store, "add", fail)
            bring(session, quote(2), quote(3))
        bring(session, quote(4))
    capture = fxlive.open_capture(path_of(session))
    assert capture.frame("market-data")["volume"].tolist() == [1, 4]
    equal(capture.rejected(), session.rejected())
    assert len(capture.rejected()) == 2


def test_a_capture_of_the_demo_is_the_session(tmp_path: Path) -> None:
    with demo(name="recorded", speed=20.0, record=tmp_path) as session:
        session.wait_for("trades", rows=5, timeout=60)
        session.wait_for("market-data", rows=500, timeout=60)
    capture = fxlive.open_capture(path_of(session))

    all_equal(capture.snapshot(), session.snapshot())
    for channel in CHANNELS:
        equal(capture.latest(channel), session.latest(channel))
    assert capture.gaps().empty

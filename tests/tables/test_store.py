"""The store: tables by channel, rejections, gaps, counters, and access from several threads."""

from __future__ import annotations

import json
import math
import random
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fxlive.tables.counters import Counters
from fxlive.tables.rejections import MAX_REJECTED, MAX_REJECTED_BYTES
from fxlive.tables.store import MAX_UNDOCUMENTED_CHANNELS, Store
from fxlive.wire.batch import Rejection
from tests.samples import COLUMNS, DATA, POSITION, QUOTE, T0, T0_US, TRADE, message, stamp, wire
from tests.tables.rows import Feed

SECOND = 1_000_000


def news(channel: str, **data: Any) -> dict[str, Any]:
    return {"type": "news", "channel": channel, "data": data, "timestamp": T0}


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Make threads switch as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


# Tables.


def test_a_new_store_has_the_tables_of_all_documented_channels() -> None:
    assert {name: list(frame.columns) for name, frame in Store().snapshot().items()} == {
        name: list(columns) for name, columns in COLUMNS.items()
    }


def test_a_message_is_a_row_in_the_table_of_its_channel_and_counted(feed: Feed) -> None:
    feed.send(*DATA.values(), *DATA.values(), QUOTE)

    assert {name: len(frame) for name, frame in feed.store.snapshot().items()} == {
        **dict.fromkeys(DATA, 2),
        "market-data": 3,
    }
    assert {name: c.messages for name, c in feed.store.counters.items()} == {**dict.fromkeys(DATA, 2), "market-data": 3}


def test_the_bounds_of_the_window_apply_to_every_channel() -> None:
    feed = Feed(Store(max_rows=2))
    feed.send(*list(DATA.values()) * 3, *[news("news", n=1)] * 3)

    assert {len(frame) for frame in feed.store.snapshot().values()} == {2}


def test_an_undocumented_channel_gets_a_table_of_its_own(feed: Feed) -> None:
    feed.send(news("news", headline="CPI"))

    assert list(feed.store.tables) == [*DATA, "news"]
    assert feed.store.tables["news"].frame()["headline"].tolist() == ["CPI"]
    assert feed.store.counters["news"].messages == 1
    assert feed.store.drift() == {"news": {"type": "str", "headline": "str"}}


def test_messages_of_too_many_undocumented_channels_are_rejected(feed: Feed) -> None:
    for number in range(MAX_UNDOCUMENTED_CHANNELS):
        feed.send(news(f"c{number}"))
    feed.send(news("one-more", text="é", big=10**30), news("c0"), news("another", text="x" * 100_000))

    assert len(feed.store.tables) == len(DATA) + MAX_UNDOCUMENTED_CHANNELS
    assert len(feed.store.tables["c0"]) == 2
    first, second = feed.store.rejected
    assert json.loads(first.raw) == {**news("one-more", text="é", big=10**30), "id": None}
    assert str(MAX_UNDOCUMENTED_CHANNELS) in first.reason
    assert len(second.raw) == 65_536


def test_later_messages_do_not_change_a_snapshot(feed: Feed) -> None:
    feed.send(*DATA.values())
    before = feed.store.snapshot()
    copies = {name: frame.copy() for name, frame in before.items()}
    for number in range(1_000):
        feed.send(message(QUOTE, symbol=f"S{number}", foo=number))

    for name, frame in before.items():
        pd.testing.assert_frame_equal(frame, copies[name])


@pytest.mark.parametrize("broken", DATA)
def test_an_internal_error_in_one_channel_does_not_affect_the_others(
    feed: Feed, broken: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def append(rows: Any) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(feed.store.tables[broken], "append", append)
    long = message(DATA[broken], {"id": "x" * 100_000})
    batch = feed.send(*DATA.values(), long)
    rest = dict.fromkeys(DATA.keys() - {broken}, 1)

    assert {name: len(frame) for name, frame in feed.store.snapshot().items()} == {**rest, broken: 0}
    assert {name: c.messages for name, c in feed.store.counters.items()} == {**rest, broken: 0}
    assert batch.rows.keys() == rest.keys()  # callbacks must not see the rejected rows
    assert {r.reason for r in feed.store.rejected} == {"internal error: MemoryError: no room"}
    first, second = feed.store.rejected
    assert json.loads(first.raw)["data"] == DATA[broken]["data"]
    assert json.loads(first.raw)["channel"] == broken
    assert len(second.raw) == 65_536
    assert f"Could not store messages of {broken}" in caplog.text


# Rejections, gaps, counters.


def test_the_newest_rejections_are_kept_and_all_are_counted(feed: Feed) -> None:
    for start in range(0, MAX_REJECTED + 500, 500):
        feed.send(*(f"no {number}".encode() for number in range(start, start + 500)), at=T0_US + start)
    frame = feed.store.rejected_frame()

    assert feed.store.rejections == MAX_REJECTED + 500
    assert len(frame) == MAX_REJECTED
    assert frame["raw"].iloc[[0, -1]].tolist() == ["no 500", f"no {MAX_REJECTED + 499}"]
    assert frame.index[0] == pd.Timestamp(T0_US + 500, unit="us", tz="UTC")


def test_rejected_messages_are_bounded_in_bytes_and_all_are_counted(feed: Feed) -> None:
    page = b"<html>" + "é".encode() * 40_000
    for start in range(0, 6_000, 500):
        feed.send(*[b"%d%s" % (number, page) for number in range(start, start + 500)])

    assert feed.store.rejections == 6_000
    assert feed.store.rejected.bytes <= MAX_REJECTED_BYTES
    assert sum(len(rejection.raw) for rejection in feed.store.rejected) > MAX_REJECTED_BYTES / 4
    assert list(feed.store.rejected)[-1].raw.startswith("5999<html>")


def test_an_invalid_message_does_not_affect_the_others_of_its_batch(feed: Feed) -> None:
    feed.send(wire(QUOTE), b"?", wire(message(QUOTE, symbol=[])), wire(TRADE))

    assert len(feed.store.tables["market-data"]) == len(feed.store.tables["trades"]) == 1
    assert next(iter(feed.store.rejected)).raw == "?"
    assert feed.store.rejections == 2


def test_a_gap_is_open_until_it_is_closed(feed: Feed) -> None:
    store = feed.store
    assert store.close_gap(1) is None
    store.open_gap(T0_US, "lost", ("trades", "orders"))
    with_open_gap = store.gaps_frame()
    store.close_gap(T0_US + 2_500_000)
    store.close_gap(T0_US + 9_000_000)
    store.open_gap(T0_US + 10_000_000, "again", ())
    frame = store.gaps_frame()

    assert with_open_gap["end"].isna().tolist() == [True]
    assert frame["duration_s"].iloc[0] == 2.5
    assert math.isnan(frame["duration_s"].iloc[1])
    assert frame["start"].iloc[0] == pd.Timestamp(T0)
    assert frame["reason"].tolist() == ["lost", "again"]
    assert frame["channels"].tolist() == [("trades", "orders"), ()]


@pytest.mark.parametrize("read", [Store.gaps_frame, Store.rejected_frame])
def test_an_empty_report_has_the_columns_and_dtypes_of_a_full_one(
    read: Callable[[Store], pd.DataFrame], feed: Feed
) -> None:
    empty = read(Store())
    feed.send(b"?")
    feed.store.open_gap(T0_US, "lost", ("trades",))
    full = read(feed.store)

    assert len(empty) == 0
    assert list(empty.dtypes.items()) == list(full.dtypes.items())
    assert (empty.index.name, empty.index.dtype) == (full.index.name, full.index.dtype)


def test_the_rate_is_over_the_last_ten_seconds(feed: Feed) -> None:
    counters = feed.store.counters["market-data"]
    assert counters.rate(T0_US) == 0.0
    for second in range(30):
        feed.send(*[QUOTE] * (5 if second < 15 else 20), at=T0_US + second * SECOND)

    assert counters.rate(T0_US + 30 * SECOND - 1) == pytest.approx(20.0, rel=0.15)
    assert counters.rate(T0_US + 100 * SECOND) == 0.0
    assert counters.last_received_at == T0_US + 29 * SECOND


def test_latency_is_from_the_envelopes_timestamp_to_receipt(feed: Feed) -> None:
    feed.send(*(message(QUOTE, {"timestamp": stamp(i * 1_000)}) for i in range(101)), at=T0_US + 100_000)
    counters = feed.store.counters["market-data"]

    assert counters.latency_ms((0.0, 0.5, 1.0)) == [0.0, 50.0, 100.0]
    assert all(math.isnan(q) for q in feed.store.counters["trades"].latency_ms((0.5, 0.99)))


def test_only_the_newest_latencies_are_kept(feed: Feed) -> None:
    rows = feed.send(QUOTE).rows["market-data"]
    counters = Counters()
    counters.count(rows.take([0] * 50_000))

    assert counters.messages == 50_000
    assert len(counters.latencies) < 50_000


# Threads.


def run_together(*jobs: Callable[[], None]) -> None:
    """Run functions on a thread each until all have returned; raise the first failure."""
    failures: list[BaseException] = []

    def guarded(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=[job], daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]


@pytest.mark.usefixtures("eager_threads")
def test_readers_see_complete_rows_of_one_instant_while_the_feed_writes() -> None:
    feed, done = Feed(Store(max_rows=400)), threading.Event()
    pick = random.Random(1)

    def pair(number: int) -> list[dict[str, Any]]:
        text = f"m{number}" if pick.random() < 0.8 or number < 50 else None
        drift = {"foo": number, "bar": f"b{number}"} if number > 700 else {}
        return [
            message(
                QUOTE,
                {"id": text, "timestamp": stamp(number)},
                symbol=f"S{number % 150}",
                bid=number,
                ask=number,
                **drift,
            ),
            message(
                POSITION,
                {"id": f"p{number}", "timestamp": stamp(number)},
                ticket=number % 7,
                volume=number + 1,
                profit=number,
            ),
        ]

    batches, number = [], 0
    while number < 2_500:
        size = pick.choice([1, 1, 3, 40])
        batches.append([wire(m) for n in range(number, number + size) for m in pair(n)])
        number += size

    def write() -> None:
        try:
            for frames in batches:
                feed.send(*frames)
        finally:
            done.set()

    def check(frame: pd.DataFrame) -> int:
        bids = frame["bid"].to_numpy()
        if len(bids) == 0:
            return -1
        assert bids.tolist() == list(range(int(bids[0]), int(bids[0]) + len(bids)))
        assert (frame["ask"].to_numpy() == bids).all()
        assert ((frame.index.as_unit("us").asi8 - T0_US) == bids).all()
        assert frame["symbol"].tolist() == [f"S{int(b) % 150}" for b in bids]
        assert all(pd.isna(text) or text == f"m{int(b)}" for text, b in zip(frame["id"], bids, strict=True))
        if "bar" in frame:
            assert all(pd.isna(t) or t == f"b{int(b)}" for t, b in zip(frame["bar"], bids, strict=True))
        return int(bids[-1])

    def read_frames() -> None:
        last_seen, frames = -1, []
        while not done.is_set():
            frame = feed.store.tables["market-data"].frame()
            newest = check(frame)
            assert newest >= last_seen
            last_seen = newest
            frames = [*frames[-3:], frame]
            for earlier in frames:
                check(earlier)

    def read_everything_else() -> None:
        while not done.is_set():
            snapshot = feed.store.snapshot()
            quotes, positions = snapshot["market-data"], snapshot["positions"]
            assert len(quotes) == len(positions)
            if len(quotes):
                assert check(quotes) == int(positions["profit"].iloc[-1])
            latest = feed.store.tables["positions"].latest()
            assert latest.index.is_monotonic_increasing
            assert (latest["volume"] - 1 == latest["profit"]).all()
            assert (latest.index.to_numpy() == latest["profit"].to_numpy() % 7).all()
            feed.store.drift()
            feed.store.rejected_frame()

    run_together(write, read_frames, read_everything_else)
    assert check(feed.store.tables["market-data"].frame()) == number - 1


@pytest.mark.usefixtures("eager_threads")
def test_counters_can_be_read_while_they_are_written() -> None:
    rows = Feed().send(QUOTE).rows["market-data"]
    counters, done = Counters(), threading.Event()

    def write() -> None:
        try:
            for second in range(4_000):
                later = rows.take([0])
                later.received_at = np.array([T0_US + second * SECOND])
                counters.count(later)
        finally:
            done.set()

    def read() -> None:
        while not done.is_set():
            counters.rate(counters.last_received_at or 0)
            counters.latency_ms((0.5, 0.99))

    run_together(write, read, read)
    assert counters.messages == 4_000


@pytest.mark.usefixtures("eager_threads")
def test_rejections_can_be_read_while_they_are_written() -> None:
    store, done = Store(), threading.Event()

    def write() -> None:
        try:
            for number in range(300):
                store.reject([Rejection(number, "why", str(number))] * 50)
        finally:
            done.set()

    def read() -> None:
        while not done.is_set():
            assert store.rejected_frame()["raw"].notna().all()
            store.gaps_frame()

    run_together(write, read)
    assert store.rejections == 15_000

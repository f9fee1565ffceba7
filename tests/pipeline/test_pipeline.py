"""The pipeline on a memory feed: duplicates, staleness, health, waiting, and its lifecycle."""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from websockets.sync.server import ServerConnection

import fxlive
from fxlive.core.background import call
from fxlive.feeds.memory import MemoryFeed
from fxlive.pipeline.health import health_of, latency_ms
from fxlive.pipeline.pipeline import Pipeline
from fxlive.simulator.fixture import SimulatorFactory
from fxlive.tables.store import Store
from fxlive.wire.channels import CHANNELS
from tests.handmade import (  # noqa: F401
    PATIENCE_S,
    TOKEN,
    acknowledged,
    clean_slate,
    interruptible,
    platform,
    quick,
    quote,
    wait_until,
)

START = 1_700_000_000_000_000


class Bench:
    """A pipeline on a memory feed, with a clock that the test sets (microseconds)."""

    def __init__(self, **options: Any) -> None:
        self.now = START
        self.feed = MemoryFeed()
        self.store = Store()
        self.pipeline = Pipeline(self.feed, self.store, clock=lambda: self.now, **options)
        call(self.pipeline.start())
        call(self.feed.subscribe({"market-data": {}, "trades": {}}))
        self.do(self.pipeline.connected, START)

    def do(self, function: Any, *args: Any) -> None:
        async def run() -> None:
            function(*args)

        call(run())

    def send(self, *messages: str, at: int | None = None) -> None:
        frames = [message.encode() for message in messages]
        self.do(lambda: self.feed.put(*frames, at=self.now if at is None else at))

    @property
    def health(self) -> fxlive.Health:
        return health_of(self.pipeline)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    call(bench.pipeline.close())


def iso(micros: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).isoformat()


# Duplicates (more of them in test_duplicates.py)


def test_duplicates_are_dropped_within_and_across_batches_and_messages_without_id_are_kept(
    bench: Bench,
) -> None:
    without_id = json.dumps({k: v for k, v in json.loads(quote(7)).items() if k != "id"})
    bench.send(quote(1), quote(1), quote(2))
    bench.send(quote(2), quote(3), without_id, without_id)
    assert bench.store.tables["market-data"].frame()["bid"].tolist() == [1.0, 2.0, 3.0, 7.0, 7.0]
    assert bench.health.duplicates == 2
    assert bench.health.channels.loc["market-data", "duplicates"] == 2


def test_ids_that_begin_again_after_a_reconnect_are_rows_and_health_counts_them(bench: Bench) -> None:
    def quotes(first_bid: int) -> list[str]:
        messages = [json.loads(quote(first_bid + number)) for number in range(1000)]
        return [json.dumps({**message, "id": f"msg_{number}"}) for number, message in enumerate(messages)]

    bench.send(*quotes(0))
    bench.do(bench.pipeline.lost, bench.now, "restart of the platform")
    bench.do(bench.pipeline.connected, bench.now)
    bench.send(*quotes(5000))
    bench.send(*quotes(5000))
    table = bench.store.tables["market-data"]
    assert (len(table), table.latest()["bid"].tolist()) == (2000, [5999.0])
    assert (bench.health.reused_ids, bench.health.duplicates, bench.health.rejected) == (1000, 1000, 0)
    assert bench.health.channels.loc["market-data", "reused_ids"] == 1000


def test_the_same_id_on_two_channels_is_two_messages(bench: Bench) -> None:
    trade = {"type": "trade", "channel": "trades", "data": {"executionId": "e", "symbol": "EURUSD"}}
    bench.send(quote(1), json.dumps({**trade, "timestamp": "2024-01-01T00:00:00Z", "id": "q1"}))
    assert (len(bench.store.tables["market-data"]), len(bench.store.tables["trades"])) == (1, 1)


def test_an_internal_error_rejects_the_batch_and_the_next_one_is_stored(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = bench.store.add
    monkeypatch.setattr(bench.store, "add", lambda batch: 1 / 0)
    bench.send(quote(1), quote(2))
    monkeypatch.setattr(bench.store, "add", add)
    bench.send(quote(3))
    rejected = bench.store.rejected_frame()
    assert rejected["reason"].tolist() == ["internal error: ZeroDivisionError: division by zero"] * 2
    assert "q1" in rejected["raw"].iloc[0]
    assert bench.store.tables["market-data"].frame()["bid"].tolist() == [3.0]


# Staleness


def test_a_channel_is_stale_when_it_alone_is_silent_longer_than_its_limit() -> None:
    bench = Bench(stale_after_s={"market-data": 10.0, "orders": 1.0})
    bench.send(quote(1))
    bench.now += 10_000_000
    assert bench.health.stale == ()
    bench.now += 1
    assert bench.health.stale == ("market-data",)  # orders are not subscribed, trades have no limit
    assert bool(bench.health.channels.loc["market-data", "stale"])
    assert bench.pipeline.age_s("market-data") == pytest.approx(10.000001)
    bench.send(quote(2))
    assert bench.health.stale == ()
    bench.now += 11_000_000
    bench.do(bench.pipeline.lost, bench.now, "away")  # a stale channel stays stale while reconnecting
    assert bench.health.stale == ("market-data",)
    bench.do(bench.pipeline.connected, bench.now)  # the silence is counted from here again
    assert bench.health.stale == ()
    bench.now += 11_000_000
    assert bench.health.stale == ("market-data",)
    call(bench.pipeline.close())
    assert bench.health.stale == ()


def test_a_channel_becomes_stale_while_the_connection_is_lost_and_stays_so_after_a_failure(bench: Bench) -> None:
    bench.send(quote(1))
    bench.do(bench.pipeline.lost, bench.now, "away")
    assert bench.health.stale == ()
    bench.now += 10_000_001
    assert bench.health.stale == ("market-data",)
    bench.do(bench.pipeline.failed, fxlive.ConnectionFailed("for good"))
    assert bench.health.stale == ("market-data",)


def test_staleness_shows_in_attrs_and_in_the_repr(fx_simulator: SimulatorFactory) -> None:
    simulator = fx_simulator(speed=20.0)
    with fxlive.connect(simulator.url, simulator.token(), stale_after={"market_data": 0.3}) as session:
        wait_until(lambda: session["market-data"].attrs["stale"] is False and len(session["market-data"]))
        simulator.faults.silence()
        wait_until(lambda: session.health().stale == ("market-data",))
        assert session["market-data"].attrs["stale"] is True
        assert session["trades"].attrs["stale"] is False
        assert "stale" in repr(session)
        assert "<b>stale</b>" in session._repr_html_()
        assert session.state == "connected"


@pytest.mark.usefixtures("quick")
def test_a_stale_channel_triggers_a_reconnect_if_the_session_is_configured_so(fx_simulator: SimulatorFactory) -> None:
    simulator = fx_simulator(speed=20.0)
    options: dict[str, Any] = {"stale_after": {"market-data": 0.5}, "reconnect_when_stale": True}
    with fxlive.connect(simulator.url, simulator.token(), **options) as session:
        session.wait_for("market-data", timeout=PATIENCE_S)
        simulator.faults.silence()
        wait_until(lambda: not session.gaps().empty, "a gap")
        simulator.faults.resume()
        wait_until(lambda: session.health().reconnects >= 1 and session.state == "connected")
        assert session.gaps()["reason"].iloc[0].startswith("market-data was silent for")


# Health


def test_rates_cover_the_last_ten_seconds(bench: Bench) -> None:
    for second in range(20):
        bench.send(quote(2 * second), quote(2 * second + 1), at=START + second * 1_000_000)
    bench.now = START + 20 * 1_000_000
    assert bench.health.rate_per_s == 2.0
    assert bench.health.channels.loc["market-data", "rate_per_s"] == 2.0
    bench.now = START + 25 * 1_000_000  # four of the last nine whole seconds had two messages each
    assert bench.health.rate_per_s == pytest.approx(8 / 9)
    bench.now = START + 60 * 1_000_000
    assert bench.health.rate_per_s == 0.0
    assert bench.health.messages == 40


@pytest.mark.parametrize("offset_s", [-5.0, 0.0, 5.0])
def test_latency_is_measured_on_the_platforms_clock(bench: Bench, offset_s: float) -> None:
    bench.feed.clock_offset_us = int(offset_s * 1e6)
    for number in range(1, 101):  # 1 to 100 ms late
        sent_at = bench.now - number * 1000 + int(offset_s * 1e6)  # on the platform's clock
        bench.send(quote(number, timestamp=iso(sent_at)))
    health = bench.health
    assert health.latency_p50_ms == pytest.approx(50.5, abs=0.1)
    assert health.latency_p99_ms == pytest.approx(99.0, abs=0.1)
    assert health.clock_offset_ms == offset_s * 1000
    assert health.channels.loc["market-data", "latency_p50_ms"] == pytest.approx(50.5, abs=0.1)
    assert math.isnan(health.channels.loc["trades", "latency_p50_ms"])


def test_latency_is_nan_for_timestamps_of_another_year(bench: Bench) -> None:
    bench.send(quote(1))  # of 2024-01-01
    assert math.isnan(bench.health.latency_p50_ms)


@pytest.mark.parametrize(("late_s", "known"), [(0.05, True), (-0.9, True), (-5.0, False), (4000.0, False)])
def test_latency_is_nan_when_it_is_the_difference_of_two_clocks(late_s: float, known: bool) -> None:
    pipeline = Pipeline(MemoryFeed(), Store())
    pipeline.store.counters["trades"].latencies.extend([round(late_s * 1e6)] * 100)
    assert math.isnan(health_of(pipeline).latency_p50_ms) != known
    assert ("nan" in repr(health_of(pipeline)).partition("latency_p50_ms")[2].splitlines()[0]) != known


@pytest.mark.parametrize("ahead_s", [5.0, -5.0, 0.0])
def test_the_clock_offset_is_positive_when_the_platforms_clock_is_ahead(ahead_s: float) -> None:
    def platform_time() -> str:
        return iso(int((time.time() + ahead_s) * 1e6))

    def handler(socket: ServerConnection) -> None:
        for request in socket:
            socket.send(acknowledged(request, timestamp=platform_time()))
            socket.send(quote(1, timestamp=platform_time()))

    began = time.monotonic()
    with platform(handler) as url, fxlive.connect(url, TOKEN, channels=["market-data"]) as session:
        session.wait_for("market-data", timeout=PATIENCE_S)
        health = session.health()
        error_ms = offset_error_ms(session)
        assert health.clock_offset_ms == pytest.approx(ahead_s * 1000, abs=error_ms)
        assert -error_ms <= health.latency_p50_ms <= (time.monotonic() - began) * 1000 + error_ms


def offset_error_ms(session: fxlive.Session) -> float:
    """Return the bound of the clock offset's error: half of the round trip, plus 1 ms of rounding."""
    round_trip_us = session._pipeline.feed._clock_offset.round_trip_us  # type: ignore[attr-defined]
    return round_trip_us / 2000 + 1.0


def test_health_has_totals_and_a_row_per_channel(fx_simulator: SimulatorFactory) -> None:
    simulator = fx_simulator(speed=1.0)  # at a higher speed its clock would be ahead of ours
    began = time.monotonic()
    with fxlive.connect(simulator.url, simulator.token()) as session:
        session.wait_for("market-data", rows=10, timeout=PATIENCE_S)
        simulator.faults.unknown_fields(venue="LD4")
        wait_until(lambda: session.health().drift.get("market-data"))
        health = session.health()
        assert (health.state, health.error, health.reconnects, health.gaps) == ("connected", None, 0, 0)
        assert health.connected_s is not None
        assert health.connected_s > 0
        assert list(health.channels.index) == list(CHANNELS)
        assert health.channels["messages"].sum() == health.messages
        assert (health.channels["rows"] == health.channels["messages"]).all()
        assert health.channels["subscribed"].all()
        assert 0 <= health.channels.loc["market-data", "age_s"] <= time.monotonic() - began
        assert isinstance(health.channels.loc["market-data", "last_received_at"], pd.Timestamp)
        # Both clocks are the same here, but their offset is an estimate.
        assert -offset_error_ms(session) <= health.latency_p50_ms <= health.latency_p99_ms
        assert health.drift["market-data"] == {"venue": "str"}


def test_a_session_shows_state_channels_rates_and_ages() -> None:
    with fxlive.Session.offline("<b>me</b>") as session:
        call(session._pipeline.feed.subscribe({"trades": {}}))
        text, html = repr(session), session._repr_html_()
        assert text.splitlines()[0] == "<fxlive session '<b>me</b>': connected to memory:, 0 messages, 0.0/s>"
        assert "trades" in text.splitlines()[1]
        assert "last message never" in text
        assert "&lt;b&gt;me&lt;/b&gt;" in html
        assert "<b>me</b>" not in html
        assert "<td>trades</td><td>0</td><td>0.0</td><td>never</td>" in html


# Lifecycle


def test_a_gap_opens_with_a_lost_connection_and_ends_with_the_next_one(bench: Bench) -> None:
    bench.do(bench.pipeline.lost, START + 5, "away")
    assert bench.pipeline.state == "reconnecting"
    [gap] = bench.store.gaps
    assert (gap.start, gap.end, gap.reason, gap.channels) == (START + 5, None, "away", ("market-data", "trades"))
    bench.do(bench.pipeline.connected, START + 9)
    assert gap.end == START + 9
    assert (bench.pipeline.state, bench.health.reconnects, bench.health.gaps) == ("connected", 1, 1)


def test_a_pipeline_that_is_closed_stays_closed(bench: Bench) -> None:
    call(bench.pipeline.close())
    call(bench.pipeline.close())
    with pytest.raises(fxlive.SessionClosed):
        call(bench.pipeline.start())
    with pytest.raises(fxlive.SessionClosed):
        call(bench.pipeline.restart())
    bench.do(bench.pipeline.failed, fxlive.ConnectionFailed("too late"))
    assert (bench.pipeline.state, bench.pipeline.error) == ("closed", None)


def test_waiting_on_a_failed_session_raises_its_error(bench: Bench) -> None:
    failure = fxlive.ReconnectsExhausted("no more")
    bench.do(bench.pipeline.failed, failure)
    with pytest.raises(fxlive.ReconnectsExhausted) as raised:
        bench.pipeline.wait_until(lambda: False, PATIENCE_S, "it")
    assert raised.value is failure


@pytest.mark.usefixtures("interruptible")
def test_waiting_can_be_interrupted_when_another_thread_receives_the_signal(bench: Bench) -> None:
    waiting = threading.Event()

    def interrupt() -> None:
        waiting.wait(PATIENCE_S)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        bench.pipeline.wait_until(waiting.set, PATIENCE_S, "it")  # the condition returns None: it never holds


def test_the_latency_of_a_session_covers_all_its_channels() -> None:
    pipeline = Pipeline(MemoryFeed(), Store())
    for channel, late_us in (("trades", 45_000), ("market-data", 5_000)):
        pipeline.store.counters[channel].latencies.extend([late_us] * 9_000)
    health = health_of(pipeline)
    assert (health.latency_p50_ms, health.latency_p99_ms) == (25.0, 45.0)
    assert latency_ms(pipeline) == (25.0, 45.0)
    assert health.channels.loc["market-data", "latency_p99_ms"] == 5.0

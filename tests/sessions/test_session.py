"""Sessions as users see them: subscriptions, the current session, names, consistent frames, and a busy interpreter."""

from __future__ import annotations

import asyncio
import ctypes
import gzip
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from websockets.sync.server import ServerConnection

import fxlive
from fxlive.core.background import call
from fxlive.feeds.pacing import MAX_SUBSCRIPTIONS
from fxlive.simulator.fixture import SimulatorFactory
from fxlive.wire.channels import CHANNELS
from tests.handmade import TOKEN, acknowledged, clean_slate, platform, quick, wait_until  # noqa: F401

TICKS = Path(__file__).parents[3] / "shared" / "data" / "ticks" / "fxcm-2014-05-08.csv.gz"


# Subscriptions


@contextmanager
def asked_of(**options: Any) -> Iterator[tuple[fxlive.Session, list[dict[str, Any]]]]:
    """Yield a session on a platform that grants everything, and the list of its requests."""
    asked: list[dict[str, Any]] = []

    def handler(socket: ServerConnection) -> None:
        for request in socket:
            asked.append(json.loads(request))
            socket.send(acknowledged(request))

    with platform(handler) as url, fxlive.connect(url, TOKEN, **options) as session:
        yield session, asked


@pytest.mark.parametrize(
    ("channels", "sent"),
    [
        (None, {name: {} for name in CHANNELS}),
        (["trades", "market_data"], {"trades": {}, "market-data": {}}),
        ("positions", {"positions": {}}),
        (
            {"trades": {"symbol": "EURUSD", "strategy_id": ["s1", "s2"]}, "positions": None},
            {"trades": {"symbol": "EURUSD", "strategyId": ["s1", "s2"]}, "positions": {}},
        ),
        (
            {
                "market-data": {"symbol": "EUR/USD"},
                "orders": {"symbol": ["usdjpy", "US500.cash"]},
                "alerts": {"symbol": "a"},
            },
            {
                "market-data": {"symbol": "EURUSD"},
                "orders": {"symbol": ["USDJPY", "US500.cash"]},
                "alerts": {"symbol": "a"},
            },
        ),
        ({"positions": {"unrealized_pnl": 0, "ticket": 1}}, {"positions": {"unrealizedPnL": 0, "ticket": 1}}),
    ],
)  # fmt: skip
def test_channels_are_subscribed_with_their_filters_in_camel_case(channels: Any, sent: dict[str, Any]) -> None:
    with asked_of(channels=channels) as (session, asked):
        assert asked == [{"type": "subscribe", "channels": [{"name": n, "filters": f} for n, f in sent.items()]}]
        assert set(session.subscriptions) == set(sent)


def test_analysis_of_a_channel_that_is_not_subscribed_is_an_error(
    fx_simulator: SimulatorFactory, tmp_path: Path
) -> None:
    simulator = fx_simulator(speed=20.0)
    with fxlive.connect(simulator.url, simulator.token(), channels=["market-data", "trades"]) as session:
        session.wait_for("trades", timeout=60)
        for figures in (session.pnl, session.explain, session.exposure):
            with pytest.raises(
                fxlive.SubscriptionError, match=r"positions is not subscribed.*subscribe\('positions'\)"
            ):
                figures()
        with pytest.raises(fxlive.WaitTimeout, match=r"1 row of orders \(not subscribed\)"):
            session.wait_for("orders", timeout=0.01)
        assert session.performance()["total_trades"] >= 0
        page = session.report(tmp_path / "report.html").read_text(encoding="utf-8")
        assert page.count("positions is not subscribed") == 2  # in the sections P&L and exposure
        assert "Market and feed" in page
        session.subscribe("positions")
        assert session.exposure().totals.notna().any()


def test_a_session_shows_why_it_is_disconnected(fx_simulator: SimulatorFactory) -> None:
    simulator = fx_simulator(speed=20.0)
    with fxlive.connect(simulator.url, simulator.token(), reconnect_attempts=None) as session:
        assert session.health().error is None
        simulator.faults.refuse(503, times=None)
        simulator.faults.drop()
        wait_until(lambda: "503" in (session.health().error or ""))
        assert "is not available (503)" in repr(session)
        assert session.error is None
        simulator.faults.calm()
        session.reconnect()
        wait_until(lambda: session.state == "connected")
        assert session.health().error is None


@pytest.mark.parametrize("awaited", [False, True])
def test_a_failed_connect_leaves_the_open_session_of_that_name_open_and_notes_it_in_the_error(
    fx_simulator: SimulatorFactory, awaited: bool
) -> None:
    simulator = fx_simulator(speed=20.0)
    former = fxlive.connect(simulator.url, simulator.token())
    rows = len(former.wait_for("market-data", timeout=60))

    def connect() -> Any:
        dead = "ws://127.0.0.1:1/api/ws"
        return asyncio.run(fxlive.connect_async(dead, TOKEN)) if awaited else fxlive.connect(dead, TOKEN)

    with pytest.raises(fxlive.ServerUnavailable) as failed:
        connect()
    assert "'default' that was opened before is still open" in failed.value.__notes__[0]
    assert former.state == "connected"
    assert fxlive.current() is former
    former.wait_for("market-data", rows + 1, timeout=60)
    former.close()
    with pytest.raises(fxlive.ServerUnavailable) as alone:
        connect()
    assert not hasattr(alone.value, "__notes__")


def test_a_session_that_was_never_opened_cannot_reconnect() -> None:
    with pytest.raises(fxlive.NoSession, match="never opened"):
        fxlive.Session("ws://127.0.0.1:1/api/ws", TOKEN).reconnect()


def test_subscribe_and_unsubscribe_return_when_they_are_acknowledged() -> None:
    with asked_of(channels=["trades"]) as (session, asked):
        session.subscribe("orders", "market_data", symbol="EURUSD")
        assert [channel for request in asked[1:] for channel in request["channels"]] == [
            {"name": "orders", "filters": {"symbol": "EURUSD"}},
            {"name": "market-data", "filters": {"symbol": "EURUSD"}},
        ]
        session.subscribe("trades", symbol="eur/usd")  # in any notation
        assert asked[-1]["channels"] == [{"name": "trades", "filters": {"symbol": "EURUSD"}}]
        session.subscribe("orders", strategy_id="s")  # other filters for the same channel
        assert session.subscriptions["orders"] == {"strategy_id": "s"}
        session.unsubscribe("trades", "orders")
        assert asked[-1] == {"type": "unsubscribe", "channels": ["trades", "orders"]}
        assert session.subscriptions == {"market-data": {"symbol": "EURUSD"}}
        session.unsubscribe("trades")  # unsubscribed already, so no request is sent
        assert len(asked) == 6


def test_granted_channels_are_subscribed_when_another_of_the_same_call_is_refused(
    fx_simulator: SimulatorFactory,
) -> None:
    token = fx_simulator.token(channels=["market-data", "orders"])
    with fxlive.connect(fx_simulator.url, token, channels=["market-data"]) as session:
        with pytest.raises(fxlive.PermissionDenied):
            session.subscribe("orders", "trades")
        assert set(session.subscriptions) == {"market-data", "orders"}


def test_an_unsubscription_that_is_not_acknowledged_changes_nothing() -> None:
    def deaf_to_unsubscribe(socket: ServerConnection) -> None:
        for request in socket:
            if json.loads(request)["type"] == "subscribe":
                socket.send(acknowledged(request))

    with (
        platform(deaf_to_unsubscribe) as url,
        fxlive.connect(url, TOKEN, channels=["trades"], timeout=3.0) as session,
    ):
        with pytest.raises(fxlive.SubscriptionError, match="did not acknowledge unsubscribe trades"):
            session.unsubscribe("trades")
        assert set(session.subscriptions) == {"trades"}


def test_filters_are_applied_by_the_platform(fx_simulator: SimulatorFactory) -> None:
    with fxlive.connect(
        fx_simulator.url, fx_simulator.token(), channels={"market-data": {"symbol": "USDJPY"}}
    ) as session:
        assert set(session.wait_for("market-data", rows=5, timeout=60)["symbol"]) == {"USDJPY"}
        assert session["trades"].empty


@pytest.mark.parametrize("way", ["connect", "subscribe", "unsubscribe", "frame", "latest", "on", "wait_for"])
def test_an_unknown_channel_is_an_error_that_lists_the_channels(way: str) -> None:
    with pytest.raises(fxlive.InvalidChannel) as wrong:  # noqa: PT012
        if way == "connect":
            fxlive.connect("ws://127.0.0.1:1/api/ws", TOKEN, channels=["trade"])
        else:
            with fxlive.Session.offline() as session:
                getattr(session, way)("trade")
    assert wrong.value.known == tuple(CHANNELS)
    assert str(wrong.value).startswith("Unknown channel 'trade'. Did you mean trades? Use one of: trades, positions,")


def test_a_session_continues_after_a_channel_that_its_token_does_not_permit(
    fx_simulator: SimulatorFactory,
) -> None:
    token = fx_simulator.token(channels=["market-data"])
    with fxlive.connect(fx_simulator.url, token, channels=["market-data"]) as session:
        with pytest.raises(fxlive.PermissionDenied) as refused:
            session.subscribe("trades")
        assert refused.value.channel == "trades"
        assert set(session.subscriptions) == {"market-data"}
        session.wait_for("market-data", rows=3, timeout=60)
    with pytest.raises(fxlive.PermissionDenied):
        fxlive.connect(fx_simulator.url, token)


def test_more_than_50_subscriptions_are_refused_before_they_are_sent(
    fx_simulator: SimulatorFactory,
) -> None:
    with asked_of(channels=["trades"]) as (session, asked):
        feed: Any = session._pipeline.feed
        many = {f"channel-{n}": {} for n in range(MAX_SUBSCRIPTIONS)}
        with pytest.raises(fxlive.TooManySubscriptions, match="That makes 51 subscriptions; the platform allows 50"):
            call(feed.subscribe(many))
        assert len(asked) == 1
        del many["channel-0"]
        call(feed.subscribe(many))
        assert len(session.subscriptions) == 50


def test_at_most_a_hundred_requests_a_second_are_sent() -> None:
    with asked_of(channels=["trades"]) as (session, asked):

        async def ask() -> None:
            for _ in range(100):
                await session._pipeline.feed.subscribe({"orders": {}})

        began = time.monotonic()
        call(ask())
        assert time.monotonic() - began >= 0.9
        assert len(asked) == 101


def test_a_subscription_that_is_not_acknowledged_is_an_error_and_not_listed() -> None:
    def handler(socket: ServerConnection) -> None:
        socket.send(acknowledged(socket.recv()))
        for _ in socket:
            pass

    with platform(handler) as url, fxlive.connect(url, TOKEN, channels=["trades"], timeout=3.0) as session:
        with pytest.raises(fxlive.SubscriptionError, match=r"did not acknowledge subscribe orders within 3 s"):
            session.subscribe("orders")
        assert session.subscriptions == {"trades": {}}


# The current session, names and ways to open


def test_module_functions_act_on_the_current_session(fx_simulator: SimulatorFactory) -> None:
    other = fx_simulator(symbols=["USDJPY"])
    a = fxlive.connect(fx_simulator.url, fx_simulator.token(), name="a", channels=["system"])
    b = fxlive.connect(other.url, other.token(), name="b", channels=["system"])
    assert fxlive.current() is b
    fxlive.subscribe("market-data")
    assert set(fxlive.wait_for("market-data", rows=3, timeout=60)["symbol"]) == {"USDJPY"}
    assert fxlive.use("a") is a
    assert fxlive.sessions() == [b, a]
    assert fxlive.frame("market-data").empty
    assert fxlive.health().state == "connected"
    fxlive.unsubscribe("system")
    assert (a.subscriptions, set(b.subscriptions)) == ({}, {"system", "market-data"})
    assert set(fxlive.snapshot()) == set(CHANNELS)
    assert fxlive.gaps().empty
    assert fxlive.rejected().empty
    fxlive.use(b)
    assert not fxlive.latest("market-data").empty
    fxlive.close()
    assert fxlive.current() is a
    with pytest.raises(fxlive.NoSession, match=r"No session named 'b' is open. Open sessions: a."):
        fxlive.use("b")
    fxlive.close()
    with pytest.raises(
        fxlive.NoSession, match=r"No session is open. Call fxlive.connect\(url, token\), or fxlive.demo"
    ):
        fxlive.frame("trades")


def test_two_sessions_do_not_share_rows_or_gaps(fx_simulator: SimulatorFactory) -> None:
    one, two = fx_simulator(symbols=["EURUSD"], speed=20.0), fx_simulator(symbols=["USDJPY"], speed=20.0)
    with (
        fxlive.connect(one.url, one.token(), name="one") as a,
        fxlive.connect(two.url, two.token(), name="two") as b,
    ):
        assert set(a.wait_for("market-data", rows=20, timeout=60)["symbol"]) == {"EURUSD"}
        assert set(b.wait_for("market-data", rows=20, timeout=60)["symbol"]) == {"USDJPY"}
        one.faults.drop()
        wait_until(lambda: len(a.gaps()) == 1)
        assert b.gaps().empty
        assert (a["trades"].attrs["session"], b["trades"].attrs["session"]) == ("one", "two")


@pytest.mark.parametrize("way", ["connect", "open", "with", "async with"])
def test_opening_a_session_closes_the_open_one_of_the_same_name(fx_simulator: SimulatorFactory, way: str) -> None:
    first = fxlive.connect(fx_simulator.url, fx_simulator.token())
    second = fxlive.Session(fx_simulator.url, fx_simulator.token())

    async def enter() -> None:
        async with second:
            assert fxlive.sessions() == [second]

    if way == "connect":
        second = fxlive.connect(fx_simulator.url, fx_simulator.token())
    elif way == "open":
        second.open()
    elif way == "with":
        second.__enter__()
    else:
        asyncio.run(enter())
    assert first.state == "closed"
    assert fxlive.sessions() == ([] if way == "async with" else [second])
    second.close()
    wait_until(lambda: fx_simulator.default.connections == 0)


def test_sessions_can_be_opened_and_closed_in_blocking_and_async_code(fx_simulator: SimulatorFactory) -> None:
    url, token = fx_simulator.url, fx_simulator.token()
    with fxlive.Session(url, token) as session:
        assert session.state == "connected"
        with pytest.raises(fxlive.FxliveError, match="already open"):
            session.open()
    assert session.state == "closed"
    session.close()
    with pytest.raises(fxlive.SessionClosed, match=r"Open a new one with fxlive.connect"):
        session.open()

    async def main() -> None:
        async with fxlive.Session(url, token) as session:
            await session.subscribe_async("trades", symbol="EURUSD")
            await session.unsubscribe_async("system")
            assert len(await session.wait_for_async("market-data", rows=2)) >= 2
        assert session.state == "closed"
        session = await fxlive.connect_async(url, token)
        assert fxlive.current() is session
        await session.close_async()

    asyncio.run(main())
    with pytest.raises(RuntimeError, match="use its own"), fxlive.Session(url, token) as session:
        raise RuntimeError("use its own")
    assert session.state == "closed"


def test_a_closed_session_can_be_read_but_not_changed(fx_simulator: SimulatorFactory) -> None:
    session = fxlive.connect(fx_simulator.url, fx_simulator.token())
    session.wait_for("market-data", rows=5, timeout=60)
    session.close()
    assert len(session["market_data"]) >= 5
    assert session["market-data"].attrs["state"] == "closed"
    assert repr(session).startswith("<fxlive session 'default': closed, was ws://")
    for act in (session.reconnect, lambda: session.subscribe("trades"), lambda: session.unsubscribe("trades")):
        with pytest.raises(fxlive.SessionClosed):
            act()


def test_a_blocking_method_on_the_background_thread_raises_instead_of_hanging(fx_simulator: SimulatorFactory) -> None:
    with fxlive.connect(fx_simulator.url, fx_simulator.token()) as session:

        async def misuse() -> None:
            for act in (session.close, session.reconnect, lambda: session.subscribe("trades")):
                with pytest.raises(RuntimeError, match="use its async form"):
                    act()

        call(misuse())
        assert session.state == "connected"


def test_wait_for_returns_the_rows_or_raises_the_rows_that_are_missing(fx_simulator: SimulatorFactory) -> None:
    with fxlive.connect(fx_simulator.url, fx_simulator.token(), channels=["system"]) as session:
        with pytest.raises(fxlive.WaitTimeout, match=r"after 0\.05 s .* of trades.* Session state: connected\."):
            session.wait_for("trades", timeout=0.05)
        assert isinstance(session.wait_for("trades", rows=0), pd.DataFrame)
        with pytest.raises(fxlive.UnknownOption, match=r"rows must be a whole number of at least 0, got -1"):
            session.wait_for("trades", rows=-1)


def test_a_later_snapshot_never_has_fewer_rows(fx_simulator: SimulatorFactory) -> None:
    simulator = fx_simulator(speed=None, quotes=30_000, wait_for_subscriber=True)
    with fxlive.connect(simulator.url, simulator.token()) as session:
        seen = []
        while not simulator.wait_finished(0.0):
            frames = session.snapshot()
            # The row counts of all channels at the same time.
            seen.append({name: len(frame) for name, frame in frames.items()})
            assert all(frame.attrs["channel"] == name for name, frame in frames.items())
        assert len(seen) > 3
        for earlier, later in pairwise(seen):
            assert all(earlier[name] <= later[name] for name in earlier)


def test_two_threads_read_while_the_feed_writes(fx_simulator: SimulatorFactory) -> None:
    simulator = fx_simulator(speed=None, quotes=40_000, wait_for_subscriber=True)
    faults: list[BaseException] = []
    with fxlive.connect(simulator.url, simulator.token()) as session:
        done = threading.Event()

        def read() -> None:
            try:
                while not done.is_set():
                    frame = session.frame("market-data", last=500)
                    assert frame["id"].is_unique
                    session.latest("positions")
                    session.snapshot()
                    session.health()
                    repr(session)
            except BaseException as error:
                faults.append(error)

        threads = [threading.Thread(target=read) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            simulator.wait_finished(60)
            session.wait_for("market-data", rows=40_000, timeout=60)
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert faults == []


# A busy interpreter


def hold_the_interpreter(seconds: float) -> None:
    """Hold the interpreter's lock for some time, with a C function called by PyDLL, which does not release it."""
    ctypes.PyDLL(None).usleep(round(seconds * 1e6))


def check_held(frame: pd.DataFrame, seconds: float) -> None:
    """Check that nothing was received for that time, so that the lock really was held."""
    assert frame["received_at"].diff().max().total_seconds() >= 0.9 * seconds


@contextmanager
def simulator_process(*arguments: str) -> Iterator[dict[str, Any]]:
    """Run a simulated platform in another process, which continues while our interpreter is blocked."""
    command = [sys.executable, "-m", "fxlive.simulator", "simulate", "--port", "0", "--json", "--exit-with-parent"]
    with subprocess.Popen([*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(10)


def check_complete(frame: pd.DataFrame) -> None:
    numbers = frame["id"].str.extract(r"(\d+)$")[0].astype(int)
    assert numbers.is_unique
    begun = numbers[numbers > numbers.iloc[:20].max()]
    assert sorted(begun) == list(range(begun.min(), begun.max() + 1))


@pytest.mark.parametrize("seconds", [4.0, 30.0])
def test_a_cell_that_holds_the_interpreter_loses_no_connection_and_no_message(seconds: float) -> None:
    with (
        simulator_process("--speed", "10", "--quotes-only") as platform,
        # A timeout shorter than the pause: no timer of ours may mistake it for a silent platform.
        fxlive.connect(platform["url"], platform["token"], channels=["market-data"], timeout=3.5) as session,
    ):
        session.wait_for("market-data", rows=50, timeout=60)
        before = len(session["market-data"])
        hold_the_interpreter(seconds)
        frame = session.wait_for("market-data", rows=before + int(seconds * 100), timeout=60)
        assert session.state == "connected"
        assert session.gaps().empty
        check_complete(frame)
        check_held(frame, seconds)


@pytest.mark.usefixtures("quick")
def test_a_stalled_session_that_the_platform_has_disconnected_reconnects_and_has_a_gap() -> None:
    code = (
        "import sys\nfrom fxlive.simulator import SimulatorThread\n"
        "sim = SimulatorThread(speed=10.0, ping_interval_s=0.3, ping_timeout_s=0.5)\n"
        "print(sim.url, sim.token(), flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as p:
        assert p.stdout is not None
        assert p.stdin is not None
        url, token = p.stdout.readline().split()
        with fxlive.connect(url, token) as session:
            session.wait_for("market-data", rows=50, timeout=60)
            hold_the_interpreter(3.0)
            wait_until(lambda: session.health().reconnects >= 1 and session.state == "connected")
            gap = session.gaps().iloc[0]
            assert gap["start"] < gap["end"]
            assert set(gap["channels"]) == set(CHANNELS)
            rows = len(session["market-data"])
            assert session.wait_for("market-data", rows=rows + 50, timeout=60)["id"].is_unique
        p.stdin.close()
        p.wait(60)


# The real day


@pytest.mark.skipif(not TICKS.is_file(), reason="The file of real ticks is missing.")
def test_a_real_day_is_received_complete_in_order_and_once_and_its_export_equals_the_file(tmp_path: Path) -> None:
    with gzip.open(TICKS, "rt") as file:
        ticks = pd.read_csv(file)
    ticks["timestamp"] = pd.to_datetime(ticks["timestamp"], utc=True, format="ISO8601").dt.as_unit("us")
    arguments = ["--ticks", str(TICKS), "--speed", "max", "--wait-for-subscriber", "--quotes-only"]
    with simulator_process(*arguments) as platform:
        session = fxlive.connect(platform["url"], platform["token"], channels=["market-data"])
        frame = session.wait_for("market-data", rows=len(ticks), timeout=90)
        health = session.health()
        files = session.export(tmp_path)
        session.close()
    assert len(frame) == len(ticks) == 270_639
    assert (health.duplicates, health.rejected, health.gaps, health.dropped) == (0, 0, 0, 0)
    numbers = frame["id"].str.extract(r"(\d+)$")[0].astype(int)
    assert (numbers.diff().iloc[1:] == 1).all()
    exported = pd.read_parquet(files["market-data"])
    assert (exported["data_timestamp"].to_numpy() == ticks["timestamp"].to_numpy()).all()
    assert (exported["symbol"].astype(str).to_numpy() == ticks["symbol"].to_numpy(str)).all()
    assert (exported["bid"].to_numpy() == ticks["bid"].to_numpy()).all()
    assert (exported["ask"].to_numpy() == ticks["ask"].to_numpy()).all()


def test_a_path_may_start_with_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    session = fxlive.Session.offline()
    recording = session.record("~/captures")
    assert repr(recording).startswith("<fxlive recording: recording: 0 rows")
    recording.stop()
    assert fxlive.open_capture("~/captures").export("~/files", format="zip") != {}
    files = session.export("~/files")
    assert files["trades"] == home / "files" / "trades.parquet"
    assert fxlive.read_export("~/files/trades.parquet").empty
    assert session.report("~/review.html") == home / "review.html"
    assert list(elsewhere.iterdir()) == []
    with pytest.raises(fxlive.CaptureError, match="there is no such file"):
        fxlive.read_export("~/files/nothing.parquet")


def test_health_shows_its_table_of_channels_as_text_and_as_html() -> None:
    health = fxlive.Session.offline().health()
    for shown in (repr(health), health._repr_html_()):
        assert all(words in shown for words in ("callback_errors", "market-data", "latency_p99_ms"))

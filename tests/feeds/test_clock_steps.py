"""The wall clock is set while a session runs: durations come from the monotonic clock."""

from __future__ import annotations

import time

import pytest
from websockets.sync.server import ServerConnection

import fxlive
from tests.handmade import PATIENCE_S, TOKEN, acknowledged, clean_slate, platform, quick, quote, wait_until  # noqa: F401

HOUR_NS = 3_600 * 10**9


class WallClock:
    """The wall clock of this process, which a test can set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.offset_ns = 0
        real = time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda: real() + self.offset_ns)


@pytest.fixture
def wall_clock(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    return WallClock(monkeypatch)


def serve(socket: ServerConnection) -> None:
    """Grant requests, send a quote, and disconnect the first client that says nothing for a while."""
    socket.send(acknowledged(socket.recv()))
    socket.send(quote(1))
    for request in socket:
        socket.send(acknowledged(request))


@pytest.mark.usefixtures("quick", "clean_slate")
@pytest.mark.parametrize("step", [-HOUR_NS, HOUR_NS])
def test_a_gap_has_its_real_length_when_the_wall_clock_was_set_before_it(wall_clock: WallClock, step: int) -> None:
    sockets: list[ServerConnection] = []

    def handler(socket: ServerConnection) -> None:
        sockets.append(socket)
        serve(socket)

    with platform(handler) as url, fxlive.connect(url, TOKEN, channels=["market-data"]) as session:
        session.wait_for("market-data", timeout=PATIENCE_S)
        since = time.monotonic()
        wall_clock.offset_ns = step
        sockets[0].close()
        wait_until(lambda: session.health().reconnects == 1 and session.state == "connected", "the reconnect")
        longest_s = time.monotonic() - since + 1.0
        (gap,) = session.gaps().itertuples()
        assert gap.start <= gap.end
        assert 0 <= gap.duration_s <= longest_s


@pytest.mark.usefixtures("quick", "clean_slate")
@pytest.mark.parametrize("step", [-HOUR_NS, HOUR_NS])
def test_ages_and_staleness_do_not_jump_with_the_wall_clock(wall_clock: WallClock, step: int) -> None:
    with (
        platform(serve) as url,
        fxlive.connect(url, TOKEN, channels=["market-data"], stale_after={"market-data": 1_000.0}) as session,
    ):
        session.wait_for("market-data", timeout=PATIENCE_S)
        since = time.monotonic()
        before = session.health()
        wall_clock.offset_ns = step
        health = session.health()
        elapsed_s = time.monotonic() - since
        age_s = health.channels.loc["market-data", "age_s"]
        assert 0 < age_s <= before.channels.loc["market-data", "age_s"] + elapsed_s + 1.0
        assert health.connected_s is not None
        assert before.connected_s is not None
        assert before.connected_s < health.connected_s <= before.connected_s + elapsed_s + 1.0
        assert health.stale == ()
        assert session["market-data"].attrs["stale"] is False

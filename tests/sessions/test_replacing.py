"""Opening a session replaces the open one of the same name, and only once the new one is connected."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fxlive
from fxlive.feeds.interface import Sink
from fxlive.feeds.memory import MemoryFeed
from fxlive.simulator.fixture import SimulatorFactory
from tests.capture.recordings import MAY_8, quote
from tests.capture.sessions import bring
from tests.handmade import PATIENCE_S, clean_slate, wait_until  # noqa: F401


def test_an_invalid_record_option_does_not_cost_the_open_session(fx_simulator: SimulatorFactory) -> None:
    simulator = fx_simulator(speed=20.0)
    working = fxlive.connect(simulator.url, simulator.token(), name="desk")

    with pytest.raises(fxlive.CaptureError):
        fxlive.connect(simulator.url, simulator.token(), name="desk", record="/dev/null/x")

    assert fxlive.sessions() == [working]
    working.wait_for("market-data", len(working["market-data"]) + 1, timeout=60)


@pytest.mark.parametrize("status", [403, 429])
def test_if_the_platform_may_allow_no_second_connection_the_error_says_to_close_the_first(
    fx_simulator: SimulatorFactory, status: int
) -> None:
    simulator = fx_simulator(speed=20.0)
    working = fxlive.connect(simulator.url, simulator.token(), name="desk")
    simulator.faults.refuse(status)

    with pytest.raises(fxlive.ConnectionFailed) as refused:
        fxlive.connect(simulator.url, simulator.token(), name="desk")

    assert "fxlive.close('desk'), then connect again" in refused.value.__notes__[0]
    assert working.state == "connected"


def test_a_new_session_replaces_the_former_one_and_becomes_current(fx_simulator: SimulatorFactory) -> None:
    simulator = fx_simulator(speed=20.0)
    former = fxlive.connect(simulator.url, simulator.token())
    ended: list[bool] = []
    former.when_closed(lambda: ended.append(True))

    session = fxlive.connect(simulator.url, simulator.token())

    assert (former.state, session.state, ended) == ("closed", "connected", [True])
    assert fxlive.sessions() == [session]


class SlowFeed(MemoryFeed):
    """A feed that calls a function while it starts, then receives two quotes."""

    def __init__(self, meanwhile: Callable[[], Any] = lambda: None) -> None:
        super().__init__()
        self.meanwhile = meanwhile

    async def start(self, sink: Sink) -> None:
        await super().start(sink)
        await asyncio.to_thread(self.meanwhile)
        self.put(quote(1), quote(2), at=MAY_8)


class FeedThatClosesSlowly(MemoryFeed):
    """A feed whose closing waits for an event."""

    def __init__(self) -> None:
        super().__init__()
        self.closing, self.may_close = threading.Event(), threading.Event()

    async def close(self) -> None:
        self.closing.set()
        await asyncio.to_thread(self.may_close.wait, PATIENCE_S)
        await super().close()


def test_a_recording_is_complete_if_the_former_session_closes_while_the_new_one_connects(tmp_path: Path) -> None:
    former = fxlive.Session(feed=MemoryFeed(), name="desk", record=tmp_path / "former").open()

    session = fxlive.Session(feed=SlowFeed(former.close), name="desk", record=tmp_path / "new").open()
    bring(session, quote(3))
    session.close()

    assert fxlive.open_capture(tmp_path / "new").frame("market-data")["volume"].tolist() == [1, 2, 3]


def test_a_recording_has_every_message_though_the_former_session_received_it_too(tmp_path: Path) -> None:
    former = fxlive.Session(feed=MemoryFeed(), name="desk").open()
    bring(former, quote(1), quote(2))

    session = fxlive.Session(feed=SlowFeed(), name="desk", record=tmp_path).open()
    session.close()

    assert former.state == "closed"
    assert fxlive.open_capture(tmp_path).frame("market-data")["volume"].tolist() == [1, 2]


def test_an_error_in_a_function_given_to_when_closed_does_not_concern_the_new_session() -> None:
    former = fxlive.Session(feed=MemoryFeed(), name="desk").open()
    called: list[str] = []
    former.when_closed(lambda: 1 / 0)
    former.when_closed(lambda: called.append("second"))

    session = fxlive.Session(feed=MemoryFeed(), name="desk").open()

    assert (session.state, former.state, called) == ("connected", "closed", ["second"])
    assert fxlive.sessions() == [session]


def test_cancelling_while_the_former_session_closes_leaves_no_session_half_open(tmp_path: Path) -> None:
    feed, called = FeedThatClosesSlowly(), threading.Event()
    former = fxlive.Session(feed=feed, name="desk", record=tmp_path).open()
    former.when_closed(called.set)
    session = fxlive.Session(feed=MemoryFeed(), name="desk", record=tmp_path)

    async def open_and_cancel() -> None:
        opening = asyncio.create_task(session.open_async())
        await asyncio.to_thread(feed.closing.wait, PATIENCE_S)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening

    asyncio.run(open_and_cancel())
    feed.may_close.set()

    assert called.wait(PATIENCE_S)
    wait_until(lambda: session.state == "closed" and fxlive.sessions() == [], "both sessions to be closed")
    for recording in (former.recording, session.recording):
        assert recording is not None
        wait_until(lambda recording=recording: recording.status.state == "stopped", "the recording to stop")


def test_a_session_that_is_only_in_use_does_not_hide_the_open_session_of_its_name() -> None:
    opened = fxlive.Session(feed=MemoryFeed(), name="desk").open()
    unopened = fxlive.use(fxlive.Session(feed=MemoryFeed(), name="desk"))

    session = fxlive.Session(feed=MemoryFeed(), name="desk").open()

    assert opened.state == "closed"
    assert fxlive.use("desk") is session
    assert unopened in fxlive.sessions()
    unopened.close()

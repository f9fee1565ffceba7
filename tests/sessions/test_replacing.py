"""Opening a session replaces the open one of the same name, and only once the new one is connected."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

import fxlive
from fxlive.feeds.interface import Sink
from fxlive.feeds.memory import MemoryFeed
from fxlive.simulator.fixture import SimulatorFactory
from tests.capture.recordings import MAY_8, quote
from tests.capture.sessions import bring
from tests.handmade import TOKEN, clean_slate  # noqa: F401


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


class FeedOfTwo(MemoryFeed):
    """A feed that receives messages while it starts, some of which the former session's feed receives, too."""

    def __init__(self, former: MemoryFeed, both: Sequence[bytes], new_only: Sequence[bytes]) -> None:
        super().__init__()
        self.former, self.both, self.new_only = former, both, new_only

    async def start(self, sink: Sink) -> None:
        await super().start(sink)
        self.put(*self.both, *self.new_only, at=MAY_8)
        self.former.put(*self.both, at=MAY_8)


@pytest.mark.parametrize("awaited", [False, True])
def test_captures_of_a_replaced_session_and_its_successor_hold_each_message_once(tmp_path: Path, awaited: bool) -> None:
    quotes = [quote(number) for number in range(12)]
    former_feed = MemoryFeed()
    former = fxlive.Session(feed=former_feed, name="desk", record=tmp_path).open()
    bring(former, *quotes[:4])

    session = fxlive.Session(feed=FeedOfTwo(former_feed, quotes[4:8], quotes[8:10]), name="desk", record=tmp_path)
    asyncio.run(session.open_async()) if awaited else session.open()
    bring(session, *quotes[10:])
    session.close()

    assert former.state == "closed"
    assert len(list(tmp_path.iterdir())) == 2
    assert sorted(fxlive.open_capture(tmp_path).frame("market-data")["volume"]) == list(range(12))
    assert session["market-data"]["volume"].tolist() == list(range(4, 12))

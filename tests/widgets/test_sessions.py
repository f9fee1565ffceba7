"""What becomes of widgets when their session ends."""

from __future__ import annotations

import gc
import time
import weakref
from typing import Any

import fxlive
from fxlive.simulator.thread import SimulatorThread
from tests.widgets.recording_comm import Recorded


def test_a_session_that_takes_the_place_of_another_frees_what_the_former_has_shown(page: Recorded) -> None:
    with SimulatorThread(speed=50.0, connections_per_minute=None) as platform:
        session: Any = fxlive.connect(platform.url, platform.token(), name="freed")
        chart: Any = session.price_chart("EURUSD", window="7min")
        session.close()
        assert chart.comm is not None  # it shows what it has shown
        store = weakref.ref(session._pipeline.store)
        again = fxlive.connect(platform.url, platform.token(), name="freed")
        assert chart.comm is None
        del session, chart
        ends = time.monotonic() + 20  # the connection's own end takes a moment
        while store() is not None and time.monotonic() < ends:
            gc.collect()
        assert store() is None
        again.close()


def test_a_widget_that_was_closed_is_freed(page: Recorded) -> None:
    session: Any = fxlive.Session.offline("freed too")
    board: Any = session.dashboard()
    parts = [weakref.ref(part) for part in (board, *board.parts.values(), *board.tabs.values())]
    board.close()
    del board
    gc.collect()
    assert [part() for part in parts if part() is not None] == []

"""Widgets and memory after their session was closed or replaced."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import fxlive
from fxlive.simulator.thread import SimulatorThread
from tests.handmade import wait_until
from tests.widgets.recording_comm import RecordedPage


def test_a_replaced_session_is_freed_although_its_charts_were_shown(page: RecordedPage) -> None:
    with SimulatorThread(speed=50.0, connections_per_minute=None) as platform:
        session: Any = fxlive.connect(platform.url, platform.token(), name="freed")
        chart: Any = session.price_chart("EURUSD", window="7min")
        session.close()
        assert chart.comm is not None  # it keeps showing its data
        store = weakref.ref(session._pipeline.store)
        second = fxlive.connect(platform.url, platform.token(), name="freed")
        assert chart.comm is None
        del session, chart

        def is_freed() -> bool:
            gc.collect()
            return store() is None

        wait_until(is_freed)  # the connection may still be closing
        second.close()


def test_a_closed_widget_is_freed(page: RecordedPage) -> None:
    session: Any = fxlive.Session.offline("freed too")
    board: Any = session.dashboard()
    parts = [weakref.ref(part) for part in (board, *board.parts.values(), *board.tabs.values())]
    board.close()
    del board
    gc.collect()
    assert [part() for part in parts if part() is not None] == []

"""A session in a real kernel: await, async for and run in a cell, and data that keeps coming while cells run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fxlive.simulator.thread import SimulatorThread
from tests.kernel.kernel import Kernel, ran


@pytest.fixture
def simulator() -> Iterator[SimulatorThread]:
    with SimulatorThread(speed=50.0, connections_per_minute=None) as simulator:
        yield simulator


def prepare(kernel: Kernel, simulator: SimulatorThread) -> None:
    ran(kernel, f"import fxlive, time, asyncio\nurl, token = {simulator.url!r}, {simulator.token()!r}")


def test_cells_can_await_stream_and_run_coroutines_on_a_session(kernel: Kernel, simulator: SimulatorThread) -> None:
    prepare(kernel, simulator)
    ran(kernel, "session = await fxlive.connect_async(url, token)")
    assert ran(kernel, "session.state").result == "'connected'"

    streamed = "got = []\nasync for quote in session.stream('market-data'):\n    got.append(quote.data.symbol)\n"
    assert ran(kernel, streamed + "    if len(got) == 20: break\nlen(got)").result == "20"

    # blocking a plain cell on a coroutine of one's own, though the notebook's loop runs
    ran(kernel, "async def two():\n    return len(await session.wait_for_async('market-data', rows=2))")
    assert int(ran(kernel, "fxlive.run(two())").result or 0) >= 2
    assert "1" in (ran(kernel, "fxlive.run(asyncio.sleep(0, 1))").result or "")
    assert ran(kernel, "await asyncio.sleep(0, 'still awaits')").result == "'still awaits'"
    told = (
        "told = []\nhandle = session.on('market-data', told.append)\nsession.wait_for('market-data')\ntime.sleep(0.3)"
    )
    assert int(ran(kernel, told + "\nlen(told)").result or 0) > 0
    assert ran(kernel, "await session.close_async()\nsession.state").result == "'closed'"


def test_data_keeps_coming_while_a_cell_sleeps_or_computes(kernel: Kernel, simulator: SimulatorThread) -> None:
    prepare(kernel, simulator)
    ran(kernel, "session = fxlive.connect(url, token)\nsession.wait_for('market-data');")
    count = "before = session.health().messages\n{}\nsession.health().messages - before"
    assert int(ran(kernel, count.format("time.sleep(0.5)")).result or 0) > 50
    busy = "ends = time.monotonic() + 0.5\nwhile time.monotonic() < ends: sum(range(1000))"
    assert int(ran(kernel, count.format(busy)).result or 0) > 20
    assert ran(kernel, "session.gaps().empty").result == "True"


def test_a_connect_cell_can_be_run_twice_and_a_session_shows_itself(kernel: Kernel, simulator: SimulatorThread) -> None:
    prepare(kernel, simulator)
    for _ in range(2):
        ran(kernel, "session = fxlive.connect(url, token)")
    assert ran(kernel, "len(fxlive.sessions())").result == "1"
    ran(kernel, "session.wait_for('market-data');")
    shown = ran(kernel, "session")
    assert "connected to ws://" in shown.data["text/plain"]
    html = shown.data["text/html"]
    assert "<td>market-data</td>" in html
    assert simulator.url in html


def test_nothing_prints_into_a_cell_when_the_platform_ends(kernel: Kernel, simulator: SimulatorThread) -> None:
    prepare(kernel, simulator)
    ran(kernel, "session = fxlive.connect(url, token, reconnect_attempts=1)")
    simulator.close()
    cell = ran(kernel, "while session.state != 'failed': time.sleep(0.05)\nstr(session.error)")
    assert "1 reconnects to" in (cell.result or "") or "1 reconnect" in (cell.result or "")
    printed = [m["content"]["text"] for m in kernel.messages if m["msg_type"] == "stream"]
    assert printed == []


def test_an_interrupted_cell_leaves_a_session_that_goes_on(kernel: Kernel, simulator: SimulatorThread) -> None:
    prepare(kernel, simulator)
    ran(kernel, "session = fxlive.connect(url, token)")
    with pytest.raises(TimeoutError):
        kernel.run("session.wait_for('market-data', rows=10**9, timeout=60)", timeout=1.0)
    assert ran(kernel, "session.state, session.gaps().empty").result == "('connected', True)"


def test_a_kernel_with_a_demo_and_its_widgets_ends_by_itself_when_it_is_shut_down(kernel: Kernel) -> None:
    ran(kernel, "import fxlive\nsession = fxlive.demo()\nfxlive.price_chart('EURUSD')")
    assert kernel.ends_when_asked()

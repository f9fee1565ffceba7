"""A session in a real kernel: await, async for and run() in cells, and data that arrives while cells run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fxlive.simulator.thread import SimulatorThread
from tests.kernel.kernel import Kernel, run_ok


@pytest.fixture
def simulator() -> Iterator[SimulatorThread]:
    with SimulatorThread(speed=50.0, connections_per_minute=None) as simulator:
        yield simulator


def prepare(kernel: Kernel, simulator: SimulatorThread) -> None:
    run_ok(kernel, f"import fxlive, time, asyncio\nurl, token = {simulator.url!r}, {simulator.token()!r}")


def test_cells_can_await_stream_and_run_coroutines_of_a_session(kernel: Kernel, simulator: SimulatorThread) -> None:
    prepare(kernel, simulator)
    run_ok(kernel, "session = await fxlive.connect_async(url, token)")
    assert run_ok(kernel, "session.state").result == "'connected'"

    stream = "symbols = []\nasync for quote in session.stream('market-data'):\n    symbols.append(quote.data.symbol)\n"
    assert run_ok(kernel, stream + "    if len(symbols) == 20: break\nlen(symbols)").result == "20"

    # run() blocks a plain cell on the user's coroutine, although the notebook's event loop is running.
    run_ok(kernel, "async def two():\n    return len(await session.wait_for_async('market-data', rows=2))")
    assert int(run_ok(kernel, "fxlive.run(two())").result or 0) >= 2
    assert "1" in (run_ok(kernel, "fxlive.run(asyncio.sleep(0, 1))").result or "")
    assert run_ok(kernel, "await asyncio.sleep(0, 'still awaits')").result == "'still awaits'"
    run_ok(kernel, "quotes = []\nhandle = session.on('market-data', quotes.append)")
    run_ok(kernel, "while not quotes: time.sleep(0.01)")
    assert run_ok(kernel, "await session.close_async()\nsession.state").result == "'closed'"


def test_data_arrives_while_a_cell_sleeps_or_computes(kernel: Kernel, simulator: SimulatorThread) -> None:
    prepare(kernel, simulator)
    run_ok(kernel, "session = fxlive.connect(url, token)\nsession.wait_for('market-data', timeout=60);")
    # Each cell ends only when messages arrive while it runs.
    wait = "before = session.health().messages\nwhile session.health().messages < before + 100: {}"
    run_ok(kernel, wait.format("time.sleep(0.05)"))
    run_ok(kernel, wait.format("sum(range(100_000))"))
    assert run_ok(kernel, "session.gaps().empty").result == "True"


def test_a_connect_cell_can_be_run_twice_and_a_session_has_a_display(
    kernel: Kernel, simulator: SimulatorThread
) -> None:
    prepare(kernel, simulator)
    for _ in range(2):
        run_ok(kernel, "session = fxlive.connect(url, token)")
    assert run_ok(kernel, "len(fxlive.sessions())").result == "1"
    run_ok(kernel, "session.wait_for('market-data', timeout=60);")
    display = run_ok(kernel, "session")
    assert "connected to ws://" in display.data["text/plain"]
    html = display.data["text/html"]
    assert "<td>market-data</td>" in html
    assert simulator.url in html


def test_nothing_is_printed_into_a_cell_when_the_platform_ends(kernel: Kernel, simulator: SimulatorThread) -> None:
    prepare(kernel, simulator)
    run_ok(kernel, "session = fxlive.connect(url, token, reconnect_attempts=1)")
    simulator.close()
    cell = run_ok(kernel, "while session.state != 'failed': time.sleep(0.05)\nstr(session.error)")
    assert "1 reconnects to" in (cell.result or "") or "1 reconnect" in (cell.result or "")
    printed = [m["content"]["text"] for m in kernel.messages if m["msg_type"] == "stream"]
    assert printed == []


def test_a_session_stays_connected_when_a_cell_is_interrupted(kernel: Kernel, simulator: SimulatorThread) -> None:
    prepare(kernel, simulator)
    run_ok(kernel, "session = fxlive.connect(url, token)")
    with pytest.raises(TimeoutError):
        kernel.run("session.wait_for('market-data', rows=10**9, timeout=60)", timeout=1.0)
    assert run_ok(kernel, "session.state, session.gaps().empty").result == "('connected', True)"


def test_a_kernel_with_a_demo_and_its_widgets_ends_by_itself_on_shutdown(kernel: Kernel) -> None:
    run_ok(kernel, "import fxlive\nsession = fxlive.demo()\nfxlive.price_chart('EURUSD')")
    assert kernel.shuts_down()

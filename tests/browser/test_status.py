"""The status bar and the metric tiles in JupyterLab: buttons work while a cell runs, and tiles are updated."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.jupyterlab import IPYKERNEL6, Notebook

START = "import fxlive, time\nsession = fxlive.demo()\nsession.wait_for('market-data', rows=5);"
BUSY = "time.sleep(3600)"

# A session of a simulator, with functions that deliver messages of the test.
OWN = """import json, time
from datetime import UTC, datetime
import fxlive
from fxlive.core.background import background_loop
from fxlive.wire.protocol import decode
from fxlive.simulator.thread import SimulatorThread
simulator = SimulatorThread()
session = fxlive.connect(simulator.url, simulator.token(), channels=["market-data"], reconnect_attempts=1)
number = iter(range(10**6))
def deliver(channel, **data):
    message = {"type": channel, "channel": channel, "data": data, "timestamp": datetime.now(UTC).isoformat()}
    frame = json.dumps({**message, "id": f"own {next(number)}"}).encode()
    put = lambda: session._pipeline.deliver(decode([frame], time.time_ns() // 1000))
    background_loop().call_soon_threadsafe(put)
def measure(profit, **more):
    metrics = {"totalTrades": 15, "winRate": 66.66, "netProfit": profit, "currentDrawdown": 25.0, **more}
    deliver("analytics", type="PERFORMANCE_UPDATE", period="DAY", metrics=metrics)"""
DEGRADED = """deliver("system", status="DEGRADED", message="<b>Broker</b> is slow",
    components={"database": "HEALTHY", "broker": "DOWN"})
for profit in (150.0, 149.5, -1234567.89):
    measure(profit, sharpeRatio=1.25)"""

TEXT = "selector => document.querySelector(selector)?.textContent ?? ''"
# Position and size of each tile within the widget.
BOXES = """() => [...document.querySelectorAll('.fxlive-tile')].map((tile) => {
    const [at, all] = [tile, tile.closest('.fxlive-tiles')].map((part) => part.getBoundingClientRect());
    return [at.x - all.x, at.y - all.y, at.width, at.height].map(Math.round);
})"""
# Texts that do not fit into their elements.
CUT = """() => [...document.querySelectorAll('[class^=fxlive-tile-], .fxlive-figure-value, .fxlive-bar')]
    .filter((part) => part.scrollWidth > part.clientWidth + 1).map((part) => part.textContent)"""


def text(page: Page, selector: str) -> str:
    result: str = page.evaluate(TEXT, selector)
    return result


def wait_for(page: Page, selector: str, part: str) -> None:
    """Wait until the text of an element contains a part."""
    page.wait_for_function(f"([selector, part]) => ({TEXT})(selector).includes(part)", arg=[selector, part], polling=50)


def wait_for_more_messages(page: Page) -> None:
    """Wait until the bar's number of messages has changed."""
    count = text(page, ".fxlive-figure-more")
    page.wait_for_function(f"count => ({TEXT})('.fxlive-figure-more') !== count", arg=count, polling=50)


def press(page: Page, name: str) -> None:
    page.locator(f".fxlive-status [data-do={name}]:enabled").click()


def confirm(page: Page, folder: str | None = None) -> None:
    """Confirm the bar's question, if given with another folder than it proposes."""
    if folder is not None:
        page.locator(".fxlive-form input").fill(folder)
    page.locator(".fxlive-form button").first.click()


def wait_for_outcome(page: Page, part: str) -> None:
    wait_for(page, ".fxlive-outcome", part)


def drawings(page: Page) -> int:
    count: int = page.evaluate("() => window.drawings")
    return count


def test_every_button_works_while_a_cell_runs_and_shows_its_outcome(notebook: Notebook) -> None:
    page = notebook.page
    notebook.open(START, "session.status_bar()", "session.price_chart('EURUSD')", BUSY)
    for cell in range(3):
        notebook.run_cell(cell)
    wait_for(page, ".fxlive-status .fxlive-badge", "connected")
    assert text(page, ".fxlive-host").startswith("127.0.0.1:")
    page.wait_for_function("() => document.querySelector('.fxlive-plot')?.on", polling=50)
    page.evaluate(
        """() => {
            window.drawings = 0;
            document.querySelector('.fxlive-plot').on('plotly_afterplot', () => { window.drawings += 1; });
        }"""
    )
    page.wait_for_function("() => window.drawings > 1", polling=50)
    notebook.start_cell(3)

    press(page, "pause")
    wait_for_outcome(page, "charts are paused, data keeps coming")
    wait_for(page, ".fxlive-troubles", "Charts are paused; data keeps coming.")
    assert page.locator(".fxlive-chart.fxlive-paused").count() == 1  # the chart says so, too
    wait_for_more_messages(page)
    before = drawings(page)
    wait_for_more_messages(page)
    assert drawings(page) == before
    press(page, "pause")
    wait_for_outcome(page, "charts are resumed")
    page.wait_for_function("before => window.drawings > before", arg=before, polling=50)
    assert page.locator(".fxlive-paused").count() == 0

    captures = notebook.server.root / "captures"
    before_this = set(captures.iterdir()) if captures.exists() else set()
    press(page, "record")
    confirm(page)
    wait_for_outcome(page, "recording to captures/")
    wait_for(page, ".fxlive-recording", "left on the disk")
    press(page, "export")
    confirm(page, "mine/today")
    wait_for_outcome(page, "exported 7 files to mine/today")
    assert len(list((notebook.server.root / "mine" / "today").glob("*.parquet"))) == 7
    (notebook.server.root / "a-file").write_text("in the way")
    press(page, "export")
    page.locator(".fxlive-form input").fill("a-file/within")
    page.keyboard.press("Enter")
    wait_for_outcome(page, "could not export: ")
    assert text(page, ".fxlive-outcome").endswith("Choose another folder.")
    press(page, "record")  # its text is Stop now
    wait_for_outcome(page, "recorded ")
    [capture] = set(captures.iterdir()) - before_this
    assert text(page, ".fxlive-outcome").endswith(f"rows to captures/{capture.name}")
    wait_for(page, ".fxlive-recording", "Not recording")

    press(page, "reconnect")
    wait_for_outcome(page, "connected again")
    wait_for(page, ".fxlive-figure:nth-child(4)", "Gaps1")

    press(page, "close")
    page.locator(".fxlive-form button").last.click()
    assert page.locator(".fxlive-form").is_hidden()
    assert text(page, ".fxlive-status .fxlive-badge") == "connected"
    press(page, "close")
    confirm(page)
    wait_for_outcome(page, "closed; data received so far stays readable")
    wait_for(page, ".fxlive-status .fxlive-badge", "closed")
    assert page.locator(".fxlive-status .fxlive-tools button:enabled").all_inner_texts() == ["Export"]
    assert notebook.is_running(), notebook.all_outputs()

    notebook.interrupt()
    page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.shutdown()")
    page.wait_for_function("() => !jupyterapp.shell.currentWidget.sessionContext.session?.kernel", polling=50)
    press(page, "export")
    confirm(page)
    wait_for_outcome(page, "no kernel")
    wait_for(page, ".fxlive-status .fxlive-badge", "no kernel")


def test_tiles_wait_for_data_follow_it_without_jumping_and_survive_a_reload(notebook: Notebook) -> None:
    page = notebook.page
    show = "display(session.metrics_chart())\nsession.status_bar()"
    end = "simulator.close()"
    notebook.open(OWN, show, DEGRADED, "measure(7.5, sharpeRatio=-2.0)", end)
    notebook.run_cell(0)
    notebook.run_cell(1)
    wait_for(page, ".fxlive-waiting", 'No metrics: "analytics" is not subscribed')
    notebook.run_cell(2)
    wait_for(page, ".fxlive-tile:nth-child(3)", "−1,234,567.89")
    tiles = page.locator(".fxlive-tile").all_inner_texts()
    assert [tile.split("\n")[0] for tile in tiles] == [
        "Total trades",
        "Win rate",
        "Net profit (USD)",
        "Current drawdown (USD)",
        "Sharpe ratio",
    ]
    assert [text(page, f".fxlive-tile:nth-child({n}) .fxlive-tile-value") for n in (1, 2, 4)] == [
        "15",
        "66.7%",
        "25.00",
    ]
    assert page.locator(".fxlive-tile-change").evaluate_all("all => all.map((change) => change.dataset.is)") == [
        *("neither", "neither", "bad", "neither", "neither")
    ]
    assert page.locator(".fxlive-chip").all_inner_texts() == ["system degraded", "database", "broker down"]
    assert text(page, ".fxlive-message") == "<b>Broker</b> is slow"  # shown as text, not as HTML
    line = "() => document.querySelector('.fxlive-tile:nth-child(3) .fxlive-spark-line').getAttribute('d')"
    drawn, boxes = page.evaluate(line), page.evaluate(BOXES)
    assert drawn.count("V") == 2

    notebook.run_cell(3)
    wait_for(page, ".fxlive-tile:nth-child(3)", "7.50▲ 1,234,575.39")
    page.wait_for_function(f"drawn => ({line})() !== drawn", arg=drawn, polling=50)
    assert page.evaluate(BOXES) == boxes  # fewer digits and another sign do not move anything

    columns: dict[int, int] = {}
    page.evaluate("() => jupyterapp.shell.collapseLeft()")
    for width in (1920, 640, 320):
        page.set_viewport_size({"width": width, "height": 1000})
        page.wait_for_function("width => innerWidth === width", arg=width)
        page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        columns[width] = len({box[0] for box in page.evaluate(BOXES)})
        assert page.evaluate(CUT) == [], width
    assert (columns[1920], columns[320]) == (5, 1)
    assert 1 < columns[640] < 5
    page.set_viewport_size({"width": 1280, "height": 1000})

    drawn = page.evaluate(line)
    notebook.save()
    page.goto(page.url.split("?")[0] + "?reset")
    wait_for(page, ".fxlive-tile:nth-child(3)", "7.50▲ 1,234,575.39")
    page.wait_for_function(f"drawn => ({line})().split('V').length === drawn.split('V').length", arg=drawn, polling=50)
    assert page.locator(".fxlive-chip").all_inner_texts() == ["system degraded", "database", "broker down"]
    wait_for(page, ".fxlive-status .fxlive-badge", "connected")
    wait_for(page, ".fxlive-figure:nth-child(9)", "New columns1")

    # The saved notebook has the still pictures.
    def saved() -> str:
        notebook.save()
        return (notebook.server.root / "test.ipynb").read_text()

    stills = ("<b>connected", "<td>Net profit (USD)</td><td>7.50</td>")
    notebook.wait_until(lambda: all(still in saved() for still in stills), "the still pictures")

    notebook.run_cell(4)  # the platform ends
    wait_for(page, ".fxlive-status .fxlive-badge", "failed")
    wait_for(page, ".fxlive-troubles", "reconnect")
    wait_for(page, ".fxlive-tiles .fxlive-badge", "failed")
    enabled: Any = page.locator(".fxlive-status .fxlive-tools button:enabled").all_inner_texts()
    assert enabled == ["Pause", "Export", "Reconnect", "Close"]
    press(page, "reconnect")
    wait_for_outcome(page, "could not reconnect: ")


def test_with_ipykernel_6_a_button_pressed_while_a_cell_runs_works_after_its_end(notebook: Notebook) -> None:
    if not IPYKERNEL6.exists():
        pytest.skip("`make pytest` puts ipykernel 6 beside the newest")
    page = notebook.page
    flag = notebook.server.root / "end-of-the-busy-cell"  # the folder is shared, so the name must be unique
    flag.unlink(missing_ok=True)
    busy = f"from pathlib import Path\nwhile not Path({flag.name!r}).exists():\n    time.sleep(0.02)"
    notebook.open(START, "session.status_bar()", busy, kernel="ipykernel6")
    for cell in range(2):
        notebook.run_cell(cell)
    wait_for(page, ".fxlive-status .fxlive-badge", "connected")
    notebook.start_cell(2)
    press(page, "export")
    confirm(page)
    wait_for_outcome(page, "exporting …")
    wait_for_more_messages(page)
    assert text(page, ".fxlive-outcome") == "exporting …"
    assert page.locator(".fxlive-status [data-do=export]").is_disabled()
    flag.touch()
    wait_for_outcome(page, "exported 7 files to exports")
    assert page.locator(".fxlive-status [data-do=export]").is_enabled()

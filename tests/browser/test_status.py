"""The status bar and the metric tiles in JupyterLab: buttons do what they say while a cell runs, and tiles move."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.jupyterlab import IPYKERNEL6, Notebook
from tests.handmade import wait_until

START = "import fxlive, time\nsession = fxlive.demo()\nsession.wait_for('market-data', rows=5);"
BUSY = "time.sleep(90)"

# A platform of the test's own, and what it says of its metrics and of itself.
OWN = """import json, time
from datetime import UTC, datetime
import fxlive
from fxlive.core.background import background_loop
from fxlive.wire.protocol import decode
from fxlive.simulator.thread import SimulatorThread
simulator = SimulatorThread()
session = fxlive.connect(simulator.url, simulator.token(), channels=["market-data"], reconnect_attempts=1)
number = iter(range(10**6))
def say(channel, **data):
    message = {"type": channel, "channel": channel, "data": data, "timestamp": datetime.now(UTC).isoformat()}
    frame = json.dumps({**message, "id": f"own {next(number)}"}).encode()
    deliver = lambda: session._pipeline.deliver(decode([frame], time.time_ns() // 1000))
    background_loop().call_soon_threadsafe(deliver)
def measure(profit, **more):
    metrics = {"totalTrades": 15, "winRate": 66.66, "netProfit": profit, "currentDrawdown": 25.0, **more}
    say("analytics", type="PERFORMANCE_UPDATE", period="DAY", metrics=metrics)"""
SICK = """say("system", status="DEGRADED", message="<b>Broker</b> is slow",
    components={"database": "HEALTHY", "broker": "DOWN"})
for profit in (150.0, 149.5, -1234567.89):
    measure(profit, sharpeRatio=1.25)"""

TEXT = "selector => document.querySelector(selector)?.textContent ?? ''"
# Where each tile is in the widget.
BOXES = """() => [...document.querySelectorAll('.fxlive-tile')].map((tile) => {
    const [at, all] = [tile, tile.closest('.fxlive-tiles')].map((part) => part.getBoundingClientRect());
    return [at.x - all.x, at.y - all.y, at.width, at.height].map(Math.round);
})"""
# What sticks out of its place: of these elements, the part that cannot be seen.
CUT = """() => [...document.querySelectorAll('[class^=fxlive-tile-], .fxlive-figure-value, .fxlive-bar')]
    .filter((part) => part.scrollWidth > part.clientWidth + 1).map((part) => part.textContent)"""


def text(page: Page, selector: str) -> str:
    found: str = page.evaluate(TEXT, selector)
    return found


def wait_for(page: Page, selector: str, words: str) -> None:
    page.wait_for_function(
        f"([selector, words]) => ({TEXT})(selector).includes(words)", arg=[selector, words], polling=50
    )


def wait_for_more(page: Page) -> None:
    """Wait until the bar says that more messages have come."""
    count = text(page, ".fxlive-figure-more")
    page.wait_for_function(f"count => ({TEXT})('.fxlive-figure-more') !== count", arg=count, polling=50)


def press(page: Page, name: str) -> None:
    page.locator(f".fxlive-status [data-do={name}]:enabled").click()


def answer(page: Page, folder: str | None = None) -> None:
    """Confirm what the bar asks, with another folder than it proposes."""
    if folder is not None:
        page.locator(".fxlive-form input").fill(folder)
    page.locator(".fxlive-form button").first.click()


def outcome(page: Page, words: str) -> None:
    wait_for(page, ".fxlive-outcome", words)


def drawings(page: Page) -> int:
    count: int = page.evaluate("() => window.drawings")
    return count


def test_each_button_does_what_it_says_while_a_cell_runs_and_says_what_came_of_it(notebook: Notebook) -> None:
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
    outcome(page, "charts are paused, data keeps coming")
    wait_for(page, ".fxlive-troubles", "Charts are paused; data keeps coming.")
    assert page.locator(".fxlive-chart.fxlive-paused").count() == 1  # it says on the chart too that it is old
    wait_for_more(page)
    before = drawings(page)
    wait_for_more(page)
    assert drawings(page) == before
    press(page, "pause")
    outcome(page, "charts go on")
    page.wait_for_function("before => window.drawings > before", arg=before, polling=50)
    assert page.locator(".fxlive-paused").count() == 0

    captures = notebook.server.root / "captures"
    before_this = set(captures.iterdir()) if captures.exists() else set()
    press(page, "record")
    answer(page)
    outcome(page, "recording to captures/")
    wait_for(page, ".fxlive-recording", "left on the disk")
    press(page, "export")
    answer(page, "mine/today")
    outcome(page, "exported 7 files to mine/today")
    assert len(list((notebook.server.root / "mine" / "today").glob("*.parquet"))) == 7
    (notebook.server.root / "a-file").write_text("in the way")
    press(page, "export")
    page.locator(".fxlive-form input").fill("a-file/within")
    page.keyboard.press("Enter")
    outcome(page, "could not export: ")
    assert text(page, ".fxlive-outcome").endswith("Choose another folder.")
    press(page, "record")  # which says Stop now
    outcome(page, "recorded ")
    [capture] = set(captures.iterdir()) - before_this
    assert text(page, ".fxlive-outcome").endswith(f"rows to captures/{capture.name}")
    wait_for(page, ".fxlive-recording", "Not recording")

    press(page, "reconnect")
    outcome(page, "connected again")
    wait_for(page, ".fxlive-figure:nth-child(4)", "Gaps1")

    press(page, "close")
    page.locator(".fxlive-form button").last.click()
    assert page.locator(".fxlive-form").is_hidden()
    assert text(page, ".fxlive-status .fxlive-badge") == "connected"
    press(page, "close")
    answer(page)
    outcome(page, "closed; what has come stays readable")
    wait_for(page, ".fxlive-status .fxlive-badge", "closed")
    assert page.locator(".fxlive-status .fxlive-tools button:enabled").all_inner_texts() == ["Export"]
    assert page.evaluate("() => window.fxliveRunning"), notebook.all_outputs()

    page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()")
    notebook.wait_until_done()
    page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.shutdown()")
    page.wait_for_function("() => !jupyterapp.shell.currentWidget.sessionContext.session?.kernel", polling=50)
    press(page, "export")
    answer(page)
    outcome(page, "no kernel")
    wait_for(page, ".fxlive-status .fxlive-badge", "no kernel")


def test_tiles_wait_draw_and_move_and_keep_their_places_and_a_reload_shows_all(notebook: Notebook) -> None:
    page = notebook.page
    show = "display(session.metrics_chart())\nsession.status_bar()"
    end = "simulator.close()"
    notebook.open(OWN, show, SICK, "measure(7.5, sharpeRatio=-2.0)", end)
    notebook.run_cell(0)
    notebook.run_cell(1)
    wait_for(page, ".fxlive-waiting", 'Nothing to wait for: "analytics" is not subscribed')
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
    assert text(page, ".fxlive-message") == "<b>Broker</b> is slow"  # the platform's words, not the page's
    line = "() => document.querySelector('.fxlive-tile:nth-child(3) .fxlive-spark-line').getAttribute('d')"
    drawn, boxes = page.evaluate(line), page.evaluate(BOXES)
    assert drawn.count("V") == 2

    notebook.run_cell(3)
    wait_for(page, ".fxlive-tile:nth-child(3)", "7.50▲ 1,234,575.39")
    page.wait_for_function(f"drawn => ({line})() !== drawn", arg=drawn, polling=50)
    assert page.evaluate(BOXES) == boxes  # fewer digits, another sign: nothing jumps

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

    whole = page.evaluate(line)
    notebook.save()
    page.goto(page.url.split("?")[0] + "?reset")
    wait_for(page, ".fxlive-tile:nth-child(3)", "7.50▲ 1,234,575.39")
    page.wait_for_function(f"whole => ({line})().split('V').length === whole.split('V').length", arg=whole, polling=50)
    assert page.locator(".fxlive-chip").all_inner_texts() == ["system degraded", "database", "broker down"]
    wait_for(page, ".fxlive-status .fxlive-badge", "connected")
    wait_for(page, ".fxlive-figure:nth-child(9)", "New columns1")

    # What a reader without a kernel sees is in the file.
    def saved() -> str:
        notebook.save()
        return (notebook.server.root / "test.ipynb").read_text()

    wait_until(lambda: all(words in saved() for words in ("<b>connected", "<td>Net profit (USD)</td><td>7.50</td>")))

    notebook.run_cell(4)  # the platform ends
    wait_for(page, ".fxlive-status .fxlive-badge", "failed")
    wait_for(page, ".fxlive-troubles", "reconnect")
    wait_for(page, ".fxlive-tiles .fxlive-badge", "failed")
    enabled: Any = page.locator(".fxlive-status .fxlive-tools button:enabled").all_inner_texts()
    assert enabled == ["Pause", "Export", "Reconnect", "Close"]
    press(page, "reconnect")
    outcome(page, "could not reconnect: ")


def test_with_ipykernel_6_a_button_pressed_while_a_cell_runs_works_when_it_has_ended(notebook: Notebook) -> None:
    if not IPYKERNEL6.exists():
        pytest.skip("`make pytest` puts ipykernel 6 beside the newest")
    page = notebook.page
    until = "from pathlib import Path\nwhile not Path('go-on').exists():\n    time.sleep(0.02)"
    notebook.open(START, "session.status_bar()", until, kernel="ipykernel6")
    for cell in range(2):
        notebook.run_cell(cell)
    wait_for(page, ".fxlive-status .fxlive-badge", "connected")
    notebook.start_cell(2)
    press(page, "export")
    answer(page)
    outcome(page, "exporting …")
    wait_for_more(page)
    assert text(page, ".fxlive-outcome") == "exporting …"
    assert page.locator(".fxlive-status [data-do=export]").is_disabled()
    (notebook.server.root / "go-on").touch()
    outcome(page, "exported 7 files to exports")
    assert page.locator(".fxlive-status [data-do=export]").is_enabled()

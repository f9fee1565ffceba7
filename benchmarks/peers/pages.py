"""Live charts in JupyterLab, in a real Chromium: the cost of opening and of updating a chart, and whether it moves
while a cell runs. Charts are updated ten times a second from a separate thread, which is best for all libraries.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, CDPSession, Page, WebSocket, sync_playwright

from benchmarks.charts import POINTS, busy_cell, metric
from benchmarks.peers.charts import CHARTS, MORE
from benchmarks.report import Comparison
from tests.browser.jupyterlab import BROWSER_ARGUMENTS, JupyterLabServer, Notebook, find_browser

RUNS = 3
UPDATES = 60
EVERY_S = 0.1
LOOKS = 20
BETWEEN_LOOKS_S = 0.5

# Indexes of the cells.
SETUP, SHOW, MEASURE, REPORT, KEEP_UPDATING, IDLE, SLEEP, LOOP, STOP, SHOW_AGAIN = range(10)
_SECONDS = LOOKS * BETWEEN_LOOKS_S + 3
CELLS = (
    "%run -i chart.py",
    "show()",
    f"""
import threading
def measure():
    start = time.process_time()
    for _ in range({UPDATES}):
        update()
        time.sleep({EVERY_S})
    time.sleep(1)  # for late requests of the page
    processor_s.append(time.process_time() - start)
processor_s = []
prepare({UPDATES})
thread = threading.Thread(target=measure)
thread.start()""",
    "thread.join()\nprint(json.dumps(processor_s[0]))",
    f"""
def keep_updating():
    while not stop.is_set():
        prepare(1)
        update()
        time.sleep({EVERY_S})
stop = threading.Event()
thread = threading.Thread(target=keep_updating)
thread.start()""",
    "None",
    f"time.sleep({_SECONDS})",
    busy_cell(_SECONDS),
    "stop.set()\nthread.join()",
    "show()",
)


def measure() -> list[Comparison]:
    """Measure every chart in turn, each time in a new page, kernel and browser cache."""
    with _browser() as (server, browser):
        turns = [{name: _measure_chart(server, browser, name) for name in CHARTS} for _ in range(RUNS)]
    update = f"a chart update, {MORE} points on two lines of {POINTS:,}"
    looks = f"looks of {LOOKS}"
    disciplines = (
        (f"{update}: from the kernel to the page", "bytes", "less"),
        (f"{update}: kernel's processor time", "ms", "less"),
        (f"{update}: page's processor time", "ms", "less"),
        ("opening the first chart of a page: from the kernel", "kB", "less"),
        ("opening one more chart: from the kernel", "kB", "less"),
        ("a chart that moved, the kernel idle", looks, "more"),
        (f"a chart that moved, a cell in time.sleep({_SECONDS:g})", looks, "more"),
        ("a chart that moved, a cell in a loop of pure Python", looks, "more"),
    )
    excluded = {
        "deque and pandas, ib_async, polars": "have no charts",
        "streamz": "uses hvplot, which draws with bokeh",
    }
    return [
        Comparison(name, unit, better, {chart: [turn[chart][index] for turn in turns] for chart in CHARTS}, excluded)
        for index, (name, unit, better) in enumerate(disciplines)
    ]


@contextmanager
def _browser() -> Iterator[tuple[JupyterLabServer, Browser]]:
    path = find_browser()
    assert path is not None, "no Chromium on the PATH (Debian, Ubuntu: apt-get install chromium)"
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = JupyterLabServer(Path(folder))
        server.start()
        try:
            browser = playwright.chromium.launch(executable_path=path, args=BROWSER_ARGUMENTS)
            yield server, browser
            browser.close()
        finally:
            server.stop()


class _Traffic:
    """Counts the bytes that a page receives over its WebSockets, which carry the messages of kernels."""

    def __init__(self, page: Page) -> None:
        self.size_bytes = 0
        page.on("websocket", self._count)

    def _count(self, socket: WebSocket) -> None:
        socket.on("framereceived", self._add)

    def _add(self, payload: str | bytes) -> None:
        self.size_bytes += len(payload)


def _measure_chart(server: JupyterLabServer, browser: Browser, name: str) -> tuple[float, ...]:
    """Return the values of a chart in all disciplines, in their order."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(60_000)
    page = context.new_page()
    cdp = context.new_cdp_session(page)
    cdp.send("Performance.enable")
    traffic, notebook = _Traffic(page), Notebook(server, page)
    (server.root / "chart.py").write_text(CHARTS[name].code)
    notebook.open(*CELLS)
    try:
        notebook.run_cell(SETUP)
        opening_kb = _opening_kb(notebook, traffic, SHOW)
        page.wait_for_function(CHARTS[name].drawn)
        notebook.output(SHOW).scroll_into_view_if_needed()
        page.wait_for_timeout(3_000)
        assert _count_moves(notebook) == 0, "The chart moves although nothing updates it, so its moves mean nothing."
        update = _measure_updates(notebook, traffic, cdp)
        notebook.run_cell(KEEP_UPDATING)
        moves = []
        for cell in (IDLE, SLEEP, LOOP):
            notebook.output(SHOW).scroll_into_view_if_needed()
            notebook.start_cell(cell)
            page.wait_for_timeout(1_000)
            moves.append(_count_moves(notebook))
            notebook.wait_until_done()
        notebook.run_cell(STOP)
        reopening_kb = _opening_kb(notebook, traffic, SHOW_AGAIN)
        assert notebook.errors() == []
    finally:
        context.close()
        server.shut_kernels_down()
    return (*update, opening_kb, reopening_kb, *moves)


def _opening_kb(notebook: Notebook, traffic: _Traffic, cell: int) -> float:
    """Run a cell that shows a chart; return the kilobytes received until nothing more comes for two seconds."""
    before = traffic.size_bytes
    notebook.run_cell(cell)
    notebook.output(cell).scroll_into_view_if_needed()  # fxlive sends nothing to a chart outside the visible area
    received = -1
    while received != traffic.size_bytes:
        received = traffic.size_bytes
        notebook.page.wait_for_timeout(2_000)
    return (received - before) / 1e3


def _measure_updates(notebook: Notebook, traffic: _Traffic, cdp: CDPSession) -> tuple[float, float, float]:
    """Return bytes, kernel milliseconds and page milliseconds of an update."""
    duration_s = UPDATES * EVERY_S + 1.5
    process_s = [metric(cdp, "ProcessTime")]
    notebook.page.wait_for_timeout(duration_s * 1e3)  # the load of an idle page
    process_s.append(metric(cdp, "ProcessTime"))
    before = traffic.size_bytes
    notebook.start_cell(MEASURE)
    notebook.page.wait_for_timeout(duration_s * 1e3)
    process_s.append(metric(cdp, "ProcessTime"))
    size = traffic.size_bytes - before
    notebook.wait_until_done()
    notebook.run_cell(REPORT)
    kernel_s = json.loads(notebook.text(REPORT))
    page_s = (process_s[2] - process_s[1]) - (process_s[1] - process_s[0])
    return size / UPDATES, kernel_s / UPDATES * 1e3, page_s / UPDATES * 1e3


def _count_moves(notebook: Notebook) -> int:
    """Take screenshots of the chart and return how many of them differ from the one before."""
    picture, moves = notebook.output(SHOW).screenshot(), 0
    due = time.monotonic()
    for _ in range(LOOKS):
        due += BETWEEN_LOOKS_S
        notebook.page.wait_for_timeout(max(0.0, due - time.monotonic()) * 1e3)
        previous, picture = picture, notebook.output(SHOW).screenshot()
        moves += picture != previous
    return moves

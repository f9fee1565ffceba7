"""Live charts in JupyterLab, in a real Chromium: what an opening and an update cost, and whether a chart moves while a
cell runs. It is updated ten times a second from a thread of its own, which is how each of the libraries does best.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, CDPSession, Page, WebSocket, sync_playwright

from benchmarks.charts import POINTS, computing, metric
from benchmarks.peers.charts import CHARTS, MORE
from benchmarks.report import Comparison
from tests.browser.jupyterlab import BROWSER_ARGUMENTS, JupyterLabServer, Notebook, find_browser

RUNS = 3
UPDATES = 60
EVERY_S = 0.1
LOOKS = 20
BETWEEN_LOOKS_S = 0.5

# The cells, by their place.
SETUP, SHOW, MEASURE, TELL, KEEP, IDLE, SLEEP, LOOP, STOP, AGAIN = range(10)
_SECONDS = LOOKS * BETWEEN_LOOKS_S + 3
CELLS = (
    "%run -i chart.py",
    "show()",
    f"""
import threading
def measure():
    began = time.process_time()
    for _ in range({UPDATES}):
        update()
        time.sleep({EVERY_S})
    time.sleep(1)  # what the page still asks
    spent.append(time.process_time() - began)
spent = []
prepare({UPDATES})
thread = threading.Thread(target=measure)
thread.start()""",
    "thread.join()\nprint(json.dumps(spent[0]))",
    f"""
def keep():
    while not stop.is_set():
        prepare(1)
        update()
        time.sleep({EVERY_S})
stop = threading.Event()
thread = threading.Thread(target=keep)
thread.start()""",
    "None",
    f"time.sleep({_SECONDS})",
    computing(_SECONDS),
    "stop.set()\nthread.join()",
    "show()",
)


def measure() -> list[Comparison]:
    """Return what every chart costs, in turns, each in a page, a kernel and a cache of its own each time."""
    with _browser() as (server, browser):
        turns = [{name: _measured(server, browser, name) for name in CHARTS} for _ in range(RUNS)]
    what = f"a chart update, {MORE} points on two lines of {POINTS:,}"
    looks = f"looks of {LOOKS}"
    disciplines = (
        (f"{what}: from the kernel to the page", "bytes", "less"),
        (f"{what}: kernel's processor time", "ms", "less"),
        (f"{what}: page's processor time", "ms", "less"),
        ("opening the first chart of a page: from the kernel", "kB", "less"),
        ("opening one more chart: from the kernel", "kB", "less"),
        ("a chart that moved, the kernel idle", looks, "more"),
        (f"a chart that moved, a cell in time.sleep({_SECONDS:g})", looks, "more"),
        ("a chart that moved, a cell in a loop of pure Python", looks, "more"),
    )
    none = {
        "deque and pandas, ib_async, polars": "have no charts",
        "streamz": "draws by hvplot, which draws by bokeh",
    }
    return [
        Comparison(name, unit, better, {chart: [turn[chart][place] for turn in turns] for chart in CHARTS}, none)
        for place, (name, unit, better) in enumerate(disciplines)
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


class _Wire:
    """Counts what comes to a page over its WebSockets, which is where kernels speak."""

    def __init__(self, page: Page) -> None:
        self.size_bytes = 0
        page.on("websocket", self._count)

    def _count(self, socket: WebSocket) -> None:
        socket.on("framereceived", self._add)

    def _add(self, payload: str | bytes) -> None:
        self.size_bytes += len(payload)


def _measured(server: JupyterLabServer, browser: Browser, name: str) -> tuple[float, ...]:
    """Return bytes, kernel's and page's milliseconds of an update, kB to open, and in how many looks it moved."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(60_000)
    page = context.new_page()
    cdp = context.new_cdp_session(page)
    cdp.send("Performance.enable")
    wire, notebook = _Wire(page), Notebook(server, page)
    (server.root / "chart.py").write_text(CHARTS[name].code)
    notebook.open(*CELLS)
    try:
        notebook.run_cell(SETUP)
        opened = _opened(notebook, wire, SHOW)
        page.wait_for_function(CHARTS[name].drawn)
        notebook.output(SHOW).scroll_into_view_if_needed()
        page.wait_for_timeout(3_000)
        assert _moves(notebook) == 0, "the chart moves though nothing updates it: looking at it would tell nothing"
        update = _update(notebook, wire, cdp)
        notebook.run_cell(KEEP)
        moves = []
        for cell in (IDLE, SLEEP, LOOP):
            notebook.output(SHOW).scroll_into_view_if_needed()
            notebook.start_cell(cell)
            page.wait_for_timeout(1_000)
            moves.append(_moves(notebook))
            notebook.wait_until_done()
        notebook.run_cell(STOP)
        again = _opened(notebook, wire, AGAIN)
        assert notebook.errors() == []
    finally:
        context.close()
        server.shut_kernels_down()
    return (*update, opened, again, *moves)


def _opened(notebook: Notebook, wire: _Wire, cell: int) -> float:
    """Return the kilobytes that a cell with a chart brings, until nothing more comes for two seconds."""
    before = wire.size_bytes
    notebook.run_cell(cell)
    notebook.output(cell).scroll_into_view_if_needed()  # fxlive sends nothing to a chart that nobody sees
    so_far = -1
    while so_far != wire.size_bytes:
        so_far = wire.size_bytes
        notebook.page.wait_for_timeout(2_000)
    return (so_far - before) / 1e3


def _update(notebook: Notebook, wire: _Wire, cdp: CDPSession) -> tuple[float, float, float]:
    took_s = UPDATES * EVERY_S + 1.5
    spent = [metric(cdp, "ProcessTime")]
    notebook.page.wait_for_timeout(took_s * 1e3)  # what the page does anyway
    spent.append(metric(cdp, "ProcessTime"))
    before = wire.size_bytes
    notebook.start_cell(MEASURE)
    notebook.page.wait_for_timeout(took_s * 1e3)
    spent.append(metric(cdp, "ProcessTime"))
    size = wire.size_bytes - before
    notebook.wait_until_done()
    notebook.run_cell(TELL)
    kernel_s = json.loads(notebook.text(TELL))
    page_s = (spent[2] - spent[1]) - (spent[1] - spent[0])
    return size / UPDATES, kernel_s / UPDATES * 1e3, page_s / UPDATES * 1e3


def _moves(notebook: Notebook) -> int:
    """Return in how many of the looks the chart was another than in the look before."""
    picture, moves = notebook.output(SHOW).screenshot(), 0
    due = time.monotonic()
    for _ in range(LOOKS):
        due += BETWEEN_LOOKS_S
        notebook.page.wait_for_timeout(max(0.0, due - time.monotonic()) * 1e3)
        former, picture = picture, notebook.output(SHOW).screenshot()
        moves += picture != former
    return moves

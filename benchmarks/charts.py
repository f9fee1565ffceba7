"""Live charts beside plotly's own FigureWidget, on the same data: what an update and an opening cost, in a real kernel
and in a real JupyterLab in Chromium; and how long a quote takes from the server's send to the page.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from playwright.sync_api import CDPSession, sync_playwright

from benchmarks.report import Figure
from tests.browser.jupyterlab import BROWSER_ARGUMENTS, JupyterLabServer, Notebook, find_browser
from tests.kernel.kernel import Kernel

POINTS = 5_000
UPDATES = 200

# 5,000 quotes of EURUSD, and ten more at each update, in both.
DATA = """
import json, statistics, time
from datetime import UTC, datetime
import fxlive
from fxlive.core.background import call
count = 0
def moments(more):
    global count
    count += more
    return [1_700_000_000 + n / 10 for n in range(count - more, count)]
def prices(times):
    return [1.08 + int(t * 10) % 97 * 1e-5 for t in times]
"""
OURS = f"""
session = fxlive.Session.offline()
call(session._pipeline.start())
feed, refresher = session._pipeline.feed, None
def put(more):
    times = moments(more)
    feed.put(*[json.dumps({{
        "type": "market_data", "channel": "market-data", "timestamp": datetime.fromtimestamp(t, UTC).isoformat(),
        "data": {{"symbol": "EURUSD", "bid": p, "ask": p + 1e-4}}, "id": str(t)}}).encode()
        for t, p in zip(times, prices(times))], at=int(times[-1] * 1e6))
charts = [session.price_chart("EURUSD", name=str(n)) for n in range(CHARTS)]
refresher = charts[0].refresher
refresher.call(lambda: put({POINTS}))
def update():
    refresher.call(lambda: put(10))
    def tick():
        start = time.perf_counter()
        refresher.tick()
        return time.perf_counter() - start
    return refresher.call(tick)
"""
THEIRS = f"""
import numpy as np
import plotly.graph_objects as go
times = moments({POINTS})
def arrays(times):  # as floats: as datetimes they would go as text, several times as large
    return np.array(times) * 1e3, np.array(prices(times))
x, y = arrays(times)
layout = {{"xaxis": {{"type": "date"}}}}
charts = [go.FigureWidget([go.Scatter(x=x, y=y), go.Scatter(x=x, y=y)], layout) for _ in range(CHARTS)]
def update():
    global times
    times = (times + moments(10))[-{POINTS}:]
    x, y = arrays(times)
    start = time.perf_counter()
    with charts[0].batch_update():
        for trace in charts[0].data:
            trace.x, trace.y = x, y
    return time.perf_counter() - start
"""


def measure() -> list[Figure]:
    """Return bytes, milliseconds and ratios."""
    return [*_in_a_kernel(), *_in_a_page()]


# In a kernel: what goes to the page, and how long the kernel is at it.


def _in_a_kernel() -> list[Figure]:
    ours, theirs = _updates(OURS), _updates(THEIRS)
    names = ("bytes of content and buffers", "Python in a kernel", "bytes to open six charts")
    units, bars = ("bytes", "ms", "MB"), ("<= 500", "<= 0.5", "<= 5.5")
    figures = []
    for name, unit, bar, mine, other in zip(names, units, bars, ours, theirs, strict=True):
        what = name if "open" in name else f"an update of 10 points on {POINTS:,}: {name}"
        figures.append(Figure(f"{what}: FigureWidget", other, unit))
        figures.append(Figure(f"{what}: fxlive", mine, unit, bar))
        figures.append(Figure(f"{what}: FigureWidget / fxlive", other / mine, "x"))
    return figures


def _updates(setup: str) -> tuple[float, float, float]:
    """Return bytes and milliseconds of an update, and megabytes to open six charts."""
    with _kernel() as kernel:
        cell = kernel.run(DATA + setup.replace("CHARTS", "6") + "[display(chart) for chart in charts];", timeout=120)
        assert cell.error is None, cell.traceback
        if setup is OURS:  # a view in the page asks for everything
            look = "[chart._handle_custom_msg({'type': 'snapshot', 'view': 'v', 'pixels': 900}, []) for chart in charts];"
            kernel.run(look + "time.sleep(1.5)")
        opened = sum(_size(m) for m in kernel.messages if m["msg_type"] in ("comm_open", "comm_msg")) / 1e6
        if setup is OURS:
            only = (
                "[chart.close() for chart in charts[1:]]; refresher.call(lambda: setattr(refresher, 'rate_hz', 0.001))"
            )
            kernel.run(only + "; time.sleep(0.3)")
        first = len(kernel.messages)
        cell = kernel.run(f"print(json.dumps([update() for _ in range({UPDATES})]))", timeout=120)
        assert cell.error is None, cell.traceback
        kernel.collect(0.5)
        sizes = [_size(m) for m in kernel.messages[first:] if m["msg_type"] == "comm_msg"]
        return sum(sizes) / UPDATES, median(json.loads(cell.text)) * 1e3, opened


def _size(message: dict[str, Any]) -> int:
    content = json.dumps(message["content"]["data"])
    return len(content) + sum(len(bytes(buffer)) for buffer in message.get("buffers", []))


@contextmanager
def _kernel() -> Iterator[Kernel]:
    with tempfile.TemporaryDirectory() as folder:
        kernel = Kernel(Path(folder))
        kernel.start()
        try:
            yield kernel
        finally:
            kernel.stop()


# In a page: what the browser does for an update, when a quote is there, and what remains in memory.

_LATENCIES = """seconds => new Promise(resolve => {
    const plot = document.querySelector('.fxlive-plot');
    const latencies = [];
    let newest = plot.data[0].x.at(-1);
    plot.on('plotly_afterplot', () => {
        const now = Date.now();
        const x = plot.data[0].x;
        let i = x.length;
        while (i > 0 && x[i - 1] > newest) latencies.push(now - x[--i]);
        newest = x.at(-1);
    });
    setTimeout(() => resolve(latencies), seconds * 1000);
})"""


def _in_a_page() -> list[Figure]:
    figures: list[Figure] = []
    with _notebook() as (notebook, cdp):
        ours, theirs = _browser_ms(notebook, cdp, OURS), _browser_ms(notebook, cdp, THEIRS)
        what = f"an update of 10 points on {POINTS:,}: busy browser"
        figures += [Figure(f"{what}: FigureWidget", theirs, "ms"), Figure(f"{what}: fxlive", ours, "ms")]
        figures.append(Figure(f"{what}: FigureWidget / fxlive", theirs / ours, "x"))
        figures += _latencies(notebook, "idle kernel", 20, 10, ("<= 150", "<= 300"), None)
        figures += _latencies(notebook, "kernel busy with Python", 20, 10, (None, "<= 400"), computing(14))
        figures += _latencies(notebook, "1,000 quotes a second", 1000, 10, ("<= 150", "<= 300"), None)
        figures += _heap(notebook, cdp)
    return figures


@contextmanager
def _notebook() -> Iterator[tuple[Notebook, CDPSession]]:
    path = find_browser()
    assert path is not None, "no Chromium on the PATH (Debian, Ubuntu: apt-get install chromium)"
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = JupyterLabServer(Path(folder))
        server.start()
        try:
            browser = playwright.chromium.launch(executable_path=path, args=BROWSER_ARGUMENTS)
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            cdp = page.context.new_cdp_session(page)
            cdp.send("Performance.enable")
            yield Notebook(server, page), cdp
            browser.close()
        finally:
            server.stop()


def computing(seconds: float) -> str:
    """Return a cell that computes for so long, and never waits."""
    return f"ends = time.monotonic() + {seconds}\nwhile time.monotonic() < ends: sum(range(1000))"


def metric(cdp: CDPSession, name: str) -> float:
    """Return one of the page's own figures."""
    metrics = cdp.send("Performance.getMetrics")["metrics"]
    return float(next(metric["value"] for metric in metrics if metric["name"] == name))


def _opened(notebook: Notebook, name: str, *cells: str) -> None:
    notebook.server.shut_kernels_down()
    notebook.open(*cells, name=name)
    notebook.run_cell(0, timeout_s=120)


def _browser_ms(notebook: Notebook, cdp: CDPSession, setup: str) -> float:
    """Return how long the page's thread is busy for an update, without what it does anyway."""
    ours = setup is OURS
    setup = (
        setup.replace("refresher.tick()", "None") if ours else setup
    )  # the refresher itself draws, ten times a second
    loop = "for _ in range({count}):\n    {what}\n    time.sleep(0.1)"
    name = "ours.ipynb" if ours else "theirs.ipynb"
    cells = [loop.format(count=100, what=what) for what in ("update()", "None")]
    _opened(notebook, name, DATA + setup.replace("CHARTS", "1") + "display(charts[0])", *cells)
    points = "() => document.querySelector('.js-plotly-plot')?.data?.[0]?.x?.length > 100"
    notebook.page.wait_for_function(points, timeout=60_000)
    notebook.run_cell(1)  # to be warm
    busy = []
    for cell in (1, 2):
        before = metric(cdp, "TaskDuration")
        notebook.run_cell(cell)
        busy.append(metric(cdp, "TaskDuration") - before)
    return (busy[0] - busy[1]) / 100 * 1e3


def _latencies(
    notebook: Notebook, what: str, rate: int, seconds: int, bars: tuple[str | None, str | None], busy: str | None
) -> list[Figure]:
    command = [sys.executable, "-m", "benchmarks.ticker", str(rate)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as ticker:
        assert ticker.stdout is not None
        assert ticker.stdin is not None
        url = f"ws://127.0.0.1:{ticker.stdout.readline().strip()}/api/ws"
        connect = f"import fxlive, time\nsession = fxlive.connect({url!r}, 'token', channels=['market-data'])\n"
        connect += "session.wait_for('market-data', rows=5)\nfxlive.price_chart('EURUSD', window='1min')"
        _opened(notebook, "latency.ipynb", connect, busy or "None")
        notebook.page.wait_for_function("() => document.querySelector('.fxlive-plot')?.data?.[0]?.x?.length > 5")
        notebook.page.wait_for_timeout(3_000)  # JupyterLab is at rest
        if busy:
            notebook.start_cell(1)
            notebook.page.wait_for_timeout(1_000)
        latencies = notebook.page.evaluate(_LATENCIES, seconds)
        ticker.stdin.close()
    assert len(latencies) > 20, latencies
    name = f"a quote, from the server's send to the page: {what}"
    p50, p99 = np.quantile(latencies, [0.5, 0.99])
    return [
        Figure(f"{name}: median", float(p50), "ms", bars[0]),
        Figure(f"{name}: 99 of 100", float(p99), "ms", bars[1]),
    ]


def _heap(notebook: Notebook, cdp: CDPSession) -> list[Figure]:
    """Return the growth of the page's heap while updates come far faster than they ever would."""
    faster = "refresher.rate_hz = 400\n"
    loop = "for _ in range({count}):\n    refresher.call(lambda: put(10))\n    time.sleep(0.002)"
    cells = [loop.format(count=count) for count in (2_000, 8_000, 90_000)]
    _opened(notebook, "heap.ipynb", DATA + OURS.replace("CHARTS", "1") + faster + "display(charts[0])", *cells)
    heaps = []
    for cell in (1, 2, 3):
        notebook.run_cell(cell, timeout_s=900)
        cdp.send("HeapProfiler.collectGarbage")
        heaps.append(metric(cdp, "JSHeapUsedSize") / 1e6)
    return [
        Figure("heap of the page after 2,000 updates", heaps[0], "MB"),
        Figure("heap of the page after 10,000 updates", heaps[1], "MB"),
        Figure("heap of the page after 100,000 updates", heaps[2], "MB"),
        Figure("heap of the page: after 100,000 / after 10,000 updates", heaps[2] / heaps[1], "x", "<= 1.1"),
    ]


if __name__ == "__main__":
    for figure in measure():
        print(figure, flush=True)

"""Live charts compared with plotly's own FigureWidget on the same data: the cost of an update and of opening a chart,
in a real kernel and in a real JupyterLab in Chromium; and the latency of a quote from the server to the page.
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

# Both charts show 5,000 quotes of EURUSD. Each update adds ten.
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
def arrays(times):  # floats, because datetimes are sent as text, which is several times as large
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


# In a kernel: the size of the messages to the page and the time of the kernel.


def _in_a_kernel() -> list[Figure]:
    ours, theirs = _updates(OURS), _updates(THEIRS)
    names = ("bytes of content and buffers", "Python in a kernel", "bytes to open six charts")
    units, targets = ("bytes", "ms", "MB"), ("<= 500", "<= 0.5", "<= 5.5")
    figures = []
    for name, unit, target, own_value, other_value in zip(names, units, targets, ours, theirs, strict=True):
        prefix = name if "open" in name else f"an update of 10 points on {POINTS:,}: {name}"
        figures.append(Figure(f"{prefix}: FigureWidget", other_value, unit))
        figures.append(Figure(f"{prefix}: fxlive", own_value, unit, target))
        figures.append(Figure(f"{prefix}: FigureWidget / fxlive", other_value / own_value, "x"))
    return figures


def _updates(setup: str) -> tuple[float, float, float]:
    """Return the bytes and milliseconds of an update, and the megabytes that open six charts."""
    with _kernel() as kernel:
        cell = kernel.run(DATA + setup.replace("CHARTS", "6") + "[display(chart) for chart in charts];", timeout=120)
        assert cell.error is None, cell.traceback
        if setup is OURS:  # request all points, as a view in the page does
            request = "{'type': 'snapshot', 'view': 'v', 'pixels': 900}"
            kernel.run(f"[chart._handle_custom_msg({request}, []) for chart in charts]; time.sleep(1.5)")
        opening_mb = sum(_size(m) for m in kernel.messages if m["msg_type"] in ("comm_open", "comm_msg")) / 1e6
        if setup is OURS:
            close_others = "[chart.close() for chart in charts[1:]]"
            stop_refreshing = "refresher.call(lambda: setattr(refresher, 'rate_hz', 0.001))"
            kernel.run(f"{close_others}; {stop_refreshing}; time.sleep(0.3)")
        first = len(kernel.messages)
        cell = kernel.run(f"print(json.dumps([update() for _ in range({UPDATES})]))", timeout=120)
        assert cell.error is None, cell.traceback
        kernel.collect(0.5)
        sizes = [_size(m) for m in kernel.messages[first:] if m["msg_type"] == "comm_msg"]
        return sum(sizes) / UPDATES, median(json.loads(cell.text)) * 1e3, opening_mb


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


# In a page: the browser's time for an update, the latency of quotes, and the growth of memory.

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
        prefix = f"an update of 10 points on {POINTS:,}: busy browser"
        figures += [Figure(f"{prefix}: FigureWidget", theirs, "ms"), Figure(f"{prefix}: fxlive", ours, "ms")]
        figures.append(Figure(f"{prefix}: FigureWidget / fxlive", theirs / ours, "x"))
        figures += _latencies(notebook, "idle kernel", 20, 10, ("<= 150", "<= 300"), None)
        figures += _latencies(notebook, "kernel busy with Python", 20, 10, (None, "<= 400"), busy_cell(14))
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


def busy_cell(seconds: float) -> str:
    """Return the code of a cell that computes for the given time without waiting."""
    return f"ends = time.monotonic() + {seconds}\nwhile time.monotonic() < ends: sum(range(1000))"


def metric(cdp: CDPSession, name: str) -> float:
    """Return one of the performance metrics that the browser keeps of the page."""
    metrics = cdp.send("Performance.getMetrics")["metrics"]
    return float(next(metric["value"] for metric in metrics if metric["name"] == name))


def _open_notebook(notebook: Notebook, name: str, *cells: str) -> None:
    """Open a notebook in a new kernel and run its first cell."""
    notebook.server.shut_kernels_down()
    notebook.open(*cells, name=name)
    notebook.run_cell(0, timeout_s=120)


def _browser_ms(notebook: Notebook, cdp: CDPSession, setup: str) -> float:
    """Return the milliseconds for which an update keeps the page's thread busy, without its load when idle."""
    ours = setup is OURS
    if ours:  # the refresher itself draws ten times a second
        setup = setup.replace("refresher.tick()", "None")
    loop = "for _ in range({count}):\n    {call}\n    time.sleep(0.1)"
    name = "ours.ipynb" if ours else "theirs.ipynb"
    cells = [loop.format(count=100, call=call) for call in ("update()", "None")]
    _open_notebook(notebook, name, DATA + setup.replace("CHARTS", "1") + "display(charts[0])", *cells)
    points = "() => document.querySelector('.js-plotly-plot')?.data?.[0]?.x?.length > 100"
    notebook.page.wait_for_function(points, timeout=60_000)
    notebook.run_cell(1)  # warm up
    busy_s = []
    for cell in (1, 2):
        before = metric(cdp, "TaskDuration")
        notebook.run_cell(cell)
        busy_s.append(metric(cdp, "TaskDuration") - before)
    return (busy_s[0] - busy_s[1]) / 100 * 1e3


def _latencies(
    notebook: Notebook,
    condition: str,
    rate: int,
    seconds: int,
    targets: tuple[str | None, str | None],
    busy: str | None,
) -> list[Figure]:
    """Return median and 99th percentile of the latency, while the kernel runs the cell `busy` if there is one."""
    command = [sys.executable, "-m", "benchmarks.ticker", str(rate)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as ticker:
        assert ticker.stdout is not None
        assert ticker.stdin is not None
        url = f"ws://127.0.0.1:{ticker.stdout.readline().strip()}/api/ws"
        connect = f"import fxlive, time\nsession = fxlive.connect({url!r}, 'token', channels=['market-data'])\n"
        connect += "session.wait_for('market-data', rows=5)\nfxlive.price_chart('EURUSD', window='1min')"
        _open_notebook(notebook, "latency.ipynb", connect, busy or "None")
        notebook.page.wait_for_function("() => document.querySelector('.fxlive-plot')?.data?.[0]?.x?.length > 5")
        notebook.page.wait_for_timeout(3_000)  # until JupyterLab has finished loading
        if busy:
            notebook.start_cell(1)
            notebook.page.wait_for_timeout(1_000)
        latencies = notebook.page.evaluate(_LATENCIES, seconds)
        ticker.stdin.close()
    assert len(latencies) > 20, latencies
    name = f"a quote, from the server's send to the page: {condition}"
    p50, p99 = np.quantile(latencies, [0.5, 0.99])
    return [
        Figure(f"{name}: median", float(p50), "ms", targets[0]),
        Figure(f"{name}: 99 of 100", float(p99), "ms", targets[1]),
    ]


def _heap(notebook: Notebook, cdp: CDPSession) -> list[Figure]:
    """Return the size of the page's heap during updates at a much higher rate than in normal use."""
    faster = "refresher.rate_hz = 400\n"
    loop = "for _ in range({count}):\n    refresher.call(lambda: put(10))\n    time.sleep(0.002)"
    cells = [loop.format(count=count) for count in (2_000, 8_000, 90_000)]
    _open_notebook(notebook, "heap.ipynb", DATA + OURS.replace("CHARTS", "1") + faster + "display(charts[0])", *cells)
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

"""Record the animation for the README and the documentation: the dashboard in JupyterLab, in a headless Chromium.

    python tools/moving_picture.py docs/dashboard.webp

The platform is that of `fxlive.demo()`. Screenshots of the page are taken while a cell computes, and shown at the same
intervals.
"""

import argparse
import io
import itertools
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.browser.jupyterlab import BROWSER_ARGUMENTS, JupyterLabServer, Notebook, find_browser

CELLS = [
    "import fxlive\n\nsession = fxlive.demo(speed=12)",
    "# my own cell computes: the charts below move\nfor n in range(2_000):\n    sum(i * i for i in range(1_000_000))",
    "fxlive.dashboard()",
]
DRAWN = """() => ['price', 'pnl'].every(place =>
    document.querySelector(`.fxlive-at-${place} .fxlive-plot`)?.data?.[0]?.x.length > 5)"""
SIZE = {"width": 1440, "height": 1075}


def screenshots(page: Page, seconds: float, every_s: float) -> tuple[list[Image.Image], list[int]]:
    """Take screenshots of the page for some time; return them, and the milliseconds to show each."""
    pictures, times = [], [time.monotonic()]
    while times[-1] - times[0] < seconds:
        pictures.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
        page.wait_for_timeout(max(0.0, 1000 * (times[-1] + every_s - time.monotonic())))
        times.append(time.monotonic())
    return pictures, [round(1000 * (b - a)) for a, b in itertools.pairwise(times)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--every", type=float, default=0.4, help="seconds between two screenshots (default 0.4)")
    parser.add_argument("--warm-up", type=float, default=45.0, help="seconds of market before the first (default 45)")
    parser.add_argument("--width", type=int, default=1200, help="width of the animation in pixels (default 1200)")
    arguments = parser.parse_args()
    browser_path = find_browser()
    if browser_path is None:
        print("Chromium was not found on the PATH.", file=sys.stderr)
        return 1

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = JupyterLabServer(Path(folder))
        server.start()
        try:
            browser = playwright.chromium.launch(executable_path=browser_path, args=BROWSER_ARGUMENTS)
            notebook = Notebook(server, browser.new_page(viewport=SIZE))
            notebook.open(*CELLS, name="desk.ipynb")
            page = notebook.page
            page.evaluate("() => jupyterapp.commands.execute('application:toggle-left-area')")
            notebook.run_cell(0)
            page.wait_for_timeout(1000 * arguments.warm_up)
            notebook.run_cell(2)
            page.wait_for_function(DRAWN)
            notebook.start_cell(1)
            page.mouse.move(5, 5)
            page.wait_for_timeout(3000)
            pictures, durations_ms = screenshots(page, arguments.seconds, arguments.every)
        finally:
            server.stop()

    height = round(arguments.width * SIZE["height"] / SIZE["width"])
    first, *others = [p.resize((arguments.width, height), Image.Resampling.LANCZOS) for p in pictures]
    first.save(
        arguments.file,
        save_all=True,
        append_images=others,
        duration=durations_ms,
        loop=0,
        quality=70,
        method=6,
        minimize_size=True,
    )
    print(f"{arguments.file}: {len(pictures)} pictures, {arguments.file.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Takes the moving picture of README and documentation: the dashboard in JupyterLab, in a headless Chromium, as it is.

    python tools/moving_picture.py docs/dashboard.webp

The simulated platform is the one of `fxlive.demo()`. While a cell computes, the page is photographed; how long each
photograph is shown is how long it was until the next.
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


def photographs(page: Page, seconds: float, every_s: float) -> tuple[list[Image.Image], list[int]]:
    """Return pictures of the page, and how many milliseconds each is to be shown."""
    pictures, moments = [], [time.monotonic()]
    while moments[-1] - moments[0] < seconds:
        pictures.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
        page.wait_for_timeout(max(0.0, 1000 * (moments[-1] + every_s - time.monotonic())))
        moments.append(time.monotonic())
    return pictures, [round(1000 * (b - a)) for a, b in itertools.pairwise(moments)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--every", type=float, default=0.4, help="seconds between two photographs (default 0.4)")
    parser.add_argument("--warm-up", type=float, default=45.0, help="seconds of market before the first (default 45)")
    parser.add_argument("--width", type=int, default=1200, help="of the picture in pixels (default 1200)")
    arguments = parser.parse_args()
    browser_path = find_browser()
    if browser_path is None:
        print("There is no Chromium on the PATH.", file=sys.stderr)
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
            pictures, shown_ms = photographs(page, arguments.seconds, arguments.every)
        finally:
            server.stop()

    height = round(arguments.width * SIZE["height"] / SIZE["width"])
    first, *others = [p.resize((arguments.width, height), Image.Resampling.LANCZOS) for p in pictures]
    first.save(
        arguments.file,
        save_all=True,
        append_images=others,
        duration=shown_ms,
        loop=0,
        quality=70,
        method=6,
        minimize_size=True,
    )
    print(f"{arguments.file}: {len(pictures)} pictures, {arguments.file.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())

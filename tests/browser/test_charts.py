"""Live charts in JupyterLab: they draw, move while a cell runs, and leave the view where the user put it."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

from tests.browser.jupyterlab import Notebook

START = "import fxlive, time\nsession = fxlive.demo(speed=10)"

# What a test asks of the n-th chart on the page.
POINTS = "n => document.querySelectorAll('.fxlive-plot')[n]?.data?.[0].x.length ?? 0"
NEWEST = "n => document.querySelectorAll('.fxlive-plot')[n].data[0].x.at(-1)"
RANGE = "n => [...document.querySelectorAll('.fxlive-plot')[n].layout.xaxis.range]"


def wait_for_points(page: Page, more_than: int = 5, chart: int = 0) -> None:
    page.wait_for_function(f"([n, count]) => ({POINTS})(n) > count", arg=[chart, more_than], polling=50)


def count_updates(page: Page, chart: int = 0) -> None:
    """From now on, count how often the chart is drawn in `window.drawings`."""
    page.evaluate(
        """n => {
            window.drawings = 0;
            document.querySelectorAll('.fxlive-plot')[n].on('plotly_afterplot', () => { window.drawings += 1; });
        }""",
        chart,
    )


def wait_for_updates(page: Page, count: int) -> None:
    page.wait_for_function("count => window.drawings >= count", arg=count, polling=50)


def cell_is_running(page: Page) -> bool:
    running: Any = page.evaluate("() => window.fxliveRunning")
    return bool(running)


def test_a_chart_draws_and_moves(notebook: Notebook) -> None:
    notebook.open(START, "fxlive.price_chart('EURUSD')")
    notebook.run_all()
    assert notebook.errors() == []

    wait_for_points(notebook.page)
    newest = notebook.page.evaluate(NEWEST, 0)
    notebook.page.wait_for_function(f"newest => ({NEWEST})(0) > newest", arg=newest, polling=50)
    notebook.page.wait_for_function("() => document.querySelector('.fxlive-badge').textContent === 'live'")

"""A replay in JupyterLab: its slider seeks in a real recording, and charts and grids follow."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Page

from tests.browser.jupyterlab import Notebook
from tests.browser.test_charts import NEWEST, OLDEST, RANGE, ask, wait_for_points

# The server's folder is shared, so the tests of this module use one recording.
RECORDED = """import fxlive, os, time
if not os.path.exists("recorded"):
    with fxlive.demo(name="live", record="recorded") as live:
        live.wait_for("market-data", rows=300, timeout=600)
replay = fxlive.replay("recorded", paused=True)
replay.time_slider()"""
CHART = "chart = replay.price_chart('EURUSD', name='chart'); chart"
GRID = "replay.grid('market-data')"

SLIDER = ".fxlive-slider input[type=range]"
# The time that the first slider shows, in milliseconds.
SHOWN = "() => Date.parse(document.querySelector('.fxlive-now').textContent.replace(' UTC', 'Z').replace(' ', 'T'))"
# The changes that plotly makes when the user zooms.
ZOOM = """([from, to]) => {
    const plot = document.querySelector('.fxlive-plot');
    plot.layout.xaxis.range = [from, to].map((ms) => new Date(ms).toISOString());
    plot.emit('plotly_relayout', { 'xaxis.range[0]': from, 'xaxis.range[1]': to });
}"""


def drag(page: Page, share: float) -> int:
    """Drag the slider to a share of its track, and return the time that it showed before it was released."""
    page.locator(SLIDER).first.hover()  # scrolls to it and waits until it does not move any more
    box = page.locator(SLIDER).first.bounding_box()
    assert box is not None
    at = page.evaluate(f"() => {{ const i = document.querySelector('{SLIDER}'); return i.value / i.max }}")
    x_of = lambda share: box["x"] + 7 + (box["width"] - 14) * share  # noqa: E731
    page.mouse.move(x_of(at), box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(x_of(share), box["y"] + box["height"] / 2, steps=4)
    page.locator(".fxlive-bubble").first.wait_for(state="visible")
    shown: int = page.evaluate(SHOWN)
    page.mouse.up()
    return shown


def wait_for_newest(page: Page, below: float, above: float = 0, chart: int = 0) -> None:
    """Wait until the newest point of a chart lies between two times."""
    page.wait_for_function(
        f"([n, below, above]) => {{ const at = ({NEWEST})(n); return at > above && at <= below }}",
        arg=[chart, below, above],
        polling=50,
    )


def value(notebook: Notebook, cell: int) -> Any:
    """Run a cell and return the JSON value that it prints."""
    notebook.run_cell(cell)
    [output] = notebook.outputs(cell)
    return json.loads(output["text"])


def test_dragging_the_slider_shows_another_time_in_every_widget(notebook: Notebook) -> None:
    page = notebook.page
    times = "print([1000 * replay.start.timestamp(), 1000 * replay.end.timestamp()])"
    bids = "replay.chart('market-data', 'bid')"
    newest = "1000 * replay.frame('market-data').index.max().timestamp()"
    now = f"print([1000 * replay.time.timestamp(), {newest}])"
    notebook.open(RECORDED, bids, GRID, times, now, "time.sleep(3600)")
    for cell in (0, 1, 2):
        notebook.run_cell(cell)
    start, end = value(notebook, 3)
    page.get_by_role("slider").first.wait_for()

    assert start + 0.65 * (end - start) < drag(page, 0.8) + 1000
    wait_for_newest(page, below=end - 0.15 * (end - start), above=start + 0.5 * (end - start))
    at, newest = value(notebook, 4)
    assert abs(at - start - 0.8 * (end - start)) < 0.02 * (end - start)
    assert abs(ask(page, NEWEST) - newest) < 1
    later = page.locator(".fxlive-grid .fxlive-rows").inner_text()

    notebook.start_cell(5)  # the same while a cell runs
    drag(page, 0.4)
    wait_for_newest(page, below=start + 0.45 * (end - start))
    assert ask(page, OLDEST) < start + 1000
    page.wait_for_function(
        "text => document.querySelector('.fxlive-grid .fxlive-rows').innerText !== text", arg=later, polling=50
    )
    assert [badge for badge in page.locator(".fxlive-badge").all_inner_texts() if badge != "paused"] == []
    assert notebook.is_running()
    notebook.interrupt()


def test_zoom_stays_after_a_seek_if_the_range_has_points_and_is_reset_otherwise(notebook: Notebook) -> None:
    page = notebook.page
    later, earlier = (f"replay.seek(replay.start + {part} * (replay.end - replay.start))" for part in (0.9, 0.3))
    notebook.open(RECORDED, CHART, later, earlier)
    for cell in (0, 2, 1):
        notebook.run_cell(cell)
    wait_for_points(page, more_than=1)
    oldest, newest = ask(page, OLDEST), ask(page, NEWEST)
    page.evaluate(ZOOM, [oldest - 500, oldest + 1000])
    notebook.run_cell(3)  # the zoomed range has points at this time, too
    wait_for_newest(page, below=oldest + 0.5 * (newest - oldest))
    assert [round(ms) for ms in ask(page, RANGE)] == [round(oldest) - 500, round(oldest) + 1000]
    assert page.locator(".fxlive-follow").is_visible()

    notebook.run_cell(2)
    wait_for_newest(page, below=newest, above=oldest + 0.7 * (newest - oldest))
    page.evaluate(ZOOM, [newest - 500, newest + 10])
    notebook.run_cell(3)  # the zoomed range is later than this time
    wait_for_newest(page, below=oldest + 0.5 * (newest - oldest))
    page.wait_for_function(f"below => ({RANGE})(0)[0] < below", arg=oldest, polling=50)
    assert page.locator(".fxlive-follow").is_hidden()


def test_keys_play_and_speed_work_in_every_view_and_after_a_reload(notebook: Notebook) -> None:
    page = notebook.page
    notebook.open(RECORDED, "slider = replay.time_slider(); slider", "slider", "replay.dashboard()", "replay.close()")
    for cell in (0, 1, 2, 3):
        notebook.run_cell(cell)
    sliders = page.locator(SLIDER)
    page.wait_for_function(f"() => document.querySelectorAll('{SLIDER}').length === 3", polling=50)
    places = (page.locator(f".fxlive-dashboard .fxlive-at-{place}") for place in ("status", "time"))
    status, slider = (place.bounding_box() for place in places)
    assert status is not None
    assert slider is not None
    assert status["y"] + status["height"] <= slider["y"] < status["y"] + status["height"] + 40

    def wait_for_each(condition: str) -> None:
        """Wait until a condition holds for each slider `i`. Scroll to it first, because only visible ones are drawn."""
        for number in range(3):
            sliders.nth(number).scroll_into_view_if_needed()
            holds = f"n => {{ const i = document.querySelectorAll('{SLIDER}')[n]; return {condition} }}"
            page.wait_for_function(holds, arg=number, polling=50)

    sliders.nth(0).focus()
    for key in ("End", "Home", "PageUp", "PageDown", "ArrowRight"):
        page.keyboard.press(key)
    wait_for_each("Math.abs(i.value - 1000) < 1")  # a step is one second, because the recording is short
    wait_for_each("/^[-0-9]+ [:0-9]+ UTC$/.test(i.getAttribute('aria-valuetext'))")

    sliders.nth(1).scroll_into_view_if_needed()
    page.locator(".fxlive-slider .fxlive-picker").nth(1).select_option("max")
    page.locator(".fxlive-play").nth(1).click()
    ended = "i.closest('.fxlive-slider').querySelector('.fxlive-badge').dataset.state === 'ended'"
    wait_for_each(f"Math.abs(i.value - i.max) < 1 && {ended}")
    assert page.locator(".fxlive-play").first.inner_text() == "Play again"

    notebook.save()
    page.reload()
    page.wait_for_function(f"() => document.querySelectorAll('{SLIDER}').length === 3", polling=100)
    wait_for_each("Math.abs(i.value - i.max) < 1 && i.max > 1")
    page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.sessionContext?.isReady", polling=100)
    notebook.run_cell(4)
    wait_for_each("i.disabled")
    assert "closed" in page.locator(".fxlive-slider .fxlive-badge").nth(2).inner_text()

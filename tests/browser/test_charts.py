"""Live charts in JupyterLab: they draw, move while a cell runs, and keep the ranges that the user has zoomed to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import Page

from tests.browser.jupyterlab import IPYKERNEL6, Notebook

START = "import fxlive, time\nsession = fxlive.demo(speed=20)\nsession.wait_for('market-data', rows=50);"

# Properties of the n-th chart on the page.
POINTS = "n => document.querySelectorAll('.fxlive-plot')[n]?.data?.[0].x.length ?? 0"
NEWEST = "n => document.querySelectorAll('.fxlive-plot')[n].data[0].x.at(-1)"
OLDEST = "n => document.querySelectorAll('.fxlive-plot')[n].data[0].x[0]"
RANGE = """n => document.querySelectorAll('.fxlive-plot')[n].layout.xaxis.range.map(
    time => typeof time === 'number' ? time : Date.parse(time.replace(' ', 'T').replace('Z', '') + 'Z'))"""
Y_RANGE = "n => document.querySelectorAll('.fxlive-plot')[n].layout.yaxis.range"

# A cell that waits for a condition, and prints it.
WAIT = """ends = time.monotonic() + 100
while not ({condition}) and time.monotonic() < ends:
    time.sleep(0.02)
print({condition})"""


def wait_for_points(page: Page, more_than: int = 5, chart: int = 0) -> None:
    """Scroll to a chart, because only visible ones are drawn, and wait until it has more points than `more_than`."""
    page.wait_for_function(
        f"""([n, count]) => {{
            document.querySelectorAll('.fxlive-plot')[n]?.scrollIntoView({{ block: 'nearest' }});
            return ({POINTS})(n) > count;
        }}""",
        arg=[chart, more_than],
        polling=50,
    )


def wait_for_badge(page: Page, text: str) -> None:
    page.wait_for_function("text => document.querySelector('.fxlive-badge')?.textContent === text", arg=text)


def count_drawings(page: Page, chart: int = 0) -> None:
    """Count the drawings of a chart in `window.drawings` from now on."""
    page.evaluate(
        """n => {
            const plot = document.querySelectorAll('.fxlive-plot')[n];
            if (window.drawings === undefined) plot.on('plotly_afterplot', () => { window.drawings += 1; });
            window.drawings = 0;
        }""",
        chart,
    )


def wait_for_drawings(page: Page, count: int) -> None:
    page.wait_for_function("count => window.drawings >= count", arg=count, polling=50)


def ask(page: Page, question: str, chart: int = 0) -> Any:
    return page.evaluate(question, chart)


def zoom(page: Page) -> list[float]:
    """Zoom in the first chart by dragging a frame, and return the range of its time axis."""
    count_drawings(page)
    wait_for_drawings(page, 5)
    before = ask(page, RANGE)
    box = page.locator(".fxlive-plot .nsewdrag").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.8, steps=4)
    page.mouse.up()
    page.locator(".fxlive-follow").first.wait_for(state="visible")
    after: list[float] = ask(page, RANGE)
    assert 0 < after[1] - after[0] < (before[1] - before[0]) / 2, (before, after)
    return after


# Cells that run until the test makes a file.
SLEEP = "while not Path('{0}').exists():\n    time.sleep(1)"
COMPUTE = "while not Path('{0}').exists():\n    sum(n for n in range(1_000_000))"
NUMPY = """import numpy as np
values = np.random.default_rng(7).random(5_000_000)
while not Path('{0}').exists():
    np.sqrt(values, out=values)"""


@pytest.mark.parametrize("kernel", ["python3", "ipykernel6"])
def test_a_chart_moves_while_a_cell_sleeps_computes_or_works_in_numpy(notebook: Notebook, kernel: str) -> None:
    if kernel == "ipykernel6" and not IPYKERNEL6.exists():
        pytest.skip("`make pytest` puts ipykernel 6 beside the newest")
    page = notebook.page
    version = "from pathlib import Path; import ipykernel; print(ipykernel.__version__.split('.')[0])"
    files = [f"{kernel}-{activity}" for activity in ("slept", "computed", "worked")]
    cells = [cell.format(file) for cell, file in zip((SLEEP, COMPUTE, NUMPY), files, strict=True)]
    notebook.open(START, "fxlive.price_chart('EURUSD')", version, *cells, kernel=kernel)
    for cell in (0, 1, 2):
        notebook.run_cell(cell)
    assert notebook.text(2) == ("6" if kernel == "ipykernel6" else "7")
    wait_for_points(page)
    wait_for_badge(page, "live")

    for cell, file in enumerate(files, start=3):
        notebook.start_cell(cell)
        notebook.wait_until_busy()
        count_drawings(page)
        wait_for_drawings(page, 10)
        newest = ask(page, NEWEST)
        wait_for_drawings(page, 20)
        page.wait_for_function(f"newest => ({NEWEST})(0) > newest", arg=newest, polling=50)
        assert notebook.is_running(), notebook.all_outputs()
        (notebook.server.root / file).touch()
        notebook.wait_until_done()
    assert notebook.errors() == []


def test_a_chart_made_in_a_running_cell_is_drawn_before_the_cell_ends(notebook: Notebook) -> None:
    page = notebook.page
    notebook.open(START, "display(fxlive.price_chart('EURUSD', window='10min'))\ntime.sleep(3600)")
    notebook.run_cell(0)
    notebook.start_cell(1)
    wait_for_points(page)  # the page asked for a snapshot and got it, although the cell sleeps
    assert notebook.is_running()
    notebook.interrupt()
    assert "KeyboardInterrupt" in notebook.errors()[0]


def test_every_chart_draws_and_moves(notebook: Notebook) -> None:
    charts = (
        "fxlive.price_chart('EURUSD', 'candles', freq='5s')",
        "fxlive.pnl_chart()",
        "fxlive.pnl_chart('symbol')",
        "fxlive.chart('market-data', ['bid', 'ask'], by='symbol')",
    )
    notebook.page.set_viewport_size({"width": 1280, "height": 2400})
    notebook.open(START.replace("speed=20", "speed=60"), *charts)
    notebook.run_all()
    assert notebook.errors() == []
    for chart in range(len(charts)):
        wait_for_points(notebook.page, 1, chart)
        newest = ask(notebook.page, NEWEST, chart)
        notebook.page.wait_for_function(f"([n, x]) => ({NEWEST})(n) > x", arg=[chart, newest], polling=50)


def test_zoom_brings_detail_and_stays_during_updates_and_style_changes_until_follow(
    notebook: Notebook,
) -> None:
    page = notebook.page
    hidden = WAIT.format(condition="not chart.visible")
    style = "chart.figure.update_layout(title='Mine');"
    long = START.replace("rows=50", "rows=60_000, timeout=600").replace("speed=20", "speed=400")
    notebook.open(long, "chart = fxlive.price_chart('EURUSD', window='4h'); chart", style, hidden)
    notebook.run_cell(0)
    notebook.run_cell(1)
    wait_for_points(page, 20)
    page.evaluate("() => { window.before = Float64Array.from(document.querySelector('.fxlive-plot').data[0].x); }")
    zoomed = zoom(page)
    # The zoomed part is drawn with more points than it had in the whole window.
    detail = "([a, b]) => document.querySelector('.fxlive-plot').data[0].x.filter(x => x >= a && x <= b).length"
    before = page.evaluate("([a, b]) => window.before.filter(x => x >= a && x <= b).length", zoomed)
    page.wait_for_function(f"([range, before]) => ({detail})(range) > before * 1.2", arg=[zoomed, before])
    count_drawings(page)
    wait_for_drawings(page, 100)
    assert ask(page, RANGE) == zoomed
    assert page.evaluate(detail, zoomed) > before * 1.2

    notebook.run_cell(2)
    page.wait_for_function("() => document.querySelector('.fxlive-plot .gtitle')?.textContent === 'Mine'")
    assert ask(page, RANGE) == zoomed

    page.locator(".fxlive-follow").click()
    page.locator(".fxlive-follow").wait_for(state="hidden")
    page.wait_for_function(f"right => ({RANGE})(0)[1] > right", arg=ask(page, NEWEST), polling=50)
    following = ask(page, RANGE)
    assert following[1] > zoomed[1]
    page.wait_for_function(f"right => ({RANGE})(0)[1] > right", arg=following[1], polling=50)

    page.add_style_tag(content=".fxlive-chart { display: none; }")
    notebook.run_cell(3)
    assert notebook.text(3) == "True"  # the kernel is notified while the cell runs
    assert notebook.errors() == []


def test_ranges_set_on_the_figure_are_shown_and_the_first_and_last_bars_are_complete(notebook: Notebook) -> None:
    page = notebook.page
    look = "x = chart.figure.data[0].x\nchart.figure.update_xaxes(range=[x[2], x[10]])"
    notebook.open(
        START,
        "chart = fxlive.price_chart('EURUSD'); chart",
        "chart.figure.update_yaxes(range=[1.0, 1.2])",
        "chart.figure.update_yaxes(range=None, type='log')",
        look,
        "fxlive.price_chart('EURUSD', 'candles', freq='5min', window='15min', name='bars')",
    )
    for cell in (0, 1):
        notebook.run_cell(cell)
    wait_for_points(page, 20)
    notebook.run_cell(2)
    page.wait_for_function(f"() => JSON.stringify(({Y_RANGE})(0)) === '[1,1.2]'")
    notebook.run_cell(3)
    page.wait_for_function(
        f"""() => {{
            const [low, high] = ({Y_RANGE})(0).map((exponent) => 10 ** exponent);
            const last = document.querySelector('.fxlive-plot').data[0].y.at(-1);
            return low > last * 0.9 && low < last && last < high && high < last * 1.1;
        }}"""
    )
    notebook.run_cell(4)
    page.locator(".fxlive-follow").first.wait_for(state="visible")
    asked = ask(page, RANGE)
    assert asked[1] - asked[0] < 60_000
    count_drawings(page)
    wait_for_drawings(page, 5)
    assert ask(page, RANGE) == asked
    page.locator(".fxlive-follow").first.click()
    page.wait_for_function(f"() => ({RANGE})(0)[1] > ({NEWEST})(0)")

    notebook.run_cell(5)
    wait_for_points(page, 0, chart=1)
    left, right = ask(page, RANGE, 1)
    assert right >= ask(page, NEWEST, 1) + 150_000  # half a bar: it is centred on its time
    assert left <= ask(page, OLDEST, 1) - 150_000


def test_a_reload_and_a_second_view_show_the_whole_window_and_load_plotly_once(notebook: Notebook) -> None:
    page = notebook.page
    # The market is slow, so that the first points stay in the window.
    start = START.replace("speed=20", "speed=2")
    # The third cell shows the same chart again, the fourth another one.
    notebook.open(
        start,
        "chart = fxlive.price_chart('EURUSD'); chart",
        "chart",
        "fxlive.price_chart('USDJPY')",
    )
    for cell in range(4):
        notebook.run_cell(cell)
    for chart in range(3):
        wait_for_points(page, 20, chart)
    oldest, count = ask(page, OLDEST), ask(page, POINTS)
    assert ask(page, OLDEST, 1) == oldest

    notebook.save()
    page.goto(page.url.split("?")[0] + "?reset")
    for chart in range(3):
        wait_for_points(page, count if chart < 2 else 20, chart)
        if chart < 2:
            assert ask(page, OLDEST, chart) == oldest
    assert page.evaluate("() => globalThis[Symbol.for('fxlive.plotly')].loads") == 1


def test_with_ipykernel_6_charts_survive_a_reload_and_a_kernel_restart(notebook: Notebook) -> None:
    if not IPYKERNEL6.exists():
        pytest.skip("`make pytest` puts ipykernel 6 beside the newest")
    page = notebook.page
    notebook.open(START, "fxlive.price_chart('EURUSD')", "fxlive.pnl_chart()", kernel="ipykernel6")
    notebook.run_all()
    wait_for_points(page, 5)
    notebook.save()
    page.goto(page.url.split("?")[0] + "?reset")
    wait_for_points(page, 5)
    wait_for_badge(page, "live")

    notebook.restart_kernel()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.fxlive-badge')].every(badge => badge.textContent === 'no kernel')"
    )
    notebook.run_all()
    assert notebook.errors() == []
    wait_for_points(page, 5)
    page.wait_for_function(
        """() => {
            const badges = [...document.querySelectorAll('.fxlive-badge')];
            return badges.length === 2 && badges.every(badge => badge.textContent === 'live');
        }"""
    )
    newest = ask(page, NEWEST)
    page.wait_for_function(f"newest => ({NEWEST})(0) > newest", arg=newest, polling=50)


def test_a_lost_message_is_noticed_and_its_points_are_fetched(notebook: Notebook) -> None:
    page = notebook.page
    # Drop one message on purpose, as the server does with messages that come too fast.
    lose = (
        "from fxlive.widgets.page import Page\npost, lost = Page.post, []\n"
        "def once(self, parts, paused=False):\n"
        "    if lost: return post(self, parts, paused)\n"
        "    self._number += 1; lost.append(sum(len(part.buffers) for part in parts))\n"
        "Page.post = once"
    )
    notebook.open(
        START, "chart = fxlive.price_chart('EURUSD', window='1h'); chart", lose, "print(len(chart.figure.data[0].x))"
    )
    for cell in (0, 1):
        notebook.run_cell(cell)
    wait_for_points(page, 20)
    notebook.run_cell(2)
    count_drawings(page)
    wait_for_drawings(page, 10)
    notebook.run_cell(3)
    wait_for_points(page, int(notebook.text(3)) - 1)


def test_a_saved_notebook_shows_the_last_picture_without_a_kernel_trusted_or_not(
    notebook: Notebook, tmp_path: Path
) -> None:
    page, folder = notebook.page, notebook.server.root
    notebook.open(START, "fxlive.price_chart('EURUSD')", "1 + 1")
    notebook.run_all()
    wait_for_points(page)
    still = "() => { const still = document.querySelector('.fxlive-still'); return still && !still.offsetParent; }"
    page.wait_for_function(still)  # the picture's output exists and is hidden by the live chart
    picture = """async () => {
        await jupyterapp.commands.execute('docmanager:save');
        const outputs = jupyterapp.shell.currentWidget.content.widgets[1].model.outputs.toJSON();
        return outputs.some(({ data }) => String(data['text/html'] ?? '').includes('data:image/png'));
    }"""
    notebook.wait_until(lambda: page.evaluate(picture), "the picture of the chart")
    notebook.server.shut_kernels_down()

    saved = json.loads((folder / "test.ipynb").read_text())
    (folder / "trusted.ipynb").write_text(json.dumps(saved))
    saved["cells"][1]["source"] = "an untrusted notebook"
    saved["cells"][1]["outputs"][1]["data"]["text/html"] += "<!-- invalidates the signature -->"
    (folder / "untrusted.ipynb").write_text(json.dumps(saved))
    for name in ("trusted.ipynb", "untrusted.ipynb"):
        page.goto(f"{notebook.server.url}lab/tree/{name}?reset&token={notebook.server.token}")
        page.locator(".jp-OutputArea img[src^='data:image/png']").wait_for()
        assert page.evaluate("() => document.querySelector('.jp-OutputArea img').naturalWidth") > 400

    html, _ = HTMLExporter().from_filename(str(folder / "test.ipynb"))
    assert 'src="data:image/png;base64' in html


def test_the_time_axis_is_in_the_chosen_zone(notebook: Notebook) -> None:
    page = notebook.page
    notebook.open(
        START,
        "chart = fxlive.price_chart('EURUSD', tz='Asia/Tokyo'); chart",
        "chart.tz = 'UTC'",
    )
    notebook.run_cell(0)
    notebook.run_cell(1)
    wait_for_points(page)
    ahead = ask(page, NEWEST) - page.evaluate("() => Date.now()")
    assert ahead > 8 * 3_600_000  # the demo's market starts now and runs faster than the clock
    assert page.locator(".fxlive-plot .xtitle").text_content() == "Asia/Tokyo"
    notebook.run_cell(2)
    page.wait_for_function("() => document.querySelector('.fxlive-plot .xtitle')?.textContent === 'UTC'")
    assert ask(page, NEWEST) - page.evaluate("() => Date.now()") < 8 * 3_600_000


def test_a_gap_is_shaded_and_the_badge_says_disconnected(notebook: Notebook) -> None:
    page = notebook.page
    disconnect = (
        "from fxlive.core.background import background_loop\npipeline = session._pipeline\n"
        "background_loop().call_soon_threadsafe(pipeline.lost, pipeline.now_us(), 'a test')"
    )
    notebook.open(START, "fxlive.price_chart('EURUSD')", disconnect)
    for cell in (0, 1):
        notebook.run_cell(cell)
    wait_for_points(page)
    notebook.run_cell(2)
    page.wait_for_function("() => document.querySelector('.fxlive-badge').textContent.startsWith('disconnected since')")
    page.wait_for_function(
        "() => document.querySelector('.fxlive-plot').layout.shapes.some(({ name }) => name === 'gap')"
    )


def test_an_empty_chart_waits_in_the_colours_of_the_theme_and_shows_the_end_of_session_and_kernel(
    notebook: Notebook,
) -> None:
    page = notebook.page
    notebook.open(START, "fxlive.price_chart('XAUXAG')", "session.close()", "fxlive.Session.price_chart(session, 'X')")
    notebook.run_cell(0)
    notebook.run_cell(1)
    wait_for_badge(page, "live")
    assert page.locator(".fxlive-waiting").inner_text() == "Waiting for the first tick of XAUXAG"
    page.wait_for_function("() => document.querySelector('.fxlive-plot')._fullLayout")
    for theme, light in (("JupyterLab Dark", "false"), ("JupyterLab Light", "true")):
        page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', { theme })", theme)
        page.wait_for_function(
            """light => document.body.dataset.jpThemeLight === light
                && document.querySelector('.fxlive-plot')._fullLayout.paper_bgcolor
                    === getComputedStyle(document.body).getPropertyValue('--jp-layout-color0').trim()""",
            arg=light,
            polling=50,
        )
        # JupyterLab reports an error if the theme is changed again while its splash screen is shown.
        page.locator("#jupyterlab-splash").wait_for(state="detached")

    notebook.run_cell(2)
    wait_for_badge(page, "closed")
    notebook.run_cell(3)
    assert "UnknownSymbol: Unknown symbol 'X'" in notebook.errors()[0]
    assert "EURUSD" in notebook.errors()[0]
    notebook.restart_kernel()
    wait_for_badge(page, "no kernel")

"""Live charts in JupyterLab: they draw, move while a cell runs, and leave the view where the user put it."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

from tests.browser.jupyterlab import Notebook

START = "import fxlive, time\nsession = fxlive.demo(speed=20)\nsession.wait_for('market-data', rows=50);"

# What a test asks of the n-th chart on the page.
POINTS = "n => document.querySelectorAll('.fxlive-plot')[n]?.data?.[0].x.length ?? 0"
NEWEST = "n => document.querySelectorAll('.fxlive-plot')[n].data[0].x.at(-1)"
RANGE = """n => document.querySelectorAll('.fxlive-plot')[n].layout.xaxis.range.map(
    time => Date.parse(time.replace(' ', 'T').replace('Z', '') + 'Z'))"""

# A cell that prints whether a condition came true while it ran.
WAIT = """ends = time.monotonic() + 10
while not ({condition}) and time.monotonic() < ends:
    time.sleep(0.02)
print({condition})"""


def wait_for_points(page: Page, more_than: int = 5, chart: int = 0) -> None:
    page.wait_for_function(f"([n, count]) => ({POINTS})(n) > count", arg=[chart, more_than], polling=50)


def wait_for_badge(page: Page, text: str) -> None:
    page.wait_for_function("text => document.querySelector('.fxlive-badge')?.textContent === text", arg=text)


def count_drawings(page: Page, chart: int = 0) -> None:
    """From now on, count in `window.drawings` how often the chart is drawn."""
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
    """Drag a frame in the first chart once it moves, and return the range that its time axis then has."""
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


def test_a_chart_moves_while_a_cell_sleeps_and_while_it_computes(notebook: Notebook) -> None:
    page = notebook.page
    compute = "ends = time.monotonic() + 5\nwhile time.monotonic() < ends:\n    sum(range(1000))"
    inside = "display(fxlive.price_chart('EURUSD', window='10min'))\ntime.sleep(60)"
    notebook.open(START, "fxlive.price_chart('EURUSD')", "time.sleep(5)", compute, inside)
    for cell in (0, 1):
        notebook.run_cell(cell)
    wait_for_points(page)
    wait_for_badge(page, "live")

    for cell in (2, 3):
        count_drawings(page)
        newest = ask(page, NEWEST)
        notebook.run_cell(cell)
        assert page.evaluate("() => window.drawings") >= 20, notebook.all_outputs()
        assert ask(page, NEWEST) - newest > 4 * 20_000  # of the market's 5 s times 20

    notebook.start_cell(4)
    wait_for_points(page, chart=1)  # the page asked for the window and got it, though the cell sleeps
    assert page.evaluate("() => window.fxliveRunning")
    page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()")
    notebook.wait_until_done()
    assert "KeyboardInterrupt" in notebook.errors()[0]


def test_zoom_survives_fifty_updates_and_a_new_style_and_follow_goes_back(notebook: Notebook) -> None:
    page = notebook.page
    hidden = WAIT.format(condition="not chart.visible")
    style = "chart.figure.update_layout(title='Mine');"
    notebook.open(START, "chart = fxlive.price_chart('EURUSD'); chart", style, hidden)
    notebook.run_cell(0)
    notebook.run_cell(1)
    wait_for_points(page, 20)
    zoomed = zoom(page)
    count_drawings(page)
    wait_for_drawings(page, 50)
    assert ask(page, RANGE) == zoomed

    notebook.run_cell(2)
    page.wait_for_function("() => document.querySelector('.fxlive-plot .gtitle')?.textContent === 'Mine'")
    assert ask(page, RANGE) == zoomed

    page.locator(".fxlive-follow").click()
    page.locator(".fxlive-follow").wait_for(state="hidden")
    following = ask(page, RANGE)
    assert following[1] > zoomed[1]
    page.wait_for_function(f"right => ({RANGE})(0)[1] > right", arg=following[1], polling=50)

    page.add_style_tag(content=".fxlive-chart { display: none; }")
    notebook.run_cell(3)
    assert notebook.text(3) == "True"  # nobody sees it, so nothing is sent; that the kernel hears while the cell runs
    assert notebook.errors() == []


def test_a_reload_and_a_second_view_show_the_whole_window_and_load_plotly_once(notebook: Notebook) -> None:
    page = notebook.page
    # The third cell shows the same chart again; the fourth another one.
    notebook.open(START, "chart = fxlive.price_chart('EURUSD'); chart", "chart", "fxlive.price_chart('USDJPY')")
    for cell in range(4):
        notebook.run_cell(cell)
    for chart in range(3):
        wait_for_points(page, 20, chart)
    first = "n => document.querySelectorAll('.fxlive-plot')[n].data[0].x[0]"
    start, count = ask(page, first), ask(page, POINTS)
    assert ask(page, first, 1) == start

    notebook.save()
    page.goto(page.url.split("?")[0] + "?reset")
    for chart in range(3):
        wait_for_points(page, count, chart)
        assert ask(page, first, chart) == (start if chart < 2 else ask(page, first, chart))
    assert page.evaluate("() => globalThis[Symbol.for('fxlive.page')].loads") == 1


def test_an_empty_chart_waits_in_the_themes_colours_and_says_when_session_or_kernel_have_ended(
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
        # JupyterLab takes its splash screen away twice where the next change comes before it is gone.
        page.locator("#jupyterlab-splash").wait_for(state="detached")

    notebook.run_cell(2)
    wait_for_badge(page, "closed")
    notebook.run_cell(3)
    assert "UnknownSymbol: There is no symbol 'X'" in notebook.errors()[0]
    assert "EURUSD" in notebook.errors()[0]
    page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    wait_for_badge(page, "no kernel")

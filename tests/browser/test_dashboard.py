"""The dashboard in JupyterLab: it draws, fits its width, follows what is picked, and comes back after a reload."""

from __future__ import annotations

import pytest

from tests.browser.jupyterlab import Notebook

START = "import fxlive, time\nsession = fxlive.demo(speed=60)\nsession.wait_for('market-data', rows=500, timeout=60);"
LIVE = """count => {
    document.querySelector('.fxlive-places')?.scrollIntoView({ block: 'nearest' });
    const badges = [...document.querySelectorAll('.fxlive-places .fxlive-badge')].filter(badge => badge.offsetParent);
    return badges.length >= count && badges.every(badge => ['live', 'connected'].includes(badge.textContent));
}"""
TITLE = "title => document.querySelector('.fxlive-at-price .gtitle')?.textContent === title"

BADGES = """() => [...document.querySelectorAll('.fxlive-badge')]
    .filter(badge => badge.offsetParent).map(badge => badge.textContent)"""


@pytest.mark.timeout(120)
def test_after_a_restart_the_same_cells_leave_no_dead_widget_of_any_kind(notebook: Notebook) -> None:
    page = notebook.page
    page.set_viewport_size({"width": 1280, "height": 3000})
    notebook.open(START, "fxlive.dashboard()", "fxlive.grid('orders')", "fxlive.status_bar()")
    notebook.run_all()
    page.wait_for_function(LIVE, arg=4)
    page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    page.wait_for_function(f"() => ({BADGES})().length && ({BADGES})().every(text => text === 'no kernel')")
    notebook.run_all()
    assert notebook.errors() == []
    page.wait_for_function(LIVE, arg=4)
    page.wait_for_function(f"() => ({BADGES})().length === 8 && !({BADGES})().includes('no kernel')")


@pytest.mark.timeout(180)
def test_it_draws_fits_its_width_and_follows_what_is_picked(notebook: Notebook) -> None:
    page = notebook.page
    page.set_viewport_size({"width": 1280, "height": 2000})
    busy = "ends = time.monotonic() + 60\nwhile time.monotonic() < ends:\n    time.sleep(0.01)"
    notebook.open(START, "fxlive.dashboard()", busy, "fxlive.dashboard()")
    notebook.run_cell(0)
    notebook.run_cell(1)
    page.wait_for_function(LIVE, arg=4)
    page.wait_for_function(TITLE, arg="EURUSD")
    for place in ("price", "pnl"):
        page.wait_for_function(
            f"() => document.querySelector('.fxlive-at-{place} .fxlive-plot')?.data?.[0]?.x.length > 5", polling=50
        )
    page.locator(".fxlive-at-tabs [role=grid]:visible").wait_for()

    # Picked while a cell runs.
    notebook.start_cell(2)
    page.locator(".fxlive-at-price select[aria-label=symbol]").select_option("USDJPY")
    page.wait_for_function(TITLE, arg="USDJPY")
    page.locator(".fxlive-at-price select[aria-label=bars]").select_option("5s")
    page.wait_for_function(
        "() => document.querySelector('.fxlive-at-price .fxlive-plot')?.data?.[0]?.type === 'candlestick'"
    )
    page.locator(".fxlive-at-pnl select[aria-label=by]").select_option("symbol")
    page.wait_for_function(
        "() => document.querySelector('.fxlive-at-pnl .gtitle')?.textContent.startsWith('P&L by symbol')"
    )
    assert page.evaluate("() => window.fxliveRunning")
    page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()")
    notebook.wait_until_done()

    page.get_by_role("tab", name="Trades").click()
    page.locator(".fxlive-at-tabs [role=grid]:visible").get_by_text("execution_id").first.wait_for()

    page.evaluate("() => jupyterapp.commands.execute('application:toggle-left-area')")
    for width, expected in ((1280, 2), (1920, 3), (640, 1)):
        page.set_viewport_size({"width": width, "height": 2000})
        page.wait_for_function(
            """expected => getComputedStyle(document.querySelector('.fxlive-places'))
                .gridTemplateColumns.split(' ').length === expected""",
            arg=expected,
        )
        # Nothing is wider than its place.
        assert page.evaluate(
            """() => [...document.querySelectorAll('.fxlive-places > *')].every(
                part => part.getBoundingClientRect().right
                    <= document.querySelector('.fxlive-places').getBoundingClientRect().right + 1)"""
        )
        # Beside the others a grid has the room that they take.
        height_px = page.evaluate(
            """() => Math.max(
                ...[...document.querySelectorAll('.fxlive-at-tabs .fxlive-scroller')].map(s => s.clientHeight))"""
        )
        assert (height_px > 24 * 24) == (expected == 3)

    # As a pane is dragged almost shut, and open again: an error in the console fails the test.
    plot = "document.querySelector('.fxlive-at-pnl .fxlive-plot')"
    was = page.evaluate(f"() => {plot}.style.width")
    for width in ("10px", was):
        page.evaluate(f"width => {{ {plot}.style.width = width; }}", width)
        page.wait_for_function(f"() => {plot}._fullLayout.width === {plot}.clientWidth")

    notebook.run_cell(3)  # the same again takes the place of the first
    page.wait_for_function("() => document.querySelectorAll('.fxlive-places').length === 1")
    page.wait_for_function(LIVE, arg=4)

    notebook.save()
    page.goto(page.url.split("?")[0] + "?reset")
    page.wait_for_function(LIVE, arg=4)
    page.wait_for_function(TITLE, arg="EURUSD")
    # The output of the first dashboard has no widget any more, of which JupyterLab itself complains as it resizes.
    known = ("widget model not found", "processLuminoMessage")
    notebook.console_errors[:] = [e for e in notebook.console_errors if not any(noise in e for noise in known)]

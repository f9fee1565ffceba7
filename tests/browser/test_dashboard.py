"""The dashboard in JupyterLab: drawing, layout by width, pickers, reload and restart of the kernel."""

from __future__ import annotations

from tests.browser.jupyterlab import Notebook

START = "import fxlive, time\nsession = fxlive.demo(speed=60)\nsession.wait_for('market-data', rows=500, timeout=600);"
LIVE = """count => {
    document.querySelector('.fxlive-places')?.scrollIntoView({ block: 'nearest' });
    const badges = [...document.querySelectorAll('.fxlive-places .fxlive-badge')].filter(badge => badge.offsetParent);
    return badges.length >= count && badges.every(badge => ['live', 'connected'].includes(badge.textContent));
}"""
TITLE = "title => document.querySelector('.fxlive-at-price .gtitle')?.textContent === title"

BADGES = """() => [...document.querySelectorAll('.fxlive-badge')]
    .filter(badge => badge.offsetParent).map(badge => badge.textContent)"""


def test_after_a_kernel_restart_running_the_cells_again_replaces_every_widget(notebook: Notebook) -> None:
    page = notebook.page
    page.set_viewport_size({"width": 1280, "height": 3000})
    notebook.open(START, "fxlive.dashboard()", "fxlive.grid('orders')", "fxlive.status_bar()")
    notebook.run_all()
    page.wait_for_function(LIVE, arg=4)
    notebook.restart_kernel()
    page.wait_for_function(f"() => ({BADGES})().length && ({BADGES})().every(text => text === 'no kernel')")
    notebook.run_all()
    assert notebook.errors() == []
    page.wait_for_function(LIVE, arg=4)
    page.wait_for_function(f"() => ({BADGES})().length === 8 && !({BADGES})().includes('no kernel')")


def test_a_dashboard_draws_fits_its_width_and_follows_its_pickers(notebook: Notebook) -> None:
    page = notebook.page
    page.set_viewport_size({"width": 1280, "height": 2000})
    busy = "while True:\n    time.sleep(0.01)"
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

    # Pickers work while a cell runs.
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
    assert notebook.is_running()
    notebook.interrupt()

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
        # No part is wider than its column.
        assert page.evaluate(
            """() => [...document.querySelectorAll('.fxlive-places > *')].every(
                part => part.getBoundingClientRect().right
                    <= document.querySelector('.fxlive-places').getBoundingClientRect().right + 1)"""
        )
        # With three columns the grid spans two rows of the layout.
        height_px = page.evaluate(
            """() => Math.max(
                ...[...document.querySelectorAll('.fxlive-at-tabs .fxlive-scroller')].map(s => s.clientHeight))"""
        )
        assert (height_px > 24 * 24) == (expected == 3)

    # The user drags a pane almost shut and open again. An error in the console would fail the test.
    plot = "document.querySelector('.fxlive-at-pnl .fxlive-plot')"
    before = page.evaluate(f"() => {plot}.style.width")
    for width in ("10px", before):
        page.evaluate(f"width => {{ {plot}.style.width = width; }}", width)
        page.wait_for_function(f"() => {plot}._fullLayout.width === {plot}.clientWidth")

    notebook.run_cell(3)  # a second dashboard replaces the first
    page.wait_for_function("() => document.querySelectorAll('.fxlive-places').length === 1")
    page.wait_for_function(LIVE, arg=4)

    notebook.save()
    page.goto(page.url.split("?")[0] + "?reset")
    page.wait_for_function(LIVE, arg=4)
    page.wait_for_function(TITLE, arg="EURUSD")
    # The widget of the first dashboard's output is closed. JupyterLab itself reports that as an error.
    notebook.console_errors[:] = [e for e in notebook.console_errors if "processLuminoMessage" not in e]

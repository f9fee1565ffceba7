"""The alerts feed in JupyterLab: order, filters, and acknowledgements that survive a reload."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.browser.jupyterlab import Notebook
from tests.browser.test_grid import START, run

ALERTS = """
def alert(number, severity, **data):
    plain = {"alertId": f"a{number}", "severity": severity, "title": f"Alert {number}"}
    put("alerts", "alert", [plain | data], number)
"""


def wait_for_titles(page: Page, expected: list[str], where: str = ".fxlive-alert") -> None:
    page.wait_for_function(
        """([where, expected]) => JSON.stringify(expected) === JSON.stringify(
            [...document.querySelectorAll(`${where} .fxlive-title`)].map((title) => title.textContent))""",
        arg=[where, expected],
        polling=50,
    )


def test_alerts_can_be_filtered_and_acknowledged_and_a_reload_keeps_acknowledgements(notebook: Notebook) -> None:
    page = notebook.page
    first = "alert(1, 'INFO')\nalert(2, 'WARNING', message='<b>margin</b> is low', entity={'type': 'USER', 'id': 'u7'})"
    notebook.open(
        START + ALERTS + first, "feed = fxlive.alerts_feed(); feed", "alert(3, 'CRITICAL')", "print(*feed.acknowledged)"
    )
    run(notebook, 0, 1)
    wait_for_titles(page, ["Alert 2", "Alert 1"])
    assert page.locator(".fxlive-about").first.inner_text() == "<b>margin</b> is low · USER u7"
    run(notebook, 2)
    wait_for_titles(page, ["Alert 3", "Alert 2", "Alert 1"])
    page.wait_for_function("() => document.querySelector('.fxlive-count').textContent === '3 unacknowledged · 3 shown'")

    page.locator(".fxlive-filter").fill("u7 margin")
    wait_for_titles(page, ["Alert 2"])
    page.locator(".fxlive-filter").fill("")
    page.locator("button.fxlive-severity", has_text="WARNING 1").click()
    wait_for_titles(page, ["Alert 3", "Alert 1"])
    page.locator("button.fxlive-severity", has_text="WARNING 1").click()

    page.locator(".fxlive-alert", has_text="Alert 3").get_by_role("button").click()
    wait_for_titles(page, ["Alert 3"], ".fxlive-alert[data-acknowledged=true]")
    run(notebook, 3)
    assert notebook.text(3) == "a3"
    notebook.save()
    page.goto(page.url.split("?")[0] + "?reset")
    wait_for_titles(page, ["Alert 3", "Alert 2", "Alert 1"])
    wait_for_titles(page, ["Alert 3"], ".fxlive-alert[data-acknowledged=true]")
    page.get_by_role("button", name="Acknowledge all").click()
    page.wait_for_function("() => document.querySelector('.fxlive-count').textContent === '0 unacknowledged · 3 shown'")

"""Fixtures for tests in a real browser: one JupyterLab for all, a browser for each module, a page for each test.

Without a browser these tests are skipped, with the reason. With FXLIVE_BROWSER=required, as in CI, they fail instead.
The report of a failed test has the state of the page, and build/browser/ has a screenshot of it (evidence.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, ViewportSize, sync_playwright

from tests.browser.evidence import page_report
from tests.browser.jupyterlab import BROWSER_ARGUMENTS, PATIENCE_S, JupyterLabServer, Notebook, find_browser

HERE = Path(__file__).parent
REQUIRED = os.environ.get("FXLIVE_BROWSER") == "required"
TEST_TIMEOUT_S = 600
VIEWPORT: ViewportSize = {"width": 1280, "height": 1000}
FAILED = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(TEST_TIMEOUT_S))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.skipped and HERE in item.path.parents and REQUIRED:
        report.outcome = "failed"
        report.longrepr = f"FXLIVE_BROWSER=required, but the test was skipped: {report.longrepr}"
    if report.when == "call":
        item.stash[FAILED] = report.failed
        notebook = getattr(item, "funcargs", {}).get("notebook")
        if report.failed and isinstance(notebook, Notebook):  # its page is still open
            report.sections.append(("page", page_report(notebook, item.name)))
    return report


@pytest.fixture(scope="session")
def browser_path() -> str:
    path = find_browser()
    if path is None:
        pytest.skip("no Chromium on the PATH (Debian, Ubuntu: apt-get install chromium)")
    return path


@pytest.fixture(scope="session")
def jupyterlab(browser_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterLabServer]:
    server = JupyterLabServer(tmp_path_factory.mktemp("jupyterlab"))
    server.start()
    yield server
    server.stop()


# For a module, not for the session: while Playwright's synchronous API is open, the main thread counts as running an
# event loop, and `asyncio.run` in the tests of other modules would fail. All modules use one profile: JupyterLab opens
# in half the processor time once the browser has its files and their compiled code on the disk.
@pytest.fixture(scope="module")
def browser(browser_path: str, browser_profile: Path) -> Iterator[BrowserContext]:
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            browser_profile,
            executable_path=browser_path,
            args=BROWSER_ARGUMENTS,
            timeout=PATIENCE_S * 1000,
            viewport=VIEWPORT,
        )
        context.set_default_timeout(PATIENCE_S * 1000)
        yield context
        context.close()


@pytest.fixture(scope="session")
def browser_profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browser")


@pytest.fixture
def notebook(
    jupyterlab: JupyterLabServer, browser: BrowserContext, request: pytest.FixtureRequest
) -> Iterator[Notebook]:
    """An empty page beside a running JupyterLab: `notebook.open("1 + 1")`.

    The test also fails if the page wrote an error to its console.
    """
    notebook = Notebook(jupyterlab, browser.new_page())
    yield notebook
    failed = request.node.stash.get(FAILED, False)
    if notebook.console_errors and not failed:
        print(page_report(notebook, request.node.name))
    notebook.page.close()
    jupyterlab.shut_kernels_down()
    if not failed:
        assert notebook.console_errors == []

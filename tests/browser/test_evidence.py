"""A failed browser test reports what the page showed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser import evidence
from tests.browser.jupyterlab import Notebook


def test_the_report_has_text_outputs_console_errors_and_a_screenshot_but_no_token(
    notebook: Notebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "FOLDER", tmp_path / "build")
    notebook.open(
        "from IPython.display import HTML, Javascript\nprint('to read')\nHTML('<p>shown in the page</p>')",
        "Javascript('console.error(\"went wrong\")')",
        f"1 / 0  # {notebook.server.token}",
    )
    notebook.run_all()
    notebook.wait_until(lambda: notebook.console_errors, "the error in the console")
    report = evidence.page_report(notebook, "test_of[a/case]")
    notebook.console_errors.clear()

    for text in ("stdout: to read", "shown in the page", "went wrong", "ZeroDivisionError: division by zero"):
        assert text in report
    assert notebook.server.token not in report
    picture = tmp_path / "build" / "test_of-a-case-.png"
    assert f"screenshot: {picture}" in report
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_page_that_is_gone_does_not_hide_the_failure(
    notebook: Notebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "FOLDER", tmp_path)
    notebook.page.close()
    report = evidence.page_report(notebook, "test_of_a_closed_page")

    assert "the page does not answer" in report
    assert "screenshot: none" in report

"""Every notebook runs to its end in JupyterLab, as a user would run it: without an error in a cell or on the page."""

from pathlib import Path

import pytest

from tests.browser.jupyterlab import Notebook

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_in_jupyterlab_without_an_error(notebook: Notebook, path: Path) -> None:
    notebook.open_copy_of(path)
    notebook.run_all(timeout_s=240)

    assert notebook.errors() == []

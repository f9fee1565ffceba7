"""Every notebook runs to its end in JupyterLab, as a user would run it: without an error in a cell or on the page."""

from pathlib import Path

import pytest

from fxlive.simulator.fixture import SimulatorFactory
from tests.browser.jupyterlab import Notebook

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_in_jupyterlab_without_an_error(notebook: Notebook, path: Path, fx_simulator: SimulatorFactory) -> None:
    notebook.server.write_kernels(FXLIVE_URL=fx_simulator.url, FXLIVE_TOKEN=fx_simulator.token())
    notebook.open_copy_of(path)
    notebook.run_all(timeout_s=240)
    notebook.server.write_kernels()

    assert notebook.errors() == []

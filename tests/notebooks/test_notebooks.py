"""Notebooks run without a front end, and are committed without outputs.

tests/browser/test_notebooks.py runs every notebook in JupyterLab; where that is possible only one is run again here.
"""

import json
import subprocess
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from fxlive.simulator.fixture import SimulatorFactory
from tests.browser.jupyterlab import find_browser

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
WITHOUT_A_FRONT_END = [path for path in NOTEBOOKS if find_browser() is None or path.stem == "quickstart"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", WITHOUT_A_FRONT_END, ids=lambda path: path.stem)
def test_a_notebook_runs_without_an_error_or_the_token_in_its_outputs(
    path: Path, tmp_path: Path, fx_simulator: SimulatorFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = fx_simulator.token()
    monkeypatch.setenv("FXLIVE_URL", fx_simulator.url)  # for connect-your-platform.ipynb
    monkeypatch.setenv("FXLIVE_TOKEN", token)
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=240,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()

    assert token not in nbformat.writes(notebook)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_without_outputs(path: Path) -> None:
    # Check the staged file: the file in the folder may have outputs after `make demo`.
    staged = subprocess.run(["git", "show", f":notebooks/{path.name}"], cwd=ROOT, capture_output=True, text=True)
    notebook = json.loads(staged.stdout if staged.returncode == 0 else path.read_text(encoding="utf-8"))

    for number, cell in enumerate(notebook["cells"]):
        assert not cell.get("outputs"), f"cell {number} has outputs: clear them before committing"
        assert cell.get("execution_count") is None, f"cell {number} has an execution count: clear the outputs"

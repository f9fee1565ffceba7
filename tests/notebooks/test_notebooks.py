"""Every notebook runs to its end, and is committed without outputs."""

import json
import subprocess
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from fxlive.simulator.fixture import SimulatorFactory

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_to_its_end(
    path: Path, tmp_path: Path, fx_simulator: SimulatorFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = fx_simulator.token()
    monkeypatch.setenv("FXLIVE_URL", fx_simulator.url)  # for the notebook that connects to a platform of one's own
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
def test_it_is_committed_without_outputs(path: Path) -> None:
    # What git has, not what lies in the folder: who has just run `make demo` has outputs there, and may.
    staged = subprocess.run(["git", "show", f":notebooks/{path.name}"], cwd=ROOT, capture_output=True, text=True)
    notebook = json.loads(staged.stdout if staged.returncode == 0 else path.read_text(encoding="utf-8"))

    for number, cell in enumerate(notebook["cells"]):
        assert not cell.get("outputs"), f"cell {number} has outputs: clear them before committing"
        assert cell.get("execution_count") is None, f"cell {number} has an execution count: clear the outputs"

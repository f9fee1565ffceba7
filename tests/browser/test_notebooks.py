"""Every notebook runs to its end in JupyterLab, as a user would run it: without an error in a cell or on the page.

As it is then saved, with the pictures of what moved, it is shown in the documentation.
"""

import shutil
import time
from pathlib import Path

import pytest

from fxlive.simulator.fixture import SimulatorFactory
from tests.browser.jupyterlab import Notebook

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
RUN = ROOT / "build" / "notebooks"

# Every widget has left its picture, but where there are no alerts to show.
PICTURED = """async () => {
    document.querySelector(".jp-Notebook .jp-Cell").scrollIntoView();
    await jupyterapp.commands.execute("docmanager:save");
    const cells = jupyterapp.shell.currentWidget.content.widgets.map((cell) => cell.model.toJSON());
    return cells.every(({ source, outputs }) => {
        const stills = (outputs ?? []).filter((output) => output.metadata?.fxlive_still);
        const html = stills.flatMap((still) => still.data["text/html"]).join("");
        if (!stills.length || source.includes("alerts_feed")) return true;
        return source.includes("dashboard()")
            ? html.split("<img ").length > 2 // both of its charts
            : html !== '<div class="fxlive-still"></div>';
    });
}"""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_in_jupyterlab_without_an_error_and_leaves_its_pictures(
    notebook: Notebook, path: Path, fx_simulator: SimulatorFactory
) -> None:
    notebook.server.write_kernels(FXLIVE_URL=fx_simulator.url, FXLIVE_TOKEN=fx_simulator.token())
    notebook.open_copy_of(path)
    notebook.run_all(timeout_s=240)
    notebook.server.write_kernels()

    assert notebook.errors() == []

    notebook.page.set_viewport_size({"width": 1280, "height": 12_000})  # all of it is in view, and so is drawn
    ends = time.monotonic() + 60
    while not notebook.page.evaluate(PICTURED):
        assert time.monotonic() < ends, "a widget has left no picture"
        notebook.page.wait_for_timeout(500)
    RUN.mkdir(parents=True, exist_ok=True)
    shutil.copy(notebook.server.root / path.name, RUN)

"""Every notebook runs to its end in JupyterLab without an error in a cell or on the page, and without the token.

The documentation shows the notebooks as they are saved here, with the still pictures of their widgets.
"""

import shutil
from pathlib import Path

import pytest

from fxlive.simulator.fixture import SimulatorFactory
from tests.browser.jupyterlab import Notebook

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
RUN = ROOT / "build" / "notebooks"

# Whether every widget has its still picture. A feed without alerts has none.
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


@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_without_an_error_or_the_token_and_saves_its_pictures(
    notebook: Notebook, path: Path, fx_simulator: SimulatorFactory
) -> None:
    token = fx_simulator.token()
    notebook.server.write_kernels(FXLIVE_URL=fx_simulator.url, FXLIVE_TOKEN=token)  # for connect-your-platform.ipynb
    notebook.open_copy_of(path)
    notebook.run_all(timeout_s=900)
    notebook.server.write_kernels()

    assert notebook.errors() == []

    notebook.page.set_viewport_size({"width": 1280, "height": 12_000})  # every widget is in view, and so is drawn
    notebook.wait_until(lambda: notebook.page.evaluate(PICTURED), "the picture of every widget")
    assert token not in (notebook.server.root / path.name).read_text(encoding="utf-8")
    RUN.mkdir(parents=True, exist_ok=True)
    shutil.copy(notebook.server.root / path.name, RUN)

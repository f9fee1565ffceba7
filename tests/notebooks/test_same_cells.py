"""The same cells of a notebook on live, replayed and opened data give the same frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest

import fxlive
from tests.capture.sessions import equal, path_of
from tests.handmade import clean_slate  # noqa: F401

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "capture-and-replay.ipynb"


def cells() -> dict[str, Any]:
    """What the notebook's cells define."""
    same = [c for c in nbformat.read(NOTEBOOK, as_version=4).cells if "same-cells" in c.metadata.get("tags", ())]
    assert same
    names: dict[str, Any] = {"fxlive": fxlive}
    for cell in same:
        exec(cell.source, names)
    return names


@pytest.mark.timeout(120)
def test_the_cells_of_a_notebook_find_the_same_in_live_replayed_and_opened_data(tmp_path: Path) -> None:
    with fxlive.demo(name="live", speed=20.0, record=tmp_path) as live:
        live.wait_for("trades", rows=5, timeout=60)
        live.wait_for("market-data", rows=1_000, timeout=60)
        live.reconnect()
        live._pipeline.wait_until(lambda: live.state == "connected", 30, "the connection")
    study, picture = cells()["study"], cells()["picture"]
    expected: dict[str, pd.DataFrame] = study(live)
    looks = picture(live).figure.layout
    with fxlive.replay(path_of(live), speed=None) as replayed:
        replayed.wait_until_end(timeout=60)

    for session in (fxlive.open_capture(path_of(live)), replayed):
        found = study(session)
        assert list(found) == list(expected)
        assert picture(session).figure.layout.title.text == looks.title.text.replace("live", session.name)
        for name, frame in expected.items():
            equal(found[name], frame)
        equal(session.rejected(), live.rejected())
        equal(session.gaps()[["start", "end", "duration_s", "reason", "channels"]], live.gaps())
    assert len(live.gaps()) == 1

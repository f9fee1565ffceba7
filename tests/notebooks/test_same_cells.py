"""The cells of a notebook return the same frames for a live session, a capture and a replay."""

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


def functions() -> dict[str, Any]:
    """Return the functions that the tagged cells of the notebook define."""
    tagged = [c for c in nbformat.read(NOTEBOOK, as_version=4).cells if "same-cells" in c.metadata.get("tags", ())]
    assert tagged
    names: dict[str, Any] = {"fxlive": fxlive}
    for cell in tagged:
        exec(cell.source, names)
    return names


@pytest.mark.timeout(300)
def test_the_same_cells_return_the_same_frames_live_in_a_capture_and_in_a_replay(tmp_path: Path) -> None:
    with fxlive.demo(name="live", speed=20.0, record=tmp_path) as live:
        live.wait_for("trades", rows=5, timeout=120)
        live.wait_for("market-data", rows=1_000, timeout=120)
        live.reconnect()
        live._pipeline.wait_until(lambda: live.state == "connected", 60, "the connection")
    study, picture = functions()["study"], functions()["picture"]
    expected: dict[str, pd.DataFrame] = study(live)
    live_layout = picture(live).figure.layout
    with fxlive.replay(path_of(live), speed=None) as replayed:
        replayed.wait_until_end(timeout=120)

    for session in (fxlive.open_capture(path_of(live)), replayed):
        frames = study(session)
        assert list(frames) == list(expected)
        assert picture(session).figure.layout.title.text == live_layout.title.text.replace("live", session.name)
        for name, frame in expected.items():
            equal(frames[name], frame)
        equal(session.rejected(), live.rejected())
        equal(session.gaps()[["start", "end", "duration_s", "reason", "channels"]], live.gaps())
    assert len(live.gaps()) == 1

from collections.abc import Iterator

import pytest

from fxlive.widgets import plotly_source
from tests.widgets.recording_comm import Recorded, recording


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    """What a browser would get of the widgets that a test makes."""
    monkeypatch.setattr(plotly_source, "_shared", None)
    with recording(monkeypatch) as recorded:
        yield recorded

from collections.abc import Iterator

import pytest

from fxlive.widgets import base as live
from fxlive.widgets import page as the_page
from fxlive.widgets.charts import plotly_source
from tests.widgets.kernel_side import Platform
from tests.widgets.recording_comm import Recorded, recording


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    """What a browser would get of the widgets that a test makes."""
    monkeypatch.setattr(plotly_source, "_shared", None)
    monkeypatch.setattr(the_page, "_shared", None)
    monkeypatch.setattr(live, "_named", {})
    with recording(monkeypatch) as recorded:
        yield recorded


@pytest.fixture
def platform() -> Iterator[Platform]:
    """A platform that says what a test puts."""
    platform = Platform()
    yield platform
    platform.close()

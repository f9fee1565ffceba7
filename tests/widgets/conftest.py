from collections.abc import Iterator

import pytest

from fxlive.widgets import base, dashboard
from fxlive.widgets import page as page_module
from fxlive.widgets.charts import plotly_source
from tests.widgets.kernel_side import Platform
from tests.widgets.recording_comm import RecordedPage, recording


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordedPage]:
    """Records every message that the widgets of a test send to the browser."""
    monkeypatch.setattr(plotly_source, "_shared", None)
    monkeypatch.setattr(page_module, "_shared", None)
    monkeypatch.setattr(base, "_widgets", {})
    monkeypatch.setattr(dashboard, "_dashboards", {})
    with recording(monkeypatch) as recorded:
        yield recorded


@pytest.fixture
def platform() -> Iterator[Platform]:
    """A platform whose messages and clock the test controls."""
    platform = Platform()
    yield platform
    platform.close()

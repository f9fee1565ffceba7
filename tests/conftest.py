"""What runs beside what where the tests have two processes: those that look at a page in one, the rest in the other."""

from __future__ import annotations

from pathlib import Path

import pytest

PAGES = Path(__file__).parent / "browser"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that look at a page, which take half of the time, and keep the tests of a file together."""
    items.sort(key=lambda item: PAGES not in item.path.parents)
    for item in items:
        group = "pages" if PAGES in item.path.parents else item.path.as_posix()
        item.add_marker(pytest.mark.xdist_group(group))

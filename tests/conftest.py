"""What runs beside what where the tests have two processes: those that look at a page in one, the rest in the other."""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

PAGES = "tests/browser/"


class PagesTogether(LoadFileScheduling):
    """The tests of a file run in one process, and those of all files that look at a page."""

    def _split_scope(self, nodeid: str) -> str:
        return PAGES if nodeid.startswith(PAGES) else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> PagesTogether:
    return PagesTogether(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the pages, which take half of the time."""
    items.sort(key=lambda item: not item.nodeid.startswith(PAGES))

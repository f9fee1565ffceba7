"""Distribution of the tests over two processes: browser tests in one, all others in the other."""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

BROWSER_TESTS = "tests/browser/"


class BrowserTestsTogether(LoadFileScheduling):
    """A scheduler that runs all browser tests in one process, and each other file in any one process."""

    def _split_scope(self, nodeid: str) -> str:
        return BROWSER_TESTS if nodeid.startswith(BROWSER_TESTS) else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> BrowserTestsTogether:
    return BrowserTestsTogether(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the browser tests, which take half of the time."""
    items.sort(key=lambda item: not item.nodeid.startswith(BROWSER_TESTS))

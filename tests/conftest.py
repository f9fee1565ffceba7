"""Settings for all tests: browser tests run in one process, all others in the other; property tests take any time."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

BROWSER_TESTS = "tests/browser/"
FIRST = (
    BROWSER_TESTS,
    "tests/entrypoints/test_cli.py",
    "tests/capture/test_attacks.py",
    "tests/docs/test_pages.py",
    "tests/capture/test_names.py",
    "tests/analytics/test_agreement.py",
    "tests/wire/test_fuzz.py",
    "tests/notebooks/",
)

# Neither the time of an example nor that of generating it says anything on a busy machine.
settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")


class BrowserTestsTogether(LoadFileScheduling):
    """A scheduler that runs all browser tests in one process, and each other file in any one process."""

    def _split_scope(self, nodeid: str) -> str:
        return BROWSER_TESTS if nodeid.startswith(BROWSER_TESTS) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)  # for runs with -p no:xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> BrowserTestsTogether:
    return BrowserTestsTogether(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the tests that take longest, so that no process begins with them when the others end."""
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    return next((turn for turn, start in enumerate(FIRST) if item.nodeid.startswith(start)), len(FIRST))

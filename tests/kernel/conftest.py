"""Fixtures for tests in a real kernel: `kernel.run("1 + 1").result == "2"`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.kernel import Kernel


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    """A new kernel for the test, without imports and with an empty working directory."""
    folder = tmp_path / "kernel"
    folder.mkdir()
    kernel = Kernel(folder)
    try:
        kernel.start()
        yield kernel
    finally:
        kernel.stop()

"""The pins of constraints.txt, resolved by uv for every Python version that fxlive supports."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMPILE = [
    *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--system-certs", "--no-python-downloads"),
    *("--python", sys.executable, "--all-extras", "--no-annotate", "--no-header"),
    *("--constraints", "constraints.txt", "pyproject.toml", "-"),
]


def resolve(version: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Resolve every extra, and editables, which hatchling needs to build `-e .`, under the pins."""
    command = [*COMPILE, "--python-version", version, *options]
    return subprocess.run(command, cwd=ROOT, input="editables\n", capture_output=True, text=True)


@pytest.mark.parametrize("version", ["3.11.0", "3.12", "3.13", "3.14"])
def test_pins_resolve_on_every_supported_python_and_leave_no_package_unpinned(version: str) -> None:
    resolved = resolve(version, "--offline")  # uv's cache is enough where these pins have been resolved before
    if resolved.returncode != 0:
        resolved = resolve(version)
    if unreachable := re.search("Failed to fetch: .*", resolved.stderr):
        pytest.skip(f"no package registry answers: {unreachable[0]}")
    assert resolved.returncode == 0, resolved.stderr

    pins = set(re.findall(r"^[\w.-]+==[\w.+!]+", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    assert set(resolved.stdout.split("\n")) - {""} <= pins

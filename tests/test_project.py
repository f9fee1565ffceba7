"""The project as a whole: one version, a light import, and no machine-specific text in its files."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fxlive
from fxlive import _version

ROOT = Path(__file__).parents[1]

# Names and top-level domains are kept apart, so that this file does not match its own pattern.
INDEXES = [("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"), ("debian", "org")]
FOLDERS = ["work", "tmp", "root"]
FOREIGN = [rf"{name}\.{ending}\b" for name, ending in INDEXES] + [rf"(?<![\w.-])/{name}/" for name in FOLDERS]


def tracked_files() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode != 0:
        pytest.skip("This is not a git checkout, so the list of the project's files is unknown.")
    return [ROOT / name for name in listing.stdout.split("\0") if name]


def test_no_file_contains_a_package_index_or_a_path_of_one_machine() -> None:
    pattern = re.compile("|".join(FOREIGN))
    matches = []
    for file in tracked_files():
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue  # a binary file, or one that was just removed
        matches += [
            f"{file.relative_to(ROOT)}:{number}: {match[0]}"
            for number, line in enumerate(lines, 1)
            if (match := pattern.search(line))
        ]

    assert not matches, "\n".join(["", *matches])


def test_constraints_are_plain_pins_without_an_index() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pin = re.compile(r"[\w.-]+==[\w.+!]+( ; [\w.'()=<>! ]+)?")  # no extras: pip refuses them in constraints

    assert [line for line in lines if not line.startswith("#") and not pin.fullmatch(line)] == []


def test_the_version_is_the_same_in_the_package_and_its_metadata() -> None:
    assert fxlive.__version__ == _version.__version__ == importlib.metadata.version("fxlive")


def test_importing_fxlive_does_not_load_plotting_jupyter_or_optional_libraries() -> None:
    code = "import fxlive, json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    # In a new interpreter with another working directory, like an installed fxlive.
    process = subprocess.run([sys.executable, "-c", code], cwd=os.sep, capture_output=True, text=True, check=True)

    heavy = {"plotly", "ipywidgets", "anywidget", "IPython", "ipykernel", "jupyter_client", "traitlets", "comm"}
    optional = {"duckdb", "dask", "distributed", "polars", "nest_asyncio", "nest_asyncio2"}
    assert set(json.loads(process.stdout)) & (heavy | optional) == set()

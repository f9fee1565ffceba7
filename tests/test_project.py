"""What holds for the project as a whole: one version, a light import, and nothing in the files that should not be."""

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

# Names and endings apart, so that this file does not hold what it looks for.
INDEXES = [("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"), ("debian", "org")]
FOLDERS = ["work", "tmp", "root"]
FOREIGN = [rf"{name}\.{ending}\b" for name, ending in INDEXES] + [rf"(?<![\w.-])/{name}/" for name in FOLDERS]


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: nothing says which files are the project's")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def test_no_file_names_a_package_index_or_a_path_of_one_machine() -> None:
    pattern = re.compile("|".join(FOREIGN))
    found = []
    for file in tracked_files():
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue  # not text, or just removed
        found += [
            f"{file.relative_to(ROOT)}:{number}: {match[0]}"
            for number, line in enumerate(lines, 1)
            if (match := pattern.search(line))
        ]

    assert not found, "\n".join(["", *found])


def test_constraints_are_plain_pins_that_name_no_index() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pin = re.compile(r"[\w.-]+==[\w.+!]+( ; [\w.'()=<>! ]+)?")  # no extras: pip refuses them in constraints

    assert [line for line in lines if not line.startswith("#") and not pin.fullmatch(line)] == []


def test_the_version_is_said_in_one_place() -> None:
    assert fxlive.__version__ == _version.__version__ == importlib.metadata.version("fxlive")


def test_importing_fxlive_loads_no_plotting_and_no_jupyter() -> None:
    code = "import fxlive, json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    # In an interpreter of its own, and from elsewhere: what is tested is what an installed fxlive does.
    ran = subprocess.run([sys.executable, "-c", code], cwd=os.sep, capture_output=True, text=True, check=True)

    heavy = {"plotly", "ipywidgets", "anywidget", "IPython", "ipykernel", "jupyter_client", "traitlets", "comm"}
    optional = {"duckdb", "dask", "distributed", "polars", "nest_asyncio", "nest_asyncio2"}
    assert set(json.loads(ran.stdout)) & (heavy | optional) == set()

"""The released packages: built as by `make dist` but without the network, and installed as by a user."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest
import yaml

import fxlive

ROOT = Path(__file__).parents[1]
METADATA = f"fxlive-{fxlive.__version__}.dist-info"


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a built wheel and sdist. The wheel is built from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    process = subprocess.run(command, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout + process.stderr
    return folder


@pytest.fixture(scope="module")
def sources() -> set[str]:
    """The names of the project's files, including those that are not committed yet."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listing.returncode != 0:
        pytest.skip("This is not a git checkout, so the list of the project's files is unknown.")
    return {name for name in listing.stdout.split("\0") if name and (ROOT / name).exists()}


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    return dist / f"fxlive-{fxlive.__version__}-py3-none-any.whl"


def test_the_wheel_is_under_600_kb(wheel: Path) -> None:
    assert wheel.stat().st_size < 600_000


def test_the_wheel_contains_exactly_the_package(wheel: Path, sources: set[str]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.startswith(f"{METADATA}/")}

    assert names == {name for name in sources if name.startswith("fxlive/")}
    assert {"fxlive/py.typed", "fxlive/widgets/static/loader.js", "fxlive/widgets/static/live.css"} <= names


def test_the_sdist_contains_exactly_the_files_in_git(dist: Path, sources: set[str]) -> None:
    with tarfile.open(dist / f"fxlive-{fxlive.__version__}.tar.gz") as archive:
        names = {PurePosixPath(*PurePosixPath(name).parts[1:]).as_posix() for name in archive.getnames()}

    assert names - {"PKG-INFO"} == sources


def test_an_installed_wheel_works(wheel: Path, tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--no-compile", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", str(installed), str(wheel)], check=True, capture_output=True)

    process = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "smoke.py"), str(installed)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert (installed / "bin" / "fxlive").exists() or (installed / "Scripts" / "fxlive.exe").exists()


def test_the_citation_has_the_current_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))

    assert citation["version"] == fxlive.__version__
    assert {"cff-version", "message", "title", "authors", "license"} <= set(citation)


def test_pre_commit_runs_the_checks_that_ci_runs_before_the_tests() -> None:
    path = ROOT / ".pre-commit-config.yaml"
    subprocess.run([sys.executable, "-m", "pre_commit", "validate-config", str(path)], check=True)
    [repository] = yaml.safe_load(path.read_text(encoding="utf-8"))["repos"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    assert repository["repo"] == "local"  # so that nothing is downloaded
    assert all(hook["language"] == "system" and not hook["pass_filenames"] for hook in repository["hooks"])
    [prerequisites] = re.findall(r"^test: (.*?)\s*##", makefile, re.MULTILINE)
    *checks, last = prerequisites.split()
    assert [hook["entry"] for hook in repository["hooks"]] == [f"make {name}" for name in checks]
    assert last == "pytest"
    assert "exec make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")

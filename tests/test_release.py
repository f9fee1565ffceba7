"""What is released: built as `make dist` does it, without the network, and looked at as one who installs it would."""

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
    """The folder of a built wheel and sdist; the wheel is built from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder


@pytest.fixture(scope="module")
def sources() -> set[str]:
    """The project's files, those among them that are not committed yet."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: nothing says which files are the project's")
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()}


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    return dist / f"fxlive-{fxlive.__version__}-py3-none-any.whl"


def test_the_wheel_is_under_500_kb(wheel: Path) -> None:
    assert wheel.stat().st_size < 500_000


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path, sources: set[str]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.startswith(f"{METADATA}/")}

    assert names == {name for name in sources if name.startswith("fxlive/")}
    assert {"fxlive/py.typed", "fxlive/widgets/static/loader.js", "fxlive/widgets/static/live.css"} <= names


def test_the_sdist_holds_everything_that_git_does(dist: Path, sources: set[str]) -> None:
    with tarfile.open(dist / f"fxlive-{fxlive.__version__}.tar.gz") as archive:
        names = {PurePosixPath(*PurePosixPath(name).parts[1:]).as_posix() for name in archive.getnames()}

    assert names - {"PKG-INFO"} == sources


def test_an_installed_wheel_works(wheel: Path, tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--no-compile", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", str(installed), str(wheel)], check=True, capture_output=True)

    ran = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "smoke.py"), str(installed)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert (installed / "bin" / "fxlive").exists() or (installed / "Scripts" / "fxlive.exe").exists()


def test_the_citation_names_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))

    assert citation["version"] == fxlive.__version__
    assert {"cff-version", "message", "title", "authors", "license"} <= set(citation)


def test_pre_commit_runs_what_ci_runs_before_its_tests() -> None:
    path = ROOT / ".pre-commit-config.yaml"
    subprocess.run([sys.executable, "-m", "pre_commit", "validate-config", str(path)], check=True)
    [repository] = yaml.safe_load(path.read_text(encoding="utf-8"))["repos"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    assert repository["repo"] == "local"  # nothing is fetched
    assert all(hook["language"] == "system" and not hook["pass_filenames"] for hook in repository["hooks"])
    [needed] = re.findall(r"^test: (.*?)\s*##", makefile, re.MULTILINE)
    assert [hook["entry"] for hook in repository["hooks"]] == [f"make {name}" for name in needed.split()[:-1]]
    assert needed.split()[-1] == "pytest"
    assert "exec make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")

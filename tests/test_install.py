"""tools/install.sh: repeats network errors, shows any other error of pip at once."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "tools" / "install.sh"

CONFLICT = """\
ERROR: Cannot install beautifulsoup4==4.15.0 because these package versions have conflicting dependencies.
The conflict is caused by:
    beautifulsoup4 4.15.0 depends on soupsieve>=1.6.1
    The user requested (constraint) soupsieve==4.1.2
ERROR: ResolutionImpossible"""
NOT_FOUND = "ERROR: No matching distribution found for soupsieve"
SKIPPED = "Could not fetch URL https://index.invalid/soupsieve/: {} - skipping\n" + NOT_FOUND
RETRYING = "WARNING: Retrying (Retry(total={})) after connection broken by 'Connection reset by peer'\n"

NETWORK_ERRORS = [
    SKIPPED.format("connection error: Max retries exceeded with url: /soupsieve/"),
    SKIPPED.format("connection error: [Errno 111] Connection refused"),
    SKIPPED.format(
        "connection error: Failed to resolve 'index.invalid' ([Errno -3] Temporary failure in name resolution)"
    ),
    SKIPPED.format(
        "Max retries exceeded with url: /soupsieve/ (Caused by ResponseError('too many 503 error responses'))"
    ),
    SKIPPED.format("429 Client Error: Too Many Requests for url: https://index.invalid/soupsieve/"),
    SKIPPED.format("index.invalid didn't respond within 60.0 seconds"),
    "ProtocolError: (\"Connection broken: ConnectionResetError(104, 'Connection reset by peer')\")",
    "ReadTimeoutError: HTTPSConnectionPool(host='index.invalid', port=443): Read timed out.",
    "ERROR: HTTP error 502 while getting https://index.invalid/soupsieve-2.10.tar.gz",
    "error: incomplete-download",
    "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
]
OTHER_ERRORS = [
    CONFLICT,
    SKIPPED.format("404 Client Error: Not Found for url: https://index.invalid/soupsieve/"),
    SKIPPED.format("connection error: Max retries exceeded (Caused by SSLError('CERTIFICATE_VERIFY_FAILED'))"),
    RETRYING.format(4) + RETRYING.format(3) + CONFLICT,  # the index answered in the end
    "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
]


class Machine:
    """A folder with a space in its name, a `sleep` that returns at once, and an environment without options for pip."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "a clone"
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        self.environment |= {"PIP_CONFIG_FILE": os.devnull, "PATH": f"{self.folder}{os.pathsep}{os.environ['PATH']}"}
        self.folder.mkdir()
        self.write("sleep", f'echo "$1" >>"{self.folder}/pauses"')

    def write(self, name: str, text: str) -> Path:
        file = self.folder / name
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)
        return file

    def python(self, *attempts: str) -> Path:
        """Return an executable whose n-th call prints the n-th text and fails. Further calls succeed."""
        for number, text in enumerate(attempts, 1):
            (self.folder / f"attempt {number}").write_text(text + "\n")
        return self.write(
            "python", 'echo "$*" >>calls; cat "attempt $(($(wc -l <calls)))" 2>/dev/null && exit 1; exit 0'
        )

    def install(self, python: Path | str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = ["sh", str(SCRIPT), str(python), *arguments]
        environment = self.environment | environment
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)

    def lines(self, name: str) -> list[str]:
        file = self.folder / name
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_an_installation_that_works_is_run_once_with_the_given_arguments(machine: Machine) -> None:
    ran = machine.install(machine.python(), "-e", ".[all,dev]")

    assert ran.returncode == 0
    assert machine.lines("calls") == ["-m pip install -v --progress-bar off -e .[all,dev]"]


@pytest.mark.parametrize("error", NETWORK_ERRORS)
def test_a_network_error_is_retried_after_5_and_after_20_seconds(machine: Machine, error: str) -> None:
    ran = machine.install(machine.python(error, error), ".")

    assert ran.returncode == 0
    assert len(machine.lines("calls")) == 3
    assert machine.lines("pauses") == ["5", "20"]


def test_the_third_network_error_ends_the_installation(machine: Machine) -> None:
    ran = machine.install(machine.python(*[NETWORK_ERRORS[0]] * 4), ".")

    assert ran.returncode == 1
    assert len(machine.lines("calls")) == 3


@pytest.mark.parametrize("error", OTHER_ERRORS)
def test_an_error_that_is_not_of_the_network_is_not_repeated(machine: Machine, error: str) -> None:
    ran = machine.install(machine.python(error), ".")

    assert ran.returncode == 1
    assert len(machine.lines("calls")) == 1
    assert error in ran.stdout


def test_a_failure_shows_the_last_20_lines_of_pip_and_names_the_log_that_has_all(machine: Machine) -> None:
    printed = [f"line {number}" for number in range(100)]
    ran = machine.install(machine.python("\n".join(printed)), ".")

    assert [line for line in ran.stdout.splitlines() if line.startswith("line")] == printed[-20:]
    assert ran.stdout.endswith("the whole log is build/install.log.\n")
    assert machine.lines("build/install.log") == printed


def test_an_index_that_refuses_connections_is_a_network_error_of_the_real_pip(machine: Machine) -> None:
    (machine.folder / "pyproject.toml").write_text('[build-system]\nrequires = ["fxlive-builds-with-this"]\n')
    with socket.socket() as closed:  # bound, but not listening
        closed.bind(("127.0.0.1", 0))
        index = f"http://127.0.0.1:{closed.getsockname()[1]}/simple"
        ran = machine.install(sys.executable, "-e", ".", PIP_INDEX_URL=index, PIP_RETRIES="0")

    assert ran.returncode == 1
    assert machine.lines("pauses") == ["5", "20"]
    assert "No matching distribution found for fxlive-builds-with-this" in ran.stdout


def test_a_conflict_is_a_resolver_error_of_the_real_pip(machine: Machine) -> None:
    (machine.folder / "pins.txt").write_text("pip==0.1\n")
    ran = machine.install(sys.executable, "pip>1", "--no-index", "--dry-run", "--ignore-installed", "-c", "pins.txt")

    assert ran.returncode == 1
    assert machine.lines("pauses") == []
    assert "ERROR:" in ran.stdout

"""tools/debian.sh: installs Chromium and servers for the tests, or prints in one line how to; never fails."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "tools" / "debian.sh"
CHROMIUM = ["chromium", "fonts-dejavu-core"]
SERVERS = ["nginx", "tinyproxy-bin", "node-ws"]


class Machine:
    """A folder with the only programs on the PATH. `apt-get` notes its arguments in a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.add("sleep")
        self.add("id", "echo 0")
        self.add("apt-get", f'echo "$*" >>"{folder}/calls"')

    def add(self, name: str, text: str = "exit 0") -> None:
        file = self.folder / name
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)

    def run(self, *groups: str) -> list[str]:
        """Run the script and return the lines that it printed."""
        ran = subprocess.run(
            ["/bin/sh", str(SCRIPT), *groups], env={"PATH": str(self.folder)}, capture_output=True, text=True
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        return ran.stdout.splitlines()

    def installed(self) -> list[list[str]]:
        """Return the packages of every `apt-get install`."""
        calls = self.folder / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        return [line.partition("--no-install-recommends ")[2].split() for line in lines if " install " in line]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_root_gets_chromium_with_a_font_and_the_servers(machine: Machine) -> None:
    assert len(machine.run("chromium", "servers")) == 2
    assert machine.installed() == [CHROMIUM, SERVERS]


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"])
def test_a_browser_that_is_there_is_not_installed_again(machine: Machine, name: str) -> None:
    machine.add(name)
    assert machine.run("chromium") == []
    assert machine.installed() == []


def test_servers_that_are_there_are_not_installed_again(machine: Machine) -> None:
    for name in ("nginx", "tinyproxy", "node"):
        machine.add(name)
    assert machine.run("servers") == []
    machine.add("node", "exit 1")  # it has no `ws`
    assert len(machine.run("servers")) == 1
    assert machine.installed() == [SERVERS]


def test_a_failing_installation_is_tried_three_times_and_reported(machine: Machine) -> None:
    machine.add("apt-get", f'echo "$*" >>"{machine.folder}/calls"; case "$*" in *install*) exit 1; esac')
    assert machine.run("servers")[-1].endswith("could not be installed (is there a network for apt-get?).")
    assert machine.installed() == [SERVERS] * 3


def test_without_root_the_command_is_printed_and_with_sudo_it_is_run(machine: Machine) -> None:
    machine.add("id", "echo 1000")
    machine.add("sudo", "exit 1")  # asks for a password
    [chromium, servers] = machine.run("chromium", "servers")
    assert chromium.endswith("run: sudo apt-get install chromium fonts-dejavu-core")
    assert servers.endswith("run: sudo apt-get install nginx tinyproxy-bin node-ws")
    assert machine.installed() == []
    machine.add("sudo", 'shift; [ "$1" = true ] || "$@"')
    machine.run("chromium", "servers")
    assert machine.installed() == [CHROMIUM, SERVERS]


def test_without_apt_the_line_says_so(machine: Machine) -> None:
    (machine.folder / "apt-get").unlink()
    assert all("cannot be installed without apt-get" in line for line in machine.run("chromium", "servers"))


def test_servers_are_not_started_on_a_machine_with_services(machine: Machine) -> None:
    machine.add("systemctl", "echo running")
    machine.run("chromium", "servers")
    assert machine.installed() == [CHROMIUM]
    machine.add("systemctl", "echo offline; exit 1")
    machine.run("servers")
    assert machine.installed() == [CHROMIUM, SERVERS]

"""JupyterLab as users run it: a server for the tests, and a notebook in a real browser."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Locator, Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

PATIENCE_S = 120.0
"""Default limit for waiting. Conditions come in seconds, but on a busy machine in minutes."""

# Console errors that other software writes, by pattern, with the reason why they do not concern fxlive.
CONSOLE_NOISE = {
    r"\[anywidget\] Failed to initialize model": "it allows the page two seconds; the view is drawn after them",
    "widget model not found": "JupyterLab logs it for closed widgets, and after a reload before it draws a widget",
}


IPYKERNEL6 = Path(sys.prefix) / "ipykernel6"
"""Folder in which `make` installs the last ipykernel before 7."""


def find_browser() -> str | None:
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


class JupyterLabServer:
    """A JupyterLab on the loopback address, with its own settings, kernels and workspaces.

    Parameters
    ----------
    folder
        An empty folder. Its `notebooks` has the notebooks and is the kernels' working directory. Its `server.log` has
        the output of the server and the kernels.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "notebooks"
        self.root.mkdir()
        self.token = secrets.token_hex(16)
        self.log = folder / "server.log"
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, timeout_s: float = PATIENCE_S) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self._configure(port)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "IPYTHON"))}
        environment |= {
            "JUPYTER_CONFIG_DIR": str(self.folder / "config"),
            "JUPYTER_DATA_DIR": str(self.folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.folder / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(self.folder / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(self.folder / "workspaces"),
            "JUPYTER_PREFER_ENV_PATH": "0",  # use the kernels below, not those of the environment
            "JUPYTER_TOKEN": self.token,
            "IPYTHONDIR": str(self.folder / "ipython"),
        }
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"],
                cwd=self.root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        # If another process has taken the port meanwhile, the server takes another and states it in this file.
        announcement = self.folder / "runtime" / f"jpserver-{self._process.pid}.json"
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                self.url = json.loads(announcement.read_text())["url"]
                self.request("api/status")
            except (OSError, ValueError):
                time.sleep(0.1)
            else:
                return
        self.stop()
        raise RuntimeError(f"JupyterLab did not start within {timeout_s:g} s:\n{self.log.read_text()[-4000:]}")

    def _configure(self, port: int) -> None:
        write_json(
            self.folder / "config" / "jupyter_server_config.json",
            {
                "ServerApp": {
                    "ip": "127.0.0.1",
                    "port": port,
                    "root_dir": str(self.root),
                    "terminals_enabled": False,
                },
                "LabApp": {
                    "expose_app_in_browser": True,  # as `window.jupyterapp`, so that tests can wait for its state
                    "extension_manager": "readonly",
                    "news_url": None,
                    "check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
                },
            },
        )
        write_json(
            self.folder / "config" / "labconfig" / "page_config.json",
            {
                "disabledExtensions": {
                    "@jupyterlab/apputils-extension:announcements": True,
                    "@jupyterlab/extensionmanager-extension": True,
                    "@jupyterlab/terminal-extension": True,
                }
            },
        )
        # Without windowing every cell is in the page, so that a test can read the output of cells that are not in view.
        write_json(
            self.folder / "settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings",
            {"windowingMode": "none"},
        )
        self.write_kernels()

    def write_kernels(self, **environment: str) -> None:
        """Write the kernel specs. Kernels started from now on have these additional environment variables."""
        path = os.environ.get("PYTHONPATH")
        for name, extra_path in (("python3", []), ("ipykernel6", [str(IPYKERNEL6)])):
            write_json(
                self.folder / "data" / "kernels" / name / "kernel.json",
                {
                    "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
                    "display_name": name,
                    "language": "python",
                    "metadata": {"debugger": False},
                    "env": {"PYTHONPATH": os.pathsep.join([*extra_path, *([path] if path else [])]), **environment},
                },
            )

    def request(self, path: str, method: str = "GET") -> Any:
        request = urllib.request.Request(
            self.url + path, method=method, headers={"Authorization": f"token {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            body = response.read()
        return json.loads(body) if body else None

    def shut_kernels_down(self) -> None:
        for session in self.request("api/sessions"):
            self.request(f"api/sessions/{session['id']}", "DELETE")

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()  # the server stops its kernels
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Notebook:
    """A notebook that is open in the browser. Cells are numbered from 0."""

    def __init__(self, server: JupyterLabServer, page: Page) -> None:
        self.server = server
        self.page = page
        self.console_errors: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self._on_error(f"uncaught: {error}"))

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._on_error(f"{message.text} ({message.location.get('url', '')})")

    def _on_error(self, text: str) -> None:
        if not any(re.search(noise, text) for noise in CONSOLE_NOISE):
            self.console_errors.append(text)

    def open(
        self, *cells: str, name: str = "test.ipynb", kernel: str = "python3", timeout_s: float = PATIENCE_S
    ) -> None:
        """Write a notebook of these code cells and open it. The kernel may be ``"ipykernel6"``."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata.kernelspec = {"name": kernel, "display_name": kernel, "language": "python"}
        nbformat.write(notebook, self.server.root / name)
        self._open(name, timeout_s)

    def open_copy_of(self, path: Path, timeout_s: float = PATIENCE_S) -> None:
        """Open a copy of a notebook. Its cells write files beside the copy."""
        shutil.copy(path, self.server.root / path.name)
        self._open(path.name, timeout_s)

    def _open(self, name: str, timeout_s: float) -> None:
        self.page.goto(f"{self.server.url}lab/tree/{name}?reset&token={self.server.token}", timeout=timeout_s * 1000)
        self.page.wait_for_function(
            """name => {
                const open = window.jupyterapp?.shell.currentWidget;
                return open?.context?.path === name && open.context.isReady
                    && open.sessionContext.isReady && open.sessionContext.session?.kernel?.status === "idle";
            }""",
            arg=name,
            timeout=timeout_s * 1000,
            polling=100,
        )

    def start_all(self) -> None:
        """Start to run all cells, and return at once."""
        self._start("notebook:run-all-cells")

    def start_cell(self, index: int) -> None:
        """Start to run one cell, and return at once."""
        self.page.evaluate("index => { jupyterapp.shell.currentWidget.content.activeCellIndex = index; }", index)
        self._start("notebook:run-cell")

    def run_all(self, timeout_s: float = PATIENCE_S) -> None:
        self.start_all()
        self.wait_until_done(timeout_s)

    def run_cell(self, index: int, timeout_s: float = PATIENCE_S) -> None:
        self.start_cell(index)
        self.wait_until_done(timeout_s)

    def _start(self, command: str) -> None:
        self.page.evaluate(
            """command => {
                window.fxliveRunning = true;
                const done = () => { window.fxliveRunning = false; };
                jupyterapp.commands.execute(command).then(done, done);
            }""",
            command,
        )

    def is_running(self) -> bool:
        """Whether the cells that were started still run."""
        running: bool = self.page.evaluate("() => window.fxliveRunning")
        return running

    def interrupt(self) -> None:
        """Interrupt the running cell and wait for its end."""
        self.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()")
        self.wait_until_done()

    def restart_kernel(self) -> None:
        self.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")

    def wait_until(self, condition: Callable[[], object], what: str, timeout_s: float = PATIENCE_S) -> None:
        """Wait for a condition in Python, while the page goes on and its console is read."""
        ends = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < ends, f"timed out after {timeout_s:g} s: {what}"
            self.page.wait_for_timeout(50)

    def wait_until_busy(self) -> None:
        """Wait until the kernel has begun to run a cell."""
        self.page.wait_for_function(
            "() => jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'busy'", polling=20
        )

    def wait_until_done(self, timeout_s: float = PATIENCE_S) -> None:
        """Wait until the started cells have ended and the kernel is idle. Errors are in the cells' outputs."""
        self.page.wait_for_function(
            """() => !window.fxliveRunning
                && jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === "idle" """,
            timeout=timeout_s * 1000,
            polling=50,
        )

    def outputs(self, index: int) -> list[dict[str, Any]]:
        """The outputs of a code cell, in the format of the notebook file."""
        return self.page.evaluate(
            "index => jupyterapp.shell.currentWidget.content.widgets[index].model.outputs?.toJSON() ?? []", index
        )

    def all_outputs(self) -> list[list[dict[str, Any]]]:
        count = self.page.evaluate("() => jupyterapp.shell.currentWidget.content.widgets.length")
        return [self.outputs(index) for index in range(count)]

    def errors(self) -> list[str]:
        """The cells' errors: name and traceback without colour codes."""
        return [
            re.sub(r"\x1b\[[0-9;]*m", "", "\n".join([f"cell {index}: {output['ename']}", *output["traceback"]]))
            for index, outputs in enumerate(self.all_outputs())
            for output in outputs
            if output["output_type"] == "error"
        ]

    def output(self, index: int) -> Locator:
        """The output area of a cell."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index).locator(".jp-Cell-outputArea")

    def text(self, index: int) -> str:
        """The visible text of a cell's output, without surrounding white space."""
        return self.output(index).inner_text().strip()

    def save(self) -> None:
        self.page.evaluate("async () => { await jupyterapp.commands.execute('docmanager:save'); }")

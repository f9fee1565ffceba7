"""A real IPython kernel that runs cells as for JupyterLab: with its own process, event loop and comms."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

PATIENCE_S = 60.0
"""Limit of every wait: long enough for a busy machine."""

Message = dict[str, Any]


@dataclass
class CellResult:
    """The outputs of a cell.

    Attributes
    ----------
    text
        Printed text, stdout and stderr in order.
    result
        The value of the last expression as plain text, or None.
    data
        The same value in every available format: {mime type: content}.
    displays
        A dict like `data` for each `display()`.
    error
        "ZeroDivisionError: division by zero", or None.
    traceback
        The traceback of the error, without colours.
    comms
        Comm messages that the cell itself has sent. Those from background threads are in `Kernel.messages`.
    seconds
        Time from sending the cell until its end was received.
    """

    text: str = ""
    result: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    displays: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None
    traceback: str = ""
    comms: list[Message] = field(default_factory=list)
    seconds: float = 0.0


class Kernel:
    """A running kernel.

    Parameters
    ----------
    folder
        An empty folder. The working directory of the cells is its subfolder `cwd`.
    python
        The interpreter of the kernel, for example that of an environment with another ipykernel.

    Attributes
    ----------
    messages
        All messages that the kernel has published, from all cells and threads, in the order of arrival.
    """

    def __init__(self, folder: Path, python: str = sys.executable) -> None:
        self.folder = folder
        self.cwd = folder / "cwd"
        self.cwd.mkdir()
        self.messages: list[Message] = []
        self._sent: dict[str, float] = {}
        spec = folder / "kernels" / "tested"
        spec.mkdir(parents=True)
        argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec.joinpath("kernel.json").write_text(
            json.dumps({"argv": argv, "display_name": "tested", "language": "python"})
        )
        self._manager = KernelManager(
            kernel_name="tested",
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(spec.parent)], ensure_native_kernel=False),
            connection_file=str(folder / "connection.json"),
        )
        self._client: BlockingKernelClient | None = None

    @property
    def client(self) -> BlockingKernelClient:
        assert self._client is not None, "the kernel has not been started"
        return self._client

    def start(self, timeout_s: float = 2 * PATIENCE_S) -> None:
        environment = os.environ | {"IPYTHONDIR": str(self.folder / "ipython")}
        self._manager.start_kernel(cwd=str(self.cwd), env=environment)
        self._client = self._manager.blocking_client()
        self.client.start_channels()
        try:
            self.client.wait_for_ready(timeout_s)
        except RuntimeError:
            self.stop()
            raise

    def stop(self) -> None:
        if self._client is not None:
            self._client.stop_channels()
        if self._manager.has_kernel:
            self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()

    def shuts_down(self, timeout_s: float = PATIENCE_S) -> bool:
        """Request a shutdown, as JupyterLab does, and return whether the kernel then ends by itself."""
        self.client.shutdown()
        deadline = time.monotonic() + timeout_s
        while self._manager.is_alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        return not self._manager.is_alive()

    def run(self, code: str, timeout: float = PATIENCE_S) -> CellResult:
        """Run a cell to its end. After `timeout` seconds, interrupt it and raise TimeoutError."""
        return self.finish(self.start_cell(code), timeout)

    def start_cell(self, code: str) -> str:
        """Start a cell and return its id for `finish` without waiting."""
        sent = time.monotonic()
        cell: str = self.client.execute(code, allow_stdin=False)
        self._sent[cell] = sent
        return cell

    def finish(self, cell: str, timeout: float = PATIENCE_S) -> CellResult:
        """Wait for the end of a started cell. After `timeout` seconds, interrupt it and raise TimeoutError."""
        deadline = time.monotonic() + timeout
        result = CellResult()
        # A cell that was started earlier may have published messages already.
        for message in self.messages:
            self._collect(result, cell, message)
        while not self._has_ended(cell):
            message = self._next_message(deadline)
            if message is not None:
                self._collect(result, cell, message)
                continue
            self.interrupt()
            self._wait_for_end(cell)
            raise TimeoutError(f"The cell did not end within {timeout:g} s. Printed so far: {result.text!r}")
        result.seconds = time.monotonic() - self._sent[cell]
        return result

    def interrupt(self) -> None:
        self._manager.interrupt_kernel()

    def wait_for(self, condition: Callable[[Message], bool], timeout: float = PATIENCE_S) -> Message:
        """Return the first published message that meets the condition, waiting for it if necessary."""
        for message in self.messages:
            if condition(message):
                return message
        deadline = time.monotonic() + timeout
        while (message := self._next_message(deadline)) is not None:
            if condition(message):
                return message
        raise TimeoutError(f"After {timeout:g} s, none of {len(self.messages)} messages meets the condition.")

    def collect(self, seconds: float) -> list[Message]:
        """Return the messages that the kernel publishes in the next seconds."""
        first = len(self.messages)
        deadline = time.monotonic() + seconds
        while self._next_message(deadline) is not None:
            pass
        return self.messages[first:]

    def send_comm(self, comm_id: str, data: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        """Send a comm message, as the browser's side of a widget does."""
        session = self.client.session
        message = session.msg("comm_msg", {"comm_id": comm_id, "data": data})
        session.send(self.client.shell_channel.socket, message, buffers=buffers)

    def _wait_for_end(self, cell: str) -> None:
        # A cell that is sent before the interrupted one has ended would be aborted with it. The wait is limited, so
        # that the test fails with the TimeoutError if the cell cannot be interrupted.
        deadline = time.monotonic() + PATIENCE_S
        while not self._has_ended(cell) and self._next_message(deadline) is not None:
            pass

    def _has_ended(self, cell: str) -> bool:
        return any(
            message["msg_type"] == "status"
            and message["content"]["execution_state"] == "idle"
            and message["parent_header"].get("msg_id") == cell
            for message in reversed(self.messages)
        )

    def _next_message(self, deadline: float) -> Message | None:
        while (left := deadline - time.monotonic()) > 0:
            try:
                message = self.client.get_iopub_msg(timeout=min(left, 1.0))
            except Empty:
                if not self._manager.is_alive():
                    raise RuntimeError("The kernel has died.") from None
                continue
            self.messages.append(message)
            return message
        return None

    def _collect(self, result: CellResult, cell: str, message: Message) -> None:
        """Add a message to the result of the cell, if it belongs to it."""
        if message["parent_header"].get("msg_id") != cell:
            return
        content = message["content"]
        match message["msg_type"]:
            case "stream":
                result.text += content["text"]
            case "execute_result":
                result.data = content["data"]
                result.result = content["data"].get("text/plain")
            case "display_data":
                result.displays.append(content["data"])
            case "error":
                result.error = f"{content['ename']}: {content['evalue']}"
                result.traceback = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(content["traceback"]))
            case "comm_open" | "comm_msg" | "comm_close":
                result.comms.append(message)


def run_ok(kernel: Kernel, code: str) -> CellResult:
    """Run a cell that must not raise, and return its result."""
    result = kernel.run(code)
    assert result.error is None, result.traceback
    return result

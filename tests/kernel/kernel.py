"""A real IPython kernel to run cells in, as JupyterLab does: its own process, its own event loop, its own comms."""

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

Message = dict[str, Any]


@dataclass
class CellResult:
    """What one cell did.

    Attributes
    ----------
    text
        What it printed, stdout and stderr in their order.
    result
        The value of its last expression as plain text, or None.
    data
        The same value in every format it has: {mime type: content}.
    displays
        One such dict for each `display()`.
    error
        "ZeroDivisionError: division by zero", or None.
    traceback
        Of that error, without colours.
    comms
        Comm messages that the cell's own run sent; those from background threads are in `Kernel.messages`.
    seconds
        From sending the cell to when its end was noticed.
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
        An empty folder: the cells' working directory is its `cwd`.
    python
        The interpreter that runs the kernel: another environment's, to test with another ipykernel.

    Attributes
    ----------
    messages
        Everything the kernel has published, whichever cell or thread it came from, in the order of arrival.
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

    def start(self, timeout_s: float = 60.0) -> None:
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

    def ends_when_asked(self, timeout_s: float = 15.0) -> bool:
        """Ask it to shut down, as JupyterLab does, and return whether it then ends by itself."""
        self.client.shutdown()
        deadline = time.monotonic() + timeout_s
        while self._manager.is_alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        return not self._manager.is_alive()

    def run(self, code: str, timeout: float = 60.0) -> CellResult:
        """Run a cell to its end; one that takes longer than `timeout` seconds is interrupted, and that raises."""
        return self.finish(self.start_cell(code), timeout)

    def start_cell(self, code: str) -> str:
        """Start a cell and come back at once, with what `finish` takes."""
        sent = time.monotonic()
        cell: str = self.client.execute(code, allow_stdin=False)
        self._sent[cell] = sent
        return cell

    def finish(self, cell: str, timeout: float = 60.0) -> CellResult:
        deadline = time.monotonic() + timeout
        cell_result = CellResult()
        # A cell that was started earlier may have published already.
        for message in self.messages:
            self._take(cell_result, cell, message)
        while not self._has_ended(cell):
            message = self._next_message(deadline)
            if message is not None:
                self._take(cell_result, cell, message)
                continue
            self.interrupt()
            self._wait_for_end(cell)
            raise TimeoutError(f"the cell did not end within {timeout:g} s; until then it printed {cell_result.text!r}")
        cell_result.seconds = time.monotonic() - self._sent[cell]
        return cell_result

    def interrupt(self) -> None:
        self._manager.interrupt_kernel()

    def wait_for(self, condition: Callable[[Message], bool], timeout: float = 10.0) -> Message:
        """The first published message that meets a condition: one from before, or the next one to come."""
        for message in self.messages:
            if condition(message):
                return message
        deadline = time.monotonic() + timeout
        while (message := self._next_message(deadline)) is not None:
            if condition(message):
                return message
        raise TimeoutError(f"none of {len(self.messages)} messages meets the condition after {timeout:g} s")

    def collect(self, seconds: float) -> list[Message]:
        """What the kernel publishes in the next seconds."""
        first = len(self.messages)
        deadline = time.monotonic() + seconds
        while self._next_message(deadline) is not None:
            pass
        return self.messages[first:]

    def send_comm(self, comm_id: str, data: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        """What the browser's half of a widget would send."""
        session = self.client.session
        message = session.msg("comm_msg", {"comm_id": comm_id, "data": data})
        session.send(self.client.shell_channel.socket, message, buffers=buffers)

    def _wait_for_end(self, cell: str) -> None:
        # A cell that is sent before the interrupted one has ended would be dropped with it. No longer than 10 s: what
        # does not let itself be interrupted is for the test to hear of, not to wait for.
        deadline = time.monotonic() + 10
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
                    raise RuntimeError("the kernel has died") from None
                continue
            self.messages.append(message)
            return message
        return None

    def _take(self, cell_result: CellResult, cell: str, message: Message) -> None:
        if message["parent_header"].get("msg_id") != cell:
            return
        content = message["content"]
        match message["msg_type"]:
            case "stream":
                cell_result.text += content["text"]
            case "execute_result":
                cell_result.data = content["data"]
                cell_result.result = content["data"].get("text/plain")
            case "display_data":
                cell_result.displays.append(content["data"])
            case "error":
                cell_result.error = f"{content['ename']}: {content['evalue']}"
                cell_result.traceback = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(content["traceback"]))
            case "comm_open" | "comm_msg" | "comm_close":
                cell_result.comms.append(message)


def ran(kernel: Kernel, code: str) -> CellResult:
    """What a cell did that must not raise."""
    cell = kernel.run(code)
    assert cell.error is None, cell.traceback
    return cell

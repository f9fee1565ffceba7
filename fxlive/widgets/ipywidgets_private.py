"""The private names of ipywidgets and ipykernel that fxlive uses, all in this module.

An upgrade of either package may remove one of them. `tests/widgets/test_private_names.py` then says which one.
"""

from __future__ import annotations

import gc
from typing import Any

from ipywidgets import Box, Widget
from ipywidgets.widgets import widget as _widget_module

INSTANCES = "_instances"
"""In `ipywidgets.widgets.widget`: every open widget by model id. Fallback: search all objects of the process."""

SEND = "_send"
"""Method of `ipywidgets.Widget` that sends one message to the page. Without it, clicks wait until the cell ends."""

REPLY_SUBSHELL = "_reply_subshell_id"
"""Attribute of ipykernel's comm: the thread on which the page's next message is handled. ipykernel 6 has none."""


def open_boxes() -> list[Box]:
    """Return the boxes that are open: the widgets that contain other widgets."""
    instances: dict[str, Widget] | None = getattr(_widget_module, INSTANCES, None)
    candidates = gc.get_objects() if instances is None else list(instances.values())
    return [candidate for candidate in candidates if issubclass(type(candidate), Box)]


class HandledOnOwnThread(Widget):  # type: ignore[misc]  # ipywidgets has no types
    """Mixin for a widget that sends from a background thread and is clicked on while a cell runs.

    When a comm sends a message, ipykernel stores which thread is handling a request at that time, and handles the
    page's next message on that thread. For a message from the background this is the thread of the running cell, so a
    click would wait until the cell ends. This class deletes the stored thread after each message. ipykernel then
    uses the thread that the page asks for.
    """

    def open(self) -> None:
        """Open the connection to the page."""
        super().open()
        self._forget_reply_thread()

    def _send(self, msg: Any, buffers: Any = None) -> None:
        super()._send(msg, buffers)
        self._forget_reply_thread()

    def _forget_reply_thread(self) -> None:
        getattr(self.comm, "__dict__", {}).pop(REPLY_SUBSHELL, None)

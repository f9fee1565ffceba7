"""Page: what all widgets of a kernel share in the browser: their code, and the one line on which what is new comes.

Each tick of the refresher is one message, however many widgets have something to say. Messages are numbered, so that
the browser notices when one was lost on the way (jupyter_server drops what a kernel sends too fast) and asks anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import traitlets
from ipywidgets import Widget

STATIC = Path(__file__).parent / "static"


@dataclass
class Part:
    """What one widget has to say: to all its views, or to the one that asked (`content["v"]`)."""

    key: int
    content: dict[str, Any]
    buffers: list[bytes] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        """How much the buffers hold."""
        return sum(map(len, self.buffers))


def forget_thread(widget: Widget) -> None:
    """Let the browser's next word to a widget be heard on a thread of its own.

    ipykernel answers a comm's messages on the thread whose request it last sent something for, which for messages
    from the background is the cell that runs: what the browser says would wait for the cell's end. Without that note
    it goes by what the browser asks for.
    """
    getattr(widget.comm, "__dict__", {}).pop("_reply_subshell_id", None)


class Page(Widget):  # type: ignore[misc]  # ipywidgets has no types
    """A model without a view, which the browser holds once for all widgets of a kernel."""

    _modules = traitlets.Dict().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)
    _digest = traitlets.Unicode().tag(sync=True)

    def __init__(self) -> None:
        super().__init__(**_code())
        self._number = 0

    def post(self, parts: Sequence[Part], paused: bool = False) -> None:
        """Send the parts of one tick, as one message; it says too whether drawing is paused."""
        content: dict[str, Any] = {"n": self._number}
        content["parts"] = [[part.key, part.content, len(part.buffers)] for part in parts]
        if paused:
            content["paused"] = True
        self._number += 1
        self.send(content, [buffer for part in parts for buffer in part.buffers])

    def open(self) -> None:
        """Open the way to the browser."""
        super().open()
        forget_thread(self)

    def _send(self, msg: Any, buffers: Any = None) -> None:
        super()._send(msg, buffers)
        forget_thread(self)


@cache
def _code() -> dict[str, Any]:
    """Return the modules of the widgets by name, their style, and what tells this version from another."""
    modules = {path.stem: path.read_text(encoding="utf-8") for path in sorted(STATIC.glob("*.js"))}
    del modules["loader"]  # each widget has it
    css = "\n".join(path.read_text(encoding="utf-8") for path in sorted(STATIC.glob("*.css")))
    digest = hashlib.sha256(repr((modules, css)).encode()).hexdigest()[:16]
    return {"_modules": modules, "_css": css, "_digest": digest}


_shared: Page | None = None


def shared_page() -> Page:
    """Return the page that the widgets of this process share, made on the first call and after it was closed."""
    global _shared
    if _shared is None or _shared.comm is None:
        _shared = Page()
    return _shared

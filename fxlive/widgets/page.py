"""Page: the model that all widgets of a kernel share in the browser. It holds their code and carries their messages.

Each tick of the refresher is one message, however many widgets have updates. Messages are numbered, so that the browser
notices a lost one and asks again (jupyter_server drops messages that a kernel sends too fast).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import traitlets

from fxlive.widgets.ipywidgets_private import HandledOnOwnThread

STATIC = Path(__file__).parent / "static"


@dataclass
class Part:
    """One widget's part of a tick: for all its views, or for the one that asked (`content["v"]`)."""

    key: int
    content: dict[str, Any]
    buffers: list[bytes] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        """Size of the buffers."""
        return sum(map(len, self.buffers))


class Page(HandledOnOwnThread):
    """A model without a view. The browser holds one for all widgets of a kernel."""

    _modules = traitlets.Dict().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)
    _digest = traitlets.Unicode().tag(sync=True)

    def __init__(self) -> None:
        super().__init__(**_code())
        self._number = 0

    def post(self, parts: Sequence[Part], paused: bool = False) -> None:
        """Send the parts of one tick as one message, with a note if drawing is paused."""
        content: dict[str, Any] = {"n": self._number}
        content["parts"] = [[part.key, part.content, len(part.buffers)] for part in parts]
        if paused:
            content["paused"] = True
        self._number += 1
        self.send(content, [buffer for part in parts for buffer in part.buffers])


@cache
def _code() -> dict[str, Any]:
    """Return the ES modules by name, the style sheets as one text, and a digest that identifies this version."""
    modules = {path.stem: path.read_text(encoding="utf-8") for path in sorted(STATIC.glob("*.js"))}
    del modules["loader"]  # each widget carries it
    css = "\n".join(path.read_text(encoding="utf-8") for path in sorted(STATIC.glob("*.css")))
    digest = hashlib.sha256(repr((modules, css)).encode()).hexdigest()[:16]
    return {"_modules": modules, "_css": css, "_digest": digest}


_shared: Page | None = None


def shared_page() -> Page:
    """Return the page that the widgets of this process share. A new one is made on the first call and after a close."""
    global _shared
    if _shared is None or _shared.comm is None:
        _shared = Page()
    return _shared

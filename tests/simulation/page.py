"""A page with grids, as live.js and records.js behave, over a connection that delays and loses messages by a seed."""

from __future__ import annotations

import json
import math
import random
from collections import deque
from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np

from fxlive.widgets.base import LiveWidget
from fxlive.widgets.page import Part
from tests.widgets.kernel_side import send_from_view

PULSE_S = 10.0


class Page:
    """The page of one kernel.

    Messages in both directions arrive in order, later than they are sent; those to the page may be lost.

    Parameters
    ----------
    rng
        Decides how many messages arrive at each step, and which are lost.
    """

    def __init__(self, rng: random.Random) -> None:
        self.views: list[View] = []
        self.lossy = True
        """Whether messages to the page may be lost."""
        self.asleep = False
        """Whether the page neither receives nor sends, as in a laptop that sleeps."""
        self._rng = rng
        self._numbers = count()
        self._expected: int | None = None
        self._to_page: deque[tuple[int, list[Part]]] = deque()
        self._to_kernel: deque[tuple[LiveWidget, str, str, dict[str, Any]]] = deque()

    # The kernel's side: `post` has the signature that `Refresher` expects.

    def post(self, parts: Sequence[Part], paused: bool) -> None:
        """Send the parts of a tick."""
        copied = [
            Part(part.key, json.loads(json.dumps(part.content)), list(map(bytes, part.buffers))) for part in parts
        ]
        number = next(self._numbers)
        if not (self.lossy and self._rng.random() < 0.1):
            self._to_page.append((number, copied))

    # The page's side.

    def send(self, view: View, kind: str, **more: Any) -> None:
        """Send a message of a view to its widget."""
        self._to_kernel.append((view.widget, kind, view.name, more))

    def step(self, *, all_of_them: bool = False) -> None:
        """Let some of the messages that are on their way arrive."""
        if self.asleep:
            return
        for _ in range(len(self._to_kernel) if all_of_them else self._rng.randrange(len(self._to_kernel) + 1)):
            widget, kind, name, more = self._to_kernel.popleft()
            send_from_view(widget, kind, name, **more)
        for _ in range(len(self._to_page) if all_of_them else self._rng.randrange(len(self._to_page) + 1)):
            self._receive(*self._to_page.popleft())

    def _receive(self, number: int, parts: list[Part]) -> None:
        lost = self._expected is not None and number != self._expected
        self._expected = number + 1
        if lost:
            for view in self.views:
                view.miss_update()
        for part in parts:
            for view in self.views:
                if view.widget._key == part.key:
                    view.receive(part.content, part.buffers)

    def pulse(self) -> None:
        """Let each visible view report that it is there, as it does every `PULSE_S` seconds."""
        for view in self.views:
            if view.visible and not self.asleep:
                self.send(view, "visible", visible=True)


class View:
    """One place in the page that shows a grid."""

    def __init__(self, page: Page, widget: LiveWidget, name: str) -> None:
        self.page, self.widget, self.name = page, widget, name
        self.visible, self.started, self.missed = True, False, False
        self.rows: dict[float, dict[str, Any]] = {}
        self.failure: str | None = None
        self._names: dict[int, str] = {}
        self._columns: list[dict[str, Any]] = []
        self._epoch: int | None = None
        page.views.append(self)
        self.request_snapshot()

    def request_snapshot(self) -> None:
        """Ask for everything."""
        self.missed = False
        self.page.send(self, "snapshot")

    def miss_update(self) -> None:
        """Note that an update was lost or ignored."""
        self.missed, self.started = True, False
        if self.visible:
            self.request_snapshot()

    def show(self, visible: bool) -> None:
        """Scroll the view into sight or out of it."""
        if visible == self.visible:
            return
        self.visible = visible
        if visible and self.missed:
            self.request_snapshot()
        else:
            self.page.send(self, "visible", visible=visible)

    def end(self) -> None:
        """Remove the view from the page."""
        self.page.views.remove(self)
        self.page.send(self, "gone")

    def receive(self, content: dict[str, Any], buffers: list[bytes]) -> None:
        """Take a part of a tick."""
        if content.get("v", self.name) != self.name:
            return
        if not self.visible and "v" not in content:
            self.miss_update()
        elif "failed" in content:
            self.failure, self.started = content["failed"], False
        elif content.get("a") == "snapshot":
            self._epoch, self.started = content["epoch"], True
            self._take_snapshot(content, buffers)
        elif self.started:
            self._take_changes(content, buffers)

    def _take_snapshot(self, content: dict[str, Any], buffers: list[bytes]) -> None:
        self._columns, self._names, self.rows = content["columns"], {}, {}
        self._take_names(content["names"])
        self._take_rows(buffers)

    def _take_changes(self, content: dict[str, Any], buffers: list[bytes]) -> None:
        if "columns" in content:
            self._take_snapshot(content, buffers)
            return
        self._take_names(content.get("names", (0, [])))
        for number in content.get("gone", ()):
            self.rows.pop(number, None)
        self._take_rows(buffers)

    def _take_names(self, names: Sequence[Any]) -> None:
        start, texts = names
        self._names |= {start + at: text for at, text in enumerate(texts)}

    def _take_rows(self, buffers: list[bytes]) -> None:
        if not buffers:
            return
        lines = np.frombuffer(buffers[0]).reshape(3 + len(self._columns), -1)
        texts = json.loads(buffers[1]) if len(buffers) > 1 else {}
        for at in range(lines.shape[1]):
            row: dict[str, Any] = {}
            for index, column in enumerate(self._columns):
                value = lines[3 + index][at]
                if str(index) in texts:
                    row[column["name"]] = texts[str(index)][at]
                elif column["kind"] == "name":
                    row[column["name"]] = None if math.isnan(value) else self._names[int(value)]
                else:
                    row[column["name"]] = None if math.isnan(value) else value
            self.rows[lines[0][at]] = row

"""The kernel's side of a widget without a browser: a platform that says what a test puts, and a page that is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from fxlive.feeds.memory import MemoryFeed
from fxlive.loop import call
from fxlive.pipeline import Pipeline
from fxlive.store import Store
from fxlive.widgets import page as page_module
from fxlive.widgets.live import LiveWidget
from fxlive.widgets.refresher import Refresher
from tests.widgets.recording_comm import Recorded, recording

START = 1_700_000_000


class Platform:
    """A pipeline on a memory feed, with a clock that a test sets (seconds since START)."""

    def __init__(self, **bounds: Any) -> None:
        self.now = 0.0
        self.feed = MemoryFeed()
        self.pipeline = Pipeline(self.feed, Store(**bounds), clock=self.now_us)
        call(self.pipeline.start())
        call(self.feed.subscribe({"market-data": {}, "positions": {}}))
        self.do(lambda: self.pipeline.connected(self.now_us()))

    def now_us(self) -> int:
        return int((START + self.now) * 1e6)

    def do(self, function: Callable[[], None]) -> None:
        async def run() -> None:
            function()

        call(run())

    def put(self, *messages: dict[str, Any]) -> None:
        frames = [json.dumps(message).encode() for message in messages]
        self.do(lambda: self.feed.put(*frames, at=self.now_us()))


class Here(Refresher):
    """A refresher without a thread: what is to be done soon is done now, and the test says when to tick."""

    def soon(self, function: Callable[..., Any], *arguments: Any) -> None:
        function(*arguments)

    def watch(self, widget: Any) -> None:
        if widget not in self._watched:
            self._watched.append(widget)


def say(widget: LiveWidget, kind: str, view: str = "a", **more: Any) -> None:
    """What the browser's half would say."""
    widget._handle_custom_msg({"type": kind, "view": view, **more}, [])


def parts(recorded: Recorded, widget: LiveWidget, since: int = 0) -> Iterator[tuple[dict[str, Any], list[bytes]]]:
    """What the page was told of a widget since so many messages: content and buffers of each part."""
    for message in recorded.sent[since:]:
        buffers = iter(message.buffers)
        for key, content, count in message.content.get("parts", ()):
            own = [next(buffers) for _ in range(count)]
            if key == widget._key:
                yield content, own


@contextmanager
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    """While it lasts, what widgets say to the page is kept."""
    monkeypatch.setattr(page_module, "_shared", None)
    with recording(monkeypatch) as recorded:
        yield recorded

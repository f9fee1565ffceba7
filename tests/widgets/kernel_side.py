"""The kernel's side of a widget without a browser: a platform that says what a test puts, and what a view would say."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from fxlive.core.background import call
from fxlive.feeds.memory import MemoryFeed
from fxlive.pipeline.pipeline import Pipeline
from fxlive.tables.store import Store
from fxlive.widgets.refresher import Refresher

START = 1_700_000_000


class Platform:
    """A pipeline on a memory feed that is subscribed to some channels, with a clock that a test sets (seconds since
    START).
    """

    def __init__(self, *channels: str, **bounds: Any) -> None:
        self.now = 0.0
        self.feed = MemoryFeed()
        self.pipeline = Pipeline(self.feed, Store(**bounds), clock=self.now_us)
        self._count = 0
        call(self.pipeline.start())
        call(self.feed.subscribe({name: {} for name in channels or ("market-data", "positions")}))
        self.do(lambda: self.pipeline.connected(self.now_us()))

    def now_us(self) -> int:
        return int((START + self.now) * 1e6)

    def do(self, function: Callable[[], object]) -> None:
        """Call a function on the background loop."""

        async def run() -> None:
            function()

        call(run())

    def put(self, *messages: dict[str, Any]) -> None:
        frames = [json.dumps(message).encode() for message in messages]
        self.do(lambda: self.feed.put(*frames, at=self.now_us()))

    def say(self, kind: str, channel: str, /, **data: Any) -> None:
        """Put a message with the time that it is, and an id of its own."""
        self._count += 1
        stamp = (datetime.fromtimestamp(START, UTC) + timedelta(seconds=self.now)).isoformat()
        self.put({"type": kind, "channel": channel, "data": data, "timestamp": stamp, "id": f"m{self._count}"})

    def tick(self, symbol: str, bid: float, ask: float | None = None) -> None:
        self.say("market_data", "market-data", symbol=symbol, bid=bid, ask=bid + 0.5 if ask is None else ask)

    def close(self) -> None:
        call(self.pipeline.close())


class Here(Refresher):
    """A refresher without a thread: what is to be done soon is done now, and the test says when to tick."""

    def soon(self, function: Callable[..., Any], *arguments: Any) -> None:
        function(*arguments)

    def later(self, delay_s: float, function: Callable[[], Any]) -> None:
        function()

    def watch(self, widget: Any) -> None:
        if widget not in self._watched:
            self._watched.append(widget)


def say(widget: Any, kind: str, view: str = "a", **more: Any) -> None:
    """Say what a view in the browser would."""
    widget._handle_custom_msg({"type": kind, "view": view, **more}, [])


def look(widget: Any, view: str = "a", **more: Any) -> None:
    """Have a view ask for everything, and get it."""
    say(widget, "window", view, **more)
    widget.refresher.tick()

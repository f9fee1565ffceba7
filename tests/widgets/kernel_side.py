"""The kernel's side of widgets without a browser: a platform under the test's control, and messages of views."""

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
    """A pipeline on a memory feed. The test sets the clock `now`, in seconds since START."""

    def __init__(self, *channels: str, **bounds: Any) -> None:
        self.now = 0.0
        self.feed = MemoryFeed()
        self.pipeline = Pipeline(self.feed, Store(**bounds), clock=self.now_us)
        self._count = 0
        call(self.pipeline.start())
        call(self.feed.subscribe({name: {} for name in channels or ("market-data", "positions")}))
        self.run_on_loop(lambda: self.pipeline.connected(self.now_us()))

    def now_us(self) -> int:
        return int((START + self.now) * 1e6)

    def run_on_loop(self, function: Callable[[], object]) -> None:
        """Call a function on the background loop and wait for it."""

        async def run() -> None:
            function()

        call(run())

    def put(self, *messages: dict[str, Any]) -> None:
        frames = [json.dumps(message).encode() for message in messages]
        self.run_on_loop(lambda: self.feed.put(*frames, at=self.now_us()))

    def send(self, kind: str, channel: str, /, **data: Any) -> None:
        """Put a message with the current time and a new id."""
        self._count += 1
        stamp = (datetime.fromtimestamp(START, UTC) + timedelta(seconds=self.now)).isoformat()
        self.put({"type": kind, "channel": channel, "data": data, "timestamp": stamp, "id": f"m{self._count}"})

    def quote(self, symbol: str, bid: float, ask: float | None = None) -> None:
        self.send("market_data", "market-data", symbol=symbol, bid=bid, ask=bid + 0.5 if ask is None else ask)

    def close(self) -> None:
        call(self.pipeline.close())


class ManualRefresher(Refresher):
    """A refresher without a loop: scheduled calls run at once, and the test calls `tick`."""

    def call_soon(self, function: Callable[..., Any], *arguments: Any) -> None:
        function(*arguments)

    def call_later(self, delay_s: float, function: Callable[[], Any]) -> None:
        function()

    def watch(self, widget: Any) -> None:
        if widget not in self._watched:
            self._watched.append(widget)


def send_from_view(widget: Any, kind: str, view: str = "a", **more: Any) -> None:
    """Send a message to a widget as a view in the browser does."""
    data = {"method": "custom", "content": {"type": kind, "view": view, **more}}
    widget.comm.handle_msg({"content": {"data": data}, "buffers": []})


def open_view(widget: Any, view: str = "a", **more: Any) -> None:
    """Request a snapshot as a new view does, and let the widget reply."""
    send_from_view(widget, "snapshot", view, **more)
    widget.refresher.tick()

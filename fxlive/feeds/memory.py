"""A feed without a network, for tests of what lies behind the feeds: it brings what it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fxlive.feeds.interface import Filters, Halt, Sink
from fxlive.wire.protocol import decode


class MemoryFeed:
    """A feed that brings the frames put into it.

    Examples
    --------
    >>> MemoryFeed().url
    'memory:'
    """

    url = "memory:"
    clock_offset_us: int | None = None
    halt: Halt | None = None
    reconnect_error: str | None = None

    def __init__(self) -> None:
        self.subscriptions: dict[str, dict[str, Any]] = {}
        self.sink: Sink | None = None
        self.reconnects: list[str] = []
        self._arrived = 0

    async def start(self, sink: Sink) -> None:
        """Begin; from now on `put` may be called."""
        self.sink = sink
        sink.connected(0)

    def put(self, *frames: bytes, at: int = 0) -> None:
        """Bring frames, received at a moment in microseconds."""
        assert self.sink is not None, "start it first"
        self.sink.deliver(decode(frames, at, self._arrived))
        self._arrived += len(frames)

    async def subscribe(self, channels: Mapping[str, Filters | None]) -> None:
        """Note the channels as subscribed."""
        self.subscriptions.update({name: dict(filters or {}) for name, filters in channels.items()})

    async def unsubscribe(self, channels: Sequence[str]) -> None:
        """Note the channels as given up."""
        for name in channels:
            self.subscriptions.pop(name, None)

    def reconnect(self, reason: str) -> None:
        """Note that a reconnect was asked for."""
        self.reconnects.append(reason)

    async def close(self) -> None:
        """End; nothing more is to be put."""
        self.sink = None

"""A feed without a network, for offline sessions and for tests of the pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fxlive.feeds.interface import Filters, Halt, Sink
from fxlive.wire.protocol import decode


class MemoryFeed:
    """A feed that delivers the frames passed to `put`.

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
        self._message_count = 0

    async def start(self, sink: Sink) -> None:
        """Start. From now on `put` may be called."""
        self.sink = sink
        sink.connected(0)

    def put(self, *frames: bytes, at: int = 0) -> None:
        """Decode frames and deliver them as one batch, received at the time `at` (microseconds)."""
        assert self.sink is not None, "the feed has not been started"
        batch = decode(frames, at, self._message_count)
        self._message_count += batch.count
        self.sink.deliver(batch)

    async def subscribe(self, channels: Mapping[str, Filters | None]) -> None:
        """Add the channels to the subscriptions."""
        self.subscriptions.update({name: dict(filters or {}) for name, filters in channels.items()})

    async def unsubscribe(self, channels: Sequence[str]) -> None:
        """Remove the channels from the subscriptions."""
        for name in channels:
            self.subscriptions.pop(name, None)

    def reconnect(self, reason: str) -> None:
        """Append the reason to `reconnects`."""
        self.reconnects.append(reason)

    async def close(self) -> None:
        """End. From now on `put` must not be called."""
        self.sink = None

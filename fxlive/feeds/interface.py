"""The protocols between a feed and the pipeline that runs it.

Everything in this module runs on one thread, that of the background loop, unless a docstring states otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from fxlive.errors import FxliveError
from fxlive.wire.batch import Batch

State = Literal["connecting", "connected", "reconnecting", "closed", "failed"]
Halt = Literal["seeking", "paused", "ended"]
Filters = Mapping[str, Any]

NEVER_OPENED = "The session was never opened. Call session.open(), or fxlive.connect(...)."


class Sink(Protocol):
    """The receiver of a feed's batches and events: the pipeline.

    The feed calls these methods on the background loop's thread, from `Feed.start` on and one at a time. They return
    quickly and raise nothing. After `failed` the feed calls nothing until it is started again.
    """

    def deliver(self, batch: Batch, *, silently: bool = False) -> None:
        """Process a batch. With `silently`, the batch is not new: do not record or dispatch it."""

    def connected(self, at: int) -> None:
        """Note that all requested channels are subscribed, for the first time or again, since `at` (microseconds)."""

    def lost(self, at: int, reason: str, channels: tuple[str, ...] | None = None) -> None:
        """Note that the connection is lost since `at` (microseconds), and that the feed is reconnecting.

        Messages of these channels may be lost; None: of all subscribed channels.
        """

    def missed(self, start: int, end: int | None, reason: str, channels: tuple[str, ...]) -> None:
        """Note a gap from `start` to `end` (microseconds) in which the feed was connected nevertheless."""

    def confirmed(self, channel: str, keys: Sequence[Any], at: int) -> None:
        """Note that messages confirmed positions or orders at a time of receipt, but are not delivered."""

    def rewound(self, at: int) -> None:
        """Discard all rows: the feed goes on from the time `at` (microseconds)."""

    def failed(self, error: FxliveError) -> None:
        """Note that the feed has ended for good."""


class Feed(Protocol):
    """A source of batches.

    The pipeline calls the methods on the background loop; the coroutines run there too. The attribute `url` and the
    properties may be read from any thread. After `start` has returned, the feed works in a task on the background loop
    and reports batches and events, errors included, to its sink.
    """

    url: str

    @property
    def subscriptions(self) -> dict[str, dict[str, Any]]:
        """The filters of each subscribed channel."""

    @property
    def clock_offset_us(self) -> int | None:
        """How far the platform's clock is ahead of ours, in microseconds; None if unknown."""

    @property
    def halt(self) -> Halt | None:
        """Why a feed that works delivers nothing at present, such as a paused replay; None if it delivers."""

    @property
    def reconnect_error(self) -> str | None:
        """The error of the last failed reconnect since the connection was lost; None if there was none."""

    async def start(self, sink: Sink) -> None:
        """Connect, subscribe and return; then deliver to the sink in the background. Raise if that fails."""

    async def subscribe(self, channels: Mapping[str, Filters | None]) -> None:
        """Subscribe to further channels, or to subscribed ones with other filters. Return once acknowledged."""

    async def unsubscribe(self, channels: Sequence[str]) -> None:
        """Unsubscribe from channels. Return once acknowledged."""

    def reconnect(self, reason: str) -> None:
        """Drop the connection and start to reconnect. Return at once."""

    async def close(self) -> None:
        """End for good. Afterwards the sink is called no more."""

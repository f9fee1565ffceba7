"""What a feed is: something that brings batches, can be asked for channels, and says how it fares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from fxlive.errors import FxliveError
from fxlive.wire.batch import Batch

State = Literal["connecting", "connected", "reconnecting", "closed", "failed"]
Halt = Literal["seeking", "paused", "ended"]
Filters = Mapping[str, Any]


class Sink(Protocol):
    """Where a feed puts what it brings; called on the background loop only."""

    def deliver(self, batch: Batch, *, silently: bool = False) -> None:
        """Take a batch; `silently`: it is not news, so tell nobody and record nothing."""

    def connected(self, at: int) -> None:
        """Note that everything asked for is subscribed (again), at this moment in microseconds."""

    def lost(self, at: int, reason: str, channels: tuple[str, ...] | None = None) -> None:
        """Note that nothing comes since this moment in microseconds, and that the feed tries to come back.

        What may be lost is of these channels; of all that are subscribed, where none are named.
        """

    def missed(self, start: int, end: int | None, reason: str, channels: tuple[str, ...]) -> None:
        """Note a gap that is none of the feed's own: it was not away."""

    def rewound(self, at: int) -> None:
        """Forget everything that has come: the feed goes on from this moment."""

    def failed(self, error: FxliveError) -> None:
        """Note that the feed has ended for good."""


class Feed(Protocol):
    """A source of batches. `start` raises where it cannot begin; after it, whatever happens is told to the sink."""

    url: str

    @property
    def subscriptions(self) -> dict[str, dict[str, Any]]:
        """The filters of each channel that is subscribed."""

    @property
    def clock_offset_us(self) -> int | None:
        """How far the platform's clock is ahead of ours, in microseconds; None where it is not known."""

    @property
    def halt(self) -> Halt | None:
        """Why nothing comes at present though nothing is wrong, as with a replay; None where things come."""

    @property
    def reconnect_error(self) -> str | None:
        """Why the last try to come back has failed; None where there was none, or it went well."""

    async def start(self, sink: Sink) -> None:
        """Connect and subscribe, then go on in the background."""

    async def subscribe(self, channels: Mapping[str, Filters | None]) -> None:
        """Subscribe to more channels, or to the same with other filters; returns once acknowledged."""

    async def unsubscribe(self, channels: Sequence[str]) -> None:
        """Give channels up; returns once acknowledged."""

    def reconnect(self, reason: str) -> None:
        """Drop the connection and come back."""

    async def close(self) -> None:
        """End for good."""

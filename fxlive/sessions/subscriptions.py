"""Subscribing: which channels a running session asks for, and with which filters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fxlive.core.background import bridge, call
from fxlive.core.instruments import with_normalized_symbols
from fxlive.errors import InvalidSubscription, UnknownOption
from fxlive.feeds.interface import Filters
from fxlive.pipeline.pipeline import Pipeline
from fxlive.wire.channels import CHANNELS, channel_name, has_symbols

Channels = Sequence[str] | Mapping[str, Filters | None] | None


class Subscribing:
    """The methods that subscribe, of a running session."""

    _pipeline: Pipeline

    @property
    def subscriptions(self) -> dict[str, dict[str, Any]]:
        """The filters of each channel that is subscribed."""
        return self._pipeline.feed.subscriptions

    def subscribe(self, /, *channels: str, **filters: Any) -> None:
        """Subscribe to channels, with filters on fields of their ``data``; returns once the platform has agreed.

        A channel that is subscribed already gets the new filters. ``symbol="eur/usd"`` asks for EURUSD.

        Raises
        ------
        SubscriptionError
            Where the platform refuses, or does not answer.

        Examples
        --------
        >>> import fxlive
        >>> session = fxlive.Session.offline()
        >>> session.subscribe("trades", symbol="EURUSD", strategy_id="s1")
        >>> session.subscriptions
        {'trades': {'symbol': 'EURUSD', 'strategy_id': 's1'}}
        """
        call(self._subscribing(channels, filters))

    async def subscribe_async(self, /, *channels: str, **filters: Any) -> None:
        """Subscribe, as `subscribe`, for ``await``."""
        await bridge(self._subscribing(channels, filters))

    async def _subscribing(self, channels: Sequence[str], filters: Filters) -> None:
        self._pipeline.check_open()
        wanted = {channel_name(name): filters for name in channels}
        await self._pipeline.feed.subscribe(
            {name: _spelled(name, asked, sorted(self._pipeline.store.symbols)) for name, asked in wanted.items()}
        )

    def unsubscribe(self, *channels: str) -> None:
        """Give channels up; their frames stay as they are."""
        call(self._unsubscribing(channels))

    async def unsubscribe_async(self, *channels: str) -> None:
        """Give channels up, as `unsubscribe`, for ``await``."""
        await bridge(self._unsubscribing(channels))

    async def _unsubscribing(self, channels: Sequence[str]) -> None:
        self._pipeline.check_open()
        await self._pipeline.feed.unsubscribe([channel_name(name) for name in channels])


def wanted(channels: Channels) -> dict[str, Filters | None]:
    """Return the filters of each channel that is asked for, None where all of it is; all channels by default.

    >>> wanted(["trades"]), wanted({"trades": {"symbol": "eur/usd"}})
    ({'trades': None}, {'trades': {'symbol': 'EURUSD'}})

    Raises
    ------
    InvalidChannel, InvalidSubscription, UnknownOption
        Where that is nothing to subscribe to.
    """
    if channels is None:
        return dict.fromkeys(CHANNELS)
    if isinstance(channels, str):
        channels = [channels]
    given: object = channels
    if not isinstance(given, Iterable):
        raise UnknownOption("channels", given, ('names such as ["trades"]', 'filters by name such as {"trades": {}}'))
    if isinstance(channels, Mapping):
        for name, filters in channels.items():
            if filters is not None and not isinstance(filters, Mapping):
                raise InvalidSubscription(
                    f"The filters of {name} must be a dict such as {{'symbol': 'EURUSD'}}, not {filters!r}.",
                    channel=name,
                )
        named = {channel_name(name): filters for name, filters in channels.items()}
        return {name: None if asked is None else _spelled(name, asked, []) for name, asked in named.items()}
    return {channel_name(name): None for name in channels}


def _spelled(channel: str, filters: Filters, seen: list[str]) -> Filters:
    """Return filters with symbols as the platform writes them: one that it does not know brings nothing, silently."""
    return with_normalized_symbols(filters, seen) if has_symbols(channel) else filters

"""Subscribing to channels, with filters. The functions become methods of `Session`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fxlive.core.background import bridge, call
from fxlive.core.instruments import with_normalized_symbols
from fxlive.errors import InvalidSubscription, UnknownOption
from fxlive.feeds.interface import Filters
from fxlive.sessions.running import Running
from fxlive.wire.channels import CHANNELS, channel_name, has_symbols

Channels = Sequence[str] | Mapping[str, Filters | None] | None


def subscribe(self: Running, /, *channels: str, **filters: Any) -> None:
    """Subscribe to channels, with filters on fields of their ``data``; return once the platform has confirmed.

    A channel that is subscribed already gets the new filters. ``symbol="eur/usd"`` asks for EURUSD.

    Raises
    ------
    InvalidChannel
        If a channel does not exist.
    SubscriptionError
        If the platform refuses, or does not answer in time.
    SessionClosed
        If the session is closed or has failed.

    Examples
    --------
    >>> import fxlive
    >>> session = fxlive.Session.offline()
    >>> session.subscribe("trades", symbol="EURUSD", strategy_id="s1")
    >>> session.subscriptions
    {'trades': {'symbol': 'EURUSD', 'strategy_id': 's1'}}
    """
    call(_subscribe(self, channels, filters))


async def subscribe_async(self: Running, /, *channels: str, **filters: Any) -> None:
    """Subscribe to channels; the awaitable form of `subscribe`."""
    await bridge(_subscribe(self, channels, filters))


async def _subscribe(session: Running, channels: Sequence[str], filters: Filters) -> None:
    pipeline = session._pipeline
    pipeline.check_open()
    symbols = sorted(pipeline.store.symbols)
    names = [channel_name(name) for name in channels]
    await pipeline.feed.subscribe({name: _with_spelled_symbols(name, filters, symbols) for name in names})


def unsubscribe(self: Running, *channels: str) -> None:
    """Unsubscribe from channels; their frames stay as they are.

    Raises
    ------
    InvalidChannel
        If a channel does not exist.
    SubscriptionError
        If the platform refuses, or does not answer in time.
    SessionClosed
        If the session is closed or has failed.
    """
    call(_unsubscribe(self, channels))


async def unsubscribe_async(self: Running, *channels: str) -> None:
    """Unsubscribe from channels; the awaitable form of `unsubscribe`."""
    await bridge(_unsubscribe(self, channels))


async def _unsubscribe(session: Running, channels: Sequence[str]) -> None:
    session._pipeline.check_open()
    await session._pipeline.feed.unsubscribe([channel_name(name) for name in channels])


def requested_filters(channels: Channels) -> dict[str, Filters | None]:
    """Return the filters of each channel of a user's `channels` argument; None for a channel without filters.

    >>> requested_filters(["trades"]), requested_filters({"trades": {"symbol": "eur/usd"}})
    ({'trades': None}, {'trades': {'symbol': 'EURUSD'}})

    Raises
    ------
    InvalidChannel
        If a channel does not exist.
    InvalidSubscription
        If filters are not a mapping.
    UnknownOption
        If `channels` is not None, a sequence of names, or a mapping.
    """
    if channels is None:
        return dict.fromkeys(CHANNELS)
    if isinstance(channels, str):
        channels = [channels]
    given: object = channels
    if not isinstance(given, Iterable):
        accepted = ('names such as ["trades"]', 'filters by name such as {"trades": {}}')
        raise UnknownOption("channels", given, accepted)
    if isinstance(channels, Mapping):
        for name, filters in channels.items():
            if filters is not None and not isinstance(filters, Mapping):
                raise InvalidSubscription(
                    f"The filters of {name} must be a dict such as {{'symbol': 'EURUSD'}}, got {filters!r}.",
                    channel=name,
                )
        named = {channel_name(name): filters for name, filters in channels.items()}
        return {
            name: None if filters is None else _with_spelled_symbols(name, filters, [])
            for name, filters in named.items()
        }
    return {channel_name(name): None for name in channels}


def _with_spelled_symbols(channel: str, filters: Filters, symbols: list[str]) -> Filters:
    """Return filters with symbols spelled as the platform does: for a symbol it does not know it sends nothing."""
    return with_normalized_symbols(filters, symbols) if has_symbols(channel) else filters

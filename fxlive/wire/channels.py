"""The channels: the message type, the key and the columns of each.

A new channel needs a message in `messages.py` and an entry in `CHANNELS`. Its columns are derived from the annotations
of the message: field names in snake_case, nested objects flattened with an underscore, and `timestamp` inside `data`
named `data_timestamp`, because `timestamp` is the envelope's.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from fxlive.core.volumes import is_zero
from fxlive.errors import InvalidChannel, did_you_mean
from fxlive.wire.messages import (
    DATA_MESSAGES,
    Alert,
    Analytics,
    Fields,
    Kind,
    Message,
    Order,
    Position,
    Quote,
    System,
    Trade,
)
from fxlive.wire.statuses import is_ended_order

ChannelName = Literal["trades", "positions", "orders", "market-data", "alerts", "analytics", "system"]

MAX_COLUMNS = 256
"""Undocumented fields beyond this many columns of a channel go to its column `extra`."""


@dataclass(frozen=True)
class Column:
    """One column of a channel: its name in a frame, its kind, and the path of its field in the message's `data`."""

    name: str
    kind: Kind
    path: tuple[str, ...] = ()
    required: bool = False


@dataclass(frozen=True, eq=False)
class Channel:
    """One channel: its name on the wire, its message type, its key and its columns.

    `key` names the columns that identify a row in `latest`; a `single` channel has at most one row there. `ends` is a
    column, and a function of its value that returns whether the position or order has ended. Until then its newest row
    stays in `latest` after leaving the rolling window. With `leaves`, an ended row is removed from `latest` at once.
    """

    name: str
    message: type[Message] | None = None
    key: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    single: bool = False
    ends: tuple[str, Callable[[Any], bool]] | None = None
    leaves: bool = False

    @property
    def type(self) -> str | None:
        """The `type` of the channel's messages on the wire; None for an undocumented channel."""
        return None if self.message is None else str(self.message.__struct_config__.tag)


ID = Column("id", Kind.TEXT)


def _channel(name: str, message: type[Message], *key: str, **rules: Any) -> Channel:
    data = get_type_hints(message, include_extras=True)["data"]
    return Channel(name, message, key, (*_columns(data), ID), **rules)


def _columns(fields: type[Fields], parents: tuple[str, ...] = ()) -> Iterator[Column]:
    hints = get_type_hints(fields, include_extras=True)
    for field in msgspec.structs.fields(fields):
        path = (*parents, field.name)
        nested = nested_fields(hints[field.name])
        if nested is not None:
            yield from _columns(nested, path)
        else:
            yield Column(column_name(path), _kind(hints[field.name]), path, field.required)


def nested_fields(hint: Any) -> type[Fields] | None:
    """Return the struct of a field that is an object, given its annotation; None for any other field."""
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    return next((o for o in options if isinstance(o, type) and issubclass(o, Fields)), None)


def _kind(hint: Any) -> Kind:
    if get_origin(hint) is Annotated:
        return next(m for m in hint.__metadata__ if isinstance(m, Kind))
    raise TypeError(f"The annotation of a message field must contain a Kind, got {hint}.")


_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def snake(name: str) -> str:
    """Return a field name of the wire in snake_case.

    >>> snake("openPrice"), snake("unrealizedPnL"), snake("userID")
    ('open_price', 'unrealized_pnl', 'user_id')
    """
    return name if name.islower() else _WORDS.sub("_", name.replace("PnL", "Pnl")).lower()


@lru_cache(4096)
def column_name(path: tuple[str, ...]) -> str:
    """Return the column name of a field of `data`, given its path.

    >>> column_name(("metrics", "winRate")), column_name(("timestamp",))
    ('metrics_win_rate', 'data_timestamp')
    """
    name = "_".join(snake(part) for part in path)
    return "data_timestamp" if name == "timestamp" else name


CHANNELS: dict[str, Channel] = {
    channel.name: channel
    for channel in (
        _channel("trades", Trade, "execution_id"),
        _channel("positions", Position, "ticket", ends=("volume", is_zero), leaves=True),
        _channel("orders", Order, "order_id", ends=("status", is_ended_order)),
        _channel("market-data", Quote, "symbol"),
        _channel("alerts", Alert, "alert_id"),
        _channel("analytics", Analytics, "type", "period"),
        _channel("system", System, "status", single=True),
    )
}

CHANNEL_OF_TYPE: dict[str, Channel] = {str(channel.type): channel for channel in CHANNELS.values()}

assert {channel.message for channel in CHANNELS.values()} == set(DATA_MESSAGES)


def has_symbols(channel: str) -> bool:
    """Return whether a channel has a documented column of instrument symbols.

    In an undocumented channel a field named `symbol` may hold anything.

    >>> has_symbols("trades"), has_symbols("alerts")
    (True, False)
    """
    return channel in CHANNELS and any(column.kind is Kind.SYMBOL for column in CHANNELS[channel].columns)


def channel_name(name: str, also: tuple[str, ...] = ()) -> str:
    """Return the name of a channel on the wire; an underscore is accepted for the hyphen.

    Raises
    ------
    InvalidChannel
        If `name` is neither a documented channel nor in `also`. The message lists the channels.

    >>> channel_name("market_data")
    'market-data'
    """
    known = (*CHANNELS, *(n for n in also if n not in CHANNELS))
    argument: object = name
    if isinstance(argument, list | tuple | set):
        raise InvalidChannel(f"Pass one channel name, not {argument!r}. Use one of: {', '.join(known)}.", known=known)
    for candidate in (name, str(name).replace("_", "-")):
        if candidate in known:
            return candidate
    raise InvalidChannel(
        f"Unknown channel {name!r}.{did_you_mean(str(name), known)} Use one of: {', '.join(known)}.",
        channel=str(name),
        known=known,
    )

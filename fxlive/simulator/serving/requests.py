"""What clients ask for: subscribe and unsubscribe requests, and filters."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from fxlive.simulator.trading.platform import Message, data_of
from fxlive.simulator.wire import CHANNELS, FIELDS


class BadRequest(Exception):
    """A request that is answered with a documented error: its name, what is wrong, and the channel if there is one."""

    def __init__(self, name: str, message: str, channel: str | None = None) -> None:
        super().__init__(message)
        self.name = name
        self.message = message
        self.channel = channel


class Filter:
    """Keeps the messages whose data equal every given value.

    A name is a field of data (`metrics.winRate` for a nested one), or strategyId or connectionId where the account
    knows it. A value is a text, a number, true, false or null, or a list of which one must match; 1 matches "1".
    """

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        self.wanted = dict(wanted)
        self._symbols: frozenset[str] | None = None
        if set(self.wanted) == {"symbol"}:
            value = self.wanted["symbol"]
            values = value if isinstance(value, list) else [value]
            if all(isinstance(one, str) for one in values):
                # The usual filter needs no look into the data.
                self._symbols = frozenset(values)

    def keeps(self, message: Message) -> bool:
        """Whether the message passes."""
        if self._symbols is not None:
            return message.symbol in self._symbols
        data = data_of(message.frame)
        return all(_equals(_find(data, message.labels, name), value) for name, value in self.wanted.items())


def _find(data: Any, labels: Mapping[str, str], name: str) -> Any:
    if name in labels:
        return labels[name]
    for part in name.split("."):
        data = data.get(part) if isinstance(data, dict) else None
    return data


def _equals(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, list) and not isinstance(value, list):
        return any(_equals(value, one) for one in wanted)
    if value is None or wanted is None or isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(value, (int, float)) and isinstance(wanted, (int, float, str)):
        try:
            return float(wanted) == value
        except ValueError:
            return False
    if isinstance(value, str):
        return value == str(wanted)
    return bool(value == wanted)


class Subscribe(NamedTuple):
    """A subscribe request: the channels to take, each with its filter; how many were asked for; what was wrong."""

    channels: list[tuple[str, Filter | None]]
    asked: int
    errors: list[BadRequest]


class Unsubscribe(NamedTuple):
    """An unsubscribe request: the channels to end, and what is wrong with the others."""

    channels: list[str]
    errors: list[BadRequest]


def read(text: str | bytes, permitted: Collection[str] | None) -> Subscribe | Unsubscribe:
    """Read a request, or raise BadRequest when it has no meaning at all.

    Parameters
    ----------
    text : what the client sent.
    permitted : the channels that its token permits (None: all).
    """
    try:
        request = json.loads(text)
    except (ValueError, RecursionError):
        raise BadRequest("Invalid subscription", "a request is a JSON object; this is no JSON") from None
    if not isinstance(request, dict) or request.get("type") not in {"subscribe", "unsubscribe"}:
        raise BadRequest("Invalid subscription", "a request has the type subscribe or unsubscribe")
    entries = request.get("channels")
    if not isinstance(entries, list) or not entries:
        raise BadRequest("Invalid subscription", "channels is a list of names, or of objects with name and filters")
    taken: dict[str, Filter | None] = {}
    errors: list[BadRequest] = []
    for entry in entries:
        try:
            name, wanted = _entry(entry)
            if permitted is not None and name not in permitted:
                raise BadRequest("Permission denied", f"the token does not permit {name}", name)
            taken[name] = Filter(wanted) if wanted else None
        except BadRequest as error:
            errors.append(error)
    if request["type"] == "unsubscribe":
        return Unsubscribe(list(taken), errors)
    return Subscribe(list(taken.items()), len(entries), errors)


def _entry(entry: Any) -> tuple[str, Mapping[str, Any]]:
    """One channel of a request and its filters."""
    name = entry.get("name") if isinstance(entry, dict) else entry
    if not isinstance(name, str):
        raise BadRequest("Invalid subscription", "a channel is a name, or an object with name and filters")
    if name not in CHANNELS:
        raise BadRequest("Invalid channel", f"there is no channel {name!r}: {', '.join(CHANNELS)}", name)
    wanted = entry.get("filters") if isinstance(entry, dict) else None
    if wanted is None:
        return name, {}
    if not isinstance(wanted, dict):
        raise BadRequest("Invalid subscription", "filters is an object of fields and values", name)
    unknown = sorted(set(wanted) - FIELDS[name])
    if unknown:
        raise BadRequest(
            "Invalid subscription", f"{name} has no {', '.join(unknown)}: {', '.join(sorted(FIELDS[name]))}", name
        )
    return name, wanted

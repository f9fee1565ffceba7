"""Subscribe and unsubscribe requests, and the filters in them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from fxlive.simulator.trading.platform import Message, data_of
from fxlive.simulator.wire import CHANNELS, FIELDS


class BadRequest(Exception):
    """A request, or a channel in it, that is answered with a documented error.

    Attributes
    ----------
    name : the reference's name of the error.
    message : the details, with the accepted values.
    channel : the channel concerned, or None.
    """

    def __init__(self, name: str, message: str, channel: str | None = None) -> None:
        super().__init__(message)
        self.name = name
        self.message = message
        self.channel = channel


class Filter:
    """A filter that matches the messages whose data have all the given values.

    A name is a field of the data (`metrics.winRate` for a nested one) or, in the account's channels, also strategyId
    or connectionId. A value is a text, a number, true, false or null, or a list of these of which one must match. The
    number 1 matches the text "1".
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = dict(values)
        self._symbols: frozenset[str] | None = None
        if set(self.values) == {"symbol"}:
            value = self.values["symbol"]
            symbols = value if isinstance(value, list) else [value]
            if all(isinstance(symbol, str) for symbol in symbols):
                # The most frequent filter. It does not need to decode the message.
                self._symbols = frozenset(symbols)

    def matches(self, message: Message) -> bool:
        """Return whether the message passes the filter."""
        if self._symbols is not None:
            return message.symbol in self._symbols
        data = data_of(message.frame)
        return all(_equals(_find(data, message.labels, name), value) for name, value in self.values.items())


def _find(data: Any, labels: Mapping[str, str], name: str) -> Any:
    if name in labels:
        return labels[name]
    for part in name.split("."):
        data = data.get(part) if isinstance(data, dict) else None
    return data


def _equals(value: Any, expected: Any) -> bool:
    if isinstance(expected, list) and not isinstance(value, list):
        return any(_equals(value, alternative) for alternative in expected)
    if value is None or expected is None or isinstance(value, bool) or isinstance(expected, bool):
        return value is expected
    if isinstance(value, (int, float)) and isinstance(expected, (int, float, str)):
        try:
            return float(expected) == value
        except ValueError:
            return False
    if isinstance(value, str):
        return value == str(expected)
    return bool(value == expected)


class Subscribe(NamedTuple):
    """A subscribe request: its valid channels and their filters, the number requested, the errors of the others."""

    channels: list[tuple[str, Filter | None]]
    requested: int
    errors: list[BadRequest]


class Unsubscribe(NamedTuple):
    """An unsubscribe request: its valid channels, and the errors of the others."""

    channels: list[str]
    errors: list[BadRequest]


def parse_request(text: str | bytes, permitted: Collection[str] | None) -> Subscribe | Unsubscribe:
    """Parse a request. An invalid channel is in its `errors`.

    Parameters
    ----------
    text : the client's message.
    permitted : the channels that its token permits (None: all).

    Raises
    ------
    BadRequest
        If the request as a whole is invalid.
    """
    try:
        request = json.loads(text)
    except (ValueError, RecursionError):
        raise BadRequest("Invalid subscription", "a request must be a JSON object") from None
    if not isinstance(request, dict) or request.get("type") not in {"subscribe", "unsubscribe"}:
        raise BadRequest("Invalid subscription", "type must be subscribe or unsubscribe")
    entries = request.get("channels")
    if not isinstance(entries, list) or not entries:
        raise BadRequest(
            "Invalid subscription", "channels must be a list of names, or of objects with name and filters"
        )
    channels: dict[str, Filter | None] = {}
    errors: list[BadRequest] = []
    for entry in entries:
        try:
            name, filters = _parse_entry(entry)
            if permitted is not None and name not in permitted:
                raise BadRequest("Permission denied", f"the token does not permit {name}", name)
            channels[name] = Filter(filters) if filters else None
        except BadRequest as error:
            errors.append(error)
    if request["type"] == "unsubscribe":
        return Unsubscribe(list(channels), errors)
    return Subscribe(list(channels.items()), len(entries), errors)


def _parse_entry(entry: Any) -> tuple[str, Mapping[str, Any]]:
    """Return the name and the filters of one channel of a request."""
    name = entry.get("name") if isinstance(entry, dict) else entry
    if not isinstance(name, str):
        raise BadRequest("Invalid subscription", "a channel must be a name, or an object with name and filters")
    if name not in CHANNELS:
        raise BadRequest("Invalid channel", f"unknown channel {name!r}; use one of: {', '.join(CHANNELS)}", name)
    filters = entry.get("filters") if isinstance(entry, dict) else None
    if filters is None:
        return name, {}
    if not isinstance(filters, dict):
        raise BadRequest("Invalid subscription", "filters must be an object of fields and values", name)
    unknown = sorted(set(filters) - FIELDS[name])
    if unknown:
        fields = ", ".join(sorted(FIELDS[name]))
        raise BadRequest(
            "Invalid subscription", f"unknown filter {', '.join(unknown)} of {name}; use one of: {fields}", name
        )
    return name, filters

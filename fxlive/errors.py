"""Every exception that fxlive raises.

    FxliveError
    ├── ConnectionFailed            the platform could not be reached, or hung up for good
    │   ├── AuthenticationError     the token is missing, wrong or expired
    │   │   └── TokenFunctionFailed your own function raised, or did not return in time
    │   ├── RateLimitError          too many connections; `retry_after_s` says how long to wait
    │   ├── ServerUnavailable       nothing answers, or the server says 503 / try again later
    │   └── ReconnectsExhausted     five reconnects in a row failed
    ├── SubscriptionError           the platform refused a subscription
    │   ├── InvalidChannel          no such channel
    │   ├── PermissionDenied        not for this user; ConnectionDenied (also a ConnectionFailed) at the handshake
    │   ├── InvalidSubscription     malformed filters or names
    │   └── TooManySubscriptions    more than the connection may hold; raised before it is sent
    ├── NoSession                   no session of that name is open, or this one never was
    ├── SessionClosed               the session was closed or has failed
    ├── UnknownColumn               no such column in the channel
    ├── UnknownSymbol               no such symbol, nor can there be one
    ├── UnknownOption               an option that does not exist, or cannot have that value
    ├── InvalidFrame                a DataFrame that cannot be analysed as it is
    ├── WaitTimeout                 what was waited for did not come in time
    └── CaptureError                files: what could not be written or read
        ├── NotACapture             there is no capture at that path
        ├── NewerCapture            it was written by a newer fxlive
        └── IncompleteCapture       part of it is missing or damaged; given as a warning, the rest is read

Data is in fields; the text says what happened and ends with what to do. No text ever holds a token.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_NEAR_COLUMN = 0.7  # with less, who writes columns= is asked whether volume was meant


class FxliveError(Exception):
    """Anything that fxlive raises on purpose."""


class ConnectionFailed(FxliveError):
    """The platform could not be reached, or the connection ended for good."""

    def __init__(self, message: str, *, url: str | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.url = url
        self.status = status


class AuthenticationError(ConnectionFailed):
    """The platform refused the token: it is missing, wrong or expired."""


class TokenFunctionFailed(AuthenticationError):
    """The token function raised, or did not return in time. The platform has refused nothing: try again."""


class RateLimitError(ConnectionFailed):
    """Too many connections or messages; `retry_after_s` is the wait in seconds, when it is known."""

    def __init__(
        self, message: str, *, url: str | None = None, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, url=url, status=status)
        self.retry_after_s = retry_after_s


class ServerUnavailable(ConnectionFailed):
    """Nothing answers at the URL, or the server asks to try again later."""

    def __init__(
        self, message: str, *, url: str | None = None, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, url=url, status=status)
        self.retry_after_s = retry_after_s


class ReconnectsExhausted(ConnectionFailed):
    """Every reconnect of a series failed; `attempts` says how many, `__cause__` holds the last failure."""

    def __init__(self, message: str, *, url: str | None = None, attempts: int = 0) -> None:
        super().__init__(message, url=url)
        self.attempts = attempts


class SubscriptionError(FxliveError):
    """The platform refused a subscription, or did not answer it; `channel` names it where it is known."""

    def __init__(self, message: str, *, channel: str | None = None) -> None:
        super().__init__(message)
        self.channel = channel


class InvalidChannel(SubscriptionError):
    """There is no channel of that name; `known` lists those that exist."""

    def __init__(self, message: str, *, channel: str | None = None, known: Iterable[str] = ()) -> None:
        super().__init__(message, channel=channel)
        self.known = tuple(known)


class PermissionDenied(SubscriptionError):
    """The user behind the token may not read that channel."""


class ConnectionDenied(PermissionDenied, ConnectionFailed):
    """The user behind the token may not connect at all (403)."""

    def __init__(self, message: str, *, url: str | None = None, status: int | None = None) -> None:
        ConnectionFailed.__init__(self, message, url=url, status=status)
        self.channel = None


class InvalidSubscription(SubscriptionError):
    """The platform did not understand the names or filters of a subscription."""


class TooManySubscriptions(SubscriptionError):
    """The connection would hold more subscriptions than the platform allows."""


class NoSession(FxliveError):
    """There is no open session, or none of that name, or this one was never opened."""


class SessionClosed(FxliveError):
    """The session was closed or has failed, so it cannot do that any more."""


class UnknownColumn(FxliveError, KeyError):
    """The channel has no column of that name; `known` lists those it has.

    Where a column is asked for by a keyword, `options` are the keywords that are none.
    """

    def __init__(self, column: str, channel: str, known: Iterable[str], options: Iterable[str] | None = None) -> None:
        self.column = column
        self.channel = channel
        self.known = tuple(known)
        self.options = () if options is None else tuple(options)
        message = f"Unknown column {column!r} of {channel}."
        message += did_you_mean(column, [*self.known, *self.options], near=_NEAR_COLUMN)
        message += f" Columns: {', '.join(self.known)}."
        if options is not None:
            message += f" Other options: {', '.join(self.options) or 'none'}."
        super().__init__(message)

    def __str__(self) -> str:  # KeyError would show the repr of the text
        return str(self.args[0])


class UnknownSymbol(FxliveError, KeyError):
    """It is no symbol that has been seen, nor six letters that could be one; `known` lists those seen."""

    def __init__(self, symbol: str, known: Iterable[str]) -> None:
        self.symbol = symbol
        self.known = tuple(known)
        seen = f"Symbols so far: {', '.join(self.known)}." if self.known else "No symbol has been quoted yet."
        super().__init__(
            f"Unknown symbol {symbol!r}.{did_you_mean(str(symbol), self.known)} {seen} "
            "Six letters, such as EURUSD, are accepted before their first quote."
        )

    def __str__(self) -> str:  # KeyError would show the repr of the text
        return str(self.args[0])


class UnknownOption(FxliveError, ValueError):
    """The value of an option is not valid; `known` lists the valid values."""

    def __init__(self, option: str, value: object, known: Iterable[str]) -> None:
        self.option = option
        self.value = value
        self.known = tuple(known)
        suggested = did_you_mean(str(value), self.known) if len(self.known) > 1 else ""
        super().__init__(f"{option} must be {alternatives(self.known)}, got {value!r}.{suggested}")


class InvalidFrame(FxliveError, ValueError):
    """A DataFrame cannot be analysed as it is; `frame` says which one, `reason` why and what to do."""

    def __init__(self, frame: str, reason: str) -> None:
        self.frame = frame
        self.reason = reason
        super().__init__(f"{frame} {reason}.")


class WaitTimeout(FxliveError, TimeoutError):
    """What was waited for did not come in time."""


class CaptureError(FxliveError):
    """A data file or folder could not be written or read."""


class NotACapture(CaptureError):
    """There is no capture at `path`."""

    def __init__(self, path: str, why: str) -> None:
        self.path = path
        super().__init__(f"{path} is no capture: {why}. Name a folder that record() made, or one that holds such.")


class NewerCapture(CaptureError):
    """The capture's `file` is of a `version` that this fxlive does not read."""

    def __init__(self, file: str, version: int, known: int) -> None:
        self.file = file
        self.version = version
        super().__init__(f"{file} is of format {version}, and this fxlive reads up to {known}. Install a newer fxlive.")


class IncompleteCapture(CaptureError, UserWarning):
    """A warning: something of a capture is missing or damaged, and what else there is was read; `file` names it."""

    def __init__(self, file: str, what: str) -> None:
        self.file = file
        super().__init__(f"{file} {what}")


def alternatives(values: Iterable[str]) -> str:
    """Return values as a list in words.

    >>> alternatives(["header", "query"]), alternatives(["mid", "bid", "ask"])
    ('header or query', 'mid, bid or ask')
    """
    values = list(values)
    return " or ".join(filter(None, [", ".join(values[:-1]), *values[-1:]]))


def did_you_mean(name: str, known: Iterable[str], *, near: float = 0.6) -> str:
    """Return a suggestion of the known name most similar to `name`; empty if none has a similarity of `near` (0 to 1).

    >>> did_you_mean("trade", ["trades", "orders"]), did_you_mean("quotes", ["trades", "orders"])
    (' Did you mean trades?', '')
    """
    nearest = get_close_matches(name, list(known), n=1, cutoff=near)
    return f" Did you mean {nearest[0]}?" if nearest else ""

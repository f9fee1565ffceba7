"""The exceptions that fxlive raises.

    FxliveError
    ├── ConnectionFailed            the platform cannot be reached, or the connection ended for good
    │   ├── AuthenticationError     the token is missing, wrong or expired
    │   │   └── TokenFunctionFailed the user's token function raised, or did not return in time
    │   ├── RateLimitError          too many connections; `retry_after_s` is how long to wait
    │   ├── ServerUnavailable       nothing answers, or the server answers 503 or asks to try again later
    │   ├── ProxyError              the proxy cannot be reached, or it refuses to connect to the platform
    │   └── ReconnectsExhausted     five reconnects in a row failed
    ├── SubscriptionError           the platform refused a subscription
    │   ├── InvalidChannel          unknown channel
    │   ├── PermissionDenied        the user may not read it; at the handshake: ConnectionDenied, a ConnectionFailed too
    │   ├── InvalidSubscription     malformed filters or names
    │   └── TooManySubscriptions    more than one connection may hold; raised before the request is sent
    ├── NoSession                   no session of that name is open, or this one was never opened
    ├── SessionClosed               the session was closed or has failed
    ├── UnknownColumn               the channel has no such column
    ├── UnknownSymbol               not a symbol seen so far, and not six letters
    ├── UnknownOption               an option does not exist, or its value is invalid
    ├── InvalidFrame                a DataFrame that cannot be analysed as it is
    ├── WaitTimeout                 a wait for rows or another event timed out
    └── CaptureError                a file could not be written or read
        ├── NotACapture             the path holds no capture
        ├── NewerCapture            the capture was written by a newer fxlive
        └── IncompleteCapture       a warning: part of the capture is missing or damaged, the rest was read

Each exception keeps its data in attributes. Its text states what happened and ends with what to do. No text contains a
token or a control character.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable
from difflib import get_close_matches

from fxlive.core.shown_text import printable_lines

_NEAR_COLUMN = 0.7  # the similarity of a suggested column; at 0.6 `columns` would suggest `volume`


class FxliveError(Exception):
    """The base class of all exceptions that fxlive raises on purpose."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(printable_lines(a) if isinstance(a, str) else a for a in args))  # it may quote the platform


class ConnectionFailed(FxliveError):
    """The platform could not be reached, or the connection ended for good."""

    def __init__(self, message: str, *, url: str | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.url = url
        self.status = status


class AuthenticationError(ConnectionFailed):
    """The platform refused the token: it is missing, wrong or expired."""


class TokenFunctionFailed(AuthenticationError):
    """The token function raised, or did not return in time. The platform has not refused anything: try again."""


class RateLimitError(ConnectionFailed):
    """Too many connections or messages; `retry_after_s` is the wait in seconds, None if unknown."""

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


class ProxyError(ConnectionFailed):
    """The proxy cannot be reached, or refuses to connect to the platform; `proxy` is its URL without credentials."""

    def __init__(
        self, message: str, *, url: str | None = None, status: int | None = None, proxy: str | None = None
    ) -> None:
        super().__init__(message, url=url, status=status)
        self.proxy = proxy


class ReconnectsExhausted(ConnectionFailed):
    """Every reconnect of a series failed; `attempts` is their number, `__cause__` the last failure."""

    def __init__(self, message: str, *, url: str | None = None, attempts: int = 0) -> None:
        super().__init__(message, url=url)
        self.attempts = attempts


class SubscriptionError(FxliveError):
    """The platform refused a subscription or did not answer; `channel` is the channel, None if unknown."""

    def __init__(self, message: str, *, channel: str | None = None) -> None:
        super().__init__(message)
        self.channel = channel


class InvalidChannel(SubscriptionError):
    """Unknown channel; `known` lists the channels."""

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
    """No session is open, none has that name, or this one was never opened."""


class SessionClosed(FxliveError):
    """The session was closed or has failed, and cannot do this any more."""


class UnknownColumn(FxliveError, KeyError):
    """The channel has no column of that name; `known` lists its columns.

    If the column was passed as a keyword, `options` lists the keywords that are not columns.
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
    """Neither a symbol seen so far nor six letters; `known` lists the symbols seen."""

    def __init__(self, symbol: str, known: Iterable[str]) -> None:
        self.symbol = symbol
        self.known = tuple(known)
        seen = f"Symbols so far: {', '.join(self.known)}." if self.known else "No symbols have been seen yet."
        super().__init__(
            f"Unknown symbol {symbol!r}.{did_you_mean(str(symbol), self.known)} {seen} "
            "Six letters, such as EURUSD, are accepted before their first quote."
        )

    def __str__(self) -> str:  # KeyError would show the repr of the text
        return str(self.args[0])


class UnknownOption(FxliveError, ValueError):
    """The value of an option is invalid; `known` lists the valid values."""

    def __init__(self, option: str, value: object, known: Iterable[str]) -> None:
        self.option = option
        self.value = value
        self.known = tuple(known)
        suggested = did_you_mean(str(value), self.known) if len(self.known) > 1 else ""
        super().__init__(f"{option} must be {alternatives(self.known)}, got {value!r}.{suggested}")


class InvalidFrame(FxliveError, ValueError):
    """A DataFrame cannot be analysed as it is; `frame` names it, `reason` states why and what to do."""

    def __init__(self, frame: str, reason: str) -> None:
        self.frame = frame
        self.reason = reason
        super().__init__(f"{frame} {reason}.")


class WaitTimeout(FxliveError, TimeoutError):
    """A wait for rows or another event timed out."""


class CaptureError(FxliveError):
    """A data file or folder could not be written or read."""


class NotACapture(CaptureError):
    """`path` holds no capture."""

    def __init__(self, path: str, why: str) -> None:
        self.path = path
        super().__init__(f"{path} is not a capture: {why}. Pass a folder written by record(), or its parent.")


class NewerCapture(CaptureError):
    """The capture's `file` has a format `version` that this fxlive cannot read."""

    def __init__(self, file: str, version: int, known: int) -> None:
        self.file = file
        self.version = version
        super().__init__(f"{file} has format {version}; this fxlive reads up to {known}. Install a newer fxlive.")


class IncompleteCapture(CaptureError, UserWarning):
    """A warning: `file` of a capture is missing or damaged. The rest of the capture was read."""

    def __init__(self, file: str, what: str) -> None:
        self.file = file
        super().__init__(f"{file} {what}")


def alternatives(values: Iterable[str]) -> str:
    """Return values joined by commas, with "or" before the last.

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


def network_reason(error: Exception) -> str:
    """Return why a connection failed, in the words of the system or of the TLS library.

    >>> network_reason(ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1)"))
    'Connection refused'
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message.rstrip('.')}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason}"
    number = (error.errno or 0) if isinstance(error, OSError) else 0
    return os.strerror(number) if number > 0 else getattr(error, "strerror", "") or str(error) or type(error).__name__

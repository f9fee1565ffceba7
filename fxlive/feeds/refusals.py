"""The exceptions for refused, failed and ended connections."""

from __future__ import annotations

import os
import ssl
import time

from websockets.exceptions import InvalidHandshake, InvalidStatus

from fxlive.errors import (
    AuthenticationError,
    ConnectionDenied,
    ConnectionFailed,
    FxliveError,
    RateLimitError,
    ServerUnavailable,
)
from fxlive.feeds.auth import expired

TOKEN_ENDED = 4401
"""The close code of a connection whose token has expired or was revoked."""

_NOT_ALLOWED = 4403


def shown_cause(error: Exception) -> Exception | None:
    """Return the error if it may be shown as a cause; None if its text could contain the request with the token."""
    return error if isinstance(error, OSError) else None


def connection_error(error: OSError | UnicodeError | InvalidHandshake, url: str, token: str) -> FxliveError:
    """Return the exception for a failed connection attempt."""
    if isinstance(error, InvalidStatus):
        return _status_error(error, url, token)
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConnectionFailed(
            f"The certificate of {url} is not trusted: {error.verify_message}. "
            "For a private authority pass ca='its.pem'.",
            url=url,
        )
    if isinstance(error, ssl.SSLError):
        return ConnectionFailed(f"TLS with {url} failed: {error.reason}. Does the server speak wss?", url=url)
    if isinstance(error, UnicodeError):
        return ConnectionFailed(f"{url!r} has an invalid host name. Is the address right?", url=url)
    if isinstance(error, ConnectionResetError):
        scheme = url.partition(":")[0]
        return ServerUnavailable(f"{url} hung up during the handshake. Does the server speak {scheme}?", url=url)
    if isinstance(error, OSError):
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror or str(error) or type(error).__name__
        return ServerUnavailable(
            f"Nothing answers at {url} ({reason}). Is the address right, and the server up?", url=url
        )
    question = "Does it want wss, or another path?" if url.startswith("ws:") else "Is the path right?"
    return ConnectionFailed(
        f"{url} answers, but not as a WebSocket server ({type(error).__name__}). {question}", url=url
    )


def ended_error(url: str, code: int | None, reason: str, protocol_error: str | None) -> FxliveError:
    """Return the exception for an ended connection, by its close code and reason.

    `protocol_error` is why our side ended it: the received data was invalid or too large. None if it did not.
    """
    message = f"The platform closed the connection ({code}{': ' + reason if reason else ''})."
    if code in (TOKEN_ENDED, _NOT_ALLOWED):
        return AuthenticationError(
            f"{message} The token has expired or was revoked; connect with a new one, or pass "
            "a function as token=, which is asked again.",
            url=url,
            status=code,
        )
    if code == 1008:
        return RateLimitError(f"{message} A rule was broken, such as a rate limit.", url=url, status=code)
    if code == 1013:
        return ServerUnavailable(f"{message} Try again later.", url=url, status=code)
    if code == 1006:
        message = f"The received data is invalid ({protocol_error})." if protocol_error else "The connection was lost."
    return ConnectionFailed(message, url=url, status=code)


def _status_error(error: InvalidStatus, url: str, token: str) -> FxliveError:
    status = error.response.status_code
    retry_after = error.response.headers.get("Retry-After", "")
    retry_after_s = float(retry_after) if retry_after.isdecimal() else None
    if status == 401:
        why = "has expired" if expired(token, time.time()) else "is wrong or has expired"
        return AuthenticationError(f"{url} refused the token (401): it {why}. Get a new one.", url=url, status=status)
    if status == 403:
        return ConnectionDenied(
            f"{url} does not allow this user in (403). Check the account's permissions.", url=url, status=status
        )
    if status == 429:
        wait = f" in {retry_after_s:.0f} s" if retry_after_s else " in a minute"
        return RateLimitError(
            f"{url} reports too many connections (429). Try again{wait}.",
            url=url,
            status=status,
            retry_after_s=retry_after_s,
        )
    if status >= 500:
        return ServerUnavailable(
            f"{url} is not available ({status}). Try again later.", url=url, status=status, retry_after_s=retry_after_s
        )
    return ConnectionFailed(
        f"{url} answered with {status} instead of a WebSocket. Is the path right?", url=url, status=status
    )

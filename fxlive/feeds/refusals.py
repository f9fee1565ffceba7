"""What a refused, failed or ended connection means to a user."""

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
    """Return an error that may be shown as the cause of ours: not one whose text could hold the request."""
    return error if isinstance(error, OSError) else None


def connection_error(error: OSError | UnicodeError | InvalidHandshake, url: str, token: str) -> FxliveError:
    """Return what a failed handshake means to a user."""
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
        return ConnectionFailed(f"{url!r} has no host that could be looked up. Is the address right?", url=url)
    if isinstance(error, ConnectionResetError):
        scheme = url.partition(":")[0]
        return ServerUnavailable(f"{url} hung up during the handshake. Does the server speak {scheme}?", url=url)
    if isinstance(error, OSError):
        number = error.errno or 0
        words = os.strerror(number) if number > 0 else error.strerror or str(error) or type(error).__name__
        return ServerUnavailable(
            f"Nothing answers at {url} ({words}). Is the address right, and the server up?", url=url
        )
    ask = "Does it want wss, or another path?" if url.startswith("ws:") else "Is the path right?"
    return ConnectionFailed(f"{url} answers, but not as a WebSocket server ({type(error).__name__}). {ask}", url=url)


def ended_error(url: str, code: int | None, reason: str, refused: str | None) -> FxliveError:
    """Return what the end of a connection means, by its close code and reason; `refused`: what we could not take."""
    words = f"The platform closed the connection ({code}{': ' + reason if reason else ''})."
    if code in (TOKEN_ENDED, _NOT_ALLOWED):
        return AuthenticationError(
            f"{words} The token has expired or was revoked; connect with a new one, or pass "
            "a function as token=, which is asked again.",
            url=url,
            status=code,
        )
    if code == 1008:
        return RateLimitError(f"{words} It says that a rule was broken, such as a rate limit.", url=url, status=code)
    if code == 1013:
        return ServerUnavailable(f"{words} Try again later.", url=url, status=code)
    if code == 1006:
        words = f"What came could not be taken ({refused})." if refused else "The connection was lost."
    return ConnectionFailed(words, url=url, status=code)


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
            f"{url} says: too many connections (429). Try again{wait}.",
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

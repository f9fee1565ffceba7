"""The exceptions for refused, failed and ended connections."""

from __future__ import annotations

import re
import ssl
from urllib.parse import urljoin

from websockets.exceptions import InvalidHandshake

from fxlive.core.concealment import without_secrets
from fxlive.core.secret import Secret
from fxlive.errors import (
    AuthenticationError,
    ConnectionDenied,
    ConnectionFailed,
    FxliveError,
    RateLimitError,
    ServerUnavailable,
    network_reason,
)
from fxlive.feeds.auth import expired
from fxlive.feeds.handshake import Refused, ResponseHead
from fxlive.feeds.network.retry_after import MAX_RETRY_AFTER_S, asked_wait_s, http_time

TOKEN_ENDED = 4401
"""The close code of a connection whose token has expired or was revoked."""

_NOT_ALLOWED = 4403
_POLICY = 1008


_MAX_LOCATION_CHARS = 200
_LIMIT_WORDS = re.compile(r"\b(?:rates?|limit(?:s|ed|ing)?|too many|quotas?|throttl\w*|flood\w*)\b", re.IGNORECASE)
_PING_WORDS = re.compile(r"\b(?:pings?|pongs?|keep-?alives?|heartbeats?)\b", re.IGNORECASE)


def connection_error(error: Exception, url: str, token: Secret, timeout_s: float, now_s: float) -> FxliveError:
    """Return the exception for a failed connection attempt, given the present in seconds since 1970.

    Its text may repeat words of the server.
    """
    if isinstance(error, FxliveError):
        if isinstance(error, ConnectionFailed):
            error.url = error.url or url
        return error
    if isinstance(error, Refused):
        return _status_error(error.head.reveal(), error.explanation.reveal(), url, token, now_s)
    if isinstance(error, TimeoutError) and error.errno is None:  # our own, not that of the network
        text = f"{url} did not answer within {timeout_s:g} s. Is the address right?"
        return ServerUnavailable(text, url=url)
    failure = _failure(error, url)
    if not isinstance(error, InvalidHandshake):  # its text could contain the server's headers
        failure.__cause__ = error
    return failure


def internal_error(error: Exception, url: str) -> ConnectionFailed:
    """Return the exception for a fault of our own, with the fault as its cause."""
    failure = ConnectionFailed(
        f"An internal error ended the connection: {type(error).__name__}. Please report it, with the cause above.",
        url=url,
    )
    failure.__cause__ = error
    return failure


def _failure(error: Exception, url: str) -> FxliveError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConnectionFailed(
            f"The certificate of {url} is not trusted: {error.verify_message.rstrip('.')}. "
            "For a private authority pass ca='its.pem'.",
            url=url,
        )
    if isinstance(error, ssl.SSLError):
        return ConnectionFailed(f"TLS with {url} failed: {error.reason}. Does the server speak wss?", url=url)
    if isinstance(error, UnicodeError):
        return ConnectionFailed(f"{url!r} has an invalid host name. Is the address right?", url=url)
    if isinstance(error, ConnectionResetError):
        question = "Does the server want wss?" if url.startswith("ws:") else "Does the server speak wss?"
        return ServerUnavailable(f"{url} hung up during the handshake. {question}", url=url)
    if isinstance(error, OSError):
        reason = network_reason(error)
        return ServerUnavailable(
            f"Nothing answers at {url} ({reason}). Is the address right, and the server up?", url=url
        )
    if isinstance(error, InvalidHandshake):
        question = "Does it want wss, or another path?" if url.startswith("ws:") else "Is the path right?"
        return ConnectionFailed(
            f"{url} answers, but not as a WebSocket server ({type(error).__name__}). {question}", url=url
        )
    return internal_error(error, url)


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
    if code == _POLICY:
        about_limits = _LIMIT_WORDS.search(reason) is not None
        if _PING_WORDS.search(reason) and not about_limits:
            message += " Our replies to its pings came too late: the network is slow, or a cell held the interpreter."
            return ConnectionFailed(message, url=url, status=code)
        if not reason or about_limits:
            message += " A rule was broken, such as a rate limit."
        return RateLimitError(message, url=url, status=code)
    if code == 1013:
        return ServerUnavailable(f"{message} Try again later.", url=url, status=code)
    if code == 1006:
        message = f"The received data is invalid ({protocol_error})." if protocol_error else "The connection was lost."
    return ConnectionFailed(message, url=url, status=code)


def _status_error(head: ResponseHead, explanation: str, url: str, token: Secret, now_s: float) -> FxliveError:
    status = head.status
    wait = head.headers.get("retry-after", "")
    asked_s = asked_wait_s(wait, http_time(head.headers.get("date", "")) or now_s)
    retry_after_s = None if asked_s is None else min(asked_s, MAX_RETRY_AFTER_S)
    says = f"{url} says {explanation!r}. It" if explanation else url
    if status == 401:
        why = "has expired" if expired(token, now_s) else "is wrong or has expired"
        return AuthenticationError(f"{says} refused the token (401): it {why}. Get a new one.", url=url, status=status)
    if status == 403:
        return ConnectionDenied(
            f"{says} does not allow this user in (403). Check the account's permissions.", url=url, status=status
        )
    longer = f" It asks for more, but fxlive waits at most {MAX_RETRY_AFTER_S:.0f} s."
    longer = longer if asked_s is not None and asked_s > MAX_RETRY_AFTER_S else ""
    if status == 429:
        when = f" in {retry_after_s:.0f} s" if retry_after_s else " in a minute"
        return RateLimitError(
            f"{says} reports too many connections (429). Try again{when}.{longer}",
            url=url,
            status=status,
            retry_after_s=retry_after_s,
        )
    if status >= 500:
        when = f" It asks to wait {retry_after_s:.0f} s." if retry_after_s and not longer else ""
        return ServerUnavailable(
            f"{says} is not available ({status}). Try again later.{when}{longer}",
            url=url,
            status=status,
            retry_after_s=retry_after_s,
        )
    advice = "Is the path right?"
    if 300 <= status < 400 and head.headers.get("location"):
        target = _location(url, head.headers["location"])
        advice = f"It points to {target}, which fxlive does not follow. Pass that address if you trust it."
    return ConnectionFailed(f"{says} answered with {status} instead of a WebSocket. {advice}", url=url, status=status)


def _location(url: str, location: str) -> str:
    """Return the address that a redirect points to, as the URL of a WebSocket and without secrets."""
    try:
        target = without_secrets(urljoin(url.replace("ws", "http", 1), location))
    except ValueError:
        return "an invalid address"
    shown = re.sub("^http", "ws", target)
    return shown if len(shown) <= _MAX_LOCATION_CHARS else shown[: _MAX_LOCATION_CHARS - 3] + "..."

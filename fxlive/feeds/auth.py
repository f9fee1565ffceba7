"""Tokens: where they come from, when they end, and that nobody sees them."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from fxlive.errors import AuthenticationError

TokenSource = str | Callable[[], str] | Callable[[], Awaitable[str]]

REFRESH_BEFORE_S = 60.0
REFRESH_SHARE = 0.1
"""A token is replaced a minute before its end, or when this share of its life is left where that is less."""

_TOKEN = re.compile(r"[!-~]+")  # what a header can carry; a line break in it would begin another header


class TokenFunctionFailed(AuthenticationError):
    """The token function raised. The platform has refused nothing, so it is worth another try."""


class Token:
    """A token, or what gives one, kept out of every repr.

    >>> Token("secret")
    Token(***)
    """

    def __init__(self, source: TokenSource) -> None:
        self._source = source
        self._last = b""

    def __repr__(self) -> str:
        return "Token(***)"

    @property
    def renewable(self) -> bool:
        """Whether a new token can be had."""
        return callable(self._source)

    async def get(self) -> str:
        """Return a token, a new one where the source is a function.

        Raises
        ------
        AuthenticationError
            Where the source gives no text; its own exceptions are its cause.
        """
        token: object = self._source
        if callable(self._source):
            try:
                token = await asyncio.to_thread(self._source)  # a plain function may well wait for the network
                if inspect.isawaitable(token):
                    token = await token
            except Exception as error:
                raise TokenFunctionFailed(
                    f"The token function raised {type(error).__name__}; see the cause above, then connect again."
                ) from error
        if not isinstance(token, str) or not token.strip():
            raise AuthenticationError("The token is empty or not text. Pass token=..., or set FXLIVE_TOKEN.")
        token = token.strip()
        if not _TOKEN.fullmatch(token):
            raise AuthenticationError("The token holds characters that no token has. Pass it as the platform gave it.")
        self._last = token.encode()
        return token

    def conceal(self, text: bytes) -> bytes:
        """Return a text of the platform's without the token that was given last."""
        return text.replace(self._last, b"***") if self._last else text


def refresh_in_s(token: str, now: float) -> float | None:
    """Return in how many seconds a token should be replaced (not below 0); None where it does not say when it ends.

    Its signature is the server's business and is not checked.

    >>> import jwt
    >>> refresh_in_s(jwt.encode({"iat": 0, "exp": 1000}, "k" * 32), now=0.0)
    940.0
    """
    claims = _claims(token)
    expires = claims.get("exp")
    if expires is None:
        return None
    issued = claims.get("iat", now)
    margin = min(REFRESH_BEFORE_S, max(0.0, (expires - issued) * REFRESH_SHARE))
    return max(0.0, expires - margin - now)


def expired(token: str, now: float) -> bool:
    """Return whether a token says that it has ended."""
    expires = _claims(token).get("exp")
    return expires is not None and expires <= now


def _claims(token: str) -> dict[str, float]:
    """Return the moments that a token names, in seconds; none where it is no JWT."""
    import jwt  # with its cryptography, a third of fxlive's own import time

    try:
        claims = jwt.decode(token, options={"verify_signature": False, "verify_exp": False})
        return {name: float(claims[name]) for name in ("iat", "exp") if name in claims}
    except (jwt.PyJWTError, TypeError, ValueError):
        return {}


def query_token(url: str) -> str | None:
    """Return the token in the query of a URL; None where there is none.

    >>> query_token("wss://host/api/ws?token=abc"), query_token("wss://host/api/ws?subtoken=1")
    ('abc', None)
    """
    try:
        return dict(parse_qsl(urlsplit(url).query)).get("token")
    except ValueError:  # no URL at all, which is for others to say
        return None


def with_query_token(url: str, token: str | None) -> str:
    """Return the URL with the token as its `token` parameter, for servers that want it there; None: without any."""
    parts = urlsplit(url)
    query = [(k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if k != "token"]
    return urlunsplit(parts._replace(query=urlencode(query if token is None else [*query, ("token", token)])))


def without_secrets(url: str) -> str:
    """Return the URL as it may be shown: without user, password and query.

    >>> without_secrets("wss://me:pw@host/api/ws?token=abc")
    'wss://host/api/ws'
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))

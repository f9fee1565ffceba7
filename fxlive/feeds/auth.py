"""Tokens: where they come from, when they end, and that nobody sees them."""

from __future__ import annotations

import inspect
import math
import re
from collections import deque
from collections.abc import Awaitable, Callable

from fxlive.core.background import in_thread
from fxlive.errors import AuthenticationError, TokenFunctionFailed

TokenSource = str | Callable[[], str] | Callable[[], Awaitable[str]]

REFRESH_BEFORE_S = 60.0
REFRESH_SHARE = 0.1
"""A token is replaced a minute before its end, or when this share of its life is left where that is less."""

REFRESH_RETRY_S = 5.0
_CONCEALED = 10
_TOKEN = re.compile(r"[!-~]+")  # what a header can carry; a line break in it would begin another header


class Token:
    """A token, or what gives one, kept out of every repr.

    >>> Token("secret")
    Token(***)
    """

    def __init__(self, source: TokenSource) -> None:
        self._source = source
        self._given: deque[bytes] = deque(maxlen=_CONCEALED)

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
            Where the source gives no text.
        TokenFunctionFailed
            Where it raises; that is the cause.
        """
        token: object = self._source
        if callable(self._source):
            try:
                token = await in_thread(self._source)  # a plain function may well wait for the network
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
        if token.encode() not in self._given:
            self._given.append(token.encode())
        return token

    def conceal(self, text: bytes) -> bytes:
        """Return a text of the platform's without the tokens that were given lately."""
        for given in self._given:
            text = text.replace(given, b"***")
        return text


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


def retry_refresh_in_s(token: str, now: float) -> float | None:
    """Return in how many seconds to try again to replace a token; None where it has ended.

    >>> import jwt
    >>> token = jwt.encode({"exp": 1000}, "k" * 32)
    >>> retry_refresh_in_s(token, now=980.0), retry_refresh_in_s(token, now=1001.0)
    (5.0, None)
    """
    left = left_s(token, now)
    return None if left <= 0 else max(0.1, min(REFRESH_RETRY_S, left / 4))


def expired(token: str, now: float) -> bool:
    """Return whether a token says that it has ended."""
    return left_s(token, now) <= 0


def left_s(token: str, now: float) -> float:
    """Return for how many seconds a token is valid yet; infinitely many where it does not say when it ends."""
    return _claims(token).get("exp", math.inf) - now


def life_s(token: str) -> float:
    """Return for how many seconds a token was made; infinitely many where it does not say."""
    claims = _claims(token)
    return claims.get("exp", math.inf) - claims.get("iat", 0.0)


def _claims(token: str) -> dict[str, float]:
    """Return the moments that a token names, in seconds; none where it is no JWT."""
    import jwt  # with its cryptography, a third of fxlive's own import time

    try:
        claims = jwt.decode(token, options={"verify_signature": False, "verify_exp": False})
        return {name: float(claims[name]) for name in ("iat", "exp") if name in claims}
    except (jwt.PyJWTError, TypeError, ValueError):
        return {}

"""Tokens: their source, their expiry, and keeping them out of everything that is shown."""

from __future__ import annotations

import inspect
import math
import re
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fxlive.core.background import in_thread
from fxlive.core.concealment import Concealment
from fxlive.core.secret import Secret
from fxlive.core.world import WORLD, World
from fxlive.errors import AuthenticationError, FxliveError, TokenFunctionFailed

TokenSource = str | Callable[[], str] | Callable[[], Awaitable[str]]
E = TypeVar("E", bound=FxliveError)

REFRESH_BEFORE_S = 60.0
REFRESH_SHARE = 0.1
"""A token is replaced one minute before it expires, or when this share of its lifetime is left, if that is less."""

REFRESH_RETRY_S = 5.0
_CONCEALED_TOKENS = 10
_TOKEN = re.compile(r"[!-~]+")  # printable ASCII: a line break would begin another HTTP header


class Token:
    """A token, or a function that returns one, with a repr that does not show it.

    >>> Token("secret")
    Token(***)
    """

    def __init__(self, source: TokenSource | Secret, world: World = WORLD) -> None:
        self._source = Secret(source)
        self._world = world
        self._concealments: deque[Concealment] = deque(maxlen=_CONCEALED_TOKENS)

    def __repr__(self) -> str:
        return "Token(***)"

    @property
    def renewable(self) -> bool:
        """Whether the source is a function, which can return a new token."""
        return callable(self._source.reveal())

    async def get(self) -> Secret:
        """Return the token; call the source if it is a function.

        Raises
        ------
        AuthenticationError
            If the token is empty, not text, or has characters that a header cannot carry.
        TokenFunctionFailed
            If the function raises; its exception is the cause.
        """
        token = self._source
        if self.renewable:
            try:
                # a plain function may block, such as on a request
                token = await in_thread(lambda: Secret(self._source.reveal()()), self._world)
                if inspect.isawaitable(token.reveal()):
                    token = Secret(await token.reveal())
            except Exception as error:
                raise TokenFunctionFailed(
                    f"The token function raised {type(error).__name__}; see the cause above, then connect again."
                ) from error
        token = _stripped(token)
        if not token:
            raise AuthenticationError("The token is empty or not text. Pass token=..., or set FXLIVE_TOKEN.")
        if not _TOKEN.fullmatch(token.reveal()):
            raise AuthenticationError(
                "The token contains spaces or other invalid characters. Pass it exactly as the platform issued it."
            )
        concealment = Concealment(token)
        if concealment not in self._concealments:
            self._concealments.append(concealment)
        return token

    def conceal(self, text: str) -> str:
        """Return a text of the platform with the last 10 tokens replaced by ``***``."""
        for concealment in self._concealments:
            text = concealment.conceal(text)
        return text

    def conceal_in(self, error: E) -> E:
        """Conceal the last 10 tokens in the texts of an exception, and return it."""
        error.args = tuple(self._concealed(value) for value in error.args)
        vars(error).update({name: self._concealed(value) for name, value in vars(error).items()})
        return error

    def _concealed(self, value: Any) -> Any:
        return self.conceal(value) if isinstance(value, str) else value


def _stripped(token: Secret) -> Secret:
    """Return a token without whitespace around it; empty if it is not text."""
    return Secret(token.reveal().strip() if isinstance(token.reveal(), str) else "")


def refresh_in_s(token: Secret | str, now: float) -> float | None:
    """Return in how many seconds to replace a token (at least 0); None if it has no expiry time.

    The signature is not verified: only the server has the key.

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


def retry_refresh_in_s(token: Secret | str, now: float) -> float | None:
    """Return in how many seconds to try again to replace a token; None if it has expired.

    >>> import jwt
    >>> token = jwt.encode({"exp": 1000}, "k" * 32)
    >>> retry_refresh_in_s(token, now=980.0), retry_refresh_in_s(token, now=1001.0)
    (5.0, None)
    """
    remaining = remaining_s(token, now)
    return None if remaining <= 0 else max(0.1, min(REFRESH_RETRY_S, remaining / 4))


def expired(token: Secret | str, now: float) -> bool:
    """Return whether a token has expired, by its own expiry time."""
    return remaining_s(token, now) <= 0


def remaining_s(token: Secret | str, now: float) -> float:
    """Return the seconds until a token expires, negative afterwards; infinite if it has no expiry time."""
    return _claims(token).get("exp", math.inf) - now


def lifetime_s(token: Secret | str) -> float:
    """Return the seconds from a token's issue to its expiry; infinite if it has no expiry time."""
    claims = _claims(token)
    return claims.get("exp", math.inf) - claims.get("iat", 0.0)


def _claims(token: Secret | str) -> dict[str, float]:
    """Return the times `iat` (issued) and `exp` (expires) of a JWT in seconds since 1970; empty if it is not a JWT."""
    import jwt  # it imports cryptography, which takes a third of fxlive's own import time

    try:
        claims = jwt.decode(Secret(token).reveal(), options={"verify_signature": False, "verify_exp": False})
        return {name: float(claims[name]) for name in ("iat", "exp") if name in claims}
    except (jwt.PyJWTError, TypeError, ValueError):
        return {}

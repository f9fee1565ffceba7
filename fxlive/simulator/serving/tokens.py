"""The platform's tokens: JWTs signed with HS256 that always have an expiry time."""

from __future__ import annotations

import time
import uuid
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import jwt

DEFAULT_SECRET = "fxlive-simulator-development-secret-not-for-production"
DEFAULT_USER = "user_456"


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a valid token: user, times in seconds since 1970, and the permitted channels (None: all)."""

    user_id: str
    issued_at: float
    expires_at: float
    channels: tuple[str, ...] | None


class InvalidToken(Exception):
    """A token is missing, malformed, expired, revoked or signed with another secret. The text names the reason."""


def make_token(
    secret: str = DEFAULT_SECRET,
    user_id: str = DEFAULT_USER,
    expires_in_s: float = 3600.0,
    *,
    channels: Sequence[str] | None = None,
    now: float | None = None,
) -> str:
    """Make a token that the simulator accepts.

    Parameters
    ----------
    secret : the key it is signed with (HS256).
    user_id : the user that it identifies.
    expires_in_s : seconds until it expires; negative for a token that has already expired.
    channels : the channels that it permits (default: all).
    now : the present in seconds since 1970 (default: that of this machine).

    Returns
    -------
    str
        The JWT, in its compact form.
    """
    now = time.time() if now is None else now
    claims: dict[str, object] = {"sub": user_id, "iat": now, "exp": now + expires_in_s, "jti": uuid.uuid4().hex}
    if channels is not None:
        claims["channels"] = list(channels)
    with warnings.catch_warnings():
        # PyJWT warns about keys under 32 bytes, but a simulator may have a short one.
        warnings.simplefilter("ignore")
        return jwt.encode(claims, secret, algorithm="HS256")


def verify_token(secret: str, token: str, now: float | None = None) -> Claims:
    """Return the claims of a token, or raise InvalidToken; `now` as for `make_token`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # PyJWT compares whole seconds, but connections are closed exactly at expiry, so the check below is exact
            # too. iat is not checked: the clock that issued the token may be slightly ahead.
            options: jwt.types.Options = {"require": ["exp", "sub"], "verify_exp": False, "verify_iat": False}
            claims = jwt.decode(token, secret, algorithms=["HS256"], options=options)
        issued_at, expires_at = float(claims.get("iat", 0)), float(claims["exp"])
    except (jwt.InvalidTokenError, TypeError, ValueError):
        raise InvalidToken("the token is not valid") from None
    if expires_at <= (time.time() if now is None else now):
        raise InvalidToken("the token has expired")
    channels = claims.get("channels")
    return Claims(
        user_id=str(claims["sub"]),
        issued_at=issued_at,
        expires_at=expires_at,
        channels=tuple(str(channel) for channel in channels) if isinstance(channels, list) else None,
    )

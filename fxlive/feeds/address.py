"""Addresses: where to connect, which certificates are trusted there, and how the token comes along."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from fxlive.core.arguments import path_of
from fxlive.errors import ConnectionFailed, UnknownOption

Auth = Literal["header", "query"]


class Address:
    """Where a platform is: its `url` as it may be shown, and `ssl`, what it is trusted by (None for ``ws://``).

    Parameters
    ----------
    url
        ``ws://`` or ``wss://``; a ``token`` in its query is left out.
    auth
        Whether tokens go in the Authorization header or in the URL's query.
    ca
        A file of certificates to trust and no others, or an SSL context, for ``wss://``.

    Raises
    ------
    ConnectionFailed
        Where the URL is none, or the certificates cannot be read.
    UnknownOption
        Where `auth` or `ca` is something else.

    Examples
    --------
    >>> address = Address("ws://me:pw@host/api/ws", auth="query", ca=None)
    >>> address.url, address.with_token("abc")
    ('ws://host/api/ws', ('ws://me:pw@host/api/ws?token=abc', None))
    """

    def __init__(self, url: str, *, auth: Auth, ca: str | Path | ssl.SSLContext | None) -> None:
        given: object = url
        if not isinstance(given, str):
            raise ConnectionFailed(f"The URL is text such as wss://host/api/ws, not {type(given).__name__}.")
        try:
            parts = urlsplit(url)
            self.url = without_secrets(url)
            right = parts.scheme in ("ws", "wss") and parts.hostname and parts.port != 0
        except ValueError:  # a port that is none, half an IPv6 address
            self.url, right = "(unreadable)", False
        if "://" not in url:  # it may be the token, which is not to be repeated
            raise ConnectionFailed("That is no URL. It must look like wss://host/api/ws. Are url and token swapped?")
        if not right:
            sockets = {"http": "ws", "https": "wss"}.get(parts.scheme) if self.url != "(unreadable)" else None
            instead = f" Write {sockets} for {parts.scheme}." if sockets else ""
            raise ConnectionFailed(
                f"{self.url!r} is not a WebSocket URL. It must look like wss://host/api/ws.{instead}", url=self.url
            )
        if auth not in ("header", "query"):
            shown = auth if len(str(auth)) < 12 else f"a {type(auth).__name__}"  # it may be the token
            raise UnknownOption("auth", shown, ("header", "query"))
        self.ssl = _ssl_context(parts.scheme, ca)
        self._url = url if query_token(url) is None else with_query_token(url, None)
        self._auth = auth

    def with_token(self, token: str) -> tuple[str, str | None]:
        """Return the URL to connect to, and the Authorization header where there is to be one."""
        if self._auth == "query":
            return with_query_token(self._url, token), None
        return self._url, f"Bearer {token}"


def _ssl_context(scheme: str, ca: str | Path | ssl.SSLContext | None) -> ssl.SSLContext | None:
    given: object = ca
    if given is not None and not isinstance(given, str | Path | ssl.SSLContext):
        raise UnknownOption("ca", given, ("a file of certificates", "an ssl.SSLContext"))
    if scheme != "wss":
        return None
    if isinstance(ca, ssl.SSLContext):
        return ca
    try:
        return ssl.create_default_context(cafile=None if ca is None else path_of(ca))
    except OSError as error:  # also where it is no file of certificates
        raise ConnectionFailed(
            f"ca={str(ca)!r} is no file of certificates that can be read ({error.strerror or error}). "
            "It must be in PEM format."
        ) from error


def query_token(url: str) -> str | None:
    """Return the token in the query of a URL; None where there is none.

    >>> query_token("wss://host/api/ws?token=abc"), query_token("wss://host/api/ws?subtoken=1")
    ('abc', None)
    """
    try:
        return dict(parse_qsl(urlsplit(url).query)).get("token")
    except (ValueError, TypeError, AttributeError):  # no URL at all, or no text, which is for others to say
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

"""Addresses: the URL to connect to, the trusted certificates, and where the token is sent."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from fxlive.core.arguments import path_of
from fxlive.core.urls import without_secrets
from fxlive.errors import ConnectionFailed, UnknownOption

Auth = Literal["header", "query"]


class Address:
    """The address of a platform: `url` without secrets, and `ssl`, the SSL context (None for ``ws://``).

    Parameters
    ----------
    url
        A ``ws://`` or ``wss://`` URL. A ``token`` in its query is removed.
    auth
        Whether tokens are sent in the Authorization header or in the URL's query.
    ca
        For ``wss://``: a file of certificates, which replace the system's, or an SSL context.

    Raises
    ------
    ConnectionFailed
        If the URL is invalid, or the certificates cannot be read.
    UnknownOption
        If `auth` or `ca` is invalid.

    Examples
    --------
    >>> address = Address("ws://me:pw@host/api/ws", auth="query", ca=None)
    >>> address.url, address.with_token("abc")
    ('ws://host/api/ws', ('ws://me:pw@host/api/ws?token=abc', None))
    """

    def __init__(self, url: str, *, auth: Auth, ca: str | Path | ssl.SSLContext | None) -> None:
        given: object = url
        if not isinstance(given, str):
            raise ConnectionFailed(f"The URL must be text such as wss://host/api/ws, got {type(given).__name__}.")
        try:
            parts = urlsplit(url)
            self.url = without_secrets(url)
            valid = parts.scheme in ("ws", "wss") and parts.hostname and parts.port != 0
        except ValueError:  # such as an invalid port, or half an IPv6 address
            self.url, valid = "(unreadable)", False
        if "://" not in url:  # it may be the token, which must not be shown
            raise ConnectionFailed(
                "The URL is not valid. It must look like wss://host/api/ws. Are url and token swapped?"
            )
        if not valid:
            scheme = {"http": "ws", "https": "wss"}.get(parts.scheme) if self.url != "(unreadable)" else None
            suggestion = f" Write {scheme} for {parts.scheme}." if scheme else ""
            raise ConnectionFailed(
                f"{self.url!r} is not a WebSocket URL. It must look like wss://host/api/ws.{suggestion}", url=self.url
            )
        if auth not in ("header", "query"):
            shown = auth if len(str(auth)) < 12 else "***"  # it may be the token
            raise UnknownOption("auth", shown, ("header", "query"))
        self.ssl = _ssl_context(parts.scheme, ca)
        self._url = url if query_token(url) is None else with_query_token(url, None)
        self._auth = auth

    def with_token(self, token: str) -> tuple[str, str | None]:
        """Return the URL to connect to and the Authorization header; the header is None with ``auth="query"``."""
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
    except OSError as error:  # ssl.SSLError, raised for a file without certificates, is one
        raise ConnectionFailed(
            f"Cannot read certificates from ca={str(ca)!r} ({error.strerror or error}). "
            "It must be a file in PEM format."
        ) from error


def query_token(url: str) -> str | None:
    """Return the `token` parameter in the query of a URL; None if it has none.

    >>> query_token("wss://host/api/ws?token=abc"), query_token("wss://host/api/ws?subtoken=1")
    ('abc', None)
    """
    try:
        return dict(parse_qsl(urlsplit(url).query)).get("token")
    except (ValueError, TypeError, AttributeError):  # not a URL, or not text: `Address` raises the error
        return None


def with_query_token(url: str, token: str | None) -> str:
    """Return the URL with the token as its `token` parameter; with None, without that parameter."""
    parts = urlsplit(url)
    query = [(k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if k != "token"]
    return urlunsplit(parts._replace(query=urlencode(query if token is None else [*query, ("token", token)])))

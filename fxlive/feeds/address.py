"""Addresses: the URL to connect to, the trusted certificates, and where the token is sent."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from websockets.exceptions import InvalidURI
from websockets.uri import parse_uri

from fxlive.core.arguments import path_of
from fxlive.core.concealment import without_secrets
from fxlive.core.secret import Secret
from fxlive.errors import ConnectionFailed, UnknownOption

Auth = Literal["header", "query"]


class Address:
    r"""The address of a platform: `url` without secrets, `uri` without its query, and `ssl`, the SSL context.

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
        If the URL is invalid or holds a user or password, or if the certificates cannot be read.
    UnknownOption
        If `auth` or `ca` is invalid.

    Examples
    --------
    >>> address = Address("ws://host/api/ws?tenant=7", auth="query", ca=None)
    >>> address.url, address.authorized(b"GET /api/ws HTTP/1.1\r\n\r\n", Secret("abc"))
    ('ws://host/api/ws', b'GET /api/ws?tenant=7&token=abc HTTP/1.1\r\n\r\n')
    """

    def __init__(self, url: str | Secret, *, auth: Auth, ca: str | Path | ssl.SSLContext | None) -> None:
        url = Secret(url)
        parts = _parts(url)
        self.url = parts.shown
        if parts.problem:
            raise ConnectionFailed(parts.problem, url=None if self.url == "" else self.url)
        if auth not in ("header", "query"):
            shown = auth if len(str(auth)) < 12 else "***"  # it may be the token
            raise UnknownOption("auth", shown, ("header", "query"))
        self.uri = parse_uri(self.url)
        self.ssl = _ssl_context(self.uri.secure, ca)
        self._target = parts.target
        self._auth = auth

    def authorized(self, request: bytes, token: Secret) -> bytes:
        """Return the bytes of a request for `uri` with the URL's query and the token. Only for the write."""
        line, rest = request.split(b"\r\n", 1)
        method, _, version = line.split(b" ")
        target = self._target.reveal()
        if self._auth == "query":
            target = with_query_token(target, token.reveal())
        else:
            rest = b"Authorization: Bearer " + token.reveal().encode() + b"\r\n" + rest
        return b"%s %s %s\r\n%s" % (method, target.encode(), version, rest)


class _Parts(NamedTuple):
    """A URL without secrets, the target of its request, and why it is invalid (None if it is valid)."""

    shown: str
    target: Secret
    problem: str | None


def _parts(url: Secret) -> _Parts:
    """Take a URL apart. No exception is raised, because its traceback would show the URL."""
    text: Any = url.reveal()
    if not isinstance(text, str):
        kind = type(text).__name__
        return _invalid("", f"The URL must be text such as wss://host/api/ws, got {kind}.")
    if "://" not in text:  # it may be the token, which must not be shown
        return _invalid("", "The URL is not valid. It must look like wss://host/api/ws. Are url and token swapped?")
    try:
        parts = urlsplit(text)
        shown = without_secrets(text)
        valid = parts.scheme in ("ws", "wss") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # such as an invalid port, or half an IPv6 address
        return _invalid("(unreadable)", "'(unreadable)' is not a WebSocket URL. It must look like wss://host/api/ws.")
    problem = f"{shown!r} is not a WebSocket URL. It must look like wss://host/api/ws."
    if not valid:
        scheme = {"http": "ws", "https": "wss"}.get(parts.scheme)
        return _invalid(shown, problem + (f" Write {scheme} for {parts.scheme}." if scheme else ""))
    if parts.username is not None:
        return _invalid(
            shown,
            f"The URL {shown!r} must not hold a user or a password, which are not sent. Leave them out, and pass the "
            "platform's token as token=...",
        )
    try:
        uri = parse_uri(text if query_token(text) is None else with_query_token(text, None))
        parse_uri(shown)
    except (InvalidURI, ValueError):
        return _invalid(shown, problem)
    return _Parts(shown, Secret(uri.resource_name), None)


def _invalid(shown: str, problem: str) -> _Parts:
    return _Parts(shown, Secret(""), problem)


def _ssl_context(secure: bool, ca: str | Path | ssl.SSLContext | None) -> ssl.SSLContext | None:
    given: object = ca
    if given is not None and not isinstance(given, str | Path | ssl.SSLContext):
        raise UnknownOption("ca", given, ("a file of certificates", "an ssl.SSLContext"))
    if not secure:
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


def query_token(url: str | Secret) -> str | None:
    """Return the `token` parameter in the query of a URL; None if it has none.

    >>> query_token("wss://host/api/ws?token=abc"), query_token("wss://host/api/ws?subtoken=1")
    ('abc', None)
    """
    try:
        return dict(parse_qsl(urlsplit(Secret(url).reveal()).query)).get("token")
    except (ValueError, TypeError, AttributeError):  # not a URL, or not text: `Address` raises the error
        return None


def with_query_token(url: str, token: str | None) -> str:
    """Return the URL with the token as its `token` parameter; with None, without that parameter."""
    parts = urlsplit(url)
    query = [(k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if k != "token"]
    return urlunsplit(parts._replace(query=urlencode(query if token is None else [*query, ("token", token)])))

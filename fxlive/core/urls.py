"""URLs without their secrets."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit


def without_secrets(url: str) -> str:
    """Return a URL without user, password, query and fragment, to be shown or stored; empty if it is not a URL.

    >>> without_secrets("wss://me:pw@host:8765/api/ws?token=abc")
    'wss://host:8765/api/ws'
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # such as half an IPv6 address
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

"""SOCKS proxies, through the optional library `python-socks`."""

from __future__ import annotations

import socket
from typing import Any

from fxlive.core.secret import Secret
from fxlive.errors import ProxyError, network_reason
from fxlive.feeds.network.proxies import Proxy


async def connected_socket(proxy: Proxy, host: str, port: int) -> socket.socket:
    """Return a socket that a SOCKS proxy has connected to a server.

    With ``socks5h`` and ``socks4a`` the proxy resolves the server's name, with ``socks5`` and ``socks4`` this machine.

    Raises
    ------
    ProxyError
        If the proxy cannot be reached or refuses, or if `python-socks` is not installed.
    """
    try:
        import python_socks
        from python_socks.async_.asyncio import Proxy as SocksProxy
    except ImportError:
        raise ProxyError(
            f"The SOCKS proxy {proxy.url} needs a library that is not installed. Run: pip install 'fxlive[socks]'",
            proxy=proxy.url,
        ) from None
    kind = python_socks.ProxyType.SOCKS5 if proxy.scheme.startswith("socks5") else python_socks.ProxyType.SOCKS4
    remote_names = proxy.scheme.endswith(("h", "a"))
    credentials = proxy.credentials or Secret((None, None))
    new_proxy: Any = SocksProxy
    try:
        socks = new_proxy(kind, proxy.host, proxy.port, *credentials.reveal(), rdns=remote_names)
        connected: socket.socket = await socks.connect(host, port)
    except (OSError, python_socks.ProxyConnectionError, python_socks.ProxyTimeoutError) as error:
        reason = network_reason(error)
        raise ProxyError(f"The proxy {proxy.url} cannot be reached ({reason}).", proxy=proxy.url) from None
    except python_socks.ProxyError as error:
        raise ProxyError(
            f"The proxy {proxy.url} refused to connect to {host}:{port} ({error}). Check its user and password, and "
            "the address; proxy=False connects directly.",
            proxy=proxy.url,
        ) from None
    return connected

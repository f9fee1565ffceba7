"""Opening the TCP or TLS connection to a server: both address families at once, or through a proxy."""

from __future__ import annotations

import asyncio
import ssl

from websockets.headers import build_authorization_basic, build_host
from websockets.uri import WebSocketURI

from fxlive.core.secret import Secret
from fxlive.errors import ProxyError, network_reason
from fxlive.feeds.handshake import ResponseHead, read_head
from fxlive.feeds.network.proxies import Proxy
from fxlive.feeds.network.racing import raced_socket

USER_AGENT = "fxlive"

_OTHERWISE = "Correct proxy=, or the environment's HTTPS_PROXY and the like; proxy=False connects directly."


async def dial(
    protocol: asyncio.Protocol, uri: WebSocketURI, ssl_context: ssl.SSLContext | None, proxy: Proxy | None
) -> None:
    """Connect a protocol to a server.

    Raises
    ------
    ProxyError
        If the proxy cannot be reached or refuses.
    OSError
        If the server cannot be reached, or its certificate is not trusted.
    """
    loop = asyncio.get_running_loop()
    server_hostname = uri.host if ssl_context else None
    if proxy is None:
        sock = await raced_socket(uri.host, uri.port)
        await loop.create_connection(lambda: protocol, sock=sock, ssl=ssl_context, server_hostname=server_hostname)
    elif proxy.scheme.startswith("socks"):
        from fxlive.feeds.network.socks import connected_socket

        sock = await connected_socket(proxy, uri.host, uri.port)
        await loop.create_connection(lambda: protocol, sock=sock, ssl=ssl_context, server_hostname=server_hostname)
    else:
        transport: asyncio.Transport | None = await _tunnel(proxy, uri)
        try:
            assert transport is not None
            transport.set_protocol(protocol)
            if ssl_context is not None:
                transport = await loop.start_tls(transport, protocol, ssl_context, server_hostname=server_hostname)
        except BaseException as error:
            if isinstance(error.__context__, OSError) and isinstance(error, TypeError):
                raise error.__context__ from None  # TLS in TLS: asyncio fails to abort the outer one after this error
            if transport is not None:
                transport.abort()
            raise
        if transport is None:
            raise ConnectionResetError("the connection ended during the TLS handshake")
        protocol.connection_made(transport)


async def _tunnel(proxy: Proxy, uri: WebSocketURI) -> asyncio.Transport:
    """Connect to an HTTP proxy, and let it connect to the server; return the transport."""
    context = ssl.create_default_context() if proxy.scheme == "https" else None
    try:
        sock = await raced_socket(proxy.host, proxy.port)
        transport, answer = await asyncio.get_running_loop().create_connection(
            _ProxyAnswer, sock=sock, ssl=context, server_hostname=proxy.host if context else None
        )
    except (OSError, UnicodeError) as error:
        raise unreachable(proxy, error) from error
    try:
        transport.write(_connect_request(uri, proxy.credentials))
        head = await answer.head
    except (OSError, ValueError) as error:
        transport.abort()
        raise ProxyError(
            f"The proxy {proxy.url} did not answer as an HTTP proxy ({error}). {_OTHERWISE}", proxy=proxy.url
        ) from error
    except BaseException:
        transport.abort()
        raise
    if not 200 <= head.status < 300:
        transport.abort()
        raise refused(proxy, uri, head.status)
    return transport


def unreachable(proxy: Proxy, error: Exception) -> ProxyError:
    """Return the exception for a proxy that does not answer."""
    return ProxyError(
        f"The proxy {proxy.url} cannot be reached ({network_reason(error)}). {_OTHERWISE}", proxy=proxy.url
    )


def refused(proxy: Proxy, uri: WebSocketURI, status: int) -> ProxyError:
    """Return the exception for a proxy that answers CONNECT with another status than 200."""
    server = build_host(uri.host, uri.port, uri.secure, always_include_port=True)
    if status == 407:
        wrong = "refused the user and password given" if proxy.credentials else "requires a user and a password"
        text = f"The proxy {proxy.url} {wrong} (407). Pass proxy='http://user:password@host:port'."
    elif status >= 500:
        text = f"The proxy {proxy.url} could not connect to {server} ({status}). Is the address right? {_OTHERWISE}"
    else:
        text = f"The proxy {proxy.url} refused to connect to {server} ({status}). {_OTHERWISE}"
    return ProxyError(text, status=status, proxy=proxy.url)


def _connect_request(uri: WebSocketURI, credentials: Secret | None) -> bytes:
    """Return the bytes of a CONNECT request. They may hold a password: only for the write."""
    server = build_host(uri.host, uri.port, uri.secure, always_include_port=True)
    lines = [f"CONNECT {server} HTTP/1.1", f"Host: {server}", f"User-Agent: {USER_AGENT}"]
    if credentials is not None:
        lines.append(f"Proxy-Authorization: {build_authorization_basic(*credentials.reveal())}")
    return "\r\n".join([*lines, "", ""]).encode()


class _ProxyAnswer(asyncio.Protocol):
    """Reads the head of a proxy's answer; `head` is a future of it."""

    def __init__(self) -> None:
        self.head: asyncio.Future[ResponseHead] = asyncio.get_running_loop().create_future()
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self.head.done():
            return
        try:
            head = read_head(self._received)
        except ValueError as error:
            self.head.set_exception(ValueError(f"it sent {error}"))
            return
        if head is not None and head.interim:
            self._received = self._received[head.stop :]
        elif head is not None:
            self.head.set_result(head)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.head.done():
            self.head.set_exception(error or ConnectionResetError("it hung up"))

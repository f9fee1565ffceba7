"""Opening a connection: the handshake, its time limit and its errors."""

from __future__ import annotations

from fxlive.core.background import wait_awake
from fxlive.core.secret import Secret
from fxlive.feeds.address import Address
from fxlive.feeds.connection import Connection
from fxlive.feeds.network.proxies import Proxies
from fxlive.feeds.refusals import connection_error


async def open_connection(
    connection: Connection, address: Address, token: Secret, proxies: Proxies, timeout_s: float
) -> None:
    """Connect and perform the handshake.

    Raises
    ------
    FxliveError
        If that fails. The text may repeat words of the server.
    """
    proxy = proxies.for_uri(address.uri)

    def authorized(request: bytes) -> bytes:
        return address.authorized(request, token)

    try:
        await wait_awake(connection.open(authorized, address.ssl, proxy), timeout_s)
        return
    except Exception as error:
        failure = connection_error(error, address.url, token, timeout_s, connection.world.now_us() / 1e6)
    if proxy is not None and proxy.url not in str(failure):
        failure.args = (f"{failure} The connection goes through the proxy {proxy.url}.",)
    raise failure  # here, so that the original exception, with the server's headers, is not its context

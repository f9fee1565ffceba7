"""Which proxy a connection uses: the one given, that of the environment, or none."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from websockets.exceptions import InvalidProxy
from websockets.proxy import get_proxy, parse_proxy
from websockets.uri import WebSocketURI

from fxlive.core.secret import Secret
from fxlive.errors import ProxyError, UnknownOption

EXAMPLES = ("None (that of the environment)", "False (no proxy)", "a URL such as http://proxy:3128 or socks5h://proxy")


class Proxy(NamedTuple):
    """A proxy: its URL without user and password, and `credentials`, a `Secret` of both (None without)."""

    url: str
    scheme: str
    host: str
    port: int
    credentials: Secret | None


class Proxies:
    """The option `proxy` of a session.

    Parameters
    ----------
    option
        None for the proxy of the environment, False for no proxy, or a URL (``http``, ``https``, ``socks5h``,
        ``socks5``, ``socks4a`` or ``socks4``).

    Raises
    ------
    UnknownOption
        If it is something else.

    Examples
    --------
    >>> Proxies("http://me:pw@proxy:3128").for_uri(None)
    Proxy(url='http://proxy:3128', scheme='http', host='proxy', port=3128, credentials=***)
    """

    def __init__(self, option: str | bool | Secret | None) -> None:
        option = option if option is None or option is False else Secret(option)
        self._fixed: Proxy | None = None
        self.from_environment = option is None
        if isinstance(option, Secret):
            proxy = _parsed(option)
            if isinstance(proxy, str):
                raise UnknownOption("proxy", f"an invalid URL ({proxy})", EXAMPLES)
            self._fixed = proxy

    def for_uri(self, uri: WebSocketURI | None) -> Proxy | None:
        """Return the proxy for an address; None for a direct connection. The environment is read each time.

        Raises
        ------
        ProxyError
            If the environment names an invalid proxy.
        """
        if not self.from_environment or uri is None:
            return self._fixed
        found = _proxy_of_environment(uri)
        proxy = None if found is None else _parsed(found)
        if isinstance(proxy, str):
            raise ProxyError(
                f"The environment names an invalid proxy ({proxy}). Correct HTTPS_PROXY and the like, or pass "
                "proxy=False."
            )
        return proxy


def _proxy_of_environment(uri: WebSocketURI) -> Secret | None:
    """Return the URL of the proxy as `websockets` chooses it; after that, that of ALL_PROXY."""
    if proxy_bypass(f"{uri.host}:{uri.port}"):
        return None
    found = Secret(get_proxy(uri) or getproxies().get("all"))
    return found or None


def _parsed(option: Secret) -> Proxy | str:
    """Return the proxy of a URL, or why it is invalid. No exception is raised: its traceback would show the URL."""
    text: Any = option.reveal()
    if not isinstance(text, str):
        return f"it is {type(text).__name__}"
    if "://" not in text:
        text = f"http://{text}"  # as curl has it: HTTPS_PROXY=proxy:3128
    try:
        parts = urlsplit(text)
        user = parts.username is not None
        if user and parts.password is None:  # the password is empty, as curl has it
            text = text.replace("@", ":@", 1)
        if parts.scheme.lower() == "socks":  # as GNOME writes it
            text = f"socks5h{text[len('socks') :]}"
        proxy = parse_proxy(text)
    except InvalidProxy as error:
        return error.msg
    except (ValueError, AssertionError):
        return "its host or port cannot be read"
    host = f"[{proxy.host}]" if ":" in proxy.host else proxy.host
    port = 1080 if proxy.scheme.startswith("socks") and parts.port is None else proxy.port
    credentials = Secret((proxy.username, proxy.password)) if user else None
    return Proxy(f"{proxy.scheme}://{host}:{port}", proxy.scheme, proxy.host, port, credentials)

"""Connecting through proxies: of the environment and given, HTTP and SOCKS, with and without credentials and TLS."""

from __future__ import annotations

import asyncio
import base64
import gc
import socket
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

import fxlive
from fxlive.core.secret import Secret
from fxlive.feeds.network.proxies import Proxies, Proxy
from fxlive.feeds.network.racing import raced_socket
from tests.feeds.servers import program
from tests.handmade import (  # noqa: F401
    PATIENCE_S,
    QUIET_HOST,
    TOKEN,
    acknowledged,
    clean_slate,
    grant_everything,
    platform,
    quick,
    refused,
    tcp_server,
    wait_until,
)

PASSWORD = "its+pass/word:of@8"
ENCODED = "its%2Bpass%2Fword%3Aof%408"


def pump(source: socket.socket, target: socket.socket) -> None:
    """Copy bytes until one side hangs up."""
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def splice(client: socket.socket, address: tuple[str, int]) -> None:
    """Connect a client with a server, in both directions."""
    with socket.create_connection(address) as server:
        back = threading.Thread(target=pump, args=(server, client), daemon=True)
        back.start()
        pump(client, server)
        back.join()


class HttpProxy:
    """A proxy that understands CONNECT; records the requests."""

    def __init__(self, credentials: str | None = None, refusal: bytes | None = None) -> None:
        self.requests: list[str] = []
        self._credentials = credentials
        self._refusal = refusal

    def answer(self, client: socket.socket) -> None:
        threading.Thread(target=self._serve, args=(client.dup(),), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                request += client.recv(1)
            text = request.decode()
            self.requests.append(text)
            if self._refusal is not None:
                client.sendall(self._refusal)
                return
            if self._credentials is not None:
                expected = base64.b64encode(self._credentials.encode()).decode()
                if f"Proxy-Authorization: Basic {expected}" not in text:
                    client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                    return
            host, _, port = text.split()[1].rpartition(":")
            client.sendall(b"HTTP/1.1 200 Connection established\r\nVia: a test\r\n\r\n")
            splice(client, (host.strip("[]"), int(port)))


class SocksProxy:
    """A SOCKS 4 and 5 proxy; records the version and the requested host."""

    def __init__(self, credentials: tuple[str, str] | None = None, reply: int = 0) -> None:
        self.requests: list[tuple[int, str]] = []
        self._credentials = credentials
        self._reply = reply

    def answer(self, client: socket.socket) -> None:
        threading.Thread(target=self._serve, args=(client.dup(),), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        stream = client.makefile("rb")
        with client, suppress(OSError, struct.error):
            if stream.read(1) == b"\x05":
                self._serve_5(client, stream)
            else:
                _, port, address = struct.unpack("!BH4s", stream.read(7))
                while stream.read(1) != b"\0":
                    pass
                host = socket.inet_ntoa(address)
                if address[:3] == b"\0\0\0":  # SOCKS4a
                    name = b""
                    while (char := stream.read(1)) != b"\0":
                        name += char
                    host = name.decode()
                self.requests.append((4, host))
                client.sendall(b"\0" + (b"\x5a" if not self._reply else b"\x5b") + bytes(6))
                if not self._reply:
                    splice(client, (host, port))

    def _serve_5(self, client: socket.socket, stream: Any) -> None:
        stream.read(stream.read(1)[0])
        client.sendall(b"\x05\x02" if self._credentials else b"\x05\x00")
        if self._credentials:
            stream.read(1)
            user = stream.read(stream.read(1)[0]).decode()
            password = stream.read(stream.read(1)[0]).decode()
            client.sendall(b"\x01\x00" if (user, password) == self._credentials else b"\x01\x01")
            if (user, password) != self._credentials:
                return
        _, _, _, kind = stream.read(4)
        host = (
            socket.inet_ntoa(stream.read(4))
            if kind == 1
            else stream.read(stream.read(1)[0]).decode()
            if kind == 3
            else socket.inet_ntop(socket.AF_INET6, stream.read(16))
        )
        [port] = struct.unpack("!H", stream.read(2))
        self.requests.append((5, host))
        client.sendall(b"\x05" + bytes([self._reply]) + b"\0\x01" + bytes(6))
        if not self._reply:
            splice(client, (host, port))


@contextmanager
def serving(proxy: HttpProxy | SocksProxy) -> Iterator[str]:
    with tcp_server(proxy.answer) as address:
        yield address


# Which proxy is used


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "wss_proxy", "WSS_PROXY"])
def test_wss_uses_the_proxy_of_the_environment_and_the_error_names_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "http://me:secret-password@127.0.0.1:1")
    error = refused("wss://fx.invalid/api/ws")
    assert type(error) is fxlive.ProxyError
    assert "The proxy http://127.0.0.1:1 cannot be reached (Connection refused)." in str(error)
    assert "proxy=False connects directly." in str(error)
    assert (error.proxy, error.url) == ("http://127.0.0.1:1", "wss://fx.invalid/api/ws")
    assert "secret-password" not in f"{error!r} {error.args} {vars(error)}"


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "http_proxy", "ws_proxy", "all_proxy"])
def test_a_session_runs_through_the_proxy_of_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = HttpProxy()
    with serving(proxy) as address, platform(grant_everything) as url:
        monkeypatch.setenv(name, address if name == "HTTPS_PROXY" else f"http://{address}")
        fxlive.connect(url, TOKEN).close()
        assert proxy.requests[0].startswith(f"CONNECT {url.removeprefix('ws://').partition('/')[0]} HTTP/1.1\r\nHost: ")
        assert TOKEN not in proxy.requests[0]


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "*", "example.com, 127.0.0.1"])
def test_hosts_in_no_proxy_are_connected_directly(no_proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", no_proxy)
    with platform(grant_everything) as url:
        fxlive.connect(url, TOKEN).close()


def test_proxy_false_connects_directly_whatever_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with platform(grant_everything) as url:
        fxlive.connect(url, TOKEN, proxy=False).close()


def test_a_given_proxy_replaces_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "*")
    proxy = HttpProxy()
    with serving(proxy) as address, platform(grant_everything) as url:
        fxlive.connect(url, TOKEN, proxy=f"http://{address}").close()
    assert len(proxy.requests) == 1


def test_the_demo_needs_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with fxlive.demo(channels=["market-data"]) as session:
        assert session.state == "connected"


@pytest.mark.parametrize(
    "proxy",
    [
        "ftp://proxy",
        "http://",
        "http://proxy/path",
        "http://h:port",
        "http://[::1",
        True,
        5,
        "",
        b"x",
    ],
)
def test_an_invalid_proxy_is_refused_at_once(proxy: Any) -> None:
    with pytest.raises(
        fxlive.UnknownOption, match=r"^proxy must be None .*, False .* or a URL .*, got ['\"]an invalid URL"
    ):
        fxlive.Session("ws://h/api/ws", TOKEN, proxy=proxy)


def test_a_proxy_may_have_a_user_without_a_password_and_the_scheme_socks() -> None:
    assert Proxies("http://me@proxy:3128").for_uri(None) == Proxy(
        "http://proxy:3128", "http", "proxy", 3128, Secret(("me", ""))
    )
    assert str(Proxies("socks://127.0.0.1:1080/").for_uri(None)).startswith("Proxy(url='socks5h://127.0.0.1:1080'")


def test_the_password_of_an_invalid_proxy_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("ftp://me:secret-password@proxy", "http://me:secret-password", "http://me:secret-password@p:x"):
        with pytest.raises(fxlive.UnknownOption) as failed:
            fxlive.Session("ws://h/api/ws", TOKEN, proxy=text)
        assert "secret-password" not in f"{failed.value!r} {vars(failed.value)}"
        monkeypatch.setenv("HTTPS_PROXY", text)
        error = refused("ws://127.0.0.1:1/")
        assert type(error) is fxlive.ProxyError
        assert "The environment names an invalid proxy" in str(error)
        assert "secret-password" not in f"{error!r} {vars(error)}"


@pytest.mark.parametrize(
    ("option", "url"),
    [
        ("http://proxy", "http://proxy:80"),
        ("https://me:pw@proxy", "https://proxy:443"),
        ("socks5h://proxy", "socks5h://proxy:1080"),
        ("http://[::1]:3128/", "http://[::1]:3128"),
        ("proxy:3128", "http://proxy:3128"),
    ],
)
def test_a_proxy_is_shown_with_its_port_and_without_credentials(option: str, url: str) -> None:
    proxy = Proxies(option).for_uri(None)
    assert proxy is not None
    assert proxy.url == url
    assert "pw" not in repr(proxy)


# HTTP proxies


def test_credentials_are_sent_decoded() -> None:
    proxy = HttpProxy(credentials=f"me:{PASSWORD}")
    with serving(proxy) as address, platform(grant_everything) as url:
        fxlive.connect(url, TOKEN, proxy=f"http://me:{ENCODED}@{address}").close()
    assert len(proxy.requests) == 1


@pytest.mark.parametrize("given", ["", "me:wrong-password@"])
def test_the_error_of_a_proxy_that_wants_other_credentials_says_so(given: str) -> None:
    with serving(HttpProxy(credentials=f"me:{PASSWORD}")) as address, platform(grant_everything) as url:
        error = refused(url, proxy=f"http://{given}{address}")
    assert type(error) is fxlive.ProxyError
    assert (error.status, error.proxy) == (407, f"http://{address}")
    assert ("refused the user and password given" if given else "requires a user and a password") in str(error)
    assert "wrong-password" not in f"{error!r} {vars(error)}"


@pytest.mark.parametrize(
    ("answer", "status", "text"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n<h1>Blocked</h1>", 403, "refused to connect to fx.invalid:443 (403)"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", 502, "could not connect to fx.invalid:443 (502). Is the address right?"),
        (b"HTTP/1.0 504 Timeout\r\n\r\n", 504, "could not connect to fx.invalid:443 (504)"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://login/\r\n\r\n", 302, "refused to connect to fx.invalid:443 (302)"),
        (b"SSH-2.0-OpenSSH\r\n", None, "did not answer as an HTTP proxy (it sent not an HTTP/1 response)"),
        (b"HTTP/1.1 2", None, "did not answer as an HTTP proxy (it hung up)"),
        (b"", None, "did not answer as an HTTP proxy (it hung up)"),
    ],
)
def test_a_proxy_that_refuses_is_named(answer: bytes, status: int | None, text: str) -> None:
    with serving(HttpProxy(refusal=answer)) as address:
        error = refused("wss://fx.invalid/api/ws", proxy=f"http://{address}")
    assert type(error) is fxlive.ProxyError
    assert error.status == status
    assert f"The proxy http://{address} {text}" in str(error)


def test_a_proxy_that_never_answers_is_named_after_the_timeout() -> None:
    stop = threading.Event()
    with tcp_server(lambda client: stop.wait() and None) as address:
        error = refused("wss://fx.invalid/api/ws", proxy=f"http://{address}", timeout=0.5)
        stop.set()
    assert type(error) is fxlive.ServerUnavailable
    assert "did not answer within 0.5 s" in str(error)
    assert f"The connection goes through the proxy http://{address}." in str(error)


def test_a_refusal_of_the_platform_through_a_proxy_names_both(fx_simulator: Any) -> None:
    with serving(HttpProxy()) as address:
        error = refused(fx_simulator.url, TOKEN, proxy=f"http://{address}")
    assert type(error) is fxlive.AuthenticationError
    assert "refused the token (401)" in str(error)
    assert f"through the proxy http://{address}" in str(error)


@pytest.mark.parametrize("kind", ["http", "https", "socks5h"])
def test_tls_with_the_platform_runs_through_the_proxy(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "its.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", QUIET_HOST).configure_cert(context)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "its.pem"))  # for the proxy's own certificate
    proxy = SocksProxy() if kind == "socks5h" else HttpProxy()

    def answer(client: socket.socket) -> None:
        if kind != "https":
            proxy.answer(client)
            return
        threading.Thread(target=unwrap, args=(client.dup(),), daemon=True).start()

    def unwrap(client: socket.socket) -> None:
        inner, outer = socket.socketpair()
        with client, outer, context.wrap_socket(client, server_side=True) as tls:
            with inner:
                proxy.answer(inner)
            back = threading.Thread(target=pump, args=(outer, tls), daemon=True)
            back.start()
            pump(tls, outer)
            back.join()

    with tcp_server(answer) as address, platform(grant_everything, ssl=context) as url:
        session = fxlive.connect(url, TOKEN, proxy=f"{kind}://{address}", ca=tmp_path / "its.pem")
        assert session.state == "connected"
        session.close()
        error = refused(url, proxy=f"{kind}://{address}", ca=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        assert type(error) is fxlive.ConnectionFailed
        assert "is not trusted" in str(error)
    assert len(proxy.requests) == 2


def test_a_proxy_whose_certificate_is_not_trusted_is_named_as_such() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(QUIET_HOST).configure_cert(context)

    def answer(client: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(client, server_side=True):
            pass

    with tcp_server(answer) as address:
        error = refused("ws://platform/api/ws", proxy=f"https://{address}")
    assert isinstance(error, fxlive.ProxyError)
    assert f"The proxy https://{address} cannot be reached (its certificate is not trusted: " in str(error)


@pytest.mark.usefixtures("quick")
def test_a_session_reconnects_through_its_proxy() -> None:
    proxy = HttpProxy()
    connections: list[int] = []

    def handler(client: Any) -> None:
        connections.append(1)
        for request in client:
            client.send(acknowledged(request))
            if len(connections) == 1:
                client.close(1012)

    with (
        serving(proxy) as address,
        platform(handler) as url,
        fxlive.connect(url, TOKEN, channels=["trades"], proxy=f"http://{address}") as session,
    ):
        wait_until(lambda: session.health().reconnects == 1 and session.state == "connected")
    assert len(proxy.requests) == 2


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_tinyproxy_lets_a_session_through(tmp_path: Path) -> None:
    executable = program("tinyproxy")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "conf").write_text(
        f'Port {port}\nListen 127.0.0.1\nBasicAuth me secret\nLogFile "{tmp_path}/log"\nPidFile "{tmp_path}/pid"\n'
    )
    with subprocess.Popen([executable, "-d", "-c", str(tmp_path / "conf")], stdout=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: listens(port), "tinyproxy")
            with platform(grant_everything) as url:
                fxlive.connect(url, TOKEN, proxy=f"http://me:secret@127.0.0.1:{port}").close()
                error = refused(url, proxy=f"http://127.0.0.1:{port}")
                assert isinstance(error, fxlive.ProxyError)
                assert error.status in (401, 407)  # tinyproxy 1.11 answers 401
                error = refused("ws://127.0.0.1:1/", proxy=f"http://me:secret@127.0.0.1:{port}")
                assert isinstance(error, fxlive.ProxyError)
                assert "could not connect to 127.0.0.1:1 (5" in str(error)
        finally:
            process.kill()


# SOCKS proxies


@pytest.mark.parametrize(
    ("scheme", "version", "host"),
    [
        ("socks5h", 5, "localhost"),
        ("socks5", 5, "127.0.0.1"),
        ("socks4a", 4, "localhost"),
        ("socks4", 4, "127.0.0.1"),
    ],
)
def test_a_session_runs_through_a_socks_proxy(
    scheme: str, version: int, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_ipv4(monkeypatch)
    proxy = SocksProxy()
    with serving(proxy) as address, platform(grant_everything) as url:
        fxlive.connect(url.replace("127.0.0.1", "localhost"), TOKEN, proxy=f"{scheme}://{address}").close()
    assert proxy.requests == [(version, host)]


def only_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve names to IPv4 addresses only: the servers of these tests listen on them."""
    resolve = socket.getaddrinfo

    def resolved(host: Any, port: Any, family: int = 0, *args: Any, **options: Any) -> Any:
        return resolve(host, port, socket.AF_INET, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)


def test_a_socks_proxy_checks_the_credentials() -> None:
    with serving(SocksProxy(("me", PASSWORD))) as address, platform(grant_everything) as url:
        fxlive.connect(url, TOKEN, proxy=f"socks5h://me:{ENCODED}@{address}").close()
        error = refused(url, proxy=f"socks5h://me:wrong-password@{address}")
    assert type(error) is fxlive.ProxyError
    assert f"The proxy socks5h://{address} refused to connect" in str(error)
    assert "wrong-password" not in f"{error!r} {vars(error)}"


def test_the_errors_of_a_socks_proxy_name_it() -> None:
    with serving(SocksProxy(reply=5)) as address:
        error = refused("wss://fx.invalid/", proxy=f"socks5h://{address}")
    assert type(error) is fxlive.ProxyError
    assert f"The proxy socks5h://{address} refused to connect to fx.invalid:443" in str(error)
    error = refused("wss://fx.invalid/", proxy="socks5h://127.0.0.1:1")
    assert type(error) is fxlive.ProxyError
    assert "The proxy socks5h://127.0.0.1:1 cannot be reached" in str(error)


def test_the_error_without_python_socks_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_socks", None)
    error = refused("wss://fx.invalid/", proxy="socks5h://127.0.0.1:1")
    assert type(error) is fxlive.ProxyError
    assert "pip install 'fxlive[socks]'" in str(error)


# Both address families


@contextmanager
def black_hole() -> Iterator[socket.socket]:
    """Yield a socket on ::1 that accepts no connection: its queue is full."""
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6, backlog=0)
    except OSError:
        pytest.skip("this machine has no IPv6")
    waiting = []
    with server:
        for _ in range(4):
            client = socket.socket(socket.AF_INET6)
            client.setblocking(False)
            client.connect_ex(server.getsockname())
            waiting.append(client)
        yield server
        for client in waiting:
            client.close()


@pytest.mark.parametrize("hole", ["nothing listens", "black hole"])
def test_an_address_family_that_leads_nowhere_does_not_delay_the_connection(
    hole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports, resolved = {"six": 1}, []

    def both_families(host: Any, *args: Any, **options: Any) -> Any:
        if host != "fx.example":
            return resolve(host, *args, **options)
        resolved.append(host)
        kind = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        four, six = ("127.0.0.1", int(args[0])), ("::1", ports["six"], 0, 0)
        return [(socket.AF_INET6, *kind, six), (socket.AF_INET, *kind, four)]

    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", both_families)
    with black_hole() as nowhere, platform(grant_everything) as url:
        if hole == "black hole":
            ports["six"] = nowhere.getsockname()[1]
        session = fxlive.connect(url.replace("127.0.0.1", "fx.example"), TOKEN, timeout=PATIENCE_S)
        assert session.state == "connected"
        session.close()
    assert resolved == ["fx.example"]


def test_a_connection_that_is_cancelled_leaves_no_socket_open() -> None:
    async def cancelled_after(iterations: int, server: socket.socket) -> bytes:
        task = asyncio.ensure_future(raced_socket(*server.getsockname()))
        client: socket.socket | None = None
        while client is None:  # the address has answered
            with suppress(BlockingIOError):
                client, _ = server.accept()
            await asyncio.sleep(0)
        for _ in range(iterations):
            await asyncio.sleep(0)
        finished = task.done()
        task.cancel()
        with suppress(asyncio.CancelledError):
            (await task).close()
        with client:
            assert finished or task.cancelled()
            client.setblocking(False)
            return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 1), PATIENCE_S)

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        gc.disable()  # it would close a forgotten socket
        try:
            for iterations in range(6):
                assert asyncio.run(cancelled_after(iterations, server)) == b""  # the client has hung up
        finally:
            gc.enable()


def test_the_error_of_a_name_without_an_answering_address_gives_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
    both = [(socket.AF_INET6, *kind, ("::1", 1, 0, 0)), (socket.AF_INET, *kind, ("127.0.0.1", 1))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
    error = refused("ws://fx.example:1/")
    assert str(error).startswith("Nothing answers at ws://fx.example:1/ (Connection refused).")

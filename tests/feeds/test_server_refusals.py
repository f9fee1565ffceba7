"""Refusals by common servers (aiohttp, uvicorn, Node, nginx, http.server), and by the simulator, also behind nginx.

Each server answers the path /401 with the status 401 and a body, and so on. The path /stalled is a 401 whose body never
ends. The connections stay open, except for those of http.server with HTTP/1.0.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import fxlive
from fxlive.simulator.fixture import SimulatorFactory
from tests.feeds.servers import nginx_server, on_a_loop, program, uvicorn_server
from tests.handmade import TOKEN, clean_slate, refused  # noqa: F401

TIMEOUT_S = 60.0
BODY = b'{"error": "Your token is of no use here"}'
HEADERS = {
    429: {"Retry-After": "7"},
    503: {"Retry-After": "7"},
    301: {"Location": "/there"},
    308: {"Location": "/there"},
}
REFUSALS: dict[int, tuple[type[fxlive.ConnectionFailed], str]] = {
    200: (fxlive.ConnectionFailed, "answered with 200 instead of a WebSocket. Is the path right?"),
    301: (fxlive.ConnectionFailed, "answered with 301 instead of a WebSocket."),
    308: (fxlive.ConnectionFailed, "answered with 308 instead of a WebSocket."),
    401: (fxlive.AuthenticationError, "refused the token (401): it is wrong or has expired. Get a new one."),
    403: (fxlive.ConnectionDenied, "does not allow this user in (403)."),
    404: (fxlive.ConnectionFailed, "answered with 404 instead of a WebSocket. Is the path right?"),
    426: (fxlive.ConnectionFailed, "answered with 426 instead of a WebSocket."),
    429: (fxlive.RateLimitError, "too many connections (429). Try again in 7 s."),
    503: (fxlive.ServerUnavailable, "is not available (503). Try again later."),
}


def status_and_headers(path: str) -> tuple[int, dict[str, str]]:
    """Return the status and the headers with which a server answers a path."""
    status = 401 if path == "/stalled" else int(path.strip("/"))
    return status, HEADERS.get(status, {})


@asynccontextmanager
async def aiohttp_server() -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.StreamResponse:
        status, headers = status_and_headers(request.path)
        if request.path != "/stalled":
            return web.Response(status=status, headers=headers, body=BODY)
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        await response.write(BODY)
        await asyncio.sleep(3600)
        return response

    app = web.Application()
    app.router.add_get("/{status}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield "{}:{}".format(*runner.addresses[0])
    finally:
        await runner.cleanup()


Message = dict[str, Any]


async def refusing_app(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Refuse HTTP and WebSocket requests with a response (an ASGI extension); at /close, close without a response."""
    kind = "http" if scope["type"] == "http" else "websocket.http"
    await receive()
    if scope["path"] == "/close":
        await send({"type": "websocket.close"})
        return
    status, headers = status_and_headers(scope["path"])
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": f"{kind}.response.start", "status": status, "headers": pairs})
    stalled = scope["path"] == "/stalled"
    await send({"type": f"{kind}.response.body", "body": BODY, "more_body": stalled})
    if stalled:
        await asyncio.sleep(3600)


@contextmanager
def http_server(version: str) -> Iterator[str]:
    stop = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = version

        def do_GET(self) -> None:
            status, headers = status_and_headers(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            if self.path == "/stalled":
                self.wfile.write(BODY[:5])
                stop.wait()
            else:
                self.wfile.write(BODY)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield "{}:{}".format(*server.server_address)
        finally:
            stop.set()
            server.shutdown()
            thread.join()


NODE = """
const http = require("http");
const body = process.argv[1], headers = JSON.parse(process.argv[2]), upgrades = process.argv[3] === "upgrades";
const status = (request) => request.url === "/stalled" ? 401 : Number(request.url.slice(1));
const server = http.createServer((request, response) => {
  response.writeHead(status(request), headers[status(request)] || {});
  if (request.url === "/stalled") response.write(body); else response.end(body);
});
if (upgrades) server.on("upgrade", (request, socket) => {
  socket.on("error", () => {});
  const fields = Object.entries(headers[status(request)] || {});
  const lines = fields.map(([name, value]) => `${name}: ${value}\\r\\n`).join("");
  socket.write(`HTTP/1.1 ${status(request)} ${http.STATUS_CODES[status(request)]}\\r\\n${lines}\\r\\n`);
  if (request.url !== "/stalled") socket.write(body);
});
server.listen(0, "127.0.0.1", () => console.log(`127.0.0.1:${server.address().port}`));
"""


@contextmanager
def node_server(upgrades: bool) -> Iterator[str]:
    """Run Node's http server. With `upgrades`, it handles upgrade requests and writes a refusal without a length."""
    arguments = [BODY.decode(), json.dumps(HEADERS), "upgrades" if upgrades else "requests"]
    command = [program("node"), "-e", NODE, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def nginx_locations(folder: Path) -> str:
    """Return one location for each refusal. /stalled is a large page that is sent slowly."""
    (folder / "page").write_bytes(BODY * 100_000)
    lines = [
        "error_page 402 =401 /page;",
        "location = /stalled { return 402; }",
        "location = /page { limit_rate_after 4k; limit_rate 10; }",
    ]
    for status in REFUSALS:
        headers = "".join(
            f'add_header {name} "{value}" always; '
            for name, value in HEADERS.get(status, {}).items()
            if name != "Location"
        )
        text = "/there" if status in (301, 308) else BODY.decode().replace('"', '\\"')
        lines.append(f'location = /{status} {{ {headers}return {status} "{text}"; }}')
    return "\n".join(lines)


SERVERS: dict[str, Callable[[Path], AbstractContextManager[str]]] = {
    "aiohttp": lambda _: on_a_loop(aiohttp_server),
    "uvicorn": lambda _: on_a_loop(uvicorn_server(refusing_app, "none")),
    "uvicorn with websockets": lambda _: on_a_loop(uvicorn_server(refusing_app, "websockets-sansio")),
    "node": lambda _: node_server(upgrades=False),
    "node with upgrades": lambda _: node_server(upgrades=True),
    "nginx": lambda folder: nginx_server(folder, nginx_locations(folder)),
    "http.server, HTTP/1.0": lambda _: http_server("HTTP/1.0"),
    "http.server, HTTP/1.1": lambda _: http_server("HTTP/1.1"),
}


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of each server in turn."""
    with SERVERS[request.param](tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.mark.parametrize("status", REFUSALS)
def test_the_status_of_a_refusal_with_a_body_gives_the_type_of_the_error(server: str, status: int) -> None:
    kind, text = REFUSALS[status]
    error = refused(f"ws://{server}/{status}", timeout=TIMEOUT_S)
    assert type(error) is kind
    assert (getattr(error, "status", None), getattr(error, "retry_after_s", 7.0)) == (status, 7.0)
    assert text in str(error)


@pytest.mark.parametrize(
    "server",
    [name for name in SERVERS if name != "uvicorn with websockets"],  # which sends nothing before the body is complete
    indirect=True,
)
def test_a_refused_token_is_reported_while_its_body_never_ends(server: str) -> None:
    error = refused(f"ws://{server}/stalled", timeout=TIMEOUT_S)
    assert type(error) is fxlive.AuthenticationError
    assert error.status == 401


def test_an_asgi_application_that_closes_instead_of_accepting_denies_the_connection() -> None:
    with on_a_loop(uvicorn_server(refusing_app, "websockets-sansio")) as address:
        error = refused(f"ws://{address}/close", timeout=TIMEOUT_S)
    assert type(error) is fxlive.ConnectionDenied
    assert error.status == 403


def test_the_simulator_behind_nginx_refuses_a_token_and_accepts_another(
    fx_simulator: SimulatorFactory, tmp_path: Path
) -> None:
    upstream = fx_simulator.url.removeprefix("ws://")
    locations = f"""
    location /api/ws {{
      proxy_pass http://{upstream};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
    }}
    location /down {{ proxy_pass http://127.0.0.1:1; }}
    """
    with nginx_server(tmp_path, locations) as address:
        error = refused(f"ws://{address}/api/ws", TOKEN, timeout=TIMEOUT_S)
        assert type(error) is fxlive.AuthenticationError
        assert error.status == 401
        error = refused(f"ws://{address}/down", TOKEN, timeout=TIMEOUT_S)
        assert type(error) is fxlive.ServerUnavailable
        assert "is not available (502)" in str(error)
        with fxlive.connect(f"ws://{address}/api/ws", fx_simulator.token(), timeout=TIMEOUT_S) as session:
            assert len(session.wait_for("market-data", rows=20, timeout=TIMEOUT_S)) >= 20


@pytest.mark.parametrize("status", [401, 403, 429, 503])
def test_the_simulator_refuses_with_the_error_of_the_status(fx_simulator: SimulatorFactory, status: int) -> None:
    fx_simulator.faults.refuse(status, retry_after=7)
    kind, text = REFUSALS[status]
    error = refused(fx_simulator.url, fx_simulator.token(), timeout=TIMEOUT_S)
    assert type(error) is kind
    assert text in str(error)

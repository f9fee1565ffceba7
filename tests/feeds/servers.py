"""Servers that are not ours and speak the platform's protocol: aiohttp, uvicorn, Node's `ws`, also behind nginx.

Each acknowledges every request. After the first one it does what the path names:

    /quotes         sends 50 quotes
    /big            a quote of five megabytes, and a small one
    /close/CODE     sends a quote, then closes with the code and the reason "its own words"
    /drop           sends a quote, then drops the TCP connection
    /pings          pings every 0.1 s, and sends a quote after the tenth pong; drops a client that does not reply
    /fragments      sends 50 quotes in fragments of 7 bytes (only `ws`)
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import aiohttp
import pytest
import uvicorn
from aiohttp import web

from tests.handmade import acknowledged, quote, wait_until

QUOTES = 50
WORDS = "its own words"
BIG = 5_000_000
PINGS = 10


@contextmanager
def on_a_loop(serving: Callable[[], AbstractAsyncContextManager[str]]) -> Iterator[str]:
    """Run an asynchronous server on an event loop in a thread; yield its address."""
    addresses: list[str] = []
    stop = asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with serving() as address:
            addresses.append(address)
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    try:
        wait_until(lambda: addresses or not thread.is_alive(), "the server's address")
        yield addresses[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def texts(path: str) -> list[str]:
    """Return the messages that a path sends after the first request."""
    if path == "/quotes":
        return [quote(number) for number in range(QUOTES)]
    if path == "/big":
        return [quote(0, note="x" * BIG), quote(1)]
    return [quote(0)]


def close_code(path: str) -> int | None:
    return int(path.removeprefix("/close/")) if path.startswith("/close/") else None


@asynccontextmanager
async def aiohttp_platform() -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.WebSocketResponse:
        client = web.WebSocketResponse(heartbeat=0.2 if request.path == "/pings" else None)
        await client.prepare(request)
        first = True
        async for message in client:
            if message.type is not aiohttp.WSMsgType.TEXT:
                break
            await client.send_str(acknowledged(message.data))
            if not first:
                continue
            first = False
            if request.path == "/pings":
                await asyncio.sleep(0.2 * PINGS)
            for text in texts(request.path):
                await client.send_str(text)
            if code := close_code(request.path):
                await client.close(code=code, message=WORDS.encode())
            if request.path == "/drop":
                assert request.transport is not None
                request.transport.abort()
        return client

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield "{}:{}".format(*runner.addresses[0])
    finally:
        await runner.cleanup()


async def platform_app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """The platform as an ASGI application. It cannot drop a connection: /drop is a close with 1011."""
    path, first = scope["path"], True
    await receive()
    await send({"type": "websocket.accept"})
    with suppress(RuntimeError, OSError):  # the client has gone
        while (event := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": acknowledged(event["text"])})
            if not first:
                continue
            first = False
            if path == "/pings":
                await asyncio.sleep(0.1 * PINGS)
            for text in texts(path):
                await send({"type": "websocket.send", "text": text})
            if code := close_code(path) or (1011 if path == "/drop" else None):
                await send({"type": "websocket.close", "code": code, "reason": WORDS})
                return


def uvicorn_server(app: Any, websockets: str, **options: Any) -> Callable[[], AbstractAsyncContextManager[str]]:
    """Return a uvicorn server with the named WebSocket implementation; with "none" it serves HTTP only."""

    @asynccontextmanager
    async def serving() -> AsyncIterator[str]:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            config = uvicorn.Config(
                app,
                http="h11",
                ws=websockets,  # type: ignore[arg-type]
                lifespan="off",
                log_level="critical",
                timeout_graceful_shutdown=0,
                **options,
            )
            server = uvicorn.Server(config)
            task = asyncio.create_task(server.serve([listening]))
            try:
                yield "{}:{}".format(*listening.getsockname())
            finally:
                server.should_exit = True
                await task

    return serving


def uvicorn_platform(websockets: str) -> Callable[[], AbstractAsyncContextManager[str]]:
    """Return the platform on uvicorn, with pings ten times a second."""
    return uvicorn_server(platform_app, websockets, ws_ping_interval=0.1, ws_ping_timeout=10.0)


WS = """
const { WebSocketServer } = require("ws");
const quotes = JSON.parse(process.argv[1]), words = process.argv[2], big = Number(process.argv[3]);
const acknowledged = (text) => {
  const request = JSON.parse(text), unsubscribes = request.type === "unsubscribe";
  const channels = unsubscribes ? request.channels : request.channels.map((c) => ({ ...c, subscribed: true }));
  const type = unsubscribes ? "unsubscription" : "subscription";
  return JSON.stringify({ type, status: "success", channels, timestamp: "2024-01-01T00:00:00.000Z" });
};
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: { threshold: 0 } }, () =>
  console.log(`127.0.0.1:${server.address().port}`));
server.on("connection", (socket, request) => {
  let first = true, pongs = 0;
  socket.on("error", () => {});
  socket.on("pong", () => { pongs += 1; });
  socket.on("message", (text) => {
    socket.send(acknowledged(text));
    if (!first) return;
    first = false;
    const path = request.url;
    if (path === "/quotes") for (const quote of quotes) socket.send(quote);
    else if (path === "/fragments") for (const quote of quotes)
      for (let at = 0; at < quote.length; at += 7)
        socket.send(quote.slice(at, at + 7), { fin: at + 7 >= quote.length, compress: false });
    else if (path === "/big") {
      socket.send(quotes[0].replace('"symbol"', `"note": "${"x".repeat(big)}", "symbol"`));
      socket.send(quotes[1]);
    } else if (path === "/pings") {
      const timer = setInterval(() => {
        if (pongs < 10) return socket.ping("are you there");
        clearInterval(timer);
        socket.send(quotes[0]);
      }, 50);
    } else {
      socket.send(quotes[0], () => {
        if (path === "/drop") socket.terminate();
        else socket.close(Number(path.slice("/close/".length)), words);
      });
    }
  });
});
"""


def program(name: str) -> str:
    """Return the path of a program; skip the test if it is not installed."""
    path = shutil.which(name, path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    if path is None:
        missing(name)
    return path


def missing(name: str) -> NoReturn:
    """Skip the test, because a program is not installed. With FXLIVE_SERVERS=required, as in CI, it fails instead."""
    if os.environ.get("FXLIVE_SERVERS") == "required":
        pytest.fail(f"FXLIVE_SERVERS=required, but {name} is not installed: see tools/debian.sh")
    pytest.skip(f"{name} is not installed (Debian, Ubuntu: see tools/debian.sh)")


@contextmanager
def ws_platform() -> Iterator[str]:
    """Run Node's `ws`, of Debian's package node-ws or of npm."""
    node = program("node")
    environment = {**os.environ, "NODE_PATH": os.environ.get("NODE_PATH", "/usr/share/nodejs")}
    if subprocess.run([node, "-e", 'require("ws")'], env=environment, capture_output=True).returncode:
        missing("node-ws")
    quotes = json.dumps([quote(number) for number in range(QUOTES)])
    command = [node, "-e", WS, quotes, WORDS, str(BIG)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.kill()


NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen {address};
    root {folder};
    {locations}
  }}
}}
"""

FORWARD = """
location / {{
  proxy_pass http://{upstream};
  proxy_http_version 1.1;
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection upgrade;
}}
"""


@contextmanager
def nginx_server(folder: Path, locations: str) -> Iterator[str]:
    """Run nginx with these locations; yield its address."""
    executable = program("nginx")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = "{}:{}".format(*free.getsockname())
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, address=address, locations=locations))
    with subprocess.Popen([executable, "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"]) as process:
        try:
            wait_until(lambda: process.poll() is not None or listens(address), "nginx")
            assert process.poll() is None, (folder / "error.log").read_text()
            yield address
        finally:
            process.kill()


def listens(address: str) -> bool:
    """Return whether a server accepts connections at an address."""
    host, _, port = address.partition(":")
    with socket.socket() as client:
        return client.connect_ex((host, int(port))) == 0


@contextmanager
def behind_nginx(folder: Path) -> Iterator[str]:
    with ws_platform() as upstream, nginx_server(folder, FORWARD.format(upstream=upstream)) as address:
        yield address

"""A hand-made platform, for answers that the simulator never gives, and helpers for tests of live sessions."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
from websockets.sync.server import ServerConnection, serve

import fxlive
from fxlive.core.background import background_loop, call
from fxlive.feeds import pacing

TOKEN = "a-token-that-nobody-may-see"
PATIENCE_S = 60.0
"""How long a test waits for a condition. Generous, because the machine may be busy."""

THEN = "2024-01-01T00:00:00.000Z"


def wait_until(condition: Callable[[], Any], awaited: str = "a condition", timeout_s: float = PATIENCE_S) -> None:
    """Wait for a condition; fail with the name of the awaited event if it does not hold in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"Timed out after {timeout_s:g} s waiting for {awaited}."
        time.sleep(0.005)


def quote(number: int, symbol: str = "EURUSD", timestamp: str = THEN, **fields: Any) -> str:
    """Return a market-data message with this number as its id and its bid."""
    data = {"symbol": symbol, "bid": float(number), "ask": number + 0.5, **fields}
    return json.dumps(
        {"type": "market_data", "channel": "market-data", "data": data, "timestamp": timestamp, "id": f"q{number}"}
    )


def acknowledged(request: str | bytes, **over: Any) -> str:
    """Return the answer that grants a request."""
    decoded = json.loads(request)
    names = [c["name"] if isinstance(c, dict) else c for c in decoded["channels"]]
    if decoded["type"] == "unsubscribe":
        answer: dict[str, Any] = {"type": "unsubscription", "status": "success", "channels": names}
    else:
        granted = [{**c, "subscribed": True} for c in decoded["channels"]]
        answer = {"type": "subscription", "status": "success", "channels": granted}
    return json.dumps({**answer, "timestamp": THEN, **over})


def grant_everything(socket: ServerConnection) -> None:
    """Grant every request, and send nothing else."""
    for request in socket:
        socket.send(acknowledged(request))


@contextmanager
def platform(handler: Callable[[ServerConnection], None], **options: Any) -> Iterator[str]:
    """Run a WebSocket server with a handler for its connections; yield its URL."""
    server = serve(handler, "127.0.0.1", 0, **{"compression": None, "ping_interval": None, **options})
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    scheme = "wss" if "ssl" in options else "ws"
    try:
        yield f"{scheme}://127.0.0.1:{server.socket.getsockname()[1]}/api/ws"
    finally:
        server.shutdown()
        thread.join()


QUIET_HOST = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"
"""A loopback address to which nobody else connects. Clients of Jupyter kernels that have ended call their ports on
127.0.0.1 again and again, also after another server has got the port."""


@contextmanager
def tcp_server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Run a plain TCP server that passes each connection to `answer`; yield its host and port."""
    with socket.create_server((QUIET_HOST, 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"{QUIET_HOST}:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def refused(url: str, token: Any = TOKEN, **options: Any) -> fxlive.FxliveError:
    """Connect, and return the error. It must not contain the token, and no task or session may be left over."""
    before, running = threads(), tasks()
    with pytest.raises(fxlive.FxliveError) as failed:
        fxlive.connect(url, token, **{"timeout": PATIENCE_S, **options})
    error = failed.value
    assert fxlive.sessions() == []
    wait_until(lambda: tasks() <= running, "the tasks of the attempt to end")
    wait_until(lambda: threads() <= before + 2)  # the loop's thread, and one for the token function
    assert TOKEN not in str(error)
    return error


def threads() -> int:
    """Return the number of threads without those of the loop's pool, which are kept for the next call."""
    return sum(not thread.name.startswith("asyncio_") for thread in threading.enumerate())


def tasks() -> set[str]:
    """Return the coroutines that run on the background loop."""

    async def running() -> set[str]:
        return {repr(t.get_coro()) for t in asyncio.all_tasks(background_loop()) if t is not asyncio.current_task()}

    return call(running())


@pytest.fixture(autouse=True)
def clean_slate(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Reset the counts of connections and the environment before a test, and close its sessions after it."""
    monkeypatch.setattr(pacing, "_connection_limits", {})
    monkeypatch.delenv("FXLIVE_URL", raising=False)
    monkeypatch.delenv("FXLIVE_TOKEN", raising=False)
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    yield
    for session in fxlive.sessions():
        session.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reconnect after hundredths of a second, without a limit per minute."""
    monkeypatch.setattr(pacing, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(pacing, "CONNECTIONS_PER_MINUTE", 1_000)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let SIGINT raise KeyboardInterrupt, also if the tests run in the background, where shells ignore it."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


def lines_run(function: Callable[..., Any], *arguments: Any) -> int:
    """Call a function and return the number of Python lines it ran: its work, whatever the machine's load."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    former = sys.gettrace()
    sys.settrace(trace)
    try:
        function(*arguments)
    finally:
        sys.settrace(former)
    return count

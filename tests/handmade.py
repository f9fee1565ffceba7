"""Hand-made servers for answers that the simulator never sends, and helpers for tests of sessions and feeds."""

from __future__ import annotations

import asyncio
import json
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
"""Limit of every wait: long enough for a busy machine."""
THEN = "2024-01-01T00:00:00.000Z"


def wait_until(condition: Callable[[], Any], description: str = "the condition", timeout_s: float = PATIENCE_S) -> None:
    """Wait until a condition holds. If it does not within `timeout_s`, fail and name the condition."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"Timed out after {timeout_s:g} s waiting for {description}."
        time.sleep(0.005)


def quote(number: int, symbol: str = "EURUSD", timestamp: str = THEN, **fields: Any) -> str:
    """Return a market-data message with the number as its id and its bid."""
    data = {"symbol": symbol, "bid": float(number), "ask": number + 0.5, **fields}
    return json.dumps(
        {"type": "market_data", "channel": "market-data", "data": data, "timestamp": timestamp, "id": f"q{number}"}
    )


def acknowledged(request: str | bytes, **over: Any) -> str:
    """Return the answer that grants a request, with the fields `over` replaced."""
    decoded = json.loads(request)
    names = [c["name"] if isinstance(c, dict) else c for c in decoded["channels"]]
    if decoded["type"] == "unsubscribe":
        answer: dict[str, Any] = {"type": "unsubscription", "status": "success", "channels": names}
    else:
        granted = [{**c, "subscribed": True} for c in decoded["channels"]]
        answer = {"type": "subscription", "status": "success", "channels": granted}
    return json.dumps({**answer, "timestamp": THEN, **over})


def grant_everything(socket: ServerConnection) -> None:
    """Grant every request and send nothing else."""
    for request in socket:
        socket.send(acknowledged(request))


@contextmanager
def platform(handler: Callable[[ServerConnection], None], **options: Any) -> Iterator[str]:
    """Run a WebSocket server with this handler for its connections, and yield its URL."""
    server = serve(handler, "127.0.0.1", 0, **{"compression": None, "ping_interval": None, **options})
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    scheme = "wss" if "ssl" in options else "ws"
    try:
        yield f"{scheme}://127.0.0.1:{server.socket.getsockname()[1]}/api/ws"
    finally:
        server.shutdown()
        thread.join()


@contextmanager
def tcp_server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Run a plain TCP server that passes each connection to `answer`; yield its host and port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

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
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def refused(url: str, token: Any = TOKEN, **options: Any) -> fxlive.FxliveError:
    """Connect and return the error. Check that it does not contain the token and the attempt leaves nothing open."""
    threads_before, tasks_before = threading.active_count(), tasks()
    with pytest.raises(fxlive.FxliveError) as failure:
        fxlive.connect(url, token, **{"timeout": PATIENCE_S, **options})
    error = failure.value
    assert fxlive.sessions() == []
    wait_until(lambda: tasks() <= tasks_before, "the end of the attempt's tasks")
    # At most two new threads: the loop's, and one that called the token function.
    wait_until(lambda: threading.active_count() <= threads_before + 2, "the end of the attempt's threads")
    assert TOKEN not in str(error)
    return error


def tasks() -> set[str]:
    """Return the coroutines that are running on the background loop."""

    async def list_tasks() -> set[str]:
        return {repr(t.get_coro()) for t in asyncio.all_tasks(background_loop()) if t is not asyncio.current_task()}

    return call(list_tasks())


@pytest.fixture(autouse=True)
def clean_slate(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Reset connection counts, remove the user's environment variables, and close all sessions after the test."""
    monkeypatch.setattr(pacing, "_connection_limits", {})
    monkeypatch.delenv("FXLIVE_URL", raising=False)
    monkeypatch.delenv("FXLIVE_TOKEN", raising=False)
    yield
    for session in fxlive.sessions():
        session.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reconnect after hundredths of a second, without the limit of ten connections per minute."""
    monkeypatch.setattr(pacing, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(pacing, "CONNECTIONS_PER_MINUTE", 1_000)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Handle SIGINT as Python does by default, even if the tests were started in the background with SIGINT ignored."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


def lines_run(function: Callable[..., Any], *arguments: Any) -> int:
    """Call a function and return the number of Python lines executed: a measure that does not depend on speed."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        function(*arguments)
    finally:
        sys.settrace(previous)
    return count

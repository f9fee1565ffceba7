"""A client of the simulator that does not use fxlive: the library's own client, json, and a list of the messages."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

CHANNELS = ["trades", "positions", "orders", "market-data", "alerts", "analytics", "system"]
PATIENCE_S = 60.0
"""Limit of every wait: long enough for a busy machine."""

Message = dict[str, Any]


class Platform(Protocol):
    """The part of a simulator that a listener uses."""

    @property
    def url(self) -> str: ...

    def token(self) -> str: ...


class Listener:
    """One connection. `raw` holds everything that was received, `messages` the JSON objects among it."""

    def __init__(self, sim: Platform, *channels: Any, token: str | None = None, **options: Any) -> None:
        access = sim.token() if token is None else token
        options = {"compression": None, "max_size": None, "max_queue": None, "ping_interval": None, **options}
        # Entered here and closed by close(), so that a listener can also be used without a with statement.
        self.socket: ClientConnection = connect(
            sim.url, additional_headers={"Authorization": f"Bearer {access}"}, **options
        ).__enter__()
        self.raw: list[str | bytes] = []
        self.messages: list[Message] = []
        if channels:
            self.subscribe(*channels)

    def send(self, request: Any) -> None:
        self.socket.send(request if isinstance(request, str) else json.dumps(request))

    def subscribe(self, *channels: Any) -> Message:
        self.send({"type": "subscribe", "channels": list(channels)})
        return self.until(lambda m: m["type"] in {"subscription", "error"})

    def unsubscribe(self, *channels: Any) -> Message:
        self.send({"type": "unsubscribe", "channels": list(channels)})
        return self.until(lambda m: m["type"] in {"unsubscription", "error"})

    def receive(self, timeout: float = PATIENCE_S) -> Message | None:
        """Return the next message, or None if it is not a JSON object."""
        raw = self.socket.recv(timeout)
        self.raw.append(raw)
        try:
            message = json.loads(raw)
        except ValueError:
            return None
        if not isinstance(message, dict):
            return None
        self.messages.append(message)
        return message

    def until(self, condition: Callable[[Message], bool], timeout: float = PATIENCE_S) -> Message:
        """Read until a message meets the condition, and return it."""
        end = time.monotonic() + timeout
        while True:
            message = self.receive(max(0.0, end - time.monotonic()))
            if message is not None and condition(message):
                return message

    def until_type(self, kind: str, timeout: float = PATIENCE_S) -> Message:
        return self.until(lambda m: m["type"] == kind, timeout)

    def take(self, count: int, channel: str = "market-data") -> list[Message]:
        """Return the next `count` messages of the channel."""
        return [self.until(lambda m: m.get("channel") == channel) for _ in range(count)]

    def read_close_code(self, timeout: float = PATIENCE_S) -> int:
        """Read to the end and return the close code, or 1006 if there is none."""
        end = time.monotonic() + timeout
        while True:
            try:
                self.receive(max(0.0, end - time.monotonic()))
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else 1006

    def of(self, channel: str) -> list[Message]:
        return [m for m in self.messages if m.get("channel") == channel and m["type"] != "error"]

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def wait_until(condition: Callable[[], bool], timeout: float = PATIENCE_S) -> None:
    """Wait until the condition holds, for conditions that do not show in a message."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"the condition does not hold after {timeout:g} s"
        time.sleep(0.005)

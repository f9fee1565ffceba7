"""A comm that keeps what a widget sends, in place of the one to a browser."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import comm
import pytest
from comm.base_comm import BaseComm


@dataclass
class Sent:
    """One message to the browser."""

    kind: str
    data: dict[str, Any]
    buffers: list[bytes]
    size: int

    @property
    def content(self) -> dict[str, Any]:
        return self.data.get("content", {})


@dataclass
class Recorded:
    """Every message to the browser, in order."""

    sent: list[Sent] = field(default_factory=list)

    def messages(self, kind: str) -> list[Sent]:
        """The custom messages of a kind."""
        return [message for message in self.sent if message.content.get("type") == kind]


@contextmanager
def recording(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    """While it lasts, widgets that are made send here. Sizes are of the content and the buffers."""
    recorded = Recorded()

    class RecordingComm(BaseComm):
        def publish_msg(
            self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **keys: Any
        ) -> None:
            content = json.dumps({"data": data, "comm_id": self.comm_id, **keys}).encode()
            taken = [bytes(buffer) for buffer in buffers or []]
            recorded.sent.append(Sent(msg_type, data or {}, taken, len(content) + sum(map(len, taken))))

    make: Callable[..., BaseComm] = RecordingComm
    monkeypatch.setattr(comm, "create_comm", make)
    yield recorded

"""A comm that records what a widget sends, in place of the one to a browser."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import comm
import numpy as np
import pytest
from comm.base_comm import BaseComm

from fxlive.widgets.base import LiveWidget


@dataclass
class SentMessage:
    """One message to the browser."""

    kind: str
    data: dict[str, Any]
    buffers: list[bytes]
    size: int

    @property
    def content(self) -> dict[str, Any]:
        return self.data.get("content", {})


@dataclass
class SentPart:
    """One widget's part of a tick. `reply_to` is the type of a view's request; None for an update of all views."""

    key: int
    reply_to: str | None
    view: str | None
    content: dict[str, Any]
    buffers: list[bytes]

    @property
    def columns(self) -> list[list[float]]:
        """The buffers as numbers."""
        return [np.frombuffer(buffer).tolist() for buffer in self.buffers]


@dataclass
class RecordedPage:
    """Every message to the browser, in order."""

    sent: list[SentMessage] = field(default_factory=list)

    @property
    def ticks(self) -> list[SentMessage]:
        """The messages of the refresher."""
        return [message for message in self.sent if "parts" in message.content]

    def parts(self, widget: LiveWidget | None = None, since: int = 0) -> list[SentPart]:
        """The parts of all messages from index `since` on, of all widgets or of one."""
        parts = []
        for message in self.sent[since:]:
            buffers = iter(message.buffers)
            for key, content, count in message.content.get("parts", ()):
                own = [next(buffers) for _ in range(count)]
                if widget is None or key == widget._key:
                    parts.append(SentPart(key, content.get("a"), content.get("v"), content, own))
        return parts

    def replies(self, request: str = "snapshot") -> list[SentPart]:
        """The replies to the views' requests of a type."""
        return [part for part in self.parts() if part.reply_to == request and part.view is not None]

    def updates(self) -> list[SentPart]:
        """The updates for all views."""
        return [part for part in self.parts() if part.view is None]


@contextmanager
def recording(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordedPage]:
    """Record the messages of widgets made inside the block. Sizes are those of content and buffers."""
    recorded = RecordedPage()

    class RecordingComm(BaseComm):
        def publish_msg(
            self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **keys: Any
        ) -> None:
            content = json.dumps({"data": data, "comm_id": self.comm_id, **keys}).encode()
            copies = [bytes(buffer) for buffer in buffers or []]
            recorded.sent.append(SentMessage(msg_type, data or {}, copies, len(content) + sum(map(len, copies))))

    make: Callable[..., BaseComm] = RecordingComm
    monkeypatch.setattr(comm, "create_comm", make)
    yield recorded

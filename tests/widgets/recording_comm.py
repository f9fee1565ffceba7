"""A comm that keeps what a widget sends, in place of the one to a browser."""

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
class Said:
    """What one widget said in a tick: `answer` is what a view had asked for, None for the news to all of them."""

    key: int
    answer: str | None
    view: str | None
    content: dict[str, Any]
    buffers: list[bytes]

    @property
    def columns(self) -> list[list[float]]:
        """The buffers as numbers."""
        return [np.frombuffer(buffer).tolist() for buffer in self.buffers]


@dataclass
class Recorded:
    """Every message to the browser, in order."""

    sent: list[Sent] = field(default_factory=list)

    @property
    def ticks(self) -> list[Sent]:
        """The messages of the refresher, each with a part for every widget that had something to say."""
        return [message for message in self.sent if "parts" in message.content]

    def said(self, widget: LiveWidget | None = None, since: int = 0) -> list[Said]:
        """All parts of all ticks, or of one widget alone, since so many messages were sent."""
        found = []
        for message in self.sent[since:]:
            buffers = iter(message.buffers)
            for key, content, count in message.content.get("parts", ()):
                own = [next(buffers) for _ in range(count)]
                if widget is None or key == widget._key:
                    found.append(Said(key, content.get("a"), content.get("v"), content, own))
        return found

    def answers(self, kind: str = "window") -> list[Said]:
        """What views were answered."""
        return [said for said in self.said() if said.answer == kind and said.view is not None]

    def news(self) -> list[Said]:
        """What all views were told."""
        return [said for said in self.said() if said.view is None]


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

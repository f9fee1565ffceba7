"""Mailbox: the bounded queue in front of a callback or a stream."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from fxlive.errors import FxliveError
from fxlive.wire.messages import Message, Undocumented

MAILBOX_SIZE = 10_000

AnyMessage = Message | Undocumented


class Mailbox:
    """A bounded queue from the background loop to one listener; full, it drops its oldest and counts them."""

    def __init__(self, channel: str, wake: Callable[[], None], size: int = MAILBOX_SIZE) -> None:
        self.channel = channel
        self.dropped = 0
        self.closed = False
        self.error: FxliveError | None = None
        self._messages: deque[AnyMessage] = deque(maxlen=size)
        self._size = size
        self._lock = threading.Lock()
        self._wake = wake

    def put(self, messages: Sequence[AnyMessage]) -> None:
        """Add messages and wake the listener."""
        with self._lock:
            if self.closed:
                return
            self.dropped += max(0, len(self._messages) + len(messages) - self._size)
            self._messages.extend(messages)
        self._wake()

    def close(self, error: FxliveError | None = None) -> None:
        """Let the listener end once it has read what is here, with an error where the session failed."""
        self.closed, self.error = True, error
        self._wake()

    def discard(self) -> None:
        """Close, and forget what has not been read."""
        with self._lock:
            self.closed = True
            self._messages.clear()
        self._wake()

    def take(self) -> AnyMessage | None:
        """Return the oldest message, or None where there is none."""
        with self._lock:
            return self._messages.popleft() if self._messages else None

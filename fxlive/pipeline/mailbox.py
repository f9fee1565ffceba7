"""The bounded queue in front of a callback or a stream."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from fxlive.errors import FxliveError
from fxlive.wire.messages import Message, Undocumented

MAILBOX_SIZE = 10_000

AnyMessage = Message | Undocumented


class Mailbox:
    """A bounded queue of messages from the background loop to one callback or stream.

    When it is full, the oldest messages are dropped and counted in `dropped`. `wake` is called after every change; it
    may run on any thread.
    """

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
        """Add messages, unless it is closed."""
        with self._lock:
            if self.closed:
                return
            self.dropped += max(0, len(self._messages) + len(messages) - self._size)
            self._messages.extend(messages)
        self._wake()

    def close(self, error: FxliveError | None = None) -> None:
        """Accept no more messages. Those in the queue can still be taken; `error` is why the session failed."""
        self.closed, self.error = True, error
        self._wake()

    def discard(self) -> None:
        """Accept no more messages, and drop those in the queue."""
        with self._lock:
            self.closed = True
            self._messages.clear()
        self._wake()

    def take(self) -> AnyMessage | None:
        """Remove and return the oldest message; None if the queue is empty."""
        with self._lock:
            return self._messages.popleft() if self._messages else None

"""The bounded queue in front of a callback or a stream."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from fxlive.errors import FxliveError
from fxlive.wire.messages import Message, Undocumented

MAILBOX_SIZE = 10_000
MAILBOX_BYTES = 64 * 2**20

AnyMessage = Message | Undocumented


class Mailbox:
    """A bounded queue of messages from the background loop to one callback or stream.

    It holds at most `size` messages, and 64 MB of their JSON. When it is full, the oldest messages are dropped and
    counted in `dropped`. `wake` is called after every change; it may run on any thread.
    """

    def __init__(self, channel: str, wake: Callable[[], None], size: int = MAILBOX_SIZE) -> None:
        self.channel = channel
        self.dropped = 0
        self.closed = False
        self.error: FxliveError | None = None
        self.size = size
        self.bytes = 0
        self._messages: deque[tuple[AnyMessage, int]] = deque()
        self._lock = threading.Lock()
        self._wake = wake

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, messages: Sequence[AnyMessage], size_bytes: int = 0) -> None:
        """Add messages of so many bytes in all, unless it is closed."""
        each = size_bytes // max(1, len(messages))
        with self._lock:
            if self.closed:
                return
            excess = max(0, len(messages) - self.size)
            self.dropped += excess
            self._messages.extend([(message, each) for message in messages[excess:]])
            self.bytes += each * (len(messages) - excess)
            while len(self._messages) > self.size or (self.bytes > MAILBOX_BYTES and len(self._messages) > 1):
                self.bytes -= self._messages.popleft()[1]
                self.dropped += 1
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
            self.bytes = 0
        self._wake()

    def take(self) -> AnyMessage | None:
        """Remove and return the oldest message; None if the queue is empty."""
        with self._lock:
            if not self._messages:
                return None
            message, size = self._messages.popleft()
            self.bytes -= size
            return message

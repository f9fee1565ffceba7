"""Streams: async iterators over the messages of a channel, read on the caller's own event loop."""

from __future__ import annotations

import asyncio
import threading

from fxlive.pipeline.mailbox import MAILBOX_SIZE, AnyMessage, Mailbox


class Stream:
    """An async iterator over the messages of a channel that arrive after its creation.

    It ends when the session closes, and raises when the session fails. `dropped` counts the messages that were dropped
    because the reader was too slow.
    """

    def __init__(self, channel: str, size: int = MAILBOX_SIZE) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                "A stream is read in async code: async for message in session.stream(...). In a plain cell, use "
                "session.on(...) with a callback."
            ) from None
        wake_up = asyncio.Event()
        scheduled = threading.Lock()  # held while a wake-up is scheduled on the loop: one at a time

        def arrive() -> None:
            scheduled.release()  # first, so that a message put from now on schedules another wake-up
            wake_up.set()

        def wake() -> None:  # without a reference to the stream, so that an abandoned stream is freed
            if scheduled.acquire(blocking=False):
                try:
                    loop.call_soon_threadsafe(arrive)
                except RuntimeError:  # the reader's loop is closed; the feed goes on
                    pass

        self._wake_up = wake_up
        self.mailbox = Mailbox(channel, wake, size)

    @property
    def dropped(self) -> int:
        """The number of messages that were dropped because the reader was too slow."""
        return self.mailbox.dropped

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> AnyMessage:
        while True:
            self._wake_up.clear()
            message = self.mailbox.take()
            if message is not None:
                return message
            if self.mailbox.closed:
                if self.mailbox.error is not None:
                    raise self.mailbox.error
                raise StopAsyncIteration
            await self._wake_up.wait()

    async def aclose(self) -> None:
        """Stop reading. Messages that wait in the queue are discarded."""
        self.mailbox.discard()

    def __del__(self) -> None:
        if hasattr(self, "mailbox"):
            self.mailbox.closed = True

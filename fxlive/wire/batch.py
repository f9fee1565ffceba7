"""A batch: typed rows by channel, control messages and rejections, decoded from one read of the socket.

`protocol.py` builds it once; the store, the recorder and the callbacks share it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from fxlive.core.timestamps import Micros
from fxlive.wire.channels import Channel
from fxlive.wire.messages import Control, Message, Undocumented
from fxlive.wire.undocumented.extras import Extras

MAX_RAW_CHARS = 65_536
"""The most characters kept of a rejected message's text."""

_LARGE_BYTES = 2**20


@dataclass(frozen=True)
class Rejection:
    """A rejected message: time of receipt (microseconds), reason, and text (the first 65,536 characters)."""

    received_at: int
    reason: str
    raw: str


@dataclass(slots=True)
class Rows:
    """The rows that a batch adds to one channel, by column, in order of arrival.

    `values` maps each column of the channel to its values: a float64 array of numbers, an int64 array of times
    (microseconds, NAT if missing) or of integers that are never missing, and otherwise a list, with None for missing
    values. `extras` maps the index of a row to its undocumented and its unreadable fields, {column: JSON value}.
    `arrival` numbers the messages of all channels in order of arrival. `packed` maps columns of texts and codes to
    their packed values, which the table adds for the recorder.
    """

    channel: Channel
    messages: Sequence[Message | Undocumented]
    timestamp: Micros
    received_at: Micros
    arrival: Micros
    values: dict[str, Any]
    extras: Extras = field(default_factory=Extras)
    packed: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.messages)

    def take(self, indices: Sequence[int]) -> Rows:
        """Return the rows at these indices, in this order."""
        array = np.asarray(indices, np.intp)
        return Rows(
            self.channel,
            [self.messages[i] for i in indices],
            self.timestamp[array],
            self.received_at[array],
            self.arrival[array],
            {
                name: values[array] if isinstance(values, np.ndarray) else [values[i] for i in indices]
                for name, values in self.values.items()
            },
            self.extras.take(indices) if self.extras else self.extras,
        )


@dataclass(slots=True)
class Batch:
    """The content of one read of the socket; `received_at` is in microseconds since 1970 UTC.

    `confirmed` lists by channel the keys of positions and orders that are confirmed after a gap by messages that were
    received before, and are therefore not in `rows`.
    `count` is the number of its messages: rows, control messages, rejections and heartbeats. `size_bytes` is the size
    of its frames.
    """

    received_at: int
    rows: dict[str, Rows] = field(default_factory=dict)
    control: list[Control] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    confirmed: dict[str, list[Any]] = field(default_factory=dict)
    heartbeats: int = 0
    count: int = 0
    size_bytes: int = 0

    def size_of(self, channel: str) -> int:
        """Return the approximate size in bytes of a channel's messages: exact if the batch is large, else its share."""
        messages = self.rows[channel].messages
        if self.size_bytes <= _LARGE_BYTES:
            return self.size_bytes * len(messages) // max(1, self.count)
        return sum(len(msgspec.json.encode(message)) for message in messages)

"""What one read of the socket becomes: typed rows by channel, messages about the connection, and rejections.

A batch is built once, by `protocol.py`, and handed as it is to the store, the recorder and the listeners.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fxlive.core.timestamps import Micros
from fxlive.wire.channels import Channel
from fxlive.wire.messages import Control, Message, Undocumented

MAX_RAW_CHARS = 65_536
"""How much of a rejected message's text is kept."""


@dataclass(frozen=True)
class Rejection:
    """A message that could not be taken: when it came (microseconds), why not, and its text (the first 64 KB)."""

    received_at: int
    reason: str
    raw: str


@dataclass(slots=True)
class Rows:
    """The rows that a batch brings to one channel, in the order of arrival, by column.

    `values` holds for each of the channel's columns what its kind asks for: float64 for numbers, int64 for integers
    that are never missing and for times (microseconds, NAT where missing), and lists with None where missing for the
    rest. `extras` holds the undocumented fields: the row's place, then {column: JSON value}. `arrival` numbers the
    messages of all channels in the order in which they came. What a table made of texts and codes it leaves in
    `packed`, by column, for whoever needs them next.
    """

    channel: Channel
    messages: Sequence[Message | Undocumented]
    timestamp: Micros
    received_at: Micros
    arrival: Micros
    values: dict[str, Any]
    extras: dict[int, dict[str, Any]] = field(default_factory=dict)
    packed: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.messages)

    def take(self, places: Sequence[int]) -> Rows:
        """Return only the rows at these places."""
        index = np.asarray(places, np.intp)
        return Rows(
            self.channel,
            [self.messages[p] for p in places],
            self.timestamp[index],
            self.received_at[index],
            self.arrival[index],
            {
                name: values[index] if isinstance(values, np.ndarray) else [values[p] for p in places]
                for name, values in self.values.items()
            },
            {new: self.extras[old] for new, old in enumerate(places) if old in self.extras},
        )


@dataclass(slots=True)
class Batch:
    """Everything that one read of the socket brought, received at one moment (microseconds since 1970 UTC)."""

    received_at: int
    rows: dict[str, Rows] = field(default_factory=dict)
    control: list[Control] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)

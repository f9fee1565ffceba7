"""Source: where the frames of a session or a capture come from."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Protocol

import pandas as pd


class Source(Protocol):
    """Rows, gaps and rejected messages by channel: of a running pipeline, or of captures on disk.

    Channels are named and symbols spelled as the platform does (``market-data``, ``EURUSD``); `Readable` translates a
    user's spelling before it calls a source.
    """

    @property
    def name(self) -> str:
        """The name of the session."""

    @property
    def channels(self) -> list[str]:
        """The channels that can be read: the seven documented ones, and others of which messages came."""

    @property
    def symbols(self) -> list[str]:
        """The symbols of all channels, sorted."""

    def rows(
        self,
        channel: str,
        *,
        last: Any = None,
        since: Any = None,
        until: Any = None,
        where: Mapping[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Return the selected rows of a channel in the order of arrival; arguments as of `Readable.frame`."""

    def latest(self, channel: str) -> pd.DataFrame:
        """Return the newest row of each key of a channel, indexed and sorted by the key.

        Of positions and orders, `confirmed` (bool) is whether a message about the key came after the last gap.
        """

    def snapshot(self) -> dict[str, pd.DataFrame]:
        """Return all rows of every channel, as of one moment."""

    def gaps(self) -> pd.DataFrame:
        """Return the periods in which messages may be missing."""

    def rejected(self) -> pd.DataFrame:
        """Return the messages that could not be decoded or stored."""

    def sql(self, query: str) -> pd.DataFrame:
        """Return the result of a SQL query in which each channel is a table."""

    def attrs(self, channel: str, frame: pd.DataFrame) -> dict[Hashable, Any]:
        """Return the `attrs` that describe the state behind a frame of a channel."""

    def check_subscribed(self, *channels: str) -> None:
        """Raise SubscriptionError if a channel is not subscribed and has no rows: figures made of it would be 0."""

    def has_evicted(self, channel: str) -> bool:
        """Return whether rows of a channel have left its window."""


class Reader(Protocol):
    """An object with a source; the first parameter of the functions that become methods of `Readable`."""

    _source: Source

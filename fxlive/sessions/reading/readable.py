"""Readings: what can be read of a session, be it live, replayed or opened from disk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from fxlive.capture.exporting.export import files_for, write_frame
from fxlive.core.instruments import with_known_symbols
from fxlive.errors import UnknownOption
from fxlive.sessions.reading.analysis import Analysis
from fxlive.tables.selection import select
from fxlive.wire.channels import CHANNELS, channel_name, has_symbols

_FORMATS = ("parquet", "csv")


class Readings(Analysis, ABC):
    """The methods that read; a subclass says where the rows are."""

    name: str

    @abstractmethod
    def _window(self, channel: str) -> pd.DataFrame:
        """Return every row of a channel."""

    @abstractmethod
    def _newest(self, channel: str) -> pd.DataFrame:
        """Return the newest row of each key of a channel."""

    @abstractmethod
    def _windows(self) -> dict[str, pd.DataFrame]:
        """Return every row of every channel, at one moment."""

    @abstractmethod
    def _attrs(self) -> dict[Hashable, Any]:
        """Return what a frame should say of the session besides its channel."""

    def _selected(self, channel: str, last: Any, since: Any, until: Any, where: dict[str, Any]) -> pd.DataFrame:
        """Return the rows of a channel that are asked for."""
        return select(self._window(channel), channel, last=last, since=since, until=until, where=where)

    @property
    def channels(self) -> list[str]:
        """The channels that can be read: the seven documented ones, and any other that has sent something."""
        return list(CHANNELS)

    @property
    @abstractmethod
    def symbols(self) -> list[str]:
        """The symbols that any channel has had, sorted."""

    def _channel(self, name: str) -> str:
        return channel_name(name, tuple(self.channels))

    def _meant(self, channel: str, where: dict[str, Any]) -> dict[str, Any]:
        """Return values by column with symbols as the platform writes them."""
        return with_known_symbols(where, self.symbols) if "symbol" in where and has_symbols(channel) else where

    def _labelled(self, frame: pd.DataFrame, channel: str) -> pd.DataFrame:
        frame.attrs = {
            "channel": channel,
            "session": self.name,
            **self._attrs(),
            "as_of": datetime.now(UTC).isoformat(),
        }
        return frame

    def frame(
        self,
        /,
        channel: str,
        *,
        last: int | str | pd.Timedelta | None = None,
        since: Any = None,
        until: Any = None,
        **where: Any,
    ) -> pd.DataFrame:
        """Return the rows of a channel in the order of arrival: a snapshot that is yours to change.

        Parameters
        ----------
        channel
            Such as ``"positions"``; ``market_data`` is accepted for ``market-data``.
        last
            Only the last so many rows, or the last ``"5min"`` (or a Timedelta) before the newest `timestamp`: that is
            not now where the feed is silent, of which ``attrs["stale"]`` and `state` tell.
        since, until
            Only rows between these times, both included; without a zone they are UTC. A number is no time, nor is
            a time of day without its date.
        **where
            Only rows with this value in this column; a list takes any of its values, None is what is missing.
            ``symbol="eur/usd"`` is EURUSD, and ``action="buy"`` BUY: codes are compared without case.

        Returns
        -------
        DataFrame
            Indexed by `timestamp` (the envelope's, ``datetime64[us, UTC]``), then `received_at`, the fields of ``data``
            in snake_case, and `id`. Its `attrs` name the channel, the session, its state and the moment.

        Raises
        ------
        InvalidChannel, UnknownColumn, UnknownSymbol
            For a wrong name; lists the right ones. A pair that has not ticked may still: its frame is empty.
        UnknownOption
            For a value that the column cannot have, such as ``bid="high"``, a time that is none, where `last` is
            neither a number of rows nor a time, and where `since` is later than `until`.

        Examples
        --------
        >>> import fxlive
        >>> session = fxlive.Session.offline()
        >>> session.frame("positions", symbol="EURUSD").empty
        True
        """
        channel = self._channel(channel)
        return self._labelled(self._selected(channel, last, since, until, self._meant(channel, where)), channel)

    def latest(self, /, channel: str, **where: Any) -> pd.DataFrame:
        """Return the newest row of each key of a channel, indexed by the key and sorted by it.

        The newest is that with the latest envelope `timestamp`, of equal ones the last that came: a message that comes
        late does not win.

        The keys are: trades `execution_id`, positions `ticket`, orders `order_id`, market-data `symbol`, alerts
        `alert_id`, analytics (`type`, `period`); system has one row, indexed by `status`. A position that has ended
        is not in it; open positions and working orders stay until they end, also when their last row has left the
        window. Those that have not been heard of since the last gap may have ended meanwhile: their keys are in
        ``attrs["unconfirmed"]``.

        Parameters
        ----------
        channel
            Such as ``"positions"``.
        **where
            Only rows with this value in this column, as for `frame`.

        Returns
        -------
        DataFrame
            Indexed by the key; `timestamp` is a column.

        Examples
        --------
        >>> import fxlive
        >>> fxlive.Session.offline().latest("market-data").index.name
        'symbol'
        """
        channel = self._channel(channel)
        newest = select(self._newest(channel), channel, where=self._meant(channel, where), options=())
        return self._labelled(newest, channel)

    def snapshot(self) -> dict[str, pd.DataFrame]:
        """Return the frames of all channels at one and the same moment, by channel.

        Examples
        --------
        >>> import fxlive
        >>> sorted(fxlive.Session.offline().snapshot())[:2]
        ['alerts', 'analytics']
        """
        return {channel: self._labelled(frame, channel) for channel, frame in self._windows().items()}

    def export(
        self,
        path: str | Path,
        channels: Sequence[str] | None = None,
        *,
        format: Literal["parquet", "csv"] = "parquet",
    ) -> dict[str, Path]:
        """Write each channel's window to a file of its own, all of one moment, replacing what is there.

        Parameters
        ----------
        path
            A folder; it is made where it is missing.
        channels
            Only these; all by default.
        format
            ``"parquet"``, which `fxlive.read_export` gives back as an equal frame and any other Parquet reader takes as
            it is; or ``"csv"``.

        Returns
        -------
        dict
            The file of each channel, ``<path>/<channel>.parquet``.

        Raises
        ------
        CaptureError
            Where a file cannot be written.
        UnknownOption
            For a format that there is not.

        Examples
        --------
        ``fxlive.export("out", ["trades"], format="csv")``
        """
        if format not in _FORMATS:
            raise UnknownOption("format", format, _FORMATS)
        channels = [channels] if isinstance(channels, str) else channels
        wanted = None if channels is None else {self._channel(channel) for channel in channels}
        frames = {name: frame for name, frame in self.snapshot().items() if wanted is None or name in wanted}
        files = files_for(frames, path, format)
        for name, frame in frames.items():
            if format == "csv":
                from fxlive.capture.exporting.archive import write_csv

                write_csv([frame], files[name])
            else:
                write_frame(frame, files[name])
        return files

    def __getitem__(self, channel: str) -> pd.DataFrame:
        return self.frame(channel)

    def __iter__(self) -> Iterator[str]:
        return iter(self.channels)

    def _ipython_key_completions_(self) -> list[str]:
        return self.channels

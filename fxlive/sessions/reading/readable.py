"""Readable: the methods that read and analyse, shared by sessions, replays and captures."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from fxlive.core.arguments import path_of
from fxlive.core.instruments import with_known_symbols
from fxlive.sessions.reading import analysis, market_analysis
from fxlive.sessions.reading.source import Source
from fxlive.tables.selection import select
from fxlive.wire.channels import channel_name, has_symbols

if TYPE_CHECKING:
    from fxlive.core.instruments import Instruments


class Readable:
    """Frames, latest rows, gaps and analyses of a source.

    Parameters
    ----------
    source
        Where the rows come from: a running pipeline, or captures on disk.
    """

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def name(self) -> str:
        """The name of the session."""
        return self._source.name

    @property
    def channels(self) -> list[str]:
        """The channels that can be read: the seven documented ones, and others of which messages came."""
        return self._source.channels

    @property
    def symbols(self) -> list[str]:
        """The symbols of all channels, sorted."""
        return self._source.symbols

    # Rows.

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
        """Return the rows of a channel in the order of arrival, as a snapshot that you may change.

        Parameters
        ----------
        channel
            Such as ``"positions"``; ``market_data`` is accepted for ``market-data``.
        last
            Only the last so many rows, or the rows of the last ``"5min"`` (or a Timedelta) before the channel's newest
            `timestamp`. If the feed is silent, that is not the last five minutes: check ``attrs["stale"]`` and
            `state`.
        since, until
            Only rows between these times, both included; without a zone they are UTC. Numbers and times without a
            date are not accepted.
        **where
            Only rows with this value in this column. A list selects any of its values, None selects missing values.
            ``symbol="eur/usd"`` selects EURUSD; codes are compared without regard to case (``action="buy"``).

        Returns
        -------
        DataFrame
            Indexed by `timestamp` (of the envelope, ``datetime64[us, UTC]``), then `received_at`, the fields of
            ``data`` in snake_case, and `id`. Its `attrs` hold the channel, the session, its state and the time.

        Raises
        ------
        InvalidChannel, UnknownColumn, UnknownSymbol
            If a name is unknown; the message lists the known ones. A currency pair without quotes yet is accepted:
            its frame is empty.
        UnknownOption
            If a value does not fit its column (``bid="high"``), if a time or `last` cannot be understood, or if
            `since` is later than `until`.

        Examples
        --------
        >>> import fxlive
        >>> session = fxlive.Session.offline()
        >>> session.frame("positions", symbol="EURUSD").empty
        True
        """
        channel = self._channel(channel)
        where = self._known_symbols(channel, where)
        rows = self._source.rows(channel, last=last, since=since, until=until, where=where)
        return self._with_attrs(rows, channel)

    def latest(self, /, channel: str, **where: Any) -> pd.DataFrame:
        """Return the newest row of each key of a channel, indexed and sorted by the key.

        The newest row is the one with the latest envelope `timestamp`; of equal ones, the last that arrived. A message
        that arrives late does not replace a newer one.

        The keys are: trades `execution_id`, positions `ticket`, orders `order_id`, market-data `symbol`, alerts
        `alert_id`, analytics (`type`, `period`); system has one row, indexed by `status`. Closed positions are left
        out. Open positions and working orders stay until they end, also when their last row has left the window.
        ``attrs["unconfirmed"]`` lists the keys of those without a message since the last gap: they may have ended
        meanwhile.

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
        where = self._known_symbols(channel, where)
        return self._with_attrs(select(self._source.latest(channel), channel, where=where, options=()), channel)

    def snapshot(self) -> dict[str, pd.DataFrame]:
        """Return the frames of all channels as of one moment, by channel.

        Examples
        --------
        >>> import fxlive
        >>> sorted(fxlive.Session.offline().snapshot())[:2]
        ['alerts', 'analytics']
        """
        return {channel: self._with_attrs(frame, channel) for channel, frame in self._source.snapshot().items()}

    def gaps(self) -> pd.DataFrame:
        """Return the periods in which messages may be missing.

        Returns
        -------
        DataFrame
            `start`, `end` (``datetime64[us, UTC]``; NaT while the gap lasts), `duration_s`, `reason`, `channels` (a
            tuple). Of a capture also `lost_rows` (Int64): how many rows the recorder dropped or the files lack, where
            that is known.
        """
        return self._source.gaps()

    def rejected(self) -> pd.DataFrame:
        """Return the messages that could not be decoded or stored; of a running session the newest 10,000.

        Returns
        -------
        DataFrame
            Indexed by `received_at`: `reason` and `raw`, the first 64 KB of the text.
        """
        return self._source.rejected()

    def sql(self, query: str) -> pd.DataFrame:
        """Return the result of a DuckDB SQL query over the frames of one moment.

        Each channel is a table; ``market_data`` is ``market-data``. It has the columns of the frame, including
        `timestamp`. ``gaps`` and ``rejected`` are the results of the methods of those names. Of a capture, DuckDB
        reads only the files that the query needs, and the column `extra` holds all undocumented fields as JSON.

        Parameters
        ----------
        query
            Such as ``"select symbol, avg(ask - bid) from market_data group by symbol"``.

        Raises
        ------
        CaptureError
            If DuckDB is not installed.
        UnknownOption
            If the text holds no query. Errors of DuckDB are raised as they are, with a note that lists the tables.

        Examples
        --------
        >>> import fxlive
        >>> fxlive.Session.offline().sql("select count(*) as quotes from market_data")["quotes"].tolist()
        [0]
        """
        return self._source.sql(query)

    # Analysis.

    bars = market_analysis.bars
    latency = market_analysis.latency
    correlation = market_analysis.correlation
    spread_profile = market_analysis.spread_profile
    pnl = analysis.pnl
    explain = analysis.explain
    performance = analysis.performance
    execution = analysis.execution
    order_life = analysis.order_life
    exposure = analysis.exposure
    reconcile = analysis.reconcile

    def report(
        self,
        path: str | Path,
        *,
        capital: float | None = None,
        freq: str | pd.Timedelta = "1h",
        instruments: Instruments | None = None,
    ) -> Path:
        """Write all analyses with figures to one HTML page (5 MB) that needs no network and no other file.

        Parameters
        ----------
        path
            The file, such as ``"report.html"``; an existing one is replaced.
        capital, freq
            As in `performance`; without capital the page has no returns.
        instruments
            Pips, contract sizes and account currency. Default: the market's conventions, and USD.

        Returns
        -------
        Path
            The page.

        Raises
        ------
        CaptureError
            If the file cannot be written.
        UnknownOption
            If the file has another extension than HTML's.

        Examples
        --------
        >>> import fxlive, tempfile
        >>> fxlive.Session.offline().report(f"{tempfile.mkdtemp()}/report.html").name
        'report.html'
        """
        from fxlive.figures.report import write_report

        file = path_of(path, "a file such as report.html")
        return write_report(self, file, capital=capital, freq=freq, instruments=instruments)

    # A session as a mapping of its channels.

    def __getitem__(self, channel: str) -> pd.DataFrame:
        return self.frame(channel)

    def __iter__(self) -> Iterator[str]:
        return iter(self.channels)

    def _ipython_key_completions_(self) -> list[str]:
        return self.channels

    # A user's spelling, and what frames carry.

    def _channel(self, name: str) -> str:
        return channel_name(name, tuple(self.channels))

    def _known_symbols(self, channel: str, where: dict[str, Any]) -> dict[str, Any]:
        """Return a selection with symbols spelled as the platform spells them."""
        return with_known_symbols(where, self.symbols) if "symbol" in where and has_symbols(channel) else where

    def _with_attrs(self, frame: pd.DataFrame, channel: str) -> pd.DataFrame:
        frame.attrs = {
            "channel": channel,
            "session": self.name,
            **self._source.attrs(channel, frame),
            "as_of": datetime.now(UTC).isoformat(),
        }
        return frame

"""Stills: the charts of what was recorded, by the names and parameters that the live ones have. Plotly is loaded by
who draws.

Long windows are thinned to the least and greatest values of two thousand stretches, so that a year of quotes is a
figure of some hundred kilobytes, and looks the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd

from fxlive.core.arguments import time_of
from fxlive.core.instruments import known_symbol
from fxlive.errors import CaptureError, FxliveError, UnknownColumn, UnknownOption
from fxlive.figures.labels import MOST_LINES, short, shown_name
from fxlive.figures.thinning import thinned
from fxlive.sessions.reading.readable import Readings

if TYPE_CHECKING:
    from fxlive.figures.market import Still

STRETCHES = 2_000


class Stills(Readings, ABC):
    """The methods that draw what can be read, as still figures."""

    def price_chart(
        self,
        symbol: str,
        kind: Literal["line", "candles"] = "line",
        freq: str | pd.Timedelta = "1s",
        window: str | pd.Timedelta = "15min",
        *,
        tz: str | None = None,
        name: str | None = None,
    ) -> Still:
        """Return a still chart of a symbol's prices, with fills as markers and open positions as lines.

        Parameters
        ----------
        symbol, kind, freq
            As for the live chart.
        window
            How much it shows, back from the newest tick. Of an earlier time: ``capture.at(time).price_chart(...)``.
        tz
            The zone of the time axis, such as ``"Europe/London"``; ``"local"`` for this machine's. Default: UTC.
        name
            Its title. Default: what it shows.

        Returns
        -------
        Figure
            Of plotly. Times in which something may be missing are shaded.

        Raises
        ------
        UnknownSymbol, UnknownOption
            For what cannot be; lists what can.
        """
        from fxlive.analytics.bars import bars
        from fxlive.figures import market
        from fxlive.figures.trading import bars_figure
        from fxlive.widgets.charts.candles import MOST_BARS
        from fxlive.widgets.charts.prices import price_figure

        if kind not in ("line", "candles"):
            raise UnknownOption("kind", kind, ("line", "candles"))
        span = time_of("window", window)
        newest = self.latest("market-data")["timestamp"]
        symbol = known_symbol(symbol, [str(seen) for seen in newest.index])
        since = newest.get(symbol, pd.NaT) - span  # NaT: it has not ticked
        quotes = self.frame("market-data", symbol=symbol, since=None if pd.isna(since) else since)
        quotes = quotes.sort_index(kind="stable")
        if kind == "line":
            made = market.quotes_figure(_zoned(_thinned(quotes, ["bid", "ask"]), tz))
        else:
            length = time_of("freq", freq)
            if span / length > MOST_BARS:
                least = short((span / MOST_BARS).ceil("1s"))
                raise UnknownOption("freq", freq, (f"at least {least} for a window of {short(span)}",))
            made = bars_figure(_zoned(bars(quotes, length), tz))
        made.update_layout(price_figure(symbol).layout)
        trades = self.latest("trades", symbol=symbol).set_index("timestamp").sort_index()
        market.mark_fills(made, _zoned(trades[trades.index >= since], tz))
        market.mark_positions(made, self.latest("positions", symbol=symbol))
        return self._still(made, name, "market-data", quotes.index, tz)

    def pnl_chart(
        self,
        by: Literal["symbol", "strategy_id", "connection_id"] | None = None,
        window: str | pd.Timedelta = "1h",
        *,
        tz: str | None = None,
        name: str | None = None,
    ) -> Still:
        """Return a still chart of profit and loss, in the account's currency, with the drawdown beneath.

        Parameters
        ----------
        by
            As for the live chart.
        window, tz, name
            As for `price_chart`.

        Returns
        -------
        Figure
            Of plotly.

        Raises
        ------
        UnknownOption
            For what cannot be; lists what can.
        """
        from fxlive.figures.trading import pnl_figure

        span = time_of("window", window)
        told = self.pnl(by)
        times = told.index.get_level_values("timestamp")
        seen = times >= times.max() - span
        told, times = told[seen], times[seen]
        if by is None:
            shown = _zoned(_thinned(told, ["total", "realized", "unrealized", "drawdown"]), tz)
        else:
            groups = {str(group): rows.droplevel(0) for group, rows in told.groupby(level=0, observed=True)}
            _check_lines(by, len(groups))
            thin = {shown_name(group): _zoned(_thinned(rows, ["total"]), tz) for group, rows in groups.items()}
            shown = pd.concat(thin, names=[by, "timestamp"]) if thin else told
        made = pnl_figure(shown, "Profit and loss" + (f" by {by}" if by else ""))
        return self._still(made, name, "positions", times, tz)

    def chart(
        self,
        channel: str,
        y: str | Sequence[str],
        by: str | None = None,
        window: str | pd.Timedelta = "15min",
        *,
        tz: str | None = None,
        name: str | None = None,
    ) -> Still:
        """Return a still chart of any numbers of a channel over time.

        Parameters
        ----------
        channel, y, by
            As for the live chart.
        window, tz, name
            As for `price_chart`.

        Returns
        -------
        Figure
            Of plotly.

        Raises
        ------
        InvalidChannel, UnknownColumn, UnknownOption
            For what does not exist; lists what does.
        """
        from fxlive.figures.market import lines_figure

        channel = self._channel(channel)
        names = [y] if isinstance(y, str) else list(y)
        dtypes = self.frame(channel, last=0).dtypes.astype(str)
        numbers = dtypes.index[dtypes == "float64"].tolist()
        groups = dtypes.index[dtypes.isin(["category", "int64"])].tolist()
        for column in names:
            if column not in numbers:
                raise UnknownColumn(column, f"{channel}, as a column of numbers,", numbers)
        if not names:
            raise UnknownOption("y", names, numbers)
        if by is not None and by not in groups:
            raise UnknownOption("by", by, groups)
        rows = self.frame(channel, last=str(time_of("window", window))).sort_index(kind="stable")
        of_groups = {"": rows} if by is None else {str(group): some for group, some in rows.groupby(by, observed=True)}
        _check_lines(by, len(of_groups))
        lines = {
            shown_name(group if group and len(names) == 1 else f"{group} {column}".strip()): some[column]
            for group, thin in of_groups.items()
            for some in [_zoned(_thinned(thin, names), tz)]
            for column in names
        }
        title = shown_name(f"{channel}: {', '.join(names)}" + (f" by {by}" if by else ""))
        return self._still(lines_figure(lines, title), name, channel, rows.index, tz)

    def metrics_chart(
        self,
        period: str | None = None,
        window: str | pd.Timedelta = "1h",
        *,
        currency: str | None = None,
        name: str | None = None,
    ) -> Still:
        """Return still lines for each number of `analytics`, of each type and period.

        Parameters
        ----------
        period
            Only this one, such as ``"DAY"``; default: all.
        window
            How far back the lines go from the newest message.
        currency
            Of the account, in which profit and drawdown are; default: USD.
        name
            Its title. Default: what it shows.

        Returns
        -------
        Figure
            Of plotly.

        Raises
        ------
        UnknownOption
            For a period that has not come and is none, or a window that is no time; lists what can be.
        """
        from fxlive.figures.market import metrics_figure
        from fxlive.widgets.tiles import known_period

        rows = self.frame("analytics", last=str(time_of("window", window))).sort_index(kind="stable")
        if period is not None:
            wanted = known_period(period, [str(seen) for seen in rows["period"].cat.categories])
            rows = rows[rows["period"].astype("str").str.upper() == wanted]
        metrics = [str(name) for name, column in rows.items() if column.dtype == "float64" and column.notna().any()]
        lines = {
            (shown_name(metric.removeprefix("metrics_")), shown_name(" ".join(map(str, key)))): _thinned(
                some, [metric]
            )[metric]
            for key, some in rows.groupby(["type", "period"], observed=True)
            for metric in metrics
        }
        made = metrics_figure(lines, f"Metrics ({currency or 'USD'})")
        return self._still(made, name, "analytics", rows.index[:0], None)

    def grid(
        self,
        /,
        channel: str,
        *,
        columns: Sequence[str] | None = None,
        sort: str | None = None,
        max_rows: int = 5_000,
        name: str | None = None,
        **where: Any,
    ) -> pd.DataFrame:
        """Return what the live grid would show, as a frame: the newest row of each key, sorted.

        Parameters
        ----------
        channel, columns, sort, max_rows, **where
            As for the live grid.
        name
            Without a meaning here.

        Raises
        ------
        InvalidChannel, UnknownColumn
            For what cannot be; lists what can.
        """
        rows = self.latest(channel, **where)
        known = [*rows.index.names, *rows.columns]
        for column in [*(columns or []), *([] if sort is None else [sort.removeprefix("-")])]:
            if column not in known:
                raise UnknownColumn(column, channel, known)
        if sort is not None:
            rows = rows.sort_values(sort.removeprefix("-"), ascending=not sort.startswith("-"), kind="stable")
        shown = [column for column in columns if column in rows.columns] if columns is not None else rows.columns
        return rows[list(shown)].head(max_rows)

    def alerts_feed(self, *, name: str | None = None) -> pd.DataFrame:
        """Return the platform's alerts as a frame, the newest first."""
        return self.latest("alerts").sort_values("timestamp", ascending=False, kind="stable")

    def status_bar(self, *, name: str | None = None) -> NoReturn:
        """Raise CaptureError: what stands still has no status but what the capture shows itself."""
        raise _needs_a_replay("status bar")

    def dashboard(self, symbol: str | None = None, *, tz: str | None = None, name: str | None = None) -> NoReturn:
        """Raise CaptureError: a dashboard moves, as that of a replay does."""
        raise _needs_a_replay("dashboard")

    @abstractmethod
    def gaps(self) -> pd.DataFrame:
        """Return the times in which messages may be missing."""

    def _still(self, made: Any, title: str | None, channel: str, times: pd.Index[Any], tz: str | None) -> Still:
        """Return the figure with its title, and with the gaps of the channel shaded among these times."""
        from fxlive.figures.market import Still, mark_gaps

        if title is not None:
            made.update_layout(title={"text": shown_name(title)})
        if len(times):
            gaps = self.gaps()
            gaps = gaps[np.array([not channels or channel in channels for channels in gaps["channels"]], bool)]
            starts = gaps["start"].clip(lower=times.min())
            ends = gaps["end"].fillna(times.max()).clip(upper=times.max())
            seen = (starts < ends).to_numpy()
            zoned = [_zoned(pd.DataFrame(index=pd.DatetimeIndex(side[seen])), tz).index for side in (starts, ends)]
            mark_gaps(made, zip(*zoned, strict=True))
        return Still(made)


def _needs_a_replay(what: str) -> CaptureError:
    return CaptureError(
        f"A capture stands still and has no {what}: write fxlive.replay(path).dashboard(), "
        "or show the capture itself as a cell's last line."
    )


def _check_lines(by: str | None, count: int) -> None:
    if count > MOST_LINES:
        raise FxliveError(f"{by} has more than {MOST_LINES} values. Take a column with fewer, or a frame.")


def _thinned(rows: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return the rows that a screen can show of lines over time."""
    if len(rows) <= 4 * STRETCHES:
        return rows
    x = pd.DatetimeIndex(rows.index).asi8.astype(np.float64)
    ys = tuple(rows[name].to_numpy(np.float64) for name in names)
    return rows.iloc[thinned(x, ys, (x[-1] - x[0]) / STRETCHES or 1.0)]


def _zoned(rows: pd.DataFrame, tz: str | None) -> pd.DataFrame:
    """Return rows with their times in a zone.

    Raises
    ------
    UnknownOption
        Where there is no such zone.
    """
    if tz is None:
        return rows
    try:
        zone = datetime.now().astimezone().tzinfo if tz == "local" else ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise UnknownOption("tz", tz, ("local", "UTC", "Europe/London")) from error
    return rows.set_axis(pd.DatetimeIndex(rows.index).tz_convert(zone))

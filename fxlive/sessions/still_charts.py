"""Still charts of a capture, with the names and parameters of the live charts.

The functions become methods of `Capture`. Long windows are downsampled to the minimum and maximum of 2,000 time bins
(figures/downsampling.py): the figure of a year of quotes has some hundred kilobytes and looks the same. plotly is
imported on first use.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd

from fxlive.core.arguments import time_of
from fxlive.core.instruments import known_symbol
from fxlive.errors import CaptureError, FxliveError, UnknownColumn, UnknownOption
from fxlive.figures.downsampling import downsample
from fxlive.figures.labels import MAX_LINES, plotly_label, short_duration
from fxlive.sessions.reading.readable import Readable
from fxlive.wire.channels import channel_name

if TYPE_CHECKING:
    from fxlive.figures.market import StillFigure

TIME_BINS = 2_000
_FIRST, _LAST = pd.Timestamp("0001-01-02", tz="UTC").as_unit("us"), pd.Timestamp("9999-12-30", tz="UTC").as_unit("us")


def price_chart(
    self: Readable,
    symbol: str,
    kind: Literal["line", "candles"] = "line",
    freq: str | pd.Timedelta = "1s",
    window: str | pd.Timedelta = "15min",
    *,
    tz: str | None = None,
    name: str | None = None,
) -> StillFigure:
    """Return a still chart of a symbol's prices, with fills as markers and open positions as lines.

    Parameters
    ----------
    symbol, kind, freq
        As for the live chart.
    window
        The time span shown, back from the newest quote. For an earlier time: ``capture.at(time).price_chart(...)``.
    tz
        The zone of the time axis, such as ``"Europe/London"``; ``"local"`` for this machine's. Default: UTC.
    name
        The title. Default: derived from what it shows.

    Returns
    -------
    Figure
        A plotly figure. Gaps are shaded.

    Raises
    ------
    UnknownSymbol
        If `symbol` is not a known symbol or currency pair; the message suggests one.
    UnknownOption
        If the value of an option is not valid; the message lists the valid values.
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
    symbol = known_symbol(symbol, [str(quoted) for quoted in newest.index])
    until = newest.get(symbol, pd.NaT)  # NaT without quotes
    since = until - span
    bounds = {} if pd.isna(until) else {"since": since, "until": until}  # without outliers
    quotes = self.frame("market-data", symbol=symbol, **bounds)
    quotes = quotes.sort_index(kind="stable")
    if kind == "line":
        figure = market.quotes_figure(_in_zone(_downsampled(quotes, ["bid", "ask"]), tz))
    else:
        length = time_of("freq", freq)
        if span / length > MOST_BARS:
            least = short_duration((span / MOST_BARS).ceil("1s"))
            raise UnknownOption("freq", freq, (f"at least {least} for a window of {short_duration(span)}",))
        figure = bars_figure(_in_zone(bars(quotes, length), tz))
    figure.update_layout(price_figure(symbol).layout)
    trades = self.latest("trades", symbol=symbol).set_index("timestamp").sort_index()
    market.mark_fills(figure, _in_zone(trades[trades.index >= since], tz))
    market.mark_positions(figure, self.latest("positions", symbol=symbol))
    return _finished(self, figure, name, "market-data", quotes.index, tz)


def pnl_chart(
    self: Readable,
    by: Literal["symbol", "strategy_id", "connection_id"] | None = None,
    window: str | pd.Timedelta = "1h",
    *,
    tz: str | None = None,
    name: str | None = None,
) -> StillFigure:
    """Return a still chart of profit and loss in the account currency, with the drawdown below.

    Parameters
    ----------
    by
        As for the live chart.
    window, tz, name
        As for `price_chart`.

    Returns
    -------
    Figure
        A plotly figure.

    Raises
    ------
    UnknownOption
        If the value of an option is not valid; the message lists the valid values.
    """
    from fxlive.figures.trading import pnl_figure

    span = time_of("window", window)
    pnl = self.pnl(by)
    times = pnl.index.get_level_values("timestamp")
    in_window = times >= times.max() - span
    pnl, times = pnl[in_window], times[in_window]
    if by is None:
        shown = _in_zone(_downsampled(pnl, ["total", "realized", "unrealized", "drawdown"]), tz)
    else:
        groups = {str(group): rows.droplevel(0) for group, rows in pnl.groupby(level=0, observed=True)}
        _check_line_count(by, len(groups))
        lines = {group: _in_zone(_downsampled(rows, ["total"]), tz) for group, rows in groups.items()}
        shown = pd.concat(lines, names=[by, "timestamp"]) if lines else pnl
    figure = pnl_figure(shown, "Profit and loss" + (f" by {by}" if by else ""))
    return _finished(self, figure, name, "positions", times, tz)


def chart(
    self: Readable,
    channel: str,
    y: str | Sequence[str],
    by: str | None = None,
    window: str | pd.Timedelta = "15min",
    *,
    tz: str | None = None,
    name: str | None = None,
) -> StillFigure:
    """Return a still chart of numeric columns of a channel over time.

    Parameters
    ----------
    channel, y, by
        As for the live chart.
    window, tz, name
        As for `price_chart`.

    Returns
    -------
    Figure
        A plotly figure.

    Raises
    ------
    InvalidChannel, UnknownColumn, UnknownOption
        If a name or value is not valid; the message lists the valid ones.
    """
    from fxlive.figures.market import lines_figure

    channel = channel_name(channel, tuple(self.channels))
    names = [y] if isinstance(y, str) else list(y)
    dtypes = self.frame(channel, last=0).dtypes.astype(str)
    numeric = dtypes.index[dtypes == "float64"].tolist()
    groupable = dtypes.index[dtypes.isin(["category", "int64"])].tolist()
    for column in names:
        if column not in numeric:
            raise UnknownColumn(column, f"{channel} (numeric columns)", numeric)
    if not names:
        raise UnknownOption("y", names, numeric)
    if by is not None and by not in groupable:
        raise UnknownOption("by", by, groupable)
    rows = self.frame(channel, last=str(time_of("window", window))).sort_index(kind="stable")
    groups = {"": rows} if by is None else {str(group): of_group for group, of_group in rows.groupby(by, observed=True)}
    _check_line_count(by, len(groups))
    lines = {}
    for group, of_group in groups.items():
        drawn = _in_zone(_downsampled(of_group, names), tz)
        for column in names:
            label = group if group and len(names) == 1 else f"{group} {column}".strip()
            lines[label] = drawn[column]
    title = f"{channel}: {', '.join(names)}" + (f" by {by}" if by else "")
    return _finished(self, lines_figure(lines, title), name, channel, rows.index, tz)


def metrics_chart(
    self: Readable,
    period: str | None = None,
    window: str | pd.Timedelta = "1h",
    *,
    currency: str | None = None,
    name: str | None = None,
) -> StillFigure:
    """Return still lines of each metric of `analytics`, by type and period.

    Parameters
    ----------
    period
        Only this period, such as ``"DAY"``. Default: all.
    window
        The time span of the lines, back from the newest message.
    currency
        The account currency, in which profit and drawdown are shown. Default: USD.
    name
        The title. Default: derived from what it shows.

    Returns
    -------
    Figure
        A plotly figure.

    Raises
    ------
    UnknownOption
        If `period` is neither a period of the document nor one that came, or if `window` is not a time span.
    """
    from fxlive.figures.market import metrics_figure
    from fxlive.widgets.tiles import known_period

    rows = self.frame("analytics", last=str(time_of("window", window))).sort_index(kind="stable")
    if period is not None:
        known = known_period(period, [str(category) for category in rows["period"].cat.categories])
        rows = rows[rows["period"].astype("str").str.upper() == known]
    metrics = [str(name) for name, column in rows.items() if column.dtype == "float64" and column.notna().any()]
    lines = {
        (metric.removeprefix("metrics_"), " ".join(map(str, key))): _downsampled(of_period, [metric])[metric]
        for key, of_period in rows.groupby(["type", "period"], observed=True)
        for metric in metrics
    }
    figure = metrics_figure(lines, f"Metrics ({currency or 'USD'})")
    return _finished(self, figure, name, "analytics", rows.index[:0], None)


def grid(
    self: Readable,
    /,
    channel: str,
    *,
    columns: Sequence[str] | None = None,
    sort: str | None = None,
    max_rows: int = 5_000,
    name: str | None = None,
    **where: Any,
) -> pd.DataFrame:
    """Return the rows of the live grid as a DataFrame: the newest row of each key, sorted.

    Parameters
    ----------
    channel, columns, sort, max_rows, **where
        As for the live grid.
    name
        Ignored; accepted so that the same cell runs live and on a capture.

    Raises
    ------
    InvalidChannel, UnknownColumn
        If a name is unknown; the message lists the known ones.
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


def alerts_feed(self: Readable, *, name: str | None = None) -> pd.DataFrame:
    """Return the platform's alerts as a DataFrame, the newest first."""
    return self.latest("alerts").sort_values("timestamp", ascending=False, kind="stable")


def status_bar(self: Readable, *, name: str | None = None) -> NoReturn:
    """Raise CaptureError: only a session or a replay has a status bar."""
    raise _needs_replay("status bar")


def dashboard(self: Readable, symbol: str | None = None, *, tz: str | None = None, name: str | None = None) -> NoReturn:
    """Raise CaptureError: only a session or a replay has a dashboard."""
    raise _needs_replay("dashboard")


def _finished(
    capture: Readable, figure: Any, title: str | None, channel: str, times: pd.Index[Any], tz: str | None
) -> StillFigure:
    """Return a figure with its title, and with the gaps of the channel between the given times shaded."""
    from fxlive.figures.market import StillFigure, mark_gaps

    if title is not None:
        figure.update_layout(title={"text": plotly_label(title)})
    if len(times):
        gaps = capture.gaps()
        gaps = gaps[np.array([not channels or channel in channels for channels in gaps["channels"]], bool)]
        starts = gaps["start"].clip(lower=times.min())
        ends = gaps["end"].fillna(times.max()).clip(upper=times.max())
        visible = (starts < ends).to_numpy()
        zoned = [_in_zone(pd.DataFrame(index=pd.DatetimeIndex(side[visible])), tz).index for side in (starts, ends)]
        mark_gaps(figure, zip(*zoned, strict=True))
    return StillFigure(figure)


def _needs_replay(widget: str) -> CaptureError:
    return CaptureError(
        f"A capture has no {widget}, because it does not change. Use fxlive.replay(path).{widget.replace(' ', '_')}(), "
        "or show the capture itself as the last line of a cell."
    )


def _check_line_count(by: str | None, count: int) -> None:
    if count > MAX_LINES:
        raise FxliveError(f"{by} has {count:,} values; a chart shows at most {MAX_LINES} lines. Use another column.")


def _downsampled(rows: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return the rows that a screen can show of lines over time."""
    if len(rows) <= 4 * TIME_BINS:
        return rows
    x = pd.DatetimeIndex(rows.index).asi8.astype(np.float64)
    ys = tuple(rows[column].to_numpy(np.float64) for column in columns)
    return rows.iloc[downsample(x, ys, (x[-1] - x[0]) / TIME_BINS or 1.0)]


def _in_zone(rows: pd.DataFrame, tz: str | None) -> pd.DataFrame:
    """Return rows with their times in a zone; raise UnknownOption if the zone is unknown."""
    if tz is None:
        return rows
    try:
        zone = datetime.now().astimezone().tzinfo if tz == "local" else ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise UnknownOption("tz", tz, ("local", "UTC", 'a zone such as "Europe/London"')) from error
    times = pd.DatetimeIndex(rows.index)
    times = times.where(times >= _FIRST, _FIRST).where(times <= _LAST, _LAST)  # in any zone in the years 1 to 9999
    return rows.set_axis(times.tz_convert(zone))

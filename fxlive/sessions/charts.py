"""Live charts, tables and tiles of a running session. Each function becomes a method of `Session`.

plotly and ipywidgets are imported on first use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from fxlive.core.instruments import with_known_symbols
from fxlive.sessions.running import Running, opened_pipeline
from fxlive.wire.channels import channel_name, has_symbols

if TYPE_CHECKING:
    from fxlive.widgets.charts.chart import LiveChart
    from fxlive.widgets.dashboard import Dashboard
    from fxlive.widgets.status import StatusBar
    from fxlive.widgets.tables.alerts import AlertsFeed
    from fxlive.widgets.tables.grid import Grid
    from fxlive.widgets.tiles import MetricTiles


def price_chart(
    self: Running,
    symbol: str,
    kind: Literal["line", "candles"] = "line",
    freq: str | pd.Timedelta = "1s",
    window: str | pd.Timedelta = "15min",
    *,
    tz: str | None = None,
    name: str | None = None,
) -> LiveChart:
    """Return a live chart of a symbol's prices, which moves while your cells run.

    Fills are markers; open positions are lines with their stop loss and take profit.

    Parameters
    ----------
    symbol
        Such as ``"EURUSD"`` or ``"eur/usd"``. The chart of a currency pair without quotes waits for the first one.
    kind
        ``"line"`` for bid and ask with the spread between them, ``"candles"`` for bars of the mid price.
    freq
        The length of a bar, such as ``"1s"`` or ``"5min"``.
    window
        The time span shown, back from the newest quote.
    tz
        The zone of the time axis, such as ``"Europe/London"``; ``"local"`` for the browser's. Default: UTC. It can be
        changed later: ``chart.tz = "Asia/Tokyo"``.
    name
        The name of the chart; a chart of the same name is replaced. Default: derived from what it shows.

    Returns
    -------
    LiveChart
        Its `figure` is an ordinary plotly figure that you can style.

    Raises
    ------
    UnknownSymbol
        If `symbol` is not a known symbol or currency pair; the message suggests one.
    UnknownOption
        If the value of an option is not valid; the message lists the valid values.
    NoSession
        If the session was never opened.

    Examples
    --------
    >>> import fxlive
    >>> fxlive.Session.offline().price_chart("EURUSD", window="5min").name
    'offline: EURUSD line 5min'
    """
    from fxlive.widgets.charts.prices import price_chart

    return price_chart(opened_pipeline(self), self.name, symbol, kind, freq, window, tz=tz, name=name)


def pnl_chart(
    self: Running,
    by: Literal["symbol", "strategy_id", "connection_id"] | None = None,
    window: str | pd.Timedelta = "1h",
    *,
    tz: str | None = None,
    name: str | None = None,
) -> LiveChart:
    """Return a live chart of profit and loss in the account currency, with the drawdown below.

    Parameters
    ----------
    by
        None for total, unrealized and realized (net of commission and swap). Otherwise the total of each symbol,
        strategy or connection, beside the total of the account.
    window, tz, name
        As for `price_chart`.

    Returns
    -------
    LiveChart
        Its `figure` is an ordinary plotly figure that you can style. P&L realized before the session began is included
        only as far as the platform reported it; the subtitle states since when it is known.

    Raises
    ------
    UnknownOption
        If the value of an option is not valid; the message lists the valid values.
    NoSession
        If the session was never opened.

    Examples
    --------
    >>> import fxlive
    >>> [trace.name for trace in fxlive.Session.offline().pnl_chart().figure.data]
    ['Total', 'Unrealized', 'Realized', 'Drawdown']
    """
    from fxlive.widgets.charts.pnl import pnl_chart

    return pnl_chart(opened_pipeline(self), self.name, by, window, tz=tz, name=name)


def chart(
    self: Running,
    channel: str,
    y: str | Sequence[str],
    by: str | None = None,
    window: str | pd.Timedelta = "15min",
    *,
    tz: str | None = None,
    name: str | None = None,
) -> LiveChart:
    """Return a live chart of numeric columns of a channel over time.

    Parameters
    ----------
    channel
        Such as ``"market-data"``.
    y
        Numeric columns, such as ``["spread", "volume"]``.
    by
        A column with few values, such as ``"symbol"``: each value gets its own lines, including values that appear
        later. Every row is a point, so choose the column that identifies a row: ``"ticket"`` for positions.
    window, tz, name
        As for `price_chart`.

    Returns
    -------
    LiveChart
        Its `figure` is an ordinary plotly figure that you can style.

    Raises
    ------
    InvalidChannel, UnknownColumn, UnknownOption
        If a name or value is not valid; the message lists the valid ones.
    NoSession
        If the session was never opened.

    Examples
    --------
    >>> import fxlive
    >>> fxlive.Session.offline().chart("market-data", ["spread"], by="symbol").figure.layout.title.text
    'market-data: spread by symbol'
    """
    from fxlive.widgets.charts.series import series_chart

    pipeline = opened_pipeline(self)
    channel = channel_name(channel, tuple(pipeline.store.tables))
    return series_chart(pipeline, self.name, channel, y, by, window, tz=tz, name=name)


def metrics_chart(
    self: Running,
    period: str | None = None,
    window: str | pd.Timedelta = "1h",
    *,
    currency: str | None = None,
    name: str | None = None,
) -> MetricTiles:
    """Return a live tile for each metric of `analytics`, and a chip for each component of `system`.

    A tile shows the newest value, its change since the previous one, and a line of the recent past. Metrics that the
    platform's document does not name have tiles, too.

    Parameters
    ----------
    period
        Only this period, such as ``"DAY"``. Default: all; each type and period has its own tiles.
    window
        The time span of the lines, back from a period's newest message.
    currency
        The account currency, in which profit and drawdown are shown. Default: USD.
    name
        The name of the widget; one of the same name is replaced. Default: derived from what it shows.

    Returns
    -------
    MetricTiles
        The widget.

    Raises
    ------
    UnknownOption
        If `period` is neither a period of the document nor one that came, or if `window` is not a time span.
    NoSession
        If the session was never opened.

    Examples
    --------
    >>> import fxlive
    >>> fxlive.Session.offline().metrics_chart("day").name
    'offline: metrics DAY 0 days 01:00:00'
    """
    from fxlive.widgets.tiles import metrics_chart

    return metrics_chart(opened_pipeline(self), self.name, period, window, currency=currency, name=name)


def status_bar(self: Running, *, name: str | None = None) -> StatusBar:
    """Return a live bar with the session's state, rates, latency, gaps and losses, and buttons.

    The buttons work while a cell runs. They pause the drawing of all widgets (data keeps arriving; in a replay they
    pause the replay), record, export, reconnect and close.

    Parameters
    ----------
    name
        The name of the widget; one of the same name is replaced. Default: ``"status"``.

    Returns
    -------
    StatusBar
        The widget.

    Raises
    ------
    NoSession
        If the session was never opened.

    Examples
    --------
    >>> import fxlive
    >>> fxlive.Session.offline().status_bar().name
    'offline: status'
    """
    from fxlive.widgets.status import status_bar

    return status_bar(opened_pipeline(self), self.name, self._controls(), name=name)


def grid(
    self: Running,
    /,
    channel: str,
    *,
    columns: Sequence[str] | None = None,
    sort: str | None = None,
    height: int = 12,
    max_rows: int = 5_000,
    name: str | None = None,
    **where: Any,
) -> Grid:
    """Return `latest` of a channel as a live table, which changes while your cells run.

    Click a header to sort, click again to reverse. Rows change places at most once a second, and not while the pointer
    is over them. The filter takes words that must all match: text in any column, ``symbol:eur``, ``profit>0``. Select
    rows with the mouse or the arrow keys, with shift and ctrl for several. Ctrl+C copies the selected rows (all
    filtered rows if none is selected) for a spreadsheet, with unformatted numbers. Times are UTC.

    Parameters
    ----------
    channel
        Such as ``"positions"``; ``market_data`` is accepted for ``market-data``. An undocumented channel has no key,
        so each of its rows is shown.
    columns
        The columns to show, in order. Default: all but `id`, `received_at` and `data_timestamp`, including columns
        that appear later.
    sort
        The initial sort column, ``"-profit"`` for descending. Default: the key; for trades, orders and alerts the
        newest first.
    height
        In rows.
    max_rows
        The maximum number of rows: the newest. With `where`, they are taken from the newest ten times as many.
    name
        The name of the widget; one of the same name is replaced. Default: derived from what it shows.
    **where
        Only rows with this value in this column; a list selects any of its values.

    Returns
    -------
    Grid
        The widget. Closed positions disappear from it; rows that no message has confirmed since the last gap are grey
        and italic.

    Raises
    ------
    InvalidChannel, UnknownColumn, UnknownSymbol, UnknownOption
        If a name or value is not valid; the message lists the valid ones.
    NoSession
        If the session was never opened.

    Examples
    --------
    >>> import fxlive
    >>> fxlive.Session.offline().grid("positions", columns=["ticket", "profit"], symbol="EURUSD").name
    "offline: grid positions symbol='EURUSD'"
    """
    from fxlive.widgets.tables.grid import grid

    store = self._pipeline.store
    if "symbol" in where and has_symbols(channel_name(channel, tuple(store.tables))):
        where = with_known_symbols(where, sorted(store.symbols))
    return grid(
        opened_pipeline(self),
        self.name,
        channel,
        columns=columns,
        sort=sort,
        height=height,
        max_rows=max_rows,
        name=name,
        where=where,
    )


def alerts_feed(self: Running, *, name: str | None = None) -> AlertsFeed:
    """Return the platform's alerts as a live list, the newest first, at most 500.

    It can be filtered by severity and by text. Acknowledged alerts are dimmed. The platform has no message for an
    acknowledgement, so it is known in this kernel only: the widget keeps it for all its views and across a reload of
    the page. An alert that comes again with another severity counts as new.

    Parameters
    ----------
    name
        The name of the widget; one of the same name is replaced.

    Returns
    -------
    AlertsFeed
        With `acknowledged`, the ids of acknowledged alerts, and `acknowledge(*alert_ids)`.

    Raises
    ------
    NoSession
        If the session was never opened.

    Examples
    --------
    >>> import fxlive
    >>> fxlive.Session.offline().alerts_feed().acknowledged
    frozenset()
    """
    from fxlive.widgets.tables.alerts import alerts_feed

    return alerts_feed(opened_pipeline(self), self.name, name=name)


def dashboard(self: Running, symbol: str | None = None, *, tz: str | None = None, name: str | None = None) -> Dashboard:
    """Return one widget with status, prices, P&L, metrics, alerts, and tables of positions, orders, trades and quotes.

    Symbol, bars and window are chosen in the widget. It adapts to the width it is given.

    Parameters
    ----------
    symbol
        The symbol of the price chart at first. Default: EURUSD, or the first quoted symbol if EURUSD has no quotes.
    tz, name
        As for `price_chart`.

    Returns
    -------
    Dashboard
        Its `parts` and `tabs` are the widgets, by place and by title.

    Raises
    ------
    NoSession
        If the session was never opened.

    Examples
    --------
    >>> import fxlive
    >>> list(fxlive.Session.offline().dashboard().tabs)
    ['Positions', 'Orders', 'Trades', 'Quotes']
    """
    from fxlive.widgets.dashboard import dashboard

    return dashboard(opened_pipeline(self), self.name, self._controls(), symbol, tz=tz, name=name)

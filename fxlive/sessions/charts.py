"""Pictures: the live charts of a running session. Plotly and ipywidgets are loaded by who draws."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from fxlive.core.instruments import with_known_symbols
from fxlive.pipeline.pipeline import Pipeline
from fxlive.wire.channels import has_symbols

if TYPE_CHECKING:
    from fxlive.widgets.charts.chart import LiveChart
    from fxlive.widgets.dashboard import Dashboard
    from fxlive.widgets.status import Controls, StatusBar
    from fxlive.widgets.tables.alerts import AlertsFeed
    from fxlive.widgets.tables.grid import Grid
    from fxlive.widgets.tiles import MetricTiles


class Pictures:
    """The methods that draw what a pipeline brings."""

    name: str
    _pipeline: Pipeline

    @abstractmethod
    def _channel(self, name: str) -> str:
        """Return the wire's name of a channel, or raise InvalidChannel."""

    @abstractmethod
    def _controls(self) -> Controls:
        """Return what the buttons of a status bar do."""

    def _opened(self) -> Pipeline:
        """Return the pipeline, or raise NoSession where it was never opened."""
        self._pipeline.check_opened()
        return self._pipeline

    def price_chart(
        self,
        symbol: str,
        kind: Literal["line", "candles"] = "line",
        freq: str | pd.Timedelta = "1s",
        window: str | pd.Timedelta = "15min",
        *,
        tz: str | None = None,
        name: str | None = None,
    ) -> LiveChart:
        """Return a live chart of a symbol's prices, which moves while your cells run.

        Fills are markers, and open positions lines with their stop loss and take profit.

        Parameters
        ----------
        symbol
            Such as ``"EURUSD"``, or ``"eur/usd"``. One that has not ticked yet gives a chart that waits.
        kind
            ``"line"`` for bid and ask with the spread between them, ``"candles"`` for bars of the mid.
        freq
            How long a bar is, such as ``"1s"`` or ``"5min"``.
        window
            How much it shows, back from the newest tick.
        tz
            The zone of the time axis, such as ``"Europe/London"``; ``"local"`` for the browser's. Default: UTC. May be
            changed later: ``chart.tz = "Asia/Tokyo"``.
        name
            What to call it: a chart of the same name takes the place of the former. Default: what it shows.

        Returns
        -------
        LiveChart
            Its `figure` is an ordinary plotly figure to style.

        Raises
        ------
        UnknownSymbol, UnknownOption
            For what cannot be; lists what can.

        Examples
        --------
        >>> import fxlive
        >>> fxlive.Session.offline().price_chart("EURUSD", window="5min").name
        'offline: EURUSD line 5min'
        """
        from fxlive.widgets.charts.prices import price_chart

        return price_chart(self._opened(), self.name, symbol, kind, freq, window, tz=tz, name=name)

    def pnl_chart(
        self,
        by: Literal["symbol", "strategy_id", "connection_id"] | None = None,
        window: str | pd.Timedelta = "1h",
        *,
        tz: str | None = None,
        name: str | None = None,
    ) -> LiveChart:
        """Return a live chart of profit and loss, in the account's currency, with the drawdown beneath.

        Parameters
        ----------
        by
            None: total, unrealized and realized (net of commission and swap). Otherwise the total of each symbol,
            strategy or connection beside that of all.
        window, tz, name
            As for `price_chart`.

        Returns
        -------
        LiveChart
            Its `figure` is an ordinary plotly figure to style. What was realized before the session began is in only as
            far as the platform told it; the subtitle says since when it is known.

        Raises
        ------
        UnknownOption
            For what cannot be; lists what can.

        Examples
        --------
        >>> import fxlive
        >>> [trace.name for trace in fxlive.Session.offline().pnl_chart().figure.data]
        ['Total', 'Unrealized', 'Realized', 'Drawdown']
        """
        from fxlive.widgets.charts.pnl import pnl_chart

        return pnl_chart(self._opened(), self.name, by, window, tz=tz, name=name)

    def chart(
        self,
        channel: str,
        y: str | Sequence[str],
        by: str | None = None,
        window: str | pd.Timedelta = "15min",
        *,
        tz: str | None = None,
        name: str | None = None,
    ) -> LiveChart:
        """Return a live chart of any numbers of a channel over time.

        Parameters
        ----------
        channel
            Such as ``"market-data"``.
        y
            Columns of numbers, such as ``["spread", "volume"]``.
        by
            A column with few values, such as ``"symbol"``: each has lines of its own, also those that come later. Every
            row is a point, so it is what the rows are of: ``"ticket"`` of positions.
        window, tz, name
            As for `price_chart`.

        Returns
        -------
        LiveChart
            Its `figure` is an ordinary plotly figure to style.

        Raises
        ------
        InvalidChannel, UnknownColumn, UnknownOption
            For what does not exist; lists what does.

        Examples
        --------
        >>> import fxlive
        >>> fxlive.Session.offline().chart("market-data", ["spread"], by="symbol").figure.layout.title.text
        'market-data: spread by symbol'
        """
        from fxlive.widgets.charts.series import series_chart

        return series_chart(self._opened(), self.name, self._channel(channel), y, by, window, tz=tz, name=name)

    def metrics_chart(
        self,
        period: str | None = None,
        window: str | pd.Timedelta = "1h",
        *,
        currency: str | None = None,
        name: str | None = None,
    ) -> MetricTiles:
        """Return a live tile for each number of `analytics`, and a chip for each component of `system`.

        A tile has the newest value, by how much it differs from the one before, and a line of the recent past. Numbers
        that the platform's document does not name have tiles too.

        Parameters
        ----------
        period
            Only this one, such as ``"DAY"``; default: all, each type and period with tiles of its own.
        window
            How far back the lines go from a period's newest message.
        currency
            Of the account, in which profit and drawdown are; default: USD.
        name
            What to call it: a widget of the same name takes the place of the former. Default: what it shows.

        Returns
        -------
        MetricTiles
            To be shown.

        Raises
        ------
        UnknownOption
            For a period that has not come and is none, or a window that is no time; lists what can be.

        Examples
        --------
        >>> import fxlive
        >>> fxlive.Session.offline().metrics_chart("day").name
        'offline: metrics DAY 0 days 01:00:00'
        """
        from fxlive.widgets.tiles import metrics_chart

        return metrics_chart(self._opened(), self.name, period, window, currency=currency, name=name)

    def status_bar(self, *, name: str | None = None) -> StatusBar:
        """Return a live bar with the session's state, rates, latency, gaps and losses, and buttons that also work
        while a cell runs.

        The buttons pause the drawing of all widgets (data keeps coming; of a replay they pause the replay), record,
        export, reconnect and close.

        Parameters
        ----------
        name
            What to call it: a widget of the same name takes the place of the former. Default: ``"status"``.

        Returns
        -------
        StatusBar
            To be shown.

        Examples
        --------
        >>> import fxlive
        >>> fxlive.Session.offline().status_bar().name
        'offline: status'
        """
        from fxlive.widgets.status import status_bar

        return status_bar(self._opened(), self.name, self._controls(), name=name)

    def grid(
        self,
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
        """Return `latest` of a channel as a live table: it follows the market while your cells run.

        Click on a header to sort, and again for the other way; rows change places once a second at most, and not while
        the pointer is over them. The filter takes words that must all hold: text in any column, ``symbol:eur``,
        ``profit>0``. Select rows with the mouse or the arrow keys, with shift and ctrl for several; Ctrl+C copies them
        (all that pass the filter, where none is selected) for a spreadsheet, with numbers as they came. Times are UTC.

        Parameters
        ----------
        channel
            Such as ``"positions"``; ``market_data`` is accepted for ``market-data``. Of a channel that the platform's
            document does not name, every row is one of its own.
        columns
            The columns to show, in order. Default: all but `id`, `received_at` and `data_timestamp`, also such as come
            later.
        sort
            The column to sort by at first, ``"-profit"`` for the greatest first. Default: the key; of trades, orders
            and alerts the newest first.
        height
            In rows.
        max_rows
            Show the newest so many rows; of those that `where` chooses, such as are among the newest ten times as many.
        name
            What to call it: a widget of the same name takes the place of the former. Default: what it shows.
        **where
            Only rows with this value in this column; a list takes any of its values.

        Returns
        -------
        Grid
            The widget. Positions that have ended disappear from it; those that have not been heard of since the last
            gap are grey and slanted.

        Raises
        ------
        InvalidChannel, UnknownColumn, UnknownSymbol, UnknownOption
            For what cannot be; lists what can.

        Examples
        --------
        >>> import fxlive
        >>> fxlive.Session.offline().grid("positions", columns=["ticket", "profit"], symbol="EURUSD").name
        "offline: grid positions symbol='EURUSD'"
        """
        from fxlive.widgets.tables.grid import grid

        if "symbol" in where and has_symbols(self._channel(channel)):
            where = with_known_symbols(where, sorted(self._pipeline.store.symbols))
        return grid(
            self._opened(),
            self.name,
            channel,
            columns=columns,
            sort=sort,
            height=height,
            max_rows=max_rows,
            name=name,
            where=where,
        )

    def alerts_feed(self, *, name: str | None = None) -> AlertsFeed:
        """Return the platform's alerts as a live list, the newest first (500 of them at the most).

        It can be filtered by severity and by text. An alert that was acknowledged is dimmed. That is known in this
        kernel alone, because the platform has no message for it: the widget remembers it, for all its views and after
        a reload of the page. An alert that comes again with another severity counts as new.

        Parameters
        ----------
        name
            What to call it: a widget of the same name takes the place of the former.

        Returns
        -------
        AlertsFeed
            With `acknowledged`, the ids of the alerts that were, and `acknowledge(*alert_ids)`, which does it from a
            cell.

        Examples
        --------
        >>> import fxlive
        >>> fxlive.Session.offline().alerts_feed().acknowledged
        frozenset()
        """
        from fxlive.widgets.tables.alerts import alerts_feed

        return alerts_feed(self._opened(), self.name, name=name)

    def dashboard(self, symbol: str | None = None, *, tz: str | None = None, name: str | None = None) -> Dashboard:
        """Return all of it in one widget: status, prices, P&L, metrics, alerts, and grids of what is open and traded.

        Symbol, bars and window are chosen in it. It fits the width that it is given.

        Parameters
        ----------
        symbol
            Whose prices it shows first; default: EURUSD, or where that has not ticked the first that has.
        tz, name
            As for `price_chart`.

        Returns
        -------
        Dashboard
            Its `parts` and `tabs` are the widgets, by place and by title.

        Examples
        --------
        >>> import fxlive
        >>> list(fxlive.Session.offline().dashboard().tabs)
        ['Positions', 'Orders', 'Trades', 'Quotes']
        """
        from fxlive.widgets.dashboard import dashboard

        return dashboard(self._opened(), self.name, self._controls(), symbol, tz=tz, name=name)

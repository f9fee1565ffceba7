"""Pictures: the live charts and tables of a running session. Plotly and ipywidgets are loaded by who draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from fxlive.pipeline import Pipeline

if TYPE_CHECKING:
    from fxlive.widgets.alerts import AlertsFeed
    from fxlive.widgets.chart import LiveChart
    from fxlive.widgets.grid import Grid


class Pictures:
    """The methods that draw what a pipeline brings."""

    name: str
    _pipeline: Pipeline

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
        'offline: EURUSD line 0 days 00:05:00'
        """
        from fxlive.widgets.prices import price_chart

        return price_chart(self._pipeline, self.name, symbol, kind, freq, window, tz=tz, name=name)

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
        InvalidChannel, UnknownColumn, UnknownOption
            For what cannot be; lists what can.

        Examples
        --------
        >>> import fxlive
        >>> fxlive.Session.offline().grid("positions", columns=["ticket", "profit"], symbol="EURUSD").name
        "offline: grid positions symbol='EURUSD'"
        """
        from fxlive.widgets.grid import grid

        return grid(
            self._pipeline,
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
        from fxlive.widgets.alerts import alerts_feed

        return alerts_feed(self._pipeline, self.name, name=name)

"""Pictures: the live charts of a running session. Plotly and ipywidgets are loaded by who draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pandas as pd

from fxlive.pipeline import Pipeline

if TYPE_CHECKING:
    from fxlive.widgets.chart import LiveChart


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

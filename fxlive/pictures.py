"""Pictures: the live charts of a running session. Plotly and ipywidgets are loaded by who draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from fxlive.pipeline import Pipeline

if TYPE_CHECKING:
    from fxlive.widgets.chart import LiveChart


class Pictures:
    """The methods that draw what a pipeline brings."""

    name: str
    _pipeline: Pipeline

    def price_chart(
        self, symbol: str, kind: str = "line", window: str | pd.Timedelta = "15min", *, name: str | None = None
    ) -> LiveChart:
        """Return a live chart of a symbol's bid and ask, which moves while your cells run.

        Parameters
        ----------
        symbol
            Such as ``"EURUSD"``, or ``"eur/usd"``. One that has not ticked yet gives a chart that waits.
        kind
            ``"line"``.
        window
            How much it shows, back from the newest tick.
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
        >>> fxlive.Session.offline().price_chart("EURUSD", window="5min").figure.layout.title.text
        'EURUSD'
        """
        from fxlive.widgets.prices import price_chart

        return price_chart(self._pipeline, self.name, symbol, kind, window, name)

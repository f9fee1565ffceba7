"""The dashboard: a session's widgets in one, arranged by the available width."""

from __future__ import annotations

from typing import Any

import ipywidgets
from IPython.display import publish_display_data

from fxlive.core.instruments import known_symbol
from fxlive.feeds.replay import ReplayFeed
from fxlive.pipeline.pipeline import Pipeline
from fxlive.widgets.base import LiveWidget, WidgetId, in_kernel, plain_text, still_output
from fxlive.widgets.charts.chart import LiveChart
from fxlive.widgets.charts.pnl import PnlPickers
from fxlive.widgets.charts.prices import QUOTES, PricePickers
from fxlive.widgets.slider import time_slider
from fxlive.widgets.status import Controls, status_bar
from fxlive.widgets.tables.alerts import alerts_feed
from fxlive.widgets.tables.grid import grid
from fxlive.widgets.tiles import metrics_chart

_GRIDS = {"Positions": "positions", "Orders": "orders", "Trades": "trades", "Quotes": QUOTES}
_GRID_ROWS = 9

_dashboards: dict[WidgetId, Dashboard] = {}


class Dashboard(ipywidgets.Box):  # type: ignore[misc]  # ipywidgets has no types
    """Widgets in several columns if the page is wide enough, otherwise one below the other (dashboard.css).

    The updates of all of them are one message a tick, as for any widgets. Widgets in hidden tabs cost nothing.

    Parameters
    ----------
    parts
        The widgets by their place in the layout.
    tabs
        Widgets of which one is shown at a time, by title.
    session
        Name of the session.
    name
        Name of the dashboard within the session. A new one of the same name replaces the former.
    """

    def __init__(self, parts: dict[str, LiveWidget], tabs: dict[str, LiveWidget], session: str, name: str) -> None:
        self._id = WidgetId(session, name)
        self.name = str(self._id)
        self.parts = parts
        self.tabs = tabs
        for place, part in parts.items():
            part.add_class(f"fxlive-at-{place}")
        pages = ipywidgets.Tab(list(tabs.values()), titles=list(tabs))
        pages.add_class("fxlive-at-tabs")
        places = ipywidgets.Box([*parts.values(), pages])
        self._boxes = (places, pages)
        places.add_class("fxlive-places")
        super().__init__([places])
        self.add_class("fxlive-dashboard")
        former = _dashboards.get(self._id)
        _dashboards[self._id] = self
        if former is not None:
            part = next(iter(former.parts.values()))
            part.refresher.call_later(part.close_delay_s(), former.close)

    def close(self) -> None:
        """Remove the dashboard and its parts from the page, for good."""
        if _dashboards.get(self._id) is self:
            del _dashboards[self._id]
        super().close()
        # A box that is still open after its contents were closed would keep a reloaded page waiting for ever.
        for part in (*self._boxes, *self.parts.values(), *self.tabs.values()):
            part.close()

    def _ipython_display_(self) -> None:
        publish: Any = publish_display_data
        publish(*self._repr_mimebundle_())
        if in_kernel():
            publish(*still_output(*self.parts.values(), *self.tabs.values()))

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return {**super()._repr_mimebundle_(), "text/plain": plain_text(self)}, {}

    def __repr__(self) -> str:
        return f"<fxlive Dashboard {self.name!r}>"


def dashboard(
    pipeline: Pipeline,
    session: str,
    controls: Controls,
    symbol: str | None = None,
    *,
    tz: str | None = None,
    name: str | None = None,
) -> Dashboard:
    """Return the dashboard of a session. Implements `Session.dashboard`."""
    quoted = [str(s) for s in pipeline.store.tables[QUOTES].latest().index]
    if symbol is not None:
        symbol = known_symbol(symbol, quoted)
    else:
        symbol = "EURUSD" if "EURUSD" in quoted or not quoted else quoted[0]
    name = name or "dashboard"
    prices, profit = PricePickers(pipeline, symbol), PnlPickers(pipeline)
    parts: dict[str, LiveWidget] = {"status": status_bar(pipeline, session, controls, name=f"{name} status")}
    if isinstance(pipeline.feed, ReplayFeed):
        parts["time"] = time_slider(pipeline, pipeline.feed, session, name=f"{name} time")
    parts |= {
        "price": LiveChart(prices.contents(), pickers=prices, tz=tz, session=session, name=f"{name} price"),
        "pnl": LiveChart(profit.contents(), pickers=profit, tz=tz, session=session, name=f"{name} pnl"),
        "metrics": metrics_chart(pipeline, session, None, "1h", name=f"{name} metrics"),
        "alerts": alerts_feed(pipeline, session, name=f"{name} alerts"),
    }
    tabs: dict[str, LiveWidget] = {
        title: grid(pipeline, session, channel, height=_GRID_ROWS, name=f"{name} {channel}")
        for title, channel in _GRIDS.items()
    }
    return Dashboard(parts, tabs, session, name)

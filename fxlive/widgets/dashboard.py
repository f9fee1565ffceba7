"""The dashboard: everything that a desk looks at, in one widget that fits the width it is given."""

from __future__ import annotations

from typing import Any

import ipywidgets
from IPython.display import publish_display_data

from fxlive.core.instruments import known_symbol
from fxlive.feeds.replay import ReplayFeed
from fxlive.pipeline.pipeline import Pipeline
from fxlive.widgets.base import LiveWidget, in_a_kernel, in_words, still_of
from fxlive.widgets.charts.chart import LiveChart
from fxlive.widgets.charts.pnl import PnlPickers
from fxlive.widgets.charts.prices import QUOTES, PricePickers
from fxlive.widgets.slider import time_slider
from fxlive.widgets.status import Controls, status_bar
from fxlive.widgets.tables.alerts import alerts_feed
from fxlive.widgets.tables.grid import grid
from fxlive.widgets.tiles import metrics_chart

_GRIDS = {"Positions": "positions", "Orders": "orders", "Trades": "trades", "Quotes": QUOTES}
_ROWS = 9

_named: dict[str, Dashboard] = {}


class Dashboard(ipywidgets.Box):  # type: ignore[misc]  # ipywidgets has no types
    """Widgets side by side where there is room, and one below the other where there is not (dashboard.css).

    What is new for all of them is one message a tick, as for any widgets; what a tab hides costs nothing.

    Parameters
    ----------
    parts
        The widgets, each with the place that it has.
    tabs
        Widgets of which one is shown at a time, by title.
    name
        What to call it; a new one of the same name takes the place of the former.
    """

    def __init__(self, parts: dict[str, LiveWidget], tabs: dict[str, LiveWidget], name: str) -> None:
        self.name = name
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
        former = _named.get(name)
        _named[name] = self
        if former is not None:
            some = next(iter(former.parts.values()))
            some.refresher.later(some.unsettled_s(), former.close)

    def close(self) -> None:
        """Take the dashboard and its parts out of the page, for good."""
        if _named.get(self.name) is self:
            del _named[self.name]
        super().close()
        # A box that outlived what is in it would keep a page that is loaded anew waiting for ever.
        for part in (*self._boxes, *self.parts.values(), *self.tabs.values()):
            part.close()

    def _ipython_display_(self) -> None:
        publish: Any = publish_display_data
        publish(*self._repr_mimebundle_())
        if in_a_kernel():
            publish(*still_of(*self.parts.values(), *self.tabs.values()))

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return {**super()._repr_mimebundle_(), "text/plain": in_words(self)}, {}

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
    """Return everything in one widget; what the session's method of this name does."""
    seen = [str(s) for s in pipeline.store.tables[QUOTES].latest().index]
    if symbol is not None:
        symbol = known_symbol(symbol, seen)
    else:
        symbol = "EURUSD" if "EURUSD" in seen or not seen else seen[0]
    name = name or "dashboard"
    prices, profit = PricePickers(pipeline, symbol), PnlPickers(pipeline)
    parts: dict[str, LiveWidget] = {"status": status_bar(pipeline, session, controls, name=f"{name} status")}
    if isinstance(pipeline.feed, ReplayFeed):
        parts["time"] = time_slider(pipeline, pipeline.feed, session, name=f"{name} time")
    parts |= {
        "price": LiveChart(prices.contents(), pickers=prices, tz=tz, name=f"{session}: {name} price"),
        "pnl": LiveChart(profit.contents(), pickers=profit, tz=tz, name=f"{session}: {name} pnl"),
        "metrics": metrics_chart(pipeline, session, None, "1h", name=f"{name} metrics"),
        "alerts": alerts_feed(pipeline, session, name=f"{name} alerts"),
    }
    tabs: dict[str, LiveWidget] = {
        title: grid(pipeline, session, channel, height=_ROWS, name=f"{name} {channel}")
        for title, channel in _GRIDS.items()
    }
    return Dashboard(parts, tabs, f"{session}: {name}")

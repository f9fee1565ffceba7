"""Notebook code of the same live chart in each library that has one, written as its own documentation recommends.

Each draws two lines, bid and ask, of 5,000 quotes. `show()` displays a chart, `prepare(n)` prepares the data of n
updates, and `update()` adds the next ten quotes to the chart. The peers receive numbers, fxlive receives the wire's
messages, as from a socket.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.charts import DATA, POINTS

MORE = 10


@dataclass(frozen=True)
class Chart:
    """A library's chart.

    Attributes
    ----------
    code
        Python that defines `show`, `prepare` and `update`.
    drawn
        JavaScript that returns whether the page has drawn it.
    """

    code: str
    drawn: str


# Milliseconds, the unit in which bokeh and perspective send times.
_NUMBERS = f"""
ready = []
def numbers(more, factor=1000):
    times = moments(more)
    bids = prices(times)
    return [t * factor for t in times], bids, [p + 1e-4 for p in bids]
def prepare(updates):
    ready.extend(numbers({MORE}) for _ in range(updates))
"""

_FXLIVE = f"""
from fxlive.core.background import background_loop
session = fxlive.Session.offline()
call(session._pipeline.start())
feed, ready = session._pipeline.feed, []
def quotes(more):
    times = moments(more)
    return int(times[-1] * 1e6), [json.dumps({{
        "type": "market_data", "channel": "market-data", "timestamp": datetime.fromtimestamp(t, UTC).isoformat(),
        "data": {{"symbol": "EURUSD", "bid": p, "ask": p + 1e-4}}, "id": str(t)}}).encode()
        for t, p in zip(times, prices(times))]
def prepare(updates):
    ready.extend(quotes({MORE}) for _ in range(updates))
def put(at, messages):
    feed.put(*messages, at=at)
def show():
    display(session.price_chart("EURUSD", name=str(time.time())))
def update():
    background_loop().call_soon_threadsafe(put, *ready.pop(0))
put(*quotes({POINTS}))
"""

# Seconds, because plotly sends floats in fewer bytes than datetimes.
_FIGURE_WIDGET = f"""
import numpy as np
import plotly.graph_objects as go
x, bid, ask = map(np.array, numbers({POINTS}, 1))
def prepare(updates):
    ready.extend(tuple(map(np.array, numbers({MORE}, 1))) for _ in range(updates))
def show():
    global chart
    chart = go.FigureWidget([go.Scatter(x=x, y=bid), go.Scatter(x=x, y=ask)], {{"width": 900, "height": 400}})
    display(chart)
def update():
    global x, bid, ask
    x, bid, ask = (np.concatenate([old, new])[-{POINTS}:] for old, new in zip((x, bid, ask), ready.pop(0)))
    with chart.batch_update():
        for trace, y in zip(chart.data, (bid, ask)):
            trace.x, trace.y = x, y
"""

# bokeh's JavaScript is loaded from its own files, once per notebook, so that the benchmarks need no network.
_BOKEH = f"""
from bokeh.io import output_notebook, push_notebook, show as show_figure
from bokeh.models import ColumnDataSource
from bokeh.plotting import figure
from bokeh.resources import INLINE
source, handle = ColumnDataSource(dict(zip(("time", "bid", "ask"), numbers({POINTS})))), None
def show():
    global handle
    if handle is None:
        output_notebook(resources=INLINE, hide_banner=True)
    plot = figure(x_axis_type="datetime", width=900, height=400)
    plot.line("time", "bid", source=source)
    plot.line("time", "ask", source=source, line_color="orange")
    handle = show_figure(plot, notebook_handle=True)
def update():
    source.stream(dict(zip(("time", "bid", "ask"), ready.pop(0))), rollover={POINTS})
    push_notebook(handle=handle)
"""

_PERSPECTIVE = f"""
import perspective
from perspective.widget import PerspectiveWidget
client = perspective.Server().new_local_client()
table = client.table({{"time": "datetime", "bid": "float", "ask": "float"}}, limit={POINTS})
def columns(quotes):
    return dict(zip(("time", "bid", "ask"), ([int(t) for t in quotes[0]], *quotes[1:])))
def prepare(updates):
    ready.extend(columns(numbers({MORE})) for _ in range(updates))
def show():
    display(PerspectiveWidget(table, plugin="Y Line", columns=["bid", "ask"]))
def update():
    table.update(ready.pop(0))
table.update(columns(numbers({POINTS})))
"""

_PLOTLY_HAS_POINTS = "() => document.querySelector('.js-plotly-plot')?.data?.[0]?.x?.length > 100"

CHARTS = {
    "fxlive": Chart(DATA + _FXLIVE, _PLOTLY_HAS_POINTS),
    "plotly FigureWidget": Chart(DATA + _NUMBERS + _FIGURE_WIDGET, _PLOTLY_HAS_POINTS),
    "bokeh": Chart(
        DATA + _NUMBERS + _BOKEH,
        "() => window.Bokeh?.documents?.some(document => document.roots()[0]?.renderers?.length)",
    ),
    "perspective-python": Chart(DATA + _NUMBERS + _PERSPECTIVE, "() => document.querySelector('perspective-viewer')"),
}

"""Every still figure draws what its function gives, also of nothing, and offers no upload."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest

from fxlive.analytics.bars import bars
from fxlive.analytics.execution import execution, order_life
from fxlive.analytics.explain import explain
from fxlive.analytics.exposure import exposure
from fxlive.analytics.market import correlation, latency, spread_profile
from fxlive.analytics.pnl import pnl
from fxlive.analytics.risk import period_returns
from fxlive.figures.book import correlation_figure, exposure_figure, shock_figure
from fxlive.figures.quality import fill_time_figure, latency_figure, markout_figure, slippage_figure, spread_figure
from fxlive.figures.style import as_html
from fxlive.figures.trading import bars_figure, explain_figure, pnl_figure, returns_figure
from tests.analytics import test_execution as fills
from tests.analytics import test_exposure as books
from tests.analytics.frames import T0, S, index, positions, quotes, trades

TICKS = quotes([(n, 1.0 + n % 7 / 1e4, 1.0002 + n % 5 / 1e4) for n in range(90)])
ROWS = positions([(n, 1, "EURUSD", 0.1, float(n % 4)) for n in range(9)])
SAID = trades([(0, {"commission": 1.0})])
ORDERS = fills.orders(
    (1, {}), (4, {"ticket": 1, "status": "FILLED", "filled_at": fills.at(4), "fill_price": 1.0848})
)  # fmt: skip
FILLS = fills.fills((1, {"open_price": 1.0853}), (2, {"execution_id": "e2", "symbol": "EURUSD"}))
HELD = books.held((1, "EURUSD", "BUY", 0.1, 1.0850))
ARRIVED = TICKS.assign(received_at=index(TICKS.index.asi8 + 3000))

# Each figure, of something and of nothing, and how many traces the first has.
FIGURES: dict[str, tuple[Callable[[Any], go.Figure], Any, Any, int]] = {
    "bars": (bars_figure, bars(TICKS, "10s"), bars(TICKS[:0], "10s"), 1),
    "pnl": (pnl_figure, pnl(ROWS, SAID), pnl(ROWS[:0], SAID[:0]), 4),
    "groups": (pnl_figure, pnl(ROWS, SAID, "strategy_id"), pnl(ROWS[:0], SAID[:0], "symbol"), 1),
    "returns": (returns_figure, period_returns(pnl(ROWS, SAID)["total"], 1000, "1s"), pd.Series(dtype="float64"), 1),
    "explain": (explain_figure, explain(ROWS, SAID), explain(ROWS[:0], SAID[:0]), 1),
    "slippage": (slippage_figure, execution(FILLS, None, fills.MARKET), execution(FILLS[:0], None, TICKS), 1),
    "markout": (markout_figure, execution(FILLS, None, fills.MARKET), execution(FILLS[:0], None, TICKS), 1),
    "fill time": (fill_time_figure, order_life(ORDERS, fills.MARKET), order_life(ORDERS[:0], TICKS), 1),
    "latency": (latency_figure, latency(ARRIVED), latency(ARRIVED[:0]), 4),
    "spread": (spread_figure, spread_profile(TICKS), spread_profile(TICKS[:0]), 1),
    "exposure": (exposure_figure, exposure(HELD, books.quotes()).by_currency, exposure(HELD[:0], TICKS).by_currency, 1),
    "shock": (shock_figure, exposure(HELD, books.quotes()).shocks, exposure(HELD[:0], TICKS).shocks, 2),
    "correlation": (correlation_figure, correlation(TICKS, "1s"), correlation(TICKS[:0]), 1),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_draws_what_there_is_and_says_where_there_is_nothing(name: str) -> None:
    draw, something, nothing, traces = FIGURES[name]
    made, empty = draw(something), draw(nothing)
    assert len(made.data) == traces
    for figure in (made, empty):
        assert isinstance(figure, go.Figure)
        assert figure.layout.title.text is not None
        assert list(figure.layout.modebar.remove) == ["sendChartToCloud"]
        json.loads(figure.to_json())
        assert '"showSendToCloud": false' in as_html(figure)
    assert not made.layout.annotations
    assert name == "explain" or [a.text for a in empty.layout.annotations] == ["Nothing to show yet"]


def test_the_pictures_data_are_the_frames() -> None:
    frame = pnl(ROWS, SAID)
    made = pnl_figure(frame)
    assert made.data[0].y.tolist() == frame["total"].tolist()
    assert made.data[3].y.tolist() == (-frame["drawdown"]).tolist()
    candles = bars_figure(bars(TICKS, "10s"), "EURUSD").data[0]
    assert candles.close.tolist() == bars(TICKS, "10s")["close"].tolist()
    assert pd.Timestamp(candles.x[0]).value // 1000 == T0 // S * S

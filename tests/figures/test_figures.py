"""Every still figure draws the result of its analysis, also an empty one, and has no upload button."""

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
from tests.analytics import test_exposure as exposures
from tests.analytics.frames import T0, S, index, positions, quotes, trades

TICKS = quotes([(n, 1.0 + n % 7 / 1e4, 1.0002 + n % 5 / 1e4) for n in range(90)])
ROWS = positions([(n, 1, "EURUSD", 0.1, float(n % 4)) for n in range(9)])
TRADES = trades([(0, {"commission": 1.0})])
ORDERS = fills.orders(
    (1, {}), (4, {"ticket": 1, "status": "FILLED", "filled_at": fills.at(4), "fill_price": 1.0848})
)  # fmt: skip
FILLS = fills.fills((1, {"open_price": 1.0853}), (2, {"execution_id": "e2", "symbol": "EURUSD"}))
OPEN = exposures.open_positions((1, "EURUSD", "BUY", 0.1, 1.0850))
RECEIVED = TICKS.assign(received_at=index(TICKS.index.asi8 + 3000))

# The function of each figure, its data, the same without rows, and the number of traces of the first.
FIGURES: dict[str, tuple[Callable[[Any], go.Figure], Any, Any, int]] = {
    "bars": (bars_figure, bars(TICKS, "10s"), bars(TICKS[:0], "10s"), 1),
    "pnl": (pnl_figure, pnl(ROWS, TRADES), pnl(ROWS[:0], TRADES[:0]), 4),
    "groups": (pnl_figure, pnl(ROWS, TRADES, "strategy_id"), pnl(ROWS[:0], TRADES[:0], "symbol"), 1),
    "returns": (returns_figure, period_returns(pnl(ROWS, TRADES)["total"], 1000, "1s"), pd.Series(dtype="float64"), 1),
    "explain": (explain_figure, explain(ROWS, TRADES), explain(ROWS[:0], TRADES[:0]), 1),
    "slippage": (slippage_figure, execution(FILLS, None, fills.MARKET), execution(FILLS[:0], None, TICKS), 1),
    "markout": (markout_figure, execution(FILLS, None, fills.MARKET), execution(FILLS[:0], None, TICKS), 1),
    "fill time": (fill_time_figure, order_life(ORDERS, fills.MARKET), order_life(ORDERS[:0], TICKS), 1),
    "latency": (latency_figure, latency(RECEIVED), latency(RECEIVED[:0]), 4),
    "spread": (spread_figure, spread_profile(TICKS), spread_profile(TICKS[:0]), 1),
    "exposure": (
        exposure_figure,
        exposure(OPEN, exposures.quotes()).by_currency,
        exposure(OPEN[:0], TICKS).by_currency,
        1,
    ),
    "shock": (shock_figure, exposure(OPEN, exposures.quotes()).shocks, exposure(OPEN[:0], TICKS).shocks, 2),
    "correlation": (correlation_figure, correlation(TICKS, "1s"), correlation(TICKS[:0]), 1),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_draws_its_data_and_without_data_says_so(name: str) -> None:
    draw, data, no_data, traces = FIGURES[name]
    full, empty = draw(data), draw(no_data)
    assert len(full.data) == traces
    for figure in (full, empty):
        assert isinstance(figure, go.Figure)
        assert figure.layout.title.text is not None
        assert list(figure.layout.modebar.remove) == ["sendChartToCloud"]
        json.loads(figure.to_json())
        assert '"showSendToCloud": false' in as_html(figure)
    assert not full.layout.annotations
    assert name == "explain" or [a.text for a in empty.layout.annotations] == ["Nothing to show yet"]


def test_a_figure_has_the_values_of_the_frame() -> None:
    frame = pnl(ROWS, TRADES)
    figure = pnl_figure(frame)
    assert figure.data[0].y.tolist() == frame["total"].tolist()
    assert figure.data[3].y.tolist() == (-frame["drawdown"]).tolist()
    candles = bars_figure(bars(TICKS, "10s"), "EURUSD").data[0]
    assert candles.close.tolist() == bars(TICKS, "10s")["close"].tolist()
    assert pd.Timestamp(candles.x[0]).value // 1000 == T0 // S * S

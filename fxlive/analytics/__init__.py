"""Analytics: functions that compute bars, P&L, performance, risk, execution quality and exposure from DataFrames.

They take the frames of a session or a capture, or anyone's DataFrames with the same columns. The methods of a session
(``session.pnl()`` and the like) call them with the session's own frames.

>>> import pandas as pd
>>> from fxlive.analytics import bars
>>> times = pd.to_datetime(["2024-01-01 00:00:01", "2024-01-01 00:00:30"], utc=True)
>>> quotes = pd.DataFrame({"symbol": "EURUSD", "bid": [1.1, 1.2], "ask": [1.3, 1.4]}, pd.Index(times, name="timestamp"))
>>> bars(quotes, "1min")[["open", "close"]].round(6).values.tolist()
[[1.2, 1.3]]
"""

from fxlive.analytics.bars import BarStream, bars, range_bars, tick_bars
from fxlive.analytics.execution import execution, order_life
from fxlive.analytics.explain import explain
from fxlive.analytics.exposure import Exposure, exposure
from fxlive.analytics.market import correlation, latency, spread_profile
from fxlive.analytics.performance import performance
from fxlive.analytics.pnl import pnl
from fxlive.analytics.profit.stream import PnlStream
from fxlive.analytics.reconcile import reconcile
from fxlive.analytics.risk import period_returns, periods_per_year, risk

__all__ = [
    "BarStream",
    "Exposure",
    "PnlStream",
    "bars",
    "correlation",
    "execution",
    "explain",
    "exposure",
    "latency",
    "order_life",
    "performance",
    "period_returns",
    "periods_per_year",
    "pnl",
    "range_bars",
    "reconcile",
    "risk",
    "spread_profile",
    "tick_bars",
]

"""Analytics: functions that compute bars, P&L, performance, risk, execution quality and exposure from DataFrames.

They take the frames of a session or a capture, or anyone's DataFrames with the same columns. The methods of a session
(``session.pnl()`` and the like) call them with the session's own frames.

>>> import pandas as pd
>>> from fxlive.analytics import bars
>>> times = pd.to_datetime(["2024-01-01 00:00:01", "2024-01-01 00:00:30"], utc=True)
>>> quotes = pd.DataFrame({"symbol": "EURUSD", "bid": [1.1, 1.2], "ask": [1.3, 1.4]}, pd.Index(times, name="timestamp"))
>>> bars(quotes, "1min")[["open", "close"]].round(6).values.tolist()
[[1.2, 1.3]]

Each module is imported when one of its functions is first used. Some modules have the name of their main function: the
attribute ``fxlive.analytics.bars`` is the function, and ``from fxlive.analytics.bars import ...`` reads the module.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_MODULE_OF = {
    "BarStream": "bars",
    "Exposure": "exposure",
    "PnlStream": "profit.stream",
    "bars": "bars",
    "correlation": "market",
    "execution": "execution",
    "explain": "explain",
    "exposure": "exposure",
    "latency": "market",
    "order_life": "execution",
    "performance": "performance",
    "period_returns": "risk",
    "periods_per_year": "risk",
    "pnl": "pnl",
    "range_bars": "bars",
    "reconcile": "reconcile",
    "risk": "risk",
    "spread_profile": "market",
    "tick_bars": "bars",
}


class _LazyPackage(ModuleType):
    """A package whose public names are imported on first use."""

    def __getattr__(self, name: str) -> Any:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{self.__name__}.{_MODULE_OF[name]}"), name)
        setattr(self, name, value)
        return value

    def __setattr__(self, name: str, value: object) -> None:
        # The import system binds each imported submodule to its package. Keep the function of the same name instead.
        if isinstance(value, ModuleType) and name in _MODULE_OF:
            value = getattr(value, name)
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_MODULE_OF})


sys.modules[__name__].__class__ = _LazyPackage

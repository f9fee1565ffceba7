"""Hand-made frames like those of a session, and the recorded day of real ticks, if this machine has it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

UTC = pd.DatetimeTZDtype("us", "UTC")
DAY = Path(__file__).parents[3] / "shared" / "data" / "ticks" / "fxcm-2014-05-08.csv.gz"
T0 = 1_704_067_200_000_000  # 2024-01-01T00:00Z, a Monday
S = 1_000_000
"""A second in microseconds."""


def index(micros: Any) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(pd.array(np.asarray(micros, np.int64), dtype=UTC), name="timestamp")


def quotes(rows: list[tuple[Any, ...]], symbol: str = "EURUSD") -> pd.DataFrame:
    """Return quotes of one symbol from (seconds after T0, bid, ask)."""
    seconds, bid, ask = zip(*rows, strict=True) if rows else ((), (), ())
    return pd.DataFrame(
        {
            "symbol": pd.Categorical([symbol] * len(rows)),
            "bid": np.array(bid, np.float64),
            "ask": np.array(ask, np.float64),
        },
        index=index([T0 + round(s * S) for s in seconds]),
    )


@cache
def _day() -> pd.DataFrame:
    ticks = pd.read_csv(DAY)
    times = pd.DatetimeIndex(pd.to_datetime(ticks.pop("timestamp"), utc=True, format="ISO8601"), name="timestamp")
    return ticks.set_index(times.as_unit("us")).astype({"symbol": "category"})


def real_day() -> pd.DataFrame:
    """Return the recorded day, with the columns `symbol`, `bid`, `ask`; skip the test if its file is missing."""
    if not DAY.exists():
        pytest.skip("the file with the day of real ticks is missing")
    return _day().copy()


def positions(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    """Return rows of positions from (seconds after T0, ticket, symbol, volume, unrealized)."""
    seconds, tickets, symbols, volumes, unrealized = zip(*rows, strict=True) if rows else ((),) * 5
    return pd.DataFrame(
        {
            "ticket": np.array(tickets, np.int64),
            "symbol": pd.Categorical(symbols, categories=sorted(set(symbols))),
            "volume": np.array(volumes, np.float64),
            "profit": np.array(unrealized, np.float64),
            "unrealized_pnl": np.array(unrealized, np.float64),
        },
        index=index([T0 + round(s * S) for s in seconds]),
    )


TRADE = {
    "execution_id": "exec_1",
    "ticket": 1,
    "symbol": "EURUSD",
    "action": "BUY",
    "volume": 0.1,
    "open_price": 1.085,
    "profit": 0.0,
    "commission": 0.0,
    "swap": 0.0,
    "status": "FILLED",
    "strategy_id": "s1",
    "connection_id": "c1",
}


def trades(rows: list[tuple[float, dict[str, Any]]]) -> pd.DataFrame:
    """Return rows of trades from (seconds after T0, the fields that differ from TRADE)."""
    values = {column: [{**TRADE, **row}[column] for _, row in rows] for column in TRADE}
    frame = pd.DataFrame(values, index=index([T0 + round(s * S) for s, _ in rows]))
    codes = ("symbol", "action", "status", "strategy_id", "connection_id")
    money = ("volume", "open_price", "profit", "commission", "swap")
    dtypes: dict[str, Any] = {"execution_id": "str", "ticket": "Int64"}
    return frame.astype(dtypes | dict.fromkeys(codes, "category") | dict.fromkeys(money, "float64"))

"""Input of the benchmarks: the reference's market-data messages with the quotes of a real day, if available."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

TICKS = Path(__file__).parents[2] / "shared" / "data" / "ticks" / "fxcm-2014-05-08.csv.gz"


@cache
def quotes() -> pd.DataFrame:
    """Return quotes (timestamp as text, symbol, bid, ask): those of the real day, or as many simulated ones."""
    if TICKS.exists():
        return pd.read_csv(TICKS)
    rng = np.random.default_rng(7)
    count = 270_639
    times = pd.Timestamp("2014-05-08T05:00:00Z") + pd.to_timedelta(
        np.sort(rng.integers(0, 86_400_000, count)), unit="ms"
    )
    bid = np.round(1.38 + np.cumsum(rng.normal(0, 1e-5, count)), 5)
    return pd.DataFrame(
        {
            "timestamp": times.strftime("%Y-%m-%dT%H:%M:%S.%f").str[:-3] + "Z",
            "symbol": rng.choice(["EURUSD", "NZDUSD"], count),
            "bid": bid,
            "ask": np.round(bid + 0.00008, 5),
        }
    )


def quotes_source() -> str:
    """Return a description of the quotes."""
    return "a real day of FXCM ticks" if TICKS.exists() else "simulated ticks"


@cache
def messages(count: int) -> list[bytes]:
    """Return encoded market-data messages with all 13 fields and distinct ids. The day is repeated as needed."""
    day = list(quotes().itertuples(index=False, name=None))
    encoded = []
    for number in range(count):
        timestamp, symbol, bid, ask = day[number % len(day)]
        message = {
            "type": "market_data",
            "channel": "market-data",
            "data": {
                "symbol": symbol,
                "bid": bid,
                "ask": ask,
                "last": bid,
                "volume": number % 500,
                "spread": round((ask - bid) * 1e5),
                "timestamp": timestamp,
                "change": 0.0001,
                "changePercent": 0.0092,
                "dayHigh": round(bid + 0.0021, 5),
                "dayLow": round(bid - 0.0017, 5),
                "open": round(bid - 0.0003, 5),
                "close": bid,
            },
            "timestamp": timestamp,
            "id": f"msg_{number}",
        }
        encoded.append(json.dumps(message, separators=(",", ":")).encode())
    return encoded

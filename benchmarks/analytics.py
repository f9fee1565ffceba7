"""Analytics of large frames: bars compared with pandas and Polars, updates of a stream, execution quality and P&L."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np
import pandas as pd
import polars as pl

from benchmarks.data import quotes as day_of_quotes
from benchmarks.report import Figure
from fxlive.analytics.bars import BarStream, bars
from fxlive.analytics.execution import execution
from fxlive.analytics.pnl import pnl
from fxlive.analytics.profit.stream import PnlStream
from fxlive.core.dtypes import UTC
from fxlive.core.instruments import PIP

QUOTES = 1_000_000
FILLS = 10_000
WINDOWS = (1_000, 1_000_000)
ROUNDS = 7
UPDATES = 2_000
SYMBOLS = ("EURUSD", "GBPUSD", "USDJPY", "AUDUSD", "NZDUSD", "USDCAD", "USDCHF", "EURJPY", "EURGBP", "EURCHF")


def measure() -> list[Figure]:
    """Return ratios, milliseconds and microseconds."""
    return [*_bars(), *_updates(), *_execution(), *_pnl()]


def _quotes() -> pd.DataFrame:
    """Return a million quotes of one symbol: the same day repeated, each time a day later."""
    day = day_of_quotes()
    times = pd.DatetimeIndex(pd.to_datetime(day["timestamp"], utc=True, format="ISO8601")).as_unit("us").asi8
    rounds = -(-QUOTES // len(day))
    shifted = np.concatenate([times + n * 86_400_000_000 for n in range(rounds)])[:QUOTES]
    columns = {side: np.tile(day[side].to_numpy(np.float64), rounds)[:QUOTES] for side in ("bid", "ask")}
    index = pd.DatetimeIndex(pd.array(shifted, dtype=UTC), name="timestamp")
    return pd.DataFrame({"symbol": pd.Categorical(["EURUSD"] * QUOTES), **columns}, index=index)


def _with_pandas(frame: pd.DataFrame, freq: str) -> pd.DataFrame:
    mid = (frame["bid"] + frame["ask"]) / 2
    resampled = mid.resample(freq)
    result = resampled.ohlc()
    result["ticks"] = resampled.count()
    result["spread_pips"] = ((frame["ask"] - frame["bid"]) / PIP).resample(freq).mean()
    return result[result["ticks"] > 0]


def _with_polars(frame: pl.DataFrame, freq: str) -> pl.DataFrame:
    mid = ((pl.col("bid") + pl.col("ask")) / 2).alias("mid")
    return (
        frame.lazy()
        .with_columns(mid)
        .group_by_dynamic("timestamp", every=freq)
        .agg(
            pl.col("mid").first().alias("open"),
            pl.col("mid").max().alias("high"),
            pl.col("mid").min().alias("low"),
            pl.col("mid").last().alias("close"),
            pl.len().alias("ticks"),
            ((pl.col("ask") - pl.col("bid")) / PIP).mean().alias("spread_pips"),
        )
        .collect()
    )


def _bars() -> list[Figure]:
    frame = _quotes()
    polars = pl.DataFrame(
        {
            "timestamp": frame.index.tz_localize(None).to_numpy(),
            "bid": frame["bid"].to_numpy(),
            "ask": frame["ask"].to_numpy(),
        }
    )
    figures = []
    for freq, polars_freq in (("1s", "1s"), ("1min", "1m")):
        # In turn, so that other load of the machine affects all of them.
        calls: list[Callable[[], object]] = [
            lambda: bars(frame, freq),  # noqa: B023
            lambda: _with_pandas(frame, freq),  # noqa: B023
            lambda: _with_polars(polars, polars_freq),  # noqa: B023
        ]
        fxlive_ms, pandas_ms, polars_ms = (
            median(times) for times in zip(*([_ms(call) for call in calls] for _ in range(ROUNDS)), strict=True)
        )
        name = f"bars of {freq}, {QUOTES:,} quotes"
        figures += [
            Figure(name, fxlive_ms, "ms"),
            Figure(f"{name}: of pandas' resample ({pandas_ms:.0f} ms)", fxlive_ms / pandas_ms, "times", "<= 0.5"),
            Figure(f"{name}: of Polars' group_by_dynamic ({polars_ms:.0f} ms)", fxlive_ms / polars_ms, "times"),
        ]
    return figures


def _updates() -> list[Figure]:
    frame = _quotes()
    times, bid, ask = frame.index.asi8, frame["bid"].to_numpy(), frame["ask"].to_numpy()  # type: ignore[attr-defined]
    figures = []
    for window in WINDOWS:
        stream = BarStream("1s")
        begin = window - 10 * UPDATES if window > 10 * UPDATES else 0
        stream.update(times[:begin] if begin else times[:0], bid[:begin], ask[:begin])
        update_us = []
        for number in range(UPDATES):
            part = slice(begin + 10 * number, begin + 10 * number + 10)
            new = times[part], bid[part], ask[part]
            start = time.perf_counter()
            stream.update(*new)
            update_us.append((time.perf_counter() - start) * 1e6)
        name = f"BarStream.update, 10 quotes, {window:,} before"
        figures.append(Figure(f"{name}: median", median(update_us), "us", "<= 100"))
        figures.append(Figure(f"{name}: 99 of 100", float(np.quantile(update_us, 0.99)), "us"))
    return figures


def _execution() -> list[Figure]:
    rng = np.random.default_rng(7)
    quotes = _quotes()
    codes = rng.integers(0, len(SYMBOLS), QUOTES).astype(np.int8)
    quotes["symbol"] = pd.Categorical.from_codes(codes, categories=list(SYMBOLS))
    at = pd.DatetimeIndex(pd.array(np.sort(rng.choice(quotes.index.asi8, FILLS)), dtype=UTC), name="timestamp")  # type: ignore[attr-defined]
    side = pd.Categorical(rng.choice(["BUY", "SELL"], FILLS))
    common = {
        "ticket": pd.array(np.arange(FILLS), "Int64"),
        "symbol": pd.Categorical(rng.choice(SYMBOLS, FILLS)),
        "volume": 0.1,
    }
    names = pd.array([f"exec_{n}" for n in range(FILLS)], dtype="str")
    status = pd.Categorical(["FILLED"] * FILLS)
    trades = pd.DataFrame(
        {"execution_id": names, **common, "action": side, "open_price": 1.38, "status": status, "executed_at": at,
         "strategy_id": status, "connection_id": status}, index=at
    )  # fmt: skip
    orders = pd.DataFrame(
        {"order_id": names, **common, "order_type": side, "price": 1.38, "status": status, "filled_at": at,
         "fill_price": 1.38, "filled_volume": 0.1, "strategy_id": status}, index=at
    )  # fmt: skip
    execution_ms = median(_ms(lambda: execution(trades, orders, quotes)) for _ in range(ROUNDS))
    return [Figure(f"execution() of {FILLS:,} fills, {QUOTES:,} quotes, 10 symbols", execution_ms, "ms", "<= 100")]


def _pnl() -> list[Figure]:
    rng = np.random.default_rng(7)
    count, open_positions = 1_000_000, 12
    tickets = np.tile(np.arange(open_positions), count // open_positions + 1)[:count]
    at = pd.DatetimeIndex(pd.array(np.arange(count) // open_positions * 100_000, dtype=UTC), name="timestamp")
    money = np.round(rng.normal(0, 10, count), 2)
    positions = pd.DataFrame(
        {"ticket": tickets, "symbol": pd.Categorical(["EURUSD"] * count), "volume": 0.1, "profit": money,
         "unrealized_pnl": money}, index=at
    )  # fmt: skip
    trades = pd.DataFrame(
        {"execution_id": pd.array([f"exec_{n}" for n in range(open_positions)], "str"),
         "ticket": pd.array(range(open_positions), "Int64"), "symbol": "EURUSD", "volume": 0.1, "profit": 0.0,
         "commission": 0.5, "swap": 0.0, "status": "FILLED", "strategy_id": "s1"}, index=at[:open_positions]
    )  # fmt: skip
    pnl_ms = median(_ms(lambda: pnl(positions, trades, "strategy_id")) for _ in range(3))
    stream = PnlStream("strategy_id")
    stream.update(positions.iloc[:open_positions], trades)
    update_us = []
    for number in range(1, UPDATES):
        new = positions.iloc[open_positions * number : open_positions * (number + 1)]
        start = time.perf_counter()
        stream.update(new)
        update_us.append((time.perf_counter() - start) * 1e6)
    return [
        Figure(f"pnl() by strategy of {count:,} rows of positions", pnl_ms, "ms"),
        Figure(f"PnlStream.update, {open_positions} rows: median", median(update_us), "us"),
    ]


def _ms(call: Callable[[], object]) -> float:
    """Run a call and return its milliseconds."""
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e3


if __name__ == "__main__":
    for figure in measure():
        print(figure)

"""Replay of real quotes: unchanged, from any supported form, or an error that names the invalid row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fxlive.simulator.market.quotes import Quote
from fxlive.simulator.market.ticks import Replay, TicksError

TICKS = pd.DataFrame(
    {
        "timestamp": pd.to_datetime(
            [
                "2014-05-08T12:30:00.100Z",
                "2014-05-08T12:30:00.100Z",
                "2014-05-08T12:29:59.999Z",
                "2014-05-08T12:30:01Z",
            ],
            format="ISO8601",
        ),
        "symbol": ["EURUSD", "NZDUSD", "EURUSD", "EURUSD"],
        "bid": [1.39147, 0.86605, 1.39146, 1.39151],
        "ask": [1.39148, 0.86613, 1.39149, 1.39150],
    }
)
BASE_MS = 1_399_552_200_000
EXPECTED = [
    (BASE_MS - 1, "EURUSD", 1.39146, 1.39149),
    (BASE_MS + 100, "EURUSD", 1.39147, 1.39148),
    (BASE_MS + 100, "NZDUSD", 0.86605, 0.86613),
    (BASE_MS + 1000, "EURUSD", 1.39151, 1.39150),
]


def replay(ticks: Any, **options: Any) -> list[Quote]:
    return [quote for block in Replay(ticks, **options) for quote in block]


@pytest.mark.parametrize("name", ["ticks.csv", "ticks.csv.gz", "ticks.parquet"])
def test_a_file_is_replayed_in_time_order_with_crossed_quotes_unchanged(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("parquet"):
        TICKS.to_parquet(path)
    else:
        TICKS.assign(timestamp=TICKS.timestamp.dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ")).to_csv(path, index=False)

    assert replay(path) == EXPECTED
    assert replay(str(path)) == EXPECTED


@pytest.mark.parametrize(
    "form",
    [
        lambda f: f,
        lambda f: f.set_index("timestamp"),
        lambda f: f.assign(timestamp=f.timestamp.dt.tz_localize(None)),
        lambda f: f.assign(timestamp=f.timestamp.dt.tz_convert("Asia/Tokyo")),
        lambda f: f.assign(timestamp=f.timestamp.dt.as_unit("ns")),
        lambda f: f.assign(timestamp=f.timestamp.dt.as_unit("ms").astype("int64")),
        lambda f: f.assign(symbol=f.symbol.astype("category"), bid=f.bid.astype(str)),
        lambda f: f.assign(extra=1)[["extra", "ask", "bid", "symbol", "timestamp"]],
    ],
    ids=["plain", "index", "naive", "tokyo", "ns", "milliseconds", "category", "columns"],
)
def test_a_frame_is_replayed_whatever_its_index_dtypes_and_column_order(form: Any) -> None:
    assert replay(form(TICKS)) == EXPECTED


def test_a_replay_can_be_limited_to_symbols() -> None:
    assert replay(TICKS, symbols=["NZDUSD"]) == [EXPECTED[2]]
    with pytest.raises(TicksError, match="GBPUSD"):
        Replay(TICKS, symbols=["GBPUSD"])


@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (lambda f: f.drop(columns="ask"), "Ticks need the columns timestamp, symbol, bid, ask. Missing: ask."),
        (lambda f: f.iloc[:0], "No ticks found."),
        (lambda f: f.assign(bid=[1.1, None, 1.2, 1.3]), "Row 1: bid must be a positive number, got nan."),
        (lambda f: f.assign(ask=[1.1, 1.2, 0.0, 1.3]), "Row 2: ask must be a positive number, got 0.0."),
        (lambda f: f.assign(timestamp=["x", "y", "z", "w"]), "Column timestamp: a value is not a time: "),
        (lambda f: f.assign(timestamp=f.timestamp.where(f.index != 3)), "Row 3: timestamp is missing."),
        (lambda f: f.assign(symbol=["EURUSD", None, "A", "B"]), "Row 1: symbol is missing."),
        (lambda f: f.assign(symbol=["EURUSD", 'A"B', "A", "B"]), "Invalid symbol 'A\"B'. Use printable characters "),
    ],
    ids=["column", "empty", "price", "zero", "time", "nat", "symbol", "quote"],
)
def test_invalid_ticks_are_an_error_that_names_the_row_or_column(corrupt: Any, message: str) -> None:
    with pytest.raises(TicksError) as error:
        Replay(corrupt(TICKS))

    assert str(error.value).startswith(message)


def test_a_missing_or_unreadable_file_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(TicksError, match=r"Tick file not found: .*missing\.csv"):
        Replay(tmp_path / "missing.csv")
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    with pytest.raises(TicksError, match=r"Could not read bad\.parquet as CSV"):
        Replay(tmp_path / "bad.parquet")

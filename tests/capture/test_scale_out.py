"""Analytics over a capture on a Dask cluster of two workers give the results of one process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import fxlive
from fxlive.analytics.bars import bars
from fxlive.analytics.execution import execution
from fxlive.analytics.market import spread_profile
from fxlive.analytics.pnl import pnl
from fxlive.capture.writing.recorder import Recorder
from fxlive.wire.protocol import decode
from tests.capture.recordings import DAY_US, MAY_8, quote, quotes, trade

dask, distributed = (pytest.importorskip(name) for name in ("dask", "distributed"))

# dask 2026.8 calls pandas 3.1 in a deprecated way.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")

DAYS, A_DAY = 4, 5_000
SYMBOLS = ["EURUSD", "NZDUSD"]


@pytest.fixture(scope="module")
def client() -> Iterator[object]:
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", host="127.0.0.1"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def fill(number: int) -> bytes:
    side = {"action": ["BUY", "SELL"][number % 2], "symbol": ["EURUSD", "NZDUSD"][number // 300 % 2]}
    cost = {"openPrice": 1.385, "volume": 0.1, "commission": 0.07, "profit": 1.5, "status": "CLOSED"}
    return trade(DAYS * A_DAY + number, ticket=number // 600, **side, **cost)


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> fxlive.Capture:
    """A few days of quotes, one file per day; one quote has an undocumented field."""
    with Recorder(tmp_path_factory.mktemp("captures"), name="default", url="memory:") as recorder:
        for day in range(DAYS):
            start = day * A_DAY
            for first in range(start, start + A_DAY, 500):
                recorder.put(quotes(first, first + 500, MAY_8 + day * DAY_US))
            recorder.put(decode([fill(start + n) for n in range(100, 4_000, 300)], MAY_8 + day * DAY_US, start))
        recorder.put(decode([quote(DAYS * A_DAY, liquidity=2.5)], MAY_8 + (DAYS - 1) * DAY_US))
    return fxlive.open_capture(recorder.path)


def spread_by_symbol(quotes: pd.DataFrame) -> pd.DataFrame:
    """A function of a frame, not written for a cluster."""
    spread = (quotes["ask"] - quotes["bid"]).groupby(quotes["symbol"], observed=True)
    return spread.agg(["size", "sum", "max"])


def _empty(capture: fxlive.Capture) -> pd.DataFrame:
    return capture.frame("market-data", last=0)


def test_a_groupby_gives_the_result_of_one_process(client: object, capture: fxlive.Capture) -> None:
    lazy, whole = capture.dask("market-data"), capture.frame("market-data")
    assert lazy.npartitions == DAYS

    found = lazy.groupby("symbol", observed=True)["bid"].agg(["count", "mean", "min", "max"]).compute()

    expected = whole.groupby("symbol", observed=True)["bid"].agg(["count", "mean", "min", "max"])
    expected.index, found.index = expected.index.astype("str"), found.index.astype("str")
    pd.testing.assert_frame_equal(found.sort_index(), expected.sort_index(), check_names=False)


def test_a_function_of_frames_runs_on_each_partition(client: object, capture: fxlive.Capture) -> None:
    parts = capture.dask("market-data").map_partitions(spread_by_symbol, meta=spread_by_symbol(_empty(capture)))

    together = parts.compute().groupby(level=0, observed=True)
    expected = spread_by_symbol(capture.frame("market-data"))
    assert together["size"].sum().to_dict() == expected["size"].to_dict()
    assert together["max"].max().to_dict() == expected["max"].to_dict()
    assert np.allclose(together["sum"].sum().sort_index(), expected["sum"].sort_index())


def of_symbol(lazy: Any, symbol: str) -> Any:
    """Return the rows of a symbol in the order of arrival, as one partition."""
    return lazy[lazy["symbol"] == symbol].repartition(npartitions=1)


def test_bars_and_spreads_of_each_symbol_equal_those_of_one_process(client: object, capture: fxlive.Capture) -> None:
    lazy, whole = capture.dask("market-data"), capture.frame("market-data")
    lazily = {s: of_symbol(lazy, s).map_partitions(bars, "1s", meta=bars(_empty(capture), "1s")) for s in SYMBOLS}
    for symbol, found in zip(SYMBOLS, dask.compute(*lazily.values()), strict=True):
        pd.testing.assert_frame_equal(found, bars(whole[whole["symbol"] == symbol], "1s"), check_exact=True)
        assert len(found) > 10

    hours = [dask.delayed(spread_profile)(of_symbol(lazy, symbol)) for symbol in SYMBOLS]
    found = pd.concat(dask.compute(*hours))
    expected = spread_profile(whole)
    assert found.reset_index().to_dict("records") == expected.reset_index().to_dict("records")


def test_executions_of_each_symbol_and_the_total_pnl_equal_those_of_one_process(
    client: object, capture: fxlive.Capture
) -> None:
    quoted, traded, held = (capture.dask(name) for name in ("market-data", "trades", "positions"))
    fills = [dask.delayed(execution)(of_symbol(traded, s), None, of_symbol(quoted, s)) for s in SYMBOLS]
    total = dask.delayed(pnl)(held.repartition(npartitions=1), traded.repartition(npartitions=1))
    *parts, found = dask.compute(*fills, total)

    expected = execution(capture.frame("trades"), None, capture.frame("market-data")).set_index("execution_id")
    together = pd.concat(parts).set_index("execution_id").loc[expected.index]
    numbers = ["slippage_pips", "slippage", "spread_pips", "markout_1s_pips"]
    pd.testing.assert_frame_equal(together[numbers], expected[numbers], check_exact=True)
    assert expected["slippage_pips"].notna().sum() > 10
    pd.testing.assert_frame_equal(found, pnl(capture.frame("positions"), capture.frame("trades")), check_exact=True)


def test_a_lazy_frame_instead_of_a_frame_is_an_error_that_says_how_to_convert_it(capture: fxlive.Capture) -> None:
    with pytest.raises(fxlive.InvalidFrame, match=r"quotes must be a pandas DataFrame, got dask .*compute\(\)"):
        bars(capture.dask("market-data"), "1s")


def test_the_workers_read_the_files(client: object, capture: fxlive.Capture) -> None:
    by_worker = capture.dask("market-data").map_partitions(_where_it_ran, meta=("pid", "int64")).compute()
    assert len(by_worker) == DAYS
    assert os.getpid() not in set(by_worker)


def _where_it_ran(part: pd.DataFrame) -> pd.Series:
    assert len(part) >= A_DAY
    assert part.index.name == "timestamp"
    return pd.Series([os.getpid()], name="pid")


def test_a_capture_at_a_time_is_the_same_on_the_cluster(client: object, capture: fxlive.Capture) -> None:
    then = capture.at(pd.Timestamp(MAY_8 + DAY_US, unit="us", tz="UTC"))
    assert then.dask("market-data")["volume"].sum().compute() == then.frame("market-data")["volume"].sum()


def test_the_captures_of_a_folder_are_read_as_one_on_the_cluster(client: object, capture: fxlive.Capture) -> None:
    both = fxlive.open_capture(Path(capture.path).parent)
    assert both.dask("market-data")["liquidity"].count().compute() == 1

"""A real day of ticks is the same live, recorded and replayed, value by value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fxlive
from fxlive.simulator.market.quotes import QuoteBook
from tests.capture.recordings import MAY_8
from tests.capture.sessions import bring_all, equal, path_of, recorded
from tests.handmade import clean_slate  # noqa: F401

TICKS = Path(__file__).parents[2] / "shared" / "data" / "ticks" / "fxcm-2014-05-08.csv.gz"


@pytest.mark.skipif(not TICKS.exists(), reason="The file of real ticks is missing.")
def test_a_real_day_is_the_same_live_recorded_and_replayed(tmp_path: Path) -> None:
    ticks = pd.read_csv(TICKS)
    stamps_ms = pd.DatetimeIndex(pd.to_datetime(ticks["timestamp"])).as_unit("ms").asi8.tolist()
    book = QuoteBook()
    day = zip(stamps_ms, ticks["symbol"], ticks["bid"], ticks["ask"], strict=True)
    frames = [book.message(*tick, number) for number, tick in enumerate(day)]
    with recorded(tmp_path) as session:
        bring_all(session, frames, 1_000, 37, at=MAY_8)
    live = session.frame("market-data")
    capture = fxlive.open_capture(path_of(session))
    with fxlive.replay(path_of(session), speed=None) as replayed:
        replayed.wait_until_end(timeout=300)

    assert len(live) == len(ticks)
    assert np.array_equal(live["bid"], ticks["bid"])
    equal(capture.frame("market-data"), live)
    equal(replayed.frame("market-data"), live)
    for other in (capture, replayed):
        equal(other.latest("market-data"), session.latest("market-data"))
        assert other.gaps().empty
        assert other.rejected().empty
    sums = capture.sql(
        "select symbol, count(*) as n, sum(bid) as bids from market_data group by symbol order by symbol"
    )
    expected = ticks.groupby("symbol")["bid"].agg(["size", "sum"]).sort_index()
    assert sums["n"].tolist() == expected["size"].tolist()
    assert sums["bids"].tolist() == pytest.approx(expected["sum"].tolist())

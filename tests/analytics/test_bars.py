from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxlive.analytics.bars import Bars, BarStream, bars, range_bars, tick_bars
from fxlive.core.instruments import Instrument, Instruments
from fxlive.errors import InvalidFrame, UnknownColumn, UnknownOption
from tests.analytics.frames import T0, S, index, quotes, real_day

DTYPES = {
    "open": "float64",
    "high": "float64",
    "low": "float64",
    "close": "float64",
    "ticks": "int64",
    "spread_pips": "float64",
    "complete": "bool",
}
NEW_YORK = "17:00 America/New_York"


def arrays(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return frame.index.asi8, frame["bid"].to_numpy(), frame["ask"].to_numpy()


def together(updates: list[Bars]) -> pd.DataFrame:
    """Return the bars that a chart has after these updates: a bar replaces the former one of the same start."""
    bars_by_start: dict[int, tuple[Any, ...]] = {}
    for update in updates:
        rows = list(zip(*(column.tolist() for column in update), strict=True))
        assert [row[0] for row in rows] == sorted({row[0] for row in rows})
        bars_by_start.update({row[0]: row for row in rows})
    columns = list(zip(*bars_by_start.values(), strict=True)) or [()] * 8
    return Bars._make(np.array(c, d) for c, d in zip(columns, (np.int64, *DTYPES.values()), strict=True)).frame()


def expected_bars(frame: pd.DataFrame, span: int) -> dict[int, list[float]]:
    """Compute bars quote by quote, as the docstring defines them: open, high, low, close, ticks, spread."""
    quotes_by_start: dict[int, list[Any]] = {}
    for time, bid, ask in zip(*(a.tolist() for a in arrays(frame)), strict=True):
        mid, start = (bid + ask) / 2, time // span * span
        if math.isnan(mid) or (quotes_by_start and start < max(quotes_by_start)):
            continue
        quotes_by_start.setdefault(start, []).append((time, mid, ask - bid))
    result = {}
    for start, rows in quotes_by_start.items():
        in_time = sorted(rows, key=lambda row: row[0])
        prices = [mid for _, mid, _ in rows]
        spread = sum(s for _, _, s in rows) / len(rows) / 0.0001
        result[start] = [in_time[0][1], max(prices), min(prices), in_time[-1][1], len(rows), spread]
    return result


wild_quotes = st.lists(
    st.tuples(
        st.integers(0, 200).map(lambda n: n / 10),  # many equal times, in no order
        st.one_of(st.just(float("nan")), st.integers(108_000, 108_100).map(lambda n: n / 1e5)),
        st.integers(107_990, 108_110).map(lambda n: n / 1e5),  # some are crossed
    ),
    max_size=60,
)


@given(rows=wild_quotes, cuts=st.lists(st.integers(0, 60)), freq=st.sampled_from(["100ms", "1s", "7s", "1D"]),
       price=st.sampled_from(["mid", "bid", "ask"]), in_order=st.booleans(),
       day_start=st.sampled_from([None, NEW_YORK]))  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_a_stream_gives_the_same_bars_bit_for_bit_however_the_quotes_are_divided(
    rows: list[Any], cuts: list[int], freq: str, price: Any, in_order: bool, day_start: str | None
) -> None:
    frame = quotes(sorted(rows, key=lambda row: row[0]) if in_order else rows)
    times, bid, ask = arrays(frame)
    stream, updates, done = BarStream(freq, price, day_start=day_start), [], 0
    for cut in [*sorted(cuts), len(frame)]:
        part = slice(done, max(done, min(cut, len(frame))))
        done = part.stop
        updates.append(stream.update(times[part], bid[part], ask[part]))
        whole = bars(frame.iloc[:done], freq, price, day_start=day_start)
        pd.testing.assert_frame_equal(together(updates), whole, check_exact=True)
        assert stream.late == whole.attrs["late"]
        assert not len(whole) or whole["complete"].tolist() == [True] * (len(whole) - 1) + [False]


@given(rows=wild_quotes)
@settings(max_examples=60, deadline=None)
def test_bars_equal_a_computation_quote_by_quote(rows: list[Any]) -> None:
    result = bars(quotes(rows), "2s")
    expected = expected_bars(quotes(rows), 2 * S)
    assert result.index.asi8.tolist() == list(expected)
    columns = ["open", "high", "low", "close", "ticks"]
    assert result[columns].to_numpy().tolist() == [row[:5] for row in expected.values()]
    np.testing.assert_allclose(result["spread_pips"], [row[5] for row in expected.values()], atol=1e-6)
    assert result["ticks"].sum() + result.attrs["late"] == quotes(rows)[["bid", "ask"]].notna().all(axis=1).sum()


@pytest.mark.parametrize("freq", ["1s", "5min", "1h"])
@pytest.mark.parametrize("price", ["mid", "bid"])
def test_bars_of_a_real_day_equal_those_of_pandas_resample(freq: str, price: Any) -> None:
    day = real_day()
    frame = day[day["symbol"] == "EURUSD"]
    prices = (frame["bid"] + frame["ask"]) / 2 if price == "mid" else frame["bid"]
    expected = prices.resample(freq).ohlc()
    expected["ticks"] = prices.resample(freq).count()
    expected["spread_pips"] = ((frame["ask"] - frame["bid"]) / 0.0001).resample(freq).mean()
    not_empty = expected.dropna()
    result = bars(frame, freq, price)
    pd.testing.assert_frame_equal(
        result[["open", "high", "low", "close", "ticks"]],
        not_empty[["open", "high", "low", "close", "ticks"]],
        check_exact=True,
        check_freq=False,
    )
    np.testing.assert_allclose(result["spread_pips"], not_empty["spread_pips"], atol=1e-6)
    filled = bars(frame, freq, price, fill=True)
    assert filled.index.equals(expected.index)
    assert filled["close"].tolist() == expected["close"].ffill().tolist()
    assert filled["ticks"].tolist() == expected["ticks"].tolist()


def test_the_spread_of_the_references_sample_quote_is_a_tenth_of_a_pip() -> None:
    [bar] = bars(quotes([(0, 1.08500, 1.08501)]), "1min", "bid").itertuples()
    assert (bar.open, bar.high, bar.low, bar.close, bar.ticks, bar.complete) == (1.085, 1.085, 1.085, 1.085, 1, False)
    assert bar.spread_pips == 0.1
    yen = bars(quotes([(0, 151.20, 151.213)], "USDJPY"), "1min")
    assert yen["spread_pips"].tolist() == [1.3]
    odd = Instruments({"EURUSD": Instrument("EURUSD", "EUR", "USD", 0.001)})
    assert bars(quotes([(0, 1.08500, 1.08501)]), "1min", instruments=odd)["spread_pips"].tolist() == [0.01]


def test_open_and_close_follow_the_timestamps_and_for_equal_ones_the_order_of_arrival() -> None:
    result = bars(quotes([(1, 1.2, 1.2), (0, 1.1, 1.1), (0, 1.0, 1.0), (1, 1.3, 1.3), (0.5, 1.4, 1.4)]), "5s", "bid")
    assert result[["open", "high", "low", "close"]].to_numpy().tolist() == [[1.1, 1.4, 1.0, 1.3]]


def test_a_late_quote_does_not_change_a_complete_bar_and_is_counted() -> None:
    result = bars(quotes([(0, 1.0, 1.0), (5, 1.1, 1.1), (1, 9.9, 9.9), (6, 1.2, 1.2)]), "5s", "bid")
    assert result["high"].tolist() == [1.0, 1.2]
    assert result["ticks"].tolist() == [1, 2]
    assert result.attrs["late"] == 1


def test_a_period_without_quotes_has_no_bar_unless_bars_are_filled() -> None:
    rows = [(0, 1.0, 1.1), (11, 1.2, 1.3)]
    assert bars(quotes(rows), "5s").index.asi8.tolist() == [T0, T0 + 10 * S]
    filled = bars(quotes(rows), "5s", "bid", fill=True)
    assert filled[["open", "high", "low", "close"]].to_numpy().tolist() == [[1.0] * 4, [1.0] * 4, [1.2] * 4]
    assert filled["ticks"].tolist() == [1, 0, 1]
    assert filled["complete"].tolist() == [True, True, False]
    assert math.isnan(filled["spread_pips"].iloc[1])


def test_one_timestamp_far_in_the_future_does_not_exhaust_the_memory() -> None:
    frame = quotes([(0, 1.0, 1.1), (3e9, 1.0, 1.1)])
    assert len(bars(frame, "1s")) == 2
    for day_start in (None, NEW_YORK):
        with pytest.raises(InvalidFrame, match="spans more than 50,000,000 bars"):
            bars(frame, "1s", fill=True, day_start=day_start)


def test_a_trading_day_begins_at_17_00_in_new_york_in_summer_and_winter() -> None:
    times = pd.DatetimeIndex(
        ["2024-03-08T21:59Z", "2024-03-08T22:01Z", "2024-03-11T20:59Z", "2024-03-11T21:01Z", "2024-03-12T01:30Z"]
    )
    frame = quotes([(0, 1.0 + n, 1.0 + n) for n in range(5)]).set_index(times)
    days = bars(frame, "1D", "bid", day_start=NEW_YORK)
    local = days.index.tz_convert("America/New_York")
    assert [str(t)[:16] for t in local] == [
        "2024-03-07 17:00",
        "2024-03-08 17:00",
        "2024-03-10 17:00",
        "2024-03-11 17:00",
    ]
    assert days["ticks"].tolist() == [1, 1, 1, 2]
    four = bars(frame, "4h", "bid", fill=True, day_start=NEW_YORK)
    assert str(four.index[-1]) == "2024-03-12 01:00:00+00:00"
    assert not four.index.has_duplicates
    assert four.index.is_monotonic_increasing
    # On the day that is one hour short, the last bar is 3 h long.
    assert set(np.diff(four.index.asi8) // (3600 * S)) == {3, 4}


def test_tick_bars_have_an_equal_number_of_quotes() -> None:
    result = tick_bars(quotes([(n, 1.0 + n / 100, 1.0 + n / 100) for n in range(5)]), 2)
    assert result["ticks"].tolist() == [2, 2, 1]
    assert result["complete"].tolist() == [True, True, False]
    assert result["open"].tolist() == [1.0, 1.02, 1.04]
    assert result["close"].tolist() == [1.01, 1.03, 1.04]
    assert result.dtypes.astype(str).to_dict() == DTYPES


@given(rows=wild_quotes, pips=st.sampled_from([0.5, 3, 1000]))
@settings(max_examples=60, deadline=None)
def test_a_range_bar_ends_with_the_quote_that_reaches_its_range(rows: list[Any], pips: float) -> None:
    frame = quotes(rows)
    result = range_bars(frame, pips, "bid")
    expected: list[list[float]] = []
    ended = True
    for bid in frame["bid"].dropna():
        if ended:
            expected.append([])
        expected[-1].append(bid)
        ended = max(expected[-1]) - min(expected[-1]) >= pips * 0.0001 - 1e-12
    assert result["ticks"].tolist() == [len(bar) for bar in expected]
    assert result["high"].tolist() == [max(bar) for bar in expected]
    assert result["complete"].tolist() == [True] * (len(result) - 1) + [ended] * min(len(result), 1)


def test_without_quotes_the_bars_are_empty_with_all_columns() -> None:
    no_rows = quotes([])
    no_prices = quotes([(0, float("nan"), float("nan"))])
    for frame in (no_rows, no_prices):
        for result in (bars(frame, "1s"), bars(frame, "1s", fill=True), tick_bars(frame, 5), range_bars(frame, 5)):
            assert result.empty
            assert result.dtypes.astype(str).to_dict() == DTYPES
            assert str(result.index.dtype) == "datetime64[us, UTC]"
            assert result.index.name == "timestamp"


def test_a_quote_without_ask_counts_in_bars_of_the_bid() -> None:
    frame = quotes([(0, 1.0, float("nan")), (1, 1.1, 1.1002)])
    assert bars(frame, "5s", "bid")["ticks"].tolist() == [2]
    assert bars(frame, "5s", "bid")["spread_pips"].tolist() == [2.0]
    assert bars(frame, "5s")["ticks"].tolist() == [1]
    assert math.isnan(bars(frame.iloc[:1], "5s", "bid")["spread_pips"].iloc[0])


def test_bars_can_use_the_last_price() -> None:
    frame = quotes([(0, 1.0, 1.2), (1, 1.0, 1.2)]).assign(last=[1.05, 1.15])
    assert bars(frame, "5s", "last")[["open", "close"]].to_numpy().tolist() == [[1.05, 1.15]]
    with pytest.raises(UnknownColumn, match="'last'"):
        bars(frame.drop(columns="last"), "5s", "last")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda f: f.assign(symbol=["EURUSD", "USDJPY"]), InvalidFrame, "must have one symbol, got EURUSD, USDJPY"),
        (lambda f: f.assign(symbol=["EURUSD", None]), InvalidFrame, "must have one symbol"),
        (lambda f: f.drop(columns="ask"), UnknownColumn, "Unknown column 'ask' of quotes"),
        (lambda f: f.tz_localize(None), InvalidFrame, "without a time zone"),
        (lambda f: f.reset_index(), InvalidFrame, "must be indexed by timestamps"),
        (lambda f: f.set_index(pd.DatetimeIndex([pd.NaT, pd.NaT], tz="UTC")), InvalidFrame, "without a timestamp"),
    ],
)
def test_an_invalid_frame_of_quotes_raises_an_error_that_names_the_defect(
    change: Any, error: type[Exception], message: str
) -> None:
    for function in (lambda f: bars(f, "1s"), lambda f: tick_bars(f, 2), lambda f: range_bars(f, 2)):
        with pytest.raises(error, match=message):
            function(change(quotes([(0, 1.0, 1.1), (1, 1.0, 1.1)])))


@pytest.mark.parametrize("freq", ["2D", "soon", "0s", "-1s", "100ns"])
def test_the_length_of_a_bar_must_be_a_duration_of_at_most_a_day(freq: str) -> None:
    with pytest.raises(UnknownOption, match="freq must be"):
        bars(quotes([]), freq)


@pytest.mark.parametrize(
    "call",
    [
        lambda q: bars(q, "1s", "middle"),
        lambda q: tick_bars(q, 2, "middle"),
        lambda q: tick_bars(q, 0),
        lambda q: range_bars(q, 0),
        lambda q: range_bars(q, float("nan")),
        lambda q: bars(q, "1s", day_start="five"),
        lambda q: bars(q, "1s", day_start="17:00 Mars/Olympus"),
        lambda q: BarStream("1s", "last").update(*arrays(q)),
    ],
)
def test_an_invalid_option_raises_an_error_that_lists_the_valid_values(call: Any) -> None:
    with pytest.raises(UnknownOption, match="must be"):
        call(quotes([(0, 1.0, 1.1)]))


def test_the_time_zone_and_unit_of_the_index_do_not_matter() -> None:
    frame = quotes([(0, 1.0, 1.1), (1, 1.0, 1.1)])
    elsewhere = frame.set_index(frame.index.tz_convert("Asia/Tokyo").as_unit("ns"))
    pd.testing.assert_frame_equal(bars(elsewhere, "1s"), bars(frame, "1s"))
    assert bars(frame, "1s").index.equals(index([T0, T0 + S]))


def test_bars_of_a_symbol_without_a_known_pip_have_prices_but_no_spread() -> None:
    frame = quotes([(0, 2000.0, 2000.3), (1, 2000.1, 2000.4)], "XAUUSD")
    for result in (bars(frame, "1s"), tick_bars(frame, 1)):
        assert result["close"].tolist() == pytest.approx([2000.15, 2000.25])
        assert result["spread_pips"].isna().all()
    with pytest.raises(InvalidFrame, match="give its pip"):
        range_bars(frame, 1)
    gold = Instruments({"XAUUSD": Instrument("XAUUSD", "XAU", "USD", pip=0.1, contract_size=100)})
    assert bars(frame, "1s", instruments=gold)["spread_pips"].tolist() == pytest.approx([3, 3])


@pytest.mark.parametrize("ahead", [2 * 60 * S, 3600 * S, 31_536_000 * S])
def test_a_quote_far_ahead_of_the_others_makes_no_bar_and_makes_no_other_quote_late(ahead: int) -> None:
    rows = [(n, 1.0 + n, 1.0 + n) for n in range(10)]
    expected = bars(quotes(rows), "1s", fill=True)
    frame = quotes([*rows[:5], (4 + ahead / S, 9.99, 9.99), *rows[5:]])
    frame["received_at"] = index([T0 + n * S for n in (0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9)])
    pd.testing.assert_frame_equal(bars(frame, "1s", fill=True), expected)
    assert len(tick_bars(frame, 1)) == 10
    assert range_bars(frame, 1)["high"].max() == 10.0

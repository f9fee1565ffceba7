"""The rolling table: its window, its columns and its memory."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxlive.tables.columns.vocabulary import Vocabulary
from fxlive.tables.table import RollingTable
from fxlive.wire.channels import CHANNELS
from tests.frames import assert_equal
from tests.samples import ALERT, T0_US, TRADE, message
from tests.tables.model import RandomMessages, TableModel
from tests.tables.rows import alerts, numbers, quote, quotes, rows_of, table_of

steps = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.one_of(st.integers(1, 12), st.integers(1, 12), st.integers(1, 400)),
        st.sampled_from([0, 0, 0.3]),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(
    steps=steps,
    seed=st.integers(0, 2**32),
    pair=st.sampled_from(
        [("alerts", "trades"), ("positions", "trades"), ("orders", "market-data"), ("analytics", "system")]
    ),
    max_rows=st.sampled_from([1, 7, 100, 300, 1_000_000]),
    window_us=st.sampled_from([None, None, 0, 100_000, 3_000_000]),
    jitter_us=st.sampled_from([0, 200_000]),
    drift=st.booleans(),
)
def test_a_rolling_table_behaves_like_a_list_of_dicts(
    steps: list[tuple[int, int, float]],
    seed: int,
    pair: tuple[str, str],
    max_rows: int,
    window_us: int | None,
    jitter_us: int,
    drift: bool,
) -> None:
    symbols, names = Vocabulary(), []
    tables = [RollingTable(CHANNELS[c], max_rows=max_rows, window_us=window_us, symbols=symbols) for c in pair]
    models = [TableModel(CHANNELS[c], names, max_rows, window_us) for c in pair]
    source = RandomMessages(seed, drift=drift, jitter_us=jitter_us)
    earlier = []
    for which, size, missing in steps:
        messages = [source.message(pair[which], missing) for _ in range(size)]
        tables[which].append(rows_of(*(sent for sent, _ in messages)))
        models[which].append([row for _, row in messages])
        for table, model in zip(tables, models, strict=True):
            frame = table.frame()
            assert_equal(frame, model.frame())
            earlier.append((frame, frame.copy(), table.frame(table.stop - 3), table.frame(table.stop - 3).copy()))
            assert (len(table), table.columns) == (len(frame), list(frame.columns))
            assert_equal(table.latest(), model.latest_frame())
    for frame, copied, tail, tail_copied in earlier:
        assert_equal(frame, copied)
        assert_equal(tail, tail_copied)


@settings(max_examples=15, deadline=None)
@given(sizes=st.lists(st.integers(1, 2_000), min_size=2, max_size=6), max_rows=st.sampled_from([1, 500, 1_500, 2_600]))
def test_large_batches_roll_like_small_ones(sizes: list[int], max_rows: int) -> None:
    table = RollingTable(CHANNELS["market-data"], max_rows=max_rows)
    stop, earlier = 0, []
    for size in sizes:
        table.append(quotes(stop, stop + size))
        stop += size
        frame = table.frame()
        earlier.append((frame, stop))
        assert numbers(frame) == list(range(max(0, stop - max_rows), stop))
        assert list(frame["id"]) == [f"m{number}" for number in numbers(frame)]
    for frame, stop_then in earlier:
        assert numbers(frame) == list(range(max(0, stop_then - max_rows), stop_then))
        assert list(frame["id"]) == [f"m{number}" for number in numbers(frame)]


def test_all_columns_of_a_large_window_roll_together() -> None:
    table, cycle = RollingTable(CHANNELS["alerts"], max_rows=3_000), alerts(0, 1_000)
    for start in range(0, 9_000, 25):
        table.append(cycle.take(range(start % 1_000, start % 1_000 + 25)))
        if start % 75 == 0:
            continue  # not every append is followed by a frame
        frame = table.frame()
        frame = frame.iloc[-30:] if start % 1_000 else frame
        expected = [row % 1_000 for row in range(start + 25 - len(frame), start + 25)]

        assert len(table) == min(start + 25, 3_000)
        assert (frame.index.asi8 - T0_US).tolist() == [i * 1_000 for i in expected]
        assert frame["alert_id"].tolist() == [f"a{i}" for i in expected]
        assert frame["title"].fillna("-").tolist() == ["-" if i % 7 == 3 else f"t{i}" for i in expected]
        assert frame["severity"].tolist() == [f"S{i % 5}" for i in expected]
        assert frame["threshold"].fillna(-1).tolist() == [-1 if i % 5 == 4 else i for i in expected]
        assert frame["flag"].tolist() == [i % 2 == 0 for i in expected]
        assert frame["score"].tolist() == [i / 2 for i in expected]
        assert frame["actions"].tolist() == [(f"x{i}",) for i in expected]


def test_appending_row_by_row_equals_appending_one_batch() -> None:
    rows = quotes(0, 700)
    in_one_batch = RollingTable(CHANNELS["market-data"], max_rows=300)
    row_by_row = RollingTable(CHANNELS["market-data"], max_rows=300)
    in_one_batch.append(rows)
    for row in range(700):
        row_by_row.append(rows.take([row]))

    assert_equal(row_by_row.frame(), in_one_batch.frame())
    assert_equal(row_by_row.latest(), in_one_batch.latest())


# The window.


def test_a_time_window_evicts_the_rows_before_the_first_one_in_it() -> None:
    table = RollingTable(CHANNELS["market-data"], window_us=10_000)
    table.append(rows_of(quote(100), quote(50), quote(99), quote(104), quote(60)))

    assert numbers(table.frame()) == [100, 50, 99, 104, 60]  # an old row after a row in the window stays
    table.append(rows_of(quote(105)))
    assert numbers(table.frame()) == [100, 50, 99, 104, 60, 105]
    table.append(rows_of(quote(111)))
    assert numbers(table.frame()) == [104, 60, 105, 111]


def test_a_late_row_does_not_move_the_window_back() -> None:
    table = RollingTable(CHANNELS["market-data"], window_us=10_000)
    table.append(rows_of(quote(100)))
    table.append(rows_of(quote(10)))
    table.append(rows_of(quote(200)))
    table.append(rows_of(quote(20)))

    assert numbers(table.frame()) == [200, 20]


def test_a_row_exactly_as_old_as_the_window_is_kept() -> None:
    table = RollingTable(CHANNELS["market-data"], window_us=10_000)
    table.append(rows_of(quote(0), quote(1), quote(11)))

    assert numbers(table.frame()) == [1, 11]


def test_a_frame_may_start_at_a_row_number() -> None:
    table = RollingTable(CHANNELS["market-data"], max_rows=10)
    table.append(quotes(0, 4))
    before = table.stop
    table.append(quotes(4, 9))

    assert numbers(table.frame(before)) == [4, 5, 6, 7, 8]
    assert numbers(table.frame(table.stop)) == []
    assert numbers(table.frame(table.stop + 5)) == []
    table.append(quotes(9, 30))
    assert numbers(table.frame(before)) == list(range(20, 30))  # evicted rows are left out


def test_values_equal_those_of_the_frame_and_are_read_only() -> None:
    table = RollingTable(CHANNELS["market-data"], max_rows=10)
    for start in range(0, 40, 4):
        table.append(quotes(start, start + 4))
        stop, [stamps, symbols, bid] = table.values(None, "timestamp", "symbol", "bid")
        frame = table.frame()
        assert stop == table.stop
        assert stamps.tolist() == frame.index.asi8.tolist()  # type: ignore[attr-defined]
        assert bid.tolist() == frame["bid"].tolist()
        assert (symbols == table.code("symbol", "EURUSD")).all()
    assert table.values(38, "bid")[1][0].tolist() == frame["bid"].tolist()[-2:]
    assert table.values(0, "bid")[1][0].tolist() == bid.tolist()  # evicted rows are skipped
    assert table.values(99, "bid")[1][0].tolist() == []
    assert table.code("symbol", "USDJPY") is None
    with pytest.raises(ValueError, match="read-only"):
        bid[0] = 0.0


# Categories.


@pytest.mark.parametrize("distinct", [126, 127, 128, 129, 255, 256, 257])
def test_more_categories_than_fit_a_code_width_leave_earlier_values_unchanged(distinct: int) -> None:
    names = [f"S{i:03}" for i in range(distinct)]
    table = RollingTable(CHANNELS["market-data"])
    frames = []
    for start in range(0, distinct, 50):
        table.append(rows_of(*(quote(i, names[i]) for i in range(start, min(start + 50, distinct)))))
        frames.append(table.frame())

    for frame in frames:
        assert list(frame["symbol"]) == names[: len(frame)]
        assert list(frame["symbol"].cat.categories) == names[: len(frame)]
    for start in range(0, distinct, 50):  # known categories
        table.append(rows_of(*(quote(i, names[i]) for i in range(start, min(start + 50, distinct)))))
        assert list(table.frame()["symbol"])[distinct:] == names[: start + 50]
    assert list(table.latest().index) == sorted(names)


def test_two_tables_can_share_a_vocabulary_that_outgrows_each_code_width() -> None:
    symbols = Vocabulary()
    fast = RollingTable(CHANNELS["market-data"], symbols=symbols)
    slow = RollingTable(CHANNELS["trades"], symbols=symbols)
    slow.append(rows_of(message(TRADE, symbol="EURUSD"), message(TRADE, symbol="USDJPY")))
    narrow = slow.frame()
    expected, width = ["EURUSD", "USDJPY"], []
    for stop in (100, 200, 40_000):
        known = len(symbols)
        rows = rows_of(quote(0))
        rows = rows.take([0] * (stop - known))
        rows.values["symbol"] = [f"S{i}" for i in range(known, stop)]
        fast.append(rows)
        assert list(slow.frame()["symbol"]) == expected
        slow.append(rows_of(message(TRADE, symbol=f"S{stop - 1}")))
        expected.append(f"S{stop - 1}")
        assert list(slow.frame()["symbol"]) == expected
        assert slow.frame()["symbol"].dtype == fast.frame()["symbol"].dtype
        width.append(str(slow.frame()["symbol"].cat.codes.dtype))

    assert width == ["int8", "int16", "int32"]
    assert list(narrow["symbol"]) == ["EURUSD", "USDJPY"]
    assert list(narrow["symbol"].cat.categories) == ["EURUSD", "USDJPY"]
    assert list(fast.frame()["symbol"]) == [f"S{i}" for i in range(2, 40_000)]


# Texts and lists.


def test_missing_texts_are_missing_at_any_position() -> None:
    pick = random.Random(5)
    table = RollingTable(CHANNELS["alerts"], max_rows=600)
    expected: list[str | None] = []
    frames = []
    for size in [1, 3, 7, 8, 9, 100, 1, 1, 300, 64, 5, 500, 8, 8, 8, 400]:
        texts = [pick.choice([None, "", "a", "Grüße", "日本"]) if len(expected) > 40 else "t" for _ in range(size)]
        table.append(rows_of(*(message(ALERT, title=text) for text in texts)))
        expected = [*expected, *texts][-600:]
        frames.append((table.frame(), list(expected)))
    for frame, expected_then in frames:
        assert [None if pd.isna(text) else text for text in frame["title"]] == expected_then
        assert frame["title"].isna().sum() == expected_then.count(None)


@pytest.mark.parametrize("missing", [1, 2, 8, 255, 256, 257, 300, 512, 600])
@pytest.mark.parametrize("step", [1, 64])
def test_a_text_after_only_missing_ones_is_not_missing(missing: int, step: int) -> None:
    table = RollingTable(CHANNELS["alerts"], max_rows=400)
    without_text, with_text = rows_of(message(ALERT, title=None)), rows_of(message(ALERT, title="x"))
    is_missing: list[bool] = []
    for rows, count in ((without_text, missing), (with_text, 600), (without_text, 1), (with_text, 600)):
        for start in range(0, count, step):
            size = min(step, count - start)
            table.append(rows.take([0] * size))
            is_missing = [*is_missing, *[rows is without_text] * size][-400:]

            assert table.frame()["title"].isna().tolist() == is_missing
            assert table.frame()["title"].array.__arrow_array__().null_count == is_missing.count(True)
    assert table.latest()["title"].tolist() == ["x"]


def test_a_window_without_missing_texts_is_right_after_one_of_missing_texts() -> None:
    table = RollingTable(CHANNELS["alerts"], max_rows=50)
    table.append(rows_of(*(message(ALERT, title=None) for _ in range(50))))
    for start in range(0, 2_000, 50):
        table.append(rows_of(*(message(ALERT, title=f"t{start + i}") for i in range(50))))

        assert list(table.frame()["title"]) == [f"t{start + i}" for i in range(50)]


def test_lists_are_tuples_and_an_empty_one_is_not_missing() -> None:
    table = table_of(message(ALERT, actions=["A", "B"]), message(ALERT, actions=[]), message(ALERT, actions=None))

    assert table.frame()["actions"].tolist() == [("A", "B"), (), None]


# Failures.


def test_a_batch_that_fails_half_way_leaves_the_table_unchanged() -> None:
    table = table_of(*(message(ALERT, title=f"t{i}", alertId=f"a{i}") for i in range(5)))
    before = table.frame().copy()
    rows = rows_of(message(ALERT, title="late", alertId="z"), message(ALERT, title=None, alertId="y"))
    broken = rows_of(*(message(ALERT, title=None, alertId=f"b{i}", foo=i) for i in range(400)))
    broken.values["actions"] = None  # stands for any failure in the middle, such as a MemoryError
    with pytest.raises(TypeError):
        table.append(broken)

    assert_equal(table.frame().drop(columns="foo"), before)
    assert table.frame()["foo"].isna().all()
    table.append(rows)
    assert list(table.frame()["alert_id"]) == [*(f"a{i}" for i in range(5)), "z", "y"]
    assert table.frame()["title"].fillna("-").tolist() == [*(f"t{i}" for i in range(5)), "late", "-"]
    assert list(table.latest().index) == sorted(["a0", "a1", "a2", "a3", "a4", "z", "y"])


# Memory.


def buffer_size(table: RollingTable) -> int:
    """Return the size of all numpy arrays behind the columns, in bytes."""
    size = 0
    for column in table._columns.values():
        arrays = [v for v in vars(column).values() if isinstance(v, np.ndarray)]
        size += sum(a.nbytes for a in (*arrays, *getattr(column, "_arrays", ())))
    return size


def test_one_huge_text_takes_little_more_memory_than_itself() -> None:
    table = table_of(message(ALERT, title="x" * 5_000_000))
    table.append(rows_of(message(ALERT, title="y")))

    assert table.frame()["title"].str.len().tolist() == [5_000_000, 1]
    assert buffer_size(table) < 4 * 5_000_000


@pytest.mark.parametrize("max_rows", [5_000, 6_300, 9_000])
def test_the_buffers_of_a_rolling_window_take_less_than_1_5_times_its_size(max_rows: int) -> None:
    table = RollingTable(CHANNELS["alerts"], max_rows=max_rows)
    rows = alerts(0, 100)
    most = 0.0
    for start in range(0, 4 * max_rows, 100):
        table.append(rows)
        if start >= max_rows * 3 // 2:
            frame = table.frame()
            window = frame.copy().memory_usage(deep=False, index=True).drop(["title", "alert_id", "id", "note"]).sum()
            texts = sum(8 * len(frame) + frame[n].str.len().sum() for n in ("title", "alert_id", "id", "note"))
            most = max(most, buffer_size(table) / (window + texts))

    assert 1 < most < 1.5


def test_a_time_window_that_shrinks_releases_memory() -> None:
    table = RollingTable(CHANNELS["market-data"], window_us=1_000_000)
    burst = quotes(0, 1).take([0] * 20_000)
    table.append(burst)
    size_before = buffer_size(table)
    table.append(quotes(2_000, 2_001))
    table.append(quotes(2_001, 2_002))

    assert len(table) == 2
    assert buffer_size(table) < size_before / 10

"""`latest`: the newest row of each key, late rows, rows beyond the window, and moves."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxlive.tables.latest import MAX_ENDED, MAX_REMOVED
from fxlive.tables.table import RollingTable
from fxlive.wire.channels import CHANNELS, ID, Channel
from tests.samples import ANALYTICS, COLUMNS, DATA, ORDER, POSITION, SYSTEM, message, stamp
from tests.tables.model import RandomMessages
from tests.tables.rows import numbers, quote, rows_of, table_of


def test_latest_is_sorted_by_key() -> None:
    symbols = table_of(quote(1, "USDJPY"), quote(2, "AUDUSD"), quote(3, "EURUSD"), quote(4, "USDJPY")).latest()
    tickets = table_of(*(message(POSITION, ticket=t) for t in (30, 4, 200))).latest()
    metrics = table_of(*(message(ANALYTICS, type=t, period=p) for t, p in ("BD", "AW", "AD", "BA", "AD"))).latest()

    assert (list(symbols.index), numbers(symbols)) == (["AUDUSD", "EURUSD", "USDJPY"], [2, 3, 4])
    assert list(tickets.index) == [4, 30, 200]
    assert list(metrics.index) == [("A", "D"), ("A", "W"), ("B", "A"), ("B", "D")]


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one by one"])
@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ([(5, "NEW"), (9, "FILLED"), (3, "PENDING")], "FILLED"),
        ([(9, "FILLED"), (9, "PENDING")], "PENDING"),  # equal timestamps: the last row
        ([(9, "PENDING"), (5, "NEW"), (9, "FILLED"), (8, "NEW")], "FILLED"),
        ([(9, "FILLED"), (3, "PENDING"), (10, "NEW")], "NEW"),
    ],
)
def test_latest_is_the_row_with_the_newest_timestamp_also_if_an_older_one_is_late(
    sent: list[tuple[int, str]], expected: str, together: bool
) -> None:
    table = RollingTable(CHANNELS["orders"])
    rows = rows_of(*(message(ORDER, {"timestamp": stamp(at)}, status=status) for at, status in sent))
    for indices in [range(len(sent))] if together else [[index] for index in range(len(sent))]:
        table.append(rows.take(indices))

    assert table.latest()["status"].tolist() == [expected]


def test_a_late_row_does_not_replace_a_newer_one_beyond_the_window() -> None:
    table = RollingTable(CHANNELS["orders"], max_rows=2)
    table.append(rows_of(message(ORDER, {"timestamp": stamp(5)}, orderId="a", status="WORKING")))
    table.append(rows_of(*(message(ORDER, {"timestamp": stamp(6)}, orderId="x") for _ in range(5))))
    table.append(rows_of(message(ORDER, {"timestamp": stamp(4)}, orderId="a", status="PENDING")))
    assert table.latest()["status"]["a"] == "WORKING"
    table.append(rows_of(message(ORDER, {"timestamp": stamp(5)}, orderId="a", status="FILLED")))
    assert table.latest()["status"]["a"] == "FILLED"


def test_a_late_row_does_not_reopen_an_order_that_has_ended_and_left_the_window() -> None:
    table = RollingTable(CHANNELS["orders"], max_rows=2)
    table.append(rows_of(message(ORDER, {"timestamp": stamp(5)}, orderId="a", status="FILLED")))
    table.append(rows_of(*(message(ORDER, {"timestamp": stamp(6)}, orderId="x") for _ in range(5))))
    table.append(rows_of(message(ORDER, {"timestamp": stamp(4)}, orderId="a", status="PENDING")))

    assert list(table.latest().index) == ["x"]


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one by one"])
@pytest.mark.parametrize(
    ("sent", "volumes"),
    [
        ([(1, 1.0), (5, 0), (4, 0.5)], []),
        ([(5, 0), (4, 0.5)], []),
        ([(5, 0), (5, 0.5)], [0.5]),
        ([(5, 0), (4, 0.5), (6, 0.2)], [0.2]),
        ([(5, 0.5), (4, 0)], [0.5]),
    ],
)
def test_a_late_row_does_not_reopen_a_closed_position(
    sent: list[tuple[int, float]], volumes: list[float], together: bool
) -> None:
    table = RollingTable(CHANNELS["positions"])
    rows = rows_of(*(message(POSITION, {"timestamp": stamp(at)}, volume=volume) for at, volume in sent))
    for indices in [range(len(sent))] if together else [[index] for index in range(len(sent))]:
        table.append(rows.take(indices))

    assert table.latest()["volume"].tolist() == volumes


def test_the_number_of_remembered_ended_keys_is_bounded() -> None:
    table = RollingTable(CHANNELS["positions"])
    ends = rows_of(message(POSITION, volume=0)).take([0] * (MAX_ENDED + 5))
    ends.values["ticket"] = np.arange(MAX_ENDED + 5)
    table.append(ends)

    assert len(table._latest._ended_at) == MAX_ENDED


def test_long_ids_of_ended_orders_take_no_memory_and_are_not_reopened() -> None:
    table, long = RollingTable(CHANNELS["orders"], max_rows=1), "o" * 10_000
    table.append(rows_of(message(ORDER, {"timestamp": stamp(0)}, orderId=f"0{long}", status="PENDING")))
    cursor = table.moves(None, 10).cursor
    tracemalloc.start()
    for number in range(1_000):
        envelope = {"timestamp": stamp(100 + number), "id": f"m{number}"}
        table.append(rows_of(message(ORDER, envelope, orderId=f"{number}{long}", status="FILLED")))
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    moves = table.moves(cursor, 10)
    assert (moves.whole, moves.changed) == (True, [f"999{long}"])
    assert table.moves(moves.cursor, 10).gone == []
    assert size < 2_000_000  # 10 MB of ids
    table.append(rows_of(message(ORDER, {"timestamp": stamp(50), "id": "late"}, orderId=f"5{long}", status="NEW")))
    assert f"5{long}" not in table.latest().index


def test_system_has_one_row_in_latest() -> None:
    latest = table_of(SYSTEM, message(SYSTEM, status="DOWN")).latest()

    assert list(latest.index) == ["DOWN"]
    assert latest.index.name == "status"


def test_latest_of_analytics_is_indexed_by_type_and_period() -> None:
    latest = table_of(ANALYTICS).latest()

    assert isinstance(latest.index, pd.MultiIndex)
    assert latest.index.names == ["type", "period"]
    assert latest.loc[("PERFORMANCE_UPDATE", "DAY"), "metrics_win_rate"] == 66.7


@pytest.mark.parametrize("channel", COLUMNS)
def test_an_empty_latest_has_the_columns_and_dtypes_of_a_full_one(channel: str) -> None:
    empty = RollingTable(CHANNELS[channel]).latest()
    full = table_of(DATA[channel]).latest()

    assert len(empty) == 0
    assert empty.index.names == full.index.names == list(CHANNELS[channel].key)
    assert list(empty.columns) == list(full.columns)
    assert [str(d) for d in empty.dtypes] == [str(d) for d in full.dtypes]


def test_a_key_leaves_latest_with_its_row_also_if_another_key_was_repeated_in_the_batch() -> None:
    table = RollingTable(CHANNELS["market-data"], max_rows=2)
    table.append(rows_of(quote(0, "A"), quote(1, "B"), quote(2, "A"), quote(3, "A")))

    assert list(table.latest().index) == ["A"]
    for number in range(4, 2_000):
        table.append(rows_of(quote(number, "A")))
    assert (list(table.latest().index), numbers(table.latest())) == (["A"], [1_999])


def test_an_open_position_stays_in_latest_beyond_the_window_until_it_is_closed() -> None:
    table = RollingTable(CHANNELS["positions"], max_rows=3)
    table.append(rows_of(message(POSITION, ticket=1, currentPrice=1.5), message(POSITION, ticket=2)))
    for _ in range(1_000):
        table.append(rows_of(message(POSITION, ticket=2, volume=0.2)))

    assert len(table.frame()) == 3
    latest = table.latest()
    assert list(latest.index) == [1, 2]
    assert latest["current_price"].tolist() == [1.5, 1.086]
    assert [str(d) for d in latest.dtypes] == [str(d) for d in table_of(POSITION).latest().dtypes]
    assert table.newest(1)["current_price"] == 1.5
    table.append(rows_of(message(POSITION, ticket=1, volume=0)))
    assert list(table.latest().index) == [2]
    assert table.newest(1) is None


def test_a_newer_row_reopens_a_closed_position() -> None:
    table = table_of(
        message(POSITION, ticket=1), message(POSITION, ticket=1, volume=0), message(POSITION, ticket=1, volume=2)
    )

    assert table.latest()["volume"].tolist() == [2.0]


def test_a_working_order_stays_in_latest_beyond_the_window_and_an_ended_one_does_not() -> None:
    table = RollingTable(CHANNELS["orders"], max_rows=3)
    table.append(
        rows_of(*(message(ORDER, orderId=f"{status}", status=status) for status in ("FILLED", "WORKING", "CANCELLED")))
    )
    assert list(table.latest().index) == ["CANCELLED", "FILLED", "WORKING"]
    for _ in range(500):
        table.append(rows_of(message(ORDER, orderId="x")))

    assert list(table.latest().index) == ["WORKING", "x"]


@pytest.mark.parametrize(
    ("status", "is_working"),
    [("filled", False), ("Cancelled", False), ("REJECTED", False), ("new", True), (None, True)],
)
def test_an_order_status_is_recognised_in_any_case(status: str | None, is_working: bool) -> None:
    table = RollingTable(CHANNELS["orders"], max_rows=2)
    table.append(rows_of(message(ORDER, orderId="a", status=status, remainingVolume=0)))
    table.append(rows_of(*(message(ORDER, orderId="x") for _ in range(5))))

    assert ("a" in table.latest().index) is is_working


# The moves of `latest`, from which a reader maintains its own copy.


class Follower:
    """Maintains the rows of `latest` from its moves alone."""

    def __init__(self, most: int = 1_000_000) -> None:
        self.most, self.cursor, self.rows = most, None, {}

    def update(self, table: RollingTable) -> None:
        moves = table.moves(self.cursor, self.most)
        self.cursor = moves.cursor
        if moves.whole:
            self.rows = {}
        for key in moves.gone:
            self.rows.pop(key, None)
        for key in moves.changed:
            self.rows.pop(key, None)
            self.rows[key] = table.newest(key)


def index_of(table: RollingTable, key: Any) -> Any:
    return key if not table.channel.single else table.newest(key, "status")["status"]


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from([1, 2, 5, 60, 400]), st.sampled_from([0, 0.3]), st.booleans(), st.booleans()),
        min_size=1,
        max_size=15,
    ),
    seed=st.integers(0, 2**32),
    channel=st.sampled_from(["positions", "orders", "trades", "analytics", "system"]),
    max_rows=st.sampled_from([1, 7, 100, 1_000_000]),
    window_us=st.sampled_from([None, 100_000]),
    jitter_us=st.sampled_from([0, 200_000]),
)
def test_incremental_moves_reproduce_latest(
    steps: list[tuple[int, float, bool, bool]],
    seed: int,
    channel: str,
    max_rows: int,
    window_us: int | None,
    jitter_us: int,
) -> None:
    table = RollingTable(CHANNELS[channel], max_rows=max_rows, window_us=window_us)
    source, follower = RandomMessages(seed, drift=True, jitter_us=jitter_us), Follower()
    for size, missing, removes, updates in steps:
        messages = [source.message(channel, missing) for _ in range(size)]
        table.append(rows_of(*(sent for sent, _ in messages)))
        if removes and not table.channel.single:
            key = tuple(messages[0][1][name] for name in table.channel.key)
            table.remove_from_latest(key if len(key) > 1 else key[0])
        if updates:
            follower.update(table)
            latest = table.latest()
            stamps = dict(zip(latest.index.tolist(), latest["timestamp"].array.asi8.tolist(), strict=True))
            assert {index_of(table, key): row["timestamp"] for key, row in follower.rows.items()} == stamps
            for key, row in follower.rows.items():
                current = table.newest(key, *row)
                assert current is not None
                assert repr(row) == repr({name: current.get(name) for name in row})  # a NaN does not equal itself
            together = table.newest_of(list(follower.rows), *table.columns)
            one_by_one = [table.newest(key) or {} for key in follower.rows]
            assert repr(together) == repr({name: [row.get(name) for row in one_by_one] for name in table.columns})


def test_moves_list_only_changed_keys_in_the_order_of_the_rows() -> None:
    table = RollingTable(CHANNELS["market-data"])
    assert table.moves(None, 10).changed == []
    table.append(rows_of(*(quote(number, f"S{number}") for number in range(1_000))))
    moves = table.moves(None, 10_000)
    assert (len(moves.changed), moves.whole) == (1_000, True)
    assert table.moves(moves.cursor, 10_000).changed == []

    table.append(rows_of(quote(1_000, "S7"), quote(1_001, "S3"), quote(1_002, "S7")))
    moves = table.moves(moves.cursor, 10_000)
    assert (moves.changed, moves.gone, moves.whole) == (["S3", "S7"], [], False)
    assert table.moves(None, 3).changed == ["S999", "S3", "S7"]


def test_moves_list_a_removed_key_once_and_not_if_it_is_back() -> None:
    table = table_of(message(POSITION, ticket=1), message(POSITION, ticket=2), message(POSITION, ticket=3))
    cursor = table.moves(None, 10).cursor
    table.append(rows_of(message(POSITION, ticket=1, volume=0), message(POSITION, ticket=2, volume=0)))
    table.append(rows_of(message(POSITION, ticket=2, volume=0.3)))
    moves = table.moves(cursor, 10)
    assert (moves.changed, moves.gone) == ([2], [1])
    table.remove_from_latest(3)
    moves = table.moves(moves.cursor, 10)
    assert (moves.changed, moves.gone) == ([], [3])
    assert table.moves(moves.cursor, 10).gone == []


@pytest.mark.parametrize("behind", ["rows", "removals"])
def test_moves_list_all_keys_for_a_cursor_too_far_behind(behind: str) -> None:
    table = RollingTable(CHANNELS["positions"], max_rows=2 if behind == "rows" else 1_000_000)
    table.append(rows_of(message(POSITION, ticket=1)))
    cursor = table.moves(None, 10).cursor
    if behind == "rows":  # the second row of ticket 1 has left the window
        table.append(rows_of(*(message(POSITION, ticket=ticket, profit=7) for ticket in (1, 2, 3))))
    else:
        for _ in range(MAX_REMOVED + 1):
            table.remove_from_latest(9)
    moves = table.moves(cursor, 10)
    assert moves.whole
    assert moves.changed == ([1, 2, 3] if behind == "rows" else [1])
    assert table.moves(cursor, 2).changed == ([2, 3] if behind == "rows" else [1])


def test_row_numbers_are_the_keys_of_a_channel_without_a_key() -> None:
    table = RollingTable(Channel("news", columns=(ID,)), max_rows=3)
    news = {"type": "news", "channel": "news", "timestamp": stamp(0), "data": {"text": "x"}}
    table.append(rows_of(*[news] * 2))
    moves = table.moves(None, 10)
    assert list(moves.changed) == [0, 1]
    table.append(rows_of(*[news] * 2))
    moves = table.moves(moves.cursor, 10)
    assert (list(moves.changed), list(moves.gone), moves.whole) == ([2, 3], [0], False)
    assert (table.newest(0), table.newest(3, "text")) == (None, {"text": "x"})
    table.append(rows_of(*[news] * 9))
    moves = table.moves(moves.cursor, 2)
    assert (list(moves.changed), moves.whole) == ([11, 12], True)

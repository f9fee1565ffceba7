"""Selection of rows by number, time and value."""

from __future__ import annotations

import math
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fxlive.core.arguments import utc
from fxlive.errors import UnknownColumn, UnknownOption
from fxlive.tables.selection import select
from fxlive.tables.table import RollingTable
from fxlive.wire.channels import CHANNELS
from tests.frames import assert_equal
from tests.samples import ANALYTICS, POSITION, message
from tests.tables.rows import numbers, quote, table_of


@pytest.fixture
def frame() -> pd.DataFrame:
    table = table_of(
        *(
            quote(60_000 * i, "EURUSD" if i % 2 else "USDJPY", ask=None if i == 3 else i, flag=i % 3 == 0, note=f"n{i}")
            for i in range(10)
        )
    )
    return table.frame()


def minutes(frame: pd.DataFrame) -> list[int]:
    return [bid // 60_000 for bid in numbers(frame)]


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (3, [7, 8, 9]),
        (0, []),
        (10, range(10)),
        (99, range(10)),
        (np.int64(2), [8, 9]),
        (2.0, [8, 9]),
        (np.float64(2), [8, 9]),
        (np.float32(1), [9]),
        (1e300, range(10)),
    ],
)
def test_the_last_rows_are_counted_from_the_end(frame: pd.DataFrame, last: Any, expected: Any) -> None:
    assert minutes(select(frame, "market-data", last=last)) == list(expected)


@pytest.mark.parametrize(
    "last", ["2min", "120s", "00:02:00", pd.Timedelta("2min"), timedelta(minutes=2), np.timedelta64(2, "m")]
)
def test_the_last_minutes_are_counted_from_the_newest_row(frame: pd.DataFrame, last: Any) -> None:
    assert minutes(select(frame, "market-data", last=last)) == [7, 8, 9]


@pytest.mark.parametrize(
    "last",
    [
        *(-1, -5.0, 2.5, math.nan, math.inf, True, False, np.True_, [5], {}),
        *("5", " 5 ", "5.0", "-3", "1e3", "", "abc", "5 rows", "-5min", "nat", pd.NaT, pd.Timedelta("-1min")),
    ],
    ids=repr,
)
@pytest.mark.parametrize("empty", [False, True])
def test_last_must_be_a_number_of_rows_or_a_duration(frame: pd.DataFrame, last: Any, empty: bool) -> None:
    with pytest.raises(
        UnknownOption, match='last must be a number of rows or a duration such as "5min", got'
    ) as caught:
        select(frame.iloc[:0] if empty else frame, "market-data", last=last)

    assert str(caught.value).endswith(f"got {last!r}.")


def test_arrays_of_values_from_pandas_are_accepted() -> None:
    frame = table_of(quote(0), quote(1, "USDJPY"), quote(2)).frame()
    for column in ("symbol", "id", "bid"):
        for values in (frame[column].unique(), frame[column].array, frame[column].drop_duplicates()):
            assert len(select(frame, "market-data", where={column: values})) == 3


def test_the_last_minutes_are_found_in_rows_out_of_order() -> None:
    frame = table_of(quote(0), quote(600_000), quote(1_000), quote(599_000)).frame()

    assert numbers(select(frame, "market-data", last="1min")) == [600_000, 599_000]


@pytest.mark.parametrize(
    "since", ["2024-01-01 00:07", "2024-01-01T00:07Z", "2024-01-01T02:07+02:00", pd.Timestamp("2024-01-01 00:07")]
)
def test_a_time_without_a_zone_is_utc_and_since_and_until_are_inclusive(frame: pd.DataFrame, since: Any) -> None:
    assert minutes(select(frame, "market-data", since=since)) == [7, 8, 9]
    assert minutes(select(frame, "market-data", until=since)) == list(range(8))
    assert minutes(select(frame, "market-data", since=since, until=since)) == [7]


@pytest.mark.parametrize(
    "moment",
    [
        *(1.7e9, 0, True, np.int64(5), np.float64(1.7e9), Decimal(5)),
        *("5", "1712011200", "23:00", "T23:00:30.5Z", "9 pm"),
        pd.NaT,
    ],
    ids=repr,
)
@pytest.mark.parametrize("empty", [False, True])
def test_a_number_or_a_time_of_day_is_refused_as_a_timestamp(frame: pd.DataFrame, moment: Any, empty: bool) -> None:
    for end in ("since", "until"):
        with pytest.raises(UnknownOption, match=r"time must be a timestamp with a date, such as"):
            select(frame.iloc[:0] if empty else frame, "market-data", **{end: moment})


@pytest.mark.parametrize("moment", ["2024-01-01", "20240101", "2024", "Jan 1 2024", "2024-01", date(2024, 1, 1)])
def test_a_timestamp_may_be_a_date_in_any_unambiguous_format(moment: Any) -> None:
    assert utc(moment) == pd.Timestamp("2024-01-01", tz="UTC")


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"symbol": "EURUSD"}, [1, 3, 5, 7, 9]),
        ({"symbol": ["EURUSD", "GBPUSD"]}, [1, 3, 5, 7, 9]),
        ({"symbol": "GBPUSD"}, []),
        ({"symbol": []}, []),
        ({"ask": None}, [3]),
        ({"ask": 4}, [4]),
        ({"ask": [4, 5.0]}, [4, 5]),
        ({"flag": True}, [0, 3, 6, 9]),
        ({"note": "n2"}, [2]),
        ({"note": {"n2", "n4"}}, [2, 4]),
        ({"note": pd.Series(["n2"])}, [2]),
        ({"symbol": "EURUSD", "flag": True}, [3, 9]),
        ({"timestamp": pd.Timestamp("2024-01-01T00:02Z")}, [2]),
        ({"timestamp": ["2024-01-01 00:02", "2024-01-01T02:03+02:00", None]}, [2, 3]),
        ({"ask": "4"}, [4]),
        ({"ask": [Decimal(4), math.nan]}, [3, 4]),
        ({"note": "N2"}, []),
        ({"flag": np.False_}, [1, 2, 4, 5, 7, 8]),
        ({}, range(10)),
        (None, range(10)),
    ],
)
def test_rows_are_selected_by_the_values_of_columns(frame: pd.DataFrame, where: Any, expected: Any) -> None:
    selected = select(frame, "market-data", where=where)

    assert minutes(selected) == list(expected)
    assert [str(d) for d in selected.dtypes] == [str(d) for d in frame.dtypes]


@pytest.mark.parametrize(
    "where",
    [
        *({"ask": value} for value in ("high", ">5", "", "inf", True, pd.Timestamp(0), [4, "x"], 10**400)),
        *({"received_at": value} for value in ("2024-01-01", "2024", date(2024, 1, 1), 1.7e9, "12:00", "soon")),
        *({"symbol": 42}, {"note": 2}, {"note": ["n2", 2]}, {"flag": "True"}, {"flag": 1}),
    ],
    ids=str,
)
@pytest.mark.parametrize("empty", [False, True])
def test_a_value_that_a_column_cannot_have_is_refused(frame: pd.DataFrame, where: dict[str, Any], empty: bool) -> None:
    [name] = where
    with pytest.raises(UnknownOption, match=f"{name} must be "):
        select(frame.iloc[:0] if empty else frame, "market-data", where=where)


def test_codes_are_compared_without_regard_to_case_and_integers_exactly() -> None:
    frame = table_of(
        *(message(POSITION, ticket=2**62 + n, type=t) for n, t in enumerate(["BUY", "Buy", "SELL", None]))
    ).frame()

    for kinds in ("buy", "BUY", ["bUy", "?"]):
        assert (select(frame, "positions", where={"type": kinds})["ticket"] - 2**62).tolist() == [0, 1]
    assert (select(frame, "positions", where={"type": ["sell", None]})["ticket"] - 2**62).tolist() == [2, 3]
    assert select(frame, "positions", where={"ticket": str(2**62 + 1)})["ticket"].tolist() == [2**62 + 1]
    assert select(frame, "positions", where={"ticket": [10**30, 1.5]}).empty


def test_all_conditions_apply_and_last_is_applied_last(frame: pd.DataFrame) -> None:
    selected = select(
        frame, "market-data", last=2, since="2024-01-01 00:02", until="2024-01-01 00:08", where={"symbol": "EURUSD"}
    )

    assert minutes(selected) == [5, 7]


def test_rows_of_latest_can_be_selected_by_their_key() -> None:
    latest = table_of(quote(0, "EURUSD"), quote(60_000, "USDJPY")).latest()
    metrics = table_of(*(message(ANALYTICS, period=p) for p in ("DAY", "WEEK"))).latest()

    assert numbers(select(latest, "market-data", where={"symbol": "USDJPY"})) == [60_000]
    assert numbers(select(latest, "market-data", where={"symbol": ["USDJPY", "X"]})) == [60_000]
    assert numbers(select(latest, "market-data", since="2024-01-01 00:00:30")) == [60_000]
    assert len(select(metrics, "analytics", where={"period": "WEEK"})) == 1


@pytest.mark.parametrize("last", [None, 5, "5min"])
def test_selecting_from_an_empty_frame_gives_an_empty_frame(last: Any) -> None:
    empty = RollingTable(CHANNELS["market-data"]).frame()

    assert (
        len(select(empty, "market-data", last=last, since="2024-01-01", where={"symbol": "EURUSD", "bid": None})) == 0
    )


@pytest.mark.parametrize("empty", [False, True])
def test_the_error_for_an_unknown_column_lists_the_columns(frame: pd.DataFrame, empty: bool) -> None:
    with pytest.raises(UnknownColumn) as caught:
        select(frame.iloc[:0] if empty else frame, "market-data", where={"symbl": "EURUSD"})

    assert caught.value.known == ("timestamp", *frame.columns)
    assert "Did you mean symbol?" in str(caught.value)
    assert "market-data" in str(caught.value)


def test_a_write_into_a_selection_does_not_change_the_frame(frame: pd.DataFrame) -> None:
    before = frame.copy()
    for conditions in (
        {"last": 3},
        {"last": "9min"},
        {"since": "2024-01-01"},
        {"where": {"symbol": ["EURUSD", "USDJPY"]}},
    ):
        selected = select(frame, "market-data", **conditions)
        selected.iat[-1, selected.columns.get_loc("bid")] = -1.0
    assert_equal(frame, before)

"""Undocumented fields and channels: which columns they get, and which values go to `extra`."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from fxlive.tables.table import RollingTable
from fxlive.wire.channels import CHANNELS, ID, MAX_COLUMNS, Channel
from tests.handmade import lines_run
from tests.samples import COLUMNS, POSITION, message, stamp
from tests.tables.rows import numbers, quote, quotes, rows_of, table_of


def frame_with_field(*values: Any) -> pd.DataFrame:
    """Return the frame after a row without the field `foo`, and one row for each value of it."""
    table = table_of(quote(0))
    for number, value in enumerate(values, 1):
        table.append(rows_of(quote(number, foo=value)))
    return table.frame()


@pytest.mark.parametrize(
    ("first", "fits", "dtype"),
    [(1, 2.5, "float64"), (0.5, 2**53, "float64"), (True, False, "boolean"), ("a", "", "str")],
)
def test_an_undocumented_column_has_the_dtype_of_its_first_value(first: Any, fits: Any, dtype: str) -> None:
    frame = frame_with_field(None, first, None, fits)

    assert str(frame["foo"].dtype) == dtype
    assert frame["foo"].isna().tolist() == [True, True, False, True, False]
    assert frame["foo"].dropna().tolist() == [first, fits]
    assert list(frame.columns)[-1] == "foo"
    assert "extra" not in frame


@pytest.mark.parametrize(
    ("first", "misfit"),
    [
        (1, "a"),
        (1, True),
        (1, [1]),
        (1, {}),
        (1, 2**53 + 1),
        (1, -(2**53) - 1),
        (True, 1),
        (True, "true"),
        ("a", 1),
        ("a", False),
    ],
)
def test_a_value_that_does_not_fit_its_column_goes_to_extra(first: Any, misfit: Any) -> None:
    frame = frame_with_field(first, misfit, first)

    assert frame["foo"].dropna().tolist() == [first, first]
    assert frame["extra"].isna().tolist() == [True, True, False, True]
    assert json.loads(frame["extra"].iloc[2]) == {"foo": misfit}


@pytest.mark.parametrize("value", [2**53 + 1, 10**30, [], [1, [2]], {}, [{"a": None}]])
def test_a_value_without_a_column_dtype_goes_to_extra(value: Any) -> None:
    frame = frame_with_field(value)

    assert "foo" not in frame
    assert json.loads(frame["extra"].iloc[1]) == {"foo": value}


def test_a_null_adds_no_column() -> None:
    assert list(frame_with_field(None, None).columns) == list(COLUMNS["market-data"])


def test_a_frame_has_at_most_256_columns_and_further_fields_go_to_extra() -> None:
    table = table_of(quote(0))
    sent = {f"f{i}": i for i in range(300)}
    table.append(rows_of(quote(1, **sent)))
    table.append(rows_of(quote(2, **sent)))
    frame = table.frame()
    added = [name for name in frame.columns if name in sent]

    assert MAX_COLUMNS - 1 <= len(frame.columns) <= MAX_COLUMNS
    for row in (1, 2):
        rest = json.loads(frame["extra"].iloc[row])
        assert {**{name: int(frame[name].iloc[row]) for name in added}, **rest} == sent
    assert frame["extra"].isna().iloc[0]


def test_a_new_column_does_not_change_earlier_frames() -> None:
    table = table_of(quote(0), quote(1))
    before = table.frame()
    table.append(rows_of(quote(2, foo="x", bar=1)))

    assert list(before.columns) == list(COLUMNS["market-data"])
    assert list(table.frame().columns) == [*COLUMNS["market-data"], "foo", "bar"]
    assert table.drift == {"foo": "str", "bar": "float64"}


def test_a_column_added_to_a_rolling_window_has_values_from_its_first_row_on() -> None:
    table = RollingTable(CHANNELS["market-data"], max_rows=400)
    for start in range(0, 2_000, 100):
        table.append(quotes(start, start + 100, **({"foo": start} if start >= 1_500 else {})))
    frame = table.frame()

    assert numbers(frame) == list(range(1_600, 2_000))
    assert frame["foo"].tolist() == [number // 100 * 100 for number in range(1_600, 2_000)]


def test_adding_a_column_to_a_million_rows_takes_no_work_per_row() -> None:
    lines = []
    for count in (100, 1_000_000):
        table = RollingTable(CHANNELS["market-data"])
        rows = quotes(0, 10).take([0] * (count // 20))
        for _ in range(20):
            table.append(rows)
        table.append(quotes(1, 2))
        late = quotes(2, 3, number=1.5, flag=True, text="x")
        lines.append(lines_run(table.append, late))
        frame = table.frame()
        assert frame[["number", "flag", "text"]].notna().sum().tolist() == [1, 1, 1]
        assert frame[["number", "flag", "text"]].iloc[-1].tolist() == [1.5, True, "x"]

    assert lines[0] > 100  # the counting works
    assert lines[1] < lines[0] + 100


def test_an_undocumented_channel_has_a_column_for_each_field() -> None:
    table = RollingTable(Channel("news", columns=(ID,)))
    news = {"type": "news", "channel": "news", "timestamp": stamp(0), "id": "n1"}
    table.append(rows_of({**news, "data": {"headline": "CPI", "impact": 3}}, {**news, "data": [1], "id": None}))
    frame = table.frame()

    assert [str(d) for d in frame.dtypes] == ["datetime64[us, UTC]", "str", "str", "str", "float64", "str"]
    assert list(frame.columns) == ["received_at", "id", "type", "headline", "impact", "extra"]
    assert frame["headline"].iloc[0] == "CPI"
    assert json.loads(frame["extra"].iloc[1]) == {"data": [1]}


def test_rows_of_latest_beyond_the_window_have_missing_values_in_later_columns() -> None:
    table = RollingTable(CHANNELS["positions"], max_rows=2)
    table.append(rows_of(message(POSITION, ticket=1, foo="early")))
    table.append(rows_of(*(message(POSITION, ticket=2, late=True, more=1, text="x") for _ in range(5))))
    latest = table.latest()

    assert latest["foo"].fillna("-").tolist() == ["early", "-"]
    assert latest["late"].fillna(False).tolist() == [False, True]
    assert latest[["more", "text"]].isna().any(axis=1).tolist() == [True, False]

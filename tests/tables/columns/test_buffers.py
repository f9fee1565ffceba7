"""Column buffers of each kind of value, and vocabularies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxlive.core.timestamps import NAT
from fxlive.tables.columns.buffers import CategoryBuffer, new_buffer
from fxlive.tables.columns.vocabulary import Vocabulary
from fxlive.wire.messages import Kind

texts = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES: dict[Kind, Any] = {
    Kind.NUMBER: st.none() | st.floats(allow_nan=False),
    Kind.KEY_INTEGER: st.integers(-(2**63), 2**63 - 1),
    Kind.INTEGER: st.none() | st.integers(-(2**63), 2**63 - 1),
    Kind.FLAG: st.none() | st.booleans(),
    Kind.TIME: st.just(NAT) | st.integers(-(2**55), 2**55),
    Kind.SYMBOL: texts,
    Kind.CODE: st.none() | texts,
    Kind.TEXT: st.none() | texts,
    Kind.LIST: st.none() | st.lists(texts, max_size=3).map(tuple),
}
DTYPES = {
    Kind.NUMBER: "float64",
    Kind.KEY_INTEGER: "int64",
    Kind.INTEGER: "Int64",
    Kind.FLAG: "boolean",
    Kind.TIME: "datetime64[us, UTC]",
    Kind.SYMBOL: "category",
    Kind.CODE: "category",
    Kind.TEXT: "str",
    Kind.LIST: "object",
}


def read(array: Any) -> list[Any]:
    """Return the values of a view; times in microseconds, None for missing values."""
    values = []
    for value in pd.Series(array, copy=False):
        if isinstance(value, pd.Timestamp):
            values.append(value.as_unit("us")._value)
        else:
            values.append(value if isinstance(value, tuple) else None if pd.isna(value) else value)
    return values


def expected_values(kind: Kind, values: list[Any]) -> list[Any]:
    """Return appended values as `read` returns them."""
    return [None if kind is Kind.TIME and value == NAT else value for value in values]


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(list(VALUES)))
def test_a_buffer_returns_the_appended_values_while_rows_are_evicted(data: st.DataObject, kind: Kind) -> None:
    column, all_values, first, views = new_buffer(kind, Vocabulary(), 0, 0.25), [], 0, []
    pool = data.draw(st.lists(VALUES[kind], min_size=1, max_size=8))
    for size, evicted in data.draw(
        st.lists(st.tuples(st.integers(1, 300), st.integers(0, 300)), min_size=1, max_size=8)
    ):
        values = [pool[(len(all_values) + i) % len(pool)] for i in range(size)]
        column.append(values, first)
        all_values += values
        first = min(first + evicted, len(all_values) - 1)
        column.update_dtype()
        views.append((first, column.stop, column.view(first, column.stop)))
        assert column.base <= first < column.stop <= column.base + column.capacity

    assert str(pd.Series(views[-1][2], copy=False).dtype) == DTYPES[kind]
    for start, stop, view in views:
        assert read(view) == expected_values(kind, all_values[start:stop])
    for row in {first, column.stop - 1}:
        raw, expected = column.raw(row), all_values[row]
        assert raw == expected or (expected is None and kind is Kind.NUMBER and math.isnan(raw))
    if kind not in (Kind.KEY_INTEGER, Kind.SYMBOL):
        missing = data.draw(st.integers(1, 600))
        column.append_missing(missing, first)
        column.append(pool[:1], first)
        appended = [*all_values[first:], *[NAT if kind is Kind.TIME else None] * missing, pool[0]]
        assert read(column.view(first, column.stop)) == expected_values(kind, appended)
        for start, stop, view in views:
            assert read(view) == expected_values(kind, all_values[start:stop])
    other = column.empty_like()
    other.append([column.raw(first)], 0)
    other.update_dtype()
    assert read(other.view(0, 1)) == expected_values(kind, all_values[first : first + 1])
    assert pd.Series(other.view(0, 1), copy=False).dtype == pd.Series(column.view(first, first + 1), copy=False).dtype


@pytest.mark.parametrize("kind", [k for k in VALUES if k is not Kind.TEXT])
def test_a_view_shares_the_memory_of_the_buffer_and_is_read_only(kind: Kind) -> None:
    example = {
        Kind.KEY_INTEGER: 1,
        Kind.TIME: 1,
        Kind.SYMBOL: "a",
        Kind.CODE: "a",
        Kind.LIST: ("a",),
        Kind.FLAG: True,
    }.get(kind, 1)
    column = new_buffer(kind, Vocabulary())
    column.append([example] * 3, 0)
    view: Any = column.view(0, 3)
    arrays = [a for a in (getattr(view, n, None) for n in ("_ndarray", "_data", "_mask")) if isinstance(a, np.ndarray)]

    for array in arrays or [view]:
        assert any(np.shares_memory(array, own) for own in column._arrays)  # type: ignore[attr-defined]
        assert not array.flags.writeable


def test_categories_are_numbered_in_order_of_arrival_and_missing_is_minus_1() -> None:
    vocabulary = Vocabulary()

    assert vocabulary.encode(["b", None, "a", "b"]) == [0, -1, 1, 0]
    assert vocabulary.encode(["", "a"]) == [2, 1]
    assert (vocabulary.names, len(vocabulary)) == (["b", "a", ""], 3)
    assert list(vocabulary.dtype.categories) == ["b", "a", ""]


def test_new_categories_do_not_change_an_earlier_dtype() -> None:
    vocabulary = Vocabulary()
    vocabulary.encode(["a"])
    before = vocabulary.dtype
    assert vocabulary.dtype is before
    vocabulary.encode(["b"])

    assert list(before.categories) == ["a"]
    assert list(vocabulary.dtype.categories) == ["a", "b"]


@pytest.mark.parametrize(
    ("distinct", "width"), [(0, "int8"), (126, "int8"), (128, "int16"), (32_766, "int16"), (32_768, "int32")]
)
def test_codes_have_the_width_that_pandas_uses(distinct: int, width: str) -> None:
    vocabulary = Vocabulary()
    column = CategoryBuffer(vocabulary)
    column.append([str(i) for i in range(distinct)], 0)
    column.update_dtype()
    array = column.view(0, distinct)

    assert str(array.codes.dtype) == str(pd.Categorical([str(i) for i in range(distinct)]).codes.dtype) == width
    assert array.codes.tolist() == list(range(distinct))


@pytest.mark.parametrize("count", [0, 1, 126, 127, 128, 32_766, 32_767, 32_768])
def test_the_codes_have_the_dtype_that_pandas_gives_them(count: int) -> None:
    vocabulary = Vocabulary()
    vocabulary.encode([str(number) for number in range(count)])
    assert vocabulary.code_dtype == pd.Categorical.from_codes([], dtype=vocabulary.dtype).codes.dtype

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxlive.core.timestamps import NAT
from fxlive.tables.buffers import Codes, buffer
from fxlive.tables.vocabulary import Vocabulary
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
    """The values of a view, with None where one is missing."""
    found = []
    for value in pd.Series(array, copy=False):
        if isinstance(value, pd.Timestamp):
            found.append(value.as_unit("us")._value)
        else:
            found.append(value if isinstance(value, tuple) else None if pd.isna(value) else value)
    return found


def plain(kind: Kind, values: list[Any]) -> list[Any]:
    return [None if kind is Kind.TIME and value == NAT else value for value in values]


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(list(VALUES)))
def test_a_column_gives_back_what_was_put_in_whatever_it_drops_meanwhile(data: st.DataObject, kind: Kind) -> None:
    column, all_values, first, views = buffer(kind, Vocabulary(), 0, 0.25), [], 0, []
    few = data.draw(st.lists(VALUES[kind], min_size=1, max_size=8))
    for size, dropped in data.draw(
        st.lists(st.tuples(st.integers(1, 300), st.integers(0, 300)), min_size=1, max_size=8)
    ):
        values = [few[(len(all_values) + i) % len(few)] for i in range(size)]
        column.append(values, first)
        all_values += values
        first = min(first + dropped, len(all_values) - 1)
        column.settle()
        views.append((first, column.stop, column.view(first, column.stop)))
        assert column.base <= first < column.stop <= column.base + column.capacity

    assert str(pd.Series(views[-1][2], copy=False).dtype) == DTYPES[kind]
    for start, stop, view in views:
        assert read(view) == plain(kind, all_values[start:stop])
    for row in {first, column.stop - 1}:
        raw, wanted = column.raw(row), all_values[row]
        assert raw == wanted or (wanted is None and kind is Kind.NUMBER and math.isnan(raw))
    if kind not in (Kind.KEY_INTEGER, Kind.SYMBOL):
        absent = data.draw(st.integers(1, 600))
        column.append_missing(absent, first)
        column.append(few[:1], first)
        wanted = [*all_values[first:], *[NAT if kind is Kind.TIME else None] * absent, few[0]]
        assert read(column.view(first, column.stop)) == plain(kind, wanted)
        for start, stop, view in views:
            assert read(view) == plain(kind, all_values[start:stop])
    alike = column.like()
    alike.append([column.raw(first)], 0)
    alike.settle()
    assert read(alike.view(0, 1)) == plain(kind, all_values[first : first + 1])
    assert pd.Series(alike.view(0, 1), copy=False).dtype == pd.Series(column.view(first, first + 1), copy=False).dtype


@pytest.mark.parametrize("kind", [k for k in VALUES if k is not Kind.TEXT])
def test_a_view_is_made_without_a_copy_and_cannot_be_written_to(kind: Kind) -> None:
    example = {
        Kind.KEY_INTEGER: 1,
        Kind.TIME: 1,
        Kind.SYMBOL: "a",
        Kind.CODE: "a",
        Kind.LIST: ("a",),
        Kind.FLAG: True,
    }.get(kind, 1)
    column = buffer(kind, Vocabulary())
    column.append([example] * 3, 0)
    view: Any = column.view(0, 3)
    arrays = [a for a in (getattr(view, n, None) for n in ("_ndarray", "_data", "_mask")) if isinstance(a, np.ndarray)]

    for array in arrays or [view]:
        assert any(np.shares_memory(array, part) for part in column._parts)  # type: ignore[attr-defined]
        assert not array.flags.writeable


def test_categories_are_numbered_as_they_come_and_missing_is_none_of_them() -> None:
    vocabulary = Vocabulary()

    assert vocabulary.encode(["b", None, "a", "b"]) == [0, -1, 1, 0]
    assert vocabulary.encode(["", "a"]) == [2, 1]
    assert (vocabulary.names, len(vocabulary)) == (["b", "a", ""], 3)
    assert list(vocabulary.dtype.categories) == ["b", "a", ""]


def test_a_dtype_that_was_given_out_is_not_changed_by_new_categories() -> None:
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
def test_codes_are_as_wide_as_pandas_makes_them(distinct: int, width: str) -> None:
    vocabulary = Vocabulary()
    codes = Codes(vocabulary)
    codes.append([str(i) for i in range(distinct)], 0)
    codes.settle()
    array = codes.view(0, distinct)

    assert str(array.codes.dtype) == str(pd.Categorical([str(i) for i in range(distinct)]).codes.dtype) == width
    assert array.codes.tolist() == list(range(distinct))

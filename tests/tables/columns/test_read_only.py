"""The memory behind frames is read-only down to its owner, and small selections do not keep it alive."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from fxlive.tables.selection import select
from fxlive.tables.table import RollingTable
from fxlive.wire.channels import CHANNELS
from tests.frames import assert_equal
from tests.tables.rows import alerts

COLUMNS = ["threshold", "severity", "title", "created_at", "actions", "flag", "score", "note", "entity_type"]
ROUTES: dict[str, Any] = {
    "to_numpy": lambda f, c: f[c].to_numpy(),
    "values": lambda f, c: f[c].values,
    "asarray": lambda f, c: np.asarray(f[c]),
    "frame values": lambda f, c: f[[c]].values,
    "array": lambda f, c: f[c].array._ndarray,
    "masked values": lambda f, c: f[c].array._data,
    "mask": lambda f, c: f[c].array._mask,
    "codes": lambda f, c: f[c].cat.codes.to_numpy(),
    "own codes": lambda f, c: f[c].array._codes,
    "integers": lambda f, c: f[c].array.asi8,
    "index": lambda f, c: f.index.values,
    "index integers": lambda f, c: f.index.asi8,
    "index array": lambda f, c: f.index._data._ndarray,
    "blocks": lambda f, c: next(b.values for b in f._mgr.blocks if b.mgr_locs.as_array[0] == f.columns.get_loc(c)),
    "text ends": lambda f, c: np.frombuffer(f[c].array._pa_array.chunk(0).buffers()[1], np.uint8),
    "text bytes": lambda f, c: np.frombuffer(f[c].array._pa_array.chunk(0).buffers()[2], np.uint8),
    "text bitmap": lambda f, c: np.frombuffer(f[c].array._pa_array.chunk(0).buffers()[0], np.uint8),
    "categories": lambda f, c: np.frombuffer(f[c].cat.categories.array._pa_array.chunk(0).buffers()[2], np.uint8),
}


def chain(array: Any) -> Iterator[np.ndarray[Any, Any]]:
    """Yield an array and the arrays that it is a view of."""
    while isinstance(array, np.ndarray):
        yield array
        array = array.base


def filled() -> RollingTable:
    table = RollingTable(CHANNELS["alerts"], max_rows=500)
    table.append(alerts(0, 300))
    return table


@pytest.mark.filterwarnings("ignore")  # pandas warns of `values` of times
@pytest.mark.parametrize("route", ROUTES)
def test_no_array_of_a_frame_can_be_made_writable(route: str) -> None:
    table = filled()
    expected = table.frame().copy()
    refused = 0
    for column in COLUMNS:
        try:
            array = ROUTES[route](table.frame(), column)
        except (AttributeError, KeyError, TypeError):  # this kind of column has no such array
            continue
        for view in chain(array):
            try:
                view.flags.writeable = True
            except ValueError:
                refused += 1
                continue
            view.ravel()[:1] = view.ravel()[-1:]  # a copy: pandas made it for this call
    assert_equal(table.frame(), expected)
    assert refused or route == "codes"


def test_the_arrays_of_numbers_texts_and_lists_refuse_to_become_writable() -> None:
    frame = filled().frame()

    for array in (
        frame["threshold"].to_numpy(),
        frame["actions"].to_numpy(),
        frame["severity"].array.codes,
        frame["created_at"].array._ndarray,  # type: ignore[attr-defined]
        frame.index.asi8,
    ):
        for view in chain(array):
            with pytest.raises(ValueError, match="WRITEABLE"):
                view.flags.writeable = True


def test_a_users_own_write_goes_to_a_copy() -> None:
    table = filled()
    expected = table.frame().copy()
    written = table.frame()
    written["threshold"] = -1.0
    written.loc[written.index[0], "title"] = "changed"
    written.iloc[1, written.columns.get_loc("current")] = -2.0

    assert (written["threshold"] == -1.0).all()
    assert written["title"].iloc[0] == "changed"
    assert_equal(table.frame(), expected)


def test_lists_outlive_the_table_that_a_frame_was_taken_from() -> None:
    frame = filled().frame()
    expected = [tuple(actions) for actions in frame["actions"]]
    gc.collect()

    assert frame["actions"].tolist() == expected


def test_a_small_selection_does_not_keep_the_memory_of_the_window_alive() -> None:
    table = filled()
    whole = table.frame()
    tail = select(whole, "alerts", last=1)

    assert_equal(tail, whole.iloc[-1:])
    for column in COLUMNS:
        if column in ("title", "note"):
            own, window = (f[column].array._pa_array.chunk(0).buffers()[2] for f in (tail, whole))
            assert own.address != window.address
            assert own.size < 1_000
    assert not np.shares_memory(tail["threshold"].to_numpy(), whole["threshold"].to_numpy())
    assert not np.shares_memory(tail.index.asi8, whole.index.asi8)
    assert np.shares_memory(select(whole, "alerts", last=200)["threshold"].to_numpy(), whole["threshold"].to_numpy())

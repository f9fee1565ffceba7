"""Frames are snapshots: no write into a frame changes another frame or the table."""

from __future__ import annotations

import contextlib
import gc
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fxlive.tables.table import RollingTable
from fxlive.wire.channels import CHANNELS
from tests.frames import assert_equal
from tests.samples import ALERT, POSITION, TRADE, message
from tests.tables.rows import alerts, table_of

WRITES = {
    "iloc": lambda f: f.iloc.__setitem__((0, 1), f.iloc[1, 1]),
    "iloc row": lambda f: f.iloc.__setitem__(0, f.iloc[1]),
    "iloc column": lambda f: f.iloc.__setitem__((slice(None), f.columns.get_loc("threshold")), 0.0),
    "loc": lambda f: f.loc.__setitem__((f.index[0], "threshold"), -1.0),
    "loc mask": lambda f: f.loc.__setitem__((f["current"] > 0, "current"), -1.0),
    "loc text": lambda f: f.loc.__setitem__((f.index[0], "title"), "changed"),
    "loc time": lambda f: f.loc.__setitem__((f.index[0], "created_at"), pd.Timestamp(0, tz="UTC")),
    "loc code": lambda f: f.loc.__setitem__((f.index[0], "severity"), f["severity"].iloc[1]),
    "loc new row": lambda f: f.loc.__setitem__(pd.Timestamp(0, tz="UTC"), f.iloc[0]),
    "at": lambda f: f.at.__setitem__((f.index[0], "threshold"), -1.0),
    "iat": lambda f: f.iat.__setitem__((0, f.columns.get_loc("threshold")), -1.0),
    "iat list": lambda f: f.iat.__setitem__((0, f.columns.get_loc("actions")), ("changed",)),
    "column": lambda f: f.__setitem__("threshold", -1.0),
    "slice": lambda f: f.__setitem__(slice(0, 1), f.iloc[1:2].to_numpy()),
    "mask": lambda f: f.__setitem__(f.isna(), None),
    "in place arithmetic": lambda f: f["threshold"].__iadd__(1.0),
    "frame in place arithmetic": lambda f: f.__setitem__(
        ["threshold", "current"], f[["threshold", "current"]].__imul__(2)
    ),
    "fillna": lambda f: f.fillna({"threshold": 0.0, "title": ""}, inplace=True),
    "column fillna": lambda f: f["threshold"].fillna(0.0, inplace=True),
    "replace": lambda f: f.replace({"threshold": {80.0: 0.0}}, inplace=True),
    "clip": lambda f: f["current"].clip(0, 1, inplace=True),
    "where": lambda f: f["current"].where(f["current"] < 0, 0.0, inplace=True),
    "mask in place": lambda f: f["title"].mask(f["title"].notna(), "x", inplace=True),
    "update": lambda f: f.update(pd.DataFrame({"threshold": -1.0}, index=f.index[:1])) if f.index.is_unique else None,
    "drop": lambda f: f.drop(columns=["title"], inplace=True),
    "pop": lambda f: f.pop("title"),
    "insert": lambda f: f.insert(0, "new", 1),
    "del": lambda f: f.__delitem__("title"),
    "sort": lambda f: f.sort_values("alert_id", ascending=False, inplace=True),
    "sort index": lambda f: f.sort_index(ascending=False, inplace=True),
    "reset index": lambda f: f.reset_index(inplace=True),
    "set index": lambda f: f.set_index("alert_id", inplace=True),
    "rename": lambda f: f.rename(columns={"title": "headline"}, inplace=True),
    "columns": lambda f: setattr(f, "columns", range(f.shape[1])),
    "columns name": lambda f: setattr(f.columns, "name", "changed"),
    "index name": lambda f: setattr(f.index, "name", "changed"),
    "index": lambda f: setattr(f, "index", range(len(f))),
    "attrs": lambda f: f.attrs.update(changed=True),
    "flags": lambda f: setattr(f.flags, "allows_duplicate_labels", True),
    "series iloc": lambda f: f["threshold"].iloc.__setitem__(0, -1.0),
    "series text": lambda f: f["title"].iloc.__setitem__(0, "changed"),
    "series list": lambda f: f["actions"].iloc.__setitem__(0, ("changed",)),
    "series code": lambda f: f["severity"].iloc.__setitem__(0, f["severity"].iloc[1]),
    "series name": lambda f: setattr(f["title"], "name", "changed"),
    "rename categories": lambda f: f["severity"].cat.rename_categories(str.lower),
    "add categories": lambda f: f.__setitem__("severity", f["severity"].cat.add_categories(["changed"])),
    "set categories": lambda f: f["severity"].cat.set_categories(["changed"]),
    "reorder categories": lambda f: f["severity"].cat.as_ordered(),
    "subset": lambda f: f[["threshold", "current"]].iloc.__setitem__((0, 0), -1.0),
    "shallow copy": lambda f: f.copy(deep=False).iloc.__setitem__((0, f.columns.get_loc("threshold")), -1.0),
    "transpose": lambda f: f[["threshold", "current"]].T.iloc.__setitem__((0, 0), -1.0),
    "eval": lambda f: f.eval("threshold = threshold * 2", inplace=True),
    "query": lambda f: f.query("threshold > 0", inplace=True),
    "to_numpy of all": lambda f: f.to_numpy().__setitem__((0, 1), "changed"),
    "to_numpy of two": lambda f: f[["threshold", "current"]].to_numpy(copy=True).__setitem__((0, 0), -1.0),
    "to_records": lambda f: f.to_records().__setitem__(0, f.to_records()[1]),
}

# Writes into the arrays of a frame. They may be refused.
ARRAY_WRITES = {
    "values": lambda f, c: f[c].values.__setitem__(0, f[c].values[1]),
    "array": lambda f, c: f[c].array.__setitem__(0, f[c].array[1]),
    "to_numpy": lambda f, c: f[c].to_numpy().__setitem__(0, f[c].to_numpy()[1]),
    "asarray": lambda f, c: np.asarray(f[c]).__setitem__(0, np.asarray(f[c])[1]),
    "frame values": lambda f, c: f[[c]].values.__setitem__((0, 0), f[[c]].values[1, 0]),
    "frame to_numpy": lambda f, c: f[[c]].to_numpy().__setitem__((0, 0), f[[c]].to_numpy()[1, 0]),
    "ufunc out": lambda f, c: np.add(f[c], 1, out=np.asarray(f[c])),
    "sort of array": lambda f, c: np.asarray(f[c])[::-1].sort(),
    "ndarray": lambda f, c: f[c].array._ndarray.__setitem__(0, f[c].array._ndarray[1]),
    "data": lambda f, c: f[c].array._data.__setitem__(0, f[c].array._data[1]),
    "mask": lambda f, c: f[c].array._mask.__setitem__(0, True),
    "codes": lambda f, c: f[c].cat.codes.to_numpy().__setitem__(0, f[c].cat.codes.iloc[1]),
    "codes series": lambda f, c: f[c].cat.codes.iloc.__setitem__(0, f[c].cat.codes.iloc[1]),
    "codes array": lambda f, c: f[c].array.codes.__setitem__(0, 1),
    "private codes": lambda f, c: f[c].array._codes.__setitem__(0, 1),
    "category values": lambda f, c: f[c].cat.categories.values.__setitem__(0, "changed"),
    "category array": lambda f, c: f[c].cat.categories.array.__setitem__(0, "changed"),
    "put": lambda f, c: np.put(f[c].to_numpy(), [0], f[c].to_numpy()[1]),
    "memoryview": lambda f, c: memoryview(np.asarray(f[c])).__setitem__(0, 1),
    "int view": lambda f, c: np.asarray(f[c].array.view("i8")).__setitem__(0, 1),
    "asi8": lambda f, c: f[c].array.asi8.__setitem__(0, 1),
    "index values": lambda f, c: f.index.values.__setitem__(0, f.index.values[1]),
    "index asi8": lambda f, c: f.index.asi8.__setitem__(0, 1),
    "index array": lambda f, c: f.index.array.__setitem__(0, f.index.array[1]),
    "index data": lambda f, c: f.index._data._ndarray.__setitem__(0, f.index._data._ndarray[1]),
    "column names": lambda f, c: f.columns.array.__setitem__(0, "changed"),
    "column name values": lambda f, c: f.columns.values.__setitem__(0, "changed"),
}
REFUSALS = (ValueError, TypeError, AttributeError, NotImplementedError, KeyError)

# pandas warns of some of these writes.
IGNORE_WARNINGS = pytest.mark.filterwarnings("ignore")
WRITTEN_COLUMNS = ["alert_id", "severity", "title", "threshold", "created_at", "actions", "flag", "score", "note"]


def check_that_a_write_changes_no_other_frame(write: Any, *, reallocated: bool) -> None:
    """Write into one of several frames, at once or after the buffers were reallocated, and check all others."""
    table = RollingTable(CHANNELS["alerts"], max_rows=500)
    table.append(alerts(0, 300))
    written, other, expected = table.frame(), table.frame(), table.frame().copy()
    tail = table.frame(290)
    if reallocated:
        table.append(alerts(300, 1_400))
        gc.collect()
    later, later_expected = table.frame(), table.frame().copy()
    latest = table.latest().copy()
    write(written)
    assert_equal(other, expected)
    assert_equal(tail, expected.iloc[290:])
    assert_equal(later, later_expected)
    assert_equal(table.frame(), later_expected)
    assert_equal(table.latest(), latest)
    assert table.frame().columns.name is None
    assert table.frame().attrs == {}
    stop = table.stop
    table.append(alerts(stop, stop + 10))
    assert_equal(table.frame().iloc[-10:], pd.concat([table.frame(stop)]))
    assert list(table.frame(stop)["alert_id"]) == [f"a{i}" for i in range(stop, stop + 10)]


@IGNORE_WARNINGS
@pytest.mark.parametrize("reallocated", [False, True], ids=["at once", "after reallocation"])
@pytest.mark.parametrize("way", WRITES)
def test_a_write_into_a_frame_changes_no_other(way: str, reallocated: bool) -> None:
    check_that_a_write_changes_no_other_frame(WRITES[way], reallocated=reallocated)


@IGNORE_WARNINGS
@pytest.mark.parametrize("reallocated", [False, True], ids=["at once", "after reallocation"])
@pytest.mark.parametrize("way", ARRAY_WRITES)
def test_a_write_into_the_arrays_of_a_frame_changes_no_other(way: str, reallocated: bool) -> None:
    def write(frame: pd.DataFrame) -> None:
        for column in WRITTEN_COLUMNS:
            with contextlib.suppress(*REFUSALS):
                ARRAY_WRITES[way](frame, column)

    check_that_a_write_changes_no_other_frame(write, reallocated=reallocated)


@pytest.mark.parametrize("kind", ["float64", "Int64", "int64", "boolean", "str", "category", "object", "datetime"])
def test_a_written_value_is_in_the_frame_and_in_no_other(kind: str) -> None:
    sample, name, value = {
        "float64": (ALERT, "threshold", -1.0),
        "Int64": (TRADE, "ticket", 7),
        "int64": (POSITION, "ticket", 7),
        "boolean": (message(ALERT, flag=True), "flag", False),
        "str": (ALERT, "title", "changed"),
        "category": (ALERT, "severity", None),
        "object": (ALERT, "actions", ("changed",)),
        "datetime": (ALERT, "created_at", pd.Timestamp(0, tz="UTC")),
    }[kind]
    table = table_of(sample, sample, sample)
    frame, other = table.frame(), table.frame()
    del table
    gc.collect()
    before = other[name].tolist()
    column = frame.columns.get_loc(name)
    for row in (0, 2):
        frame.iat[row, column] = value
        written = frame[name].iloc[row]
        assert pd.isna(written) if value is None else written == value
    assert frame[name].iloc[1] == before[1]
    assert other[name].tolist() == before


def test_a_frame_stays_valid_without_its_table() -> None:
    table = RollingTable(CHANNELS["alerts"], max_rows=100)
    table.append(alerts(0, 100))
    frame, expected = table.frame(), table.frame().copy()
    del table
    gc.collect()
    new_memory = [np.full(100_000, 7, np.int64) for _ in range(20)]

    assert_equal(frame, expected)
    frame.iat[0, frame.columns.get_loc("threshold")] = -1.0
    assert frame.iloc[1:].equals(expected.iloc[1:])
    del new_memory

"""Frames are protected from writes, also if pandas has no `Series._references`."""

from __future__ import annotations

import warnings

import pandas as pd
import pytest

from fxlive.tables.columns import copy_on_write
from fxlive.tables.store import Store
from fxlive.wire.protocol import decode
from tests.samples import TRADE, wire


def test_pandas_has_the_private_attribute_that_protects_frames() -> None:
    frame = pd.DataFrame({"bid": [1.0]})

    assert callable(frame["bid"]._references.add_index_reference)
    assert copy_on_write.share_columns(frame)


def test_without_the_private_attribute_frames_are_copies_and_the_user_is_warned_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(copy_on_write, "_warned", False)
    monkeypatch.setattr(copy_on_write, "_REFERENCES", "_removed")  # pandas itself needs its attribute
    store = Store()
    store.add(decode([wire(TRADE)], 1_000_000))

    with pytest.warns(RuntimeWarning, match="Series._removed"):
        frame = store.tables["trades"].frame()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.tables["trades"].frame()
        store.tables["positions"].frame()

    frame.iloc[0, frame.columns.get_loc("profit")] = -1.0
    frame.loc[:, "volume"] = 99.0
    unchanged = store.tables["trades"].frame()
    assert unchanged["profit"].iloc[0] != -1.0
    assert unchanged["volume"].iloc[0] != 99.0

"""Thinning: what is left looks the same."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fxlive.figures.thinning import thinned

values = st.lists(st.one_of(st.floats(-1e9, 1e9), st.just(float("nan"))), min_size=1, max_size=200)


@given(values, st.floats(0.5, 300.0))
def test_every_stretch_keeps_its_extremes_and_the_ends_stay(ys: list[float], width: float) -> None:
    x, y = np.arange(float(len(ys))), np.array(ys)
    kept = thinned(x, (y,), width)

    assert kept[0] == 0
    assert kept[-1] == len(x) - 1
    assert (np.diff(kept) > 0).all()
    stretch = np.floor(x / width)
    for number in np.unique(stretch):
        every, left = y[stretch == number], y[kept][stretch[kept] == number]
        if not np.isnan(every).all():
            assert (np.nanmin(left), np.nanmax(left)) == (np.nanmin(every), np.nanmax(every))


@given(values)
def test_a_hole_stays_a_hole(ys: list[float]) -> None:
    y = np.array(ys)
    kept = thinned(np.arange(float(len(y))), (y,), 50.0)
    missing = np.isnan(y)
    begins = missing & ~np.concatenate([[False], missing[:-1]])
    assert set(np.flatnonzero(begins)) <= set(kept)


def test_many_points_become_few() -> None:
    walk = np.cumsum(np.random.default_rng(7).standard_normal(1_000_000))
    assert len(thinned(np.arange(1e6), (walk, walk + 1), 1_000.0)) < 4_002


def test_of_nothing_nothing_is_left() -> None:
    assert len(thinned(np.empty(0), (np.empty(0),), 1.0)) == 0

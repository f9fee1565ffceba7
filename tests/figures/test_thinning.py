"""Downsampling keeps the points that determine how a line looks."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fxlive.figures.thinning import thinned

values = st.lists(st.one_of(st.floats(-1e9, 1e9), st.just(float("nan"))), min_size=1, max_size=200)


@given(values, st.floats(0.5, 300.0))
@settings(deadline=None)
def test_every_bucket_keeps_its_extremes_and_the_first_and_last_point_stay(ys: list[float], width: float) -> None:
    x, y = np.arange(float(len(ys))), np.array(ys)
    kept = thinned(x, (y,), width)

    assert kept[0] == 0
    assert kept[-1] == len(x) - 1
    assert (np.diff(kept) > 0).all()
    buckets = np.floor(x / width)
    for bucket in np.unique(buckets):
        before, after = y[buckets == bucket], y[kept][buckets[kept] == bucket]
        if not np.isnan(before).all():
            assert (np.nanmin(after), np.nanmax(after)) == (np.nanmin(before), np.nanmax(before))


@given(values)
@settings(deadline=None)
def test_a_gap_in_a_line_stays_a_gap(ys: list[float]) -> None:
    y = np.array(ys)
    kept = thinned(np.arange(float(len(y))), (y,), 50.0)
    missing = np.isnan(y)
    gap_starts = missing & ~np.concatenate([[False], missing[:-1]])
    assert set(np.flatnonzero(gap_starts)) <= set(kept)


def test_a_million_points_become_a_few_thousand() -> None:
    walk = np.cumsum(np.random.default_rng(7).standard_normal(1_000_000))
    assert len(thinned(np.arange(1e6), (walk, walk + 1), 1_000.0)) < 4_002


def test_no_points_stay_no_points() -> None:
    assert len(thinned(np.empty(0), (np.empty(0),), 1.0)) == 0

"""Downsampling of lines for display: fewer points that look the same, because a screen has few pixels.

The x axis is divided into buckets of equal width. Of each bucket, the points with the lowest and the highest value of
each line are kept (min-max aggregation, as in Jugel et al., "M4: A Visualization-Oriented Time Series Data
Aggregation", VLDB 2014), and so are the first and the last point of all. Nothing is averaged: every remaining point is
an original one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def thinned(x: Floats, ys: tuple[Floats, ...], width: float) -> npt.NDArray[np.intp]:
    """Return the row numbers of the points to keep, ascending.

    Parameters
    ----------
    x
        Positions on the x axis, ascending, shape (n,).
    ys
        The values of each line at `x`, each of shape (n,); NaN where the line has no value.
    width
        The width of a bucket, in the unit of `x`. At most two points of each bucket are kept for each line, plus the
        first point of every gap (NaN), so that gaps stay visible.

    Examples
    --------
    >>> thinned(np.arange(6.0), (np.array([0.0, 5.0, 1.0, 1.0, -3.0, 2.0]),), 6.0)
    array([0, 1, 4, 5])
    """
    if not len(x):
        return np.empty(0, np.intp)
    bucket_numbers = np.floor((x - x[0]) / width)
    starts = np.flatnonzero(np.diff(bucket_numbers, prepend=-1.0))
    buckets = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(x)))
    keep = np.zeros(len(x), np.bool_)
    keep[[0, -1]] = True
    for y in ys:
        for extreme in (np.fmin, np.fmax):
            rows = np.flatnonzero(y == extreme.reduceat(y, starts)[buckets])
            keep[rows[np.diff(buckets[rows], prepend=-1) > 0]] = True  # the first of equal extremes
        missing = np.isnan(y)
        keep |= missing & ~np.concatenate([[False], missing[:-1]])  # the first point of each gap
    return np.flatnonzero(keep)

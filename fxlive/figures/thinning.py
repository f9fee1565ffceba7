"""Thinning: fewer points that look the same, because a screen has only so many pixels.

The points of each stretch of time are replaced by those with the least and the greatest value of each line (min-max
aggregation, as in Jugel et al., "M4: A Visualization-Oriented Time Series Data Aggregation", VLDB 2014), and the first
and last of all are kept. Nothing is averaged: every point that is left is one that came.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def thinned(x: Floats, ys: tuple[Floats, ...], width: float) -> npt.NDArray[np.intp]:
    """Return the places of the points to keep, in order.

    Parameters
    ----------
    x
        Ascending, shape (n,).
    ys
        The values of each line at `x`, each of shape (n,); NaN where a line has none.
    width
        Of a stretch, in the unit of `x`; of each at most two points a line are kept.

    Examples
    --------
    >>> thinned(np.arange(6.0), (np.array([0.0, 5.0, 1.0, 1.0, -3.0, 2.0]),), 6.0)
    array([0, 1, 4, 5])
    """
    if not len(x):
        return np.empty(0, np.intp)
    stretch = np.floor((x - x[0]) / width)
    starts = np.flatnonzero(np.diff(stretch, prepend=-1.0))
    of_stretch = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(x)))
    keep = np.zeros(len(x), np.bool_)
    keep[[0, -1]] = True
    for y in ys:
        for extreme in (np.fmin, np.fmax):
            places = np.flatnonzero(y == extreme.reduceat(y, starts)[of_stretch])
            stretches = of_stretch[places]
            keep[places[np.diff(stretches, prepend=-1) > 0]] = True  # of equal ones the first
        missing = np.isnan(y)
        keep |= missing & ~np.concatenate([[False], missing[:-1]])  # where a hole begins
    return np.flatnonzero(keep)

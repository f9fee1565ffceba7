"""Volumes in lots: absolute, in whole millionths, and compared with one tolerance.

Platforms differ in the sign of a sold volume, and round the parts of a position that is closed in several steps. So
the sign of a volume is ignored (the side of a position is in its `type`, that of a trade in its `action`), and a
position is closed when the closed parts cover its volume up to `VOLUME_TOLERANCE`. Tables, captures and analyses use
these functions, so that they agree on which positions are open.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

VOLUME_TOLERANCE = 5
"""In millionths of a lot (half a unit of the base currency): what remains of a closed position at most."""

_MILLION = 1_000_000
_LARGEST = 1e12  # as `analytics.inputs.millionths`: a larger volume is not a volume


def micro_lots(volume: float | None) -> int | None:
    """Return a volume in whole millionths of a lot, without its sign; None if it is missing or not finite.

    >>> micro_lots(-0.3), micro_lots(float("nan"))
    (300000, None)
    """
    if volume is None or not math.isfinite(volume) or abs(volume) > _LARGEST:
        return None
    return round(abs(volume) * _MILLION)


def is_covered(volume: Any, closed: Any) -> Any:
    """Return whether closed parts cover a volume. Both in millionths of a lot, as numbers or as arrays; no signs.

    >>> is_covered(100_000, 3 * 33_333), is_covered(1_000_000, 300_000)
    (True, False)
    """
    return closed >= volume - VOLUME_TOLERANCE


def is_zero(volume: float | None) -> bool:
    """Return whether a volume (in lots) is 0 up to the tolerance; False if it is missing.

    >>> is_zero(-0.0), is_zero(5.6e-17), is_zero(0.01), is_zero(None)
    (True, True, False, False)
    """
    micro = micro_lots(volume)
    return micro is not None and is_covered(micro, 0)


def are_zero(volumes: Any) -> npt.NDArray[np.bool_]:
    """Return where volumes (in lots, NaN if missing) are 0 up to the tolerance.

    >>> are_zero([0.0, -1.0, float("nan")]).tolist()
    [True, False, False]
    """
    with np.errstate(invalid="ignore"):
        zero: npt.NDArray[np.bool_] = is_covered(np.rint(np.abs(np.asarray(volumes, np.float64)) * _MILLION), 0)
    return zero

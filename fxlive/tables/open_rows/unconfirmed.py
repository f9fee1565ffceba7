"""Positions that no message has confirmed since the last gap: whether they count, and how a result says so."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, Literal, TypeVar, get_args

import numpy as np
import pandas as pd

from fxlive.errors import UnknownOption

Unconfirmed = Literal["include", "exclude"]
"""Whether positions without a message since the last gap count. They may have been closed meanwhile."""

LAST_GAP = "last_gap"
"""The entry in the `attrs` of `latest` with the begin and the end of the last gap, as ISO 8601; None if it lasts."""

_Result = TypeVar("_Result", pd.DataFrame, "pd.Series[Any]")


def check_unconfirmed(unconfirmed: str) -> None:
    """Raise UnknownOption if an option is neither ``"include"`` nor ``"exclude"``."""
    if unconfirmed not in get_args(Unconfirmed):
        raise UnknownOption("unconfirmed", unconfirmed, get_args(Unconfirmed))


def are_unconfirmed(positions: pd.DataFrame) -> Any:
    """Return a bool array of the rows of positions that are unconfirmed; none without a column `confirmed`."""
    if "confirmed" not in positions.columns:
        return np.zeros(len(positions), np.bool_)
    return ~positions["confirmed"].to_numpy(bool, na_value=True)


def unconfirmed_attrs(latest: pd.DataFrame, gap_start_us: int, gap_end_us: int | None) -> dict[Hashable, Any]:
    """Return the `attrs` of `latest` of positions or orders after a gap: the unconfirmed keys, and the gap's times.

    The times of the gap are in microseconds since 1970 UTC; the end is None while it lasts.
    """
    start, end = (
        None if us is None else pd.Timestamp(us, unit="us", tz="UTC").isoformat() for us in (gap_start_us, gap_end_us)
    )
    return {"unconfirmed": latest.index[are_unconfirmed(latest)].tolist(), LAST_GAP: (start, end)}


def reason(positions: pd.DataFrame, unconfirmed: Unconfirmed) -> str | None:
    """Return which rows of `latest` are unconfirmed, in words; None if all are confirmed.

    >>> positions = pd.DataFrame({"confirmed": [True, False, False]})
    >>> positions.attrs["last_gap"] = ("2024-01-01T12:00:00+00:00", "2024-01-01T12:00:05+00:00")
    >>> reason(positions, "include")
    '2 positions not confirmed since the gap that ended 12:00:05'
    """
    text = unconfirmed_text(int(are_unconfirmed(positions).sum()), *(positions.attrs.get(LAST_GAP) or (None, None)))
    return text if text is None or unconfirmed == "include" else f"{text}: left out"


def unconfirmed_text(count: int, gap_start: Any, gap_end: Any) -> str | None:
    """Return how many positions are unconfirmed since a gap, in words; None for 0.

    The times are in microseconds since 1970 UTC or ISO 8601; the end is None while the gap lasts, the start if unknown.
    """
    if not count:
        return None
    at = gap_start if gap_end is None else gap_end
    since = "the last gap"
    if at is not None:
        time = pd.Timestamp(at, unit="us", tz="UTC") if isinstance(at, int) else pd.Timestamp(at)
        since = f"the gap that {'began' if gap_end is None else 'ended'} {time:%H:%M:%S}"
    return f"{count:,} position{'' if count == 1 else 's'} not confirmed since {since}"


def with_reason(result: _Result, text: str | None, figures: Iterable[str]) -> _Result:
    """Add a reason to some figures in the `attrs` of a result, and a short form of it to its display; return it.

    The short form is the name of the columns of a DataFrame, or the name of a Series.
    """
    if text is not None:
        result.attrs["reasons"] = {**result.attrs.get("reasons", {}), **dict.fromkeys(figures, text)}
        short = text.partition(" since ")[0]
        if isinstance(result, pd.DataFrame):
            result.columns.name = short
        else:
            result.name = short
    return result

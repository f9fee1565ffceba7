"""Gaps: intervals in which messages may have been lost, and their DataFrame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fxlive.core.dtypes import STR, UTC
from fxlive.core.timestamps import NAT

MAX_REASON_CHARS = 1_000
"""A longer reason of a gap is cut, in the session and in its captures."""


@dataclass
class Gap:
    """An interval in which messages may have been lost, in microseconds since 1970 UTC; `end` is None until it ends."""

    start: int
    end: int | None
    reason: str
    channels: tuple[str, ...]


def gaps_frame(gaps: Sequence[Gap]) -> pd.DataFrame:
    """Return gaps as a frame: `start`, `end` (NaT until it ends), `duration_s`, `reason`, `channels`."""
    frame = pd.DataFrame(
        {
            "start": times_array([g.start for g in gaps]),
            "end": times_array([NAT if g.end is None else g.end for g in gaps]),
            "reason": pd.array([g.reason for g in gaps], dtype=STR),
            "channels": pd.Series([g.channels for g in gaps], dtype=object),
        }
    )
    frame.insert(2, "duration_s", (frame["end"] - frame["start"]).dt.total_seconds())
    return frame


def times_array(micros: list[int]) -> Any:
    """Return microseconds since 1970 UTC as a pandas array of dtype ``datetime64[us, UTC]``."""
    return pd.array(np.array(micros, np.int64), dtype=UTC)

"""The frame of `latest` of positions and orders: rows of the window and kept ones, with the column `confirmed`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fxlive.wire.channels import Channel

RowNumbers = npt.NDArray[np.int64]

MAX_REMEMBERED_ROWS = 10_000
"""The most rows of a frame that is kept for the next call."""


def open_frame(
    window: pd.DataFrame,
    positions: RowNumbers,
    numbers: RowNumbers,
    kept: tuple[pd.DataFrame, RowNumbers, RowNumbers] | None,
    channel: Channel,
    confirmed_from: int,
    confirmed_keys: Collection[Any],
) -> pd.DataFrame:
    """Return one row for each key, indexed and sorted by key.

    `confirmed` (bool) is whether a message about the key has arrived since the last gap.

    Parameters
    ----------
    window, positions, numbers
        The rolling window, the positions in it of the newest rows of keys, and the numbers of those rows.
    kept
        The frame of `KeptRows`, the rows of it that count, and the numbers that they had in the table.
    channel
        The channel, with a single column as its key.
    confirmed_from, confirmed_keys
        The number of the first row after the last gap, and the keys with an older row confirmed since.
    """
    assert channel.ends is not None
    key, frames, selected = channel.key[0], [window], positions
    if kept is not None:  # its frame is copied whole, because selecting rows costs more
        kept_frame, kept_rows, kept_numbers = kept
        frames = [kept_frame, window.iloc[positions]]
        selected = np.concatenate((kept_rows, np.arange(len(kept_frame), len(kept_frame) + len(positions))))
        numbers = np.concatenate((kept_numbers, numbers))
    order = _values(frames, key).take(selected).argsort()
    selected = selected[order]
    # One column after the other, so that only one of them is in memory twice.
    columns = {name: _values(frames, name).take(selected) for name in ["timestamp", *window.columns]}
    confirmed = numbers[order] >= confirmed_from
    if not confirmed.all():
        column, has_ended = channel.ends
        confirmed |= columns[key].isin(list(confirmed_keys))
        doubtful = np.flatnonzero(~confirmed)
        confirmed[doubtful] = [has_ended(value) for value in columns[column].take(doubtful).tolist()]
    index = pd.Index(columns.pop(key), name=key)
    return pd.DataFrame({**columns, "confirmed": confirmed}, index, copy=False)


class LastOpenFrame:
    """The last result of `open_frame`, for as long as nothing changes. Large ones are not kept, to save memory."""

    def __init__(self) -> None:
        self._last: tuple[tuple[int, ...], pd.DataFrame] | None = None

    def of(self, state: tuple[int, ...]) -> pd.DataFrame | None:
        """Return a copy of the frame if it was built in this state of the table, otherwise forget it."""
        if (last := self._last) is not None and last[0] == state:
            return last[1].copy()
        self._last = None  # frees its memory before the next is built
        return None

    def remember(self, state: tuple[int, ...], frame: pd.DataFrame) -> pd.DataFrame:
        """Keep a new frame, and return a copy of it for the caller."""
        if len(frame) > MAX_REMEMBERED_ROWS:
            return frame
        self._last = state, frame
        return frame.copy()


def _values(frames: Sequence[pd.DataFrame], name: str) -> Any:
    """Return a column of several frames, or their index, as one array."""
    values = [frame[name] if name in frame else frame.index.to_series() for frame in frames]
    return values[0].array if len(values) == 1 else pd.concat(values, ignore_index=True).array

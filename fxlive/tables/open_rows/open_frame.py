"""The frame of `latest` of positions and orders: rows of the window and kept ones, with the column `confirmed`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fxlive.wire.channels import Channel

RowNumbers = npt.NDArray[np.int64]


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
    rows, selected = window, positions
    if kept is not None:  # its frame is copied whole, because selecting rows costs more
        kept_frame, kept_rows, kept_numbers = kept
        rows = pd.concat([kept_frame, window.iloc[positions]])
        selected = np.concatenate((kept_rows, np.arange(len(kept_frame), len(rows))))
        numbers = np.concatenate((kept_numbers, numbers))
    key = channel.key[0]
    order = rows[key].array.take(selected).argsort()
    newest, confirmed = rows.iloc[selected[order]], numbers[order] >= confirmed_from
    if not confirmed.all():
        column, has_ended = channel.ends
        confirmed |= newest[key].isin(confirmed_keys).to_numpy(bool)
        doubtful = np.flatnonzero(~confirmed)
        confirmed[doubtful] = [has_ended(value) for value in newest[column].iloc[doubtful].tolist()]
    # Not reset_index and assign: they warn of performance if there are many columns.
    columns = [newest.index.to_frame(), newest, pd.DataFrame({"confirmed": confirmed}, newest.index)]
    by_key: pd.DataFrame = pd.concat(columns, axis=1)
    return by_key.set_index(key)

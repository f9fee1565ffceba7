"""The newest row of each key in a capture, by the rules of a live session (`RollingTable`, `Store`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fxlive.capture.reading.frames import to_frame
from fxlive.tables.store import VOLUME_TOLERANCE, merged_closing
from fxlive.tables.vocabulary import Vocabulary
from fxlive.wire.channels import Channel
from fxlive.wire.undocumented import UndocumentedColumns


def newest_rows(rows: Any, channel: Channel) -> Any:
    """Return the indices of each key's newest row: the one with the latest `timestamp`, of equal ones the last.

    Parameters
    ----------
    rows
        An Arrow table with the columns of `columns(channel)` and `received_at`, in the order of arrival.
    channel
        The channel of the rows.
    """
    stamps = rows.column("timestamp").to_numpy().astype(np.int64)
    order = np.arange(len(rows))
    if len(stamps) and (stamps[1:] < stamps[:-1]).any():
        order = np.argsort(stamps, kind="stable")
    if channel.single:
        return order[-1:]
    keys = _keys(rows, channel).iloc[order]
    return np.sort(order[~keys.duplicated(keep="last").to_numpy()])


def columns(channel: Channel) -> list[str]:
    """Return the columns that `newest_rows` needs."""
    return ["timestamp", *(() if channel.single else channel.key)]


def _keys(rows: Any, channel: Channel) -> pd.DataFrame:
    by_name = {column.name: column for column in channel.columns}
    only_keys = Channel(channel.name, columns=tuple(by_name[name] for name in channel.key))
    keys = to_frame(rows.to_batches(), len(rows), only_keys, Vocabulary(), UndocumentedColumns(only_keys))
    return keys[list(channel.key)]


def without_ended(newest: pd.DataFrame, channel: Channel) -> pd.DataFrame:
    """Return the newest rows without ended ones, such as closed positions, if the channel's `latest` omits them."""
    if not channel.leaves or channel.ends is None:
        return newest
    column, ends = channel.ends
    return newest[~newest[column].isin(ends).to_numpy()]


def without_covered(positions: pd.DataFrame, closings: pd.DataFrame) -> pd.DataFrame:
    """Return the newest rows of positions without those whose volume is covered by later closing trades.

    Parameters
    ----------
    positions
        One row per ticket.
    closings
        The trades with status CLOSED, in the order of arrival. If an execution comes more than once, `merged_closing`
        says which volume and time count.
    """
    if positions.empty or closings.empty:
        return positions
    closed: dict[int, dict[str, tuple[Any, float]]] = {}
    relevant = closings[closings["ticket"].isin(positions["ticket"]).to_numpy()]
    columns = (relevant[name].tolist() for name in ("ticket", "execution_id", "volume"))
    for at, ticket, execution, volume in zip(relevant.index, *columns, strict=True):
        executions = closed.setdefault(ticket, {})
        executions[execution] = merged_closing(executions.get(execution), at, volume)
    covered = [
        ticket in closed and sum(v for at, v in closed[ticket].values() if at > row_at) >= volume - VOLUME_TOLERANCE
        for row_at, ticket, volume in zip(positions.index, positions["ticket"], positions["volume"], strict=True)
    ]
    return positions[~np.array(covered, bool)]

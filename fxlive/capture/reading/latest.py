"""The newest row of each key of a capture, by the rules by which a live session finds it (`RollingTable`, `Store`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fxlive.capture.reading.frames import to_frame
from fxlive.tables.store import VOLUME_TOLERANCE
from fxlive.tables.vocabulary import Vocabulary
from fxlive.wire.channels import Channel
from fxlive.wire.undocumented import UndocumentedColumns


def newest_places(rows: Any, channel: Channel) -> Any:
    """Return the places of the newest row of each key: the latest `timestamp`, of equal ones the last.

    Parameters
    ----------
    rows
        An Arrow table of `columns` and `received_at`, in the order of arrival.
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
    """Return the columns by which the newest rows are found."""
    return ["timestamp", *(() if channel.single else channel.key)]


def _keys(rows: Any, channel: Channel) -> pd.DataFrame:
    known = {column.name: column for column in channel.columns}
    only_keys = Channel(channel.name, columns=tuple(known[name] for name in channel.key))
    return to_frame(rows.to_batches(), len(rows), only_keys, Vocabulary(), UndocumentedColumns(only_keys))[
        list(channel.key)
    ]


def without_ended(newest: pd.DataFrame, channel: Channel) -> pd.DataFrame:
    """Return the newest rows without those of what has ended, where such leave."""
    if not channel.leaves or channel.ends is None:
        return newest
    column, ends = channel.ends
    return newest[~newest[column].isin(ends).to_numpy()]


def without_covered(positions: pd.DataFrame, closings: pd.DataFrame) -> pd.DataFrame:
    """Return the newest rows of positions without those whose volume later closing trades cover.

    Parameters
    ----------
    positions
        One row a ticket.
    closings
        The trades with status CLOSED, in the order of arrival. What an execution says last counts, from when it was
        first said.
    """
    if positions.empty or closings.empty:
        return positions
    said: dict[int, dict[str, tuple[Any, float]]] = {}
    of_tickets = closings[closings["ticket"].isin(positions["ticket"]).to_numpy()]
    columns = (of_tickets[name].tolist() for name in ("ticket", "execution_id", "volume"))
    for at, ticket, execution, volume in zip(of_tickets.index, *columns, strict=True):
        before = said.setdefault(ticket, {}).get(execution)
        said[ticket][execution] = (at if before is None else min(at, before[0]), volume)
    covered = [
        sum(v for at, v in said.get(ticket, {}).values() if at > row_at) >= volume - VOLUME_TOLERANCE and ticket in said
        for row_at, ticket, volume in zip(positions.index, positions["ticket"], positions["volume"], strict=True)
    ]
    return positions[~np.array(covered, bool)]

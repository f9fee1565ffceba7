"""The newest row of each key in a capture, by the rules of a live session (`RollingTable`, `Store`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fxlive.capture.reading.frames import to_frame
from fxlive.capture.reading.rows import followed
from fxlive.core.progress import CONFIRMATIONS, Micros
from fxlive.tables.store import VOLUME_TOLERANCE, merged_closing
from fxlive.tables.vocabulary import Vocabulary
from fxlive.wire.channels import Channel
from fxlive.wire.undocumented import UndocumentedColumns


def newest_rows(rows: Any, channel: Channel) -> Any:
    """Return the indices of each key's newest row: the one with the latest `timestamp`, of equal ones the last.

    Outliers (rows after the end of the channel's time) give way to other rows, as in `tables.latest.LatestRows`.

    Parameters
    ----------
    rows
        An Arrow table with the columns of `columns(channel)` and `received_at`, in the order of arrival.
    channel
        The channel of the rows.
    """
    stamps = rows.column("timestamp").to_numpy().astype(np.int64)
    progress = followed(rows)
    outlier = stamps > progress.end
    outlier[progress.contradicted] = True
    keys = None if channel.single else _keys(rows, channel)
    if outlier.any():
        order = _rank(stamps, np.zeros(len(rows), np.int64) if keys is None else _codes(keys), outlier)
    elif (stamps[1:] < stamps[:-1]).any():
        order = np.argsort(stamps, kind="stable")
    else:
        order = np.arange(len(rows))
    if keys is None:
        return order[-1:]
    return np.sort(order[~keys.iloc[order].duplicated(keep="last").to_numpy()])


def _codes(keys: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return a number for each row, equal for equal keys."""
    groups = keys.groupby(list(keys), observed=True, sort=False, dropna=False)
    return np.asarray(groups.ngroup(), dtype=np.int64)


def _rank(stamps: Micros, keys: npt.NDArray[np.int64], outlier: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Return the rows, the newest last; `keys` are the codes of their keys."""
    # A key whose last rows are all outliers follows them.
    last_trusted = np.full(keys.max(initial=0) + 1, -1)
    last_trusted[keys[~outlier]] = np.flatnonzero(~outlier)  # of several, the last stays
    since = outlier & (np.arange(len(keys)) > last_trusted[keys])
    in_a_row = np.bincount(keys[since], minlength=len(last_trusted))
    is_followed = since & (in_a_row[keys] >= CONFIRMATIONS)
    return np.lexsort((stamps, np.where(is_followed, 2, np.where(outlier, 0, 1))))


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

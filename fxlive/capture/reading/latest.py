"""The newest row of each key in a capture, by the rules of a live session (`RollingTable`, `Store`)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fxlive.capture.format.layout import CONFIRMED, channel_folder
from fxlive.capture.format.notes import Gap
from fxlive.capture.reading.folder import Folder
from fxlive.capture.reading.frames import to_frame
from fxlive.capture.reading.rows import ChannelReader, followed
from fxlive.core.progress import CONFIRMATIONS, Micros
from fxlive.core.shown_text import counted
from fxlive.tables.columns.vocabulary import Vocabulary
from fxlive.tables.open_rows.closings import Closings
from fxlive.wire.channels import CHANNELS, Channel
from fxlive.wire.statuses import side_of
from fxlive.wire.undocumented.columns import UndocumentedColumns


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
    outlier = followed(rows).are_outliers(stamps)
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
    column, has_ended = channel.ends
    return newest[~np.array([has_ended(value) for value in newest[column].tolist()], bool)]


def without_covered(positions: pd.DataFrame, trades: pd.DataFrame) -> pd.DataFrame:
    """Return the newest rows of positions without those that later trades have closed (see `Closings`).

    Parameters
    ----------
    positions
        One row per ticket.
    trades
        All trades of these tickets, in the order of arrival.
    """
    if positions.empty or trades.empty:
        return positions
    closings: dict[int, Closings] = {}  # one for each ticket, because all of them are needed
    columns = (trades[name].tolist() for name in ("ticket", "execution_id", "volume"))
    texts = (trades[name].astype(object).where(trades[name].notna(), None).tolist() for name in ("status", "action"))
    for at, ticket, execution, volume, status, action in zip(trades.index, *columns, *texts, strict=True):
        closings.setdefault(ticket, Closings()).add(ticket, execution, at, volume, status, action)
    rows = zip(positions.index, *(positions[name].tolist() for name in ("ticket", "volume", "type")), strict=True)
    covered = [
        ticket in closings and closings[ticket].cover(ticket, at, volume, side_of(side) if isinstance(side, str) else 0)
        for at, ticket, volume, side in rows
    ]
    return positions[~np.array(covered, bool)]


def end_of_last_gap(gaps: Sequence[Gap]) -> int | None:
    """Return the time of receipt (microseconds) after which a message confirms its position; None without gaps.

    No row is received while the connection is away; but some are while the recorder drops rows.
    """
    return max((gap.start if gap.lost_rows is None or gap.end is None else gap.end for gap in gaps), default=None)


def are_certain(newest: pd.DataFrame, channel: Channel, after_us: int) -> npt.NDArray[np.bool_]:
    """Return whether each position or order has ended, or its newest row was received after a time."""
    assert channel.ends is not None
    column, has_ended = channel.ends
    certain = received_us(newest) > after_us
    doubtful = np.flatnonzero(~certain)
    certain[doubtful] = [has_ended(value) for value in newest[column].iloc[doubtful].tolist()]
    return certain


def received_us(rows: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return when rows were received, in microseconds since 1970 UTC."""
    return pd.DatetimeIndex(rows["received_at"]).asi8


def confirmations_of(folders: Sequence[Folder], until_us: int | None = None) -> list[tuple[int, str, Any]]:
    """Return the confirmations without a row: time of receipt (microseconds), channel and key.

    They are those that were recorded, and the messages that repeat one of another capture.
    """
    recorded = [confirmed for folder in folders for confirmed in _confirmations(folder, until_us)]
    repeated = [
        confirmed
        for channel in CHANNELS.values()
        if channel.ends is not None and len(folders) > 1
        for confirmed in _repeated(channel, folders, until_us)
    ]
    return recorded + repeated


def _repeated(channel: Channel, folders: Sequence[Folder], until_us: int | None) -> Iterator[tuple[int, str, Any]]:
    found, key = ChannelReader(channel, folders, until_us).found(), channel.key[0]
    for folder, _ in found.by_folder:
        repeats = found.repeats_of(folder)
        if len(repeats):
            reader = ChannelReader(channel, [folder], until_us)
            rows = reader.table(where=~repeats.others, columns=["received_at", key])
            times = rows.column("received_at").to_numpy().astype(np.int64).tolist()
            for at, value in zip(times, rows.column(key).to_pylist(), strict=True):
                yield at, channel.name, value


def _confirmations(folder: Folder, until_us: int | None) -> Iterator[tuple[int, str, Any]]:
    rows = ChannelReader(CONFIRMED, [folder], until_us).table()
    times = rows.column("received_at").to_numpy().astype(np.int64).tolist()
    damaged = 0
    for at, name, text in zip(times, *(rows.column(name).to_pylist() for name in ("of_channel", "key")), strict=True):
        key = _confirmed_key(CHANNELS.get(name), text)
        if key is None:
            damaged += 1
        else:
            yield at, name, key
    if damaged:
        file = f"{folder.path}/{channel_folder(CONFIRMED)}"
        folder.warn(file, f"has {counted(damaged, 'row')} without a valid channel and key, which were left out.")


def _confirmed_key(channel: Channel | None, text: str | None) -> Any:
    """Return the key of a position or an order; None if there is no such key."""
    if channel is None or channel.ends is None or text is None:
        return None
    if channel.key != ("ticket",):
        return text
    is_integer = re.fullmatch("-?[0-9]{1,19}", text) is not None
    return int(text) if is_integer and -(2**63) <= int(text) < 2**63 else None

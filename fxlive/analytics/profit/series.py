"""The series of `pnl` worked out at once, by columns: what the ledger does event by event, ten times as fast.

It takes the plain case: every execution said once, every row complete. In it a position's worth follows from its last
row and from what was closed since, so that sorting, running sums and the place of the last row are all it needs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from fxlive.analytics.inputs import MISSING, Micros, Money, millionths, times_us
from fxlive.analytics.profit.events import UNKNOWN, zero_if_missing

Flags = npt.NDArray[np.bool_]


class Series(NamedTuple):
    """One group's points: times, and running amounts in whole millionths."""

    times: Micros
    unrealized: Money
    realized: Money
    commission: Money
    swap: Money
    peak: Money


def begun(series: Series, begins: int | None) -> Series:
    """Return a group's points from a time on: what was before is in the point of that time, where the peak begins."""
    if begins is None or series.times[0] > begins:
        return series
    places = np.arange(np.searchsorted(series.times, begins, side="right") - 1, len(series.times))
    kept = Series(*(amounts[places] for amounts in series))
    kept.times[0] = begins
    return kept._replace(peak=np.maximum.accumulate(kept.unrealized + kept.realized))


class _Changes(NamedTuple):
    """What is added to a group's amounts at a time."""

    times: Micros
    groups: Micros
    unrealized: Money
    realized: Money
    commission: Money
    swap: Money


def at_once(
    positions: pd.DataFrame, trades: pd.DataFrame, by: str | None, tolerance: int
) -> dict[str | None, Series] | None:
    """Return each group's series, or None where the case is not plain; frames have been checked."""
    unrealized, volume = (millionths(positions, column, "positions") for column in ("unrealized_pnl", "volume"))
    if MISSING in (unrealized.min(initial=0), volume.min(initial=0)) or not trades["execution_id"].is_unique:
        return None
    joined = by in ("strategy_id", "connection_id")
    if by is None:
        names, trade_labels, row_labels = [None], np.zeros(len(trades), np.int64), np.zeros(len(positions), np.int64)
    else:
        names, trade_labels, row_labels = _labels(trades[by], None if joined else positions[by])
    is_row = np.repeat([False, True], [len(trades), len(positions)])
    times = np.concatenate((times_us(trades, "trades"), times_us(positions, "positions")))
    order = np.argsort(times, kind="stable")  # of equal times trades come first, each in the order of arrival
    times, is_row = times[order], is_row[order]
    tickets = _tickets(trades["ticket"], positions["ticket"])[order]
    closed = np.zeros(len(trades), np.int64)
    if len(trades):
        shut = (trades["status"] == "CLOSED").to_numpy(bool, na_value=False)
        closed[shut] = zero_if_missing(millionths(trades, "volume", "trades"))[shut]
    nothing = np.zeros(len(positions), np.int64)
    labels = np.concatenate((trade_labels, np.full(len(positions), -1) if joined else row_labels))[order]
    columns = [
        (closed, nothing),
        (np.zeros(len(trades), np.int64), unrealized),
        (np.zeros(len(trades), np.int64), volume),
    ]
    closings, worth, lots = (np.concatenate(column)[order] for column in columns)

    # Each ticket's events one after the other, and at each of them the place of its last row and of its last name.
    named = np.flatnonzero(tickets >= 0)
    of_ticket = named[np.argsort(tickets[named], kind="stable")]
    begins = np.diff(tickets[of_ticket], prepend=-1) != 0
    places = np.arange(len(of_ticket))
    begun = np.maximum.accumulate(np.where(begins, places, 0))
    row_here = is_row[of_ticket]
    last_row = np.maximum.accumulate(np.where(row_here, places, -1))
    held = last_row >= begun
    label = labels[of_ticket]
    if joined:
        last_label = np.maximum.accumulate(np.where(label >= 0, places, -1))
        groups = np.where(last_label >= begun, label[last_label], 0)
    else:
        groups = label[last_row]
    # What the position is worth after each event, and where that differs from before.
    running = np.cumsum(closings[of_ticket])
    amount = _left(worth[of_ticket][last_row], lots[of_ticket][last_row], running - running[last_row], tolerance)
    amount[~held] = 0
    was_held = np.concatenate(([False], held[:-1])) & ~begins
    former_group, former_amount = np.roll(groups, 1), np.roll(amount, 1)
    touched = row_here | (held & ((closings[of_ticket] != 0) | (was_held & (groups != former_group))))
    outs, ins = touched & was_held, touched & held

    # What each execution books, and where: in the group that it names, or that its ticket has been named.
    booked = np.where(labels >= 0, labels, 0)
    if joined:
        booked[of_ticket] = groups
        booked = np.where(labels >= 0, labels, booked)
    trade_at = np.flatnonzero(~is_row)
    money = [
        zero_if_missing(millionths(trades, c, "trades"))[order[trade_at]] for c in ("profit", "commission", "swap")
    ]
    no_money = np.zeros(int(np.count_nonzero(outs) + np.count_nonzero(ins)), np.int64)
    moments = times[of_ticket]
    changes = _Changes(
        np.concatenate((moments[outs], moments[ins], times[trade_at])),
        np.concatenate((former_group[outs], groups[ins], booked[trade_at])),
        np.concatenate((-former_amount[outs], amount[ins], np.zeros(len(trade_at), np.int64))),
        np.concatenate((no_money, money[0] - money[1] + money[2])),
        np.concatenate((no_money, money[1])),
        np.concatenate((no_money, money[2])),
    )
    return dict(_summed(changes, names))


def _summed(changes: _Changes, names: list[Any]) -> Any:
    """Give each group's running amounts, a point for each of its times."""
    order = np.lexsort((changes.times, changes.groups))
    times, groups = changes.times[order], changes.groups[order]
    if not len(times):
        return
    points = np.flatnonzero(np.diff(times, prepend=times[0] - 1) | np.diff(groups, prepend=-1))
    sums = [np.add.reduceat(amounts[order], points) for amounts in changes[2:]]
    times, groups = times[points], groups[points]
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    for start, end in zip(starts, [*starts[1:], len(times)], strict=True):
        unrealized, realized, commission, swap = (np.cumsum(amounts[start:end]) for amounts in sums)
        peak = np.maximum(np.maximum.accumulate(unrealized + realized), 0)
        yield names[groups[start]], Series(times[start:end], unrealized, realized, commission, swap, peak)


def _left(worth: Money, volume: Money, closed: Money, tolerance: int) -> Money:
    """Return what is left of each position's profit when so much of its volume has been closed since."""
    left = worth.copy()
    part = (closed > 0) & (volume != 0)
    left[part] = np.rint(worth[part] * ((volume[part] - closed[part]) / volume[part])).astype(np.int64)
    left[(volume == 0) | (closed >= volume - tolerance)] = 0
    return left


def _labels(trades: pd.Series[Any], positions: pd.Series[Any] | None) -> tuple[list[Any], Micros, Micros]:
    """Return the names of groups, the first of them UNKNOWN, and the number of each row's; -1 for a trade without."""
    numbered: dict[str, int] = {UNKNOWN: 0}
    coded = []
    for values in (trades, positions):
        if values is None:
            coded.append(np.empty(0, np.int64))
            continue
        codes, names = pd.factorize(values, use_na_sentinel=True)
        numbers = np.array([*(numbered.setdefault(str(name), len(numbered)) for name in names), -1], np.int64)
        coded.append(numbers[codes])
    trade_labels, row_labels = coded
    return list(numbered), trade_labels, np.maximum(row_labels, 0)


def _tickets(trades: pd.Series[Any], positions: pd.Series[Any]) -> Micros:
    """Return a small number for each row's ticket, -1 for a trade without."""
    missing = trades.isna().to_numpy(bool)
    whole = np.zeros(len(trades), np.int64) if missing.all() else trades.to_numpy(np.int64, na_value=0)
    codes, _ = pd.factorize(np.concatenate((whole, positions.to_numpy(np.int64))))
    numbered: Micros = codes.astype(np.int64)
    numbered[: len(trades)][missing] = -1
    return numbered

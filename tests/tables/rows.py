"""Rows, tables and a feed for the tests of this folder."""

from __future__ import annotations

from functools import cache
from typing import Any

import pandas as pd

from fxlive.tables.store import Store
from fxlive.tables.table import RollingTable
from fxlive.wire.batch import Batch, Rows
from fxlive.wire.channels import CHANNELS
from fxlive.wire.protocol import decode
from tests.samples import ALERT, QUOTE, T0_US, message, stamp, wire


def rows_of(*messages: dict[str, Any]) -> Rows:
    """Decode messages of one channel, received at the time of the samples."""
    batch = decode([wire(m) for m in messages], T0_US)
    assert [r.reason for r in batch.rejected] == []
    (rows,) = batch.rows.values()
    return rows


def table_of(*messages: dict[str, Any], **bounds: Any) -> RollingTable:
    """Return a table with the rows of messages of one channel."""
    table = RollingTable(CHANNELS[messages[0]["channel"]], **bounds)
    table.append(rows_of(*messages))
    return table


def quote(number: int, symbol: str = "EURUSD", /, **data: Any) -> dict[str, Any]:
    """Return a quote with a number, which is its bid, its id and (in milliseconds) its timestamp."""
    return message(QUOTE, {"timestamp": stamp(number * 1_000), "id": f"m{number}"}, symbol=symbol, bid=number, **data)


def quotes(start: int, stop: int, **data: Any) -> Rows:
    """Return the rows of quotes with consecutive numbers."""
    return rows_of(*(quote(number, **data) for number in range(start, stop)))


def numbers(frame: pd.DataFrame) -> list[int]:
    """Return the numbers of the quotes in a frame."""
    return [int(bid) for bid in frame["bid"]]


@cache
def alerts(start: int, stop: int) -> Rows:
    """Return the rows of alerts with consecutive numbers, with values and missing values of each kind."""
    return rows_of(
        *(
            message(
                ALERT,
                {"timestamp": stamp(i * 1_000), "id": f"m{i}"},
                alertId=f"a{i}",
                severity=f"S{i % 5}",
                title=None if i % 7 == 3 else f"t{i}",
                threshold=None if i % 5 == 4 else i,
                actions=[f"x{i}"],
                createdAt=stamp(i),
                flag=i % 2 == 0,
                score=i / 2,
                note=f"n{i}",
            )
            for i in range(start, stop)
        )
    )


class Feed:
    """Decodes messages and adds them to a store, numbered in order of arrival."""

    def __init__(self, store: Store | None = None) -> None:
        self.store = store or Store()
        self.arrived = 0

    def send(self, *messages: dict[str, Any] | bytes, at: int = T0_US) -> Batch:
        """Add messages that are received together at a time in microseconds; return their batch."""
        frames = [m if isinstance(m, bytes) else wire(m) for m in messages]
        batch = decode(frames, at, self.arrived)
        self.arrived += len(frames)
        self.store.add(batch)
        return batch

    def open_tickets(self) -> list[int]:
        return list(self.store.tables["positions"].latest().index)

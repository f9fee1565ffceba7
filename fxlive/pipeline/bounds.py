"""The content and the limits of each buffer that the platform can fill."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from fxlive.capture.writing.recorder import Recorder
from fxlive.pipeline.mailbox import MAILBOX_BYTES
from fxlive.pipeline.pipeline import Pipeline
from fxlive.tables.columns.vocabulary import MAX_CATEGORIES, MAX_CATEGORY_BYTES, Vocabulary
from fxlive.tables.open_rows.kept_rows import MAX_KEPT_BYTES, MAX_KEPT_ROWS
from fxlive.tables.store import MAX_LARGE_BYTES, MAX_UNDOCUMENTED_CHANNELS
from fxlive.wire.channels import CHANNELS, MAX_COLUMNS

NEAR = 0.8
"""A buffer is shown as nearly full when it holds this share of a limit."""


@dataclass(frozen=True)
class Bound:
    """The content of one buffer and its limits. NaN if there is no such limit, or if it is not measured in bytes.

    `dropped` is what was dropped, or kept in another way, because the buffer was full.
    """

    name: str
    bytes: float
    limit_bytes: float
    items: float
    limit_items: float
    dropped: int = 0

    @property
    def share(self) -> float:
        """The larger share of the two limits that is used."""
        shares = (self.bytes / self.limit_bytes, self.items / self.limit_items)
        return max((share for share in shares if not math.isnan(share)), default=0.0)


def bounds_of(pipeline: Pipeline) -> list[Bound]:
    """Return the bounds of a session. Of several buffers of one kind, the fullest is returned."""
    return list(_bounds(pipeline))


def _bounds(pipeline: Pipeline) -> Iterator[Bound]:
    store, nan = pipeline.store, math.nan
    rejected = store.rejected
    yield Bound(
        "rejected messages",
        rejected.bytes,
        rejected.max_bytes,
        len(rejected),
        rejected.max_items,
        rejected.total - len(rejected),
    )
    yield Bound("large messages", store.large_bytes, MAX_LARGE_BYTES, nan, nan, store.evicted_early)
    yield _categories("symbols", store.vocabulary)
    tables = tuple(store.tables.items())
    categories = [_categories("categories", v) for _, table in tables for v in table.vocabularies().values()]
    yield max(categories, key=lambda bound: bound.share)
    kept = (table.kept for _, table in tables)
    open_rows = [Bound("open rows", size, MAX_KEPT_BYTES, rows, MAX_KEPT_ROWS, dropped) for rows, dropped, size in kept]
    yield max(open_rows, key=lambda bound: (bound.share, bound.dropped))
    columns = max(len(table.columns) for _, table in tables)
    yield Bound("columns of a channel", nan, nan, columns, MAX_COLUMNS)
    yield Bound("undocumented channels", nan, nan, len(tables) - len(CHANNELS), MAX_UNDOCUMENTED_CHANNELS)
    queues = [
        Bound("callback queue", queue.bytes, MAILBOX_BYTES, len(queue), queue.size, queue.dropped)
        for queue in pipeline.mailboxes
    ]
    if queues:
        yield max(queues, key=lambda bound: bound.share)
    if isinstance(pipeline.recording, Recorder):
        queue = pipeline.recording.queue
        yield Bound(
            "recorder queue", queue.waiting_bytes, queue.max_bytes, queue.waiting_rows, queue.max_rows, queue.dropped
        )


def _categories(name: str, vocabulary: Vocabulary) -> Bound:
    return Bound(name, vocabulary.bytes, MAX_CATEGORY_BYTES, len(vocabulary), MAX_CATEGORIES, int(vocabulary.full))


def bounds_frame(bounds: list[Bound]) -> pd.DataFrame:
    """Return bounds as a frame, indexed by `buffer`, with the columns of `Bound`."""
    rows = {
        bound.name: {
            "bytes": bound.bytes,
            "limit_bytes": bound.limit_bytes,
            "items": bound.items,
            "limit_items": bound.limit_items,
            "share": bound.share,
            "dropped": bound.dropped,
        }
        for bound in bounds
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("buffer")


def near_limits(pipeline: Pipeline) -> list[str]:
    """Return a sentence for each buffer that holds more than 80 % of a limit."""
    return [
        f"{bound.name[0].upper()}{bound.name[1:]}: {bound.share:.0%} of the limit."
        for bound in bounds_of(pipeline)
        if bound.share > NEAR
    ]

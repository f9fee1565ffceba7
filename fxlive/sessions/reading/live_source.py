"""LiveSource: the rows that a running pipeline holds in memory."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import partial
from typing import Any

import pandas as pd

from fxlive.errors import SubscriptionError
from fxlive.pipeline.pipeline import Pipeline
from fxlive.tables.open_rows.unconfirmed import unconfirmed_attrs
from fxlive.tables.selection import select
from fxlive.wire.channels import CHANNELS


class LiveSource:
    """The windows, gaps and rejected messages of a pipeline, as a `Source`."""

    def __init__(self, pipeline: Pipeline, name: str) -> None:
        self._pipeline = pipeline
        self.name = name

    @property
    def channels(self) -> list[str]:
        return list(self._pipeline.store.tables)

    @property
    def symbols(self) -> list[str]:
        return sorted(self._pipeline.store.symbols)

    def rows(
        self,
        channel: str,
        *,
        last: Any = None,
        since: Any = None,
        until: Any = None,
        where: Mapping[str, Any] | None = None,
    ) -> pd.DataFrame:
        table = self._pipeline.store.tables[channel]
        window = table.frame()
        end_us = table.progress.end if len(window) else None
        return select(window, channel, last=last, since=since, until=until, where=where, end_us=end_us)

    def latest(self, channel: str) -> pd.DataFrame:
        return self._pipeline.store.tables[channel].latest()

    def snapshot(self) -> dict[str, pd.DataFrame]:
        return self._pipeline.store.snapshot()

    def gaps(self) -> pd.DataFrame:
        return self._pipeline.store.gaps_frame()

    def rejected(self) -> pd.DataFrame:
        return self._pipeline.store.rejected_frame()

    def sql(self, query: str) -> pd.DataFrame:
        from fxlive.capture.exporting import sql

        channels = {name: partial(sql.frame_table, frame) for name, frame in self.snapshot().items()}
        others = {
            "gaps": lambda: sql.frame_table(self.gaps().set_index("start")),
            "rejected": lambda: sql.frame_table(self.rejected()),
        }
        return sql.query(query, channels, others)

    def attrs(self, channel: str, frame: pd.DataFrame) -> dict[Hashable, Any]:
        attrs: dict[Hashable, Any] = {"state": self._pipeline.state, "stale": self._pipeline.stale(channel)}
        gap = self._pipeline.store.last_gap(channel)
        is_latest = frame.index.name != "timestamp"
        if gap is not None and is_latest and channel in CHANNELS and CHANNELS[channel].ends:
            attrs |= unconfirmed_attrs(frame, gap.start, gap.end)
        return attrs

    def check_subscribed(self, *channels: str) -> None:
        for name in channels:
            if not self._pipeline.asked_for(name):
                raise SubscriptionError(
                    f"{name} is not subscribed and has no rows, so the figures would be 0. "
                    f"Call session.subscribe({name!r}).",
                    channel=name,
                )

    def has_evicted(self, channel: str) -> bool:
        return self._pipeline.store.tables[channel].first > 0

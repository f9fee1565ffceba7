"""An internal error loses no message: each is a row, a duplicate or a rejection, and counted as one of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fxlive
from fxlive.feeds.memory import MemoryFeed
from fxlive.pipeline.pipeline import Pipeline
from fxlive.tables.store import Store
from fxlive.wire.batch import Batch
from fxlive.wire.protocol import decode
from tests.capture.recordings import MAY_8
from tests.capture.sessions import bring, path_of, recorded
from tests.samples import DATA, T0_US, message, wire

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="fxlive")


def table_of(store: Store) -> Any:
    return store.tables["positions"]


STEPS: dict[str, Callable[[Pipeline], tuple[Any, str]]] = {
    "find duplicates": lambda pipeline: (pipeline._recent["positions"], "find"),
    "confirm duplicates": lambda pipeline: (pipeline.store, "confirm"),
    "append columns": lambda pipeline: (table_of(pipeline.store), "_append_columns"),
    "append one column": lambda pipeline: (table_of(pipeline.store)._columns["volume"], "append"),
    "follow time": lambda pipeline: (table_of(pipeline.store).progress, "add"),
    "newest rows": lambda pipeline: (table_of(pipeline.store)._latest, "add"),
    "evict": lambda pipeline: (table_of(pipeline.store), "_evict"),
    "whole table": lambda pipeline: (table_of(pipeline.store), "append"),
    "note size": lambda pipeline: (pipeline.store, "_note_size"),
    "count latencies": lambda pipeline: (pipeline.store.counters["positions"], "latencies"),
    "close positions": lambda pipeline: (pipeline.store, "_close_positions"),
    "whole store": lambda pipeline: (pipeline.store, "add"),
}


def batch_of(number: int) -> Batch:
    """Return a message of each channel, twice that of the positions, and one that is not valid."""
    frames = [wire(message(sample, {"id": f"{name} {number}"})) for name, sample in DATA.items()]
    frames += [frames[list(DATA).index("positions")], wire(message(DATA["positions"], {"id": "again"})), b"{]"]
    return decode(frames, T0_US + number)


def accounted(store: Store) -> tuple[int, int, int]:
    counters = store.counters.values()
    return sum(c.messages for c in counters), sum(c.duplicates for c in counters), store.rejections


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("error", [MemoryError("no room"), ValueError("wrong")])
def test_rows_duplicates_and_rejections_add_up_whatever_step_fails(
    step: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        pipeline = Pipeline(MemoryFeed(), Store())
        await pipeline.start()
        store, sent = pipeline.store, 0

        def check(batch: Batch) -> None:
            nonlocal sent
            sent += batch.count
            pipeline.deliver(batch)
            rows, duplicates, rejected = accounted(store)
            assert rows + duplicates + rejected == sent, (rows, duplicates, rejected)
            assert rows == sum(len(table) for table in store.tables.values())
            assert {name: len(table) for name, table in store.tables.items()} == {
                name: len(table.frame()) for name, table in store.tables.items()
            }

        check(batch_of(1))

        def fail(*_arguments: Any, **_options: Any) -> None:
            raise error

        target, name = STEPS[step](pipeline)
        with monkeypatch.context() as patch:
            patch.setattr(target, name, None if name == "latencies" else fail)
            check(batch_of(2))
            check(batch_of(3))
        check(batch_of(4))
        await pipeline.close()

    asyncio.run(run())


def test_a_recording_has_the_rows_and_the_rejections_of_the_session_after_an_internal_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with recorded(tmp_path) as session:
        store = session._pipeline.store
        bring(session, *map(wire, DATA.values()), at=MAY_8)
        close = store._close_positions
        monkeypatch.setattr(store, "_close_positions", lambda *_: 1 / 0)
        monkeypatch.setattr(store.tables["orders"], "append", lambda *_: 1 / 0)
        bring(session, *(wire(message(sample, {"id": "2"})) for sample in DATA.values()), at=MAY_8)
        monkeypatch.setattr(store, "_close_positions", close)
        rows = {name: len(frame) for name, frame in session.snapshot().items()}
        rejected = session.rejected()["reason"].tolist()
    capture = fxlive.open_capture(path_of(session))
    assert (
        {name: len(frame) for name, frame in capture.snapshot().items()}
        == rows
        == {**dict.fromkeys(DATA, 2), "orders": 1}
    )
    assert capture.rejected()["reason"].tolist() == rejected == ["internal error: ZeroDivisionError: division by zero"]

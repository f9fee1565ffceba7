"""Recorded sessions that a test fills by hand, and comparisons of their frames with those of captures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

import fxlive
from fxlive.core.background import call
from fxlive.feeds.memory import MemoryFeed
from tests.capture.recordings import MAY_8
from tests.frames import assert_equal

SECOND = 1_000_000


def bring(session: fxlive.Session, *frames: bytes, at: int = MAY_8) -> None:
    """Deliver messages to a session."""

    async def put() -> None:
        session._pipeline.feed.put(*frames, at=at)  # type: ignore[attr-defined]

    call(put())


def lose(session: fxlive.Session, start: int, end: int | None, reason: str = "connection lost") -> None:
    """Disconnect a session from `start` to `end` (microseconds); None: it stays disconnected."""

    async def away() -> None:
        session._pipeline.lost(start, reason)
        if end is not None:
            session._pipeline.connected(end)

    call(away())


def started(name: str = "default", **options: Any) -> fxlive.Session:
    """Return a session without a connection that accepts the messages of `bring`; options as of `Session`."""
    session = fxlive.Session(feed=MemoryFeed(), name=name, **options)

    async def start() -> None:
        await session._pipeline.start()

    call(start())
    return session


@contextmanager
def recorded(folder: Path, name: str = "default") -> Iterator[fxlive.Session]:
    """A session that is recorded until the end of the block. It can be read afterwards."""
    session = started(name)
    session.record(folder)
    try:
        yield session
    finally:
        session.close()


def path_of(session: fxlive.Session) -> Path:
    assert session.recording is not None
    return session.recording.path


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with text instead of categories and its index as columns, to compare values only."""
    frame = without_as_of(frame).reset_index()
    return frame.astype({name: "str" for name, dtype in frame.dtypes.items() if dtype == "category"})


def without_as_of(frame: pd.DataFrame) -> pd.DataFrame:
    copied = frame.copy(deep=False)
    copied.attrs = {}
    return copied


def equal(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Check that two frames have equal values, dtypes and categories, in the same order."""
    assert_equal(without_as_of(found), without_as_of(expected), check_exact=True)
    for name in expected.columns:
        if found[name].dtype == object:
            assert [type(v) for v in found[name]] == [type(v) for v in expected[name]], name


def all_equal(found: Mapping[str, pd.DataFrame], expected: Mapping[str, pd.DataFrame]) -> None:
    assert set(found) == set(expected)
    for channel, frame in expected.items():
        equal(found[channel], frame)


def in_batches(frames: Sequence[bytes], *sizes: int) -> Iterator[Sequence[bytes]]:
    """Yield the frames in batches; the sizes are repeated."""
    at, turn = 0, 0
    while at < len(frames):
        size = sizes[turn % len(sizes)]
        yield frames[at : at + size]
        at, turn = at + size, turn + 1


def bring_all(session: Any, frames: Sequence[bytes], *sizes: int, step_us: int = 20_000, at: int = MAY_8) -> int:
    """Deliver the frames in batches, each `step_us` after the one before; return the time of the last one."""
    for number, batch in enumerate(in_batches(frames, *sizes)):
        at += step_us if number else 0
        bring(session, *batch, at=at)
    return at

"""The messages that the platform sent, and the invariants of a session."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

import fxlive
from fxlive.capture.writing.recorder import Recorder
from fxlive.core.timestamps import parse_time
from fxlive.simulator import wire
from fxlive.simulator.serving.client import Client
from fxlive.simulator.serving.server import Simulator
from fxlive.simulator.trading.platform import Message
from fxlive.tables.store import Store
from fxlive.wire.batch import Batch, Rows
from tests.simulation.disk import SimulatedDisk
from tests.simulation.world import SimulatedWorld

TOLERANCE_US = 5_000_000
"""How far from a gap a lost message may have been sent: the longest way through the network."""

CLOCK_STEPS_US = (-3_600_000_000, 0, 3_600_000_000)
"""How far the wall clock is set ahead in a run."""

WILD = "another_year_"
"""The beginning of the ids of quotes with an impossible timestamp."""

Identity = tuple[str, str, int]  # channel, id, timestamp


@dataclass
class Sent:
    """The messages of channels that the platform has written to its connections, with the times on the wall clock."""

    at_us: dict[Identity, list[int]] = field(default_factory=dict)
    unasked: set[Identity] = field(default_factory=set)
    missed: dict[Identity, int] = field(default_factory=dict)
    """The messages of subscribed channels that the platform published while nobody was connected, with their times."""
    owed: Callable[[], Collection[str]] = tuple
    """Returns the channels that the session has subscribed."""

    @contextmanager
    def noted(self, world: SimulatedWorld) -> Iterator[None]:
        """Note what the simulator writes."""
        write = Client.write

        def noting(client: Client, frames: list[bytes]) -> None:
            if client.open:
                for frame in frames:
                    self._note(client, wire.payload(frame), world.now_us() - world.wall_offset_us)
            write(client, frames)

        publish = Simulator._publish

        def publishing(platform: Simulator, messages: list[Message]) -> None:
            if not any(client.open and client.subscriptions for client in platform._clients.values()):
                owed = self.owed()
                for message in messages:
                    if message.channel in owed:
                        self._note_missed(wire.payload(message.frame), world.now_us() - world.wall_offset_us)
            publish(platform, messages)

        with patch.object(Client, "write", noting), patch.object(Simulator, "_publish", publishing):
            yield

    def _note_missed(self, text: bytes, at_us: int) -> None:
        message = json.loads(text)
        self.missed[message["channel"], message["id"], parse_time(message["timestamp"])] = at_us

    def _note(self, client: Client, text: bytes, at_us: int) -> None:
        try:
            message = json.loads(text)
            identity = message["channel"], message["id"], parse_time(message["timestamp"])
            assert isinstance(message["data"], dict)
        except (ValueError, KeyError, TypeError, AssertionError):  # an answer, or malformed on purpose
            return
        if identity[0] not in client.subscriptions:  # some faults send to every channel
            self.unasked.add(identity)
        self.at_us.setdefault(identity, []).append(at_us)


def check(session: fxlive.Session, sent: Sent) -> None:
    """Check that each message of the platform is one row, a rejection, or lies in a gap; and `latest`."""
    rejected = {_identity_of(raw) for raw in session.rejected()["raw"]}
    gaps = _gaps(session)
    rows: Counter[Identity] = Counter()
    for channel in wire.CHANNELS:
        frame = session.frame(channel)
        stamps = frame.index.to_numpy("datetime64[us]").astype(np.int64).tolist()
        rows.update((channel, str(name), stamp) for name, stamp in zip(frame["id"], stamps, strict=True))
    invented = [identity for identity, count in rows.items() if count > len(sent.at_us.get(identity, ()))]
    assert not invented, f"rows that were never sent: {invented[:3]}"
    repeated = [identity for identity, count in rows.items() if count > 1]
    assert not repeated, f"rows that came twice: {repeated[:3]}"
    for identity, times in sent.at_us.items():
        if identity in rows or identity in rejected or identity in sent.unasked:
            continue
        lost = [at for at in times if any(_holds(gap, identity[0], at) for gap in gaps)]
        assert lost, f"{identity} was sent at {times} and lost without a gap: {gaps}"
    for identity, at in sent.missed.items():
        if identity not in rows and identity not in sent.at_us:
            assert any(_holds(gap, identity[0], at) for gap in gaps), (
                f"{identity} was published at {at} while nobody was connected, and is in no gap: {gaps}"
            )


def _identity_of(raw: str) -> Identity | None:
    try:
        message = json.loads(raw)
        return message["channel"], message["id"], parse_time(message["timestamp"])
    except (ValueError, KeyError, TypeError):
        return None


def _gaps(session: fxlive.Session) -> list[tuple[int, int, frozenset[str]]]:
    frame = session.gaps()
    starts = frame["start"].to_numpy("datetime64[us]").astype(np.int64).tolist()
    ends = frame["end"].to_numpy("datetime64[us]").astype(np.int64).tolist()
    return list(zip(starts, ends, map(frozenset, frame["channels"]), strict=True))


def _holds(gap: tuple[int, int, frozenset[str]], channel: str, at_us: int) -> bool:
    start, end, channels = gap
    shown = [at_us + step for step in CLOCK_STEPS_US]  # the clock may have been set before the gap began
    return channel in channels and any(start - TOLERANCE_US <= at <= end + TOLERANCE_US for at in shown)


class LatestQuotes:
    """A model of `latest` of the quotes: the newest of each symbol, of equal times the last, none of another year."""

    def __init__(self) -> None:
        self.error = ""
        self._newest: dict[str, tuple[int, str]] = {}
        self._jumped = 0  # the messages for which `latest` has waited

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Compare the model with the table after every batch; note the first difference."""
        add = Store.add

        def adding(store: Store, batch: Batch) -> None:
            add(store, batch)
            if not self.error and "market-data" in batch.rows:
                self._follow(store, batch.rows["market-data"])

        with patch.object(Store, "add", adding):
            yield

    def _follow(self, store: Store, rows: Rows) -> None:
        quotes = zip(rows.timestamp.tolist(), list(rows.values["symbol"]), list(rows.values["id"]), strict=True)
        for stamp, symbol, name in quotes:
            if not name.startswith(WILD) and (symbol not in self._newest or stamp >= self._newest[symbol][0]):
                self._newest[symbol] = stamp, name
        values = store.tables["market-data"].newest_of(list(self._newest), "timestamp", "id")
        found = list(zip(values["timestamp"], values["id"], strict=True))
        differences = [(a, b) for a, b in zip(found, self._newest.values(), strict=True) if a != b]
        # After a jump of more than a minute, also by a step of the clock, `latest` waits for two messages more.
        jumps = all(b[0] - a[0] > 60_000_000 for a, b in differences)
        self._jumped = self._jumped + len(rows) if differences else 0
        if differences and not (jumps and self._jumped <= 3):
            self.error = f"latest has the quotes {found}, not {self._newest}"


@dataclass
class Recording:
    """A recording of a run, with the numbers of rows and gaps that the session had when it began and ended."""

    recorder: Recorder
    disk: SimulatedDisk
    start: dict[str, int]
    gaps_before: int
    stop: dict[str, int] = field(default_factory=dict)
    gaps: pd.DataFrame | None = None
    """The gaps of the session when the recording ended."""

    def rows_of(self, session: fxlive.Session, channel: str) -> pd.DataFrame:
        """Return the rows of the session that were received during the recording."""
        return session.frame(channel).iloc[self.start[channel] : self.stop.get(channel)]


def check_capture(session: fxlive.Session, recording: Recording) -> None:
    """Check that a capture has the session's rows, or says that they were dropped, and the session's gaps."""
    capture = fxlive.open_capture(recording.recorder.path)
    gaps = capture.gaps()
    is_dropped = gaps["lost_rows"].notna().to_numpy(bool)
    dropped, missing = gaps[is_dropped], 0
    for channel in recording.start:
        expected, found = recording.rows_of(session, channel), capture.frame(channel)
        recorded = _identities(expected).isin(_identities(found)).to_numpy(bool)
        _check_equal(found, expected[recorded])
        for received_at in expected.loc[~recorded, "received_at"]:
            assert ((dropped["start"] <= received_at) & (received_at <= dropped["end"])).any(), (
                f"a row of {channel} received at {received_at} is in neither the capture nor its gaps: {dropped}"
            )
        missing += int((~recorded).sum())
    assert missing <= dropped["lost_rows"].sum(), f"{missing} rows are missing: {dropped}"
    recorded_gaps = sorted(zip(gaps["start"][~is_dropped], gaps["end"][~is_dropped], strict=True))
    known = (session.gaps() if recording.gaps is None else recording.gaps).iloc[recording.gaps_before :]
    known_gaps = sorted(zip(known["start"], known["end"], strict=True))
    assert recorded_gaps == known_gaps, f"the capture has the gaps {recorded_gaps}, the session {known_gaps}"


def check_after_power_failure(session: fxlive.Session, path: Path, rows: dict[str, int], recording: Recording) -> None:
    """Check that a capture whose disk lost power has all rows that were reported as written, and none twice."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fxlive.IncompleteCapture)
        capture = fxlive.open_capture(path)
        for channel in recording.start:
            expected, found = recording.rows_of(session, channel), capture.frame(channel)
            assert len(found) >= rows.get(channel, 0), f"{rows[channel] - len(found)} rows of {channel} are lost"
            recorded = _identities(expected).isin(_identities(found)).to_numpy(bool)
            columns = [name for name in expected.columns if name in found.columns]
            _check_equal(found[columns], expected.loc[recorded, columns])


def _check_equal(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Check that frames are equal, except for categories without rows."""
    if "extra" not in found and "extra" in expected:  # no recorded row has values without a column of their own
        assert expected["extra"].isna().all()
        expected = expected.drop(columns="extra")
    dtypes = found.dtypes.map(str).to_dict(), expected.dtypes.map(str).to_dict()
    assert dtypes[0] == dtypes[1], f"{set(dtypes[0].items()) ^ set(dtypes[1].items())}"
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, check_categorical=False)


def _identities(frame: pd.DataFrame) -> pd.Series[Any]:
    return frame.index.astype(str) + frame["id"].astype(str)

"""The messages that the platform sent, and the invariants of a session."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

import fxlive
from fxlive.core.timestamps import parse_time
from fxlive.simulator import wire
from fxlive.simulator.serving.client import Client
from tests.simulation.world import SimulatedWorld

TOLERANCE_US = 5_000_000
"""How far from a gap a lost message may have been sent: the longest way through the network."""

CLOCK_STEPS_US = (-3_600_000_000, 0, 3_600_000_000)
"""How far the wall clock is set ahead in a run."""

Identity = tuple[str, str, int]  # channel, id, timestamp


@dataclass
class Sent:
    """The messages of channels that the platform has written to its connections, with the times on the wall clock."""

    at_us: dict[Identity, list[int]] = field(default_factory=dict)
    unasked: set[Identity] = field(default_factory=set)

    @contextmanager
    def noted(self, world: SimulatedWorld) -> Iterator[None]:
        """Note what the simulator writes."""
        write = Client.write

        def noting(client: Client, frames: list[bytes]) -> None:
            if client.open:
                for frame in frames:
                    self._note(client, wire.payload(frame), world.now_us() - world.wall_offset_us)
            write(client, frames)

        with patch.object(Client, "write", noting):
            yield

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
    _check_latest(session)


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


def _check_latest(session: fxlive.Session) -> None:
    newest: dict[str, tuple[Any, str]] = {}
    frame = session.frame("market-data")
    for stamp, symbol, name in zip(frame.index, frame["symbol"], frame["id"], strict=True):
        if symbol not in newest or stamp >= newest[symbol][0]:
            newest[symbol] = stamp, name
    latest = session.latest("market-data")
    found = dict(zip(latest.index, zip(latest["timestamp"], latest["id"], strict=True), strict=True))
    assert found == newest, f"latest is {found}, not {newest}"


def check_capture(session: fxlive.Session, path: Path, start: dict[str, int]) -> None:
    """Check that a capture has the session's rows from those numbers on, and the same gaps."""
    capture = fxlive.open_capture(path)
    for channel, first in start.items():
        expected, found = session.frame(channel).iloc[first:], capture.frame(channel)
        assert list(found["id"]) == list(expected["id"]), f"the capture has other rows of {channel}"
        assert (found.index == expected.index).all()
    recorded, known = (set(zip(gaps["start"], gaps["end"], strict=True)) for gaps in (capture.gaps(), session.gaps()))
    assert recorded <= known, f"the capture has gaps that the session does not have: {recorded - known}"

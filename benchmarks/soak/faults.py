"""An hour of random faults: nothing may be lost, leaked or left unreported."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import psutil

import fxlive
from benchmarks.soak.outcome import (
    MIN_SAMPLES,
    SETTLED_SHARE,
    Outcome,
    Pipe,
    growth_percent,
    progress,
    server_process,
    wait_for_end,
)
from fxlive.core.background import background_loop
from fxlive.pipeline.duplicates import REMEMBERED, RecentMessages
from fxlive.simulator import DEFAULT_SECRET, make_token
from fxlive.simulator.serving.server import Simulator
from fxlive.wire.channels import CHANNELS
from fxlive.wire.protocol import decode

# A minute for the platform's limit of ten connections, then two attempts: the longest wait with jitter, and a timeout.
OUTAGE_BOUND_S = 60.0 + 2 * (16.0 * 1.2 + 10.0)
_OUTAGE_TOLERANCE_S = 1.0
"""Allowed difference between server and client about the start and end of a connection."""
SPEED = 20.0
_FAULT_INTERVAL_S = 5.0
_ROWS = 500
_SAMPLE_INTERVAL_S = 1.0
# Without "error": an error that does not answer a request is a row of rejected().
_CONTROL_TYPES = ("connection", "subscription", "unsubscription")


def _serve_faults(pipe: Pipe, seed: int) -> None:
    asyncio.run(_faulty(pipe, seed))


async def _faulty(pipe: Pipe, seed: int) -> None:
    """Run a platform with random faults until a first message from the pipe, and end after a second one.

    Sends the URL, then the counts of faults, then the outages and the error of the faults, if any.
    """
    counts: Counter[str] = Counter()
    outages: list[tuple[float, float]] = []
    async with Simulator(seed=seed, speed=SPEED) as simulator:
        pipe.send(simulator.url)
        recording = asyncio.create_task(_record_outages(simulator, outages))
        faults = asyncio.create_task(_apply_faults(simulator, random.Random(seed), counts))
        await asyncio.to_thread(pipe.recv)
        faults.cancel()
        simulator.faults.calm()
        pipe.send(counts)
        await asyncio.to_thread(pipe.recv)
        recording.cancel()
        pipe.send((outages, faults.exception() if faults.done() and not faults.cancelled() else None))
        await asyncio.to_thread(wait_for_end, pipe)


async def _record_outages(simulator: Simulator, outages: list[tuple[float, float]]) -> None:
    """Record the times without a client, as seen by the server."""
    since: float | None = None
    while True:
        if simulator.connections == 0:
            since = since or time.time()
        elif since is not None:
            if simulator.accepted > 1:
                outages.append((since, time.time()))
            since = None
        await asyncio.sleep(0.005)


async def _apply_faults(simulator: Simulator, rng: random.Random, counts: Counter[str]) -> None:
    """Apply random faults and count them. A client that reconnects survives them all."""
    faults, refused_at = simulator.faults, 0
    kinds = (
        "drop drop close expire silence deaf malformed huge utf8 wrong_types duplicate reorder slow narrow "
        "refuse401 refuse429 refuse503 error unknown_fields"
    ).split()
    lasting = {"silence", "deaf", "slow", "narrow", "unknown_fields"}
    while True:
        await asyncio.sleep(_FAULT_INTERVAL_S * rng.uniform(0.2, 1.8))
        fault = rng.choice(kinds)
        if simulator.connections == 0 and fault not in lasting:
            continue  # no client is connected
        if fault == "drop":
            faults.drop()
        elif fault == "close":
            faults.drop(rng.choice((1000, 1001, 1008, 1011, 1012, 1013, 4000)), "a random fault")
        elif fault == "expire":
            faults.expire()
        elif fault in ("silence", "deaf"):
            faults.silence(rng.uniform(0.5, 4.0), deaf=fault == "deaf")
        elif fault == "malformed":
            faults.malformed(rng.randrange(1, 6))
        elif fault in ("huge", "utf8"):
            faults.malformed(1, fault, size=2_000_000)
        elif fault == "wrong_types":
            faults.wrong_types(rng.randrange(1, 6))
        elif fault == "duplicate":
            faults.duplicate(rng.randrange(1, 200))
        elif fault == "reorder":
            faults.reorder(rng.randrange(2, 200))
        elif fault in ("slow", "narrow"):
            faults.slow(*((None, 0.005) if fault == "slow" else (50_000.0, 0.0)))
            await asyncio.sleep(rng.uniform(0.5, 2.5))
            faults.slow()
        elif fault.startswith("refuse"):
            # Not twice in a row: two refused tokens in a row are final. So wait for the next connection.
            if simulator.accepted == refused_at:
                continue
            refused_at = simulator.accepted
            status = int(fault.removeprefix("refuse"))
            faults.refuse(status, retry_after=None if status == 401 else rng.choice((None, 1, 3)))
            faults.drop()
        elif fault == "unknown_fields":
            faults.unknown_fields(liquidity=rng.random(), venue="LD4", firm=True)
            await asyncio.sleep(rng.uniform(0.5, 2.5))
            faults.unknown_fields()
        else:
            # Not "Permission denied", which is final for a client that is subscribing.
            faults.error("Rate limit exceeded", "a random fault")
        counts[fault] += 1


class Ledger:
    """Counts and order of the received messages, recorded independently of the session."""

    def __init__(self, session: fxlive.Session) -> None:
        self.received = 0
        self.control = 0
        self.order: dict[str, dict[str, int]] = {name: {} for name in CHANNELS}
        feed: Any = session._pipeline.feed
        take = feed._receive

        def record_and_take(connection: Any, messages: list[bytes], received_at: int) -> None:
            for message in messages:
                self._record(message)
            take(connection, messages, received_at)

        feed._receive = record_and_take

    def _record(self, text: bytes) -> None:
        self.received += 1
        try:
            message = json.loads(text)
        except ValueError:
            return
        if not isinstance(message, dict):
            return
        if message["type"] in _CONTROL_TYPES:
            self.control += 1
            return
        order = self.order.get(message["channel"])
        if order is None:  # an error that does not answer a request: the session counts it as rejected
            return
        order.setdefault(message["id"], self.received)
        if len(order) > 4 * _ROWS:
            del order[next(iter(order))]


def _numbered_messages() -> list[bytes]:
    """Return as many messages as a channel remembers, each with its own id."""
    envelope = b'{"type":"numbered","channel":"numbered","data":{},"timestamp":"2024-01-01T00:00:00Z","id":"old %d"}'
    return [envelope % number for number in range(REMEMBERED)]


def random_faults(minutes: float, seed: int) -> Outcome:
    """Keep one session open while the platform applies random faults."""
    outcome = Outcome()
    with server_process(_serve_faults, seed) as server, tempfile.TemporaryDirectory() as folder:
        url, rng = server.recv(), random.Random(seed)
        session = fxlive.Session(
            url,
            lambda: make_token(DEFAULT_SECRET, "user_456", rng.uniform(40.0, 120.0)),
            max_rows=_ROWS,
            record=folder,
            name="soak",
        )
        for name in CHANNELS:  # full from the start, because their growth during the run would look like a leak
            session._pipeline._recent[name] = recent = RecentMessages()
            recent.find(decode(_numbered_messages(), 0).rows["numbered"])
        ledger = Ledger(session)
        handle = session.on("trades", lambda trade: None)
        session.open()
        memory, usage = _monitor(session, minutes * 60, outcome)
        first_threads, first_tasks = usage[0]
        server.send("calm")
        faults: Counter[str] = server.recv()
        _wait(lambda: session.state != "reconnecting", OUTAGE_BOUND_S, "the last reconnect", outcome)
        _wait(lambda: _tasks() <= first_tasks, 10.0, f"the end of tasks ({_tasks()}, at first {first_tasks})", outcome)
        threads = threading.active_count()
        outcome.check(threads <= first_threads, f"faults: {threads} threads, at first {first_threads}")
        server.send("end")
        outages, failure = server.recv()
        outcome.check(failure is None, f"faults: the simulator failed: {failure!r}")
        _check_frames(session, ledger, outcome)
        session.close()
        _check_counts(session, ledger, handle, outcome)
        _check_gaps(session, outages, outcome)
        _report(session, faults, outages, outcome)
    settled = [(elapsed_s, rss) for elapsed_s, rss in memory if elapsed_s >= minutes * 60 * SETTLED_SHARE]
    if len(settled) >= MIN_SAMPLES:  # there are fewer if the session has failed
        outcome.figure("faults: memory, median", median(rss for _, rss in settled) / 1e6, "MB")
        outcome.figure("faults: growth of memory after the first 30 %", growth_percent(settled), "%", "<= 5")
    outcome.figure("faults: threads, most", max(threads for threads, _ in usage), "threads")
    outcome.figure("faults: tasks, most", max(tasks for _, tasks in usage), "tasks")
    return outcome


def _tasks() -> int:
    return len(asyncio.all_tasks(background_loop()))


def _wait(condition: Callable[[], bool], seconds: float, event: str, outcome: Outcome) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            outcome.check(False, f"faults: timed out after {seconds:.0f} s waiting for {event}")
            return
        time.sleep(0.05)


def _monitor(
    session: fxlive.Session, seconds: float, outcome: Outcome
) -> tuple[list[tuple[float, float]], list[tuple[int, int]]]:
    """Check the session for some time; return samples of (elapsed seconds, bytes of memory) and (threads, tasks)."""
    process, started = psutil.Process(), time.monotonic()
    memory: list[tuple[float, float]] = []
    usage = [(threading.active_count(), _tasks())]
    connected_at = started
    while (elapsed_s := time.monotonic() - started) < seconds:
        if session.state == "failed":
            outcome.check(False, f"faults: the session failed after {elapsed_s:.0f} s: {session.error}")
            break
        if session.state == "connected":
            connected_at = time.monotonic()
        outage_s = time.monotonic() - connected_at
        outage_text = f"faults: the session was disconnected for more than {OUTAGE_BOUND_S:.0f} s"
        outcome.check(outage_s < OUTAGE_BOUND_S, outage_text)
        for name, frame in session.snapshot().items():
            outcome.check(frame["id"].is_unique, f"faults: {name} has an id twice")
            outcome.check(frame["received_at"].is_monotonic_increasing, f"faults: {name} is not in order of arrival")
        memory.append((elapsed_s, process.memory_info().rss))
        usage.append((threading.active_count(), _tasks()))
        health = session.health()
        progress(
            f"{elapsed_s / 60:.1f} of {seconds / 60:g} min, {session.state}, {health.messages:,} messages, "
            f"{health.gaps} gaps, {memory[-1][1] / 1e6:,.0f} MB"
        )
        time.sleep(_SAMPLE_INTERVAL_S)
    progress("")
    return memory, usage


def _check_frames(session: fxlive.Session, ledger: Ledger, outcome: Outcome) -> None:
    """Check that the frames have only received messages, in the order of arrival."""
    for name, frame in session.snapshot().items():
        if name not in ledger.order:
            outcome.check(False, f"faults: unexpected channel {name!r}")
            continue
        order = dict(ledger.order[name])
        positions = [order[i] for i in frame["id"] if i in order]
        outcome.check(positions == sorted(positions), f"faults: {name} has rows out of the order of arrival")
        outcome.check(len(positions) == len(frame), f"faults: {name} has rows that were not received")


def _check_counts(session: fxlive.Session, ledger: Ledger, handle: Any, outcome: Outcome) -> None:
    """Check that every received message is counted, passed to the callback and on disk."""
    health = session.health()
    counted = health.messages + health.duplicates + health.rejected
    received = ledger.received - ledger.control
    outcome.check(
        counted == received,
        f"faults: received {received:,}, but counted {health.messages:,} messages, {health.duplicates:,} duplicates "
        f"and {health.rejected:,} rejected ({counted - received:+,})",
    )
    trades = int(health.channels["messages"]["trades"])
    notified = handle.calls + handle.dropped
    outcome.check(notified == trades, f"faults: a callback was notified of {notified:,} of {trades:,} trades")
    recording = session.recording
    assert recording is not None
    rows = {folder.name: len(pd.read_parquet(folder)) for folder in Path(recording.path).glob("channel=*")}
    for name, messages in health.channels["messages"].items():
        on_disk = rows.get(f"channel={name}", 0)
        outcome.check(on_disk == messages, f"faults: {on_disk:,} rows of {name} on disk, {messages:,} in the session")
    outcome.check(recording.status.dropped == 0, f"faults: {recording.status.dropped:,} rows lost to the disk")


def _check_gaps(session: fxlive.Session, outages: list[tuple[float, float]], outcome: Outcome) -> None:
    """Check that every outage seen by the server lies in a gap, and that every gap has ended."""
    gaps = session.gaps()
    outcome.check(not gaps["end"].isna().any(), "faults: a gap has not ended")
    outcome.check(bool((gaps["duration_s"] >= 0).all()), "faults: a gap ends before it starts")
    outcome.check(
        bool((gaps["start"].iloc[1:].to_numpy() >= gaps["end"].iloc[:-1].to_numpy()).all()), "faults: gaps overlap"
    )
    starts, ends = (gaps[c].to_numpy("datetime64[us]").astype(np.int64) / 1e6 for c in ("start", "end"))
    for since, until in outages:
        covered = ((starts <= since + _OUTAGE_TOLERANCE_S) & (ends >= until - _OUTAGE_TOLERANCE_S)).any()
        start = pd.Timestamp(since, unit="s")
        outcome.check(bool(covered), f"faults: the outage at {start} of {until - since:.1f} s has no gap")
    outcome.check(len(outages) > 0, "faults: there was no outage, so reconnecting was not tested")


def _report(
    session: fxlive.Session, faults: Counter[str], outages: list[tuple[float, float]], outcome: Outcome
) -> None:
    health, gaps = session.health(), session.gaps()
    print("faults: " + ", ".join(f"{count} {name}" for name, count in sorted(faults.items())))
    outcome.figure("faults: applied", sum(faults.values()), "faults")
    outcome.figure("faults: outages", len(outages), "outages")
    outcome.figure("faults: gap rows", len(gaps), "gaps")
    if len(gaps):
        outcome.figure("faults: outage, median", float(gaps["duration_s"].median()), "s")
        outcome.figure("faults: outage, longest", float(gaps["duration_s"].max()), "s", f"<= {OUTAGE_BOUND_S}")
    outcome.figure("faults: messages", health.messages, "messages")
    outcome.figure("faults: duplicates dropped", health.duplicates, "messages")
    outcome.figure("faults: rejected", health.rejected, "messages")

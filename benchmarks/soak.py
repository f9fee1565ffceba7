"""Three long runs: ten million messages with flat memory, a hundred kills of a recording, and an hour of random faults.

    python -m benchmarks.soak                                             all, as `make soak` does
    python -m benchmarks.soak --messages 2000000 --kills 5 --minutes 3    a short version
    python -m benchmarks.soak --messages 0 --kills 0 --seed 5             only the faults, with another seed

Prints every failed check and exits with 1 if there is one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import psutil
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Frame, Opcode

import fxlive
from benchmarks.report import Figure
from fxlive.core.background import background_loop
from fxlive.pipeline.duplicates import REMEMBERED_IDS, Seen
from fxlive.simulator import DEFAULT_SECRET, make_token
from fxlive.simulator.serving.server import Simulator
from fxlive.wire.channels import CHANNELS
from tests.capture.killing import kill_under_load

WINDOW_ROWS = 1_000_000
# Buffers are allocated and freed as the window evicts rows. Memory is flat only after a few window lengths.
_WINDOWS_UNTIL_FLAT = 3
STALLED_S = 60.0
# A minute for the platform's limit of ten connections, then two attempts: the longest wait with jitter, and a timeout.
OUTAGE_BOUND_S = 60.0 + 2 * (16.0 * 1.2 + 10.0)
_OUTAGE_TOLERANCE_S = 1.0
"""Allowed difference between server and client about the start and end of a connection."""
_SETTLED_SHARE = 0.3
_MIN_SAMPLES = 20


@dataclass
class Outcome:
    """The figures of a run and the checks that failed in it."""

    figures: list[Figure] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def check(self, passed: bool, failure: str) -> None:
        """Record a failed check. The same failure is recorded once."""
        if not passed and failure not in self.failures and len(self.failures) < 50:
            self.failures.append(failure)

    def figure(self, name: str, value: float, unit: str, target: str | None = None) -> None:
        """Record a figure. A missed target is a failed check."""
        figure = Figure(name, value, unit, target)
        self.figures.append(figure)
        self.check(figure.verdict != "MISSED", f"{name}: {value:,.3f} {unit}, but must be {target}")


def growth_percent(samples: list[tuple[float, float]]) -> float:
    """Return the growth of the values from the first to the last sample, in percent.

    It is the slope of a line through the maximum of each quarter: memory oscillates as buffers are filled and freed,
    but a leak raises the peaks.

    >>> values = [100.0, 90.0, 101.0, 91.0, 102.0, 92.0, 103.0, 93.0]
    >>> round(growth_percent(list(enumerate(values))), 2)
    4.0
    """
    peaks = [max(quarter) for quarter in np.array_split([value for _, value in samples], 4)]
    slope, level = np.polyfit(np.arange(4), peaks, 1)
    return float(100 * 4 * slope / level)  # from the first quarter's start to the last quarter's end: four quarters


def progress(text: str) -> None:
    """Print the progress if the output is a terminal."""
    if sys.stdout.isatty():
        print(f"\r{text}\x1b[K", end="", flush=True)


@contextmanager
def server_process(target: Callable[..., None], *arguments: Any) -> Iterator[Pipe]:
    """Run a server in another process and yield a pipe to it. Closing the pipe ends the server."""
    context = multiprocessing.get_context("spawn")
    own_end, server_end = context.Pipe()
    process = context.Process(target=target, args=(server_end, *arguments), daemon=True)
    process.start()
    server_end.close()
    try:
        yield own_end
    finally:
        own_end.close()
        process.join(20)
        if process.is_alive():
            process.kill()


# Many messages

_SLOTS = 4_096
_NUMBER = 10**11  # added to message numbers: with twelve digits, all messages of a slot have the same length
_FIRST = np.datetime64("2024-01-01", "ms")
_ACKNOWLEDGED = (
    '{"type":"subscription","status":"success","channels":[{"name":"market-data","subscribed":true,"filters":{}}],'
    '"timestamp":"2024-01-01T00:00:00.000Z"}'
)


class Flood:
    """An endless source of market-data frames. Message n has n in its id and its volume, and its time is n ms later.

    A buffer holds the frames of _SLOTS messages; numbers and times are overwritten in it for each chunk.
    """

    def __init__(self) -> None:
        frames, self._ends, offsets = [], [], []
        start = 0
        for slot in range(_SLOTS):
            bid = round(1.05 + slot % 997 * 1e-5, 5)
            timestamp = "2024-01-01T00:00:00.000Z"
            data = {"symbol": f"S{slot % 28:05}", "bid": bid, "ask": round(bid + 8e-5, 5), "last": bid}
            data |= {"volume": _NUMBER, "spread": 8, "timestamp": timestamp, "change": 1e-4, "changePercent": 0.0092}
            data |= {"dayHigh": bid + 1, "dayLow": bid - 1, "open": bid, "close": bid}
            message = {"type": "market_data", "channel": "market-data", "data": data, "timestamp": timestamp}
            text = json.dumps({**message, "id": f"msg_{_NUMBER}"}, separators=(",", ":")).encode()
            frame = Frame(Opcode.TEXT, text).serialize(mask=False)
            number_text, time_text = str(_NUMBER).encode(), timestamp.encode()
            offsets.append([start + frame.index(number_text), start + frame.rindex(number_text)])
            offsets[-1] += [start + frame.index(time_text), start + frame.rindex(time_text)]
            frames.append(frame)
            start += len(frame)
            self._ends.append(start)
        self._bytes = np.frombuffer(b"".join(frames), np.uint8).copy()
        self._offsets = np.array(offsets)

    def chunk(self, start: int, count: int) -> bytes:
        """Return the frames of `count` messages from number `start` on; at most _SLOTS."""
        numbers = start + np.arange(_SLOTS)
        digits = ((_NUMBER + numbers)[:, None] // 10 ** np.arange(11, -1, -1) % 10 + 48).astype(np.uint8)
        texts = np.datetime_as_string(_FIRST + numbers, unit="ms").astype("S23")
        timestamps = texts.view(np.uint8).reshape(_SLOTS, 23)
        for column, characters in enumerate((digits, digits, timestamps, timestamps)):
            positions = self._offsets[:, column, None] + np.arange(characters.shape[1])
            self._bytes[positions] = characters
        return self._bytes[: self._ends[count - 1]].tobytes()


def _serve_flood(pipe: Pipe, count: int) -> None:
    asyncio.run(_flood(pipe, count))


async def _flood(pipe: Pipe, count: int) -> None:
    flood = Flood()

    async def send(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(_ACKNOWLEDGED)
        for start in range(0, count, _SLOTS):
            connection.transport.write(flood.chunk(start, min(_SLOTS, count - start)))
            await connection.drain()
        await connection.wait_closed()

    async with serve(send, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.to_thread(_wait_for_end, pipe)


def _wait_for_end(pipe: Pipe) -> None:
    try:
        pipe.recv()
    except EOFError:
        pass


def many_messages(count: int) -> Outcome:
    """Receive messages as fast as possible while two threads read frames."""
    outcome = Outcome()
    window = max(1, min(WINDOW_ROWS, count // 10))  # a short run has a small window, so that it becomes full
    with server_process(_serve_flood, count) as server:
        session = fxlive.Session(
            f"ws://127.0.0.1:{server.recv()}/api/ws", "a-token", channels=["market-data"], max_rows=window
        )
        started = time.perf_counter()
        session.open()
        stop = threading.Event()
        reads = [0, 0]
        readers = [threading.Thread(target=_read, args=(session, window, outcome, stop, reads, n)) for n in range(2)]
        for reader in readers:
            reader.start()
        samples = _sample_memory(session, count, outcome)
        seconds = time.perf_counter() - started
        stop.set()
        for reader in readers:
            reader.join()
        _check_flood(session, window, count, outcome)
        session.close()
    outcome.figure("flood: messages", count, "messages")
    outcome.figure("flood: rate, with two threads reading", count / seconds, "messages/s")
    outcome.figure("flood: frames read and checked by two threads", sum(reads), "frames")
    outcome.figure("flood: rows of the window", window, "rows")
    settled_count = max(count * _SETTLED_SHARE, window * _WINDOWS_UNTIL_FLAT)
    settled = [(done, rss) for done, rss in samples if done >= settled_count]
    if len(settled) < _MIN_SAMPLES:
        print("flood: too short to judge memory. Use more messages.")
        return outcome
    outcome.figure("flood: memory with the window full, median", median(rss for _, rss in settled) / 1e6, "MB")
    outcome.figure("flood: memory, highest", max(rss for _, rss in settled) / 1e6, "MB")
    growth = growth_percent(settled)
    outcome.figure(f"flood: growth of memory over the last {count - settled[0][0]:,.0f}", growth, "%", "<= 5")
    return outcome


def _sample_memory(session: fxlive.Session, count: int, outcome: Outcome) -> list[tuple[float, float]]:
    """Wait for all messages; return samples of (messages so far, bytes of memory)."""
    samples: list[tuple[float, float]] = []
    process, last_progress, done = psutil.Process(), time.monotonic(), 0
    while done < count and session.state == "connected":
        before, done = done, session.health().messages
        samples.append((done, process.memory_info().rss))
        progress(f"{done:,} of {count:,} messages ({done / count:.0%}), {samples[-1][1] / 1e6:,.0f} MB")
        if done > before:
            last_progress = time.monotonic()
        elif time.monotonic() - last_progress > STALLED_S:
            outcome.check(False, f"flood: no messages received for {STALLED_S:.0f} s, after {done:,}")
            break
        time.sleep(0.1)
    progress("")
    return samples


def _read(
    session: fxlive.Session, window: int, outcome: Outcome, stop: threading.Event, reads: list[int], reader: int
) -> None:
    try:
        _read_frames(session, window, outcome, stop, reads, reader)
    except Exception as error:
        outcome.check(False, f"flood: reading raised {type(error).__name__}: {error}")


def _read_frames(
    session: fxlive.Session, window: int, outcome: Outcome, stop: threading.Event, reads: list[int], reader: int
) -> None:
    """Read and check frames until stopped. Every twentieth is kept for a while to check that it does not change."""
    rng = random.Random(reader)
    highest, kept_frame, kept_sum = -1.0, pd.DataFrame(), 0.0
    while not stop.is_set():
        frame = session.frame("market-data")
        if len(frame):
            outcome.check(len(frame) <= window, "flood: a frame is longer than the window")
            outcome.check(frame["volume"].iloc[-1] >= highest, "flood: a frame ends before an older one")
            highest = frame["volume"].iloc[-1]
            start = rng.randrange(max(1, len(frame) - 50_000))
            inconsistency = _inconsistency(frame.iloc[start : start + 50_000])
            outcome.check(inconsistency is None, f"flood: a frame {inconsistency}")
        if reads[reader] % 20 == 0:
            unchanged = not len(kept_frame) or kept_frame["volume"].sum() == kept_sum
            outcome.check(unchanged, "flood: a frame has changed after it was read")
            kept_frame, kept_sum = frame, frame["volume"].sum()
        reads[reader] += 1
        stop.wait(0.02)


def _inconsistency(frame: pd.DataFrame) -> str | None:
    """Return a description of the inconsistency of consecutive rows, or None."""
    numbers = frame["volume"].to_numpy() - _NUMBER
    if not (np.diff(numbers) == 1).all():
        return "lacks rows or has them out of order"
    timestamps = frame.index.to_numpy("datetime64[ms]")
    if not (timestamps == _FIRST + numbers.astype(np.int64)).all():
        return "has a row whose time does not match its volume"
    samples = [0, len(frame) // 2, -1]
    if [f"msg_{_NUMBER + int(numbers[row])}" for row in samples] != [frame["id"].iloc[row] for row in samples]:
        return "has a row whose id does not match its volume"
    if not frame["received_at"].is_monotonic_increasing:
        return "has rows out of the order of arrival"
    return None


def _check_flood(session: fxlive.Session, window: int, count: int, outcome: Outcome) -> None:
    health, frame = session.health(), session.frame("market-data")
    outcome.check(health.messages == count, f"flood: {health.messages:,} of {count:,} messages are in the session")
    for name in ("duplicates", "rejected", "gaps"):
        outcome.check(getattr(health, name) == 0, f"flood: {getattr(health, name)} {name}; {session.error}")
    outcome.check(len(frame) == min(count, window), f"flood: the window has {len(frame):,} rows")
    if len(frame):
        inconsistency = _inconsistency(frame)
        outcome.check(inconsistency is None, f"flood: the last frame {inconsistency}")
        outcome.check(frame["volume"].iloc[-1] == _NUMBER + count - 1, "flood: the last message is not the last row")


# Random faults

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
        await asyncio.to_thread(_wait_for_end, pipe)


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
            continue  # there is no client to apply it to
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
        take = feed._take

        def record_and_take(connection: Any, messages: list[bytes], received_at: int) -> None:
            for message in messages:
                self._record(message)
            take(connection, messages, received_at)

        feed._take = record_and_take

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
            session._pipeline._seen[name] = seen = Seen()
            seen.duplicates([f"{name} {number}" for number in range(REMEMBERED_IDS)])
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
    settled = [(elapsed_s, rss) for elapsed_s, rss in memory if elapsed_s >= minutes * 60 * _SETTLED_SHARE]
    if len(settled) >= _MIN_SAMPLES:  # there are fewer if the session has failed
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


# Kills


def kills(count: int, seed: int) -> Outcome:
    """Kill a recording under load `count` times, and check the rows on disk each time."""
    outcome = Outcome()
    rows = 0
    for number in range(count):
        progress(f"kill {number + 1:,} of {count:,}")
        with tempfile.TemporaryDirectory() as folder:
            try:
                rows += kill_under_load(Path(folder), seed + number)
            except Exception as error:
                outcome.check(False, f"kills: seed {seed + number}: {type(error).__name__}: {error}")
    outcome.figure("kills: of a recording under load", count, "kills")
    outcome.figure("kills: rows found, complete and once", rows, "rows")
    return outcome


# All runs


def main() -> int:
    """Run all and return 1 if a check failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--messages", type=int, default=10_000_000, help="0 skips this run (default %(default)s)")
    parser.add_argument("--minutes", type=float, default=60.0, help="of random faults; 0 skips this run (default 60)")
    parser.add_argument("--kills", type=int, default=100, help="of a recording; 0 skips this run (default %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="seed of faults and kills (default %(default)s)")
    arguments = parser.parse_args()
    failures: list[str] = []
    runs: list[tuple[Callable[..., Outcome], tuple[Any, ...]]] = []
    runs += [(many_messages, (arguments.messages,))] if arguments.messages else []
    runs += [(kills, (arguments.kills, arguments.seed))] if arguments.kills else []
    runs += [(random_faults, (arguments.minutes, arguments.seed))] if arguments.minutes else []
    for run, options in runs:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            outcome = pool.submit(run, *options).result()
        for figure in outcome.figures:
            print(figure, flush=True)
        failures += outcome.failures
    for failure in failures:
        print(f"FAILED  {failure}", flush=True)
    print("all checks passed" if not failures else f"{len(failures)} checks failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

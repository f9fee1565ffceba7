"""Three long runs: ten million messages with flat memory, a hundred kills of a recording, and an hour of random faults.

    python -m benchmarks.soak                                             all, as `make soak` does
    python -m benchmarks.soak --messages 2000000 --kills 5 --minutes 3    a taste
    python -m benchmarks.soak --messages 0 --kills 0 --seed 5             the faults alone, others of them

Ends with 1, and says what went wrong, where anything did.
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
from fxlive.pipeline.duplicates import REMEMBERED_IDS, RecentIds
from fxlive.simulator import DEFAULT_SECRET, make_token
from fxlive.simulator.serving.server import Simulator
from fxlive.wire.channels import CHANNELS
from tests.capture.killing import kill_under_load

WINDOW_ROWS = 1_000_000
# Buffers come and go with the window: before it has rolled about twice, the allocator is still finding its level.
_WINDOWS_BEFORE_IT_IS_FLAT = 3
STALLED_S = 60.0
# The platform's ten connections a minute, then two attempts: the longest wait with its jitter, and no answer.
OUTAGE_BOUND_S = 60.0 + 2 * (16.0 * 1.2 + 10.0)
_SERVERS_WORD_S = 1.0  # by how much server and client may differ on when a connection ended or began
_SETTLED_SHARE = 0.3
_ENOUGH_SAMPLES = 20


@dataclass
class Outcome:
    """What a run measured, and what went wrong in it."""

    figures: list[Figure] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def check(self, right: bool, otherwise: str) -> None:
        """Note what went wrong, unless it did not; the same thing once."""
        if not right and otherwise not in self.wrong and len(self.wrong) < 50:
            self.wrong.append(otherwise)

    def figure(self, name: str, value: float, unit: str, bar: str | None = None) -> None:
        """Note a figure; one that misses its bar is wrong."""
        figure = Figure(name, value, unit, bar)
        self.figures.append(figure)
        self.check(figure.verdict != "MISSED", f"{name}: {value:,.3f} {unit}, and should be {bar}")


def growth_percent(samples: list[tuple[float, float]]) -> float:
    """Return by how much values grew from the first to the last moment: the line through the highest of each quarter.

    Memory goes up and down as buffers fill and are let go; what leaks raises the peaks.

    >>> values = [100.0, 90.0, 101.0, 91.0, 102.0, 92.0, 103.0, 93.0]
    >>> round(growth_percent(list(enumerate(values))), 2)
    4.0
    """
    peaks = [max(quarter) for quarter in np.array_split([value for _, value in samples], 4)]
    slope, level = np.polyfit(np.arange(4), peaks, 1)
    return float(100 * 4 * slope / level)  # the quarters' middles are three quarters apart, the ends four


def progress(text: str) -> None:
    """Show how far it is, where somebody watches."""
    if sys.stdout.isatty():
        print(f"\r{text}\x1b[K", end="", flush=True)


@contextmanager
def in_another_process(target: Callable[..., None], *arguments: Any) -> Iterator[Pipe]:
    """Run a server that ends when this pipe does."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=target, args=(theirs, *arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        yield mine
    finally:
        mine.close()
        process.join(20)
        if process.is_alive():
            process.kill()


# ------------------------------------------------------------------------------------------------------ many messages

_SLOTS = 4_096
_NUMBER = 10**11  # a number of twelve digits, so that every message of a slot is as long
_FIRST = np.datetime64("2024-01-01", "ms")
_ACKNOWLEDGED = (
    '{"type":"subscription","status":"success","channels":[{"name":"market-data","subscribed":true,"filters":{}}],'
    '"timestamp":"2024-01-01T00:00:00.000Z"}'
)


class Flood:
    """Frames of market-data without end, made as they are sent: message n has n in its id, its volume and its time."""

    def __init__(self) -> None:
        frames, self._ends, places = [], [], []
        at = 0
        for slot in range(_SLOTS):
            bid = round(1.05 + slot % 997 * 1e-5, 5)
            stamp = "2024-01-01T00:00:00.000Z"
            data = {"symbol": f"S{slot % 28:05}", "bid": bid, "ask": round(bid + 8e-5, 5), "last": bid}
            data |= {"volume": _NUMBER, "spread": 8, "timestamp": stamp, "change": 1e-4, "changePercent": 0.0092}
            data |= {"dayHigh": bid + 1, "dayLow": bid - 1, "open": bid, "close": bid}
            message = {"type": "market_data", "channel": "market-data", "data": data, "timestamp": stamp}
            text = json.dumps({**message, "id": f"msg_{_NUMBER}"}, separators=(",", ":")).encode()
            frame = Frame(Opcode.TEXT, text).serialize(mask=False)
            numbers, stamps = str(_NUMBER).encode(), stamp.encode()
            places.append([at + frame.index(numbers), at + frame.rindex(numbers)])
            places[-1] += [at + frame.index(stamps), at + frame.rindex(stamps)]
            frames.append(frame)
            at += len(frame)
            self._ends.append(at)
        self._bytes = np.frombuffer(b"".join(frames), np.uint8).copy()
        self._places = np.array(places)

    def chunk(self, start: int, count: int) -> bytes:
        """Return the frames of so many messages, at most as many as there are slots."""
        numbers = start + np.arange(_SLOTS)
        digits = ((_NUMBER + numbers)[:, None] // 10 ** np.arange(11, -1, -1) % 10 + 48).astype(np.uint8)
        texts = np.datetime_as_string(_FIRST + numbers, unit="ms").astype("S23")
        stamps = texts.view(np.uint8).reshape(_SLOTS, 23)
        for column, characters in enumerate((digits, digits, stamps, stamps)):
            where = self._places[:, column, None] + np.arange(characters.shape[1])
            self._bytes[where] = characters
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
        await asyncio.to_thread(_end_of, pipe)


def _end_of(pipe: Pipe) -> None:
    try:
        pipe.recv()
    except EOFError:
        pass


def many_messages(count: int) -> Outcome:
    """Take so many messages as fast as they come, with two threads that read all the while."""
    outcome = Outcome()
    window = max(1, min(WINDOW_ROWS, count // 10))  # a short run has a small window, or it would never be full
    with in_another_process(_serve_flood, count) as server:
        session = fxlive.Session(
            f"ws://127.0.0.1:{server.recv()}/api/ws", "a-token", channels=["market-data"], max_rows=window
        )
        began = time.perf_counter()
        session.open()
        stop = threading.Event()
        reads = [0, 0]
        readers = [threading.Thread(target=_read, args=(session, window, outcome, stop, reads, n)) for n in range(2)]
        for reader in readers:
            reader.start()
        samples = _sampled(session, count, outcome)
        seconds = time.perf_counter() - began
        stop.set()
        for reader in readers:
            reader.join()
        _check_flood(session, window, count, outcome)
        session.close()
    outcome.figure("flood: messages", count, "messages")
    outcome.figure("flood: rate, with two threads reading", count / seconds, "messages/s")
    outcome.figure("flood: frames read and found consistent meanwhile", sum(reads), "frames")
    outcome.figure("flood: rows of the window", window, "rows")
    full = max(count * _SETTLED_SHARE, window * _WINDOWS_BEFORE_IT_IS_FLAT)
    settled = [(done, rss) for done, rss in samples if done >= full]
    if len(settled) < _ENOUGH_SAMPLES:
        print("flood: over too soon to judge memory; take more messages")
        return outcome
    outcome.figure("flood: memory with the window full, median", median(rss for _, rss in settled) / 1e6, "MB")
    outcome.figure("flood: memory, highest", max(rss for _, rss in settled) / 1e6, "MB")
    grown = growth_percent(settled)
    outcome.figure(f"flood: growth of memory over the last {count - settled[0][0]:,.0f}", grown, "%", "<= 5")
    return outcome


def _sampled(session: fxlive.Session, count: int, outcome: Outcome) -> list[tuple[float, float]]:
    """Return how much memory there was after how many messages, until all are there."""
    samples: list[tuple[float, float]] = []
    process, moved, done = psutil.Process(), time.monotonic(), 0
    while done < count and session.state == "connected":
        before, done = done, session.health().messages
        samples.append((done, process.memory_info().rss))
        progress(f"{done:,} of {count:,} messages ({done / count:.0%}), {samples[-1][1] / 1e6:,.0f} MB")
        if done > before:
            moved = time.monotonic()
        elif time.monotonic() - moved > STALLED_S:
            outcome.check(False, f"flood: nothing came for {STALLED_S:.0f} s, after {done:,} messages")
            break
        time.sleep(0.1)
    progress("")
    return samples


def _read(
    session: fxlive.Session, window: int, outcome: Outcome, stop: threading.Event, reads: list[int], reader: int
) -> None:
    try:
        _look(session, window, outcome, stop, reads, reader)
    except Exception as error:
        outcome.check(False, f"flood: reading raised {type(error).__name__}: {error}")


def _look(
    session: fxlive.Session, window: int, outcome: Outcome, stop: threading.Event, reads: list[int], reader: int
) -> None:
    """Look at one frame after the other; one of them is held for a while and must not change."""
    rng = random.Random(reader)
    highest, held, sum_held = -1.0, pd.DataFrame(), 0.0
    while not stop.is_set():
        frame = session.frame("market-data")
        if len(frame):
            outcome.check(len(frame) <= window, "flood: a frame is longer than the window")
            outcome.check(frame["volume"].iloc[-1] >= highest, "flood: a frame ends before an older one")
            highest = frame["volume"].iloc[-1]
            at = rng.randrange(max(1, len(frame) - 50_000))
            wrong = _inconsistency(frame.iloc[at : at + 50_000])
            outcome.check(wrong is None, f"flood: a frame read meanwhile {wrong}")
        if reads[reader] % 20 == 0:
            outcome.check(not len(held) or held["volume"].sum() == sum_held, "flood: a frame that was held has changed")
            held, sum_held = frame, frame["volume"].sum()
        reads[reader] += 1
        stop.wait(0.02)


def _inconsistency(frame: pd.DataFrame) -> str | None:
    """Return what is wrong with consecutive rows, if anything is."""
    numbers = frame["volume"].to_numpy() - _NUMBER
    if not (np.diff(numbers) == 1).all():
        return "lacks rows, or has them out of order"
    stamps = frame.index.to_numpy("datetime64[ms]")
    if not (stamps == _FIRST + numbers.astype(np.int64)).all():
        return "has the time of one row beside the volume of another"
    ends = [0, len(frame) // 2, -1]
    if [f"msg_{_NUMBER + int(numbers[end])}" for end in ends] != [frame["id"].iloc[end] for end in ends]:
        return "has the id of one row beside the volume of another"
    if not frame["received_at"].is_monotonic_increasing:
        return "has rows out of the order of their arrival"
    return None


def _check_flood(session: fxlive.Session, window: int, count: int, outcome: Outcome) -> None:
    health, frame = session.health(), session.frame("market-data")
    outcome.check(health.messages == count, f"flood: {health.messages:,} messages of {count:,} are there")
    for what in ("duplicates", "rejected", "gaps"):
        outcome.check(getattr(health, what) == 0, f"flood: {getattr(health, what)} {what}; {session.error}")
    outcome.check(len(frame) == min(count, window), f"flood: the window has {len(frame):,} rows")
    if len(frame):
        wrong = _inconsistency(frame)
        outcome.check(wrong is None, f"flood: the last frame {wrong}")
        outcome.check(frame["volume"].iloc[-1] == _NUMBER + count - 1, "flood: the last message is not the last row")


# ------------------------------------------------------------------------------------------------------ random faults

SPEED = 20.0
_FAULT_EVERY_S = 5.0
_ROWS = 500
_SAMPLE_S = 1.0
# An error that answers no request is a row of rejected().
_OUTSIDE_CONTROL = ("connection", "subscription", "unsubscription")


def _serve_faults(pipe: Pipe, seed: int) -> None:
    asyncio.run(_faulty(pipe, seed))


async def _faulty(pipe: Pipe, seed: int) -> None:
    """Be a platform under which everything breaks, until asked to be calm; then say what was done, and when."""
    done: Counter[str] = Counter()
    away: list[tuple[float, float]] = []
    async with Simulator(seed=seed, speed=SPEED) as simulator:
        pipe.send(simulator.url)
        watch = asyncio.create_task(_watch(simulator, away))
        faults = asyncio.create_task(_break(simulator, random.Random(seed), done))
        await asyncio.to_thread(pipe.recv)
        faults.cancel()
        simulator.faults.calm()
        pipe.send(done)
        await asyncio.to_thread(pipe.recv)
        watch.cancel()
        pipe.send((away, faults.exception() if faults.done() and not faults.cancelled() else None))
        await asyncio.to_thread(_end_of, pipe)


async def _watch(simulator: Simulator, away: list[tuple[float, float]]) -> None:
    """Note the times without a client, as the server sees them."""
    since: float | None = None
    while True:
        if simulator.connections == 0:
            since = since or time.time()
        elif since is not None:
            if simulator.accepted > 1:
                away.append((since, time.time()))
            since = None
        await asyncio.sleep(0.005)


async def _break(simulator: Simulator, rng: random.Random, done: Counter[str]) -> None:
    """Bring one fault after the other, none of them final for a client that does its part."""
    faults, refused_at = simulator.faults, 0
    kinds = (
        "drop drop close expire silence deaf malformed huge utf8 wrong_types duplicate reorder slow narrow "
        "refuse401 refuse429 refuse503 error unknown_fields"
    ).split()
    lasting = {"silence", "deaf", "slow", "narrow", "unknown_fields"}
    while True:
        await asyncio.sleep(_FAULT_EVERY_S * rng.uniform(0.2, 1.8))
        fault = rng.choice(kinds)
        if simulator.connections == 0 and fault not in lasting:
            continue  # nobody would meet it
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
            # Two in a row would be final where the token is refused: only a client that is there meets a new one.
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
            faults.error(
                "Rate limit exceeded", "a random fault"
            )  # a denied permission is final for who subscribes just now
        done[fault] += 1


class Ledger:
    """What has arrived, counted and ordered by other means than the session's own."""

    def __init__(self, session: fxlive.Session) -> None:
        self.arrived = 0
        self.control = 0
        self.order: dict[str, dict[str, int]] = {name: {} for name in CHANNELS}
        feed: Any = session._pipeline.feed
        receive = feed._receive

        def counted(connection: Any, messages: list[bytes], received_at: int) -> None:
            for message in messages:
                self._note(message)
            receive(connection, messages, received_at)

        feed._receive = counted

    def _note(self, message: bytes) -> None:
        self.arrived += 1
        try:
            read = json.loads(message)
        except ValueError:
            return
        if not isinstance(read, dict):
            return
        if read["type"] in _OUTSIDE_CONTROL:
            self.control += 1
            return
        order = self.order.get(read["channel"])
        if order is None:  # an error that answers nothing: the session counts it as rejected
            return
        order.setdefault(read["id"], self.arrived)
        if len(order) > 4 * _ROWS:
            del order[next(iter(order))]


def random_faults(minutes: float, seed: int) -> Outcome:
    """Hold one session open against a platform under which everything breaks."""
    outcome = Outcome()
    with in_another_process(_serve_faults, seed) as server, tempfile.TemporaryDirectory() as folder:
        url, lives = server.recv(), random.Random(seed)
        session = fxlive.Session(
            url,
            lambda: make_token(DEFAULT_SECRET, "user_456", lives.uniform(40.0, 120.0)),
            max_rows=_ROWS,
            record=folder,
            name="soak",
        )
        for name in CHANNELS:  # full from the beginning, or they would look like a leak that lasts an hour
            session._pipeline._recent_ids[name] = seen = RecentIds()
            seen.duplicates([f"{name} {number}" for number in range(REMEMBERED_IDS)])
        ledger = Ledger(session)
        told = session.on("trades", lambda trade: None)
        session.open()
        memory, busy = _endured(session, minutes * 60, outcome)
        server.send("calm")
        faults: Counter[str] = server.recv()
        _wait(lambda: session.state != "reconnecting", OUTAGE_BOUND_S, "the last reconnect", outcome)
        _wait(lambda: _tasks() <= busy[0][1], 10.0, f"an end of tasks: {_tasks()}, at first {busy[0][1]}", outcome)
        threads = threading.active_count()
        outcome.check(threads <= busy[0][0], f"faults: {threads} threads, at first {busy[0][0]}")
        server.send("enough")
        away, failure = server.recv()
        outcome.check(failure is None, f"faults: the simulator failed: {failure!r}")
        _check_frames(session, ledger, outcome)
        session.close()
        _check_counts(session, ledger, told, outcome)
        _check_gaps(session, away, outcome)
        _report(session, faults, away, outcome)
    settled = [(moment, rss) for moment, rss in memory if moment >= minutes * 60 * _SETTLED_SHARE]
    if len(settled) >= _ENOUGH_SAMPLES:  # fewer where the session failed before
        outcome.figure("faults: memory, median", median(rss for _, rss in settled) / 1e6, "MB")
        outcome.figure("faults: growth of memory after the first 30 %", growth_percent(settled), "%", "<= 5")
    outcome.figure("faults: threads, most", max(threads for threads, _ in busy), "threads")
    outcome.figure("faults: tasks, most", max(tasks for _, tasks in busy), "tasks")
    return outcome


def _tasks() -> int:
    return len(asyncio.all_tasks(background_loop()))


def _wait(condition: Callable[[], bool], seconds: float, what: str, outcome: Outcome) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            outcome.check(False, f"faults: {what} did not come within {seconds:.0f} s")
            return
        time.sleep(0.05)


def _endured(
    session: fxlive.Session, seconds: float, outcome: Outcome
) -> tuple[list[tuple[float, float]], list[tuple[int, int]]]:
    """Watch for so many seconds; return the memory by moment, and how many threads and tasks there were."""
    process, began = psutil.Process(), time.monotonic()
    memory: list[tuple[float, float]] = []
    busy = [(threading.active_count(), _tasks())]
    connected_at = began
    while (passed := time.monotonic() - began) < seconds:
        if session.state == "failed":
            outcome.check(False, f"faults: the session failed after {passed:.0f} s: {session.error}")
            break
        if session.state == "connected":
            connected_at = time.monotonic()
        outage_s = time.monotonic() - connected_at
        outcome.check(outage_s < OUTAGE_BOUND_S, f"faults: the session was away for more than {OUTAGE_BOUND_S:.0f} s")
        for name, frame in session.snapshot().items():
            outcome.check(frame["id"].is_unique, f"faults: an id twice in {name}")
            outcome.check(frame["received_at"].is_monotonic_increasing, f"faults: {name} is not in order of arrival")
        memory.append((passed, process.memory_info().rss))
        busy.append((threading.active_count(), _tasks()))
        health = session.health()
        progress(
            f"{passed / 60:.1f} of {seconds / 60:g} min, {session.state}, {health.messages:,} messages, "
            f"{health.gaps} gaps, {memory[-1][1] / 1e6:,.0f} MB"
        )
        time.sleep(_SAMPLE_S)
    progress("")
    return memory, busy


def _check_frames(session: fxlive.Session, ledger: Ledger, outcome: Outcome) -> None:
    for name, frame in session.snapshot().items():
        if name not in ledger.order:
            outcome.check(False, f"faults: there is a channel {name!r}")
            continue
        order = dict(ledger.order[name])
        places = [order[i] for i in frame["id"] if i in order]
        outcome.check(places == sorted(places), f"faults: {name} has rows in another order than they arrived in")
        outcome.check(len(places) == len(frame), f"faults: {name} has rows that nobody sent")


def _check_counts(session: fxlive.Session, ledger: Ledger, told: Any, outcome: Outcome) -> None:
    health = session.health()
    counted = health.messages + health.duplicates + health.rejected
    arrived = ledger.arrived - ledger.control
    outcome.check(
        counted == arrived,
        f"faults: {arrived:,} arrived, but there are {health.messages:,} messages, {health.duplicates:,} duplicates "
        f"and {health.rejected:,} rejected ({counted - arrived:+,})",
    )
    trades = int(health.channels["messages"]["trades"])
    heard = told.calls + told.dropped
    outcome.check(heard == trades, f"faults: a callback heard of {heard:,} trades of {trades:,}")
    recording = session.recording
    assert recording is not None
    rows = {folder.name: len(pd.read_parquet(folder)) for folder in Path(recording.path).glob("channel=*")}
    for name, messages in health.channels["messages"].items():
        on_disk = rows.get(f"channel={name}", 0)
        outcome.check(on_disk == messages, f"faults: {on_disk:,} rows of {name} on disk, {messages:,} in the session")
    outcome.check(recording.status.dropped == 0, f"faults: {recording.status.dropped:,} rows lost to the disk")


def _check_gaps(session: fxlive.Session, away: list[tuple[float, float]], outcome: Outcome) -> None:
    """Every time that the server had no client lies in a gap, and every gap has ended."""
    gaps = session.gaps()
    outcome.check(not gaps["end"].isna().any(), "faults: a gap has not ended")
    outcome.check(bool((gaps["duration_s"] >= 0).all()), "faults: a gap ends before it begins")
    outcome.check(
        bool((gaps["start"].iloc[1:].to_numpy() >= gaps["end"].iloc[:-1].to_numpy()).all()), "faults: gaps overlap"
    )
    starts, ends = (gaps[c].to_numpy("datetime64[us]").astype(np.int64) / 1e6 for c in ("start", "end"))
    for since, until in away:
        covered = ((starts <= since + _SERVERS_WORD_S) & (ends >= until - _SERVERS_WORD_S)).any()
        when = pd.Timestamp(since, unit="s")
        outcome.check(bool(covered), f"faults: away at {when} for {until - since:.1f} s, without a gap")
    outcome.check(len(away) > 0, "faults: the client was never away; that is no test")


def _report(session: fxlive.Session, faults: Counter[str], away: list[tuple[float, float]], outcome: Outcome) -> None:
    health, gaps = session.health(), session.gaps()
    print("faults: " + ", ".join(f"{count} {name}" for name, count in sorted(faults.items())))
    outcome.figure("faults: brought", sum(faults.values()), "faults")
    outcome.figure("faults: times away", len(away), "outages")
    outcome.figure("faults: gap rows", len(gaps), "gaps")
    if len(gaps):
        outcome.figure("faults: time away, median", float(gaps["duration_s"].median()), "s")
        outcome.figure("faults: time away, longest", float(gaps["duration_s"].max()), "s", f"<= {OUTAGE_BOUND_S}")
    outcome.figure("faults: messages", health.messages, "messages")
    outcome.figure("faults: duplicates dropped", health.duplicates, "messages")
    outcome.figure("faults: rejected", health.rejected, "messages")


# -------------------------------------------------------------------------------------------------------------- kills


def kills(count: int, seed: int) -> Outcome:
    """Kill a recording so many times under load, and open what is there."""
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
    outcome.figure("kills: rows that were found whole and once", rows, "rows")
    return outcome


# ---------------------------------------------------------------------------------------------------------------- all


def main() -> int:
    """Run all; return 1 where something went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--messages", type=int, default=10_000_000, help="0: not this run (default %(default)s)")
    parser.add_argument("--minutes", type=float, default=60.0, help="of random faults; 0: not this run (default 60)")
    parser.add_argument("--kills", type=int, default=100, help="of a recording; 0: not this run (default %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="of the faults (default %(default)s)")
    arguments = parser.parse_args()
    wrong: list[str] = []
    runs: list[tuple[Callable[..., Outcome], tuple[Any, ...]]] = []
    runs += [(many_messages, (arguments.messages,))] if arguments.messages else []
    runs += [(kills, (arguments.kills, arguments.seed))] if arguments.kills else []
    runs += [(random_faults, (arguments.minutes, arguments.seed))] if arguments.minutes else []
    for run, options in runs:
        # Not isolate's pool: its processes may start none.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            outcome = pool.submit(run, *options).result()
        for figure in outcome.figures:
            print(figure, flush=True)
        wrong += outcome.wrong
    for text in wrong:
        print(f"WRONG  {text}", flush=True)
    print("all went well" if not wrong else f"{len(wrong)} things went wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""Ten million messages with flat memory, while two threads read frames."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from statistics import median

import numpy as np
import pandas as pd
import psutil
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Frame, Opcode

import fxlive
from benchmarks.flood import ACKNOWLEDGED
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

WINDOW_ROWS = 1_000_000
# Buffers are allocated and freed as the window evicts rows. Memory is flat only after a few window lengths.
_WINDOWS_UNTIL_FLAT = 3
_STALLED_S = 60.0
_SLOTS = 4_096
_NUMBER = 10**11  # added to message numbers: with twelve digits, all messages of a slot have the same length
_FIRST = np.datetime64("2024-01-01", "ms")


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
        await connection.send(ACKNOWLEDGED)
        for start in range(0, count, _SLOTS):
            connection.transport.write(flood.chunk(start, min(_SLOTS, count - start)))
            await connection.drain()
        await connection.wait_closed()

    async with serve(send, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.to_thread(wait_for_end, pipe)


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
    settled_count = max(count * SETTLED_SHARE, window * _WINDOWS_UNTIL_FLAT)
    settled = [(done, rss) for done, rss in samples if done >= settled_count]
    if len(settled) < MIN_SAMPLES:
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
        elif time.monotonic() - last_progress > _STALLED_S:
            outcome.check(False, f"flood: no messages received for {_STALLED_S:.0f} s, after {done:,}")
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

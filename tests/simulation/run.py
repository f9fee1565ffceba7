"""One run: a session, the platform and the network in one loop, and what happens to them, all decided by a seed."""

from __future__ import annotations

import asyncio
import atexit
import json
import logging
import random
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pandas as pd

import fxlive
from fxlive.capture.writing.recorder import Recorder
from fxlive.feeds import pacing
from fxlive.pipeline.callbacks import Handle
from fxlive.sessions.subscriptions import _subscribe, _unsubscribe
from fxlive.simulator.serving.server import Simulator
from tests.simulation.disk import SimulatedDisk
from tests.simulation.guard import guard
from tests.simulation.loop import SimulatedLoop
from tests.simulation.network import Network
from tests.simulation.record import (
    CLOCK_STEPS_US,
    WILD,
    LatestQuotes,
    Recording,
    Sent,
    check,
    check_after_power_failure,
    check_capture,
)
from tests.simulation.world import SimulatedWorld

START_US = 1_704_067_200_000_000  # 2024-01-01
CHANNELS = ("market-data", "positions", "trades", "orders")
SYMBOLS = ["EURUSD", "USDJPY"]
PORT = 8080
_MEMORY = Path("/dev/shm")  # a file system in memory, where it exists: syncing costs nothing
HARMFUL = (
    "silence",
    "a deaf",
    "a cut",
    "a network",
    "no new",
    "a close",
    "expired",
    "refusals",
    "a restart",
    "a reconnect",
)
"""The beginnings of actions after which messages may be lost. Every tenth run leaves them out, and must have no gap."""
AT_CLOSE = 5
"""How many messages may arrive so short before close() that callbacks do not receive them."""
CALM_S = 90.0
"""How long nothing happens at the end: the longest wait between two attempts, and the limit of connections a minute."""


class Session(fxlive.Session):
    """A session whose recordings are made by a function."""

    new_recorder: Callable[[Path], Recorder]

    def _new_recorder(self, path: str | Path) -> Recorder:
        return self.new_recorder(Path(path))


class Run:
    """One simulated run, determined by a seed.

    Parameters
    ----------
    seed
        The seed.
    actions
        How many things happen.
    only
        The numbers of the actions that are done; all by default. A failing run is shortened by leaving some out.
    """

    def __init__(self, seed: int, actions: int = 30, only: frozenset[int] | None = None) -> None:
        self.seed = seed
        self.done: list[str] = []
        """The actions that were done, for the report of a failure."""
        self._is_harmless = seed % 10 == 0
        self._records = random.Random(f"records {seed}").random() < 0.5  # they take long
        self._actions = actions
        self._only = only
        self._rng = random.Random(f"start {seed}")
        self._first_id = 1
        self._frames: list[tuple[pd.DataFrame, pd.DataFrame]] = []  # frames of readers, and what they were then
        self._callbacks: list[tuple[Handle, list[str], int]] = []  # their ids of messages, and the rows before
        self._recordings: list[Recording] = []
        self._new_disks: list[SimulatedDisk] = []
        self._logged: list[str] = []
        self._wild = 0  # the quotes of another year
        self._tokens: list[str] = []

    def run(self) -> str:
        """Do everything, check the invariants, and return the hash of the trace."""
        pacing._connection_limits.clear()
        loop = SimulatedLoop(self.seed)
        try:
            with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
                with guard(), noted_log(self._logged):
                    digest = loop.run_until_complete(self._main(loop, Path(folder)))
                self._check_capture()
                self._check_tokens(Path(folder))
            return digest
        finally:
            recording = getattr(getattr(self, "_session", None), "recording", None)
            if recording is not None:  # of a run that failed
                atexit.unregister(recording.stop)
            loop.close()

    async def _main(self, loop: SimulatedLoop, folder: Path) -> str:
        self._loop, self._folder = loop, folder
        self._network = Network(loop)
        self._world = SimulatedWorld(loop, self.seed, START_US)
        self._sent, self._latest = Sent(), LatestQuotes()
        with self._sent.noted(self._world), self._latest.followed():
            self._platform = await self._started()
            session = self._session = self._new_session()
            await session._open()
            self._sent.owed = lambda: tuple(session._pipeline.feed.subscriptions)
            if self._rng.random() < 0.25:
                await self._record()
            for number in range(self._actions):
                self._rng = random.Random(f"action {self.seed} {number}")  # whatever the actions before it did
                name, action = self._chosen()
                pause_s = self._rng.expovariate(1.0)
                if self._only is not None and number not in self._only:
                    continue
                self._note(f"{number}: {name}")
                await action()
                await asyncio.sleep(pause_s)
                check_state(session)
                assert not self._latest.error, self._latest.error
            await self._calm()
            self._sent.owed = tuple
            await self._check_positions()
            await session._close()
            await asyncio.sleep(10.0)
            self._check_leaks()
            await self._platform.close()
        check(session, self._sent)
        assert not self._latest.error, self._latest.error
        self._check_gaps()
        for frame, then in self._frames:
            pd.testing.assert_frame_equal(frame, then)
        self._check_callbacks()
        assert not self._loop.errors, self._loop.errors
        check_rates(self._network.attempts_at)
        return self._digest()

    def _new_session(self) -> fxlive.Session:
        async def token() -> str:
            self._tokens.append(self._platform.token(self._rng.uniform(20.0, 200.0)))
            return self._tokens[-1]

        session = Session(
            self._platform.url,
            token,
            channels=CHANNELS,
            reconnect_attempts=None,
            proxy=False,
            name=f"simulated {self.seed}",
            world=self._world,
        )
        session.new_recorder = self._new_recorder
        return session

    def _new_recorder(self, path: Path) -> Recorder:
        rng = random.Random(f"recorder {self.seed} {len(self._recordings)}")
        queued = rng.choice((40, 1_000, 1_000_000))
        recorder = Recorder(
            path,
            name=self._session.name,
            url=self._session.url,
            store=self._session._pipeline.store,
            flush_s=rng.choice((2.0, 10.0, 30.0)),
            max_queued_rows=queued,
            disk=self._new_disk,
            world=self._world,
        )
        disk = self._new_disks[-1]
        disk.rows = lambda: {writer.channel.name: writer.rows for writer in list(recorder._writers.values())}
        return recorder

    def _new_disk(self, capture: Path) -> SimulatedDisk:
        outside = capture.parent / f"outside {capture.name}"
        self._new_disks.append(SimulatedDisk(capture, outside, random.Random(f"disk {capture.name}")))
        return self._new_disks[-1]

    async def _started(self) -> Simulator:
        platform = Simulator(
            port=PORT,
            seed=self.seed,
            start=START_US // 1000 + int(self._loop.time() * 1000),
            quotes_per_s=2.0,
            symbols=SYMBOLS,
            first_id=self._first_id,
            clock=lambda: (START_US / 1e6) + self._loop.time(),
        )
        await platform.listen()
        await platform.start()
        return platform

    # Actions.

    def _chosen(self) -> tuple[str, Callable[[], Awaitable[Any]]]:
        rng, network = self._rng, self._network
        seconds = rng.choice((0.1, 1.0, 5.0, 45.0))
        count = rng.randrange(1, 20)
        channel = rng.choice(CHANNELS)
        actions: dict[str, Callable[[], Any]] = {
            "nothing": lambda: None,
            f"silence of {seconds} s": lambda: self._faults.silence(seconds),
            f"a deaf platform for {seconds} s": lambda: self._faults.silence(seconds, deaf=True),
            "a cut": network.cut,
            "a cut that only the platform notices": lambda: network.cut("server"),
            f"a network that holds everything for {seconds} s": lambda: network.hold(seconds),
            f"a network that loses everything for {seconds} s": lambda: network.hold(seconds, lost=True),
            f"no new connections for {seconds} s": lambda: network.refuse(seconds),
            "a close": lambda: self._faults.drop(rng.choice((1001, 1011, 1012, 1013, 4401)), "simulated"),
            f"{count} duplicates": lambda: self._faults.duplicate(count),
            f"{count} in reverse order": lambda: self._faults.reorder(count),
            "wrong types": lambda: self._faults.wrong_types(count),
            "a quote of another year": self._send_wild,
            "malformed messages": lambda: self._faults.malformed(count),
            "expired tokens": self._expire,
            "refusals": lambda: self._faults.refuse(rng.choice((429, 503)), times=count % 4 + 1, retry_after=1),
            "no snapshots": lambda: self._faults.snapshot(rng.choice((0.0, 0.5, 1.0))),
            "a restart of ids": lambda: self._faults.restart_ids(1),
            "a restart": self._restart,
            "a step of the clock": self._step_clock,
            "a reconnect": self._session._pipeline.restart,
            f"no more {channel}": lambda: self._unsubscribe(channel),
            f"{channel} again": lambda: self._subscribe(channel),
            "a reader": self._read,
            "a callback": self._listen,
            "a recording": self._record,
            f"a full disk for {seconds} s": lambda: self._fill_disk(seconds),
            f"{count} torn writes": lambda: self._tear(count),
            "a power failure": self._fail_power,
        }
        if self._is_harmless:
            actions = {name: action for name, action in actions.items() if not name.startswith(HARMFUL)}
        name = rng.choice(sorted(actions))

        async def act() -> None:
            result = actions[name]()
            if asyncio.iscoroutine(result):
                await result

        return name, act

    @property
    def _faults(self) -> Any:
        return self._platform.faults

    def _send_wild(self) -> None:
        """Send a quote whose timestamp is years ahead, which must not become the latest."""
        rng, self._wild = self._rng, self._wild + 1
        if self._wild > 2:  # three of a symbol in a row are believed
            return
        ahead = pd.Timedelta(days=rng.randrange(100, 100_000))
        at = (pd.Timestamp(self._world.now_us(), unit="us") + ahead).isoformat(timespec="milliseconds") + "Z"
        quote = {"symbol": rng.choice(SYMBOLS), "bid": 1.5, "ask": 1.5, "spread": 0.0, "timestamp": at}
        message = {"type": "market_data", "channel": "market-data", "data": quote, "timestamp": at}
        self._faults.send_raw(json.dumps({**message, "id": f"{WILD}{rng.random()}"}))

    def _expire(self) -> None:
        self._faults.expire(revoke=self._rng.random() < 0.5)

    async def _restart(self) -> None:
        await self._platform.close()
        await asyncio.sleep(self._rng.choice((0.0, 3.0)))
        self._platform = await self._started()

    def _step_clock(self) -> None:
        self._world.wall_offset_us = self._rng.choice(CLOCK_STEPS_US)

    async def _subscribe(self, channel: str) -> None:
        await allowed_to_fail(_subscribe(self._session, [channel], {}))

    async def _unsubscribe(self, channel: str) -> None:
        await allowed_to_fail(_unsubscribe(self._session, [channel]))

    def _read(self) -> None:
        for channel in ("market-data", "positions"):
            frame = self._session.frame(channel)
            self._frames.append((frame, frame.copy()))
            self._session.latest(channel)
            written = self._session.frame(channel)
            if len(written):
                written.iloc[0, written.columns.get_loc("symbol")] = written["symbol"].iloc[-1]
                written.isetitem(0, written.iloc[::-1, 0].array)
            pd.testing.assert_frame_equal(self._session.frame(channel), frame)

    def _listen(self) -> None:
        received: list[str] = []
        handle = self._session._pipeline.listen("market-data", lambda message: received.append(message.id), None)
        self._callbacks.append((handle, received, len(self._session.frame("market-data"))))

    def _fill_disk(self, for_s: float) -> None:
        for disk in self._new_disks[-1:]:
            disk.full = True
            self._loop.call_later(for_s, setattr, disk, "full", False)

    def _tear(self, count: int) -> None:
        for disk in self._new_disks[-1:]:
            disk.torn = count

    def _fail_power(self) -> None:
        for disk in self._new_disks[-1:]:
            disk.fail_soon()

    async def _record(self) -> None:
        if not self._records:
            return
        if self._recordings:  # the former recording ends with the row before the first of the new one
            self._new_disks[-1].full, self._new_disks[-1].torn = False, 0  # or it would wait for the disk for 30 s
        path = self._folder / str(len(self._recordings))
        path.mkdir()
        await asyncio.sleep(0.0)
        recorder = self._session.record(path)
        rows = {name: len(self._session.frame(name)) for name in CHANNELS}
        gaps = int(self._session.gaps()["end"].notna().sum())
        if self._recordings:
            self._recordings[-1].stop, self._recordings[-1].gaps = rows, self._session.gaps()
        self._recordings.append(Recording(recorder, self._new_disks[-1], rows, gaps))

    async def _calm(self) -> None:
        """Let the world be calm, and wait for the session to be connected."""
        self._faults.calm()
        self._world.wall_offset_us = 0
        for disk in self._new_disks[-1:]:
            disk.full, disk.torn = False, 0
        await asyncio.sleep(CALM_S)
        state = self._session.state
        assert state == "connected", f"the session is {state} after a calm of {CALM_S:g} s: {self._session.error}"

    # Checks.

    async def _check_positions(self) -> None:
        """Check that the confirmed positions become those of the platform's account, with their volumes."""
        for _ in range(20):
            latest = self._session.latest("positions")
            found = latest.loc[latest["confirmed"], "volume"].dropna().to_dict()  # one of "wrong types" has no volume
            trader = self._platform._platform.trader
            assert trader is not None
            expected = {ticket: position.steps / 100 for ticket, position in trader.account.positions.items()}
            if found == expected or "positions" not in self._session._pipeline.feed.subscriptions:
                return
            await asyncio.sleep(1.0)
        raise AssertionError(f"the confirmed positions are {found}, those of the account {expected}")

    def _check_capture(self) -> None:
        for recording in self._recordings:
            assert recording.recorder.status.state == "stopped", recording.recorder.status
            check_capture(self._session, recording)
            for path, rows in recording.disk.after_failures:
                check_after_power_failure(self._session, path, rows, recording)

    def _check_gaps(self) -> None:
        gaps = self._session.gaps()
        assert gaps["duration_s"].between(0.0, self._loop.time()).all(), gaps
        assert gaps.empty or not self._is_harmless, f"nothing was lost, and there are gaps: {gaps}"

    def _check_callbacks(self) -> None:
        for handle, received, first in self._callbacks:
            expected = self._session.frame("market-data")["id"].iloc[first:].tolist()
            assert not handle.dropped
            assert received == expected[: len(received)], "a callback received other messages than the frame has"
            missing = len(expected) - len(received)
            assert missing <= AT_CLOSE, f"a callback did not receive {missing} of {len(expected)} messages"

    def _check_tokens(self, folder: Path) -> None:
        """Check that no token can be read anywhere: its signature is not in a file, a log record or a text of ours."""
        texts = [file.read_bytes() for file in folder.rglob("*") if file.is_file()]
        shown = [repr(self._session), self._session.gaps().to_csv(), self._session.rejected().to_csv(), *self._logged]
        texts += [text.encode() for text in shown]
        for token in self._tokens:
            signature = token.rpartition(".")[2][:16].encode()
            assert not any(signature in text for text in texts), "a token can be read"

    def _check_leaks(self) -> None:
        assert not self._network.connections, f"connections are left: {self._network.connections}"
        workers = [worker.name for worker in self._world.workers if worker.is_alive()]
        assert not workers, f"workers are left: {workers}"

    def _note(self, text: str) -> None:
        self.done.append(text)
        self._loop.trace(text)

    def _digest(self) -> str:
        digest = blake2b(self._loop.digest().encode())
        for channel, frame in sorted(self._session.snapshot().items()):
            digest.update(f"{channel}\n{frame.to_csv()}".encode())
        digest.update(self._session.gaps().to_csv().encode())
        return digest.hexdigest()[:32]


async def allowed_to_fail(work: Awaitable[Any]) -> None:
    """Await a user's call. While the connection is down, it is refused with a sentence."""
    try:
        await work
    except fxlive.FxliveError as error:
        if not str(error).endswith((".", "?")):
            raise


@contextmanager
def noted_log(texts: list[str]) -> Iterator[None]:
    """Add the text of every log record to a list."""

    class Noting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            texts.append(record.getMessage() + (record.exc_text or ""))

    handler, logger = Noting(), logging.getLogger("fxlive")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def check_rates(attempts_at: list[float]) -> None:
    """Check that the session never tried to connect more often than the platform allows."""
    limit = pacing.CONNECTIONS_PER_MINUTE
    for first, last in zip(attempts_at, attempts_at[limit:], strict=False):
        assert last - first >= 60.0, f"{limit + 1} connections from {first:.1f} s to {last:.1f} s"


def check_state(session: fxlive.Session) -> None:
    """Check that the session has not ended: nothing here is a reason for it."""
    assert session.state in ("connected", "reconnecting"), f"{session.state}: {session.error}"

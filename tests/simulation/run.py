"""One run: a session, the platform and the network in one loop, and what happens to them, all decided by a seed."""

from __future__ import annotations

import asyncio
import atexit
import random
import tempfile
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pandas as pd

import fxlive
from fxlive.feeds import pacing
from fxlive.sessions.subscriptions import _subscribe, _unsubscribe
from fxlive.simulator.serving.server import Simulator
from tests.simulation.guard import guard
from tests.simulation.loop import SimulatedLoop
from tests.simulation.network import Network
from tests.simulation.record import CLOCK_STEPS_US, Sent, check, check_capture
from tests.simulation.world import SimulatedWorld

START_US = 1_704_067_200_000_000  # 2024-01-01
CHANNELS = ("market-data", "positions", "trades", "orders")
PORT = 8080
_MEMORY = Path("/dev/shm")  # a file system in memory, where it exists: syncing costs nothing
CALM_S = 90.0
"""How long nothing happens at the end: the longest wait between two attempts, and the limit of connections a minute."""


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
        self._actions = actions
        self._only = only
        self._rng = random.Random(f"start {seed}")
        self._first_id = 1
        self._frames: list[tuple[pd.DataFrame, pd.DataFrame]] = []  # frames of readers, and what they were then

    def run(self) -> str:
        """Do everything, check the invariants, and return the hash of the trace."""
        pacing._connection_limits.clear()
        loop = SimulatedLoop(self.seed)
        try:
            with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
                with guard():
                    digest = loop.run_until_complete(self._main(loop, Path(folder)))
                self._check_capture()
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
        self._sent = Sent()
        with self._sent.noted(self._world):
            self._platform = await self._started()
            session = self._session = self._new_session()
            await session._open()
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
            await self._calm()
            await session._close()
            await self._platform.close()
            await asyncio.sleep(10.0)
        check(session, self._sent)
        for frame, then in self._frames:
            pd.testing.assert_frame_equal(frame, then)
        self._check_leaks()
        return self._digest()

    def _new_session(self) -> fxlive.Session:
        async def token() -> str:
            return self._platform.token(self._rng.uniform(20.0, 200.0))

        return fxlive.Session(
            self._platform.url,
            token,
            channels=CHANNELS,
            reconnect_attempts=None,
            proxy=False,
            name=f"simulated {self.seed}",
            world=self._world,
        )

    async def _started(self) -> Simulator:
        platform = Simulator(
            port=PORT,
            seed=self.seed,
            start=START_US // 1000 + int(self._loop.time() * 1000),
            quotes_per_s=5.0,
            symbols=["EURUSD", "USDJPY"],
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
        }
        name = rng.choice(sorted(actions))

        async def act() -> None:
            result = actions[name]()
            if asyncio.iscoroutine(result):
                await result

        return name, act

    @property
    def _faults(self) -> Any:
        return self._platform.faults

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

    def _listen(self) -> None:
        self._session._pipeline.listen("market-data", lambda message: None, None)

    async def _record(self) -> None:
        if self._session.recording is None:
            await self._session._start_recording(self._folder)
            self._recorded_from = {name: len(self._session.frame(name)) for name in CHANNELS}

    async def _calm(self) -> None:
        """Let the world be calm, and wait for the session to be connected."""
        self._faults.calm()
        self._world.wall_offset_us = 0
        await asyncio.sleep(CALM_S)
        state = self._session.state
        assert state == "connected", f"the session is {state} after a calm of {CALM_S:g} s: {self._session.error}"

    # Checks.

    def _check_capture(self) -> None:
        recording = self._session.recording
        if recording is not None:
            assert recording.status.state == "stopped", recording.status
            check_capture(self._session, recording.path, self._recorded_from)

    def _check_leaks(self) -> None:
        assert not self._loop.errors, self._loop.errors
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        assert not tasks, f"tasks are left: {tasks}"

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


def check_state(session: fxlive.Session) -> None:
    """Check that the session has not ended: nothing here is a reason for it."""
    assert session.state in ("connected", "reconnecting"), f"{session.state}: {session.error}"

"""Faults of the network, the server, the client's process and its clock: each costs nothing, or is a row of `gaps()`.

A numbered stream of quotes runs through `ChaosProxy` over TLS. Afterwards the numbers of the session's rows are
checked: a number that is missing must lie in a gap row, and none may come twice.
"""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import json
import os
import random
import signal
import ssl
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import trustme
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

import fxlive
from benchmarks.isolate import run_in_processes
from benchmarks.soak.chaos_proxy import ChaosProxy
from benchmarks.soak.outcome import Outcome, Pipe, progress, server_process
from fxlive.feeds import live, pacing

TOKEN = "a token of the chaos run".replace(" ", "-")
QUOTES_PER_S = 100.0
HOUR_S = 3_600.0
CERTIFICATES = ("expired", "wrong host", "self-signed")
SESSIONS = 8
"""How many sessions have faults at the same time, each with a server, a proxy and a process of its own."""
_Counts = Counter[tuple[str, str]]
_TOLERANCE_US = 50_000
_RECOVERY_S = 120.0
"""How long a session may take to be connected and up to date again after a fault."""


@dataclass(frozen=True)
class Times:
    """The length of each fault in seconds: those of a bad day, multiplied by a scale."""

    scale: float

    @property
    def pause_s(self) -> float:
        """For how long the client's process is stopped, or its interpreter held."""
        return 60.0 * self.scale

    @property
    def outage_s(self) -> float:
        """For how long the network is gone: longer than the time after which a silent connection counts as dead."""
        return 60.0 * self.scale

    @property
    def stall_s(self) -> float:
        """For how long nothing arrives, without the connection being dead."""
        return 20.0 * self.scale

    @property
    def jitter_s(self) -> float:
        """The longest delay of a read."""
        return 2.0 * self.scale


# The platform.


def _serve(pipe: Pipe, folder: str, scale: float) -> None:
    asyncio.run(_Platform(Path(folder), scale).run(pipe))


class _Platform:
    """Sends numbered quotes to every subscriber; restarts on demand, with ids that begin again."""

    def __init__(self, folder: Path, scale: float) -> None:
        self._authority = trustme.CA()
        self._authority.cert_pem.write_to_path(str(folder / "its.pem"))
        self._scale = scale
        self._subscribers: set[ServerConnection] = set()
        self.sent = 0  # of all runs
        self._id = 0  # of this run

    async def run(self, pipe: Pipe) -> None:
        """Answer requests of the pipe: a kind of certificate restarts the server, "sent" asks for the last number."""
        sending = asyncio.create_task(self._send())
        server = await self._start("good")
        pipe.send(server.sockets[0].getsockname()[1])
        with_pipe = asyncio.to_thread(pipe.recv)
        while True:
            try:
                request = await with_pipe
            except EOFError:
                break
            if request != "sent":
                server.close(close_connections=False)
                for subscriber in list(server.connections):
                    subscriber.transport.abort()
                await server.wait_closed()
                server = await self._start(request)
                pipe.send(server.sockets[0].getsockname()[1])
            else:
                pipe.send(self.sent)
            with_pipe = asyncio.to_thread(pipe.recv)
        sending.cancel()

    async def _start(self, certificate: str) -> Any:
        self._id = 0
        interval_s = max(1.0, 20.0 * self._scale)
        return await serve(
            self._handle,
            "127.0.0.1",
            0,
            ssl=_server_context(self._authority, certificate),
            ping_interval=interval_s,
            ping_timeout=interval_s,
        )

    async def _handle(self, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            async for request in connection:
                channels = [{**channel, "subscribed": True} for channel in json.loads(request)["channels"]]
                answer = {"type": "subscription", "status": "success", "channels": channels, "timestamp": _now()}
                await connection.send(json.dumps(answer))
                self._subscribers.add(connection)

    async def _send(self) -> None:
        for number in itertools.count(1):
            self.sent, self._id = number, self._id + 1
            data = {"symbol": "EURUSD", "bid": 1.1, "ask": 1.2, "number": number}
            message = {"type": "market_data", "channel": "market-data", "data": data, "timestamp": _now()}
            text = json.dumps({**message, "id": f"msg_{self._id}"})
            self._subscribers = {subscriber for subscriber in self._subscribers if subscriber.state.name == "OPEN"}
            broadcast(self._subscribers, text)
            await asyncio.sleep(1.0 / QUOTES_PER_S)


def _server_context(authority: trustme.CA, certificate: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if certificate == "self-signed":
        other = trustme.CA()
        with tempfile.NamedTemporaryFile() as file:
            file.write(other.private_key_pem.bytes() + other.cert_pem.bytes())
            file.flush()
            context.load_cert_chain(file.name)
        return context
    host = "other.example" if certificate == "wrong host" else "127.0.0.1"
    expires = datetime.now(UTC) + timedelta(days=-1 if certificate == "expired" else 30)
    authority.issue_cert(host, not_before=expires - timedelta(days=60), not_after=expires).configure_cert(context)
    return context


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# The client.


def _follow(pipe: Pipe, port: int, folder: str, scale: float) -> None:
    """Keep a session open, and answer requests of the pipe."""
    real_ns, offset_ns = time.time_ns, 0

    def stepped_ns() -> int:
        return real_ns() + offset_ns

    time.time_ns, time.time = stepped_ns, lambda: stepped_ns() / 1e9
    live.PING_AFTER_TICKS = max(1, round(live.PING_AFTER_TICKS * scale))
    live.DEAD_AFTER_TICKS = max(2, round(live.DEAD_AFTER_TICKS * scale))
    pacing.FIRST_WAIT_S *= scale
    pacing.CONNECTIONS_PER_MINUTE = 1_000_000
    without_release = ctypes.PyDLL(None).usleep  # a call that keeps the interpreter's lock, as some libraries do
    session = fxlive.connect(
        f"wss://127.0.0.1:{port}/api/ws",
        TOKEN,
        channels=["market-data"],
        ca=f"{folder}/its.pem",
        record=f"{folder}/captures",
        proxy=False,
        timeout=max(2.0, 10.0 * scale),
        reconnect_attempts=None,
        name="chaos",
    )
    pipe.send(os.getpid())
    while True:
        try:
            request, value = pipe.recv()
        except EOFError:
            return
        if request == "hold":
            without_release(round(value * 1e6))
            pipe.send("held")
        elif request == "step":
            offset_ns = int(value * 1e9)
            pipe.send("stepped")
        elif request == "status":
            numbers = session.frame("market-data", last=1)["number"] if len(session["market-data"]) else []
            error = session.error or session.health().error
            pipe.send((session.state, int(numbers.iloc[-1]) if len(numbers) else 0, str(error)))
        else:
            session.close()
            frame, gaps = session["market-data"], session.gaps()
            received = frame["received_at"].to_numpy("datetime64[us]").astype(np.int64)
            bounds = [gaps[name].to_numpy("datetime64[us]").astype(np.int64) for name in ("start", "end")]
            health = session.health()
            on_disk = len(fxlive.open_capture(f"{folder}/captures").frame("market-data"))
            counts = {"duplicates": health.duplicates, "rejected": health.rejected, "on disk": on_disk}
            pipe.send((frame["number"].to_numpy(np.int64), received, *bounds, counts, list(gaps["reason"])))


# The run.


class _Chaos:
    """Applies one fault after the other, and waits until the session has recovered."""

    def __init__(self, proxy: ChaosProxy, server: Pipe, client: Pipe, pid: int, times: Times, seed: int) -> None:
        self._proxy, self._server, self._client, self._pid, self._times = proxy, server, client, pid, times
        self._random = random.Random(seed)
        self.faults = {
            "reset": self._reset,
            "black hole": lambda: proxy.black_hole(times.outage_s),
            "one byte at a time": lambda: proxy.trickle(times.stall_s, 1.0 / times.scale),
            "jitter": lambda: proxy.jitter(times.stall_s, times.jitter_s),
            "stall": lambda: proxy.stall(times.stall_s),
            "restart": lambda: self.restart("good"),
            "stop": self._stop,
            "hold": lambda: self._ask("hold", times.pause_s),
            "clock ahead": lambda: self._step(HOUR_S),
            "clock back": lambda: self._step(-HOUR_S),
            **{f"certificate {kind}": lambda kind=kind: self._certificate(kind) for kind in CERTIFICATES},
        }

    def apply(self, name: str) -> tuple[int, int]:
        """Apply a fault; return the numbers of the quotes that were sent from its beginning to its end."""
        first = self.sent()
        self.faults[name]()
        if name in ("one byte at a time", "jitter", "stall", "black hole"):
            time.sleep(self._times.outage_s if name == "black hole" else self._times.stall_s)
        time.sleep(self._random.uniform(0.0, 0.3))
        return first, self._recovered()

    def sent(self) -> int:
        """Return the number of the quote that was sent last."""
        self._server.send("sent")
        return int(self._server.recv())

    def restart(self, certificate: str) -> None:
        """Restart the server: its connections break, and its ids begin again."""
        self._server.send(certificate)
        self._proxy.target = self._server.recv()
        self._proxy.drop()

    def _reset(self) -> None:
        resets = self._proxy.resets
        self._proxy.reset_within(20_000)
        while self._proxy.resets == resets:
            time.sleep(0.01)

    def _stop(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)
        try:
            time.sleep(self._times.pause_s)
        finally:
            os.kill(self._pid, signal.SIGCONT)

    def _step(self, offset_s: float) -> None:
        """Step the client's clock, lose the connection in that time or not, and step it back."""
        self._ask("step", offset_s)
        time.sleep(self._random.uniform(0.1, 0.5))
        if self._random.random() < 0.5:
            self._proxy.drop()
        self._recovered()
        self._ask("step", 0.0)

    def _certificate(self, kind: str) -> None:
        """Restart with a certificate that must be refused, and then with a good one."""
        self.restart(kind)
        deadline = time.monotonic() + _RECOVERY_S
        while "is not trusted" not in self._ask("status", 0)[2]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the certificate ({kind}) was not refused")
            time.sleep(0.05)
        self.restart("good")

    def _recovered(self) -> int:
        """Wait until the session has received what is sent now, and return its number."""
        deadline, number = time.monotonic() + _RECOVERY_S, self.sent()
        while True:
            state, last, error = self._ask("status", 0)
            if state == "connected" and last >= number:
                return int(last)
            if state in ("failed", "closed") or time.monotonic() > deadline:
                raise TimeoutError(f"the session is {state} at quote {last:,} of {self.sent():,}: {error}")
            number = max(number, self.sent() if last > number else number)
            time.sleep(0.05)

    def _ask(self, request: str, value: float) -> Any:
        self._client.send((request, value))
        return self._client.recv()


def chaos(count: int, scale: float, seed: int, sessions: int = SESSIONS) -> Outcome:
    """Apply `count` faults of lengths multiplied by `scale`, to several sessions at the same time."""
    shares = [range(first, count, sessions) for first in range(min(sessions, count))]
    runs = run_in_processes(_one_session, [(share, scale, seed + share.start) for share in shares])
    outcome = Outcome(failures=[failure for failures, *_ in runs for failure in failures])
    figures, results = _Counts(), _Counts()
    for _, run_figures, run_results in runs:
        figures.update(run_figures)
        results.update(run_results)
    for (name, result), number in sorted(results.items()):
        print(f"chaos: {name}: {number} {result}")
    for (name, unit), value in figures.items():
        outcome.figure(f"chaos: {name}", value, unit)
    return outcome


def _one_session(faults: range, scale: float, seed: int) -> tuple[list[str], _Counts, _Counts]:
    """Apply faults to one session; return the failures, the figures, and how often each fault had which result."""
    outcome, rng, spans = Outcome(), random.Random(seed), []
    with tempfile.TemporaryDirectory() as folder, server_process(_serve, folder, scale) as server:
        proxy = ChaosProxy(server.recv(), seed)
        with server_process(_follow, proxy.port, folder, scale) as client:
            run = _Chaos(proxy, server, client, client.recv(), Times(scale), seed)
            try:
                names = list(run.faults)
                for turn, fault in enumerate(faults, 1):
                    name = names[fault] if fault < len(names) else rng.choice(names)  # each kind once, then any
                    progress(f"chaos: session {seed}: fault {turn:,} of {len(faults):,}, {name}")
                    spans.append((name, *run.apply(name)))
            except (TimeoutError, EOFError) as error:
                outcome.check(False, f"chaos: session {seed}: {name}: {error}")
            client.send(("report", 0))
            figures, results = _compare(client.recv(), spans, outcome)
    progress("")
    return outcome.failures, figures, results


def _compare(report: tuple[Any, ...], spans: list[tuple[str, int, int]], outcome: Outcome) -> tuple[_Counts, _Counts]:
    """Check that no quote came twice, and that each missing one lies in a gap row; return what was counted."""
    numbers, received, starts, ends, counts, reasons = report
    steps = np.diff(numbers)
    outcome.check(bool((steps > 0).all()), f"chaos: {int((steps <= 0).sum())} quotes came twice or out of order")
    missing: list[int] = []
    for at in np.flatnonzero(steps > 1):
        before, after = sorted((received[at], received[at + 1]))
        lost = range(int(numbers[at]) + 1, int(numbers[at + 1]))
        missing += lost
        explained = ((starts <= after + _TOLERANCE_US) & (ends >= before - _TOLERANCE_US)).any()
        fault = next((name for name, first, last in spans if first <= lost[0] <= last), "no fault")
        outcome.check(bool(explained), f"chaos: {len(lost)} quotes from {lost[0]} on are lost without a gap ({fault})")
    outcome.check(counts["duplicates"] == 0, f"chaos: {counts['duplicates']} quotes were taken for duplicates")
    outcome.check(counts["rejected"] == 0, f"chaos: {counts['rejected']} quotes were rejected")
    outcome.check(counts["on disk"] == len(numbers), f"chaos: {counts['on disk']:,} of {len(numbers):,} rows on disk")
    outcome.check(bool((ends >= starts).all()), "chaos: a gap ends before it starts")
    lost_array = np.array(missing, np.int64)
    results = _Counts()
    for name, first, last in spans:
        hit = bool(((lost_array >= first) & (lost_array <= last)).any())
        results[name, "in a gap row" if hit else "without loss"] += 1
    figures = {
        ("faults", "faults"): len(spans),
        ("quotes sent", "quotes"): int(numbers[-1] - numbers[0]) + 1,
        ("quotes received", "quotes"): len(numbers),
        ("quotes lost, all in gap rows", "quotes"): len(missing),
        ("gap rows", "gaps"): len(reasons),
    }
    return Counter(figures), results

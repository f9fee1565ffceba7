"""Faults on demand: broken connections, delayed, duplicated or malformed messages, refusals, and more."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from itertools import count
from typing import Any

from fxlive.simulator import wire
from fxlive.simulator.serving.client import Client

REASONS = {
    401: "Authentication failed",
    403: "Permission denied",
    429: "Rate limit exceeded",
    503: "Connection refused",
}
MALFORMED = ("cut", "text", "empty", "binary", "list", "number")


class Faults:
    """Faults of the simulator's connections and messages. Every method may be called from any thread.

    A message that is sent on demand goes to all clients that are connected now. Silence, slow sending and unknown
    fields also apply to clients that connect later, until they are ended or until calm().
    """

    def __init__(
        self,
        clients: Callable[[], Collection[Client]],
        next_number: Callable[[], int],
        restart_ids: Callable[[int], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.snapshot_share = 1.0
        """The share of a channel's current rows that a new subscriber receives."""
        self._clients = clients
        self._next_number = next_number
        self._restart_ids = restart_ids
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._refusals: deque[tuple[int, float | None]] = deque()
        self._always: tuple[int, float | None] | None = None
        self._revoked_before = 0.0
        self._silent: tuple[bool, bool] = (False, False)
        self._resume: asyncio.TimerHandle | None = None
        self._slow: tuple[float | None, float] = (None, 0.0)
        self._inserted_fields = b""
        self._sequence = count()

    # Connections

    def drop(self, code: int = 1006, reason: str = "") -> None:
        """End all connections with this close code. 1006 cuts them without a close frame."""
        self._each(lambda client: client.close(code, reason))

    def expire(self, *, revoke: bool = False) -> None:
        """End all connections with 4401, as if their tokens had expired.

        With `revoke`, also refuse all tokens issued until now.
        """

        def expire() -> None:
            if revoke:
                self._revoked_before = self._clock()
            for client in tuple(self._clients()):
                client.close(4401, "token revoked" if revoke else "token expired")

        self._do(expire)

    def silence(self, seconds: float | None = None, *, deaf: bool = False) -> None:
        """Stay connected but send nothing, for `seconds` or until resume(). Messages of that time are lost.

        Pings are still answered. With `deaf`, nothing is read, so pings are not answered either.
        """

        def silence() -> None:
            self._set_silent(True, deaf)
            if seconds is not None:
                self._resume = asyncio.get_running_loop().call_later(seconds, self._set_silent, False, False)

        self._do(silence)

    def resume(self) -> None:
        """End a silence."""
        self._do(lambda: self._set_silent(False, False))

    def slow(self, bytes_per_s: float | None = None, delay_s: float = 0.0) -> None:
        """Send at most `bytes_per_s`, and wait `delay_s` before each message. Without arguments, end it."""

        def slow() -> None:
            self._slow = (bytes_per_s, delay_s)
            for client in self._clients():
                client.link.slow(bytes_per_s, delay_s)

        self._do(slow)

    def duplicate(self, n: int = 1) -> None:
        """Send each of the next `n` messages of the channels twice, with the same id."""
        self._each(lambda client: client.link.duplicate(n))

    def reorder(self, n: int = 2) -> None:
        """Send the next `n` messages of the channels in reverse order; after a second, as many as there are."""
        self._each(lambda client: client.link.reorder(n))

    def unknown_fields(self, **fields: Any) -> None:
        """Add these fields to the data of every message, as a newer platform would. Without any, end it."""
        inserted = (json.dumps(fields, separators=(",", ":"))[1:-1] + ",").encode() if fields else b""

        def unknown_fields() -> None:
            self._inserted_fields = inserted
            for client in self._clients():
                client.link.insert(inserted)

        self._do(unknown_fields)

    def snapshot(self, share: float = 0.0) -> None:
        """Send new subscribers only this share of the current rows of a channel, the newest; 0 leaves the snapshot out.

        It lasts until calm(), or until ``snapshot(1.0)``.
        """
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"share must be from 0 to 1, got {share}")
        self.snapshot_share = share

    def restart_ids(self, first_id: int = 1) -> None:
        """Number the next messages from `first_id` on, as a restarted platform may: their ids have been used before."""
        self._do(lambda: self._restart_ids(first_id))

    def calm(self) -> None:
        """End every lasting fault: silence, slow sending, unknown fields, refusals, incomplete snapshots."""

        def calm() -> None:
            self._refusals.clear()
            self._always = None
            self._set_silent(False, False)

        self._do(calm)
        self.slow()
        self.unknown_fields()
        self.snapshot(1.0)

    # Messages

    def send_raw(self, message: str | bytes) -> None:
        """Send a message to all clients unchanged: a str as a text frame, bytes as a binary frame."""
        text = isinstance(message, str)
        frame = wire.frame(message.encode() if isinstance(message, str) else message, text=text)
        self._each(lambda client: client.answer(frame))

    def error(self, error: str, message: str = "", channel: str | None = None) -> None:
        """Send a documented error, such as "Permission denied"."""

        def send() -> None:
            frame = wire.frame(wire.error(error, message or error, channel, self._now_ms(), self._next_number()))
            for client in self._clients():
                client.answer(frame)

        self._do(send)

    def malformed(self, n: int = 1, kind: str | None = None, *, size: int = 20_000_000) -> None:
        """Send malformed messages between the others.

        Parameters
        ----------
        n : the number of messages.
        kind : cut (a truncated message), text, empty, binary, list or number; by default each in turn. Only on demand:
            huge (a truncated message of `size` bytes), utf8 (a text frame that is not UTF-8, which ends connections).
        size : bytes of a huge message.
        """
        if kind not in {None, "huge", "utf8", *MALFORMED}:
            raise ValueError(f"kind must be one of {', '.join(MALFORMED)}, huge, utf8, got {kind!r}")

        def send() -> None:
            for _ in range(n):
                number = next(self._sequence)
                frame = _malformed(kind or MALFORMED[number % len(MALFORMED)], number, size, self._now_ms())
                for client in self._clients():
                    client.answer(frame)

        self._do(send)

    def wrong_types(self, n: int = 1) -> None:
        """Send `n` messages of the channels in which a known field has an invalid type."""

        def send() -> None:
            for _ in range(n):
                frame = wire.frame(_wrong_type(next(self._sequence), self._next_number(), self._now_ms()))
                for client in self._clients():
                    client.answer(frame)

        self._do(send)

    # Handshakes

    def refuse(self, status: int, times: int | None = 1, retry_after: float | None = None) -> None:
        """Refuse the next `times` connections (None: all until accept()) with this HTTP status.

        `retry_after` is the Retry-After header in seconds.
        """
        if status not in REASONS:
            raise ValueError(f"status must be one of {', '.join(map(str, REASONS))}, got {status}")

        def refuse() -> None:
            if times is None:
                self._always = (status, retry_after)
            else:
                self._refusals.extend([(status, retry_after)] * times)

        self._do(refuse)

    def accept(self) -> None:
        """Accept connections again."""

        def accept() -> None:
            self._refusals.clear()
            self._always = None

        self._do(accept)

    # For the server

    def bind(self) -> None:
        """Run all faults on the current event loop from now on."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def unbind(self) -> None:
        """Forget the event loop."""
        if self._resume is not None:
            self._resume.cancel()
        self._loop = None

    def refusal(self) -> tuple[int, float | None] | None:
        """Return the status and Retry-After for refusing the next connection, or None to accept it."""
        return self._refusals.popleft() if self._refusals else self._always

    def revoked(self, issued_at: float) -> bool:
        """Return whether a token issued at this time has been revoked."""
        return issued_at <= self._revoked_before

    def admit(self, client: Client) -> None:
        """Apply the lasting faults to a new client."""
        if self._silent[0]:
            client.link.silence(True, deaf=self._silent[1])
        if self._slow != (None, 0.0):
            client.link.slow(*self._slow)
        if self._inserted_fields:
            client.link.insert(self._inserted_fields)

    def _set_silent(self, silent: bool, deaf: bool) -> None:
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
        self._silent = (silent, deaf)
        for client in self._clients():
            client.link.silence(silent, deaf=deaf)

    def _each(self, action: Callable[[Client], None]) -> None:
        def act() -> None:
            for client in tuple(self._clients()):
                action(client)

        self._do(act)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _do(self, action: Callable[[], None]) -> None:
        """Run an action on the simulator's loop, and return when it has ended."""
        if self._loop is None or threading.get_ident() == self._thread:
            action()
            return
        done: concurrent.futures.Future[None] = concurrent.futures.Future()

        def act() -> None:
            try:
                action()
            except BaseException as error:
                done.set_exception(error)
            else:
                done.set_result(None)

        self._loop.call_soon_threadsafe(act)
        done.result(timeout=30)


async def random_faults(faults: Faults, seed: int, *, every_s: float = 5.0) -> None:
    """Apply random faults to all clients, one about every `every_s` seconds, until cancelled.

    A client that reconnects survives them all: tokens stay valid, and refusals end.
    """
    rng = random.Random(seed)
    for _ in count():
        await asyncio.sleep(every_s * rng.uniform(0.2, 1.8))
        fault = rng.choice(
            ("drop", "drop", "close", "silence", "malformed", "wrong_types", "duplicate", "reorder", "slow", "refuse",
             "error", "unknown_fields")
        )  # fmt: skip
        if fault == "drop":
            faults.drop()
        elif fault == "close":
            faults.drop(rng.choice((1001, 1011, 1012, 1013)), "a random fault")
        elif fault == "silence":
            faults.silence(every_s * rng.uniform(0.1, 1.0))
        elif fault == "malformed":
            faults.malformed(rng.randrange(1, 6))
        elif fault == "wrong_types":
            faults.wrong_types(rng.randrange(1, 6))
        elif fault == "duplicate":
            faults.duplicate(rng.randrange(1, 50))
        elif fault == "reorder":
            faults.reorder(rng.randrange(2, 50))
        elif fault == "slow":
            faults.slow(delay_s=0.005)
            await asyncio.sleep(every_s * rng.uniform(0.1, 0.5))
            faults.slow()
        elif fault == "refuse":
            faults.refuse(rng.choice((429, 503)), times=1, retry_after=1)
            faults.drop()
        elif fault == "unknown_fields":
            faults.unknown_fields(liquidity=rng.random(), venue="LD4", firm=True)
            await asyncio.sleep(every_s * rng.uniform(0.1, 0.5))
            faults.unknown_fields()
        else:
            faults.error("Permission denied", "a random fault")


def _malformed(kind: str, number: int, size: int, now_ms: int) -> bytes:
    if kind == "cut":
        whole = wire.envelope("market-data", {"symbol": "EURUSD", "bid": 1.085, "ask": 1.08501}, now_ms, number)
        return wire.frame(whole[: len(whole) // 2])
    if kind == "huge":
        return wire.frame(b'{"type":"market_data","channel":"market-data","data":"' + b"x" * (size - 54))
    return {
        "text": wire.frame(b"upstream connect error or disconnect/reset before headers"),
        "empty": wire.frame(b""),
        "binary": wire.frame(random.Random(number).randbytes(64), text=False),
        "list": wire.frame(b"[1,2,3]"),
        "number": wire.frame(b"42"),
        "utf8": wire.frame(b'{"type":"\xff\xfe"}'),
    }[kind]


def _wrong_types() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield channels with invalid data. Under the key "", the data itself is not an object."""
    yield "market-data", {"symbol": "EURUSD", "bid": "a price", "ask": 1.08501}
    yield "market-data", {"symbol": {"name": "EURUSD"}, "bid": 1.085, "ask": 1.08501}
    yield "market-data", {"symbol": "EURUSD", "bid": [1.085], "ask": {"price": 1.08501}}
    yield "trades", {"executionId": "exec_wrong", "ticket": "ticket", "symbol": "EURUSD", "volume": 0.1}
    yield "trades", {"executionId": ["exec_wrong"], "ticket": 1, "symbol": "EURUSD", "volume": 0.1}
    yield "positions", {"ticket": {"number": 1}, "symbol": "EURUSD", "type": "BUY", "volume": 0.1}
    yield "positions", {"ticket": 1, "symbol": "EURUSD", "type": "BUY", "volume": True}
    yield "orders", {"orderId": ["order_wrong"], "symbol": "EURUSD", "status": ["FILLED"], "volume": 0.1}
    yield "alerts", {"alertId": "alert_wrong", "type": "RISK_LIMIT", "severity": 3, "actions": "ACKNOWLEDGE"}
    yield "analytics", {"type": "PERFORMANCE_UPDATE", "period": "DAY", "metrics": [1, 2, 3]}
    yield "system", {"status": "HEALTHY", "components": "all well"}
    yield "system", {"": "not an object"}


_WRONG_TYPES = tuple(_wrong_types())


def _wrong_type(turn: int, number: int, now_ms: int) -> bytes:
    channel, data = _WRONG_TYPES[turn % len(_WRONG_TYPES)]
    message = json.loads(wire.envelope(channel, data, now_ms, number))
    if "" in data:
        message["data"] = data[""]
    return wire.encode(message)

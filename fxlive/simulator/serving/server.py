"""The simulator: the platform behind a WebSocket server, with its market running."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from ssl import SSLContext
from types import TracebackType
from typing import TYPE_CHECKING, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from fxlive.simulator import wire
from fxlive.simulator.market.quotes import Quote
from fxlive.simulator.market.random_walk import SimulatedMarket
from fxlive.simulator.market.ticks import Replay, TicksError
from fxlive.simulator.serving.client import Client
from fxlive.simulator.serving.faults import Faults, random_faults
from fxlive.simulator.serving.handshake import Door
from fxlive.simulator.serving.limits import Window
from fxlive.simulator.serving.requests import BadRequest, Subscribe, read
from fxlive.simulator.serving.tokens import DEFAULT_SECRET, DEFAULT_USER, make_token
from fxlive.simulator.trading.platform import Message, Platform

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger("fxlive.simulator")

PATH = "/api/ws"
_BATCH = 256
"""Quotes at a time: enough to make writes cheap, few enough that requests are answered meanwhile."""
_MARKS_S = 0.25
_REPORT_S = 4.0
_FIRST_REPORT_S = 0.5
# What may wait for a slow client before the market waits for it: little when the clients set the pace, and when the
# clock does, more than any client that lives could ever leave.
_BACKLOG_BYTES = {True: 256 * 1024, False: 16 * 1024 * 1024}
RANDOM_FAULTS_EVERY_S = 5.0
_LONDON_OPEN_MS = 7 * 3_600_000


class Simulator:
    """A platform to talk to: a WebSocket server with a market, and an account that trades on it.

    Use it as ``async with Simulator(...) as sim``; SimulatorThread is the same for code without a loop.

    Parameters
    ----------
    host, port
        Where it listens; port 0 takes a free one.
    seed
        Of the simulated market and of the strategies; same seed (and ticks), same quotes and trades.
    ticks
        A CSV, .csv.gz or Parquet file or a DataFrame with the columns timestamp, symbol, bid, ask, to be replayed;
        without, correlated pairs are simulated.
    speed
        Market seconds a second; None for as fast as the clients take it.
    symbols
        Pairs to simulate, or symbols of the ticks to replay (default: all).
    secret
        Signs the tokens.
    wait_for_subscriber
        Start the market at the first subscription to market-data, so that a replay loses nothing.
    account
        False sends market data alone.
    start
        Market time at which a simulated market starts: ISO text, datetime, or milliseconds since 1970
        (default: now).
    quotes
        End a simulated market after so many quotes (default: never).
    quotes_per_s
        Quotes a market second of all simulated symbols together (default: 4 each).
    ping_interval_s, ping_timeout_s
        The server's keepalive; None turns off.
    ssl
        A server's SSL context, for wss.
    subscriptions_limit, messages_per_s, connections_per_minute
        The limits of the platform; None turns off.
    random_faults_seed
        Bring random faults upon all clients (default: none).
    first_id
        Number of the first message id. A server that comes back at the same URL must not repeat ids.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 7,
        ticks: str | PathLike[str] | pd.DataFrame | None = None,
        speed: float | None = 1.0,
        symbols: Sequence[str] | None = None,
        secret: str = DEFAULT_SECRET,
        wait_for_subscriber: bool = False,
        account: bool = True,
        start: str | datetime | int | None = None,
        quotes: int | None = None,
        quotes_per_s: float | None = None,
        ping_interval_s: float | None = 20.0,
        ping_timeout_s: float | None = 20.0,
        ssl: SSLContext | None = None,
        subscriptions_limit: int | None = 50,
        messages_per_s: int | None = 100,
        connections_per_minute: int | None = 10,
        random_faults_seed: int | None = None,
        first_id: int = 1,
    ) -> None:
        if isinstance(ticks, (str, PathLike)) and not Path(ticks).is_file():
            raise TicksError(f"there is no file {os.fspath(ticks)}")
        if speed is not None and not speed > 0:
            raise ValueError(f"speed is above 0, or None for as fast as the clients take it, not {speed}")
        self.host = host
        self.port = port
        self.speed = speed
        self.sent = dict.fromkeys(wire.CHANNELS, 0)
        """Messages sent, by channel, to all clients together; those lost to a fault included."""
        self.accepted = 0
        """Connections accepted so far."""
        self.finished = asyncio.Event()
        """Set when the last quote of a replay has been sent."""
        self.failure: BaseException | None = None
        """Why the market has stopped, when it should not have."""
        self._ticks = ticks
        self._symbols = symbols
        self._secret = secret
        self._wait = wait_for_subscriber
        self._limit_quotes = quotes
        self._ping = (ping_interval_s, ping_timeout_s)
        self._ssl = ssl
        self._subscriptions_limit = subscriptions_limit
        self._messages_per_s = messages_per_s
        self._random_faults_seed = random_faults_seed
        start_ms = _milliseconds(start)
        # With the hours of the wall clock, a seed would give other prices in the morning than at night.
        phase_ms = _LONDON_OPEN_MS if start is None else start_ms
        self._market: Replay | SimulatedMarket | None = None
        if ticks is None:
            self._market = SimulatedMarket(
                seed, symbols, start_ms=start_ms, phase_ms=phase_ms, quotes_per_s=quotes_per_s
            )
        self._platform = Platform(seed, DEFAULT_USER, start_ms, account=account, first_id=first_id)
        self._clients: dict[ServerConnection, Client] = {}
        self._subscribed = asyncio.Event()
        self._done = 0
        self._server: Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.faults = Faults(self._clients.values, self._platform.next_number)
        self._door = Door(PATH, secret, connections_per_minute, self.faults)

    # What a user asks

    @property
    def url(self) -> str:
        """Where clients connect to."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'ws' if self._ssl is None else 'wss'}://{host}:{self.port}{PATH}"

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return len(self._clients)

    @property
    def progress(self) -> tuple[int, int | None, int]:
        """Quotes sent, quotes in all (None: no end), and market time in milliseconds since 1970."""
        total = len(self._market) if isinstance(self._market, Replay) else self._limit_quotes
        return self._done, total, self._platform.now_ms

    @property
    def published(self) -> dict[str, int]:
        """Messages that the platform has made, by channel, whoever was there to get them."""
        return dict(self._platform.published)

    def token(
        self, expires_in_s: float = 3600.0, *, user_id: str = DEFAULT_USER, channels: Sequence[str] | None = None
    ) -> str:
        """A token that this simulator accepts; `channels` limits what it permits."""
        return make_token(self._secret, user_id, expires_in_s, channels=channels)

    # Its life

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as undo:
            await self.listen()
            undo.push_async_callback(self.close)
            await self.start()
            undo.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def listen(self) -> None:
        """Open the server; from here on `url` is known and clients may come, but the market does not run yet."""
        self._server = await serve(
            self._serve,
            self.host,
            self.port,
            process_request=self._door.admit,
            ssl=self._ssl,
            compression=None,
            # Client.keep_alive does it.
            ping_interval=None,
            close_timeout=1.0,
            max_size=2**20,
            write_limit=_BACKLOG_BYTES[self.speed is None],
            logger=logging.getLogger("fxlive.simulator.websockets"),
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]
        self.faults.bind()

    async def start(self) -> None:
        """Read the ticks, if there are any, and start the market."""
        if self._ticks is not None:
            self._market = await asyncio.to_thread(Replay, self._ticks, self._symbols)
            self._ticks = None
            self._platform.now_ms = self._market.first_ms
        assert self._market is not None
        self._spawn(self._run(self._market))
        if self._random_faults_seed is not None:
            self._spawn(random_faults(self.faults, self._random_faults_seed, every_s=RANDOM_FAULTS_EVERY_S))

    async def close(self) -> None:
        """End the market and all connections (1001, going away)."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.faults.unbind()
        for client in tuple(self._clients.values()):
            client.close(1001, "the simulator ends")
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def _spawn(self, coroutine: object) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(coroutine)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # The market

    async def _run(self, market: Replay | SimulatedMarket) -> None:
        try:
            if self._wait:
                await self._subscribed.wait()
            self._spawn(self._beat())
            await self._play(market)
            self._publish(self._platform.marks() + self._platform.report())
        except Exception as error:
            self.failure = error
            logger.exception("the market has stopped")
        self.finished.set()

    async def _play(self, market: Replay | SimulatedMarket) -> None:
        """Send the quotes when they are due, and wait for clients that fall behind: nothing is ever left out."""
        loop = asyncio.get_running_loop()
        speed = self.speed
        first_ms: int | None = None
        began = loop.time()
        for block in market:
            if self._limit_quotes is not None:
                block = block[: self._limit_quotes - self._done]
            at = 0
            while at < len(block):
                upto = min(at + _BATCH, len(block))
                if speed is not None:
                    if first_ms is None:
                        first_ms = block[0][0]
                    now_ms = first_ms + (loop.time() - began) * 1000 * speed
                    upto = _due(block, at, upto, now_ms)
                    if upto == at:
                        await asyncio.sleep(min((block[at][0] - now_ms) / 1000 / speed, 0.5))
                        continue
                self._publish(self._platform.quotes(block[at:upto]))
                self._done += upto - at
                at = upto
                await self._room()
            if self._limit_quotes is not None and self._done >= self._limit_quotes:
                break

    async def _room(self) -> None:
        for client in tuple(self._clients.values()):
            await client.room()
        await asyncio.sleep(0)

    async def _beat(self) -> None:
        """Between quotes: positions that moved, four times a second; analytics and system status every 4 s."""
        loop = asyncio.get_running_loop()
        report_at = loop.time() + _FIRST_REPORT_S
        while True:
            await asyncio.sleep(_MARKS_S)
            messages = self._platform.marks()
            if loop.time() >= report_at:
                report_at = loop.time() + _REPORT_S
                messages += self._platform.report()
            self._publish(messages)

    def _publish(self, messages: list[Message]) -> None:
        if messages:
            for client in self._clients.values():
                if client.subscriptions:
                    client.send(client.select(messages, self.sent))

    # Connections

    async def _serve(self, connection: ServerConnection) -> None:
        claims = self._door.claims(connection)
        self.accepted += 1
        requests = Window(self._messages_per_s, 1.0)
        client = Client(connection, claims, f"session_{self.accepted}", requests, _BACKLOG_BYTES[self.speed is None])
        self._clients[connection] = client
        self.faults.admit(client)
        loop = asyncio.get_running_loop()
        expiry = loop.call_later(max(0.0, claims.expires_at - time.time()), client.close, 4401, "token expired")
        interval_s, timeout_s = self._ping
        pings = loop.create_task(client.keep_alive(interval_s, timeout_s)) if interval_s is not None else None
        try:
            client.answer(wire.frame(wire.connection(client.session_id, claims.user_id, _now_ms())))
            async for text in connection:
                if client.requests.wait(loop.time()):
                    self._error(
                        client, BadRequest("Rate limit exceeded", f"at most {self._messages_per_s} messages a second")
                    )
                    client.close(1008, "rate limit exceeded")
                    break
                self._answer(client, text)
        except ConnectionClosed:
            pass
        finally:
            del self._clients[connection]
            expiry.cancel()
            if pings is not None:
                pings.cancel()
            client.closed()

    def _answer(self, client: Client, text: str | bytes) -> None:
        try:
            request = read(text, client.claims.channels)
            limit = self._subscriptions_limit
            if limit is not None and isinstance(request, Subscribe):
                names = {*client.subscriptions, *(name for name, _ in request.channels)}
                if max(len(names), request.asked) > limit:
                    raise BadRequest("Invalid subscription", f"at most {limit} subscriptions a connection")
        except BadRequest as error:
            self._error(client, error)
            return
        for bad in request.errors:
            self._error(client, bad)
        if not request.channels:
            return
        if not isinstance(request, Subscribe):
            for name in request.channels:
                client.subscriptions.pop(name, None)
            client.answer(wire.frame(wire.unsubscription(request.channels, _now_ms())))
            return
        granted = [(name, wanted.wanted if wanted else None) for name, wanted in request.channels]
        client.answer(wire.frame(wire.subscription(granted, _now_ms())))
        client.subscriptions.update(request.channels)
        for name, _ in request.channels:
            client.send(client.select(self._platform.snapshot(name), self.sent))
        if "market-data" in client.subscriptions:
            self._subscribed.set()

    def _error(self, client: Client, error: BadRequest) -> None:
        client.answer(
            wire.frame(wire.error(error.name, error.message, error.channel, _now_ms(), self._platform.next_number()))
        )


def _due(block: Sequence[Quote], at: int, upto: int, now_ms: float) -> int:
    """The index behind the last quote that is due."""
    while at < upto and block[at][0] <= now_ms:
        at += 1
    return at


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _milliseconds(start: str | datetime | int | None) -> int:
    if start is None:
        return _now_ms()
    if isinstance(start, int):
        return start
    moment = datetime.fromisoformat(start) if isinstance(start, str) else start
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)

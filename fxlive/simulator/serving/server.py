"""The simulator: a WebSocket server for the simulated platform and its market."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
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
from fxlive.simulator.serving.handshake import Handshake
from fxlive.simulator.serving.limits import Window
from fxlive.simulator.serving.requests import BadRequest, Subscribe, parse_request
from fxlive.simulator.serving.tokens import DEFAULT_SECRET, DEFAULT_USER, make_token
from fxlive.simulator.trading.platform import Message, Platform

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger("fxlive.simulator")

PATH = "/api/ws"
_BATCH = 256
"""Quotes that are sent at once: enough to make writes cheap, few enough to answer requests in between."""
_MARKS_INTERVAL_S = 0.25
_REPORT_INTERVAL_S = 4.0
_FIRST_REPORT_S = 0.5
# Unsent bytes of a slow client at which the market waits for it. If the clients set the pace (True), the backlog is
# small. If the clock does (False), it is larger than any client that still reads would let it grow.
_BACKLOG_BYTES = {True: 256 * 1024, False: 16 * 1024 * 1024}
RANDOM_FAULTS_EVERY_S = 5.0
_LONDON_OPEN_MS = 7 * 3_600_000


class Simulator:
    """A simulated platform: a WebSocket server with a market, and an account that trades on it.

    Use it as ``async with Simulator(...) as sim``. SimulatorThread is the same for code without an event loop.

    Parameters
    ----------
    host, port
        The address to listen on; port 0 chooses a free one.
    seed
        Seed of the simulated market and of the strategies. The same seed (and ticks) gives the same quotes and trades.
    ticks
        Quotes to replay: a CSV, .csv.gz or Parquet file or a DataFrame with the columns timestamp, symbol, bid, ask.
        Without it, correlated pairs are simulated.
    speed
        Market seconds per second; None for as fast as the clients read.
    symbols
        Pairs to simulate, or symbols of the ticks to replay (default: all).
    secret
        The key that signs the tokens.
    wait_for_subscriber
        Start the market at the first subscription to market-data, so that this client receives the whole replay.
    account
        Whether an account trades; False sends market data only.
    start
        Market time at which a simulated market starts: ISO text, datetime, or milliseconds since 1970
        (default: now).
    quotes
        End the market after this number of quotes (default: never, or at the end of the ticks).
    quotes_per_s
        Quotes per market second of all simulated symbols together (default: 4 per symbol).
    ping_interval_s, ping_timeout_s
        The server's keepalive in seconds; None turns it off.
    ssl
        An SSL context of a server, for wss.
    subscriptions_limit, messages_per_s, connections_per_minute
        The platform's limits: subscriptions per connection, client messages per second, connections per minute and
        user; None turns one off.
    random_faults_seed
        Apply random faults with this seed to all clients (default: no faults).
    first_id
        Number of the first message id. A server that restarts at the same URL must not repeat ids.
    reconnect_snapshot
        The share of a channel's current rows that a client receives when it subscribes on a connection after the first:
        1 for all, 0.5 for the newer half, 0 for none, as if the platform sent no snapshot after a reconnect.
    reconnect_restarts_ids
        Whether message ids begin again at `first_id` with every connection after the first.
    clock
        Returns the present in seconds since 1970, for tokens and for the timestamps of answers.

    Raises
    ------
    TicksError
        If the tick file does not exist.
    ValueError
        If a symbol cannot be simulated, `speed` is not above 0, or `reconnect_snapshot` is not from 0 to 1.
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
        reconnect_snapshot: float = 1.0,
        reconnect_restarts_ids: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if isinstance(ticks, (str, PathLike)) and not Path(ticks).is_file():
            raise TicksError(f"Tick file not found: {os.fspath(ticks)}")
        if speed is not None and not speed > 0:
            raise ValueError(f"speed must be above 0, or None for as fast as the clients read, got {speed}")
        if not 0.0 <= reconnect_snapshot <= 1.0:
            raise ValueError(f"reconnect_snapshot must be from 0 to 1, got {reconnect_snapshot}")
        self.host = host
        self.port = port
        self.speed = speed
        self.sent = dict.fromkeys(wire.CHANNELS, 0)
        """Messages sent to all clients together, by channel. Messages lost to a fault are included."""
        self.accepted = 0
        """Connections accepted so far."""
        self.finished = asyncio.Event()
        """Set when the last quote has been sent."""
        self.failure: BaseException | None = None
        """The error that has stopped the market, or None."""
        self._ticks = ticks
        self._symbols = symbols
        self._secret = secret
        self._wait = wait_for_subscriber
        self._limit_quotes = quotes
        self._clock = clock
        self._ping = (ping_interval_s, ping_timeout_s)
        self._ssl = ssl
        self._subscriptions_limit = subscriptions_limit
        self._messages_per_s = messages_per_s
        self._random_faults_seed = random_faults_seed
        start_ms = self._now_ms() if start is None else _milliseconds(start)
        # Not the hour of the wall clock: then the same seed would give different prices in the morning and at night.
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
        self._first_id = first_id
        self._reconnect_snapshot = reconnect_snapshot
        self._reconnect_restarts_ids = reconnect_restarts_ids
        self.faults = Faults(self._clients.values, self._platform.next_number, self._platform.restart_ids, clock)
        self._handshake = Handshake(PATH, secret, connections_per_minute, self.faults, clock)

    # Public queries

    @property
    def url(self) -> str:
        """The URL for clients."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'ws' if self._ssl is None else 'wss'}://{host}:{self.port}{PATH}"

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return len(self._clients)

    @property
    def progress(self) -> tuple[int, int | None, int]:
        """Quotes sent, quotes in total (None: no end), and market time in milliseconds since 1970."""
        total = len(self._market) if isinstance(self._market, Replay) else self._limit_quotes
        return self._done, total, self._platform.now_ms

    @property
    def published(self) -> dict[str, int]:
        """Messages that the platform has created, by channel, whether or not a client received them."""
        return dict(self._platform.published)

    def token(
        self, expires_in_s: float = 3600.0, *, user_id: str = DEFAULT_USER, channels: Sequence[str] | None = None
    ) -> str:
        """Return a token that this simulator accepts; `channels` are those that it permits (default: all)."""
        return make_token(self._secret, user_id, expires_in_s, channels=channels, now=self._clock())

    # Start and end

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
        """Open the server. From now on `url` is known and clients can connect, but the market does not run yet."""
        self._server = await serve(
            self._serve,
            self.host,
            self.port,
            process_request=self._handshake.check,
            ssl=self._ssl,
            compression=None,
            # Client.keep_alive() sends the pings.
            ping_interval=None,
            close_timeout=1.0,
            max_size=2**20,
            write_limit=_BACKLOG_BYTES[self.speed is None],
            logger=logging.getLogger("fxlive.simulator.websockets"),
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]
        self.faults.bind()

    async def start(self) -> None:
        """Read the ticks, if any, and start the market."""
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
            client.close(1001, "the simulator is closing")
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
            self._spawn(self._send_periodic_updates())
            await self._play(market)
            self._publish(self._platform.marks() + self._platform.report())
        except Exception as error:
            self.failure = error
            logger.exception("The market has stopped because of an error.")
        self.finished.set()

    async def _play(self, market: Replay | SimulatedMarket) -> None:
        """Send the quotes when they are due. Wait for clients that fall behind, so that no quote is skipped."""
        loop = asyncio.get_running_loop()
        speed = self.speed
        first_ms: int | None = None
        started = loop.time()
        for block in market:
            if self._limit_quotes is not None:
                block = block[: self._limit_quotes - self._done]
            start = 0
            while start < len(block):
                stop = min(start + _BATCH, len(block))
                if speed is not None:
                    if first_ms is None:
                        first_ms = block[0][0]
                    now_ms = first_ms + (loop.time() - started) * 1000 * speed
                    stop = _end_of_due(block, start, stop, now_ms)
                    if stop == start:
                        await asyncio.sleep(min((block[start][0] - now_ms) / 1000 / speed, 0.5))
                        continue
                self._publish(self._platform.quotes(block[start:stop]))
                self._done += stop - start
                start = stop
                await self._wait_for_clients()
            if self._limit_quotes is not None and self._done >= self._limit_quotes:
                break

    async def _wait_for_clients(self) -> None:
        for client in tuple(self._clients.values()):
            await client.drain()
        await asyncio.sleep(0)

    async def _send_periodic_updates(self) -> None:
        """Send the positions that have moved four times a second, and analytics and system status every 4 s."""
        loop = asyncio.get_running_loop()
        report_at = loop.time() + _FIRST_REPORT_S
        while True:
            await asyncio.sleep(_MARKS_INTERVAL_S)
            messages = self._platform.marks()
            if loop.time() >= report_at:
                report_at = loop.time() + _REPORT_INTERVAL_S
                messages += self._platform.report()
            self._publish(messages)

    def _publish(self, messages: list[Message]) -> None:
        if messages:
            for client in self._clients.values():
                if client.subscriptions:
                    client.send(client.select(messages, self.sent))

    # Connections

    async def _serve(self, connection: ServerConnection) -> None:
        claims = self._handshake.claims(connection)
        self.accepted += 1
        snapshot_share = 1.0
        if self.accepted > 1:
            snapshot_share = self._reconnect_snapshot
            if self._reconnect_restarts_ids:
                self._platform.restart_ids(self._first_id)
        requests = Window(self._messages_per_s, 1.0)
        client = Client(connection, claims, f"session_{self.accepted}", requests, _BACKLOG_BYTES[self.speed is None])
        client.snapshot_share = snapshot_share
        self._clients[connection] = client
        self.faults.admit(client)
        loop = asyncio.get_running_loop()
        expiry = loop.call_later(max(0.0, claims.expires_at - self._clock()), client.close, 4401, "token expired")
        interval_s, timeout_s = self._ping
        pings = loop.create_task(client.keep_alive(interval_s, timeout_s)) if interval_s is not None else None
        try:
            client.answer(wire.frame(wire.connection(client.session_id, claims.user_id, self._now_ms())))
            async for text in connection:
                if client.requests.wait(loop.time()):
                    self._error(
                        client, BadRequest("Rate limit exceeded", f"at most {self._messages_per_s} messages per second")
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
            client.release()

    def _answer(self, client: Client, text: str | bytes) -> None:
        try:
            request = parse_request(text, client.claims.channels)
            limit = self._subscriptions_limit
            if limit is not None and isinstance(request, Subscribe):
                names = {*client.subscriptions, *(name for name, _ in request.channels)}
                if max(len(names), request.requested) > limit:
                    raise BadRequest("Invalid subscription", f"at most {limit} subscriptions per connection")
        except BadRequest as error:
            self._error(client, error)
            return
        for channel_error in request.errors:
            self._error(client, channel_error)
        if not request.channels:
            return
        if not isinstance(request, Subscribe):
            for name in request.channels:
                client.subscriptions.pop(name, None)
            client.answer(wire.frame(wire.unsubscription(request.channels, self._now_ms())))
            return
        granted = [
            (name, channel_filter.values if channel_filter else None) for name, channel_filter in request.channels
        ]
        client.answer(wire.frame(wire.subscription(granted, self._now_ms())))
        client.subscriptions.update(request.channels)
        for name, _ in request.channels:
            share = min(client.snapshot_share, self.faults.snapshot_share)
            client.send(client.select(_newest(self._platform.snapshot(name), share), self.sent))
        if "market-data" in client.subscriptions:
            self._subscribed.set()

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _error(self, client: Client, error: BadRequest) -> None:
        number = self._platform.next_number()
        client.answer(wire.frame(wire.error(error.name, error.message, error.channel, self._now_ms(), number)))


def _newest(messages: list[Message], share: float) -> list[Message]:
    """Return the newest messages, up to a share of all."""
    return messages[len(messages) - round(len(messages) * share) :]


def _end_of_due(block: Sequence[Quote], start: int, stop: int, now_ms: float) -> int:
    """Return the index after the last quote of `block[start:stop]` that is due."""
    while start < stop and block[start][0] <= now_ms:
        start += 1
    return start


def _milliseconds(start: str | datetime | int) -> int:
    if isinstance(start, int):
        return start
    moment = datetime.fromisoformat(start) if isinstance(start, str) else start
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)

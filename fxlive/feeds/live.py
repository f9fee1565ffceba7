"""The live feed: one connection to the platform, restored with all its subscriptions whenever it is lost."""

from __future__ import annotations

import asyncio
import logging
import math
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from fxlive.core.background import wait_awake
from fxlive.core.secret import Secret
from fxlive.core.world import WORLD, World
from fxlive.errors import (
    AuthenticationError,
    ConnectionFailed,
    FxliveError,
    InvalidChannel,
    InvalidSubscription,
    PermissionDenied,
    RateLimitError,
    ReconnectsExhausted,
    SubscriptionError,
    TokenFunctionFailed,
    TooManySubscriptions,
)
from fxlive.feeds.address import Address, Auth, query_token
from fxlive.feeds.auth import Token, TokenSource, lifetime_s, refresh_in_s, remaining_s, retry_refresh_in_s
from fxlive.feeds.connection import LAST_PING, Connection
from fxlive.feeds.interface import NEVER_OPENED, Filters, Sink
from fxlive.feeds.network.opening import open_connection
from fxlive.feeds.network.proxies import Proxies
from fxlive.feeds.pacing import (
    DEFAULT_ATTEMPTS,
    MAX_SUBSCRIPTIONS,
    MESSAGES_PER_SECOND,
    STABLE_AFTER_S,
    RateLimit,
    ReconnectAttempts,
    connection_limit,
)
from fxlive.feeds.refusals import TOKEN_ENDED, ended_error, internal_error
from fxlive.feeds.requests import ClockOffset, Requests, subscription_error, succeeded
from fxlive.wire import protocol
from fxlive.wire.batch import MAX_RAW_CHARS, Batch, Rejection
from fxlive.wire.messages import Connection as ConnectionMessage
from fxlive.wire.messages import Control, Error

log = logging.getLogger("fxlive")

PING_AFTER_TICKS = 20
DEAD_AFTER_TICKS = 40
"""Ticks of one second each, in which nothing was received."""

MIN_HANDOVER_INTERVAL_S = 30.0

_ANSWER_US = 1_000  # so that rows received together with the answer to the subscription are after the gap


class LiveFeed:
    """A feed from the platform, which reconnects by itself.

    Parameters
    ----------
    url
        A ``ws://`` or ``wss://`` URL. If `token` is None, a ``token`` in its query is used, as with ``auth="query"``.
    token
        The JWT, or a function (plain or async) that returns one and is called for each connection.
    channels
        The channels to subscribe to, with their filters.
    auth
        Whether the token is sent in the Authorization header or in the URL's query.
    ca
        For ``wss://``: a file of certificates, which replace the system's, or an SSL context.
    timeout_s
        The limit for connecting, and for each acknowledgement, in seconds.
    reconnect_attempts
        After how many failed reconnects in a row to give up; None: never.
    proxy
        None for the proxy of the environment, False for no proxy, or a proxy's URL.
    world
        The clocks and the source of randomness.
    """

    def __init__(
        self,
        url: str | Secret,
        token: TokenSource | Secret | None,
        channels: Mapping[str, Filters | None],
        *,
        auth: Auth = "header",
        ca: str | Path | ssl.SSLContext | None = None,
        timeout_s: float = 10.0,
        reconnect_attempts: int | None = DEFAULT_ATTEMPTS,
        proxy: str | bool | Secret | None = None,
        world: World = WORLD,
    ) -> None:
        url, token = Secret(url), None if token is None else Secret(token)  # no local variable has the caller's texts
        proxy = proxy if proxy is None or proxy is False else Secret(proxy)
        if token is None and query_token(url):
            token, auth = Secret(query_token(url)), "query"
        self._address = Address(url, auth=auth, ca=ca)
        self.url = self._address.url
        if token is None:
            raise AuthenticationError("There is no token. Pass token=..., or set FXLIVE_TOKEN.", url=self.url)
        self._proxies = Proxies(proxy)
        self._token = Token(token, world)
        self._timeout_s = timeout_s
        self._world = world
        self._attempts = ReconnectAttempts(reconnect_attempts)
        self._filters: dict[str, dict[str, Any]] = {name: dict(filters or {}) for name, filters in channels.items()}
        self._requests = Requests()
        self._send_limit = RateLimit(MESSAGES_PER_SECOND, 1.0)
        self._subscription_lock = asyncio.Lock()
        self._connection: Connection | None = None
        self._message_count = 0
        self._clock_offset = ClockOffset()
        self._task: asyncio.Task[None] | None = None
        self._abort_reason: str | None = None
        self._server_error: tuple[int, FxliveError] | None = None  # with its time of receipt
        self._closing = False
        self._retry_now = asyncio.Event()
        self.reconnect_error: str | None = None

    @property
    def subscriptions(self) -> dict[str, dict[str, Any]]:
        """The filters of each subscribed channel."""
        return {name: dict(filters) for name, filters in self._filters.items()}

    @property
    def clock_offset_us(self) -> int | None:
        """How far the platform's clock is ahead of ours, in microseconds; None if unknown."""
        return self._clock_offset.us

    @property
    def halt(self) -> None:
        """None: a live feed never pauses."""

    async def start(self, sink: Sink) -> None:
        """Connect and subscribe; then keep connected in the background.

        Raises
        ------
        ConnectionFailed, SubscriptionError
            If the first connection or a subscription fails. Nothing is left open.
        """
        self._sink, self._closing = sink, False
        wait = connection_limit(self.url).wait_s(self._world.monotonic_s())
        if wait > 0:
            raise RateLimitError(
                f"Ten connections to {self.url} were opened in the last minute, which is the platform's limit. "
                f"Try again in {wait:.0f} s.",
                url=self.url,
                retry_after_s=wait,
            )
        connection, token = await self._connect_with_fresh_token()
        self._task = asyncio.create_task(self._run(connection, token))

    async def subscribe(self, channels: Mapping[str, Filters | None]) -> None:
        """Subscribe to further channels, or to subscribed ones with other filters. Return once acknowledged."""
        requested = {name: dict(filters or {}) for name, filters in channels.items()}
        async with self._subscription_lock:
            _check_count(len(self._filters.keys() | requested.keys()))
            for name, filters in requested.items():  # one by one: if one is refused, those before it stay subscribed
                if self._task is None:
                    raise SubscriptionError(NEVER_OPENED)
                if self._connection is None:
                    raise SubscriptionError("The connection is down. Wait until session.state is 'connected'.")
                await self._request(self._connection, "subscribe", {name: filters})
                self._filters = {**self._filters, name: filters}  # a new dict: other threads read it

    async def unsubscribe(self, channels: Sequence[str]) -> None:
        """Unsubscribe from channels. Return once acknowledged."""
        async with self._subscription_lock:
            removed = {name: self._filters[name] for name in channels if name in self._filters}
            if self._connection is not None:
                await self._request(self._connection, "unsubscribe", removed)
            self._filters = {name: filters for name, filters in self._filters.items() if name not in removed}

    def reconnect(self, reason: str) -> None:
        """Drop the connection and reconnect. If it is reconnecting already, try again at once."""
        self._retry_now.set()
        if self._connection is not None:
            self._abort_reason = reason
            self._connection.abort()

    async def close(self) -> None:
        """Close the connection for good."""
        self._closing = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        if self._connection is not None:
            await self._connection.close()

    # One connection.

    async def _connect_with_fresh_token(self) -> tuple[Connection, Secret]:
        """Connect. If the token is refused and the source is a function, try once more with a new token."""
        try:
            return await self._connect()
        except AuthenticationError as refused:
            retry = self._token.renewable and not isinstance(refused, TokenFunctionFailed)
            if not retry or connection_limit(self.url).wait_s(self._world.monotonic_s()) > 0:
                raise
            log.info("the token was refused; asking for a new one")
        return await self._connect()

    async def _get_token(self) -> Secret:
        try:
            return await wait_awake(self._token.get(), self._timeout_s)
        except TimeoutError:
            raise TokenFunctionFailed(f"The token function did not return within {self._timeout_s:g} s.") from None

    async def _connect(self, token: Secret | None = None) -> tuple[Connection, Secret]:
        # Before any await, or another session could pass the limit at the same time.
        connection_limit(self.url).note(noted := self._world.monotonic_s())
        token = token or await self._get_token()
        connection_limit(self.url).postpone(noted, self._world.monotonic_s())
        self._server_error = None
        connection = Connection(
            self._address.uri, lambda messages, at: self._receive(connection, messages, at), self._world
        )
        try:
            await open_connection(connection, self._address, token, self._proxies, self._timeout_s)
            async with self._subscription_lock:  # a subscription in progress is in `_filters` afterwards
                await self._request(connection, "subscribe", self._filters)
                self._connection = connection
        except BaseException as error:
            connection.abort()
            if isinstance(error, FxliveError):
                self._token.conceal_in(error)
            if connection.has_rows and self._connection is None and asyncio.current_task() is self._task:
                # A reconnect failed after its first rows: a gap begins again, or these positions stayed confirmed.
                self._sink.lost(connection.last_received_at, str(error))
            raise
        return connection, token

    async def _request(self, connection: Connection, kind: str, channels: Mapping[str, dict[str, Any]]) -> None:
        """Send a request and await its acknowledgement."""
        if not channels:
            return
        _check_count(len(channels))
        text = protocol.subscribe(channels) if kind == "subscribe" else protocol.unsubscribe(list(channels))
        await self._wait_to_send()
        answer = self._requests.add(kind, channels)
        sent_at = self._world.now_us()
        connection.send(text)
        closed = connection.closed
        try:
            either: set[asyncio.Future[Any]] = {answer, closed}
            await wait_awake(asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED), self._timeout_s)
        except TimeoutError:
            at, error = self._server_error or (0, None)
            last = f" Its last error: {error}" if error is not None and at >= sent_at else ""
            raise SubscriptionError(
                f"{self.url} did not acknowledge {kind} {', '.join(channels)} within {self._timeout_s:g} s.{last}"
            ) from None
        finally:
            self._requests.remove(answer)
        if not answer.done():
            raise self._closed_error(connection)
        if isinstance(refusal := answer.exception(), FxliveError):
            self._token.conceal_in(refusal)
        response, received_at = answer.result()
        self._clock_offset.note(response, sent_at, received_at)
        connection.subscribed_us = self._world.monotonic_us() - max(0, self._world.now_us() - received_at)

    async def _wait_to_send(self) -> None:
        await asyncio.sleep(self._send_limit.wait_s(self._world.monotonic_s()))
        self._send_limit.note(self._world.monotonic_s())

    def _receive(self, connection: Connection, messages: list[bytes], received_at: int) -> None:
        """Decode and deliver the messages of one read of the socket."""
        batch = protocol.decode(messages, received_at, self._message_count)
        self._message_count += batch.count
        connection.has_rows = connection.has_rows or bool(batch.rows)
        for control in batch.control:
            self._handle_control(connection, control, batch)
        for at, rejection in enumerate(batch.rejected):  # the platform may repeat the token, which must not be shown
            reason, raw = self._token.conceal(rejection.reason), self._token.conceal(rejection.raw)
            batch.rejected[at] = replace(rejection, reason=reason, raw=raw)
        self._sink.deliver(batch)

    def _handle_control(self, connection: Connection, control: Control, batch: Batch) -> None:
        if isinstance(control, ConnectionMessage):
            if not succeeded(control.status):
                self._server_error = (batch.received_at, self._token.conceal_in(subscription_error(control)))
                connection.abort()
        elif not self._requests.answer(control, batch.received_at) and isinstance(control, Error):
            error = self._token.conceal_in(subscription_error(control))
            self._server_error = (batch.received_at, error)
            reason = f"error from the platform: {error}"
            log.warning("%s", reason)
            raw = msgspec.json.encode(control).decode()
            batch.rejected.append(Rejection(batch.received_at, reason, raw[:MAX_RAW_CHARS]))

    # One connection after the other.

    async def _run(self, connection: Connection, token: Secret) -> None:
        self._sink.connected(self._world.now_us())
        handed_over = False
        try:
            while True:
                since = self._world.monotonic_s()
                replacement = await self._supervise(connection, token, handed_over)
                handed_over = replacement is not None
                if replacement is not None:
                    connection, token = replacement
                    continue
                self._connection = None
                lasted_s = self._world.monotonic_s() - since
                self._attempts.note_end(lasted_s)
                error = self._closed_error(connection)
                if connection.fault is not None:
                    log.error("%s", error, exc_info=connection.fault)
                    if lasted_s < STABLE_AFTER_S:  # or it would end the next connection, too, and so on for ever
                        raise error
                self._sink.lost(connection.last_received_at, self._abort_reason or str(error))
                self._abort_reason = None
                self.reconnect_error = None
                connection, token = await self._reconnect(error)
                self._sink.connected(self._world.now_us())
        except Exception as error:
            if not isinstance(error, FxliveError):  # a bug of ours must not look like an endless reconnect
                log.exception("an internal error ended the connection")
                error = internal_error(error, self.url)
            self._connection = None
            self._sink.failed(error)

    async def _supervise(
        self, connection: Connection, token: Secret, handed_over: bool
    ) -> tuple[Connection, Secret] | None:
        """Wait until the connection has ended; return None. If its token is replaced, return the new connection."""
        refresh_at = self._refresh_at(refresh_in_s(token, self._platform_time_s()))
        if handed_over:  # with a wrong clock, a new token may look old
            refresh_at = max(
                refresh_at, self._world.monotonic_s() + min(MIN_HANDOVER_INTERVAL_S, lifetime_s(token) / 2)
            )
        while not connection.closed.done():
            # Ticks, not seconds: if the loop could not run for a minute, that is one tick of silence.
            await asyncio.wait({connection.closed}, timeout=min(1.0, max(0.0, refresh_at - self._world.monotonic_s())))
            connection.silent_ticks += 1
            if connection.silent_ticks == PING_AFTER_TICKS:
                connection.ping()
            elif connection.silent_ticks >= DEAD_AFTER_TICKS:
                self._abort_reason = "no data, and no reply to a ping"
                connection.abort()
            if self._world.monotonic_s() >= refresh_at and not connection.closed.done():
                replacement = await self._replace_token(connection, token)
                if replacement is not None:
                    return replacement
                refresh_at = self._refresh_at(retry_refresh_in_s(token, self._platform_time_s()))
        return None

    def _platform_time_s(self) -> float:
        return self._clock_offset.platform_time_s(self._world.now_us())

    def _refresh_at(self, in_s: float | None) -> float:
        """Return when to replace the token, on the monotonic clock; infinite if it cannot or need not be replaced."""
        return math.inf if in_s is None or not self._token.renewable else self._world.monotonic_s() + in_s

    async def _replace_token(self, connection: Connection, token: Secret) -> tuple[Connection, Secret] | None:
        """Connect with a newer token, then close the old connection. None if there is no newer token, or it fails."""
        if connection_limit(self.url).wait_s(self._world.monotonic_s()) > 0:
            return None
        try:
            newer = await self._get_token()
            if newer == token or remaining_s(newer, 0) <= remaining_s(token, 0):
                return None  # the function still returns the old token: call it again later
            replacement = await self._connect(newer)
        except FxliveError as error:
            log.warning("the token could not be replaced: %s", error)
            return None
        ended_before = connection.ending
        connection.ping(LAST_PING)
        await connection.close()
        # It may have died unnoticed long ago. Only a reply of the server shows that nothing was lost before it.
        if ended_before or not connection.complete:
            start, lasted_us = connection.last_received_at, replacement[0].subscribed_us - connection.last_message_us
            reason = self._abort_reason or str(self._closed_error(connection))
            self._sink.missed(start, start + max(0, lasted_us - _ANSWER_US), reason, tuple(self._filters))
            self._abort_reason = None
        return replacement

    async def _reconnect(self, error: FxliveError) -> tuple[Connection, Secret]:
        """Try until a connection is up and subscribed; raise once the failures are final."""
        if self._closing:
            raise error
        last = error
        renewed = False  # whether a token has been refused since the last one that was accepted
        while True:
            retry_after_s = getattr(last, "retry_after_s", None)
            self._retry_now.clear()
            with suppress(TimeoutError):
                await wait_awake(self._retry_now.wait(), self._attempts.next_wait_s(self._world.random, retry_after_s))
            wait = connection_limit(self.url).wait_s(self._world.monotonic_s())
            while wait > 0:
                await asyncio.sleep(wait)
                wait = connection_limit(self.url).wait_s(self._world.monotonic_s())  # another session may have used it
            try:
                return await self._connect()
            except TokenFunctionFailed as failed:
                last = failed
            except AuthenticationError as refused:
                was_valid = refused.status == TOKEN_ENDED  # the token was accepted, and expired afterwards
                if not self._token.renewable or (renewed and not was_valid):
                    raise
                renewed = not was_valid
                last = refused
            except SubscriptionError as refused:
                if isinstance(refused, InvalidChannel | InvalidSubscription | PermissionDenied):
                    raise
                last = refused
            except ConnectionFailed as failed:
                last = failed
            log.warning("reconnect failed: %s", last)
            self.reconnect_error = str(last)
            if self._attempts.note_failure():
                raise ReconnectsExhausted(
                    f"{self._attempts.failures} reconnects to {self.url} in a row failed; the last: {last} "
                    "Call session.reconnect() to try again.",
                    url=self.url,
                    attempts=self._attempts.failures,
                ) from last

    def _closed_error(self, connection: Connection) -> FxliveError:
        """Return why a connection ended: a fault of ours, an error in its last read, or its close code and reason."""
        if connection.fault is not None:
            return internal_error(connection.fault, self.url)
        if self._server_error is not None and self._server_error[0] == connection.last_received_at:
            error = self._server_error[1]
            return ConnectionFailed(str(error), url=self.url) if type(error) is SubscriptionError else error
        reason = self._token.conceal(connection.close_reason)
        return ended_error(self.url, connection.close_code, reason, connection.protocol_error)


def _check_count(count: int) -> None:
    if count > MAX_SUBSCRIPTIONS:
        raise TooManySubscriptions(
            f"That makes {count} subscriptions; the platform allows {MAX_SUBSCRIPTIONS} a connection. "
            "Unsubscribe from some."
        )

"""The live feed: keeps one connection to the platform, with every subscription, through whatever happens to it."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import ssl
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from websockets.exceptions import InvalidHandshake, InvalidURI

from fxlive.core.background import wait_awake
from fxlive.core.clock import now_us
from fxlive.core.timestamps import parse_time
from fxlive.errors import (
    AuthenticationError,
    ConnectionFailed,
    FxliveError,
    InvalidChannel,
    InvalidSubscription,
    PermissionDenied,
    RateLimitError,
    ReconnectsExhausted,
    ServerUnavailable,
    SubscriptionError,
    TokenFunctionFailed,
    TooManySubscriptions,
)
from fxlive.feeds.address import Address, Auth, query_token
from fxlive.feeds.auth import (
    Token,
    TokenSource,
    left_s,
    life_s,
    refresh_in_s,
    retry_refresh_in_s,
)
from fxlive.feeds.connection import Connection
from fxlive.feeds.interface import Filters, Sink
from fxlive.feeds.pacing import (
    DEFAULT_ATTEMPTS,
    MAX_SUBSCRIPTIONS,
    MESSAGES_PER_SECOND,
    RateLimit,
    ReconnectAttempts,
    connection_limit,
)
from fxlive.feeds.refusals import TOKEN_ENDED, connection_error, ended_error, shown_cause
from fxlive.feeds.requests import Requests, subscription_error
from fxlive.wire import protocol
from fxlive.wire.batch import Batch, Rejection
from fxlive.wire.messages import Connection as ConnectionMessage
from fxlive.wire.messages import Control, Error

log = logging.getLogger("fxlive")

PING_AFTER_TICKS = 20
DEAD_AFTER_TICKS = 40
LEAST_BETWEEN_HANDOVERS_S = 30.0
_DAY_S = 86_400.0


class LiveFeed:
    """A connection to the platform that comes back.

    Parameters
    ----------
    url
        ``ws://`` or ``wss://``; a ``token`` in its query is taken out and used as with ``auth="query"``.
    token
        The JWT, or a function (plain or async) that gives one, called for each connection.
    channels
        The filters of each channel to subscribe to.
    auth
        Whether the token goes in the Authorization header or in the URL's query.
    ca
        A file of certificates to trust and no others, or an SSL context, for ``wss://``.
    timeout_s
        How long a connection, and an acknowledgement, may take.
    reconnect_attempts
        How many failures in a row are final; None: none ever.
    """

    def __init__(
        self,
        url: str,
        token: TokenSource | None,
        channels: Mapping[str, Filters | None],
        *,
        auth: Auth = "header",
        ca: str | Path | ssl.SSLContext | None = None,
        timeout_s: float = 10.0,
        reconnect_attempts: int | None = DEFAULT_ATTEMPTS,
    ) -> None:
        if token is None and (held := query_token(url)):
            token, auth = held, "query"
        self._address = Address(url, auth=auth, ca=ca)
        self.url = self._address.url
        if token is None:
            raise AuthenticationError("There is no token. Pass token=..., or set FXLIVE_TOKEN.", url=self.url)
        self._token = Token(token)
        self._timeout_s = timeout_s
        self._attempts = ReconnectAttempts(reconnect_attempts)
        self._wanted: dict[str, dict[str, Any]] = {name: dict(filters or {}) for name, filters in channels.items()}
        self._requests = Requests()
        self._send_limit = RateLimit(MESSAGES_PER_SECOND, 1.0)
        self._subscribing = asyncio.Lock()
        self._connection: Connection | None = None
        self._arrived = 0
        self._clock_offset: tuple[int, int] | None = None  # round trip and clock offset, in microseconds
        self._task: asyncio.Task[None] | None = None
        self._ended_by_us: str | None = None
        self._server_error: tuple[int, Control] | None = None  # and when it came
        self._closing = False
        self._hurry = asyncio.Event()
        self.reconnect_error: str | None = None

    @property
    def subscriptions(self) -> dict[str, dict[str, Any]]:
        """The filters of each channel that is subscribed."""
        return {name: dict(filters) for name, filters in self._wanted.items()}

    @property
    def clock_offset_us(self) -> int | None:
        """How far the platform's clock is ahead of ours, in microseconds; None where it is not known."""
        return None if self._clock_offset is None else self._clock_offset[1]

    @property
    def halt(self) -> None:
        """None: a market does not stand still."""

    async def start(self, sink: Sink) -> None:
        """Connect and subscribe, then keep the connection in the background.

        Raises
        ------
        ConnectionFailed, SubscriptionError
            Where the first connection or a subscription fails; nothing is left open.
        """
        self._sink, self._closing = sink, False
        wait = connection_limit(self.url).wait_s(time.monotonic())
        if wait > 0:
            raise RateLimitError(
                f"Ten connections to {self.url} were opened in the last minute, which is the platform's limit. "
                f"Try again in {wait:.0f} s.",
                url=self.url,
                retry_after_s=wait,
            )
        connection, token = await self._connect_with_fresh_token()
        self._task = asyncio.create_task(self._keep(connection, token))

    async def subscribe(self, channels: Mapping[str, Filters | None]) -> None:
        """Subscribe to more channels, or to the same with other filters; returns once acknowledged."""
        wanted = {name: dict(filters or {}) for name, filters in channels.items()}
        async with self._subscribing:
            _check_count(len(self._wanted.keys() | wanted.keys()))
            for name, filters in wanted.items():  # one by one, so that what is granted is known when another is refused
                if self._task is None:
                    raise SubscriptionError(
                        "The session was never opened. Call session.open(), or fxlive.connect(...)."
                    )
                if self._connection is None:
                    raise SubscriptionError("The connection is down just now. Wait until session.state is 'connected'.")
                await self._request(self._connection, "subscribe", {name: filters})
                self._wanted = {**self._wanted, name: filters}  # as a whole: other threads read it

    async def unsubscribe(self, channels: Sequence[str]) -> None:
        """Give channels up; returns once acknowledged."""
        async with self._subscribing:
            given_up = {name: self._wanted[name] for name in channels if name in self._wanted}
            if self._connection is not None:
                await self._request(self._connection, "unsubscribe", given_up)
            self._wanted = {name: filters for name, filters in self._wanted.items() if name not in given_up}

    def reconnect(self, reason: str) -> None:
        """Drop the connection and come back; where that is under way, try at once."""
        self._hurry.set()
        if self._connection is not None:
            self._ended_by_us = reason
            self._connection.abort()

    async def close(self) -> None:
        """End for good."""
        self._closing = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        if self._connection is not None:
            await self._connection.close()

    # One connection.

    async def _connect_with_fresh_token(self) -> tuple[Connection, str]:
        """Connect; where the token is refused and a new one can be had, once more with that."""
        try:
            return await self._connect()
        except AuthenticationError as refused:
            another = self._token.renewable and not isinstance(refused, TokenFunctionFailed)
            if not another or connection_limit(self.url).wait_s(time.monotonic()) > 0:
                raise
            log.info("the token was refused; asking for a new one")
        return await self._connect()

    async def _new_token(self) -> str:
        try:
            return await wait_awake(self._token.get(), self._timeout_s)
        except TimeoutError:
            raise TokenFunctionFailed(f"The token function did not return within {self._timeout_s:g} s.") from None

    async def _connect(self, token: str | None = None) -> tuple[Connection, str]:
        connection_limit(self.url).note(time.monotonic())  # at once, or another session takes the place
        token = token or await self._new_token()
        url, header = self._address.with_token(token)
        self._server_error = None
        try:
            connection = Connection(url, lambda messages, at: self._take(connection, messages, at))
        except InvalidURI:
            # its text would show the URL, and with it a token
            raise ConnectionFailed(f"{self.url!r} is not a WebSocket URL.", url=self.url) from None
        try:
            try:
                await wait_awake(connection.open(header, self._address.ssl), self._timeout_s)
            except TimeoutError:
                raise ServerUnavailable(
                    f"{self.url} did not answer within {self._timeout_s:g} s. Is the address right?", url=self.url
                ) from None
            except (OSError, UnicodeError, InvalidHandshake) as error:  # UnicodeError: of a host name that cannot be
                raise connection_error(error, self.url, token) from shown_cause(error)
            async with self._subscribing:  # or a channel that is being asked for would be forgotten
                await self._request(connection, "subscribe", self._wanted)
                self._connection = connection
        except BaseException:
            connection.abort()
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
        sent_at = now_us()
        connection.send(text)
        closed = connection.closed
        try:
            either: set[asyncio.Future[Any]] = {answer, closed}
            await wait_awake(asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED), self._timeout_s)
        except TimeoutError:
            raise SubscriptionError(
                f"{self.url} did not acknowledge {kind} {', '.join(channels)} within {self._timeout_s:g} s."
            ) from None
        finally:
            self._requests.remove(answer)
        if not answer.done():
            raise self._closed_error(connection)
        response, received_at = answer.result()
        self._note_offset(response, sent_at, received_at)

    async def _wait_to_send(self) -> None:
        await asyncio.sleep(self._send_limit.wait_s(time.monotonic()))
        self._send_limit.note(time.monotonic())

    def _take(self, connection: Connection, messages: list[bytes], received_at: int) -> None:
        """Hand on what one read of the socket brought."""
        batch = protocol.decode(messages, received_at, self._arrived)
        if batch.control or batch.rejected:
            concealed = [self._token.conceal(message) for message in messages]
            if concealed != messages:  # a platform that repeats the token must not make us show it
                batch = protocol.decode(concealed, received_at, self._arrived)
        self._arrived += len(messages)
        for control in batch.control:
            self._take_control(connection, control, batch)
        self._sink.deliver(batch)

    def _take_control(self, connection: Connection, control: Control, batch: Batch) -> None:
        if isinstance(control, ConnectionMessage):
            if control.status not in (None, "connected"):
                self._server_error = (batch.received_at, control)
                connection.abort()
        elif not self._requests.answer(control, batch.received_at) and isinstance(control, Error):
            self._server_error = (batch.received_at, control)
            said = f"the platform says: {subscription_error(control)}"
            log.warning(said)
            batch.rejected.append(Rejection(batch.received_at, said, msgspec.json.encode(control).decode()))

    def _note_offset(self, response: Control, sent_at: int, received_at: int) -> None:
        """Estimate the clock offset from a request and its answer; the quickest answer of all is the best."""
        try:
            there = parse_time(str(response.timestamp))
        except (ValueError, OverflowError):
            return
        round_trip = received_at - sent_at
        if self._clock_offset is None or round_trip <= self._clock_offset[0]:
            self._clock_offset = (round_trip, there - (sent_at + received_at) // 2)

    # Keeping one connection after the other.

    async def _keep(self, connection: Connection, token: str) -> None:
        self._sink.connected(now_us())
        handed_over = False
        try:
            while True:
                since = time.monotonic()
                replaced = await self._watch(connection, token, handed_over)
                handed_over = replaced is not None
                if replaced is not None:
                    connection, token = replaced
                    continue
                self._connection = None
                self._attempts.note_end(time.monotonic() - since)
                error = self._closed_error(connection)
                self._sink.lost(connection.last_received_at, self._ended_by_us or str(error))
                self._ended_by_us = None
                self.reconnect_error = None
                connection, token = await self._come_back(error)
                self._sink.connected(now_us())
        except Exception as error:
            if not isinstance(error, FxliveError):  # a fault of ours must not look like a reconnect that never ends
                log.exception("the connection could not be kept")
                error = ConnectionFailed(f"An internal error ended it: {type(error).__name__}.", url=self.url)
            self._connection = None
            self._sink.failed(error)

    async def _watch(self, connection: Connection, token: str, handed_over: bool) -> tuple[Connection, str] | None:
        """Return None when the connection has ended, or the one that replaced it before its token did."""
        refresh_at = self._refresh_at(refresh_in_s(token, self._platform_time()))
        if handed_over:  # where the clocks differ, a token may look old as soon as it comes
            refresh_at = max(refresh_at, time.monotonic() + min(LEAST_BETWEEN_HANDOVERS_S, life_s(token) / 2))
        while not connection.closed.done():
            # Ticks, not seconds: a loop that could not run for a minute has seen one tick of silence.
            await asyncio.wait({connection.closed}, timeout=min(1.0, max(0.0, refresh_at - time.monotonic())))
            connection.silent_ticks += 1
            if connection.silent_ticks == PING_AFTER_TICKS:
                connection.ping()
            elif connection.silent_ticks >= DEAD_AFTER_TICKS:
                self._ended_by_us = "no sign of life, and no answer to a ping"
                connection.abort()
            if time.monotonic() >= refresh_at and not connection.closed.done():
                replacement = await self._replace(connection, token)
                if replacement is not None:
                    return replacement
                refresh_at = self._refresh_at(retry_refresh_in_s(token, self._platform_time()))
        return None

    def _refresh_at(self, in_s: float | None) -> float:
        """Return the moment at which to replace the token, by the monotonic clock; never, where there is no other."""
        return math.inf if in_s is None or not self._token.renewable else time.monotonic() + in_s

    def _platform_time(self) -> float:
        """Return the seconds since 1970 by the platform's clock, which is the one that ends tokens.

        An offset of a day and more is no clock, but a platform that plays an old market.
        """
        offset_s = (self.clock_offset_us or 0) / 1e6
        return time.time() + (offset_s if abs(offset_s) < _DAY_S else 0.0)

    async def _replace(self, connection: Connection, token: str) -> tuple[Connection, str] | None:
        """Connect with a newer token, then close the connection; None where there is none yet, or it does not work."""
        if connection_limit(self.url).wait_s(time.monotonic()) > 0:
            return None
        try:
            newer = await self._new_token()
            if newer == token or left_s(newer, 0) <= left_s(token, 0):
                return None  # a function that keeps its token until it ends is asked again
            replacement = await self._connect(newer)
        except FxliveError as error:
            log.warning("the token could not be replaced: %s", error)
            return None
        too_late = connection.ending
        await connection.close()
        if too_late:  # nothing came between its end and the new one's beginning
            self._sink.lost(connection.last_received_at, str(self._closed_error(connection)))
            self._sink.connected(now_us())
        return replacement

    async def _come_back(self, error: FxliveError) -> tuple[Connection, str]:
        """Try until a connection is up and subscribed, or until the failures are final."""
        if self._closing:
            raise error
        last = error
        renewed = False
        while True:
            retry_after_s = getattr(last, "retry_after_s", None)
            self._hurry.clear()
            with suppress(TimeoutError):
                await wait_awake(self._hurry.wait(), self._attempts.next_wait_s(random.random, retry_after_s))
            wait = connection_limit(self.url).wait_s(time.monotonic())
            while wait > 0:
                await asyncio.sleep(wait)
                wait = connection_limit(self.url).wait_s(time.monotonic())  # another session may have been quicker
            try:
                return await self._connect()
            except TokenFunctionFailed as failed:
                last = failed
            except AuthenticationError as refused:
                let_in = refused.status == TOKEN_ENDED  # the token was good, and has ended since
                if not self._token.renewable or (renewed and not let_in):
                    raise
                renewed = not let_in
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
        """Return why a connection ended, from the close code and what the server said before."""
        # what it said an hour ago is not why it hangs up
        if self._server_error is not None and self._server_error[0] == connection.last_received_at:
            said = subscription_error(self._server_error[1])
            return ConnectionFailed(str(said), url=self.url) if type(said) is SubscriptionError else said
        reason = self._token.conceal(connection.close_reason.encode()).decode()
        return ended_error(self.url, connection.close_code, reason, connection.refused)


def _check_count(count: int) -> None:
    if count > MAX_SUBSCRIPTIONS:
        raise TooManySubscriptions(
            f"That makes {count} subscriptions; the platform allows {MAX_SUBSCRIPTIONS} a connection. "
            "Unsubscribe from some."
        )

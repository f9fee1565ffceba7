"""The opening handshake: accepts a connection, or refuses it with an HTTP status."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit
from weakref import WeakKeyDictionary

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import MultipleValuesError
from websockets.http11 import Request, Response

from fxlive.simulator.serving.faults import REASONS, Faults
from fxlive.simulator.serving.limits import Window
from fxlive.simulator.serving.tokens import Claims, InvalidToken, verify_token


class Handshake:
    """Checks the path, the token and the connection rate of each user."""

    def __init__(
        self,
        path: str,
        secret: str,
        connections_per_minute: int | None,
        faults: Faults,
        clock: Callable[[], float],
    ) -> None:
        self._path = path
        self._secret = secret
        self._clock = clock
        self._limit = connections_per_minute
        self._faults = faults
        self._windows: dict[str, Window] = {}
        # Weak, because a connection may end between its handshake and its handler.
        self._claims: WeakKeyDictionary[ServerConnection, Claims] = WeakKeyDictionary()

    def check(self, connection: ServerConnection, request: Request) -> Response | None:
        """Return None to accept the connection, or the response that refuses it."""
        parts = urlsplit(request.path)
        if parts.path.rstrip("/") != self._path:
            return connection.respond(HTTPStatus.NOT_FOUND, f"Not found. The WebSocket is at {self._path}\n")
        refusal = self._faults.refusal()
        if refusal is not None:
            return _refuse(connection, *refusal)
        try:
            token = _bearer(request) or parse_qs(parts.query).get("token", [""])[0]
            if not token:
                raise InvalidToken("the token is missing")
            claims = verify_token(self._secret, token, self._clock())
            if self._faults.revoked(claims.issued_at):
                raise InvalidToken("the token has been revoked")
        except InvalidToken as error:
            return _refuse(connection, 401, None, str(error))
        window = self._windows.setdefault(claims.user_id, Window(self._limit, 60.0))
        wait_s = window.wait(asyncio.get_running_loop().time())
        if wait_s:
            return _refuse(connection, 429, wait_s, f"at most {self._limit} connections per minute")
        self._claims[connection] = claims
        return None

    def claims(self, connection: ServerConnection) -> Claims:
        """Return the claims of an accepted connection's token."""
        return self._claims[connection]


def _refuse(connection: ServerConnection, status: int, retry_after: float | None, reason: str = "") -> Response:
    response = connection.respond(HTTPStatus(status), REASONS[status] + (f": {reason}\n" if reason else "\n"))
    if retry_after is not None:
        # In whole seconds, rounded up so that the client never tries too early.
        response.headers["Retry-After"] = str(max(1, math.ceil(retry_after)))
    return response


def _bearer(request: Request) -> str:
    try:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    except MultipleValuesError:
        return ""
    return token.strip() if scheme.lower() == "bearer" else ""

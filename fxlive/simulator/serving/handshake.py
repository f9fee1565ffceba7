"""The door: who may connect, and with which HTTP status the others are turned away."""

from __future__ import annotations

import math
import time
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit
from weakref import WeakKeyDictionary

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import MultipleValuesError
from websockets.http11 import Request, Response

from fxlive.simulator.serving.faults import REASONS, Faults
from fxlive.simulator.serving.limits import Window
from fxlive.simulator.serving.tokens import Claims, TokenRefused, verify_token


class Door:
    """Checks path, token and the rate of connections of each user."""

    def __init__(self, path: str, secret: str, connections_per_minute: int | None, faults: Faults) -> None:
        self._path = path
        self._secret = secret
        self._limit = connections_per_minute
        self._faults = faults
        self._windows: dict[str, Window] = {}
        # Weak: a connection may end between the door and its handler.
        self._claims: WeakKeyDictionary[ServerConnection, Claims] = WeakKeyDictionary()

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Let a connection in (None), or refuse it with a status."""
        parts = urlsplit(request.path)
        if parts.path.rstrip("/") != self._path:
            return connection.respond(HTTPStatus.NOT_FOUND, f"there is only {self._path}\n")
        refusal = self._faults.refusal()
        if refusal is not None:
            return _refuse(connection, *refusal)
        try:
            token = _bearer(request) or parse_qs(parts.query).get("token", [""])[0]
            if not token:
                raise TokenRefused("there is no token")
            claims = verify_token(self._secret, token)
            if self._faults.revoked(claims.issued_at):
                raise TokenRefused("the token has been revoked")
        except TokenRefused as error:
            return _refuse(connection, 401, None, str(error))
        window = self._windows.setdefault(claims.user_id, Window(self._limit, 60.0))
        wait_s = window.wait(time.monotonic())
        if wait_s:
            return _refuse(connection, 429, wait_s, f"at most {self._limit} connections a minute")
        self._claims[connection] = claims
        return None

    def claims(self, connection: ServerConnection) -> Claims:
        """What the token of an admitted connection says."""
        return self._claims[connection]


def _refuse(connection: ServerConnection, status: int, retry_after: float | None, why: str = "") -> Response:
    response = connection.respond(HTTPStatus(status), REASONS[status] + (f": {why}\n" if why else "\n"))
    if retry_after is not None:
        # Whole seconds, and never too few.
        response.headers["Retry-After"] = str(max(1, math.ceil(retry_after)))
    return response


def _bearer(request: Request) -> str:
    try:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    except MultipleValuesError:
        return ""
    return token.strip() if scheme.lower() == "bearer" else ""

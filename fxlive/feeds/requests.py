"""Requests that await their answer: which acknowledgement or error belongs to which.

The platform's answers carry no number of the request, but they name channels. An answer goes to the oldest request of
its kind that named one of them, an error without a channel to the oldest request of all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from fxlive.errors import (
    AuthenticationError,
    FxliveError,
    InvalidChannel,
    InvalidSubscription,
    PermissionDenied,
    RateLimitError,
    SubscriptionError,
)
from fxlive.wire.messages import Control, Error, Subscription, Unsubscription

Answer = asyncio.Future[tuple[Control, int]]

_DOCUMENTED: dict[str, type[SubscriptionError]] = {
    "invalid channel": InvalidChannel,
    "permission denied": PermissionDenied,
    "invalid subscription": InvalidSubscription,
}


@dataclass
class _Request:
    kind: str
    waiting: set[str]
    answer: Answer
    errors: list[FxliveError] = field(default_factory=list)


class Requests:
    """The requests of one feed that have not been answered yet."""

    def __init__(self) -> None:
        self._open: list[_Request] = []

    def add(self, kind: str, channels: Iterable[str]) -> Answer:
        """Note a request; return what will hold the answer and the time of its receipt, or raise its error."""
        answer: Answer = asyncio.get_running_loop().create_future()
        self._open.append(_Request(kind, set(channels), answer))
        return answer

    def remove(self, answer: Answer) -> None:
        """Forget a request."""
        self._open = [request for request in self._open if request.answer is not answer]

    def answer(self, control: Control, received_at: int) -> bool:
        """Give an answer to the request it belongs to; return whether there is one."""
        if isinstance(control, Error):
            return self._error(control, received_at)
        if not isinstance(control, Subscription | Unsubscription):
            return False
        kind = "subscribe" if isinstance(control, Subscription) else "unsubscribe"
        named = _named(control)
        request = self._find(kind, set(named))
        if request is None:
            return False
        refused = control.status not in (None, "success", "ok")
        for name, subscribed in (named or dict.fromkeys(request.waiting, True)).items():
            if refused or not subscribed:
                request.errors.append(subscription_error(control, name))
            request.waiting.discard(name)
        if refused:
            request.waiting.clear()
        self._settle(request, control, received_at)
        return True

    def _error(self, control: Error, received_at: int) -> bool:
        named = {control.channel} if isinstance(control.channel, str) else set()
        request = self._find(None, named)
        if request is None:
            return False
        request.errors.append(subscription_error(control, control.channel if named else None))
        request.waiting -= named or set(request.waiting)
        self._settle(request, control, received_at)
        return True

    def _find(self, kind: str | None, names: set[str]) -> _Request | None:
        of_kind = [request for request in self._open if kind in (None, request.kind) and not request.answer.done()]
        return next((r for r in of_kind if not names or r.waiting & names), None)

    def _settle(self, request: _Request, control: Control, received_at: int) -> None:
        if request.waiting or request.answer.done():
            return
        if request.errors:
            request.answer.set_exception(request.errors[0])
        else:
            request.answer.set_result((control, received_at))


def _named(control: Subscription | Unsubscription) -> dict[str, bool]:
    """Return the channels that an acknowledgement names, and whether each is granted."""
    named: dict[str, bool] = {}
    channels = control.channels if isinstance(control.channels, list) else [control.channel]
    for channel in channels:
        if isinstance(channel, str):
            named[channel] = True
        elif isinstance(channel, dict) and isinstance(channel.get("name"), str):
            named[channel["name"]] = channel.get("subscribed") is not False or isinstance(control, Unsubscription)
    return named


def subscription_error(control: Control, channel: str | None = None) -> FxliveError:
    """Return the exception for an error message, or for an acknowledgement that refuses.

    >>> subscription_error(Error(error="Permission denied", message="not yours"), "alerts")
    PermissionDenied('alerts: Permission denied (not yours).')
    """
    words: list[Any] = [control.error, control.message, control.code, control.status]
    texts = [text.strip() for text in words if isinstance(text, str) and text.strip() not in ("", "error", "success")]
    said = texts[0] if texts else "refused without a reason"
    detail = next((f" ({text})" for text in texts[1:] if text != said), "")
    message = f"{channel + ': ' if channel else ''}{said.rstrip('.')}{detail}."
    for text in (t.lower().replace("_", " ").replace("-", " ") for t in texts):
        for documented, error in _DOCUMENTED.items():
            if documented in text:
                return error(message, channel=channel)
        if "authentication failed" in text:
            return AuthenticationError(message)
        if "rate limit" in text:
            return RateLimitError(message)
    return SubscriptionError(message, channel=channel)

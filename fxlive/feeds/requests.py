"""Requests to the platform that await their answers, and the assignment of answers to requests.

The platform's answers name channels, but not the request. An acknowledgement is assigned to the oldest request of its
kind (subscribe or unsubscribe), an error to the oldest request of either kind. If the answer names channels, the
request must have one of them.
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
    pending: set[str]  # channels that no answer has named yet
    answer: Answer
    errors: list[FxliveError] = field(default_factory=list)


class Requests:
    """The unanswered requests of one feed."""

    def __init__(self) -> None:
        self._open: list[_Request] = []

    def add(self, kind: str, channels: Iterable[str]) -> Answer:
        """Add a request. Return a future of its answer and the answer's time of receipt (microseconds).

        If the answer is an error, the future raises it.
        """
        answer: Answer = asyncio.get_running_loop().create_future()
        self._open.append(_Request(kind, set(channels), answer))
        return answer

    def remove(self, answer: Answer) -> None:
        """Remove a request."""
        self._open = [request for request in self._open if request.answer is not answer]

    def answer(self, control: Control, received_at: int) -> bool:
        """Assign an answer to its request; return False if no request matches."""
        if isinstance(control, Error):
            return self._assign_error(control, received_at)
        if not isinstance(control, Subscription | Unsubscription):
            return False
        kind = "subscribe" if isinstance(control, Subscription) else "unsubscribe"
        named = _named_channels(control)
        request = self._find(kind, set(named))
        if request is None:
            return False
        refused = control.status not in (None, "success", "ok")
        for name, subscribed in (named or dict.fromkeys(request.pending, True)).items():
            if refused or not subscribed:
                request.errors.append(subscription_error(control, name))
            request.pending.discard(name)
        if refused:
            request.pending.clear()
        self._settle(request, control, received_at)
        return True

    def _assign_error(self, control: Error, received_at: int) -> bool:
        named = {control.channel} if isinstance(control.channel, str) else set()
        request = self._find(None, named)
        if request is None:
            return False
        request.errors.append(subscription_error(control, control.channel if named else None))
        request.pending -= named or set(request.pending)
        self._settle(request, control, received_at)
        return True

    def _find(self, kind: str | None, names: set[str]) -> _Request | None:
        candidates = [request for request in self._open if kind in (None, request.kind) and not request.answer.done()]
        return next((request for request in candidates if not names or request.pending & names), None)

    def _settle(self, request: _Request, control: Control, received_at: int) -> None:
        if request.pending or request.answer.done():
            return
        if request.errors:
            request.answer.set_exception(request.errors[0])
        else:
            request.answer.set_result((control, received_at))


def _named_channels(control: Subscription | Unsubscription) -> dict[str, bool]:
    """Return the channels that an acknowledgement names, and whether each is subscribed."""
    named: dict[str, bool] = {}
    channels = control.channels if isinstance(control.channels, list) else [control.channel]
    for channel in channels:
        if isinstance(channel, str):
            named[channel] = True
        elif isinstance(channel, dict) and isinstance(channel.get("name"), str):
            named[channel["name"]] = channel.get("subscribed") is not False or isinstance(control, Unsubscription)
    return named


def subscription_error(control: Control, channel: str | None = None) -> FxliveError:
    """Return the exception for an error message, or for an acknowledgement that refuses the request.

    >>> subscription_error(Error(error="Permission denied", message="not yours"), "alerts")
    PermissionDenied('alerts: Permission denied (not yours).')
    """
    fields: list[Any] = [control.error, control.message, control.code, control.status]
    texts = [text.strip() for text in fields if isinstance(text, str) and text.strip() not in ("", "error", "success")]
    reason = texts[0] if texts else "refused without a reason"
    detail = next((f" ({text})" for text in texts[1:] if text != reason), "")
    message = f"{channel + ': ' if channel else ''}{reason.rstrip('.')}{detail}."
    for text in (t.lower().replace("_", " ").replace("-", " ") for t in texts):
        for documented, error in _DOCUMENTED.items():
            if documented in text:
                return error(message, channel=channel)
        if "authentication failed" in text:
            return AuthenticationError(message)
        if "rate limit" in text:
            return RateLimitError(message)
    return SubscriptionError(message, channel=channel)

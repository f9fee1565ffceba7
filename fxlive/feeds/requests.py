"""Requests to the platform that await their answers, and the assignment of answers to requests.

The platform's answers name channels, but not the request. An acknowledgement is assigned to the oldest request of its
kind (subscribe or unsubscribe), an error to the oldest request of either kind. If the answer names channels, the
request must have one of them. The times of both also tell how far the platform's clock is ahead of ours.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from fxlive.core.shown_text import shortened
from fxlive.core.timestamps import parse_time
from fxlive.errors import (
    AuthenticationError,
    FxliveError,
    InvalidChannel,
    InvalidSubscription,
    PermissionDenied,
    RateLimitError,
    SubscriptionError,
)
from fxlive.wire.channels import CHANNELS
from fxlive.wire.messages import Control, Error, Subscription, Unsubscription

Answer = asyncio.Future[tuple[Control, int]]

MAX_ERROR_CHARS = 500
"""How much of each text of an error message is shown."""

_DAY_S = 86_400.0

_DOCUMENTED: dict[str, type[FxliveError]] = {
    "invalidchannel": InvalidChannel,
    "permissiondenied": PermissionDenied,
    "invalidsubscription": InvalidSubscription,
    "authenticationfailed": AuthenticationError,
    "ratelimit": RateLimitError,
}
"""The errors of the platform's document, by their words in lower case without spaces and punctuation."""

_SUCCESS = frozenset(
    "success successful succeeded ok okay true 200 connected connection active ready open subscribed unsubscribed "
    "accepted acknowledged ack confirmed done complete completed".split()
)


def _squashed(value: object) -> str:
    """Return a value as text in lower case without spaces and punctuation, to compare it in any spelling."""
    return re.sub(r"[\W_]", "", str(value)).lower()


def succeeded(status: object) -> bool:
    """Return whether the status of an answer means success, in any case and spelling; a missing one does.

    >>> succeeded("SUCCESS"), succeeded("Connected"), succeeded(None), succeeded("error")
    (True, True, True, False)
    """
    return status is None or _squashed(status) in _SUCCESS


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
        refused = _refuses(control)
        for name, subscribed in (named or dict.fromkeys(request.pending, True)).items():
            if refused or not subscribed:
                request.errors.append(subscription_error(control, name))
            request.pending.discard(name)
        if refused:
            request.pending.clear()
        self._settle(request, control, received_at)
        return True

    def _assign_error(self, control: Error, received_at: int) -> bool:
        named = {canonical_channel(control.channel)} if isinstance(control.channel, str) else set()
        request = self._find(None, named)
        if request is None:
            return False
        request.errors.append(subscription_error(control, next(iter(named), None)))
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


def canonical_channel(name: str) -> str:
    """Return the name of a documented channel from any spelling; any other name as it is.

    >>> canonical_channel("MARKET_DATA"), canonical_channel("News")
    ('market-data', 'News')
    """
    return _CHANNEL_OF_SPELLING.get(_squashed(name), name)


_CHANNEL_OF_SPELLING = {_squashed(name): name for name in CHANNELS}


def _named_channels(control: Subscription | Unsubscription) -> dict[str, bool]:
    """Return the channels that an acknowledgement names, and whether each is subscribed."""
    named: dict[str, bool] = {}
    channels: Any = control.channel if control.channels is None else control.channels
    if isinstance(channels, dict):
        channels = [channels] if "name" in channels else [{"name": n, "subscribed": v} for n, v in channels.items()]
    for channel in channels if isinstance(channels, list) else [channels]:
        if isinstance(channel, str):
            named[canonical_channel(channel)] = True
        elif isinstance(channel, dict):
            name = next((channel[k] for k in ("name", "channel") if isinstance(channel.get(k), str)), None)
            if name is not None:
                refused = _squashed(channel.get("subscribed")) in ("false", "0", "no") or not succeeded(
                    channel.get("status")
                )
                named[canonical_channel(name)] = not refused or isinstance(control, Unsubscription)
    return named


def _refuses(control: Control) -> bool:
    """Return whether an acknowledgement refuses: by its status, or by an error that it names."""
    if not succeeded(control.status) or (control.error and _squashed(control.error) not in ("none", "false", "null")):
        return True
    texts = [control.code] if control.status is not None else [control.code, control.message]
    return any(documented in _squashed(text) for text in texts for documented in _DOCUMENTED)


def subscription_error(control: Control, channel: str | None = None) -> FxliveError:
    """Return the exception for an error message, or for an acknowledgement that refuses the request.

    >>> subscription_error(Error(error="Permission denied", message="not yours"), "alerts")
    PermissionDenied('alerts: Permission denied (not yours).')
    """
    fields: list[Any] = [control.error, control.message, control.code, control.status]
    texts = [shortened(text.strip(), MAX_ERROR_CHARS) for text in fields if isinstance(text, str)]
    texts = [text for text in texts if text and text.lower() not in ("error", "success")]
    reason = texts[0] if texts else "refused without a reason"
    detail = next((f" ({text})" for text in texts[1:] if text != reason), "")
    message = f"{channel + ': ' if channel else ''}{reason.rstrip('.')}{detail}."
    for text in map(_squashed, texts):
        for documented, error in _DOCUMENTED.items():
            if documented in text:
                return error(message, channel=channel) if issubclass(error, SubscriptionError) else error(message)
    return SubscriptionError(message, channel=channel)


class ClockOffset:
    """How far the platform's clock is ahead of ours, estimated from requests and the timestamps of their answers."""

    def __init__(self) -> None:
        self.us: int | None = None
        """In microseconds; None if unknown."""
        self.round_trip_us: int | None = None
        """Of the request from which it was estimated: the one with the shortest round trip."""

    def note(self, response: Control, sent_at: int, received_at: int) -> None:
        """Estimate it from an answer and the times (microseconds) at which we sent the request and got the answer."""
        try:
            platform_us = parse_time(str(response.timestamp))
        except (ValueError, OverflowError):
            return
        round_trip_us = received_at - sent_at
        if round_trip_us < 0:  # the wall clock was set back in between
            return
        if self.round_trip_us is None or round_trip_us <= self.round_trip_us:
            self.round_trip_us, self.us = round_trip_us, platform_us - (sent_at + received_at) // 2

    def platform_time_s(self, now_us: int) -> float:
        """Return the seconds since 1970 on the platform's clock, by which tokens expire, given the time of ours.

        An offset of a day or more is ignored: such a platform replays an old market.
        """
        offset_s = (self.us or 0) / 1e6
        return now_us / 1e6 + (offset_s if abs(offset_s) < _DAY_S else 0.0)

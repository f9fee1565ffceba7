"""Answers of the platform to requests, in any case and spelling."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from fxlive.errors import (
    AuthenticationError,
    InvalidChannel,
    InvalidSubscription,
    PermissionDenied,
    RateLimitError,
    SubscriptionError,
)
from fxlive.feeds.requests import MAX_ERROR_CHARS, Requests, subscription_error, succeeded
from fxlive.wire.messages import Error
from fxlive.wire.protocol import decode


def answer(**fields: Any) -> BaseException | None:
    """Request a subscription to market-data, answer it, and return the request's error."""

    async def ask() -> BaseException | None:
        requests = Requests()
        future = requests.add("subscribe", ["market-data"])
        (control,) = decode([json.dumps({"type": "subscription", **fields}).encode()], 0).control
        assert requests.answer(control, 0)
        assert future.done()
        return future.exception()

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "status", ["success", "SUCCESS", "Success", "ok", "OK", " subscribed ", "Subscribed", "ACK", True]
)
def test_a_success_in_any_spelling_is_accepted(status: Any) -> None:
    assert answer(status=status, channels=["market-data"]) is None
    assert answer(status=status) is None


@pytest.mark.parametrize("name", ["market_data", "MARKET-DATA", "marketData", "Market Data", "market-data"])
@pytest.mark.parametrize("form", ["text", "object", "channel", "one", "mapping", "single"])
def test_a_channel_in_an_answer_may_have_any_spelling_and_form(name: str, form: str) -> None:
    forms: dict[str, dict[str, Any]] = {
        "text": {"channels": [name]},
        "object": {"channels": [{"name": name, "subscribed": True}]},
        "channel": {"channels": [{"channel": name, "status": "SUBSCRIBED"}]},
        "one": {"channel": name},
        "mapping": {"channels": {name: True}},
        "single": {"channels": name},
    }

    assert answer(status="SUCCESS", **forms[form]) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "ERROR", "message": "no"},
        {"status": "Failed"},
        {"status": "denied"},
        {"status": False},
        {"error": "not now"},
        {"channels": [{"name": "market_data", "subscribed": False}]},
        {"channels": [{"name": "market_data", "subscribed": "false"}]},
        {"channels": [{"name": "market_data", "status": "REJECTED"}]},
    ],
)
def test_a_refusal_in_any_form_is_an_error(fields: dict[str, Any]) -> None:
    assert isinstance(answer(**fields), SubscriptionError)


@pytest.mark.parametrize("field", ["error", "message", "code", "status"])
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("Invalid channel", InvalidChannel),
        ("INVALID_CHANNEL", InvalidChannel),
        ("invalidChannel", InvalidChannel),
        ("permission-denied", PermissionDenied),
        ("Error: PERMISSION DENIED.", PermissionDenied),
        ("invalid subscription", InvalidSubscription),
        ("Authentication Failed", AuthenticationError),
        ("RATE_LIMIT_EXCEEDED", RateLimitError),
    ],
)
def test_the_documented_words_of_an_error_are_recognized_in_any_field(field: str, words: str, expected: type) -> None:
    assert isinstance(answer(**{field: words}), expected)


def test_a_connected_status_is_a_success_in_any_spelling() -> None:
    assert all(map(succeeded, ["connected", "CONNECTED", "Connected", None, "ok"]))
    assert not any(map(succeeded, ["error", "disconnected", "refused", "not connected", ""]))


def test_a_long_text_of_the_platform_is_cut_in_the_error() -> None:
    error = subscription_error(Error(error="Permission denied", message="x" * 3_000_000), "alerts")
    assert isinstance(error, PermissionDenied)
    assert len(str(error)) < 2 * MAX_ERROR_CHARS

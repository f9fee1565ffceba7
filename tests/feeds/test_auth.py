"""Tokens: their source, their expiry, and that they are never shown."""

from __future__ import annotations

import asyncio
import threading

import jwt
import pytest

from fxlive.core.concealment import without_secrets
from fxlive.core.secret import Secret
from fxlive.errors import AuthenticationError
from fxlive.feeds.address import with_query_token
from fxlive.feeds.auth import Token, expired, refresh_in_s
from tests.handmade import PATIENCE_S

KEY = "k" * 32


async def fetch() -> str:
    await asyncio.sleep(0)
    return "fetched"


@pytest.mark.parametrize("source", ["fetched", lambda: "fetched", fetch, lambda: fetch(), "  fetched\n"])
def test_a_token_is_text_or_a_function_or_an_async_function(source: object) -> None:
    assert asyncio.run(Token(source).get()) == Secret("fetched")  # type: ignore[arg-type]


@pytest.mark.parametrize("source", ["", "  \n", lambda: "", lambda: None, lambda: b"bytes", 17])
def test_an_empty_token_or_one_that_is_not_text_is_refused(source: object) -> None:
    with pytest.raises(AuthenticationError, match=r"empty or not text. Pass token=..., or set FXLIVE_TOKEN"):
        asyncio.run(Token(source).get())  # type: ignore[arg-type]


@pytest.mark.parametrize("token", ["a\r\nX-Injected: 1", "two words", "tab\there", "ünïcödé", "nul\0"])
def test_a_token_with_characters_that_a_header_cannot_carry_is_refused(token: str) -> None:
    with pytest.raises(AuthenticationError, match="spaces or other invalid characters") as refused:
        asyncio.run(Token(token).get())
    assert token not in str(refused.value)


def test_the_exception_of_a_token_function_is_the_cause() -> None:
    def raises() -> str:
        raise LookupError("no vault")

    with pytest.raises(AuthenticationError, match="token function raised LookupError") as failed:
        asyncio.run(Token(raises).get())
    assert isinstance(failed.value.__cause__, LookupError)


def test_a_plain_token_function_that_blocks_does_not_block_the_loop() -> None:
    loop_ran = threading.Event()

    async def main() -> Secret:
        asyncio.get_running_loop().call_soon(loop_ran.set)
        return await Token(lambda: "yes" if loop_ran.wait(PATIENCE_S) else "no").get()

    assert asyncio.run(main()) == Secret("yes")


def test_only_a_function_can_return_a_new_token() -> None:
    assert not Token("text").renewable
    assert Token(lambda: "text").renewable


def test_the_repr_does_not_show_the_token() -> None:
    assert "secret" not in repr(Token("secret"))


@pytest.mark.parametrize(
    ("claims", "now", "seconds"),
    [
        ({"iat": 0, "exp": 3600}, 0, 3540),  # a minute before it expires
        ({"iat": 0, "exp": 100}, 0, 90),  # or when a tenth of a short lifetime is left
        ({"iat": 0, "exp": 100}, 95, 0),
        ({"iat": 0, "exp": 100}, 500, 0),
        ({"exp": 1000}, 0, 940),
        ({"iat": 2000, "exp": 1000}, 0, 1000),  # invalid, but no reason to replace it early
        ({"iat": 0}, 0, None),
    ],
)
def test_a_token_is_replaced_before_it_expires(claims: dict[str, int], now: float, seconds: float | None) -> None:
    assert refresh_in_s(jwt.encode(claims, KEY), now) == seconds


@pytest.mark.parametrize("token", ["", "opaque", "a.b.c", ".."])
def test_a_token_that_is_not_a_jwt_never_expires(token: str) -> None:
    assert refresh_in_s(token, 0) is None
    assert not expired(token, 0)


def test_a_token_has_expired_from_its_exp_on() -> None:
    token = jwt.encode({"exp": 1000}, KEY)

    assert [expired(token, now) for now in (999.9, 1000, 1001)] == [False, True, True]


@pytest.mark.parametrize(
    ("url", "with_token"),
    [
        ("ws://h/api/ws", "ws://h/api/ws?token=a%2Bb"),
        ("ws://h/api/ws?x=1&token=old&y=", "ws://h/api/ws?x=1&y=&token=a%2Bb"),
    ],
)
def test_the_token_in_the_query_replaces_a_former_one(url: str, with_token: str) -> None:
    assert with_query_token(url, "a+b") == with_token


def test_a_url_is_shown_without_user_password_and_query() -> None:
    assert without_secrets("wss://me:pw@host:1/api/ws?token=abc#frag") == "wss://host:1/api/ws"


def test_a_token_is_removed_from_the_query() -> None:
    assert with_query_token("ws://h/api/ws?x=1&token=old", None) == "ws://h/api/ws?x=1"

"""Tokens: where they come from, when they end, and that nobody sees them."""

from __future__ import annotations

import asyncio
import threading

import jwt
import pytest

from fxlive.errors import AuthenticationError
from fxlive.feeds.address import with_query_token, without_secrets
from fxlive.feeds.auth import Token, expired, refresh_in_s

KEY = "k" * 32


async def fetch() -> str:
    await asyncio.sleep(0)
    return "fetched"


@pytest.mark.parametrize("source", ["fetched", lambda: "fetched", fetch, lambda: fetch(), "  fetched\n"])
def test_a_token_is_text_or_a_function_or_an_async_function(source: object) -> None:
    assert asyncio.run(Token(source).get()) == "fetched"  # type: ignore[arg-type]


@pytest.mark.parametrize("source", ["", "  \n", lambda: "", lambda: None, lambda: b"bytes", 17])
def test_what_is_no_text_or_empty_is_no_token(source: object) -> None:
    with pytest.raises(AuthenticationError, match=r"empty or not text. Pass token=..., or set FXLIVE_TOKEN"):
        asyncio.run(Token(source).get())  # type: ignore[arg-type]


@pytest.mark.parametrize("token", ["a\r\nX-Injected: 1", "two words", "tab\there", "ünïcödé", "nul\0"])
def test_a_token_that_no_header_could_carry_is_refused_before_it_is_sent(token: str) -> None:
    with pytest.raises(AuthenticationError, match="characters that no token has") as refused:
        asyncio.run(Token(token).get())
    assert token not in str(refused.value)


def test_what_a_token_function_raises_is_the_cause() -> None:
    def raises() -> str:
        raise LookupError("no vault")

    with pytest.raises(AuthenticationError, match="token function raised LookupError") as failed:
        asyncio.run(Token(raises).get())
    assert isinstance(failed.value.__cause__, LookupError)


def test_a_plain_token_function_that_blocks_does_not_block_the_loop() -> None:
    loop_ran = threading.Event()

    async def main() -> str:
        asyncio.get_running_loop().call_soon(loop_ran.set)
        return await Token(lambda: "yes" if loop_ran.wait(5) else "no").get()

    assert asyncio.run(main()) == "yes"


def test_only_a_function_can_give_a_new_token() -> None:
    assert not Token("text").renewable
    assert Token(lambda: "text").renewable


def test_a_token_shows_in_no_repr() -> None:
    assert "secret" not in repr(Token("secret"))


@pytest.mark.parametrize(
    ("claims", "now", "seconds"),
    [
        ({"iat": 0, "exp": 3600}, 0, 3540),  # a minute before the end
        ({"iat": 0, "exp": 100}, 0, 90),  # or when a tenth of a short life is left
        ({"iat": 0, "exp": 100}, 95, 0),
        ({"iat": 0, "exp": 100}, 500, 0),
        ({"exp": 1000}, 0, 940),
        ({"iat": 2000, "exp": 1000}, 0, 1000),  # nonsense, but no reason to hurry
        ({"iat": 0}, 0, None),
    ],
)
def test_a_token_is_replaced_before_it_ends(claims: dict[str, int], now: float, seconds: float | None) -> None:
    assert refresh_in_s(jwt.encode(claims, KEY), now) == seconds


@pytest.mark.parametrize("token", ["", "opaque", "a.b.c", ".."])
def test_a_token_that_is_no_jwt_says_nothing_about_its_end(token: str) -> None:
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
def test_a_token_in_the_query_replaces_the_one_that_was_there(url: str, with_token: str) -> None:
    assert with_query_token(url, "a+b") == with_token


def test_a_url_is_shown_without_user_password_and_query() -> None:
    assert without_secrets("wss://me:pw@host:1/api/ws?token=abc#frag") == "wss://host:1/api/ws"


def test_a_token_is_taken_out_of_the_query() -> None:
    assert with_query_token("ws://h/api/ws?x=1&token=old", None) == "ws://h/api/ws?x=1"

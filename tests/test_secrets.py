"""The token appears nowhere: not in what is shown, raised, logged, printed, warned of or written."""

from __future__ import annotations

import base64
import io
import json
import logging
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote as percent

import pytest
from websockets.sync.server import ServerConnection

import fxlive
from fxlive.simulator.fixture import SimulatorFactory
from tests.handmade import acknowledged, clean_slate, platform, quick, wait_until  # noqa: F401

pytestmark = pytest.mark.usefixtures("quick")


class Output:
    """Everything that anybody could read, and the tokens that must not be in it."""

    def __init__(self, logged: io.StringIO) -> None:
        self.logged = logged
        self.texts: list[str] = []
        self.tokens: list[str] = []

    def secret(self, token: str) -> str:
        self.tokens.append(token)
        return token

    def add(self, *things: Any) -> None:
        self.texts += [text for thing in things for text in (str(thing), repr(thing))]

    def add_error(self, error: BaseException | None, seen: tuple[BaseException, ...] = ()) -> None:
        """Also its fields, causes, contexts and tracebacks."""
        if error is None or error in seen:
            return
        self.add(error, error.args, vars(error))
        self.texts += traceback.format_exception(error)
        self.add_error(error.__cause__, (*seen, error))
        self.add_error(error.__context__, (*seen, error))

    def add_session(self, session: fxlive.Session, folder: Path) -> None:
        health = session.health()
        self.add(session, session.error, health, session.url, session._pipeline.feed, vars(session._pipeline.feed))
        self.texts += [session._repr_html_(), health.channels.to_string(), json.dumps(session.subscriptions)]
        self.texts += [session.gaps().to_string(), session.rejected().to_string()]
        for channel, frame in session.snapshot().items():
            self.add(channel, frame.attrs)
            self.texts.append(frame.to_string())
        for file in session.export(folder).values():
            self.texts.append(file.read_bytes().decode("latin-1"))

    def check(self, capsys: pytest.CaptureFixture[str]) -> None:
        everything = "\n".join([*self.texts, self.logged.getvalue(), *capsys.readouterr()])
        assert "The connection was lost" in everything  # and it is all there
        assert "401" in everything
        for token in self.tokens:
            for form in (token, percent(token), token[:24], token[-24:], base64.b64encode(token.encode()).decode()):
                place = everything.find(form)
                assert place < 0, everything[max(0, place - 300) : place + 60]


@pytest.fixture
def output() -> Iterator[Output]:
    logged = io.StringIO()
    handler, root = logging.StreamHandler(logged), logging.getLogger()
    servers = ("websockets.server", "fxlive.simulator")  # they run in this process, and may say what they were asked
    handler.addFilter(lambda record: not record.name.startswith(servers))
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        yield Output(logged)
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.mark.parametrize("auth", ["header", "query"])
def test_the_token_is_nowhere_to_be_read(
    auth: Any,
    fx_simulator: SimulatorFactory,
    output: Output,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    simulator = fx_simulator(speed=20.0)

    def failing(**options: Any) -> None:
        with pytest.raises(fxlive.FxliveError) as failed:
            fxlive.connect(**{"url": simulator.url, "auth": auth, "timeout": 2.0, **options})
        output.add_error(failed.value)

    session = fxlive.connect(simulator.url, lambda: output.secret(simulator.token()), auth=auth)
    session.wait_for("market-data", rows=10)
    output.add_session(session, tmp_path / "connected")
    simulator.faults.malformed(6)
    simulator.faults.drop()
    wait_until(lambda: session.health().reconnects == 1 and session.health().rejected == 6)
    simulator.faults.refuse(503, times=None)
    simulator.faults.drop()
    wait_until(lambda: session.state == "failed")
    output.add_error(session.error)
    output.add_session(session, tmp_path / "failed")
    session.close()

    for status in (401, 403, 429, 503):
        simulator.faults.accept()
        simulator.faults.refuse(status)
        failing(token=output.secret(simulator.token()))
    simulator.faults.accept()
    failing(token=output.secret(simulator.token(-1)))
    failing(token=output.secret("a-wrong-token-of-some-length-in-plain-text"))
    failing(url=f"{simulator.url}?token={output.secret(simulator.token(-2))}")
    failing(url=f"http://host/?token={output.secret('some-token-in-a-wrong-url-of-its-own')}")
    failing(url=f"{simulator.url.replace('ws', 'wss')}", token=output.secret(simulator.token()))
    failing(url="ws://127.0.0.1:1/api/ws", token=output.secret(simulator.token()))
    failing(url=f"ws://me:{output.secret('a-password-of-a-user-in-the-url')}@127.0.0.1:1/", token="t")
    failing(token=output.secret("broken\r\ntoken-with-a-line-break-in-it"))
    failing(token=output.secret(simulator.token(channels=["orders"])))
    output.check(capsys)


def test_a_platform_that_repeats_the_token_is_not_repeated(
    output: Output, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = output.secret("header.claims-that-are-long-enough.signature")

    def tell(*answers: str) -> Callable[[ServerConnection], None]:
        def handler(socket: ServerConnection) -> None:
            request = socket.recv()
            for answer in answers:
                socket.send(acknowledged(request) if answer == "ack" else answer)
            if "ack" not in answers:
                socket.close(4401, f"bad {token}"[:120])
            for _ in socket:
                pass

        return handler

    for answer in ({"type": "error", "error": "Authentication failed", "message": f"bad token {token}"}, None):
        with platform(tell(*[json.dumps(answer)] if answer else [])) as url:
            with pytest.raises(fxlive.AuthenticationError) as failed:
                fxlive.connect(url, token, channels=["trades"])
            output.add(failed.value, failed.value.args)
    with platform(tell("ack", f"your token is {token}", f'{{"type":"error","error":"{token}"}}')) as url:
        session = fxlive.connect(url, token, channels=["trades"])
        wait_until(lambda: session.health().rejected == 2)  # the text that is none, and what the platform says
        output.add_session(session, tmp_path)
        session.close()
    output.add("The connection was lost", "401")
    output.check(capsys)

"""The token appears in no repr, error, log, output, warning or file."""

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
from tests.handmade import PATIENCE_S, acknowledged, clean_slate, platform, quick, wait_until  # noqa: F401

pytestmark = pytest.mark.usefixtures("quick")


class Output:
    """All texts that a user or another program could read, and the tokens that must not be in them."""

    def __init__(self, log: io.StringIO) -> None:
        self.log = log
        self.texts: list[str] = []
        self.tokens: list[str] = []

    def secret(self, token: str) -> str:
        """Register a token that must not appear, and return it."""
        self.tokens.append(token)
        return token

    def add(self, *objects: Any) -> None:
        self.texts += [text for item in objects for text in (str(item), repr(item))]

    def add_error(self, error: BaseException | None, visited: tuple[BaseException, ...] = ()) -> None:
        """Add the error with its fields, causes, contexts and tracebacks."""
        if error is None or error in visited:
            return
        self.add(error, error.args, vars(error))
        self.texts += traceback.format_exception(error)
        self.add_error(error.__cause__, (*visited, error))
        self.add_error(error.__context__, (*visited, error))

    def add_session(self, session: fxlive.Session, folder: Path) -> None:
        """Add all texts of the session and its exported files."""
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
        everything = "\n".join([*self.texts, self.log.getvalue(), *capsys.readouterr()])
        assert "The connection was lost" in everything  # the texts have been collected
        assert "401" in everything
        for token in self.tokens:
            for form in (token, percent(token), token[:24], token[-24:], base64.b64encode(token.encode()).decode()):
                position = everything.find(form)
                assert position < 0, everything[max(0, position - 300) : position + 60]


@pytest.fixture
def output() -> Iterator[Output]:
    log = io.StringIO()
    handler, root = logging.StreamHandler(log), logging.getLogger()
    servers = ("websockets.server", "fxlive.simulator")  # the servers of the tests may log the requests they receive
    handler.addFilter(lambda record: not record.name.startswith(servers))
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        yield Output(log)
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.mark.parametrize("auth", ["header", "query"])
def test_the_token_is_in_no_output_of_sessions_and_errors(
    auth: Any,
    fx_simulator: SimulatorFactory,
    output: Output,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    simulator = fx_simulator(speed=20.0)

    def connect_fails(**options: Any) -> None:
        with pytest.raises(fxlive.FxliveError) as failure:
            fxlive.connect(**{"url": simulator.url, "auth": auth, "timeout": PATIENCE_S, **options})
        output.add_error(failure.value)

    session = fxlive.connect(simulator.url, lambda: output.secret(simulator.token()), auth=auth)
    session.wait_for("market-data", rows=10, timeout=PATIENCE_S)
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
        connect_fails(token=output.secret(simulator.token()))
    simulator.faults.accept()
    connect_fails(token=output.secret(simulator.token(-1)))
    connect_fails(token=output.secret("a-wrong-token-of-some-length-in-plain-text"))
    connect_fails(url=f"{simulator.url}?token={output.secret(simulator.token(-2))}")
    connect_fails(url=f"http://host/?token={output.secret('some-token-in-a-wrong-url-of-its-own')}")
    connect_fails(url=f"{simulator.url.replace('ws', 'wss')}", token=output.secret(simulator.token()))
    connect_fails(url="ws://127.0.0.1:1/api/ws", token=output.secret(simulator.token()))
    connect_fails(url=f"ws://me:{output.secret('a-password-of-a-user-in-the-url')}@127.0.0.1:1/", token="t")
    connect_fails(token=output.secret("broken\r\ntoken-with-a-line-break-in-it"))
    connect_fails(token=output.secret(simulator.token(channels=["orders"])))
    output.check(capsys)


def test_a_token_in_messages_of_the_platform_is_concealed(
    output: Output, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = output.secret("header.claims-that-are-long-enough.signature")

    def answer_with(*answers: str) -> Callable[[ServerConnection], None]:
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
        with platform(answer_with(*[json.dumps(answer)] if answer else [])) as url:
            with pytest.raises(fxlive.AuthenticationError) as failure:
                fxlive.connect(url, token, channels=["trades"])
            output.add(failure.value, failure.value.args)
    with platform(answer_with("ack", f"your token is {token}", f'{{"type":"error","error":"{token}"}}')) as url:
        session = fxlive.connect(url, token, channels=["trades"])
        wait_until(lambda: session.health().rejected == 2)  # a text that is not JSON, and the platform's error
        output.add_session(session, tmp_path)
        session.close()
    output.add("The connection was lost", "401")
    output.check(capsys)

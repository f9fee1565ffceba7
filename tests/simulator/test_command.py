"""The commands, as processes of their own, and a real day through one of them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import pytest

from fxlive.simulator import DEFAULT_SECRET
from fxlive.simulator.__main__ import main
from fxlive.simulator.command import duration
from fxlive.simulator.serving.tokens import verify_token
from tests.simulator.listener import CHANNELS, Listener

ROOT = Path(__file__).parents[2]
REAL_TICKS = ROOT.parent / "shared" / "data" / "ticks" / "fxcm-2014-05-08.csv.gz"


class Started:
    """A simulator in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], url: str, token: str) -> None:
        self.process = process
        self.url = url
        self._token = token

    def token(self) -> str:
        return self._token


def spawn(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "fxlive.simulator", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        **options,
    )


@contextmanager
def simulate(*arguments: str) -> Iterator[Started]:
    process = spawn("simulate", "--port", "0", "--json", "--exit-with-parent", *arguments)
    assert process.stdout is not None
    try:
        access = json.loads(process.stdout.readline())
        assert access["pid"] == process.pid
        yield Started(process, access["url"], access["token"])
    finally:
        process.communicate(timeout=20)  # closes its standard input


def test_simulate_says_its_url_and_a_token_before_anything_else_and_ends_with_its_parent() -> None:
    with simulate("--seed", "7") as sim:
        with Listener(sim, *CHANNELS) as client:
            client.until_type("market_data")
        assert sim.process.poll() is None

    assert sim.process.returncode == 0


def test_ctrl_c_is_left_to_the_parent_when_there_is_one() -> None:
    with simulate() as sim:
        sim.process.send_signal(signal.SIGINT)
        with Listener(sim, "market-data") as client:
            client.take(20)

    assert sim.process.returncode == 0


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_for_people_it_prints_lines_and_a_signal_ends_it_cleanly(ending: signal.Signals) -> None:
    process = spawn("simulate", "--port", "0", "--seed", "3", "--expires-in", "2h")
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(4)]
    url, token = lines[0].split()[1], lines[1].split()[1]
    with Listener(Started(process, url, token), "system"):
        process.send_signal(ending)
        rest, errors = process.communicate(timeout=20)

    assert [line.split()[0] for line in lines] == ["url", "token", "until", "market"]
    assert (process.returncode, rest, errors) == (0, "", "")


def test_token_prints_a_token_of_the_secret_that_is_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FXLIVE_SIMULATOR_SECRET", raising=False)

    def printed(*arguments: str) -> str:
        assert main(["token", *arguments]) == 0
        return capsys.readouterr().out.strip()

    claims = verify_token(DEFAULT_SECRET, printed("--expires-in", "15m", "--user", "me", "--channels", "trades,system"))
    assert (claims.user_id, claims.channels) == ("me", ("trades", "system"))
    assert 890 < claims.expires_at - time.time() <= 900
    assert verify_token("secret one", printed("--secret", "secret one")).user_id == "user_456"
    monkeypatch.setenv("FXLIVE_SIMULATOR_SECRET", "secret two")
    assert verify_token("secret two", printed()).channels is None


def test_durations_have_units() -> None:
    assert [duration(text) for text in ("90", "90s", "1.5m", "1h", "7d")] == [90, 90, 90, 3600, 604_800]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["simulate", "--port", "99999"], "--port: not a port: '99999' (1 to 65535, or 0 for a free one)"),
        (["simulate", "--port", "-1"], "--port: not a port: '-1'"),
        (["token", "--expires-in", "-1h"], "--expires-in: the time must be longer than nothing, not '-1h'"),
        (["token", "--expires-in=0"], "--expires-in: the time must be longer than nothing, not '0'"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_in_words(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert words in capsys.readouterr().err


def test_a_port_that_is_in_use_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["simulate", "--port", str(port)]) == 1
    said = f"fxlive simulate: port {port} is in use: pass another, or --port 0 for a free one\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--ticks", "no-such-file.csv"], "Tick file not found: no-such-file.csv"),
        (["--symbols", "EURUSD,ABCDEF"], "Cannot simulate ABCDEF. Use pairs such as EURUSD"),
        (["--start", "yesterday"], "yesterday"),
    ],
)
def test_a_bad_option_is_one_line_and_a_status(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "--port", "0", *arguments]) == 1

    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert words in errors


def test_a_replay_shows_its_progress_on_a_terminal(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    path = tmp_path / "ticks.csv"
    path.write_text(
        "timestamp,symbol,bid,ask\n2024-01-02T08:00:00Z,EURUSD,1.1,1.2\n2024-01-02T08:00:01.5Z,EURUSD,1.1,1.2\n"
    )
    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "fxlive.simulator", "simulate", "--port", "0", "--ticks", str(path), "--speed", "max"],
        stdout=theirs,
        cwd=ROOT,
    )
    os.close(theirs)
    shown = b""
    while b"2 of 2 quotes (100%)" not in shown:
        shown += os.read(mine, 4096)
    process.send_signal(signal.SIGINT)
    try:
        while os.read(mine, 4096):
            pass
    except OSError:
        pass  # the terminal has gone with its last user
    os.close(mine)

    assert process.wait(20) == 0
    assert b"2024-01-02 08:00:01" in shown


def frames(url: str, token: str, until: int) -> list[bytes]:
    """All text messages up to so many quotes, by a client that is nothing but a socket."""
    parts = urlsplit(url)
    payloads: list[bytes] = []
    quotes = 0
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as raw:
        raw.sendall(
            f"GET {parts.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        buffer = b""
        while b"\r\n\r\n" not in buffer:
            buffer += raw.recv(4096)
        buffer = buffer.partition(b"\r\n\r\n")[2]
        request = json.dumps({"type": "subscribe", "channels": CHANNELS}).encode()
        raw.sendall(b"\x81" + bytes([0xFE]) + len(request).to_bytes(2) + bytes(4) + request)
        while quotes < until:
            buffer += raw.recv(1 << 20)
            at = 0
            while at + 4 <= len(buffer):
                size, head = buffer[at + 1], 2
                if size == 126:
                    size, head = int.from_bytes(buffer[at + 2 : at + 4]), 4
                if at + head + size > len(buffer):
                    break
                if buffer[at] == 0x81:
                    payload = buffer[at + head : at + head + size]
                    payloads.append(payload)
                    quotes += payload.startswith(b'{"type":"market_data"')
                at += head + size
            buffer = buffer[at:]
    return payloads


def test_a_real_day_goes_through_whole_in_order_and_none_twice() -> None:
    if not REAL_TICKS.is_file():
        pytest.skip("the real ticks are not here")
    expected = pd.read_csv(REAL_TICKS)
    with simulate("--ticks", str(REAL_TICKS), "--speed", "max", "--wait-for-subscriber") as sim:
        payloads = frames(sim.url, sim.token(), len(expected))

    messages = [json.loads(payload) for payload in payloads]
    quotes = [message["data"] for message in messages if message["type"] == "market_data"]
    got = pd.DataFrame(quotes, columns=["timestamp", "symbol", "bid", "ask"])
    pd.testing.assert_frame_equal(got, expected, check_dtype=False, check_exact=True)
    ids = [message["id"] for message in messages if "id" in message]
    assert len(set(ids)) == len(ids)
    kinds = {message["type"] for message in messages}
    assert kinds >= {"trade", "order", "position", "analytics", "system"}

"""The commands `fxlive simulate` and `fxlive token`, and a real day of ticks replayed by one of them."""

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
from fxlive.simulator.command import parse_duration
from fxlive.simulator.serving.tokens import verify_token
from tests.simulator.listener import CHANNELS, PATIENCE_S, Listener

ROOT = Path(__file__).parents[2]
REAL_TICKS = ROOT.parent / "shared" / "data" / "ticks" / "fxcm-2014-05-08.csv.gz"


class SimulatorProcess:
    """A simulator in its own process."""

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
def simulate(*arguments: str) -> Iterator[SimulatorProcess]:
    process = spawn("simulate", "--port", "0", "--json", "--exit-with-parent", *arguments)
    assert process.stdout is not None
    try:
        access = json.loads(process.stdout.readline())
        assert access["pid"] == process.pid
        yield SimulatorProcess(process, access["url"], access["token"])
    finally:
        process.communicate(timeout=PATIENCE_S)  # closes its standard input


def test_simulate_prints_its_url_and_token_as_json_and_exits_with_its_parent() -> None:
    with simulate("--seed", "7") as sim:
        with Listener(sim, *CHANNELS) as client:
            client.until_type("market_data")
        assert sim.process.poll() is None

    assert sim.process.returncode == 0


def test_ctrl_c_does_not_end_a_simulator_that_exits_with_its_parent() -> None:
    with simulate() as sim:
        sim.process.send_signal(signal.SIGINT)
        with Listener(sim, "market-data") as client:
            client.take(20)

    assert sim.process.returncode == 0


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_without_json_simulate_prints_lines_and_a_signal_ends_it_cleanly(ending: signal.Signals) -> None:
    process = spawn("simulate", "--port", "0", "--seed", "3", "--expires-in", "2h")
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(4)]
    url, token = lines[0].split()[1], lines[1].split()[1]
    with Listener(SimulatorProcess(process, url, token), "system"):
        process.send_signal(ending)
        rest, errors = process.communicate(timeout=PATIENCE_S)

    assert [line.split()[0] for line in lines] == ["url", "token", "until", "market"]
    assert (process.returncode, rest, errors) == (0, "", "")


def test_token_is_signed_with_the_secret_of_the_option_or_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FXLIVE_SIMULATOR_SECRET", raising=False)

    def run(*arguments: str) -> str:
        assert main(["token", *arguments]) == 0
        return capsys.readouterr().out.strip()

    earliest = time.time()
    claims = verify_token(DEFAULT_SECRET, run("--expires-in", "15m", "--user", "me", "--channels", "trades,system"))
    assert (claims.user_id, claims.channels) == ("me", ("trades", "system"))
    assert earliest + 900 <= claims.expires_at <= time.time() + 900
    assert verify_token("secret one", run("--secret", "secret one")).user_id == "user_456"
    monkeypatch.setenv("FXLIVE_SIMULATOR_SECRET", "secret two")
    assert verify_token("secret two", run()).channels is None


def test_durations_have_units() -> None:
    assert [parse_duration(text) for text in ("90", "90s", "1.5m", "1h", "7d")] == [90, 90, 90, 3600, 604_800]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["simulate", "--port", "99999"], "--port: must be 1 to 65535, or 0 for a free port, got '99999'"),
        (["simulate", "--port", "-1"], "--port: must be 1 to 65535, or 0 for a free port, got '-1'"),
        (["simulate", "--speed", "fast"], "--speed: must be a number above 0, or max, got 'fast'"),
        (["token", "--expires-in", "soon"], "--expires-in: must be a time such as 90s, 15m, 1h or 7d, got 'soon'"),
        (["token", "--expires-in", "-1h"], "--expires-in: must be longer than 0, got '-1h'"),
        (["token", "--expires-in=0"], "--expires-in: must be longer than 0, got '0'"),
    ],
)
def test_an_invalid_value_is_an_error_that_names_the_accepted_values(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert message in capsys.readouterr().err


def test_the_error_of_a_port_in_use_tells_how_to_choose_another(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["simulate", "--port", str(port)]) == 1
    expected = f"fxlive simulate: Port {port} is in use. Pass another port, or --port 0 for a free one.\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ticks", "no-such-file.csv"], "Tick file not found: no-such-file.csv"),
        (["--symbols", "EURUSD,ABCDEF"], "Cannot simulate ABCDEF. Use pairs such as EURUSD"),
        (["--start", "yesterday"], "yesterday"),
    ],
)
def test_an_option_that_the_simulator_rejects_gives_one_line_and_exit_status_1(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "--port", "0", *arguments]) == 1

    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert message in errors


def test_a_replay_shows_its_progress_on_a_terminal(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    path = tmp_path / "ticks.csv"
    path.write_text(
        "timestamp,symbol,bid,ask\n2024-01-02T08:00:00Z,EURUSD,1.1,1.2\n2024-01-02T08:00:01.5Z,EURUSD,1.1,1.2\n"
    )
    terminal, process_side = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "fxlive.simulator", "simulate", "--port", "0", "--ticks", str(path), "--speed", "max"],
        stdout=process_side,
        cwd=ROOT,
    )
    os.close(process_side)
    output = b""
    while b"2 of 2 quotes (100%)" not in output:
        output += os.read(terminal, 4096)
    process.send_signal(signal.SIGINT)
    try:
        while os.read(terminal, 4096):
            pass
    except OSError:
        pass  # the process has closed its side of the terminal
    os.close(terminal)

    assert process.wait(PATIENCE_S) == 0
    assert b"2024-01-02 08:00:01" in output


def receive_payloads(url: str, token: str, quote_count: int) -> list[bytes]:
    """Return all text messages up to this number of quotes, received over a plain socket."""
    parts = urlsplit(url)
    payloads: list[bytes] = []
    quotes = 0
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE_S) as raw:
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
        while quotes < quote_count:
            data = raw.recv(1 << 20)
            assert data, "The simulator has closed the connection."
            buffer += data
            at = 0
            while at + 4 <= len(buffer):
                size, head = buffer[at + 1], 2
                if size == 126:
                    size, head = int.from_bytes(buffer[at + 2 : at + 4]), 4
                if at + head + size > len(buffer):
                    break
                payload = buffer[at + head : at + head + size]
                if buffer[at] == 0x81:
                    payloads.append(payload)
                    quotes += payload.startswith(b'{"type":"market_data"')
                elif buffer[at] == 0x89:  # a ping; on a busy machine the test lasts longer than its timeout
                    raw.sendall(b"\x8a" + bytes([0x80 | size]) + bytes(4) + payload)
                at += head + size
            buffer = buffer[at:]
    return payloads


def test_a_real_day_is_sent_complete_in_order_and_without_duplicates() -> None:
    if not REAL_TICKS.is_file():
        pytest.skip("The file of real ticks is missing.")
    expected = pd.read_csv(REAL_TICKS)
    with simulate("--ticks", str(REAL_TICKS), "--speed", "max", "--wait-for-subscriber") as sim:
        payloads = receive_payloads(sim.url, sim.token(), len(expected))

    messages = [json.loads(payload) for payload in payloads]
    quotes = [message["data"] for message in messages if message["type"] == "market_data"]
    frame = pd.DataFrame(quotes, columns=["timestamp", "symbol", "bid", "ask"])
    pd.testing.assert_frame_equal(frame, expected, check_dtype=False, check_exact=True)
    ids = [message["id"] for message in messages if "id" in message]
    assert len(set(ids)) == len(ids)
    types = {message["type"] for message in messages}
    assert types >= {"trade", "order", "position", "analytics", "system"}

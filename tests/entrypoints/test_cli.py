"""The `fxlive` command in its own process, with output to a pipe or a terminal, against a simulated platform."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

import fxlive
from fxlive.entrypoints.cli import fitted, main
from fxlive.simulator.fixture import SimulatorFactory

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0
SECRET = "a secret of these tests"
CHANNELS = ["trades", "positions", "orders", "market-data", "alerts", "analytics", "system"]
FXLIVE = (sys.executable, "-m", "fxlive")
# With short waits between reconnects. The waits themselves are tested in tests/feeds.
QUICK = (
    sys.executable,
    "-c",
    "import sys; from fxlive.feeds import pacing; pacing.FIRST_WAIT_S = 0.01; "
    "from fxlive.entrypoints.cli import main; "
    "sys.exit(main())",
)


@dataclass
class Platform:
    """A simulated platform, started by the command."""

    url: str
    token: str
    process: subprocess.Popen[str]


@contextmanager
def simulate() -> Iterator[Platform]:
    process = start("simulate", "--port", "0", "--no-limits", "--exit-with-parent", "--secret", SECRET, stdin=True)
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline().split() for _ in range(4)]
        yield Platform(lines[0][1], lines[1][1], process)
    finally:
        process.communicate(timeout=PATIENCE_S)  # closes its standard input


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with simulate() as running:
        yield running


def start(
    *arguments: str,
    command: Sequence[str] = FXLIVE,
    environment: dict[str, str] | None = None,
    stdin: bool = False,
    output: int = subprocess.PIPE,
    errors: int = subprocess.PIPE,
) -> subprocess.Popen[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("FXLIVE_", "COLUMNS", "LINES"))}
    return subprocess.Popen(
        [*command, *arguments],
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        text=True,
        cwd=ROOT,
        env={**inherited, "PYTHONWARNINGS": "error", **(environment or {})},
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for the end of a command; return exit status, output and errors."""
    try:
        output, errors = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert "Traceback" not in output + errors
    return process.returncode, output, errors


def ran(platform: Platform, *arguments: str) -> tuple[int, str, str]:
    status, output, errors = ended(start(*arguments, environment={"FXLIVE_TOKEN": platform.token}))
    assert platform.token not in output + errors
    return status, output, errors


def until(condition: Callable[[], object], what: str) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < ends, f"{what} did not come"
        time.sleep(0.01)


def capture_of(output: str) -> tuple[int, Path]:
    """Return the number of rows and the folder that a recording reports at its end."""
    said = re.search(r"^recorded ([\d,]+) rows in (.+)$", output, re.MULTILINE)
    assert said is not None, output
    return int(said[1].replace(",", "")), Path(said[2])


def rows_on_disk(capture: Path) -> int:
    return sum(len(pd.read_parquet(folder)) for folder in capture.glob("channel=*"))


# Watching


def test_watch_shows_every_channel_for_the_given_time(platform: Platform) -> None:
    began = time.monotonic()
    status, output, errors = ran(platform, "watch", platform.url, "--for", "2s")

    assert (status, errors) == (0, "")
    assert time.monotonic() - began >= 2.0
    first, headline, *lines = output.splitlines()  # without a terminal: a line every 10 s, and everything at the end
    assert first.startswith(f"<fxlive session 'watch': connected to {platform.url}, ")
    assert headline.startswith(f"<fxlive session 'watch': connected to {platform.url}, ")
    shown = {line.split()[0]: int(line.split()[1].replace(",", "")) for line in lines}
    assert list(shown) == CHANNELS
    assert shown["market-data"] > 20


def test_watch_reads_url_and_token_from_the_environment_and_limits_the_channels(platform: Platform) -> None:
    environment = {"FXLIVE_URL": platform.url, "FXLIVE_TOKEN": platform.token}
    process = start("watch", "--channels", "system,market_data", "--for", "3s", environment=environment)
    status, output, errors = ended(process)

    assert (status, errors) == (0, "")
    assert sorted(line.split()[0] for line in output.splitlines()[2:]) == ["market-data", "system"]
    assert platform.token not in output


def test_a_token_in_the_query_is_accepted_and_not_shown(platform: Platform) -> None:
    status, output, errors = ran(platform, "watch", platform.url, "--auth", "query", "--for", "0.5s")
    assert (status, errors) == (0, "")
    status, output, errors = ran(platform, "watch", f"{platform.url}?token={platform.token}", "--for", "0.5s")
    assert (status, errors) == (0, "")
    assert f"connected to {platform.url}," in output


# Recording


def test_record_writes_a_capture_with_the_number_of_rows_that_it_reports(platform: Platform, tmp_path: Path) -> None:
    status, output, errors = ran(platform, "record", platform.url, "--for", "3s", "--to", str(tmp_path))

    assert (status, errors) == (0, "")
    said, capture = capture_of(output)
    assert capture.parent == tmp_path
    quotes = pd.read_parquet(capture / "channel=market-data")
    assert len(quotes) > 50
    assert quotes["id"].is_unique
    assert rows_on_disk(capture) == said
    assert "  recording: " in output  # the status includes the recording
    assert not any(platform.token.encode() in file.read_bytes() for file in capture.rglob("*") if file.is_file())


def start_recording(platform: Platform, folder: Path) -> tuple[subprocess.Popen[str], Path]:
    """Start `fxlive record`; return the process and its capture when that has a part."""
    process = start("record", platform.url, "--to", str(folder), environment={"FXLIVE_TOKEN": platform.token})
    assert process.stdout is not None
    assert "connected" in process.stdout.readline()
    (capture,) = folder.iterdir()
    until(lambda: list(capture.glob("channel=market-data/**/*.parquet")), "a part")
    return process, capture


def test_ctrl_c_ends_a_recording_without_losing_rows(platform: Platform, tmp_path: Path) -> None:
    process, capture = start_recording(platform, tmp_path)
    process.send_signal(signal.SIGINT)
    status, output, errors = ended(process)

    assert (status, errors) == (0, "")
    assert output.startswith("stopping\n")
    assert capture_of(output) == (rows_on_disk(capture), capture)
    assert rows_on_disk(capture) > 0


def test_record_fails_when_a_recorded_file_has_vanished(platform: Platform, tmp_path: Path) -> None:
    process, capture = start_recording(platform, tmp_path)
    deleted = next(capture.glob("channel=market-data/**/*.parquet"))
    deleted.unlink()
    process.send_signal(signal.SIGINT)
    status, output, errors = ended(process)

    assert status == 1
    assert re.search(r"\d rows? vanished: .*deleted or changed by another process", errors)
    assert deleted.name in errors
    assert capture_of(output)[0] == rows_on_disk(capture)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_sigint_and_sigterm_end_watch_cleanly(platform: Platform, ending: signal.Signals) -> None:
    process = start("watch", platform.url, environment={"FXLIVE_TOKEN": platform.token})
    assert process.stdout is not None
    assert "connected" in process.stdout.readline()
    process.send_signal(ending)

    assert ended(process) == (0, "stopping\n", "")


def test_ctrl_c_while_connecting_ends_record_without_an_empty_capture(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(PATIENCE_S)
        url = f"ws://127.0.0.1:{silent.getsockname()[1]}/api/ws"
        process = start("record", url, "--token", "a-token", "--to", str(tmp_path))
        with silent.accept()[0]:
            process.send_signal(signal.SIGINT)
            assert ended(process) == (130, "", "")

    assert list(tmp_path.iterdir()) == []


# Errors


def test_record_fails_when_the_platform_dies_and_all_reconnects_fail(tmp_path: Path) -> None:
    with simulate() as mortal:
        arguments = ("record", mortal.url, "--to", str(tmp_path))
        process = start(*arguments, command=QUICK, environment={"FXLIVE_TOKEN": mortal.token})
        assert process.stdout is not None
        assert "connected" in process.stdout.readline()
    status, output, errors = ended(process)

    assert status == 1
    assert "failed to" in output
    log, last = errors.splitlines()[:-1], errors.splitlines()[-1]
    assert last.startswith(f"fxlive: 5 reconnects to {mortal.url} in a row failed; the last: Nothing answers at")
    assert last.endswith("Run the command again once the platform is back.")
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ", line) for line in log)
    said, capture = capture_of(output)
    assert rows_on_disk(capture) == said
    assert mortal.token not in output + errors


def test_watch_fails_with_401_when_the_token_is_revoked(fx_simulator: SimulatorFactory) -> None:
    token = fx_simulator.token()
    process = start("watch", fx_simulator.url, command=QUICK, environment={"FXLIVE_TOKEN": token})
    assert process.stdout is not None
    assert "connected" in process.stdout.readline()
    fx_simulator.faults.expire(revoke=True)
    status, output, errors = ended(process)

    assert status == 1
    assert errors.splitlines()[-1].startswith("fxlive: ")
    assert "(401)" in errors.splitlines()[-1]
    assert token not in output + errors


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (["watch", "http://host/api/ws"], {}, "It must look like wss://host/api/ws."),
        (["watch", "{url}/nowhere"], {}, "Is the path right?"),
        (["watch", "ws://127.0.0.1:1/api/ws"], {}, "Is the address right, and the server up?"),
        (["record", "{url}", "--to", "{folder}"], {"FXLIVE_TOKEN": "not-the-token"}, "Get a new one."),
        (["watch", "{url}", "--channels", "tradez"], {}, "Did you mean trades? Use one of: trades, positions, "),
        (["watch"], {}, "Give one, or set FXLIVE_URL; `fxlive simulate` runs a platform to try."),
        (["watch", "{url}"], {"FXLIVE_TOKEN": ""}, "Set FXLIVE_TOKEN, or pass --token."),
        (["watch", "wss://127.0.0.1:1/", "--ca", "no-such.pem"], {}, "It must be a file in PEM format."),
        (["record", "{url}", "--to", "{file}"], {}, "{file}"),
    ],
)
def test_an_error_is_one_line_with_advice_and_exit_status_1(
    platform: Platform,
    tmp_path: Path,
    arguments: list[str],
    environment: dict[str, str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    places = {"url": platform.url, "folder": str(tmp_path), "file": str(tmp_path / "file")}
    (tmp_path / "file").write_text("not a folder")
    arguments = [argument.format(**places) for argument in arguments]
    # In this process: the tests around it show that the command ends with this status.
    monkeypatch.setattr(logging.getLogger("fxlive"), "handlers", [*logging.getLogger("fxlive").handlers])
    monkeypatch.delenv("FXLIVE_URL", raising=False)
    for name, value in {"FXLIVE_TOKEN": platform.token, **environment}.items():
        monkeypatch.setenv(name, value)
    terminated = signal.getsignal(signal.SIGTERM)
    status = main([*arguments, "--for", "1s"])
    signal.signal(signal.SIGTERM, terminated)
    output, errors = capfd.readouterr()

    assert (status, output) == (1, "")
    assert errors.startswith("fxlive: ")
    assert errors.count("\n") == 1
    assert words.format(**places) in errors
    assert platform.token not in errors
    assert "not-the-token" not in errors
    assert [path.name for path in tmp_path.iterdir()] == ["file"]  # no empty capture


@pytest.mark.parametrize("arguments", [[], ["watch", "--for", "soon"], ["trade", "EURUSD"]])
def test_an_invalid_command_line_prints_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)

    assert capsys.readouterr().err.startswith("usage: fxlive")


def test_without_a_command_all_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([])
    errors = capsys.readouterr().err
    for command in ("watch", "record", "info", "export", "replay", "simulate", "token"):
        assert f"\n    {command} " in errors


def test_the_time_to_watch_must_be_longer_than_0(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["watch", "--for", "-5s"])
    assert "argument --for: must be longer than 0, got '-5s'" in capsys.readouterr().err


def test_a_closed_output_pipe_ends_watch_without_an_error(platform: Platform) -> None:
    process = start("watch", platform.url, "--for", "1s", environment={"FXLIVE_TOKEN": platform.token})
    assert process.stdout is not None
    assert "connected" in process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    errors = process.stderr.read()
    process.stderr.close()

    assert (process.wait(PATIENCE_S), errors) == (0, "")


def test_a_closed_output_pipe_ends_token_without_an_error() -> None:
    read, write = os.pipe()
    os.close(read)
    process = start("token", output=write)
    os.close(write)
    _, errors = process.communicate(timeout=PATIENCE_S)

    assert (process.returncode, errors) == (0, "")


# Other commands


def test_the_version_is_printed_by_the_module_and_by_the_installed_command() -> None:
    installed = Path(sys.executable).with_name("fxlive")
    started = [start("--version", command=command) for command in (FXLIVE, (str(installed),))]
    for process in started:
        assert ended(process) == (0, f"fxlive {fxlive.__version__}\n", "")


def test_the_simulator_accepts_tokens_of_its_own_secret_only(platform: Platform) -> None:
    opened = {}
    for secret in (SECRET, "another"):
        status, token, errors = ended(start("token", "--secret", secret, "--expires-in", "5m"))
        assert (status, errors) == (0, "")
        watch = start("watch", platform.url, "--for", "0.2s", environment={"FXLIVE_TOKEN": token.strip()})
        opened[secret] = ended(watch)[0]

    assert opened == {SECRET: 0, "another": 1}


# On a terminal


class Screen:
    """A terminal that understands the control sequences of the status. A line that is too long wraps."""

    columns = 80

    def __init__(self) -> None:
        self.lines = [""]
        self.row = 0
        self.rewritten = 0

    def feed(self, text: str) -> None:
        for up, erase, other in re.findall(r"\x1b\[(\d+)A|\x1b\[(2K|J)|([^\x1b])", text):
            if up:
                self.row -= int(up)
                self.rewritten += 1
                assert self.row >= 0, "it went up beyond its first line"
            elif erase == "2K":
                self.lines[self.row] = ""
            elif erase == "J":
                del self.lines[self.row + 1 :]
                self.lines[self.row] = ""
            elif other == "\n":
                self._down()
            elif other != "\r":
                if len(self.lines[self.row]) == self.columns:
                    self._down()
                self.lines[self.row] += other

    def _down(self) -> None:
        self.row += 1
        if self.row == len(self.lines):
            self.lines.append("")


@contextmanager
def on_a_terminal(
    *arguments: str, command: Sequence[str] = FXLIVE, environment: dict[str, str]
) -> Iterator[tuple[subprocess.Popen[str], Callable[[Callable[[Screen], bool]], Screen]]]:
    """Run a command on a terminal; yield its process, and a function that reads the screen until a condition holds."""
    pty = pytest.importorskip("pty")
    termios = pytest.importorskip("termios")
    mine, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    process = start(*arguments, command=command, environment=environment, output=theirs, errors=theirs)
    os.close(theirs)
    screen, rest = Screen(), ""

    def read(enough: Callable[[Screen], bool]) -> Screen:
        nonlocal rest
        while not enough(screen):
            try:
                data = os.read(mine, 65_536)
            except OSError:  # on Linux: the other end is closed
                data = b""
            if not data:
                break
            whole, _, rest = (rest + data.decode()).rpartition("\n")
            screen.feed(whole + "\n")
        return screen

    try:
        yield process, read
    finally:
        process.kill()
        process.wait(PATIENCE_S)
        os.close(mine)


def test_on_a_terminal_the_status_is_rewritten_in_place_and_never_wraps(platform: Platform, tmp_path: Path) -> None:
    arguments = ("record", platform.url, "--to", str(tmp_path))
    with on_a_terminal(*arguments, environment={"FXLIVE_TOKEN": platform.token}) as (process, read):
        screen = read(lambda screen: screen.rewritten >= 3)
        shown, widest = "\n".join(screen.lines), max(map(len, screen.lines))
        process.send_signal(signal.SIGINT)
        rest = read(lambda screen: False)
        assert process.wait(PATIENCE_S) == 0

    assert shown.count("<fxlive session 'record': connected to") == 1
    assert [shown.count(f"\n  {channel} ") for channel in CHANNELS] == [1] * 7
    assert shown.count("  recording: ") == 1
    assert widest < screen.columns
    text = "\n".join(rest.lines)
    assert "stopping" in text
    assert "recorded " in text
    assert "Traceback" not in text


def test_on_a_terminal_connection_problems_are_shown_in_the_status_and_not_between_its_lines(
    fx_simulator: SimulatorFactory,
) -> None:
    environment = {"FXLIVE_TOKEN": fx_simulator.token()}
    with on_a_terminal("watch", fx_simulator.url, command=QUICK, environment=environment) as (process, read):
        read(lambda screen: screen.rewritten >= 1)
        fx_simulator.faults.refuse(503, times=None)
        fx_simulator.faults.drop()
        screen = read(lambda screen: False)
        assert process.wait(PATIENCE_S) == 1

    text = "\n".join(screen.lines)
    assert text.count("<fxlive session 'watch'") == 1
    assert text.startswith(f"<fxlive session 'watch': failed to {fx_simulator.url},")
    assert "connection lost" not in text
    assert "\nfxlive: 5 reconnects to " in text
    assert text.replace("\n", "").endswith("Run the command again once the platform is back.")


def test_a_status_fits_into_a_terminal_of_any_width_without_losing_text() -> None:
    text = "<fxlive session 'record': connected to wss://a.host.with.a-long-name.example/api/ws, 1,234,567 messages>\n"
    text += "  market-data    1,234 rows\n  recording: 1 rows in /" + "x" * 200
    for columns in range(1, 200):
        lines = fitted(text, columns, 1_000)
        assert max(map(len, lines)) < max(20, columns)
        assert "".join("".join(lines).split()) == "".join(text.split())
    assert len(fitted(text, 30, 5)) == 4

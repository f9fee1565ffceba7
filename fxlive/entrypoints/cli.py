"""The `fxlive` command: watch and record a platform from a terminal, read captures, or run a simulated platform."""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import signal
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from fxlive._version import __version__
from fxlive.core.secret import Secret
from fxlive.core.shown_text import counted
from fxlive.entrypoints.commands import add_capture_parsers, plain_warnings
from fxlive.errors import CaptureError, FxliveError
from fxlive.sessions.replay import Replay
from fxlive.sessions.session import Session
from fxlive.simulator.command import add_simulate_parser, add_token_parser, join_negative_values, parse_duration

_TERMINAL_S = 0.5
_PIPE_S = 10.0
_MAX_ROWS = 10_000  # this process never reads its frames
_INTERRUPTED = 130
# Advice in errors: for Python code, and for the command line.
_ADVICE = {
    "Pass url=..., set FXLIVE_URL, or try fxlive.demo().": "Give one, or set FXLIVE_URL; `fxlive simulate` runs a "
    "platform to try.",
    "Pass token=..., or set FXLIVE_TOKEN.": "Set FXLIVE_TOKEN, or pass --token.",
    "Call session.reconnect() to try again.": "Run the command again once the platform is back.",
    "connect with a new one, or pass a function as token=, which is asked again.": "run the command again with a new "
    "one.",
    "For a private authority pass ca='its.pem'.": "For a private authority pass --ca its.pem.",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser, words = _parser(), join_negative_values(arguments)
    if not words:
        parser.print_help(sys.stderr)
        parser.exit(2)
    parsed = parser.parse_args(words)
    try:
        status = int(parsed.func(parsed))
        sys.stdout.flush()  # a closed pipe is caught here
        return status
    except FxliveError as error:
        print(f"fxlive: {_advised(str(error))}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output, such as head, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:  # before a session was open, or a second Ctrl-C
        return _INTERRUPTED


def _advised(text: str) -> str:
    """Return the text of an error in one line, with advice for the command line.

    >>> _advised("There is no token. Pass token=..., or set FXLIVE_TOKEN.")
    'There is no token. Set FXLIVE_TOKEN, or pass --token.'
    """
    for python, command in _ADVICE.items():
        text = text.replace(python, command)
    return " ".join(text.split())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fxlive", description="Live messages of an FX platform. fxlive only reads.")
    parser.add_argument("--version", action="version", version=f"fxlive {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    watch = commands.add_parser(
        "watch",
        help="connect and show the state of all channels",
        description="Show all channels.",
    )
    record = commands.add_parser(
        "record", help="connect and record all messages as Parquet", description="Record all messages as Parquet."
    )
    for command in (watch, record):
        add = command.add_argument
        add("url", nargs="?", type=Secret, help="wss://host/api/ws (default: $FXLIVE_URL)")
        add("--token", type=Secret, help="better set $FXLIVE_TOKEN: other users of the machine can see a command line")
        add("--channels", type=lambda text: text.split(","), metavar="A,B", help="default: all seven")
        add(
            "--for",
            dest="for_s",
            type=parse_duration,
            metavar="TIME",
            help="such as 90s, 10m or 2h (default: until Ctrl-C)",
        )
        add(
            "--auth",
            choices=("header", "query"),
            default="header",
            help="how the token is sent (default %(default)s)",
        )
        add("--ca", metavar="FILE", help="certificates of a private authority")
        add("--proxy", type=_proxy, metavar="URL", help="a proxy, or none (default: that of the environment)")
    record.add_argument("--to", metavar="DIR", default="captures", help="parent folder (default %(default)s)")
    watch.set_defaults(func=_watch, command="watch", to=None)
    record.set_defaults(func=_watch, command="record")
    add_capture_parsers(commands)
    replay = commands.add_parser(
        "replay", help="play a capture", description="Play a capture and show the state of all channels."
    )
    replay.add_argument("capture", help="the folder of a capture, or of several")
    replay.add_argument(
        "--speed", type=_speed, default=1.0, help="a multiple of the original speed, or max (default 1)"
    )
    replay.add_argument("--from", dest="begin", metavar="TIME", help="the time to start from, such as 2014-05-08T12:30")
    replay.set_defaults(func=_replay)
    add_simulate_parser(commands)
    add_token_parser(commands)
    return parser


def _watch(arguments: argparse.Namespace) -> int:
    """Keep a session open and show it, until its time is over, Ctrl-C, or its failure."""
    with suppress(ValueError):  # main() was called on another thread than the main one, which cannot handle signals
        signal.signal(signal.SIGTERM, _interrupt)
    _log_reconnects()
    ends = None if arguments.for_s is None else time.monotonic() + arguments.for_s
    with Session(
        arguments.url,
        arguments.token,
        channels=arguments.channels,
        auth=arguments.auth,
        ca=arguments.ca,
        proxy=arguments.proxy,
        max_rows=_MAX_ROWS,
        record=arguments.to,
        name=arguments.command,
    ) as session:
        with _live_status() as show:
            while session.state != "failed" and (ends is None or time.monotonic() < ends):
                show(_status_text(session))
                time.sleep(_TERMINAL_S if ends is None else max(0.0, min(_TERMINAL_S, ends - time.monotonic())))
            show(_status_text(session), last=True)
        failure = session.error
        recording = session.recording
    if recording is not None:
        status = recording.status
        print(f"recorded {counted(status.rows, 'row')} in {status.path}", flush=True)
        if status.dropped:
            raise CaptureError(f"{counted(status.dropped, 'row')} lost: {status.error or 'the disk was too slow'}.")
        if status.vanished:
            raise CaptureError(f"{counted(status.vanished, 'row')} vanished: {status.error}.")
    if failure is not None:
        raise failure
    return 0


def _proxy(text: str) -> Secret | bool:
    """Parse a proxy, whose URL may contain a password; False for none."""
    return False if text == "none" else Secret(text)


def _speed(text: str) -> float | None:
    """Parse a speed; None for max."""
    if text == "max":
        return None
    with suppress(ValueError):
        if 0 < float(text) < float("inf"):
            return float(text)
    raise argparse.ArgumentTypeError(f"speed must be a number above 0 or max, got {text!r}")


def _replay(arguments: argparse.Namespace) -> int:
    """Play a capture and show it, until its end or Ctrl-C."""
    with plain_warnings():
        session = Replay(arguments.capture, arguments.speed, paused=True, max_rows=_MAX_ROWS)
    with session, _live_status() as show:
        if arguments.begin is not None:
            session.seek(arguments.begin)
        session.resume()
        while not session.ended and session.state != "failed":
            show(repr(session))
            time.sleep(_TERMINAL_S)
        show(repr(session), last=True)
    if session.error is not None:
        raise session.error
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Handle SIGTERM like Ctrl-C: a service manager, `timeout` or `kill` ends the command cleanly."""
    raise KeyboardInterrupt


def _log_reconnects() -> None:
    """Log reconnects to stderr with their time, except on a terminal, where the status shows them."""
    if sys.stdout.isatty() and sys.stderr.isatty():
        handler: logging.Handler = logging.NullHandler()
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logging.getLogger("fxlive").addHandler(handler)


def _status_text(session: Session) -> str:
    if session.recording is None:
        return repr(session)
    return f"{session!r}\n  {session.recording.status}"


class _Status:
    """Text that replaces itself on a terminal; elsewhere its first line is printed every ten seconds."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._lines = 0
        self._next = 0.0

    def __call__(self, text: str, last: bool = False) -> None:
        if self._terminal:
            size = shutil.get_terminal_size()
            lines = fitted(text, size.columns, size.lines)
            up = f"\x1b[{self._lines}A" if self._lines else ""
            print(up + "".join(f"\x1b[2K{line}\n" for line in lines) + "\x1b[J", end="", flush=True)
            self._lines = len(lines)
        elif last or time.monotonic() >= self._next:
            self._next = time.monotonic() + _PIPE_S
            print(text if last else text.splitlines()[0], flush=True)

    def interrupted(self) -> None:
        """Confirm that the command is ending."""
        print("\nstopping" if self._terminal else "stopping", flush=True)


def fitted(text: str, columns: int, rows: int) -> list[str]:
    r"""Return the lines of a text, wrapped for a terminal: the cursor returns by the number of lines.

    >>> fitted("a session: connected, 12 messages\n  trades 1", columns=20, rows=10)
    ['a session:', '    connected, 12', '    messages', '  trades 1']
    """
    lines = []
    for line in text.splitlines():
        # one column stays free: some terminals wrap once the last one is written
        lines += textwrap.wrap(line, max(20, columns) - 1, subsequent_indent="    ", break_on_hyphens=False)
    return lines[: max(1, rows - 1)]


@contextmanager
def _live_status() -> Iterator[_Status]:
    """Yield a status display; Ctrl-C inside ends the block, not the command."""
    status = _Status()
    try:
        yield status
    except KeyboardInterrupt:
        status.interrupted()

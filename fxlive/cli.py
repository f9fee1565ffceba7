"""The `fxlive` command: watch and record a platform from a terminal, or run a simulated one."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fxlive._version import __version__
from fxlive.errors import FxliveError
from fxlive.session import Session
from fxlive.simulator.command import add_simulate_parser, add_token_parser, duration

_TERMINAL_S = 0.5
_PIPE_S = 10.0
_SHOWN_ROWS = 10_000  # nobody can ask this process for more


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parsed = _parser().parse_args(arguments)
    try:
        return int(parsed.func(parsed))
    except FxliveError as error:
        print(f"fxlive: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output, such as head, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fxlive", description="An FX platform's live messages. It only reads.")
    parser.add_argument("--version", action="version", version=f"fxlive {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    watch = commands.add_parser("watch", help="connect, and show what comes", description="Show what comes, live.")
    record = commands.add_parser(
        "record", help="connect, and record what comes as Parquet", description="Record what comes as Parquet."
    )
    for command in (watch, record):
        add = command.add_argument
        add("url", nargs="?", help="wss://host/api/ws (default: $FXLIVE_URL)")
        add("--token", help="better in $FXLIVE_TOKEN: a command line can be seen by every user of the machine")
        add("--channels", type=lambda text: text.split(","), metavar="A,B", help="default: all seven")
        add("--for", dest="for_s", type=duration, metavar="TIME", help="such as 90s, 10m or 2h (default: until Ctrl-C)")
        add("--auth", choices=("header", "query"), default="header", help="where the token goes (default %(default)s)")
        add("--ca", metavar="FILE", help="certificates of a private authority")
    record.add_argument("--to", metavar="DIR", default="captures", help="parent folder (default %(default)s)")
    watch.set_defaults(func=_watch, command="watch", to=None)
    record.set_defaults(func=_watch, command="record")
    add_simulate_parser(commands)
    add_token_parser(commands)
    return parser


def _watch(arguments: argparse.Namespace) -> int:
    """Hold a session open and show it, until its time is over, Ctrl-C, or its failure."""
    ends = None if arguments.for_s is None else time.monotonic() + arguments.for_s
    with Session(
        arguments.url,
        arguments.token,
        channels=arguments.channels,
        auth=arguments.auth,
        ca=arguments.ca,
        max_rows=_SHOWN_ROWS,
        record=arguments.to,
        name=arguments.command,
    ) as session:
        with _live_status() as show:
            while session.state != "failed" and (ends is None or time.monotonic() < ends):
                show(_shown(session))
                time.sleep(_TERMINAL_S if ends is None else max(0.0, min(_TERMINAL_S, ends - time.monotonic())))
            show(_shown(session), last=True)
        failure = session.error
        recording = session.recording
    if recording is not None:
        print(f"recorded {recording.status.rows:,} rows in {recording.status.path}")
    if failure is not None:
        raise failure
    return 0


def _shown(session: Session) -> str:
    if session.recording is None:
        return repr(session)
    status = session.recording.status
    parts = [f"{status.rows:,} rows", f"{status.bytes / 1e6:,.1f} MB", f"{status.rows_per_s:,.0f} rows/s"]
    parts += [f"{status.dropped:,} rows lost"] if status.dropped else []
    parts += [f"{status.disk_free_bytes / 1e9:,.1f} GB left"] if status.disk_free_bytes is not None else []
    parts += [status.error] if status.error else []
    return f"{session!r}\n  {status.state}: {', '.join(parts)} in {status.path}"


class _Status:
    """Text that replaces itself on a terminal; elsewhere its first line, now and then."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._lines = 0
        self._next = 0.0

    def __call__(self, text: str, last: bool = False) -> None:
        if self._terminal:
            up = f"\x1b[{self._lines}A" if self._lines else ""
            print(up + "".join(f"\x1b[2K{line}\n" for line in text.splitlines()), end="", flush=True)
            self._lines = len(text.splitlines())
        elif last or time.monotonic() >= self._next:
            self._next = time.monotonic() + _PIPE_S
            print(text if last else text.splitlines()[0], flush=True)


@contextmanager
def _live_status() -> Iterator[_Status]:
    """Give something that shows text; Ctrl-C inside ends the block, not the command."""
    status = _Status()
    try:
        yield status
    except KeyboardInterrupt:
        print("\nstopping", flush=True)

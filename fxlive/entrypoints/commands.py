"""The commands that read captures: `fxlive info` and `fxlive export`."""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from fxlive.core.shown_text import counted, printable
from fxlive.errors import IncompleteCapture
from fxlive.sessions.capture import open_capture
from fxlive.sessions.display import size_text

_SHOWN_GAPS = 20
_TERMINAL_S = 0.2
_PIPE_S = 10.0


def add_capture_parsers(commands: Any) -> None:
    """Add `info` and `export` to the command's parsers."""
    info = commands.add_parser("info", help="show the contents of a capture", description="Show its contents.")
    export = commands.add_parser(
        "export",
        help="write a capture as CSV, Parquet or a zip file",
        description="Write a capture as a CSV or Parquet file for each channel, or as one zip file.",
    )
    for command in (info, export):
        command.add_argument("capture", help="the folder of a capture, or of several")
    add = export.add_argument
    add("--to", metavar="DIR", default="exports", help="where the files go (default %(default)s)")
    add("--format", choices=("csv", "parquet", "zip"), default="parquet", help="default %(default)s")
    add("--channels", type=lambda text: text.split(","), metavar="A,B", help="default: all with rows")
    add("--at", metavar="TIME", help="only messages received by this time, such as 2014-05-08T12:30")
    info.set_defaults(func=_info)
    export.set_defaults(func=_export)


def _info(arguments: argparse.Namespace) -> int:
    with plain_warnings():
        capture = open_capture(arguments.capture)
        print(capture)
        print("  (times of receipt; the index of a frame, since and until are timestamps of the platform)")
        gaps = capture.gaps()
    for gap in gaps.tail(_SHOWN_GAPS).to_dict("records"):
        until = "the end of the capture" if pd.isna(gap["end"]) else f"{gap['end']:%H:%M:%S}"
        print(f"  gap from {gap['start']:%Y-%m-%d %H:%M:%S} to {until}: {printable(gap['reason'])}")
    if len(gaps) > _SHOWN_GAPS:
        print(f"  and {counted(len(gaps) - _SHOWN_GAPS, 'gap')} before these")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    progress = Progress()
    with plain_warnings():
        capture = open_capture(arguments.capture)
        if arguments.at is not None:
            capture = capture.at(arguments.at)
        files = capture.export(arguments.to, arguments.channels, format=arguments.format, progress=progress)
    progress.end()
    for name, file in files.items():
        print(f"{printable(name)}: {file} ({size_text(Path(file).stat().st_size)})")
    if not files:
        print("no rows to export")
    return 0


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Print warnings about missing or damaged files as one line each, without Python's formatting."""

    def show(message: Warning | str, *_: Any) -> None:
        print(f"fxlive: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("always", IncompleteCapture)
        warnings.showwarning = show  # type: ignore[assignment]
        yield


class Progress:
    """A progress line: it replaces itself on a terminal; elsewhere a line is printed every ten seconds."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._next = time.monotonic() + (0.0 if self._terminal else _PIPE_S)
        self._shown = False

    def __call__(self, name: str, done: int, total: int) -> None:
        """Show that `done` of `total` is done."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + (_TERMINAL_S if self._terminal else _PIPE_S)
        text = f"{printable(name)}: {done:,} of {total:,} ({done / max(total, 1):.0%})"
        print(
            f"\r{text}\x1b[K" if self._terminal else text,
            end="" if self._terminal else "\n",
            file=sys.stderr,
            flush=True,
        )
        self._shown = True

    def end(self) -> None:
        """Clear the line."""
        if self._terminal and self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

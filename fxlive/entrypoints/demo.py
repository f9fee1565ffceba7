"""The demo: a simulated platform in a process of its own, and a session connected to it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fxlive.core.arguments import speed_of, whole
from fxlive.core.secret import Secret
from fxlive.errors import ServerUnavailable
from fxlive.sessions.opening import connect
from fxlive.sessions.session import Session
from fxlive.sessions.subscriptions import Channels

_START = [
    sys.executable,
    "-m",
    "fxlive.simulator",
    "simulate",
    "--port",
    "0",
    "--json",
    "--exit-with-parent",
    "--quiet",
]


def demo(
    *,
    seed: int = 7,
    ticks: str | None = None,
    speed: float | None = 1.0,
    symbols: str | Sequence[str] | None = None,
    channels: Channels = None,
    window: str | pd.Timedelta | None = None,
    max_rows: int = 1_000_000,
    record: str | Path | None = None,
    name: str = "default",
) -> Session:
    """Start a simulated platform in a process of its own, and return a session connected to it.

    The platform ends with the session or with this process. Calling `demo` again starts a new one.

    Parameters
    ----------
    seed
        The same seed gives the same market.
    ticks
        A CSV or Parquet file of quotes to play (timestamp, symbol, bid, ask) instead of a simulated market.
    speed
        A multiple of real time; None for as fast as possible.
    symbols
        The currency pairs. Default: all that the simulator knows.
    channels, window, max_rows, record, name
        As for `fxlive.connect`.

    Raises
    ------
    UnknownOption
        If `seed` is not a whole number, or `speed` is not above 0.
    ServerUnavailable
        If the simulator does not start; the message gives its reason, such as an unknown pair or file.

    Examples
    --------
    >>> session = demo(name="doctest")
    >>> session.wait_for("market-data").index.name
    'timestamp'
    >>> session.close()
    """
    multiple = speed_of(speed)
    market = ["--seed", str(whole("seed", seed)), "--speed", "max" if multiple is None else str(multiple)]
    symbols = [symbols] if isinstance(symbols, str) else symbols
    command = [*_START, *market, "--expires-in", "30d"]
    command += ["--ticks", str(ticks)] if ticks is not None else []
    command += ["--symbols", ",".join(symbols)] if symbols is not None else []
    errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - a pipe would block the process once it is full
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
    # Reaps the process however it ends: a kernel that shuts down waits for its children.
    threading.Thread(target=process.wait, name="fxlive-demo", daemon=True).start()
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None

    def end() -> None:
        stdin.close()
        stdout.close()
        errors.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    line = Secret(stdout.readline())  # with a token
    if not line:
        errors.seek(0)
        reason = errors.read().strip().splitlines()
        end()
        raise ServerUnavailable(f"The simulator did not start: {reason[-1] if reason else 'no reason given'}")
    address: dict[str, Any] = {name: Secret(text) for name, text in json.loads(line.reveal()).items()}
    try:
        session = connect(
            address["url"],
            address["token"],
            proxy=False,  # the simulator runs on this machine
            channels=channels,
            window=window,
            max_rows=max_rows,
            record=record,
            name=name,
        )
    except BaseException:
        end()
        raise
    session.when_closed(end)
    return session

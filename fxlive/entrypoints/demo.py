"""The demo: the simulator in a process of its own, and a session on it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from fxlive.core.arguments import speed_of, whole
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
    """Start the simulated platform in a process of its own, and return a session on it.

    The process ends with the session, or with this process. Run again, it starts afresh.

    Parameters
    ----------
    seed
        The same seed gives the same market.
    ticks
        A CSV or Parquet file of real quotes to play (timestamp, symbol, bid, ask) instead of a simulated market.
    speed
        How many times faster than real time; None: as fast as it goes.
    symbols
        Which pairs to trade; default: all.
    channels, window, max_rows, record, name
        As for `fxlive.connect`.

    Raises
    ------
    UnknownOption
        Where `seed` is no whole number, or `speed` none above 0.
    ServerUnavailable
        Where the simulator does not start, and why: a pair or a file that it does not know.

    Examples
    --------
    >>> session = demo(name="doctest")
    >>> session.wait_for("market-data").index.name
    'timestamp'
    >>> session.close()
    """
    pace = speed_of(speed)
    begin = ["--seed", str(whole("seed", seed)), "--speed", "max" if pace is None else str(pace)]
    symbols = [symbols] if isinstance(symbols, str) else symbols
    command = [*_START, *begin, "--expires-in", "30d"]
    command += ["--ticks", str(ticks)] if ticks is not None else []
    command += ["--symbols", ",".join(symbols)] if symbols is not None else []
    complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115 - not a pipe, which would stop the process when it is full
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, text=True)
    # Whoever ends it, it is then gone and no zombie: a kernel that shuts down ends its children and waits for that.
    threading.Thread(target=process.wait, name="fxlive-demo", daemon=True).start()
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None

    def end() -> None:
        stdin.close()
        stdout.close()
        complaints.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    line = stdout.readline()
    if not line:
        complaints.seek(0)
        reason = complaints.read().strip().splitlines()
        end()
        raise ServerUnavailable(f"The simulator did not start: {reason[-1] if reason else 'no reason given'}")
    address = json.loads(line)
    try:
        session = connect(
            address["url"],
            address["token"],
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

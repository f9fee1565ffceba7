"""The demo: the simulator in a process of its own, and a session on it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from typing import Any

from fxlive.errors import ServerUnavailable
from fxlive.opening import connect
from fxlive.session import Session

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
    symbols: list[str] | None = None,
    **options: Any,
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
    **options
        As for `fxlive.Session`, such as `channels`, `window` and `name`.

    Examples
    --------
    >>> session = demo(name="doctest")
    >>> session.wait_for("market-data").index.name
    'timestamp'
    >>> session.close()
    """
    command = [*_START, "--seed", str(seed), "--speed", "max" if speed is None else str(speed), "--expires-in", "30d"]
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
        session = connect(address["url"], address["token"], **options)
    except BaseException:
        end()
        raise
    session.when_closed(end)
    return session

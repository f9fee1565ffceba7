"""The commands `fxlive simulate` and `fxlive token`."""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import logging
import os
import re
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fxlive.simulator.serving.server import Simulator

SECRET_VARIABLE = "FXLIVE_SIMULATOR_SECRET"
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_LAST_PORT = 65_535
_PROGRESS_INTERVAL_S = 0.5
_ID_EPOCH_S = 1_704_067_200  # 2024


def add_simulate_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add `simulate` to a parser's subparsers. Its `func` takes the parsed arguments and returns the exit status."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "simulate",
        help="run a simulated platform",
        description="Run a simulated platform: a WebSocket server whose market replays ticks or simulates pairs, with "
        "an account that trades on it. Prints its URL and a token when it is ready for clients.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    add("--port", type=_port, default=8765, help="port to listen on, 0 for a free one (default %(default)s)")
    add("--seed", type=int, default=7, help="the same seed gives the same quotes and trades (default %(default)s)")
    add("--ticks", metavar="FILE", help="replay this CSV, .csv.gz or Parquet file (timestamp, symbol, bid, ask)")
    add("--speed", type=_speed, default=1.0, metavar="N", help="market seconds per second, or max (default 1)")
    add("--symbols", type=_parse_list, metavar="A,B", help="pairs to simulate, or symbols of the ticks to replay")
    add("--start", help="market time at which a simulated market starts, such as 2024-01-02T08:00Z (default: now)")
    add(
        "--expires-in",
        type=parse_duration,
        default="12h",
        metavar="TIME",
        help="life of the token, such as 90s or 12h (default %(default)s)",
    )
    add("--secret", help=f"key that signs tokens (default: ${SECRET_VARIABLE}, or a secret for development)")
    add("--wait-for-subscriber", action="store_true", help="start the market at the first market-data subscription")
    add("--quotes-only", action="store_true", help="send market data only, without an account")
    add("--faults", choices=("none", "random"), default="none", help="random: apply random faults to all clients")
    add("--fault-seed", type=int, default=0, metavar="N", help="seed of the random faults (default %(default)s)")
    add("--no-limits", action="store_true", help="turn the platform's rate limits off")
    add("--quiet", action="store_true", help="do not show progress")
    add("--json", action="store_true", help="print url, token and pid as one line of JSON")
    add("--exit-with-parent", action="store_true", help="exit when standard input ends; ignore Ctrl-C")
    parser.set_defaults(func=simulate)
    return parser


def add_token_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add `token` to a parser's subparsers. Its `func` takes the parsed arguments and returns the exit status."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "token",
        help="print a token that the simulator accepts",
        description="Print a token that the simulator accepts.",
    )
    add = parser.add_argument
    add(
        "--expires-in",
        type=parse_duration,
        default="1h",
        metavar="TIME",
        help="life of the token, such as 90s, 15m, 1h or 7d (default %(default)s)",
    )
    add("--secret", help=f"key that signs it (default: ${SECRET_VARIABLE}, or a secret for development)")
    add("--user", default="user_456", help="user that the token identifies (default %(default)s)")
    add("--channels", type=_parse_list, metavar="A,B", help="channels that the token permits (default: all)")
    parser.set_defaults(func=token)
    return parser


def simulate(arguments: argparse.Namespace) -> int:
    """Run the simulator until Ctrl-C, SIGTERM or, with --exit-with-parent, the end of standard input."""
    from fxlive.simulator.serving.server import Simulator

    # Refused and cut connections are expected of a simulator and should not be logged in the terminal.
    logging.getLogger("fxlive.simulator.websockets").setLevel(logging.CRITICAL)
    limits: dict[str, Any] = {"connections_per_minute": None, "messages_per_s": None} if arguments.no_limits else {}
    try:
        simulator = Simulator(
            host=arguments.host,
            port=arguments.port,
            seed=arguments.seed,
            ticks=arguments.ticks,
            speed=None if arguments.speed == "max" else arguments.speed,
            symbols=arguments.symbols,
            start=arguments.start,
            secret=_secret(arguments),
            wait_for_subscriber=arguments.wait_for_subscriber,
            account=not arguments.quotes_only,
            random_faults_seed=arguments.fault_seed if arguments.faults == "random" else None,
            # Ids start at the current microsecond, so that no id is repeated after a restart.
            first_id=int((time.time() - _ID_EPOCH_S) * 1e6),
            **limits,
        )
        return asyncio.run(_simulate(simulator, arguments))
    except KeyboardInterrupt:
        return 0
    except (OSError, ValueError) as error:
        in_use = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        advice = f"Port {arguments.port} is in use. Pass another port, or --port 0 for a free one."
        print(f"fxlive simulate: {advice if in_use else error}", file=sys.stderr)
        return 1


def token(arguments: argparse.Namespace) -> int:
    """Print a token."""
    from fxlive.simulator.serving.tokens import make_token

    print(make_token(_secret(arguments), arguments.user, arguments.expires_in, channels=arguments.channels))
    return 0


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as 90, 90s, 15m, 1h or 7d."""
    match = re.fullmatch(r"(-?\d+(?:\.\d+)?)([smhd]?)", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"must be a time such as 90s, 15m, 1h or 7d, got {text!r}")
    seconds = float(match[1]) * _UNITS[match[2]]
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"must be longer than 0, got {text!r}")
    return seconds


def join_negative_values(arguments: list[str] | None) -> list[str]:
    """Return the arguments (default: the command line's) with `--for -5s` as `--for=-5s`.

    argparse would take a separate -5s for an option.
    """
    joined: list[str] = []
    for argument in sys.argv[1:] if arguments is None else arguments:
        if re.match(r"-\d", argument) and joined and re.fullmatch(r"--[a-z-]*[a-z]", joined[-1]):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


async def _simulate(simulator: Simulator, arguments: argparse.Namespace) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    if arguments.exit_with_parent:
        # Ctrl-C in the parent's terminal also reaches its children. The parent decides whether to end them.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=_wait_for_end_of_input, args=(loop, stop), daemon=True).start()
    if sys.platform != "win32":
        loop.add_signal_handler(signal.SIGTERM, stop.set)
    await simulator.listen()
    try:
        _print_access(simulator, arguments)
        await simulator.start()
        progress = asyncio.create_task(_print_progress(simulator)) if _shows_progress(arguments) else None
        await stop.wait()
        if progress is not None:
            progress.cancel()
    finally:
        await simulator.close()
    return 0


def _print_access(simulator: Simulator, arguments: argparse.Namespace) -> None:
    access_token = simulator.token(arguments.expires_in)
    if arguments.json:
        print(json.dumps({"url": simulator.url, "token": access_token, "pid": os.getpid()}), flush=True)
        return
    market = f"ticks of {arguments.ticks}" if arguments.ticks else f"correlated pairs, seed {arguments.seed}"
    speed = "as fast as the clients read" if simulator.speed is None else f"speed {simulator.speed:g}"
    until = datetime.fromtimestamp(time.time() + arguments.expires_in, UTC)
    print(f"url     {simulator.url}")
    print(f"token   {access_token}")
    print(f"until   {until:%Y-%m-%d %H:%M:%S} UTC")
    print(f"market  {market}, {speed}; stop with Ctrl-C", flush=True)


def _shows_progress(arguments: argparse.Namespace) -> bool:
    return not arguments.quiet and not arguments.json and sys.stdout.isatty()


async def _print_progress(simulator: Simulator) -> None:
    while True:
        await asyncio.sleep(_PROGRESS_INTERVAL_S)
        print(f"\r{_progress(simulator)}\x1b[K", end="", flush=True)


def _progress(simulator: Simulator) -> str:
    done, total, market_ms = simulator.progress
    moment = f"{datetime.fromtimestamp(market_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"
    clients = f"{simulator.connections} client{'' if simulator.connections == 1 else 's'}"
    if total is None:
        return f"{moment}  {done:,} quotes  {clients}"
    end = "  finished" if simulator.finished.is_set() else ""
    return f"{moment}  {done:,} of {total:,} quotes ({done / total:.0%})  {clients}{end}"


def _wait_for_end_of_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    # os.read, not sys.stdin: a daemon thread that holds the lock of sys.stdin crashes the interpreter's shutdown.
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass  # standard input is closed; treat it as ended
    try:
        loop.call_soon_threadsafe(stop.set)
    except RuntimeError:
        pass  # the loop has been closed already


def _secret(arguments: argparse.Namespace) -> str:
    from fxlive.simulator.serving.tokens import DEFAULT_SECRET

    return arguments.secret or os.environ.get(SECRET_VARIABLE) or DEFAULT_SECRET


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"must be 1 to {_LAST_PORT}, or 0 for a free port, got {text!r}")
    return int(text)


def _speed(text: str) -> float | str:
    if text == "max":
        return text
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, or max, got {text!r}")
    return speed


def _parse_list(text: str) -> list[str]:
    return [symbol.strip() for symbol in text.split(",") if symbol.strip()]

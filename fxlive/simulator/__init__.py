"""A platform to talk to: a WebSocket server whose market replays real ticks or simulates pairs, and trades on them.

>>> from fxlive.simulator import SimulatorThread
>>> with SimulatorThread(seed=7) as sim:
...     sim.url
'ws://127.0.0.1:.../api/ws'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .faults import Faults
    from .replay import TicksError
    from .server import Simulator
    from .thread import SimulatorThread
    from .tokens import DEFAULT_SECRET, make_token

__all__ = ["Simulator", "SimulatorThread", "Faults", "TicksError", "make_token", "DEFAULT_SECRET"]

_HOMES = {
    "Simulator": "server",
    "SimulatorThread": "thread",
    "Faults": "faults",
    "TicksError": "replay",
    "make_token": "tokens",
    "DEFAULT_SECRET": "tokens",
}


def __getattr__(name: str) -> Any:
    # The pytest plugin lives in this package: a test run that uses no simulator should not load a WebSocket server.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

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
    from fxlive.simulator.market.ticks import TicksError
    from fxlive.simulator.serving.faults import Faults
    from fxlive.simulator.serving.server import Simulator
    from fxlive.simulator.serving.tokens import DEFAULT_SECRET, make_token

    from .thread import SimulatorThread

__all__ = ["Simulator", "SimulatorThread", "Faults", "TicksError", "make_token", "DEFAULT_SECRET"]

_HOMES = {
    "Simulator": "serving.server",
    "SimulatorThread": "thread",
    "Faults": "serving.faults",
    "TicksError": "market.ticks",
    "make_token": "serving.tokens",
    "DEFAULT_SECRET": "serving.tokens",
}


def __getattr__(name: str) -> Any:
    # The pytest plugin lives in this package: a test run that uses no simulator should not load a WebSocket server.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

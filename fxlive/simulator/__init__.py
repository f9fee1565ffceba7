"""A simulator of the platform: a WebSocket server with a replayed or simulated market, and an account trading on it.

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

_MODULES = {
    "Simulator": "serving.server",
    "SimulatorThread": "thread",
    "Faults": "serving.faults",
    "TicksError": "market.ticks",
    "make_token": "serving.tokens",
    "DEFAULT_SECRET": "serving.tokens",
}


def __getattr__(name: str) -> Any:
    # Loaded on first use: the pytest plugin is in this package, and a test run without a simulator should not load a
    # WebSocket server.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

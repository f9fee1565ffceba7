"""The pytest plugin: the fixture `fx_simulator`, a platform for a test to talk to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fxlive.simulator.serving.faults import Faults

    from .thread import SimulatorThread


class SimulatorFactory:
    """Starts simulators for one test, each on a thread of its own, and ends them with it.

    Call it with the options of Simulator for a SimulatorThread; or use it as if it were one, started at the first use
    with the default options but without the limit of connections a minute.
    """

    def __init__(self) -> None:
        self._running: list[SimulatorThread] = []
        self._default: SimulatorThread | None = None

    def __call__(self, **options: Any) -> SimulatorThread:
        # A test that does not use the fixture should not pay for a WebSocket server.
        from .thread import SimulatorThread

        simulator = SimulatorThread(**{"connections_per_minute": None, **options})
        self._running.append(simulator)
        return simulator

    @property
    def default(self) -> SimulatorThread:
        """The simulator with default options."""
        if self._default is None:
            self._default = self()
        return self._default

    @property
    def url(self) -> str:
        """Where the default simulator listens."""
        return self.default.url

    @property
    def faults(self) -> Faults:
        """Faults of the default simulator."""
        return self.default.faults

    @property
    def sent(self) -> dict[str, int]:
        """Messages that the default simulator has sent, by channel."""
        return self.default.sent

    def token(self, expires_in_s: float = 3600.0, **claims: Any) -> str:
        """A token for the default simulator."""
        return self.default.token(expires_in_s, **claims)

    def close(self) -> None:
        """End all of them."""
        while self._running:
            self._running.pop().close()
        self._default = None


@pytest.fixture
def fx_simulator() -> Iterator[SimulatorFactory]:
    """A platform to talk to: `fx_simulator.url` and `.token()`, or `fx_simulator(speed=None, ticks=...)` for others."""
    factory = SimulatorFactory()
    yield factory
    factory.close()

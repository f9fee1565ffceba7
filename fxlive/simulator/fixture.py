"""The pytest plugin with the fixture `fx_simulator`: a simulated platform for tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fxlive.simulator.serving.faults import Faults

    from .thread import SimulatorThread


class SimulatorFactory:
    """Starts simulators for one test, each on its own thread, and closes them after the test.

    Call it with options of Simulator to start a SimulatorThread. Its properties and `token()` are those of a default
    simulator, which starts on first use. No simulator limits the connections per minute, unless an option sets it.
    """

    def __init__(self) -> None:
        self._running: list[SimulatorThread] = []
        self._default: SimulatorThread | None = None

    def __call__(self, **options: Any) -> SimulatorThread:
        # Imported here so that tests without the fixture do not load a WebSocket server.
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
        """The URL of the default simulator."""
        return self.default.url

    @property
    def faults(self) -> Faults:
        """The faults of the default simulator."""
        return self.default.faults

    @property
    def sent(self) -> dict[str, int]:
        """Messages that the default simulator has sent, by channel."""
        return self.default.sent

    def token(self, expires_in_s: float = 3600.0, **claims: Any) -> str:
        """Return a token for the default simulator."""
        return self.default.token(expires_in_s, **claims)

    def close(self) -> None:
        """Close all simulators."""
        while self._running:
            self._running.pop().close()
        self._default = None


@pytest.fixture
def fx_simulator() -> Iterator[SimulatorFactory]:
    """A simulated platform: `fx_simulator.url` and `.token()`, or `fx_simulator(speed=None, ticks=...)` for more."""
    factory = SimulatorFactory()
    yield factory
    factory.close()

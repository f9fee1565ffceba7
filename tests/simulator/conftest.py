"""The fixture of the pytest plugin, for a checkout in which the package is not installed."""

from fxlive.simulator.fixture import fx_simulator  # noqa: F401

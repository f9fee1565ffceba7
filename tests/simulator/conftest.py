"""The fixture of the plugin, also where the package is not installed and pytest does not know it."""

from fxlive.simulator.fixture import fx_simulator  # noqa: F401

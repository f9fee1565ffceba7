"""The fixture `fx_simulator`, SimulatorThread and the package's names."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fxlive.simulator
from fxlive.simulator import SimulatorThread
from fxlive.simulator.fixture import SimulatorFactory
from tests.simulator.listener import PATIENCE_S, Listener

ROOT = Path(__file__).parents[2]
TICKS = pd.DataFrame(
    {
        "timestamp": pd.date_range("2024-01-02 08:00", periods=500, freq="250ms", tz="UTC"),
        "symbol": ["EURUSD", "GBPUSD"] * 250,
        "bid": [1.085, 1.265] * 250,
        "ask": [1.0851, 1.2652] * 250,
    }
)


def test_the_fixture_is_a_default_simulator_and_starts_others(fx_simulator: SimulatorFactory) -> None:
    other = fx_simulator(ticks=TICKS, speed=None, wait_for_subscriber=True)

    assert fx_simulator.url != other.url
    with Listener(fx_simulator.default, "market-data") as client:
        client.until_type("market_data")
    assert fx_simulator.sent["market-data"] > 0
    with Listener(other, "market-data") as client:
        client.take(500)
    assert other.wait_finished(PATIENCE_S)


def test_closing_the_factory_closes_all_its_simulators() -> None:
    factory = SimulatorFactory()
    simulators = [factory(), factory.default]
    factory.close()

    for sim in simulators:
        with pytest.raises(OSError):
            Listener(sim)


def test_a_replay_that_waits_for_its_subscriber_loses_nothing() -> None:
    ticks = pd.DataFrame({"timestamp": 1_704_182_400_000 + np.arange(6_000), "symbol": "EURUSD", "bid": 1.085})
    ticks["ask"] = (1.085 + np.arange(6_000) / 100_000).round(5)
    with SimulatorThread(ticks=ticks, speed=None, account=False, wait_for_subscriber=True) as sim:
        assert not sim.wait_finished(0.1)
        with Listener(sim, "system") as client:
            assert not sim.wait_finished(0.1)
            client.subscribe("market-data")
            messages = client.take(6_000)
        assert sim.wait_finished(PATIENCE_S)
        assert sim.progress[:2] == (6_000, 6_000)
        assert sim.sent["market-data"] == sim.published["market-data"] == 6_000

    assert [message["data"]["ask"] for message in messages] == ticks["ask"].tolist()
    assert messages[-1]["timestamp"] == messages[-1]["data"]["timestamp"] == "2024-01-02T08:00:05.999Z"


def test_a_replay_is_not_faster_than_its_speed() -> None:
    started = time.monotonic()
    with SimulatorThread(ticks=TICKS, speed=100.0, account=False) as sim:
        assert sim.wait_finished(PATIENCE_S)

    assert time.monotonic() - started > 1.2  # 124.75 market seconds at speed 100


def test_an_error_of_the_market_is_raised_by_wait_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no more quotes")

    monkeypatch.setattr("fxlive.simulator.trading.platform.Platform.quotes", fail)
    with SimulatorThread() as sim, pytest.raises(RuntimeError, match="no more quotes"):
        sim.wait_finished(PATIENCE_S)


def test_the_package_lists_its_names_and_loads_them_on_first_use() -> None:
    assert set(fxlive.simulator.__all__) <= set(dir(fxlive.simulator))
    for name in fxlive.simulator.__all__:
        assert getattr(fxlive.simulator, name) is not None
    with pytest.raises(AttributeError, match="Simulater"):
        fxlive.simulator.Simulater  # noqa: B018
    code = "import sys, fxlive.simulator.fixture; print(*sys.modules)"
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = [name for name in process.stdout.split() if name.startswith("fxlive.simulator")]
    assert loaded == ["fxlive.simulator", "fxlive.simulator.fixture"]

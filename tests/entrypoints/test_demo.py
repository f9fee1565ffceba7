"""The demo: a simulated platform in its own process, which ends with the session or with the parent process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import fxlive
from tests.handmade import clean_slate, wait_until  # noqa: F401


def simulators() -> list[psutil.Process]:
    return [p for p in psutil.Process().children() if "fxlive.simulator" in " ".join(p.cmdline())]


def test_the_demo_sends_data_and_its_process_ends_with_the_session() -> None:
    session = fxlive.demo(speed=50.0)
    [process] = simulators()
    for channel in ("market-data", "orders", "trades", "positions", "system", "analytics"):
        session.wait_for(channel, timeout=60)
    session.close()
    assert not process.is_running()
    assert len(session["market-data"]) > 0


def test_a_second_demo_replaces_the_first() -> None:
    first = fxlive.demo()
    [process] = simulators()
    second = fxlive.demo()
    assert first.state == "closed"
    assert not process.is_running()
    assert fxlive.sessions() == [second]
    second.wait_for("market-data", timeout=60)
    second.close()
    assert simulators() == []


def test_two_demos_with_different_names_run_at_the_same_time() -> None:
    with fxlive.demo(name="a", symbols=["EURUSD"]) as a, fxlive.demo(name="b", symbols="USDJPY") as b:
        assert set(a.wait_for("market-data", rows=3, timeout=60)["symbol"]) == {"EURUSD"}
        assert set(b.wait_for("market-data", rows=3, timeout=60)["symbol"]) == {"USDJPY"}
        assert len(simulators()) == 2
    assert simulators() == []


def test_a_demo_that_cannot_start_raises_the_reason_and_leaves_no_process(tmp_path: Path) -> None:
    with pytest.raises(fxlive.ServerUnavailable, match=r"The simulator did not start: .*no-such-file"):
        fxlive.demo(ticks=str(tmp_path / "no-such-file.csv"))
    with pytest.raises(fxlive.InvalidChannel):
        fxlive.demo(channels=["quotes"])
    with pytest.raises(TypeError):
        fxlive.demo(nonsense=1)  # type: ignore[call-arg]
    for option in ({"speed": 0}, {"speed": True}, {"speed": "10"}, {"seed": "x"}):
        with pytest.raises(fxlive.UnknownOption, match=r"a number above 0|a whole number"):
            fxlive.demo(**option)  # type: ignore[arg-type]
    assert simulators() == []
    assert fxlive.sessions() == []


def test_the_process_of_a_demo_ends_when_its_parent_is_killed() -> None:
    code = "import fxlive; s = fxlive.demo(); s.wait_for('market-data'); print('ready', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        [process] = psutil.Process(parent.pid).children()
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait(10)
    wait_until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)


def test_a_script_that_does_not_close_its_demo_ends_without_output() -> None:
    code = "import fxlive; s = fxlive.demo(); s.wait_for('market-data'); s.on('market-data', lambda m: None)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

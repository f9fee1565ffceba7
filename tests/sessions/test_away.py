"""A real session over the wire that is away while positions close, and a platform that does not say so afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

import fxlive
from fxlive.simulator import SimulatorThread
from fxlive.simulator.fixture import SimulatorFactory
from tests.handmade import wait_until


def open_tickets(sim: SimulatorThread) -> set[int]:
    trader = sim.simulator._platform.trader
    assert trader is not None
    return set(trader.account.positions)


@pytest.mark.parametrize("share", [0.0, 0.5], ids=["no snapshot", "half a snapshot"])
def test_positions_that_closed_while_the_session_was_away_never_count_silently(
    fx_simulator: SimulatorFactory, tmp_path: Path, share: float
) -> None:
    sim = fx_simulator(speed=300.0, seed=7, reconnect_snapshot=share)
    with fxlive.connect(sim.url, sim.token(), record=tmp_path, reconnect_attempts=None) as session:
        wait_until(lambda: len(session.latest("positions")) >= 5, "five open positions")
        sim.faults.refuse(503, times=None, retry_after=0.5)
        sim.faults.drop()
        wait_until(lambda: session.state == "reconnecting", "the end of the connection")
        known = set(session.latest("positions").index)
        assert not session.latest("positions")["confirmed"].any()
        wait_until(lambda: len(known - open_tickets(sim)) >= 3, "three positions to close")
        lost = known - open_tickets(sim)
        sim.faults.accept()
        session.reconnect()
        wait_until(lambda: session.state == "connected", "the reconnect")
        sim.faults.silence()  # the account stands still for the session, so that its results can be compared
        positions = session.latest("positions")
        reported = known - set(positions.index)  # by closing trades in the part of the snapshot that was sent
        if share == 0.0:
            assert not lost & reported
        assert not positions.loc[sorted(lost - reported), "confirmed"].any()

        def named_everywhere() -> bool:
            """Return whether all results name the unconfirmed positions. Some messages may still be on their way."""
            count = int((~session.latest("positions")["confirmed"]).sum())
            named = f"{count} position{'' if count == 1 else 's'} not confirmed"
            results = (session.exposure(), session.pnl(), session.reconcile(), session.explain())
            return all((named in repr(result)) == (count > 0) for result in results)

        wait_until(named_everywhere, "all results to name the unconfirmed positions")
        if share == 0.0:
            exposure = session.exposure()
            assert "not confirmed since the gap that ended " in exposure.reasons["gross"]
            assert session.exposure(unconfirmed="exclude").totals["margin"] < exposure.totals["margin"]
        path = session.recording.path if session.recording is not None else tmp_path
        live = session.latest("positions")
    capture = fxlive.open_capture(path)
    assert capture.latest("positions")["confirmed"].to_dict() == live["confirmed"].to_dict()
    with fxlive.replay(path, speed=None, name="again") as replay:
        replay.wait_until_end()
        assert replay.latest("positions")["confirmed"].to_dict() == live["confirmed"].to_dict()

"""Positions and orders that may have ended while the connection was away: marked, named, and left out on request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import fxlive
from tests.capture.recordings import MAY_8
from tests.capture.sessions import SECOND, bring, equal, lose, path_of, started
from tests.handmade import wait_until
from tests.samples import QUOTE, message, wire
from tests.sessions.test_closings import order, position, trade

AWAY = MAY_8 + 10 * SECOND  # 12:30:10
BACK = MAY_8 + 15 * SECOND
LATER = MAY_8 + 20 * SECOND
NAMED = "1 position not confirmed since the gap that ended 12:30:15"


@pytest.fixture
def session(tmp_path: Path) -> Iterator[fxlive.Session]:
    """A recorded session with three positions and two orders from before a gap, of which one of each is confirmed."""
    session = started()
    session.record(tmp_path)
    quote = wire(message(QUOTE, {"id": "q1"}, bid=1.086, ask=1.086))
    opened = [position(0.1, number / 10, ticket=number) for number in (1, 2, 3)]
    bring(session, quote, *opened, order("PENDING", 1), order("PENDING", 2), order("FILLED", 3), at=MAY_8)
    lose(session, AWAY, BACK)
    bring(session, position(0.1, 20, ticket=1), trade(0.05, 20, "CLOSED", ticket=3), at=LATER)
    bring(session, position(0.1, 0.2, ticket=3), at=LATER)  # late: the newest row of 3 is later
    bring(session, order("PENDING", 2).replace(b'"id": "o2"', b'"id": "o9"'), at=LATER)
    yield session
    session.close()


def test_latest_marks_what_no_message_has_confirmed_since_the_gap(session: fxlive.Session) -> None:
    positions, orders = session.latest("positions"), session.latest("orders")
    assert positions["confirmed"].to_dict() == {1: True, 2: False, 3: True}
    assert orders["confirmed"].to_dict() == {"order_001": False, "order_002": True, "order_003": True}  # 3 has ended
    assert positions["confirmed"].dtype == orders["confirmed"].dtype == bool
    assert (positions.attrs["unconfirmed"], orders.attrs["unconfirmed"]) == ([2], ["order_001"])
    assert session.latest("positions", confirmed=False).index.tolist() == [2]
    assert "confirmed" not in session.latest("trades").columns
    assert fxlive.Session.offline().latest("positions")["confirmed"].dtype == bool


def test_a_capture_a_moment_of_it_and_a_replay_have_the_same_marks(session: fxlive.Session) -> None:
    check_capture(session, "positions", "orders")
    capture = fxlive.open_capture(path_of(session))
    assert capture.at(MAY_8_PLUS_5_S).latest("positions")["confirmed"].all()
    assert not capture.at(MAY_8_PLUS_12_S).latest("positions")["confirmed"].any()
    assert capture.pnl().attrs["reasons"] == session.pnl().attrs["reasons"]


def check_capture(session: fxlive.Session, *channels: str) -> None:
    """Check that a capture of a session and its replay have the same `latest` as the session."""
    wait_until(lambda: session.recording is not None and not session.recording.status.waiting, "the disk")
    capture = fxlive.open_capture(path_of(session))
    with fxlive.replay(path_of(session), speed=None, name="again") as replay:
        replay.wait_until_end()
        for channel in channels:
            live = session.latest(channel)
            equal(capture.latest(channel), live)
            equal(replay.latest(channel), live)
            assert capture.latest(channel).attrs["unconfirmed"] == live.attrs["unconfirmed"]


MAY_8_PLUS_5_S, MAY_8_PLUS_12_S = "2014-05-08 12:30:05", "2014-05-08 12:30:12"


def test_every_analysis_that_uses_them_names_them(session: fxlive.Session) -> None:
    pnl, explained, reconciled, exposure = session.pnl(), session.explain(), session.reconcile(), session.exposure()
    assert pnl.attrs["reasons"]["total"] == explained.attrs["reasons"]["change"] == NAMED
    assert exposure.reasons["gross"] == exposure.by_currency.attrs["reasons"]["net"] == NAMED
    assert reconciled.attrs["reasons"] == {"position 2 profit": NAMED}
    assert reconciled.loc["position 2 profit", "note"] == "not confirmed since the last gap"
    returns = session.performance(capital=10_000.0)
    assert NAMED in returns.attrs["reasons"].values()
    for result in (pnl, session.pnl("symbol"), explained, reconciled, exposure, returns):
        assert "1 position not confirmed" in repr(result)
    assert NAMED in exposure._repr_html_()


def test_they_count_unless_they_are_excluded(session: fxlive.Session) -> None:
    assert session.pnl()["unrealized"].iloc[-1] == 25.0
    assert session.pnl(unconfirmed="exclude")["unrealized"].iloc[-1] == 15.0
    assert session.explain()["change"] - session.explain(unconfirmed="exclude")["change"] == 10.0
    assert session.exposure().by_symbol.loc["EURUSD", "net_lots"] == pytest.approx(
        0.25
    )  # a trade has closed a half of one
    excluded = session.exposure(unconfirmed="exclude")
    assert excluded.by_symbol.loc["EURUSD", "net_lots"] == pytest.approx(0.15)
    assert excluded.reasons["gross"] == f"{NAMED}: left out"
    assert session.pnl(unconfirmed="exclude").attrs["reasons"]["total"] == f"{NAMED}: left out"
    assert "position 2 profit" not in session.reconcile(unconfirmed="exclude").index
    for method in (session.pnl, session.explain, session.exposure, session.reconcile):
        with pytest.raises(fxlive.UnknownOption, match="unconfirmed must be include or exclude"):
            method(unconfirmed="never")  # type: ignore[arg-type]


def test_without_a_gap_nothing_is_marked_or_named() -> None:
    session = started()
    bring(session, position(0.1, 0))
    assert session.latest("positions")["confirmed"].all()
    assert "reasons" not in session.pnl().attrs
    assert session.pnl().columns.name is None
    assert not session.exposure().reasons
    session.close()


def test_a_message_that_was_received_before_confirms_too(tmp_path: Path) -> None:
    session = started()
    session.record(tmp_path)
    opened, pending = [position(0.1, 0, ticket=1), position(0.1, 0, ticket=2)], order("PENDING", 1)
    bring(session, *opened, pending, at=MAY_8)
    lose(session, AWAY, BACK)
    assert not session.latest("positions")["confirmed"].any()
    bring(session, opened[0], pending, at=LATER)  # what the platform sends when a channel is subscribed
    assert session.latest("positions")["confirmed"].to_dict() == {1: True, 2: False}
    assert session.latest("orders")["confirmed"].all()
    assert len(session["positions"]) == 2
    check_capture(session, "positions", "orders")
    lose(session, LATER + SECOND, LATER + 2 * SECOND)
    assert not session.latest("positions")["confirmed"].any()
    session.close()


def test_an_older_row_that_comes_late_confirms_too(tmp_path: Path) -> None:
    session = started()
    session.record(tmp_path)
    bring(session, position(0.1, 5, ticket=1), position(0.1, 5, ticket=2), at=MAY_8)
    lose(session, AWAY, BACK)
    bring(session, position(0.3, 4, ticket=1), at=LATER)
    positions = session.latest("positions")
    assert (positions["volume"].tolist(), positions["confirmed"].tolist()) == ([0.1, 0.1], [True, False])
    check_capture(session, "positions")
    session.close()


def test_a_trade_does_not_confirm_because_others_may_be_lost(tmp_path: Path) -> None:
    session = started()
    session.record(tmp_path)
    opening = trade(0.1, 0, "FILLED", "BUY")
    bring(session, opening, position(0.1, 0, ticket=1), position(0.1, 0, ticket=2), at=MAY_8)
    lose(session, AWAY, BACK)
    bring(session, opening, trade(0.05, 20, "CLOSED", ticket=1), at=LATER)  # another of 0.05 may be lost
    assert session.latest("positions").index.tolist() == [1, 2]
    assert not session.latest("positions")["confirmed"].any()
    check_capture(session, "positions")
    session.close()


def test_rows_beyond_the_window_are_marked_too() -> None:
    session = started(max_rows=3)
    bring(session, *(position(0.1, number, ticket=number) for number in range(1, 9)), at=MAY_8)
    lose(session, AWAY, BACK)
    bring(session, position(0.1, 20, ticket=2), at=LATER)
    assert session.latest("positions").query("confirmed").index.tolist() == [2]
    bring(session, *(position(0.1, 21, ticket=9) for _ in range(5)), at=LATER)
    assert session.latest("positions").query("confirmed").index.tolist() == [2, 9]
    session.close()


def test_only_gaps_of_their_channel_mark_positions() -> None:
    session = started()
    bring(session, position(0.1, 0), order("PENDING", 1), at=MAY_8)
    session._pipeline.missed(AWAY, BACK, "lost", ("orders",))
    assert session.latest("positions")["confirmed"].all()
    assert "unconfirmed" not in session.latest("positions").attrs
    assert not session.latest("orders")["confirmed"].any()
    session.close()

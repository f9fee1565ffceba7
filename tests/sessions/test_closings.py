"""Positions and orders that end in other words than CLOSED and FILLED: live, in a capture, and in the figures."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import fxlive
from tests.capture.recordings import MAY_8
from tests.capture.sessions import bring, path_of, recorded, started
from tests.samples import ORDER, POSITION, QUOTE, TRADE, message, stamp, wire

_ids = iter(range(10**9))


def position(volume: float, at_s: float, **data: Any) -> bytes:
    envelope = {"timestamp": stamp(int(at_s * 1e6)), "id": f"s{next(_ids)}"}
    return wire(message(POSITION, envelope, **{"volume": volume, "ticket": 1, **data}))


def trade(volume: float, at_s: float, status: str, action: str = "SELL", profit: float = 0.0, **data: Any) -> bytes:
    number = next(_ids)
    fields = {"volume": volume, "status": status, "action": action, "profit": profit, "ticket": 1, "commission": 0.0}
    envelope = {"timestamp": stamp(int(at_s * 1e6)), "id": f"s{number}"}
    return wire(message(TRADE, envelope, **{**fields, "executionId": f"x{number}", **data}))


def order(status: str | None, number: int) -> bytes:
    envelope = {"timestamp": stamp(number), "id": f"o{number}"}
    return wire(message(ORDER, envelope, orderId=f"order_{number:03}", status=status))


def open_everywhere(folder: Path, *frames: bytes, together: bool = False) -> tuple[list[int], fxlive.Session]:
    """Return the open tickets of a session with these messages, which are those of its capture too."""
    with recorded(folder) as session:
        for number, batch in enumerate([frames] if together else [[frame] for frame in frames]):
            bring(session, *batch, at=MAY_8 + number)
    tickets = session.latest("positions").index.tolist()
    capture = fxlive.open_capture(path_of(session))
    assert capture.latest("positions").index.tolist() == tickets
    assert capture.pnl()["unrealized"].tolist() == session.pnl()["unrealized"].tolist()
    return tickets, session


def test_a_position_closed_in_parts_that_were_rounded_is_closed_in_latest_and_in_pnl(tmp_path: Path) -> None:
    parts = [trade(0.033333, i, "CLOSED") for i in (1, 2, 3)]
    tickets, session = open_everywhere(tmp_path, position(0.1, 0), *parts)
    assert tickets == []
    assert session.pnl()["unrealized"].iloc[-1] == 0.0


def test_a_remainder_above_the_tolerance_stays_open(tmp_path: Path) -> None:
    tickets, session = open_everywhere(tmp_path, position(0.1, 0), trade(0.0999, 1, "CLOSED"))
    assert tickets == [1]
    assert session.pnl()["unrealized"].iloc[-1] == pytest.approx(0.01)


@pytest.mark.parametrize("volume", [5.6e-17, -0.0, 0.000004])
def test_a_position_whose_volume_is_a_rounding_error_is_closed(tmp_path: Path, volume: float) -> None:
    tickets, session = open_everywhere(tmp_path, position(0.3, 0), position(volume, 1))
    assert tickets == []
    assert session.pnl()["unrealized"].iloc[-1] == 0.0
    assert session.exposure().by_symbol.empty


@pytest.mark.parametrize("sign", [1, -1])
def test_the_sign_of_a_volume_does_not_matter(tmp_path: Path, sign: int) -> None:
    frames = [position(-1.0, 0, type="SELL"), trade(sign * 0.3, 1, "CLOSED", "BUY")]
    tickets, session = open_everywhere(tmp_path, *frames)
    assert tickets == [1]
    assert session.pnl()["unrealized"].iloc[-1] == 7.0
    assert session.reconcile().loc["position 1 profit", "ours"] == -100.0  # a lot sold, the price rose by 10 pips
    tickets, session = open_everywhere(tmp_path / "all", *frames, trade(sign * 0.7, 2, "CLOSED", "BUY"))
    assert tickets == []
    assert session.pnl()["unrealized"].iloc[-1] == 0.0


def test_a_sold_position_of_negative_volume_is_sold() -> None:
    with closing(started()) as session:
        bring(session, position(-1.0, 0, type="SELL"))
        assert session.exposure().by_symbol.loc["EURUSD", ["net_lots", "gross_lots"]].tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("with_opening", [True, False])
def test_a_closing_trade_that_is_only_filled_counts_once(tmp_path: Path, with_opening: bool) -> None:
    opening = [trade(0.1, 0, "FILLED", "BUY", commission=1.0)] if with_opening else []
    position_row = position(0.1, 1, profit=100.0, unrealizedPnL=100.0)
    tickets, session = open_everywhere(tmp_path, *opening, position_row, trade(0.1, 2, "FILLED", profit=100.0))
    assert tickets == []
    capture = fxlive.open_capture(path_of(session))
    for readable in (session, capture):
        figures = readable.performance()
        assert (figures["total_trades"], figures["gross_profit"]) == (1, 100.0)
        assert figures["opening_costs"] == (-1.0 if with_opening else 0.0)
        assert readable.pnl()["total"].iloc[-1] == (99.0 if with_opening else 100.0)
        assert readable.explain()["change"] == (99.0 if with_opening else 100.0)


def test_a_netting_position_that_changes_its_side_has_two_closed_trades(tmp_path: Path) -> None:
    frames = [
        trade(1.0, 1, "FILLED", "BUY"),
        position(1.0, 2, type="BUY"),
        trade(2.0, 3, "FILLED", "SELL", 100.0),
        position(1.0, 4, type="SELL"),
        trade(1.0, 5, "FILLED", "BUY", -500.0),
        position(0.0, 6, type="SELL"),
    ]
    tickets, session = open_everywhere(tmp_path, *frames)
    assert tickets == []
    for readable in (session, fxlive.open_capture(path_of(session))):
        figures = readable.performance()
        assert (figures["total_trades"], figures["gross_loss"], figures["opening_costs"]) == (2, -500.0, 0.0)


@pytest.mark.parametrize(
    "status",
    ["CLOSED", "closed", "Closed", "PARTIALLY_CLOSED", "Partially closed", "partially-closed", "partiallyClosed",
     "CLOSE", "CLOSING", "LIQUIDATED", "STOPPED_OUT", "stopped out", "CLOSED_BY_STOP_LOSS", "auto closed",
     "TAKE_PROFIT"],
)  # fmt: skip
def test_a_status_closes_in_every_plausible_wording(tmp_path: Path, status: str) -> None:
    tickets, session = open_everywhere(tmp_path, position(0.1, 0), trade(0.1, 1, status, profit=3.0))
    assert tickets == []
    assert session.performance()["total_trades"] == 1
    assert session.pnl()["total"].iloc[-1] == 3.0
    assert not session.health().unknown_statuses


@pytest.mark.parametrize("status", ["FILLED", "Partially filled", "DONE", "completed", "EXECUTED", None])
@pytest.mark.parametrize(("side", "action"), [("BUY", "SELL"), ("sell", "Buy"), ("LONG", "short")])
def test_an_executed_trade_closes_a_position_of_the_opposite_side_only(
    tmp_path: Path, status: str, side: str, action: str
) -> None:
    frames = [position(0.1, 0, type=side), trade(0.1, 1, status, side)]
    tickets, _ = open_everywhere(tmp_path, *frames)
    assert tickets == [1]
    tickets, session = open_everywhere(tmp_path / "closed", *frames, trade(0.1, 2, status, action))
    assert tickets == []
    assert session.performance()["total_trades"] == 1


@pytest.mark.parametrize("status", ["REJECTED", "Cancelled", "CANCELED", "EXPIRED", "PENDING", "failed"])
def test_a_trade_that_was_not_executed_closes_nothing(tmp_path: Path, status: str) -> None:
    tickets, session = open_everywhere(tmp_path, position(0.1, 0), trade(0.1, 1, status))
    assert tickets == [1]
    assert session.performance()["total_trades"] == 0
    assert not session.health().unknown_statuses


@pytest.mark.parametrize("together", [True, False])
def test_the_position_may_come_after_the_trade_that_closes_it(tmp_path: Path, together: bool) -> None:
    frames = [trade(0.1, 0, "FILLED", "BUY"), trade(0.1, 2, "FILLED"), position(0.1, 1)]
    tickets, _ = open_everywhere(tmp_path, *frames, together=together)
    assert tickets == []


def test_an_order_ends_in_every_plausible_wording_and_an_unknown_one_is_named() -> None:
    ended = [
        "DONE",
        "completed",
        "Canceled",
        "CANCELLED",
        "cancelled_by_user",
        "REJECTED",
        "Expired",
        "FILLED",
        "closed",
    ]
    working = ["PENDING", "partially filled", "Working", "NEW", "CANCEL_REJECTED", None]
    unknown = ["ON_ICE", "ON_ICE", "x" * 1000]
    with closing(started(max_rows=1)) as session:
        bring(session, *(order(status, number) for number, status in enumerate([*ended, *working, *unknown])))
        bring(session, order("PENDING", 999))
        stay = session.latest("orders").index.tolist()
        first = len(ended)
        assert stay == [f"order_{n:03}" for n in [*range(first, first + len(working) + len(unknown)), 999]]
        assert session.health().unknown_statuses == {"orders": {"ON_ICE": 2, "x" * 64: 1}}
        assert "ON_ICE" in repr(session.health())


def test_a_trade_of_unknown_status_is_named_and_its_position_stays(tmp_path: Path) -> None:
    tickets, session = open_everywhere(tmp_path, position(0.1, 0), trade(0.1, 1, "ON_ICE"))
    assert tickets == [1]
    assert session.health().unknown_statuses == {"trades": {"ON_ICE": 1}}


def test_the_number_of_unknown_statuses_is_bounded() -> None:
    with closing(started()) as session:
        bring(session, *(order(f"ODD{number}", number) for number in range(500)))
        unknown = session.health().unknown_statuses["orders"]
        assert len(unknown) == 101
        assert sum(unknown.values()) == 500


@pytest.mark.parametrize(
    ("trades", "lots"),
    [
        ([(0.3, "CLOSED")], 0.7),
        ([(0.3, "Partially closed"), (-0.2, "FILLED")], 0.5),
        ([(0.3, "REJECTED")], 1.0),
        ([], 1.0),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_exposure_counts_what_closing_trades_have_left_as_pnl_does(
    tmp_path: Path, trades: list[tuple[float, str]], lots: float, sign: int
) -> None:
    quote = wire(message(QUOTE, {"timestamp": stamp(0)}, symbol="EURUSD"))
    other = position(0.5, 0, ticket=2, margin=200.0, marginLevel=1000.0)
    frames = [quote, other, position(sign * 1.0, 1, unrealizedPnL=50.0, margin=100.0, marginLevel=2000.0)]
    frames += [trade(volume, 2 + n, status) for n, (volume, status) in enumerate(trades)]
    tickets, session = open_everywhere(tmp_path, *frames)
    assert tickets == [1, 2]
    assert session.latest("positions").loc[1, "volume"] == sign * 1.0  # the platform's row as it is
    capture = fxlive.open_capture(path_of(session))
    for readable in (session, capture):
        exposure = readable.exposure()
        unrealized = readable.latest("positions").loc[2, "unrealized_pnl"] + 50.0 * lots
        assert exposure.by_symbol.loc["EURUSD", "net_lots"] == pytest.approx(0.5 + lots)
        assert exposure.totals["unrealized"] == pytest.approx(unrealized)
        assert exposure.totals["unrealized"] == pytest.approx(readable.pnl()["unrealized"].iloc[-1])
        assert exposure.totals["margin"] == pytest.approx(200.0 + 100.0 * lots)
        assert exposure.totals["equity"] == pytest.approx(6_000.0)  # closing a part does not change it
        left = {} if lots == 1.0 else {1: pytest.approx(lots)}
        assert exposure.partly_closed == exposure.by_symbol.attrs.get("partly_closed", {}) == left
        assert ("of 1 partly closed position the rest counts" in repr(exposure)) == bool(left)


def test_the_next_row_of_a_partly_closed_position_counts_as_it_is(tmp_path: Path) -> None:
    frames = [position(1.0, 0), trade(0.3, 1, "CLOSED"), position(0.7, 2)]
    _, session = open_everywhere(tmp_path, wire(message(QUOTE, {"timestamp": stamp(0)})), *frames)
    exposure = session.exposure()
    assert exposure.by_symbol.loc["EURUSD", "net_lots"] == pytest.approx(0.7)
    assert exposure.partly_closed == {}

"""Timestamps far ahead of the stream: a capture gives the same result as the live session, and so does its replay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest

import fxlive
from tests.capture.recordings import MAY_8
from tests.capture.sessions import SECOND, bring, equal, path_of, recorded
from tests.samples import ORDER, POSITION, QUOTE, SYSTEM, TRADE, message, wire

HOUR, YEAR = 3_600 * SECOND, 31_536_000 * SECOND


def stamp(micros: int) -> str:
    """Return the time so many microseconds after May 8."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=MAY_8 + micros)).isoformat()


def quote(second: int, bid: float, symbol: str = "EURUSD", ahead: int = 0) -> bytes:
    envelope = {"timestamp": stamp(second * SECOND + ahead), "id": f"{second} {symbol} {bid}"}
    return wire(message(QUOTE, envelope, symbol=symbol, bid=bid))


def position(second: float, ticket: int, volume: float, ahead: int = 0) -> bytes:
    envelope = {"timestamp": stamp(int(second * SECOND) + ahead), "id": f"p{second} {ticket} {volume} {ahead}"}
    return wire(message(POSITION, envelope, ticket=ticket, volume=volume, symbol="EURUSD"))


def closing_trade(second: float, ticket: int, volume: float) -> bytes:
    envelope = {"timestamp": stamp(int(second * SECOND)), "id": f"t{second} {ticket}"}
    data = {"ticket": ticket, "volume": volume, "status": "CLOSED", "executionId": f"x{second}"}
    return wire(message(TRADE, envelope, **data))


def assert_alike(session: fxlive.Session, source: fxlive.Session | fxlive.Capture, *channels: str) -> None:
    for channel in channels:
        equal(source.latest(channel), session.latest(channel))
        for last in ("5min", "90min"):
            equal(source.frame(channel, last=last), session.frame(channel, last=last))


def replayed(path: Path) -> fxlive.Replay:
    replay = fxlive.replay(path, speed=None)
    replay.wait_until_end(timeout=60)
    return replay


def test_last_ignores_a_quote_an_hour_ahead_live_captured_and_replayed(tmp_path: Path) -> None:
    with recorded(tmp_path) as session:
        for n in range(600):
            bring(session, quote(n, 1.0 + n), at=MAY_8 + n * SECOND)
            if n == 0:
                bring(session, quote(0, 9.99, ahead=HOUR), at=MAY_8)
    assert session.frame("market-data", last="5min")["bid"].tolist() == [1.0 + n for n in range(299, 600)]
    assert session.latest("market-data")["bid"].tolist() == [600.0]
    assert session.health().time_outliers == 1
    assert session.health().channels.loc["market-data", "time_outliers"] == 1
    capture = fxlive.open_capture(path_of(session))
    assert_alike(session, capture, "market-data")
    assert_alike(session, capture.at(pd.Timestamp(MAY_8 + 700 * SECOND, unit="us", tz="UTC")), "market-data")
    assert len(capture.frame("market-data")) == 601
    with replayed(path_of(session)) as replay:
        assert_alike(session, replay, "market-data")
        assert replay.health().time_outliers == 1


@pytest.mark.parametrize("seed", range(8))
def test_a_capture_agrees_with_the_session_whatever_the_timestamps(tmp_path: Path, seed: int) -> None:
    rng = Random(seed)
    with recorded(tmp_path) as session:
        bring(session, *(quote(0, 1.0, s) for s in ("EURUSD", "USDJPY", "GBPUSD")), at=MAY_8)
        for n in range(1, 400):
            ahead = rng.choice([HOUR, YEAR, 3 * 60 * SECOND]) if rng.random() < 0.1 else 0
            symbol = rng.choice(["EURUSD", "EURUSD", "USDJPY", "GBPUSD", f"X{n % 40}"])
            late = rng.choice([0, 0, 0, 5, 4_000])
            frames = [quote(n - late, n, symbol, ahead)]
            if symbol == "GBPUSD" and seed % 2:
                frames = [quote(n, n, symbol, 5 * HOUR)]
            order = message(ORDER, {"timestamp": stamp(n * SECOND + ahead)}, orderId=f"o{n % 7}", price=n)
            system = message(SYSTEM, {"timestamp": stamp(n * SECOND + ahead)}, status=f"S{n}")
            bring(session, *frames, wire(order), wire(system), at=MAY_8 + n * SECOND)
        bring(session, *(quote(400, 400.0, s) for s in ("EURUSD", "USDJPY")), at=MAY_8 + 400 * SECOND)
    assert session.health().time_outliers > 0
    assert_alike(session, fxlive.open_capture(path_of(session)), "market-data", "orders", "system")
    with replayed(path_of(session)) as replay:
        assert_alike(session, replay, "market-data", "orders", "system")


def test_the_end_of_a_long_capture_needs_only_its_last_rows(tmp_path: Path) -> None:
    with recorded(tmp_path) as session:
        for start in range(0, 120_000, 20_000):
            numbers = np.arange(start, start + 20_000)
            frames = [quote(int(n) // 100, float(n), ahead=YEAR if n == 110_000 else 0) for n in numbers]
            bring(session, *frames, at=MAY_8 + start // 100 * SECOND)
    capture = fxlive.open_capture(path_of(session))
    assert_alike(session, capture, "market-data")
    assert capture.frame("market-data", last="1s")["bid"].max() == 119_999.0


@pytest.mark.parametrize("between", [1_500, 70_000])
def test_a_good_row_far_back_returns_after_a_jump_was_corrected(tmp_path: Path, between: int) -> None:
    """A wrong first hour is trusted, until more messages contradict it. By then the good rows of a key are far back."""
    with recorded(tmp_path) as session:
        bring(session, quote(0, 1.0, "GBPUSD"), quote(0, 2.0, "USDJPY"), quote(0, 3.0, "GBPUSD"), at=MAY_8)
        old = [wire(message(ORDER, {"timestamp": stamp(0)}, orderId=f"o{n}", price=n)) for n in range(3)]
        system = [wire(message(SYSTEM, {"timestamp": stamp(0)}, status="GOOD"))]
        bring(session, *old, *system, at=MAY_8)
        many = [
            (quote(1, float(n)), wire(message(ORDER, {"timestamp": stamp(SECOND)}, orderId="other", price=n)))
            for n in range(between)
        ]
        for start in range(0, between, 500):
            bring(session, *(frame for pair in many[start : start + 500] for frame in pair), at=MAY_8 + SECOND)
        wrong = [quote(2, 9.0 + n, symbol, ahead=YEAR) for n in range(2) for symbol in ("GBPUSD", "USDJPY", "NEW")]
        ahead = {"timestamp": stamp(YEAR)}
        wrong += [wire(message(ORDER, ahead, orderId=f"o{n}", price=9.0)) for n in (0, 1, 2, 0)]
        wrong += [wire(message(SYSTEM, ahead, status="WRONG"))] * 4
        bring(session, *wrong, at=MAY_8 + 2 * SECOND)
        assert session.latest("market-data").loc["GBPUSD", "bid"] == 10.0  # confirmed
        for n in range(40):
            right = message(ORDER, {"timestamp": stamp((n + 3) * SECOND)}, orderId="other", price=n)
            good = message(SYSTEM, {"timestamp": stamp((n + 3) * SECOND)}, status="GOOD")
            bring(session, quote(n + 3, 5.0), wire(right), wire(good), at=MAY_8 + (n + 3) * SECOND)
        latest = session.latest("market-data")["bid"]
        assert latest[["GBPUSD", "USDJPY"]].tolist() == [3.0, 2.0]
        assert session.latest("orders").loc[["o0", "o1", "o2"], "price"].tolist() == [0.0, 1.0, 2.0]
        assert session.latest("system").reset_index()["status"].tolist() == ["GOOD"]
    assert_alike(session, fxlive.open_capture(path_of(session)), "market-data", "orders", "system")
    with replayed(path_of(session)) as replay:
        assert_alike(session, replay, "market-data", "orders", "system")


def test_a_wrong_first_message_does_not_come_back_when_time_reaches_it(tmp_path: Path) -> None:
    with recorded(tmp_path) as session:
        bring(session, quote(0, 9.99, ahead=600 * SECOND), position(0, 1, 7.0, ahead=600 * SECOND), at=MAY_8)
        for n in range(1, 700):
            symbol, bid, ticket, volume = ("EURUSD", 1.08, 1, 0.3) if n < 10 else ("GBPUSD", 1.25, 2, 0.2)
            bring(session, quote(n, bid, symbol), position(n, ticket, volume), at=MAY_8 + n * SECOND)
    capture = fxlive.open_capture(path_of(session))
    with replayed(path_of(session)) as replay:
        for source in (session, capture, replay):
            assert source.latest("market-data")["bid"].to_dict() == {"EURUSD": 1.08, "GBPUSD": 1.25}
            assert source.latest("positions")["volume"].to_dict() == {1: 0.3, 2: 0.2}
            assert source.exposure().by_symbol["net_lots"].to_dict() == {"EURUSD": pytest.approx(0.5)}
            assert_alike(session, source, "market-data", "positions")


def test_bars_leave_out_a_wrong_first_quote_for_good(tmp_path: Path) -> None:
    with recorded(tmp_path) as session:
        bring(session, quote(0, 9.99, ahead=600 * SECOND), at=MAY_8)
        for n in range(1, 700):
            bring(session, quote(n, 1.08), at=MAY_8 + n * SECOND)
    with replayed(path_of(session)) as replay:
        for source in (session, fxlive.open_capture(path_of(session)), replay):
            assert source.bars("EURUSD", "1min")["high"].max() < 1.1


def test_an_order_of_a_corrected_jump_stays_corrected_when_others_confirm_that_time(tmp_path: Path) -> None:
    def order(key: str, status: str, second: float) -> bytes:
        envelope = {"timestamp": stamp(int(second * SECOND)), "id": f"{key} {second}"}
        return wire(message(ORDER, envelope, orderId=key, status=status))

    day = 86_400.0
    with recorded(tmp_path) as session:
        bring(session, order("first", "PENDING", 0), at=MAY_8)
        bring(session, order("wrong", "PENDING", day), at=MAY_8 + 10 * SECOND)  # taken at once: the second message
        bring(session, order("wrong", "CANCELLED", 2), order("third", "PENDING", 0), at=MAY_8 + 24 * SECOND)
        bring(session, *(order("next", "DONE", day + 18 + n) for n in range(3)), at=MAY_8 + 120 * SECOND)
    assert session.latest("orders").loc["wrong", "status"] == "CANCELLED"
    assert_alike(session, fxlive.open_capture(path_of(session)), "orders")
    with replayed(path_of(session)) as replay:
        assert_alike(session, replay, "orders")


@pytest.mark.parametrize("ended_by", ["trades", "volume"])
def test_one_outlier_does_not_reopen_a_closed_position(tmp_path: Path, ended_by: str) -> None:
    with recorded(tmp_path) as session:
        bring(session, quote(0, 1.1), *(position(n / 10, 9, 0.2) for n in range(5)), position(1, 1, 0.1), at=MAY_8)
        closing = closing_trade(2, 1, 0.1) if ended_by == "trades" else position(2, 1, 0.0)
        bring(session, closing, at=MAY_8 + 2 * SECOND)
        bring(session, position(3, 1, 0.1, ahead=5 * HOUR), at=MAY_8 + 3 * SECOND)
        bring(session, *(position(4 + n / 10, 9, 0.2) for n in range(5)), at=MAY_8 + 4 * SECOND)
    with replayed(path_of(session)) as replay:
        for source in (session, fxlive.open_capture(path_of(session)), replay):
            assert source.latest("positions").index.tolist() == [9]
            assert source.exposure().by_symbol["net_lots"].to_dict() == {"EURUSD": pytest.approx(0.2)}


@pytest.mark.parametrize("seed", range(8))
def test_positions_with_outliers_that_time_reaches_are_the_same_live_captured_and_replayed(
    tmp_path: Path, seed: int
) -> None:
    """From the first message on, some are minutes ahead, and trades close positions."""
    rng = Random(seed)
    with recorded(tmp_path) as session:
        for n in range(900):
            ahead = rng.choice([100, 400, 5 * 3_600]) * SECOND if n == 0 or rng.random() < 0.1 else 0
            ticket = rng.randrange(n % 300 // 50 + 1)
            frames = [quote(n, n, rng.choice(["EURUSD", f"X{ticket}"]), ahead)]
            if rng.random() < 0.3:
                frames.append(closing_trade(n, ticket, 0.2))
            else:
                frames.append(position(n - rng.choice([0, 0, 5]), ticket, rng.choice([0.0, 0.1, 0.2, 0.3]), ahead))
            bring(session, *frames, at=MAY_8 + n * SECOND)
    capture = fxlive.open_capture(path_of(session))
    assert_alike(session, capture, "market-data", "positions")
    equal(capture.bars("EURUSD", "1min"), session.bars("EURUSD", "1min"))
    with replayed(path_of(session)) as replay:
        assert_alike(session, replay, "market-data", "positions")

"""Positions that leave `latest` because closing trades cover their volume."""

from __future__ import annotations

import random
import tracemalloc
from typing import Any

import pytest

from fxlive.tables.open_rows import closings
from fxlive.tables.open_rows.closings import MAX_CLOSED_TICKETS, Closings
from fxlive.tables.store import Store
from fxlive.wire.statuses import Side
from tests.samples import POSITION, TRADE, message, stamp
from tests.tables.rows import Feed


def position(volume: float | None, at: int, ticket: int = 1) -> dict[str, Any]:
    return message(POSITION, {"timestamp": stamp(at)}, ticket=ticket, volume=volume)


def closing(
    volume: float | None, at: int, execution: str = "e1", ticket: int | None = 1, status: str = "CLOSED"
) -> dict[str, Any]:
    return message(TRADE, {"timestamp": stamp(at)}, ticket=ticket, volume=volume, executionId=execution, status=status)


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one by one"])
@pytest.mark.parametrize(
    ("messages", "is_open"),
    [
        ([position(1.0, 0)], True),
        ([position(1.0, 0), position(0, 1)], False),
        ([position(1.0, 0), closing(1.0, 1)], False),
        ([position(1.0, 0), closing(0.4, 1), closing(0.6, 2, "e2")], False),
        ([position(0.3, 0), closing(0.1, 1), closing(0.2, 2, "e2")], False),
        ([position(1.0, 0), closing(0.4, 1)], True),
        ([position(1.0, 0), closing(0.4, 1), position(0.6, 2)], True),
        ([position(1.0, 0), closing(0.4, 1), position(0.6, 2), closing(0.6, 3, "e2")], False),
        ([position(1.0, 0), closing(0.4, 1), position(0.6, 1), closing(0.4, 2, "e2")], True),
        ([position(1.0, 1), closing(1.0, 1)], True),  # equal timestamps: the row states the remaining volume
        ([closing(1.0, 1), position(1.0, 1)], True),
        ([position(0.1, 0), position(0.03, 1), closing(0.07, 1)], True),
        ([position(0.1, 0), position(0.03, 1), closing(0.07, 1), closing(0.03, 2, "e2")], False),
        ([position(0.03, 5), position(0.1, 4), closing(0.07, 5)], True),  # the older row is late
        ([position(1.0, 5), closing(0.4, 6), position(0, 3), closing(0.6, 7, "e2")], False),
        ([closing(1.0, 2), position(1.0, 1)], False),
        ([closing(0.5, 2), position(1.0, 1)], True),
        ([closing(0.5, 2), position(1.0, 1), closing(0.5, 3, "e2")], False),
        ([closing(1.0, 1), position(1.0, 2)], True),
        ([position(1.0, 0), closing(1.0, 1, ticket=2)], True),
        ([position(1.0, 0), closing(1.0, 1, ticket=None)], True),
        ([position(1.0, 0), closing(1.0, 1, status="FILLED")], True),
        ([position(1.0, 0), closing(None, 1)], True),
        ([position(None, 0), closing(1.0, 1)], True),
        ([position(1.0, 0), closing(1.0, 1), position(1.0, 2)], True),
        ([position(1.0, 0), position(0, 1), position(1.0, 2)], True),
        ([position(1.0, 0), position(0, 2), position(1.0, 1)], False),
        ([position(0, 2), position(1.0, 1)], False),
        ([position(1.0, 0), closing(1.0, 2), position(0.5, 1)], False),
        ([position(1.0, 0), closing(1.0, 1), closing(1.0, 1)], False),
        ([position(1.0, 0), closing(0.5, 1), closing(0.5, 2)], True),
        ([position(1.0, 0), closing(0.5, 1), closing(1.0, 2)], False),
        ([position(1.0, 0), closing(0.5, 1), position(0.5, 2), closing(0.5, 3)], True),
        ([position(1.0, 0), closing(0.5, 1), position(0.5, 2), closing(0.5, 3), closing(0.5, 4, "e2")], False),
    ],
)
def test_closing_trades_after_the_last_row_of_a_position_close_it_if_they_cover_its_volume(
    feed: Feed, messages: list[dict[str, Any]], is_open: bool, together: bool
) -> None:
    if together:
        feed.send(*messages)
    else:
        for single in messages:
            feed.send(single)

    assert feed.open_tickets() == ([1] if is_open else [])


def test_a_position_beyond_the_window_is_closed_by_trades_too() -> None:
    feed = Feed(Store(max_rows=2))
    feed.send(position(1.0, 0), position(1.0, 1, ticket=2))
    feed.send(*(position(1.0, 2 + i, ticket=2) for i in range(10)))
    assert feed.open_tickets() == [1, 2]
    feed.send(closing(1.0, 20))

    assert feed.open_tickets() == [2]


def test_closing_trades_close_only_their_own_position(feed: Feed) -> None:
    feed.send(*(position(t / 10, 0, ticket=t) for t in range(1, 6)))
    feed.send(*(closing(0.3, 1, f"e{t}", ticket=t) for t in range(1, 6)))

    assert feed.open_tickets() == [4, 5]


def test_the_number_of_remembered_closed_tickets_is_bounded(feed: Feed) -> None:
    for start in range(0, 2 * MAX_CLOSED_TICKETS, 4_000):
        tickets = range(start, start + 4_000)
        feed.send(*(position(1.0, 0, ticket=t) for t in tickets))
        feed.send(*(position(0, 1, ticket=t) if t % 2 else closing(1.0, 1, f"e{t}", ticket=t) for t in tickets))
    feed.send(*(closing(1.0, 1, f"x{t}", ticket=-t) for t in range(MAX_CLOSED_TICKETS + 5)))

    assert feed.open_tickets() == []
    assert len(feed.store._closings) <= MAX_CLOSED_TICKETS


def closed_lots(reports: list[Any], at: int, side: int) -> float:
    """Return the volume closed after a time, from (execution, time, volume, status, side), in the order of arrival."""
    first: dict[str, Any] = {}
    for execution, time, volume, status, trade_side in reports:
        closed, executed, known_side, largest = first.get(execution, (None, None, 0, 0.0))
        if status == "CLOSED" and closed is None:
            closed = time
        if status == "FILLED" and executed is None:
            executed, known_side = time, trade_side
        first[execution] = closed, executed, known_side, max(largest, volume)
    side = side or next((known_side for _, _, known_side, _ in first.values() if known_side), 0)
    total = 0.0
    for closed, executed, known_side, volume in first.values():
        times = [closed, executed if side and known_side == -side else None]
        total += (
            volume if any(time is not None for time in times) and min(t for t in times if t is not None) > at else 0
        )
    return total


@pytest.mark.parametrize("seed", range(40))
def test_what_closes_a_position_does_not_depend_on_the_order_of_questions(seed: int) -> None:
    pick, trades, reports, at = random.Random(seed), Closings(), [], 0
    for now in range(80):
        side = pick.choice([1, -1])
        time = pick.choice([now, now, pick.randrange(now + 1)])
        report = (
            f"e{pick.randrange(15)}",
            time,
            pick.choice([0.25, 0.5, 1.0]),
            pick.choice(["FILLED", "CLOSED"]),
            side,
        )
        reports.append(report)
        trades.add(7, *report[:4], "BUY" if side > 0 else "SELL")
        at = pick.choice([at, at, now - 3, pick.randrange(now + 1)])
        asked: Side = pick.choice([1, -1, 0])
        closed = closed_lots(reports, at, asked)
        assert trades.cover(7, at, closed, asked) is (closed > 0)
        assert not trades.cover(7, at, closed + 0.25, asked)


@pytest.mark.parametrize("rows", [False, True], ids=["trades only", "a row after each trade"])
def test_a_trade_of_a_netting_position_costs_the_same_after_many_executions(
    rows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def count(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        return closes_at(*args)

    closes_at = closings._Execution.closes_at
    monkeypatch.setattr(closings._Execution, "closes_at", count)
    trades = Closings()
    for number in range(3_000):  # the position is bought and sold again and again
        side: Side = 1 if number // 100 % 2 else -1
        trades.add(7, f"e{number}", number, 1.0, "FILLED", "BUY" if number % 2 else "SELL")
        assert not trades.cover(7, number - 1 if rows else -1, 1e6, side)
    assert calls <= 3 * 3_000


def test_long_execution_ids_take_no_memory_and_still_count_once() -> None:
    trades, long = Closings(), "e" * 10_000
    tracemalloc.start()
    for number in range(2_000):
        trades.add(number % 50, f"{number}{long}", 1, 0.25, "CLOSED", "SELL")
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 5_000_000  # 20 MB of ids
    trades.add(99, f"1{long}", 1, 0.25, "CLOSED", "SELL")
    trades.add(99, f"1{long}", 2, 0.25, "CLOSED", "SELL")
    assert not trades.cover(99, 0, 0.5, 1)
    trades.add(99, f"2{long}", 2, 0.25, "CLOSED", "SELL")
    assert trades.cover(99, 0, 0.5, 1)

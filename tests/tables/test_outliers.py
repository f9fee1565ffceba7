"""Timestamps far ahead of the stream: their rows are kept and counted, and do not win `latest` or move the window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fxlive.tables.table import RollingTable
from fxlive.wire.channels import CHANNELS
from fxlive.wire.protocol import decode
from tests.samples import POSITION, QUOTE, SYSTEM, T0_US, message, wire

SECOND, MINUTE, HOUR, YEAR = 1_000_000, 60_000_000, 3_600_000_000, 31_536_000_000_000


def stamp(micros: int) -> str:
    return (datetime(2024, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).isoformat()


def quote(second: int, bid: float, symbol: str = "EURUSD", ahead: int = 0) -> tuple[int, bytes]:
    """Return the time of receipt and a quote."""
    return second * SECOND, wire(message(QUOTE, {"timestamp": stamp(second * SECOND + ahead)}, symbol=symbol, bid=bid))


def position(second: int, ticket: int, volume: float = 1.0, ahead: int = 0) -> tuple[int, bytes]:
    envelope = {"timestamp": stamp(second * SECOND + ahead)}
    return second * SECOND, wire(message(POSITION, envelope, ticket=ticket, volume=volume))


def fill(table: RollingTable, *messages: tuple[int, bytes]) -> RollingTable:
    for at, raw in messages:
        (rows,) = decode([raw], T0_US + at).rows.values()
        table.append(rows)
    return table


def quotes(**bounds: Any) -> RollingTable:
    return RollingTable(CHANNELS["market-data"], **bounds)


@pytest.mark.parametrize("ahead", [2 * MINUTE, HOUR, YEAR])
def test_latest_and_the_window_ignore_a_timestamp_far_ahead_of_the_stream(ahead: int) -> None:
    table = quotes(window_us=15 * MINUTE)
    fill(table, *(quote(n, 1.0 + n) for n in range(60)), quote(60, 9.99, ahead=ahead))
    assert table.latest()["bid"].tolist() == [60.0]
    fill(table, *(quote(n, 1.0 + n) for n in range(61, 601)))
    assert (len(table), table.progress.outliers, table.latest()["bid"].tolist()) == (601, 1, [601.0])
    assert table.frame()["bid"].iloc[60] == 9.99  # the row is kept
    fill(table, *(quote(n, 1.0 + n) for n in range(601, 1_500)))
    assert table.frame()["bid"].tolist() == [1.0 + n for n in range(599, 1_500)]  # and leaves with its neighbours


def test_every_row_of_the_first_15_minutes_is_in_the_window_when_the_first_message_was_wrong() -> None:
    table = quotes(window_us=15 * MINUTE)
    fill(table, quote(0, 9.99, ahead=YEAR))
    assert table.latest()["bid"].tolist() == [9.99]  # nothing contradicts it yet
    fill(table, *(quote(n, 1.0 + n) for n in range(1, 4)))
    assert table.latest()["bid"].tolist() == [4.0]
    fill(table, *(quote(n, 1.0 + n) for n in range(4, 600)))
    assert (len(table), table.progress.outliers, table.latest()["bid"].tolist()) == (600, 1, [600.0])


def test_a_wrong_first_message_of_one_symbol_gives_way_to_rows_that_came_before_it_was_contradicted() -> None:
    table = quotes()
    fill(table, quote(0, 9.99, ahead=YEAR), quote(1, 1.1), quote(2, 1.2), quote(3, 7.0, "USDJPY"))
    assert table.latest()["bid"].to_dict() == {"EURUSD": 1.2, "USDJPY": 7.0}


def test_one_symbols_outlier_does_not_stay_latest_of_that_symbol() -> None:
    table = quotes()
    for n in range(60):
        fill(table, quote(n, 1.0, "EURUSD"), quote(n, 2.0, "USDJPY"))
    fill(table, quote(60, 9.99, "USDJPY", HOUR))
    assert table.latest()["bid"].to_dict() == {"EURUSD": 1.0, "USDJPY": 2.0}
    fill(table, quote(61, 1.5, "EURUSD"), quote(61, 2.5, "USDJPY"))
    assert table.latest()["bid"].to_dict() == {"EURUSD": 1.5, "USDJPY": 2.5}


def test_a_symbol_whose_only_row_is_an_outlier_shows_it_until_it_has_another() -> None:
    table = quotes()
    fill(table, *(quote(n, 1.0) for n in range(10)), quote(10, 9.99, "USDJPY", HOUR), quote(11, 1.0))
    assert table.latest()["bid"].to_dict() == {"EURUSD": 1.0, "USDJPY": 9.99}
    fill(table, quote(12, 2.0, "USDJPY"))
    assert table.latest()["bid"].to_dict() == {"EURUSD": 1.0, "USDJPY": 2.0}


def test_a_symbol_whose_clock_stays_ahead_is_followed_after_three_messages() -> None:
    table = quotes()
    for n in range(10):
        fill(table, quote(n, 1.0 + n, "EURUSD"), quote(n, 1.0 + n, "USDJPY", HOUR if n >= 5 else 0))
        assert table.latest()["bid"].to_dict() == {"EURUSD": 1.0 + n, "USDJPY": 5.0 if n in (5, 6) else 1.0 + n}
    assert table.progress.outliers == 5
    fill(table, quote(10, 20.0, "USDJPY"))
    assert table.latest().loc["USDJPY", "bid"] == 20.0


def test_a_confirmed_jump_moves_latest_and_the_window_and_readers_begin_again() -> None:
    table = quotes(window_us=15 * MINUTE)
    fill(table, *(quote(n, 1.0, s) for n in range(60) for s in ("EURUSD", "USDJPY")))
    cursor = table.moves(None, 100).cursor
    clearings = table.clearings
    fill(table, quote(60, 5.0, "EURUSD", 48 * HOUR), quote(61, 6.0, "USDJPY", 48 * HOUR))
    assert (table.latest()["bid"].tolist(), table.clearings) == ([1.0, 1.0], clearings)
    fill(table, quote(62, 7.0, "USDJPY", 48 * HOUR))
    assert table.latest()["bid"].to_dict() == {"EURUSD": 5.0, "USDJPY": 7.0}
    assert (len(table), table.progress.outliers, table.clearings) == (3, 0, clearings + 1)
    moves = table.moves(cursor, 100)
    assert (moves.whole, list(moves.changed)) == (True, ["EURUSD", "USDJPY"])


def test_a_closing_with_a_timestamp_far_ahead_does_not_close_the_position_for_good() -> None:
    table = RollingTable(CHANNELS["positions"])
    fill(table, *(position(n, 7) for n in range(10)), position(10, 7, 0.0, HOUR))
    assert table.latest()["volume"].tolist() == [1.0]
    fill(table, position(11, 7, 0.5))
    assert table.latest()["volume"].tolist() == [0.5]
    fill(table, position(12, 7, 0.0))
    assert table.latest().empty


def test_a_position_that_was_first_reported_closed_far_ahead_can_be_reported_again() -> None:
    table = RollingTable(CHANNELS["positions"])
    fill(table, *(position(n, 7) for n in range(10)), position(10, 8, 0.0, HOUR), position(11, 8, 2.0))
    assert table.latest()["volume"].to_dict() == {7: 1.0, 8: 2.0}


def test_the_status_of_the_system_ignores_a_timestamp_far_ahead() -> None:
    table = RollingTable(CHANNELS["system"])
    messages = [(n * SECOND, wire(message(SYSTEM, {"timestamp": stamp(n * SECOND)}, status=f"S{n}"))) for n in range(5)]
    wrong = (5 * SECOND, wire(message(SYSTEM, {"timestamp": stamp(YEAR)}, status="wrong")))
    assert fill(table, *messages, wrong).latest().index.tolist() == ["S4"]


def test_a_window_without_a_trusted_row_keeps_the_newest_rows() -> None:
    table = quotes(max_rows=1, window_us=15 * MINUTE)
    fill(table, *(quote(n, 1.0) for n in range(10)), quote(10, 9.99, ahead=YEAR))
    assert table.frame()["bid"].tolist() == [9.99]
    fill(table, quote(11, 2.0))
    assert table.frame()["bid"].tolist() == [2.0]


def test_a_cleared_table_has_no_time() -> None:
    table = fill(quotes(), *(quote(n, 1.0, ahead=YEAR) for n in range(10)))
    table.clear()
    assert fill(table, quote(0, 2.0)).latest()["bid"].tolist() == [2.0]
    assert table.progress.outliers == 0


@pytest.mark.parametrize("at", [0, 100])
def test_an_outlier_is_not_drawn_and_leaves_the_window_with_its_neighbours_when_time_has_reached_it(at: int) -> None:
    table = quotes(window_us=15 * MINUTE)
    for n in range(1_100):
        fill(table, quote(n, 9.99, ahead=10 * MINUTE) if n == at else quote(n, 1.0))
        stop, (stamps, bids) = table.values(None, "timestamp", "bid")
        if n > at + 3:
            assert bids[table.are_drawn(stamps, stop, "EURUSD")].max() == 1.0
        assert len(table) <= 902
    assert table.frame()["bid"].max() == 1.0


def test_a_late_row_gives_way_to_the_row_before_a_run_of_outliers() -> None:
    table = quotes()
    fill(table, *(quote(n, 1.0 + n) for n in range(100)), quote(100, 5.5, "USDJPY"))
    fill(table, *(message for n in range(101, 105) for message in (quote(n, 9.9, "USDJPY", HOUR), quote(n, 1.0))))
    assert table.latest().loc["USDJPY", "bid"] == 9.9
    fill(table, quote(50, 4.4, "USDJPY"))
    assert table.latest().loc["USDJPY", "bid"] == 5.5


def test_a_position_closed_by_a_corrected_jump_is_open_again() -> None:
    table = RollingTable(CHANNELS["positions"])
    fill(table, *(position(n, 7) for n in range(5)), position(5, 8, 2.0))
    fill(table, position(6, 8, 0.0, YEAR), *(position(6, 7, 1.0, YEAR) for _ in range(3)))
    assert table.latest()["volume"].to_dict() == {7: 1.0}
    fill(table, *(position(n, 7, 0.5) for n in range(7, 20)))
    assert table.latest()["volume"].to_dict() == {7: 0.5, 8: 2.0}

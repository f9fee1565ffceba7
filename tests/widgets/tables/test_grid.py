"""The kernel's side of the grid: rows sent to the page, their values, and how little is sent."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import numpy as np
import pandas as pd
import pytest

import fxlive
from fxlive.tables.selection import select
from fxlive.widgets.tables.grid import MOST_ROWS_A_TICK, Grid, grid
from fxlive.wire.messages import Kind
from tests.samples import ORDER, POSITION, QUOTE, SYSTEM, TRADE, message
from tests.widgets.kernel_side import ManualRefresher, Platform, send_from_view
from tests.widgets.recording_comm import RecordedPage

NAMES = {Kind.SYMBOL, Kind.CODE}


class GridView:
    """A grid, and a view of it with only the rows that were sent to it."""

    def __init__(self, platform: Platform, page: RecordedPage, channel: str, view: str = "a", **options: Any) -> None:
        self.refresher, self.page, self.view = ManualRefresher(), page, view
        self.grid: Grid = grid(platform.pipeline, "test", channel, refresher=self.refresher, **options)
        self.read = len(page.sent)
        self.rows: dict[float, dict[str, Any]] = {}
        self.names: dict[int, str] = {}
        self.content: dict[str, Any] = {}
        send_from_view(self.grid, "snapshot", view)
        self.tick()

    def tick(self) -> int:
        """Refresh the grid. Return the number of rows received."""
        self.refresher.tick()
        received = 0
        for part in self.page.parts(self.grid, self.read):
            content, buffers = part.content, part.buffers
            if content.get("v", self.view) != self.view:
                continue
            if "columns" in content:
                self.rows, self.columns = {}, [column["name"] for column in content["columns"]]
            self.content |= content
            start, names = content.get("names", (0, []))
            self.names |= {start + at: name for at, name in enumerate(names)}
            for number in content.get("gone", ()):
                self.rows.pop(number, None)
            received += self.take(*buffers)
        self.read = len(self.page.sent)
        return received

    def take(self, numbers: bytes = b"", texts: bytes = b"{}") -> int:
        lines = np.frombuffer(numbers).reshape(3 + len(self.columns), -1)
        text_columns = {int(index): column for index, column in json.loads(texts).items()}
        for at in range(lines.shape[1]):
            row: dict[str, Any] = {"digits": lines[1][at], "confirmed_at": lines[2][at]}
            for index, column in enumerate(self.columns):
                value = lines[3 + index][at]
                if index in text_columns:
                    row[column] = text_columns[index][at]
                elif self.grid._table.kind(column) in NAMES:
                    row[column] = None if math.isnan(value) else self.names[int(value)]
                else:
                    row[column] = value
            self.rows[lines[0][at]] = row
        return lines.shape[1]

    def column(self, name: str) -> list[Any]:
        return [row[name] for row in self.rows.values()]


def position(ticket: int, **data: Any) -> dict[str, Any]:
    return message(POSITION, {"id": None}, ticket=ticket, **data)


def test_a_new_view_gets_every_row_and_then_only_changed_ones(platform: Platform, page: RecordedPage) -> None:
    platform.put(*(position(ticket, profit=ticket) for ticket in range(1, 6)))
    shown = GridView(platform, page, "positions")
    assert shown.column("ticket") == [1, 2, 3, 4, 5]
    assert shown.tick() == 0

    before = dict(shown.rows)
    platform.put(position(4, profit=-7.5), position(2, symbol="USDJPY", currentPrice=150.25))
    assert shown.tick() == 2
    assert shown.rows.keys() == before.keys()  # a row keeps its number
    changed = {row["ticket"]: row for row in shown.rows.values()}
    assert changed[4]["profit"] == -7.5
    assert (changed[2]["symbol"], changed[2]["current_price"], changed[2]["digits"]) == ("USDJPY", 150.25, 3)
    assert (changed[1]["type"], changed[1]["digits"]) == ("BUY", 5)
    assert changed[1]["timestamp"] == 1_704_067_200_000.0


def test_nothing_is_sent_without_changes(platform: Platform, page: RecordedPage) -> None:
    platform.put(position(1))
    shown = GridView(platform, page, "positions")
    shown.tick()
    before = len(page.sent)
    platform.put(message(QUOTE))  # of another channel
    assert [shown.refresher.tick() for _ in range(5)] == [0] * 5
    assert len(page.sent) == before


@pytest.mark.parametrize("max_rows", [3, 1_000_000])
def test_a_view_equals_latest_after_any_changes_also_while_it_was_hidden(page: RecordedPage, max_rows: int) -> None:
    platform, pick = Platform(max_rows=max_rows), random.Random(7)
    shown = GridView(platform, page, "positions")
    for step in range(60):
        if step % 20 == 10:
            send_from_view(shown.grid, "visible", visible=False)
        if step % 20 == 15:
            send_from_view(shown.grid, "visible", visible=True)
        platform.put(
            *(position(pick.randrange(40), volume=pick.choice([0, 0.1, 0.2]), profit=pick.random()) for _ in range(9))
        )
        shown.tick()
    latest = platform.pipeline.store.tables["positions"].latest()
    assert len(latest)
    assert {row["ticket"]: row["profit"] for row in shown.rows.values()} == latest["profit"].to_dict()
    platform.close()


def test_an_update_of_ten_rows_of_five_thousand_is_small(platform: Platform, page: RecordedPage) -> None:
    platform.put(*(position(ticket) for ticket in range(5_000)))
    shown = GridView(platform, page, "positions")
    assert len(shown.rows) == 5_000
    while shown.tick():
        pass
    before = len(page.sent)
    platform.put(*(position(ticket, profit=3) for ticket in range(100, 110)))
    assert shown.tick() == 10
    [update] = page.sent[before:]
    assert sum(map(len, update.buffers)) == 10 * (3 + len(shown.columns)) * 8
    assert len(json.dumps(update.content)) < 60


def test_many_changes_are_sent_over_several_ticks_and_no_row_waits_for_ever(
    platform: Platform, page: RecordedPage
) -> None:
    shown = GridView(platform, page, "positions")
    for turn in range(5):  # every row changes in every turn
        platform.put(*(position(ticket, profit=turn) for ticket in range(1_000)))
        assert shown.tick() == MOST_ROWS_A_TICK
    assert len(shown.rows) == 1_000
    while shown.tick():
        pass
    assert set(shown.column("profit")) == {4.0}


def test_a_second_view_gets_everything_and_the_first_misses_nothing(platform: Platform, page: RecordedPage) -> None:
    platform.put(position(1), position(2), position(3))
    shown = GridView(platform, page, "positions")
    platform.put(position(2, volume=0), position(3, profit=-1), position(4, symbol="GBPUSD"))
    read = len(page.sent)
    content, buffers = shown.grid.snapshot({"view": "b"})  # before the first view gets the changes
    assert len(np.frombuffer(buffers[0])) == 3 * (3 + len(content["columns"]))
    shown.tick()
    assert len(page.sent) == read + 1
    assert {row["ticket"]: (row["profit"], row["symbol"]) for row in shown.rows.values()} == {
        1: (10, "EURUSD"),
        3: (-1, "EURUSD"),
        4: (10, "GBPUSD"),
    }


def test_only_the_newest_rows_are_shown_if_there_are_too_many(platform: Platform, page: RecordedPage) -> None:
    trades = [message(TRADE, {"id": None}, executionId=f"e{number}") for number in range(50)]
    platform.put(*trades[:30])
    shown = GridView(platform, page, "trades", max_rows=20)
    assert shown.column("execution_id") == [f"e{number}" for number in range(10, 30)]
    platform.put(*trades[30:])
    shown.tick()
    assert sorted(shown.column("execution_id")) == [f"e{number}" for number in range(30, 50)]
    assert shown.content["sort"] == [("timestamp", -1)]


def test_only_rows_that_match_where_are_shown_and_others_disappear(platform: Platform, page: RecordedPage) -> None:
    orders = [message(ORDER, {"id": None}, orderId=f"o{at}", status=s) for at, s in enumerate(["NEW", "FILLED", "NEW"])]
    platform.put(*orders)
    shown = GridView(platform, page, "orders", where={"status": ["NEW", "PARTIAL"]})
    assert shown.column("order_id") == ["o0", "o2"]
    platform.put(message(ORDER, {"id": None}, orderId="o0", status="FILLED"))
    shown.tick()
    assert shown.column("order_id") == ["o2"]


@pytest.mark.parametrize(
    "where",
    [
        {"symbol": "USDJPY"},
        {"profit": None},
        {"last_update": "2024-01-01 00:00"},
        {"type": "buy", "volume": "0.1"},
        {"type": ["sell", None]},
        {"last_update": [pd.Timestamp("2024-01-01", tz="UTC")]},
        {"last_update": None},
        {"ticket": [1, 3], "type": "BUY"},
        {"ticket": 9},
    ],
    ids=str,
)
def test_where_selects_the_same_rows_as_latest(platform: Platform, page: RecordedPage, where: dict[str, Any]) -> None:
    platform.put(
        position(1), position(2, symbol="USDJPY", profit=None), position(3, type="SELL", lastUpdate=None, profit=0)
    )
    frame = select(platform.pipeline.store.tables["positions"].latest(), "positions", where=where)
    assert GridView(platform, page, "positions", where=where).column("ticket") == frame.index.tolist()


@pytest.mark.parametrize("strategy", ["Momentum", "momentum"])
def test_where_on_user_defined_ids_is_case_sensitive_as_in_latest(
    platform: Platform, page: RecordedPage, strategy: str
) -> None:
    platform.put(*(message(ORDER, {"id": None}, orderId=s, strategyId=s) for s in ("Momentum", "momentum")))
    assert GridView(platform, page, "orders", where={"strategy_id": strategy}).column("order_id") == [strategy]


def test_a_new_undocumented_column_appears_unless_the_columns_were_chosen(
    platform: Platform, page: RecordedPage
) -> None:
    platform.put(position(1))
    shown = GridView(platform, page, "positions")
    chosen = GridView(platform, page, "positions", columns=["profit", "symbol"], name="chosen")
    assert "mood" not in shown.columns
    platform.put(position(2, mood="calm", risk=0.25, hedged=True))
    shown.tick()
    chosen.tick()
    assert shown.column("mood") == [None, "calm"]
    assert shown.column("risk")[1] == 0.25
    assert [math.isnan(shown.column("hedged")[0]), shown.column("hedged")[1]] == [True, 1.0]
    assert (chosen.columns, chosen.column("profit")) == (["profit", "symbol"], [10, 10])


def test_every_row_of_an_undocumented_channel_is_shown(platform: Platform, page: RecordedPage) -> None:
    news = {"type": "news", "channel": "news", "timestamp": "2024-01-01T00:00:00Z"}
    platform.put({**news, "data": {"headline": "CPI", "impact": 3}})
    shown = GridView(platform, page, "news")
    platform.put({**news, "data": {"headline": "NFP", "impact": None}})
    shown.tick()
    assert shown.columns == ["timestamp", "type", "headline", "impact"]
    assert shown.column("headline") == ["CPI", "NFP"]


def test_the_single_row_of_system_keeps_its_number(platform: Platform, page: RecordedPage) -> None:
    platform.put(message(SYSTEM))
    shown = GridView(platform, page, "system")
    platform.put(message(SYSTEM, {"id": None}, status="DOWN"))
    shown.tick()
    assert shown.column("status") == ["DOWN"]


def test_a_ticket_beyond_the_exact_integers_of_a_browser_is_shown_exactly(
    platform: Platform, page: RecordedPage
) -> None:
    platform.put(position(2**53 + 1), position(7))
    assert [str(t) for t in GridView(platform, page, "positions").column("ticket")] == ["9007199254740993", "7"]


def test_the_format_of_a_column_follows_from_its_name_and_kind(platform: Platform, page: RecordedPage) -> None:
    platform.put(position(1))
    formats = {column["name"]: column for column in GridView(platform, page, "positions").content["columns"]}
    assert list(formats)[:2] == ["ticket", "symbol"]
    assert not {"id", "received_at"} & formats.keys()
    assert {name for name, column in formats.items() if column.get("signed")} == {"profit", "unrealized_pnl"}
    assert {name for name, column in formats.items() if column.get("digits") == "price"} == {
        "open_price",
        "current_price",
        "stop_loss",
        "take_profit",
    }
    assert (formats["ticket"]["digits"], formats["margin"]["digits"], formats["volume"]["digits"]) == (0, 2, None)
    assert [formats[name]["kind"] for name in ("symbol", "timestamp", "ticket")] == ["name", "time", "number"]


def test_badge_and_start_of_the_last_gap_are_sent_when_they_change(platform: Platform, page: RecordedPage) -> None:
    platform.put(position(1))
    shown = GridView(platform, page, "positions")
    assert (shown.content["badge"]["state"], shown.content["away"]) == ("live", None)
    platform.now = 5.0
    platform.run_on_loop(lambda: platform.pipeline.lost(platform.now_us(), "gone"))
    shown.tick()
    assert shown.content["badge"]["state"] == "disconnected"
    assert shown.content["away"] == platform.now_us() / 1000
    platform.now = 6.0
    platform.run_on_loop(lambda: platform.pipeline.connected(platform.now_us()))
    shown.tick()
    assert shown.content["badge"]["state"] == "live"
    platform.close()
    shown.tick()
    assert shown.content["badge"]["state"] == "closed"


def test_rows_are_unconfirmed_from_a_gap_until_a_message_about_them(platform: Platform, page: RecordedPage) -> None:
    def unconfirmed(shown: GridView, key: str) -> list[Any]:
        shown.tick()
        away = shown.content["away"] or 0.0
        return sorted(row[key] for row in shown.rows.values() if row["confirmed_at"] <= away)

    platform.now = 1.0
    repeated, pending = message(POSITION, {"id": "p2"}, ticket=2), message(ORDER, {"id": "o1"}, status="PENDING")
    done = message(ORDER, {"id": "o2"}, orderId="order_124", status="DONE")
    platform.put(position(1), repeated, position(3), position(4), pending, done)
    positions, orders = GridView(platform, page, "positions"), GridView(platform, page, "orders", "b")
    assert unconfirmed(positions, "ticket") == unconfirmed(orders, "order_id") == []
    for _ in range(2):
        platform.now += 5.0
        platform.run_on_loop(lambda: platform.pipeline.lost(platform.now_us(), "gone", ("positions", "orders")))
        platform.now += 5.0
        platform.run_on_loop(lambda: platform.pipeline.connected(platform.now_us()))
        assert unconfirmed(positions, "ticket") == [1, 2, 3, 4]
        assert unconfirmed(orders, "order_id") == ["order_123"]  # the other one has ended
        platform.now += 5.0
        platform.put(position(1), repeated, pending, message(TRADE, {"id": None}, ticket=3, volume=0.01))
        assert unconfirmed(positions, "ticket") == [3, 4]  # another trade of 3 may be lost
        assert unconfirmed(orders, "order_id") == []


def test_invalid_options_are_errors_that_list_the_valid_ones(platform: Platform, page: RecordedPage) -> None:
    def make(channel: str = "positions", **options: Any) -> Grid:
        return grid(platform.pipeline, "test", channel, **options)

    with pytest.raises(fxlive.InvalidChannel, match=r"'position'.* Did you mean positions\? Use one of: trades"):
        make("position")
    with pytest.raises(fxlive.UnknownColumn, match=r"Unknown column 'proft' of positions. Did you mean profit\?"):
        make(columns=["ticket", "proft"])
    with pytest.raises(fxlive.UnknownColumn, match=r"Unknown column 'swap' of .* Columns: timestamp, received_at"):
        make(where={"swap": 1})
    with pytest.raises(fxlive.UnknownColumn, match=r"Unknown column 'margin' of .* Columns: ticket, profit"):
        make(columns=["ticket", "profit"], sort="-margin")
    for invalid in ({"height": 0}, {"max_rows": "all"}, {"height": True}, {"columns": []}):
        with pytest.raises(fxlive.UnknownOption):
            make(**invalid)
    assert not page.sent


def test_session_method_and_module_function_make_the_same_grid(page: RecordedPage) -> None:
    session = fxlive.Session.offline("grids")
    fxlive.use(session)
    try:
        assert fxlive.grid("market_data").name == "grids: grid market-data"
        assert session.grid("market-data", sort="-bid", height=3).name == "grids: grid market-data"
    finally:
        session.close()


def test_when_a_row_is_removed_an_older_one_is_shown_again(platform: Platform, page: RecordedPage) -> None:
    shown = GridView(platform, page, "positions", max_rows=2)
    platform.put(*map(position, (1, 2, 3)))
    shown.tick()
    assert shown.column("ticket") == [2, 3]
    platform.put(position(3, volume=0), position(2, volume=0))
    shown.tick()
    assert shown.column("ticket") == [1]
    platform.put(position(1, volume=0))
    shown.tick()
    assert shown.column("ticket") == []


@pytest.mark.parametrize(("channel", "money"), [("positions", "unrealized_pnl"), ("trades", "profit")])
def test_money_is_among_the_first_columns_and_no_column_is_missing(
    platform: Platform, page: RecordedPage, channel: str, money: str
) -> None:
    shown = GridView(platform, page, channel)
    assert money in shown.columns[:5]
    table = platform.pipeline.store.tables[channel]
    assert set(shown.columns) == {*table.columns, "timestamp"} - {"id", "received_at"}

"""A column with too many categories continues as text, live and in a capture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fxlive
from fxlive.tables.columns import vocabulary
from fxlive.tables.table import RollingTable
from fxlive.wire.channels import CHANNELS
from tests.capture.sessions import bring, path_of, recorded
from tests.frames import assert_equal
from tests.samples import ALERT, QUOTE, TRADE, message, wire
from tests.tables.rows import Feed, rows_of


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "MAX_CATEGORIES", 50)


def trades(start: int, stop: int) -> list[bytes]:
    return [
        wire(message(TRADE, {"id": f"t{i}"}, executionId=f"e{i}", strategyId=f"s{i % 80}", symbol=f"X{i % 8}"))
        for i in range(start, stop)
    ]


def test_a_column_with_too_many_categories_continues_as_text_without_losing_a_value() -> None:
    feed = Feed()
    feed.send(*trades(0, 40))
    before = feed.store.tables["trades"].frame()
    feed.send(*trades(40, 200))
    feed.send(*trades(200, 210))
    frame = feed.store.tables["trades"].frame()

    assert isinstance(before["strategy_id"].dtype, pd.CategoricalDtype)
    assert frame["strategy_id"].dtype == "str"
    assert frame["strategy_id"].tolist() == [f"s{i % 80}" for i in range(210)]
    assert isinstance(frame["symbol"].dtype, pd.CategoricalDtype)
    assert before["strategy_id"].tolist() == [f"s{i}" for i in range(40)]


def test_the_symbols_of_all_tables_continue_as_text_together() -> None:
    feed = Feed()
    feed.send(*trades(0, 10))
    feed.send(*[wire(message(QUOTE, {"id": f"q{i}"}, symbol=f"Y{i}")) for i in range(60)])
    quotes, known = feed.store.tables["market-data"], feed.store.tables["trades"]

    assert quotes.frame()["symbol"].dtype == known.frame()["symbol"].dtype == "str"
    assert quotes.frame()["symbol"].tolist() == [f"Y{i}" for i in range(60)]
    assert known.latest()["symbol"].tolist()[:2] == ["X0", "X1"]
    feed.send(*trades(10, 20))
    assert known.frame()["symbol"].tolist() == [f"X{i % 8}" for i in range(20)]


def test_codes_of_symbols_that_were_known_before_stay_readable() -> None:
    feed = Feed()
    feed.send(*[wire(message(QUOTE, {"id": f"q{i}"}, symbol=f"Y{i % 70}", bid=i)) for i in range(140)])
    table = feed.store.tables["market-data"]
    _, (codes, bids) = table.values(None, "symbol", "bid")

    assert bids[codes == table.code("symbol", "Y3")].tolist() == [3, 73]
    assert table.code("symbol", "Y60") is None
    assert np.count_nonzero(codes == -1) == 40
    assert table.label("symbol", -1) is None


def test_a_window_that_rolls_keeps_the_texts_of_a_column_with_too_many_categories() -> None:
    table = RollingTable(CHANNELS["trades"], max_rows=100)
    for start in range(0, 3_000, 60):
        table.append(
            rows_of(*[message(TRADE, executionId=f"e{i}", strategyId=f"s{i}") for i in range(start, start + 60)])
        )
    frame = table.frame()

    assert frame["strategy_id"].tolist() == [f"s{i}" for i in range(2_900, 3_000)]


def test_the_texts_of_categories_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "MAX_CATEGORY_BYTES", 10_000)
    table = RollingTable(CHANNELS["trades"])
    table.append(rows_of(*[message(TRADE, executionId=f"e{i}", strategyId=f"{i}" * 3_000) for i in range(5)]))

    assert table.frame()["strategy_id"].dtype == "str"
    assert table.frame()["strategy_id"].str.len().tolist() == [3_000] * 5


def test_alert_and_entity_ids_are_text() -> None:
    frame = RollingTable(CHANNELS["alerts"]).frame()

    assert frame["alert_id"].dtype == frame["entity_id"].dtype == "str"


def test_a_capture_of_a_column_with_too_many_categories_equals_the_live_frame(tmp_path: Path) -> None:
    with recorded(tmp_path) as session:
        bring(session, *trades(0, 45))
        bring(session, *trades(45, 150))
        bring(session, wire(ALERT), wire(message(ALERT, {"id": "a"}, entity=None)))
    capture = fxlive.open_capture(path_of(session))

    assert capture.frame("trades")["strategy_id"].dtype == "str"
    assert_equal(capture.frame("trades"), session.frame("trades"))
    assert_equal(capture.frame("alerts"), session.frame("alerts"))
    assert capture.frame("alerts", entity_id="user_456")["alert_id"].tolist() == ["alert_123"]


def test_unreadable_fields_of_a_capture_equal_those_of_the_live_frame(tmp_path: Path) -> None:
    with recorded(tmp_path) as session:
        bring(session, wire(message(QUOTE, {"id": "1"}, bid="-", mood="calm")), wire(message(QUOTE, {"id": "2"})))
        bring(session, wire(message(ALERT, entity="u", title=[5])), wire(message(QUOTE, {"id": [3]}, mood=4)))
    capture = fxlive.open_capture(path_of(session))

    for channel in ("market-data", "alerts"):
        assert_equal(capture.frame(channel), session.frame(channel))
    assert session.frame("market-data")["extra"].tolist()[0] == '{"bid":"-"}'
    assert session.health().unreadable == {"market-data": {"bid": 1, "id": 1}, "alerts": {"entity": 1, "title": 1}}

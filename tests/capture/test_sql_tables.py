"""Live frames in SQL: what DuckDB gets of them."""

from __future__ import annotations

from contextlib import closing

import pyarrow as pa
import pytest

import fxlive
from fxlive.capture.exporting.sql import frame_table
from tests.capture.sessions import bring, started
from tests.samples import ALERT, QUOTE, message, wire

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")  # DuckDB's, about pandas


def test_categories_are_text_in_sql_without_a_copy_for_each_row() -> None:
    with closing(started()) as session:
        bring(
            session, *(wire(message(QUOTE, {"id": f"q{n}"}, symbol=s)) for n, s in enumerate(["USDJPY", "EURUSD"] * 2))
        )
        column = frame_table(session.frame("market-data"))["symbol"]
        assert pa.types.is_dictionary(column.type)
        assert column.chunk(0).dictionary.to_pylist() == ["USDJPY", "EURUSD"]
        ordered = session.sql("select distinct symbol from market_data where symbol > 'A' order by symbol")
        assert ordered["symbol"].tolist() == ["EURUSD", "USDJPY"]
        assert session.sql("select count(*) as n from market_data where symbol = 'EURUSD'")["n"].tolist() == [2]


def test_missing_numbers_and_lists_are_null_in_sql() -> None:
    with closing(started()) as session:
        bring(
            session,
            wire(message(QUOTE, last=None)),
            wire(message(ALERT, actions=None)),
            wire(message(ALERT, {"id": "2"})),
        )
        assert session.sql("select count(last) as n, count(bid) as b from market_data").iloc[0].tolist() == [0, 1]
        assert session.sql("select count(actions) as n from alerts")["n"].tolist() == [1]
    types = fxlive.Session.offline().sql("describe alerts").set_index("column_name")["column_type"]
    assert types[["actions", "threshold", "alert_id"]].tolist() == ["VARCHAR[]", "DOUBLE", "VARCHAR"]

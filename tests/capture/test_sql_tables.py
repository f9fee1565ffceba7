"""Live frames in SQL: what DuckDB gets of them."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import duckdb
import pyarrow as pa
import pytest

import fxlive
from fxlive.capture.exporting.sql import frame_table, query
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


def test_nothing_of_a_query_is_left_for_the_next() -> None:
    tables = {"trades": lambda: pa.table({"volume": [0.1, 0.2]})}
    for _ in range(2):  # the second finds neither the table, nor the setting, nor the transaction of the first
        query("begin; create table mine as select * from trades; set TimeZone = 'Asia/Tokyo'", tables, {})
        with pytest.raises(duckdb.Error):
            query("select volume / 'a' from trades", tables, {})
        shown = query("select current_setting('TimeZone') as zone, volume from trades", tables, {})
        assert shown["zone"].tolist() == ["UTC", "UTC"]
        assert query("show tables", tables, {})["name"].tolist() == ["trades"]
        with pytest.raises(duckdb.CatalogException):
            query("select * from mine", tables, {})
        databases = query("select database_name from duckdb_databases() where not internal", {}, {})
        assert len(databases) == 2  # that of DuckDB itself, and that of this query


def test_queries_run_at_the_same_time_in_threads() -> None:
    def total(number: int) -> int:
        table = {"trades": lambda: pa.table({"volume": [number] * 100_000})}
        return int(query("select sum(volume) as total from trades", table, {})["total"].iloc[0])

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(total, range(40))) == [number * 100_000 for number in range(40)]


FORK = """
import multiprocessing
from fxlive.capture.exporting.sql import query

def total(number):
    return int(query(f"select sum(range) as total from range({number})", {}, {})["total"].iloc[0])

if __name__ == "__main__":
    print(total(10))
    with multiprocessing.get_context("fork").Pool(1) as pool:
        print(pool.apply_async(total, (100,)).get(60))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked only on POSIX")
def test_a_query_runs_in_a_process_that_was_forked_after_another() -> None:
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], capture_output=True, text=True, timeout=100)
    assert run.stdout.split() == ["45", "4950"], run.stderr

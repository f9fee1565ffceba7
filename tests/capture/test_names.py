"""Names that the platform chooses: whatever a channel or a field is called, every tool shows its rows."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

import fxlive
from fxlive.core import names as names_module
from fxlive.core.names import column_names, file_names, sql_names
from fxlive.wire.undocumented.columns import MAX_NAME_CHARS
from tests.capture.sessions import bring, path_of, recorded

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")  # raised by duckdb itself

HOSTILE = [
    "",
    "\0",
    "a\0b",
    "x" * 300,
    "x" * 299 + "y",
    "a/b",
    "..",
    ".",
    "CON",
    "con",
    "Trades",
    "TRADES",
    "a-b",
    "a_b",
    "A_B",
    "q\"uo'te",
    "\x1b[31mred",
    "line\nbreak",
    "select",
    "order by",
    "gaps",
    "rejected",
    "_gaps",
    "market_data",
    "information_schema",
    "sqlite_master",
    "main.trades",
    "emoji 💶",
    "\u202egnp.exe",
    "é",
    "e\u0301",
    "%s {0}",
    "$.a[*]",
    "~1",
]


def message(channel: str, data: dict[str, Any], number: int) -> bytes:
    stamp = f"2014-05-08T12:30:00.{number:06}Z"
    return json.dumps({"type": "x", "channel": channel, "data": data, "timestamp": stamp, "id": f"m{number}"}).encode()


def quote(bid: float, **fields: Any) -> bytes:
    data = {"symbol": "EURUSD", "bid": bid, **fields}
    return json.dumps(
        {"type": "market_data", "channel": "market-data", "data": data, "timestamp": "2014-05-08T12:30:00Z"}
    ).encode()


TRADE = (
    b'{"type":"trade","channel":"trades","data":{"executionId":"e","symbol":"EURUSD"},"timestamp":"2014-05-08T12:30Z"}'
)


def both(session: fxlive.Session) -> Iterator[fxlive.Session | fxlive.Capture]:
    """Yield the session, then its capture and a replay of it."""
    yield session
    assert session.recording is not None
    session.recording.stop()
    yield fxlive.open_capture(path_of(session))
    with fxlive.replay(path_of(session), speed=None) as replayed:
        replayed.wait_until_end(timeout=60)
        yield replayed


@pytest.mark.parametrize("safe", [sql_names, column_names, file_names])
def test_safe_names_are_not_empty_and_differ_by_more_than_case(safe: Any) -> None:
    names = safe([*HOSTILE, "\ud800", "\udfff", "𐐀" * 60])
    assert len({name.casefold() for name in names}) == len(HOSTILE) + 3
    for name in names:
        assert name
        assert not any(c < " " for c in name)
        assert len(name.encode()) <= 500
    if safe is file_names:
        assert all(len(name.encode()) < 130 and "/" not in name and "." not in name for name in names)
        assert {"con", "prn", "nul"}.isdisjoint(name.casefold() for name in names)


@pytest.mark.parametrize("safe", [sql_names, column_names, file_names])
def test_many_equal_names_take_few_steps_for_each(safe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    fold = names_module._folded
    monkeypatch.setattr(names_module, "_folded", lambda name: steps.append(name) or fold(name))
    names = safe(["a"] * 2_000 + ["A"] * 2_000)
    assert len({name.casefold() for name in names}) == 4_000
    assert (names[0], names[1][-1], names[-1][-4:]) == ("a", "2", "4000")
    assert len(steps) < 10 * len(names)


def test_a_query_gets_no_note_about_a_channel_without_a_name(tmp_path: Path) -> None:
    with recorded(tmp_path) as session:
        bring(session, *[message(name, {"bid": 1}, n) for n, name in enumerate(["", "--", "a-b"])])
    opened = fxlive.open_capture(path_of(session))
    with pytest.raises(duckdb.Error) as refused:
        opened.sql("select * from a-b where bid < -1")
    _, *more = refused.value.__notes__
    assert more == ["In SQL a-b is a_b."]


def test_sql_works_whatever_channels_are_called(tmp_path: Path) -> None:
    with recorded(tmp_path) as session:
        bring(session, *(message(name, {"number": n}, n) for n, name in enumerate(HOSTILE)), quote(1.1))
        names = sql_names(session.channels, taken=["gaps", "rejected"])
        tables = dict(zip(session.channels, names, strict=True))
        for source in both(session):
            assert source.sql("select bid from market_data")["bid"].tolist() == [1.1]
            assert source.sql("select count(*) as n from gaps")["n"].tolist() == [0]
            selects = []  # one query, because each creates all tables
            for number, channel in enumerate(HOSTILE):
                name = tables[channel].replace('"', '""')
                selects.append(f'select {number} as expected, number from "{name}"')
            rows = source.sql(" union all ".join(selects))
            assert sorted(rows["expected"]) == list(range(len(HOSTILE)))
            assert rows[rows["expected"] != rows["number"]].empty
            listed = set(source.sql("show tables")["name"])
            assert listed == {*names, "gaps", "rejected"}


def test_sql_works_whatever_fields_are_called(tmp_path: Path) -> None:
    # Columns are in lower case. Fields with longer names have no column.
    names = [name for name in HOSTILE if name not in ("TRADES", "A_B", "con") and len(name) <= MAX_NAME_CHARS]
    with recorded(tmp_path) as session:
        bring(session, quote(1.1, **{name: number for number, name in enumerate(names)}), message("other", {"": 5}, 1))
        frame = session["market-data"]
        for source in both(session):
            rows = source.sql("select * from market_data")
            assert len(source["market-data"].columns) == len(frame.columns)
            documented = len(fxlive.Session.offline("none")["market-data"].columns)
            shown = column_names(["timestamp", *frame.columns])[documented + 1 :]
            for column, original in zip(shown, frame.columns[documented:], strict=True):
                assert rows[column].tolist() == frame[original].tolist(), original
            assert source.sql('select "_" as v from other')["v"].tolist() == [5]


def test_an_undocumented_channel_never_replaces_a_documented_one_in_sql(tmp_path: Path) -> None:
    with recorded(tmp_path) as session:
        bring(session, message("market_data", {"bid": 9.0}, 1), message("Market-Data", {"bid": 8.0}, 2), quote(1.1))
        bring(session, message("gaps", {"start": 7}, 3), message("rejected", {"raw": 6}, 4))
        for source in both(session):
            assert source.sql("select bid from market_data")["bid"].tolist() == [1.1]
            assert source.sql("select bid from market_data_2")["bid"].tolist() == [9.0]
            assert source.sql("select bid from Market_Data_3")["bid"].tolist() == [8.0]
            assert source.sql("select * from gaps").empty
            assert source.sql("select start from gaps_2")["start"].tolist() == [7]
            with pytest.raises(duckdb.CatalogException) as unknown:
                source.sql("select * from marketdata")
            assert "market_data_2 (channel 'market_data'), Market_Data_3 (channel 'Market-Data')" in str(
                unknown.value.__notes__
            )


def test_a_channel_named_like_a_view_of_duckdb_does_not_break_its_lists(tmp_path: Path) -> None:
    channels = ["duckdb_tables", "DuckDB-Views", "duckdb_columns", "information_schema", "pg_class", "sqlite_master"]
    with recorded(tmp_path) as session:
        bring(session, quote(1.1), *(message(name, {"a": n}, n) for n, name in enumerate(channels)))
        for source in both(session):
            assert {"market_data", "duckdb_tables_2", "DuckDB_Views_2"} <= set(source.sql("show tables")["name"])
            assert "duckdb_columns_2" in set(source.sql("show all tables")["name"])
            assert "trades" in set(source.sql("select table_name from information_schema.tables")["table_name"])
            for number, name in enumerate(channels):
                shown = name.replace("-", "_")
                assert source.sql(f"select a from {shown}_2")["a"].tolist() == [number]


def test_a_table_that_cannot_be_made_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fxlive.capture.exporting import sql

    with recorded(tmp_path) as session:
        bring(session, quote(1.1), message("bad", {"a": 1}, 1))
        for function in ("frame_table", "view_of"):
            original = getattr(sql, function)

            def fail(*arguments: Any, original: Any = original) -> Any:
                columns = getattr(arguments[0], "columns", None)
                name = arguments[0].channel.name if columns is None else "bad" if "a" in columns else ""
                if name == "bad":
                    raise ValueError("no such luck")
                return original(*arguments)

            monkeypatch.setattr(sql, function, fail)
        for source in both(session):
            assert source.sql("select bid from market_data -- bad")["bid"].tolist() == [1.1]
            with pytest.raises(fxlive.CaptureError, match="table bad could not be made: no such luck"):
                source.sql("select * from bad")


def test_python_variables_are_not_tables_of_sql() -> None:
    with fxlive.Session.offline("own") as session, pytest.raises(duckdb.CatalogException):
        session.sql("select * from frame")


def test_fields_whose_names_become_equal_to_documented_ones_are_kept(tmp_path: Path) -> None:
    order = {"ticket": 1, "symbol": "EURUSD", "volume": 1.0, "stopLoss": 1.05, "stop_loss": 2.0, "STOP_LOSS": 3.0}
    position = {"type": "position", "channel": "positions", "data": order, "timestamp": "2014-05-08T12:30:00Z"}
    odd = {"received_at": 1.0, "id": 2.0, "timestamp_": 3.0, "extra": 4.0, "arrival": 5.0, "index": 6.0}
    with recorded(tmp_path) as session:
        bring(session, json.dumps(position).encode(), quote(1.1, **odd), message("new", {**odd, "timestamp": 7.0}, 1))
        for source in both(session):
            row = source["positions"].iloc[0]
            assert (row["stop_loss"], row["stop_loss_"], row["stop_loss__"]) == (1.05, 2.0, 3.0)
            for channel in ("market-data", "new"):
                row = source[channel].iloc[0]
                names = ["received_at_", "id_", "timestamp_", "extra_", "arrival", "index"]
                assert row[names].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
            assert source["new"]["data_timestamp"].tolist() == [7.0]
            found = source.sql("select stop_loss, stop_loss_, stop_loss__ from positions")
            assert found.iloc[0].tolist() == [1.05, 2.0, 3.0]


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_exports_keep_every_channel_and_column_whatever_their_names(tmp_path: Path, format: Any) -> None:
    fields = {name: float(number) for number, name in enumerate(HOSTILE)}
    with recorded(tmp_path) as session:
        bring(session, *(message(name, {**fields, "number": n}, n) for n, name in enumerate(HOSTILE)))
        for number, source in enumerate(both(session)):
            files = source.export(tmp_path / str(number), format=format)
            assert len({file.name.casefold() for file in files.values()}) == len(files)
            for own, name in enumerate(HOSTILE):
                assert files[name].parent == tmp_path / str(number)
                frame, back = source[name], fxlive.read_export(files[name])
                assert back["number"].tolist() == [own]
                assert len(back.columns) == len(frame.columns)
                if format == "parquet":
                    pd.testing.assert_frame_equal(back, frame)


def test_dask_and_zip_keep_every_channel_whatever_its_name(tmp_path: Path) -> None:
    fields = {name: float(number) for number, name in enumerate(HOSTILE)}
    with recorded(tmp_path / "in" / "captures") as session:
        bring(session, *(message(name, {**fields, "number": n}, n) for n, name in enumerate(HOSTILE)))
        bring(session, TRADE)
    path = path_of(session)
    capture = fxlive.open_capture(path)
    for number, name in enumerate(HOSTILE):
        assert capture.polars(name).collect().height == 1
        frame = capture.dask(name).compute()
        assert frame["number"].tolist() == [number]
        assert list(frame.columns) == list(capture[name].columns)
    [file] = fxlive.open_capture(path / "channel=trades" / "..").export(tmp_path, format="zip").values()
    assert file == tmp_path / f"{path.name}.zip"
    with zipfile.ZipFile(file) as archive:
        assert all(not name.startswith(("/", "..")) and "/../" not in name for name in archive.namelist())
        archive.extractall(tmp_path / "unpacked")
    unpacked = fxlive.open_capture(tmp_path / "unpacked")
    for number, name in enumerate(HOSTILE):
        assert unpacked[name]["number"].tolist() == [number]

"""SQL queries over a capture or over frames, run by DuckDB."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from fxlive.capture.exporting.optional import optional_library
from fxlive.capture.format.schema import schema
from fxlive.capture.reading.files import Files
from fxlive.capture.reading.part_file import PartFile
from fxlive.capture.reading.rows import ChannelReader, retry_while_merging
from fxlive.core.dtypes import STR
from fxlive.errors import UnknownOption
from fxlive.wire.undocumented import EXTRA, MAX_EXACT_INTEGER, UndocumentedColumns


def view_name(channel: str) -> str:
    """Return the name of a channel in SQL.

    >>> view_name("market-data")
    'market_data'
    """
    return channel.replace("-", "_")


def query(
    sql: str,
    channels: Mapping[str, tuple[ChannelReader, UndocumentedColumns]],
    frames: Mapping[str, pd.DataFrame],
    files: Files,
    tables: Iterable[str],
) -> pd.DataFrame:
    """Return the result of a query.

    Parameters
    ----------
    sql
        The query.
    channels
        Recorded channels. Each is a view that scans its Parquet files, so only the rows and columns that the query
        needs are read.
    frames
        Frames, each as a table.
    files
        The files of the capture.
    tables
        The names of all tables and views, for error messages.

    Raises
    ------
    CaptureError
        If DuckDB is not installed.
    UnknownOption
        If the text contains no query. Errors in a query are those of DuckDB, with a note that lists the tables.
    """
    with optional_library("duckdb", "duckdb"):
        import duckdb

    folders = next((reader.folders for reader, _ in channels.values()), [])
    tables = list(tables)
    try:
        return retry_while_merging(folders, lambda: _result(duckdb, sql, channels, frames, files), duckdb.Error)
    except (duckdb.CatalogException, duckdb.ParserException, duckdb.BinderException) as error:
        error.add_note(f"The tables are: {', '.join(tables)}.")  # DuckDB itself suggests its system tables
        for name in tables:
            if "_" in name and name.replace("_", "-") in sql.lower():
                error.add_note(f"In SQL {name.replace('_', '-')} is {name}.")
        raise


def _result(
    duckdb: Any,
    sql: str,
    channels: Mapping[str, tuple[ChannelReader, UndocumentedColumns]],
    frames: Mapping[str, pd.DataFrame],
    files: Files,
) -> pd.DataFrame:
    with duckdb.connect(":memory:") as connection:
        connection.execute("set TimeZone = 'UTC'")
        if not files.local:
            connection.register_filesystem(files.storage())
        views: set[str] = set()
        for name, (reader, drift) in channels.items():
            view = view_name(name)
            if view.lower() not in views:  # names in SQL are case-insensitive
                views.add(view.lower())
                connection.execute(f"create view {_identifier(view)} as {_select(reader, drift, files)}")
        for name, frame in frames.items():
            connection.register(name, frame)
        relation = connection.sql(sql)
        if relation is None and not connection.extract_statements(sql):
            raise UnknownOption("query", sql, ("a SQL query, such as 'select * from trades'",))
        if relation is None:
            return pd.DataFrame()
        result: pd.DataFrame = relation.df()
        for index, dtype in enumerate(relation.types):
            if str(dtype) == "VARCHAR":  # without values pandas cannot infer that a column is text
                result.isetitem(index, result.iloc[:, index].astype(STR).array)
        return result


def _select(reader: ChannelReader, drift: UndocumentedColumns, files: Files) -> str:
    """Return the query of a channel's view."""
    channel = reader.channel
    names = ["timestamp", "received_at", *(column.name for column in channel.columns)]
    part_files = reader.part_files()
    if not part_files:
        empty = schema(channel)
        typed = ", ".join(f"null::{_TYPES.get(str(empty.field(n).type), 'varchar')} as {_identifier(n)}" for n in names)
        return f"select {typed} where false"
    columns = [_identifier(name) for name in names]
    columns += [_undocumented_column(name, kind.value) for name, kind in drift.kinds.items() if name != EXTRA]
    paths = ", ".join(_literal(_address(part_file, files)) for part_file in part_files)
    until = "" if reader.until_us is None else f" where received_at <= make_timestamptz({reader.until_us})"
    scan = f"read_parquet([{paths}], hive_partitioning=false, union_by_name=true)"
    return f"select {', '.join([*columns, EXTRA])} from {scan}{until}"


_TYPES = {
    "timestamp[us, tz=UTC]": "timestamptz",
    "double": "double",
    "int64": "bigint",
    "list<item: string>": "varchar[]",
}
"""The SQL types of Arrow types; all others are text."""


def _undocumented_column(name: str, dtype: str) -> str:
    """Return the expression of an undocumented column. As in a frame, values of another type are only in `extra`.

    There is one exception: DuckDB reads an integer of more than 64 bits as a double, so the column contains it.
    """
    path = _literal("/" + name.replace("~", "~0").replace("/", "~1"))
    kind, text = f"json_type({EXTRA}, {path})", f"json_extract_string({EXTRA}, {path})"
    if dtype == "float64":
        exact = f"{kind} in ('BIGINT', 'UBIGINT') and abs({text}::hugeint) <= {MAX_EXACT_INTEGER}"
        value = f"case when {kind} = 'DOUBLE' or ({exact}) then {text}::double end"
    elif dtype == "boolean":
        value = f"case when {kind} = 'BOOLEAN' then {text}::boolean end"
    else:
        value = f"case when {kind} = 'VARCHAR' then {text} end"
    return f"{value} as {_identifier(name)}"


def _identifier(name: str) -> str:
    return '"' + name.replace("\0", "").replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("\0", "").replace("'", "''") + "'"


def _address(part_file: PartFile, files: Files) -> str:
    path = part_file.part.file.as_posix()
    return path if files.local else str(files.storage().unstrip_protocol(path))

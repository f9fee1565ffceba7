"""SQL queries over a capture or over frames, run by DuckDB."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pandas as pd
import pyarrow as pa

from fxlive.capture.exporting.optional import optional_library
from fxlive.capture.format.schema import schema
from fxlive.capture.reading.files import Files
from fxlive.capture.reading.folder import Folder, first_line
from fxlive.capture.reading.part_file import PartFile
from fxlive.capture.reading.repeats import Repeats
from fxlive.capture.reading.rows import ChannelReader, Found, retry_while_merging
from fxlive.core.dtypes import STR
from fxlive.core.names import column_names, sql_names
from fxlive.errors import CaptureError, UnknownOption
from fxlive.wire.channels import Channel
from fxlive.wire.undocumented.columns import EXTRA, MAX_EXACT_INTEGER, UndocumentedColumns


@dataclass(frozen=True)
class View:
    """A view of files.

    Attributes
    ----------
    query
        The text of its query.
    repeats
        The repeated rows that the query leaves out, by the name of the table that it expects in the schema `repeats`.
    """

    query: str
    repeats: Mapping[str, Repeats]


Table = Callable[[], Any]
"""Returns the content of a table when a query needs it: a `View`, or an Arrow table or DataFrame."""

_LISTS_TABLES = re.compile(r"\bshow\b|\bdescribe\b|information_schema|duckdb_|sqlite_|pg_", re.IGNORECASE)


def query(
    sql: str,
    channels: Mapping[str, Table],
    others: Mapping[str, Table],
    *,
    files: Files | None = None,
    folders: Sequence[Folder] = (),
) -> pd.DataFrame:
    """Return the result of a query. Only the tables whose names are in its text are made; one that fails, fails alone.

    Parameters
    ----------
    sql
        The query.
    channels
        The table of each channel, the documented ones first: `sql_names` gives an undocumented channel whose name in
        SQL is in use another name.
    others
        Further tables by their names in SQL.
    files, folders
        The files and the captures that views read; None and empty for frames.

    Raises
    ------
    CaptureError
        If DuckDB is not installed, or if a table that the query uses cannot be made.
    UnknownOption
        If the text contains no query. Errors in a query are those of DuckDB, with a note that lists the tables.
    """
    with optional_library("duckdb", "duckdb"):
        import duckdb

    names = dict(zip(sql_names(channels, taken=others), channels, strict=True))
    tables = {name: channels[channel] for name, channel in names.items()} | dict(others)
    text = str(sql).casefold()
    if _LISTS_TABLES.search(text):
        needed = tables
    else:
        needed = {name: table for name, table in tables.items() if name.replace('"', '""').casefold() in text}
    try:
        return retry_while_merging(folders, lambda: _result(duckdb, sql, needed, files), duckdb.Error, CaptureError)
    except (duckdb.CatalogException, duckdb.ParserException, duckdb.BinderException) as error:
        for note in _notes(text, names, others):
            error.add_note(note)  # DuckDB itself suggests its system tables
        raise


def _notes(text: str, channels: Mapping[str, str], others: Iterable[str]) -> list[str]:
    """Return the names of all tables, and how the channels that the text of a query contains are called in SQL."""
    shown = [n if n == c.replace("-", "_") else f"{n} (channel {c[:60]!r})" for n, c in channels.items()]
    notes = [f"The tables are: {', '.join([*shown, *others])}."]
    dashed = {name: name.replace("_", "-") for name in channels if "_" in name and any(map(str.isalnum, name))}
    return notes + [f"In SQL {channel} is {name}." for name, channel in dashed.items() if channel.casefold() in text]


_instances: dict[int, Any] = {}  # of DuckDB, by process: its threads do not survive a fork


@contextmanager
def _connection(duckdb: Any, files: Files | None) -> Iterator[Any]:
    """Open a connection with an empty database of its own.

    All queries of local files and frames share an instance of DuckDB, because it takes 25 ms to start one.
    """
    if files is not None and not files.local:
        with duckdb.connect(":memory:") as connection:
            connection.register_filesystem(files.storage())
            yield connection
        return
    process = os.getpid()
    if process not in _instances:
        _instances.setdefault(process, duckdb.connect(":memory:"))
    instance = _instances[process]
    name = f"database_{uuid4().hex}"
    try:
        with instance.cursor() as connection:
            connection.execute(f"attach ':memory:' as {name}")
            connection.execute(f"use {name}")
            yield connection
    except (duckdb.FatalException, duckdb.InternalException):
        _instances.pop(process, None)  # DuckDB refuses all further queries of this instance
        raise
    finally:
        if process in _instances:
            with instance.cursor() as other:  # a connection cannot detach the database that it uses
                other.execute(f"detach database if exists {name}")


def _result(duckdb: Any, sql: str, tables: Mapping[str, Table], files: Files | None) -> pd.DataFrame:
    with _connection(duckdb, files) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set python_enable_replacements = false")  # Python's variables are not tables
        failed = {}
        for name, table in tables.items():
            try:
                _create(connection, name, table())
            except Exception as error:
                failed[name] = error
        try:
            relation = connection.sql(sql)
        except duckdb.CatalogException as error:
            for name, cause in failed.items():
                if f"Table with name {name} ".casefold() in str(error).casefold():
                    raise CaptureError(
                        f"The table {name} could not be made: {first_line(cause)}. Leave it out of the query."
                    ) from cause
            raise
        if relation is None and not connection.extract_statements(sql):
            raise UnknownOption("query", sql, ("a SQL query, such as 'select * from trades'",))
        if relation is None:
            return pd.DataFrame()
        result: pd.DataFrame = relation.df()
        for index, dtype in enumerate(relation.types):
            if str(dtype) == "VARCHAR":  # without values pandas cannot infer that a column is text
                result.isetitem(index, result.iloc[:, index].astype(STR).array)
        return result


def _create(connection: Any, name: str, content: Any) -> None:
    if isinstance(content, View):
        for table, repeats in content.repeats.items():
            connection.execute("create schema if not exists repeats")
            connection.register(table, pd.DataFrame({"arrival": repeats.arrival}))
            connection.execute(f"create table repeats.{table} as select arrival from {table}")
            connection.unregister(table)
        connection.execute(f"create view {_identifier(name)} as {content.query}")
    else:
        connection.register(name, content)


def frame_table(frame: pd.DataFrame) -> Any:
    """Return a frame, with its index as a column, as an Arrow table that DuckDB reads as intended.

    The text of categories is not repeated for each row; to DuckDB they are text and sort as text. NaN is missing, and
    tuples become lists.
    """
    table = frame.reset_index()
    columns = [_arrow_column(table.iloc[:, index]) for index in range(table.shape[1])]
    return pa.table(columns, names=column_names(map(str, table.columns)))


def _arrow_column(column: pd.Series[Any]) -> Any:
    if column.dtype == object:
        return pa.array([None if value is None else list(value) for value in column], pa.list_(pa.string()))
    return pa.array(column, from_pandas=True)


def view_of(reader: ChannelReader, drift: UndocumentedColumns, files: Files) -> View:
    """Return the view of a channel, which scans its files: only the needed rows and columns are read."""
    channel = reader.channel
    names = ["timestamp", "received_at", *(column.name for column in channel.columns)]
    found = reader.found()
    if not found.part_files:
        return View(f"select {', '.join(_missing(channel, name) for name in names)} where false", {})
    in_files = {name for part_file in found.part_files for name in part_file.fragment.physical_schema.names}
    undocumented = {name: kind.value for name, kind in drift.kinds.items() if name != EXTRA}
    safe = column_names([*names, EXTRA, *undocumented])[len(names) + 1 :]
    columns = [_identifier(name) if name in in_files else _missing(channel, name) for name in names]
    columns += [
        f"{_undocumented_value(name, dtype)} as {_identifier(shown)}"
        for (name, dtype), shown in zip(undocumented.items(), safe, strict=True)
    ]
    scan, repeats = _scan(found, files)
    if EXTRA not in in_files:
        scan = f"(select *, null::varchar as {EXTRA} from {scan})"
    until = "" if reader.until_us is None else f" where received_at <= make_timestamptz({reader.until_us})"
    order = f" order by {_CAPTURE_NUMBER}, arrival" if repeats else ""  # a join does not keep the order of the rows
    return View(f"select {', '.join([*columns, EXTRA])} from {scan}{until}{order}", repeats)


_CAPTURE_NUMBER = '"number of the capture"'


def _scan(found: Found, files: Files) -> tuple[str, dict[str, Repeats]]:
    """Return the SQL expression for the rows of all files, and the tables of repeated rows that it needs."""
    if not found.repeats:
        return _read_parquet(found.part_files, files), {}
    scans, repeats = [], {}
    for number, (folder, part_files) in enumerate(found.by_folder):
        if not part_files:
            continue
        scans.append(f"select *, {number} as {_CAPTURE_NUMBER} from {_read_parquet(part_files, files)}")
        if folder.path in found.repeats:
            table = f"table_{uuid4().hex}"
            repeats[table] = found.repeats[folder.path]
            scans[-1] += f" anti join repeats.{table} using (arrival)"
    return f"({' union all by name '.join(scans)})", repeats


def _read_parquet(part_files: Sequence[PartFile], files: Files) -> str:
    paths = ", ".join(_literal(_address(part_file, files)) for part_file in part_files)
    return f"read_parquet([{paths}], hive_partitioning=false, union_by_name=true)"


def _missing(channel: Channel, name: str) -> str:
    """Return the expression of a documented column that no file has."""
    return f"null::{_TYPES.get(str(schema(channel).field(name).type), 'varchar')} as {_identifier(name)}"


_TYPES = {
    "timestamp[us, tz=UTC]": "timestamptz",
    "double": "double",
    "int64": "bigint",
    "list<item: string>": "varchar[]",
}
"""The SQL types of Arrow types; all others are text."""


def _undocumented_value(name: str, dtype: str) -> str:
    """Return the expression of an undocumented column. As in a frame, values of another type are only in `extra`.

    There is one exception: DuckDB reads an integer of more than 64 bits as a double, so the column contains it.
    """
    pointer = "/" + name.replace("~", "~0").replace("/", "~1")
    path = "(" + " || chr(0) || ".join(map(_literal, pointer.split("\0"))) + ")"  # a literal cannot contain NUL
    kind, text = f"json_type({EXTRA}, {path})", f"json_extract_string({EXTRA}, {path})"
    if dtype == "float64":
        exact = f"{kind} in ('BIGINT', 'UBIGINT') and abs({text}::hugeint) <= {MAX_EXACT_INTEGER}"
        return f"case when {kind} = 'DOUBLE' or ({exact}) then {text}::double end"
    if dtype == "boolean":
        return f"case when {kind} = 'BOOLEAN' then {text}::boolean end"
    return f"case when {kind} = 'VARCHAR' then {text} end"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _address(part_file: PartFile, files: Files) -> str:
    path = part_file.part.file.as_posix()
    return path if files.local else str(files.storage().unstrip_protocol(path))

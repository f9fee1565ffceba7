"""SQL queries over a capture or over frames, run by DuckDB."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from fxlive.capture.exporting.optional import optional_library
from fxlive.capture.format.schema import schema
from fxlive.capture.reading.files import Files
from fxlive.capture.reading.part_file import PartFile
from fxlive.capture.reading.rows import Recorded, while_merging
from fxlive.core.dtypes import STR
from fxlive.errors import UnknownOption
from fxlive.wire.undocumented import EXTRA, MAX_EXACT_INTEGER, UndocumentedColumns


def view_name(channel: str) -> str:
    """Return what a channel is called in SQL.

    >>> view_name("market-data")
    'market_data'
    """
    return channel.replace("-", "_")


def query(
    sql: str,
    channels: Mapping[str, tuple[Recorded, UndocumentedColumns]],
    frames: Mapping[str, pd.DataFrame],
    files: Files,
    known: Iterable[str],
) -> pd.DataFrame:
    """Return the result of a query in which each channel is a view, and each frame a table.

    Nothing is read but what the query needs: a view is a scan of the capture's Parquet files. `known` is what can be
    asked for, which an error lists.

    Raises
    ------
    UnknownOption
        Where there is no query in the text.
    """
    with optional_library("duckdb", "duckdb"):
        import duckdb

    folders = next((recorded.folders for recorded, _ in channels.values()), [])
    known = list(known)
    try:
        return while_merging(folders, lambda: _answer(duckdb, sql, channels, frames, files), duckdb.Error)
    except (duckdb.CatalogException, duckdb.ParserException, duckdb.BinderException) as error:
        error.add_note(f"The tables are: {', '.join(known)}.")  # of a wrong name it would suggest tables of its own
        for name in known:
            if "_" in name and name.replace("_", "-") in sql.lower():
                error.add_note(f"In SQL {name.replace('_', '-')} is {name}.")
        raise


def _answer(
    duckdb: Any,
    sql: str,
    channels: Mapping[str, tuple[Recorded, UndocumentedColumns]],
    frames: Mapping[str, pd.DataFrame],
    files: Files,
) -> pd.DataFrame:
    with duckdb.connect(":memory:") as connection:
        connection.execute("set TimeZone = 'UTC'")
        if not files.local:
            connection.register_filesystem(files.storage())
        taken: set[str] = set()
        for name, (recorded, drift) in channels.items():
            view = view_name(name)
            if view.lower() not in taken:  # SQL does not tell cases apart
                taken.add(view.lower())
                connection.execute(f"create view {_identifier(view)} as {_select(recorded, drift, files)}")
        for name, frame in frames.items():
            connection.register(name, frame)
        found = connection.sql(sql)
        if found is None and not connection.extract_statements(sql):
            raise UnknownOption("query", sql, ("a SQL query, such as 'select * from trades'",))
        if found is None:
            return pd.DataFrame()
        answer: pd.DataFrame = found.df()
        for place, dtype in enumerate(found.types):
            if str(dtype) == "VARCHAR":  # also where none is there, so that pandas cannot know
                answer.isetitem(place, answer.iloc[:, place].astype(STR).array)
        return answer


def _select(recorded: Recorded, drift: UndocumentedColumns, files: Files) -> str:
    channel = recorded.channel
    names = ["timestamp", "received_at", *(column.name for column in channel.columns)]
    part_files = recorded.part_files()
    if not part_files:
        empty = schema(channel)
        typed = ", ".join(f"null::{_TYPES.get(str(empty.field(n).type), 'varchar')} as {_identifier(n)}" for n in names)
        return f"select {typed} where false"
    columns = [_identifier(name) for name in names]
    columns += [_undocumented(name, dtype) for name, dtype in _dtypes(drift).items() if name != EXTRA]
    paths = ", ".join(_literal(_address(part_file, files)) for part_file in part_files)
    until = "" if recorded.until_us is None else f" where received_at <= make_timestamptz({recorded.until_us})"
    scan = f"read_parquet([{paths}], hive_partitioning=false, union_by_name=true)"
    return f"select {', '.join([*columns, EXTRA])} from {scan}{until}"


_TYPES = {
    "timestamp[us, tz=UTC]": "timestamptz",
    "double": "double",
    "int64": "bigint",
    "list<item: string>": "varchar[]",
}


def _dtypes(drift: UndocumentedColumns) -> dict[str, str]:
    return {name: kind.value for name, kind in drift.kinds.items()}


def _undocumented(name: str, dtype: str) -> str:
    """Return an undocumented column as it is in a frame: a value of another type is not in it, but in `extra`.

    But for one: DuckDB reads an integer of more than 64 bits as a double, which then is in the column.
    """
    at = _literal("/" + name.replace("~", "~0").replace("/", "~1"))
    kind, text = f"json_type({EXTRA}, {at})", f"json_extract_string({EXTRA}, {at})"
    if dtype == "float64":
        whole = f"{kind} in ('BIGINT', 'UBIGINT') and abs({text}::hugeint) <= {MAX_EXACT_INTEGER}"
        value = f"case when {kind} = 'DOUBLE' or ({whole}) then {text}::double end"
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

"""The rows of a capture for other tools: DuckDB, Polars, Dask. Each is loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from shlex import quote
from typing import Any

import pandas as pd
import pyarrow.dataset as ds

from fxlive.capture.format.schema import schema
from fxlive.capture.reading.files import Files
from fxlive.capture.reading.folder import FORMAT, Piece
from fxlive.capture.reading.frames import to_frame
from fxlive.capture.reading.rows import Recorded, received_until, while_merging
from fxlive.core.dtypes import STR
from fxlive.errors import CaptureError, UnknownOption
from fxlive.tables.vocabulary import Vocabulary
from fxlive.wire.channels import CHANNELS, ID, Channel
from fxlive.wire.undocumented import EXTRA, MAX_EXACT_INTEGER, UndocumentedColumns

PARTITION_ROWS = 1_000_000
_DASK = "dask[dataframe,distributed]"


def needed(library: str, package: str) -> Any:
    """Return a library, or say how to get it: its `package`, whose name fxlive's extra has, too.

    Raises
    ------
    CaptureError
        Where it is not installed.
    """
    try:
        return import_module(library)
    except ImportError as error:
        raise CaptureError(
            f"{library} is not installed ({error}). Install it with pip install {quote(package)}, "
            f"or fxlive with its extra [{package.partition('[')[0]}]."
        ) from error


# DuckDB.


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
    duckdb = needed("duckdb", "duckdb")
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
    pieces = recorded.pieces()
    if not pieces:
        empty = schema(channel)
        typed = ", ".join(f"null::{_TYPES.get(str(empty.field(n).type), 'varchar')} as {_identifier(n)}" for n in names)
        return f"select {typed} where false"
    columns = [_identifier(name) for name in names]
    columns += [_undocumented(name, dtype) for name, dtype in _dtypes(drift).items() if name != EXTRA]
    paths = ", ".join(_literal(_address(piece, files)) for piece in pieces)
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


def _address(piece: Piece, files: Files) -> str:
    path = piece.part.file.as_posix()
    return path if files.local else str(files.storage().unstrip_protocol(path))


# Polars.


def lazy_frame(recorded: Recorded, files: Files) -> Any:
    """Return the rows as a Polars LazyFrame, with the columns of the files.

    Of a capture that has no end yet, the files are looked up when the frame is collected: by then they may be others.
    """
    polars = needed("polars", "polars")
    if all(folder.ended for folder in recorded.folders):
        return _scan(polars, recorded, files)
    errors = (OSError, polars.exceptions.PolarsError)

    def source(columns: list[str] | None, predicate: Any, rows: int | None, _batch: int | None) -> Iterator[Any]:
        def read() -> Any:
            frame = _scan(polars, recorded, files)
            frame = frame if predicate is None else frame.filter(predicate)
            frame = frame if columns is None else frame.select(columns)
            return (frame if rows is None else frame.head(rows)).collect()

        yield while_merging(recorded.folders, read, *errors)

    known = while_merging(recorded.folders, lambda: _scan(polars, recorded, files).collect_schema(), *errors)
    return needed("polars.io.plugins", "polars").register_io_source(source, schema=known)


def _scan(polars: Any, recorded: Recorded, files: Files) -> Any:
    pieces = recorded.pieces()
    if not pieces:
        return polars.from_arrow(schema(recorded.channel).empty_table()).lazy()
    if not files.local:
        frame = polars.scan_pyarrow_dataset(recorded.dataset())
    else:
        paths = [piece.part.file for piece in pieces]
        frame = polars.scan_parquet(paths, glob=False, hive_partitioning=False, missing_columns="insert")
    if recorded.until_us is not None:
        frame = frame.filter(polars.col("received_at") <= pd.Timestamp(recorded.until_us, unit="us", tz="UTC"))
    return frame


# Dask.


def dask_frame(recorded: Recorded, files: Files, symbols: Sequence[str], drift: UndocumentedColumns) -> Any:
    """Return the rows as a Dask DataFrame whose partitions are frames as a session has them."""
    dataframe = needed("dask.dataframe", _DASK)
    clear_known_categories = needed("dask.dataframe.utils", _DASK).clear_known_categories
    place = files.root if files.local else files.shown
    about = About(place, recorded.channel.name, tuple(symbols), _dtypes(drift), recorded.until_us)
    runs = [run for piece in recorded.pieces() for run in _runs(piece)] or [(None, ())]
    empty = clear_known_categories(partition((None, ()), about))
    with needed("dask", _DASK).config.set({"dataframe.convert-string": False}):  # a frame's text is pandas' str
        return dataframe.from_map(partition, runs, about=about, meta=empty, label="fxlive")


@dataclass(frozen=True)
class About:
    """What a worker must know to read a part of a channel as a frame."""

    place: str
    channel: str
    symbols: tuple[str, ...]
    drift: dict[str, str]
    until_us: int | None


def _runs(piece: Piece) -> list[tuple[str | None, tuple[int, ...]]]:
    """Return the row groups of a part in runs of about a million rows."""
    runs: list[list[int]] = [[]]
    rows = 0
    for group in range(piece.groups):
        if rows and rows + piece.rows_of(group) > PARTITION_ROWS:
            runs.append([])
            rows = 0
        runs[-1].append(group)
        rows += piece.rows_of(group)
    return [(piece.part.file.as_posix(), tuple(groups)) for groups in runs]


def partition(run: tuple[str | None, tuple[int, ...]], about: About, columns: list[str] | None = None) -> pd.DataFrame:
    """Read some row groups of a part as a frame; Dask calls it wherever its workers are, with the columns it needs."""
    whole = CHANNELS.get(about.channel) or Channel(about.channel, columns=(ID,))
    wanted = [c for c in whole.columns if columns is None or c.name in columns]
    undocumented = columns is None or any(name in about.drift for name in columns)
    names = ["timestamp", "received_at", *(c.name for c in wanted), *([EXTRA] if undocumented else [])]
    rows = schema(whole).empty_table().select(names)
    if run[0] is not None:
        filesystem = Files(about.place).filesystem
        fragment = FORMAT.make_fragment(run[0], filesystem, row_groups=list(run[1]))
        rows = ds.FileSystemDataset([fragment], schema(whole), FORMAT, filesystem).to_table(
            columns=names, filter=received_until(about.until_us)
        )
    vocabulary, drift = Vocabulary(), UndocumentedColumns(whole)
    vocabulary.encode(about.symbols)
    drift.expect(about.drift if undocumented else {})
    only = Channel(about.channel, columns=tuple(wanted))
    frame = to_frame(rows.to_batches(), len(rows), only, vocabulary, drift)
    if columns is None:
        columns = ["received_at", *(c.name for c in wanted), *about.drift]
    return frame[columns]

"""Texts in CSV files that a spreadsheet would take for formulas, and reading the files back."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from fxlive.core.dtypes import STR
from fxlive.errors import CaptureError
from fxlive.wire.channels import CHANNELS, ID
from fxlive.wire.messages import Kind

# The same rule as `harmless` of widgets/static/records.js. Apostrophes that are there already get one more, so that
# exactly one can be taken away again.
_FORMULA = r"'*(?:[\t-\r\p{Z}\x{feff}\x{85}\x00]*[=+\-@＝＋－＠]|[\t\r\n])"


def guarded(texts: Any) -> Any:
    r"""Return an Arrow array with an apostrophe before each text that a spreadsheet would take for a formula.

    >>> guarded(pa.array(["=1+1", "-1", "\t=1", "'@SUM", "EUR", None])).to_pylist()
    ["'=1+1", "'-1", "'\t=1", "''@SUM", 'EUR', None]
    """
    return pc.replace_substring_regex(texts, f"^({_FORMULA})", r"'\1")


def unguarded(texts: Any) -> Any:
    """Return the texts that `guarded` was given.

    >>> unguarded(pa.array(["'=1+1", "''@SUM", "'quoted'", None])).to_pylist()
    ['=1+1', "'@SUM", "'quoted'", None]
    """
    return pc.replace_substring_regex(texts, f"^'({_FORMULA})", r"\1")


_PARSED = csv.ParseOptions(newlines_in_values=True)
_TYPES = {
    Kind.NUMBER: pa.float64(),
    Kind.TIME: pa.timestamp("us", "UTC"),
    Kind.KEY_INTEGER: pa.int64(),
    Kind.INTEGER: pa.int64(),
    Kind.FLAG: pa.bool_(),
}


def read_csv(file: Path) -> pd.DataFrame:
    """Read a CSV file that `export` wrote. Codes are text; undocumented columns are numbers, flags or text.

    Raises
    ------
    CaptureError
        If the file is not one that `export` wrote.
    """
    try:
        return _read(file)
    except FileNotFoundError as error:
        raise CaptureError(f"{file} cannot be read: there is no such file.") from error
    except (OSError, ValueError, TypeError, LookupError, ArithmeticError, RecursionError, pa.ArrowException) as error:
        raise CaptureError(f"{file} is not a CSV file of export(): {error}. Read it with pandas.read_csv.") from error


def _read(file: Path) -> pd.DataFrame:
    with file.open("rb") as lines:
        names = csv.open_csv(lines, parse_options=_PARSED).schema.names
    if "timestamp" not in names:
        raise ValueError("no timestamp")
    documented = CHANNELS[file.stem].columns if file.stem in CHANNELS else (ID,)
    kinds = {"timestamp": Kind.TIME, "received_at": Kind.TIME} | {column.name: column.kind for column in documented}
    types = {name: _TYPES.get(kinds[name], pa.string()) if name in kinds else pa.string() for name in names}
    rows = csv.read_csv(file, parse_options=_PARSED, convert_options=_converted(types, names))
    undocumented = {name: rows.column(number) for number, name in enumerate(names) if name not in kinds}
    plain = _plain(file, {name: values for name, texts in undocumented.items() if (values := _values(texts))})
    columns: dict[str, Any] = {}
    for number, (name, shown) in enumerate(
        zip(names, unguarded(pa.array(names, pa.string())).to_pylist(), strict=True)
    ):
        kind, values = plain.get(name, (kinds.get(name, Kind.TEXT), rows.column(number)))
        columns[shown] = _column(kind, values)
    return pd.DataFrame(columns).set_index("timestamp")


def _converted(types: dict[str, Any], columns: list[str], *null_values: str) -> csv.ConvertOptions:
    return csv.ConvertOptions(
        column_types=types,
        include_columns=columns,
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        null_values=["", *null_values],
    )


def _values(texts: Any) -> tuple[Kind, Any] | None:
    """Return the numbers or flags that `export` writes as these texts; None if the texts are something else."""
    for kind, as_kind in ((pa.float64(), Kind.NUMBER), (pa.bool_(), Kind.FLAG)):
        with suppress(pa.ArrowInvalid):
            values = texts.cast(kind)
            if values.cast(pa.string()).equals(texts):
                return as_kind, values
    return None


def _plain(file: Path, columns: dict[str, tuple[Kind, Any]]) -> dict[str, tuple[Kind, Any]]:
    """Return the columns without quotes: `export` puts texts in quotes, also those that look like numbers or flags."""
    first = {
        name: v.drop_null()[0].cast(pa.string()).as_py() for name, (_, v) in columns.items() if v.null_count < len(v)
    }
    if not first:
        return columns
    # Only a text without quotes can be null.
    options = _converted(dict.fromkeys(first, pa.string()), list(first), *first.values())
    rows = csv.read_csv(file, parse_options=_PARSED, convert_options=options)
    quoted = {name for name in first if rows.column(name).null_count == columns[name][1].null_count}
    return {name: column for name, column in columns.items() if name not in quoted}


def _column(kind: Kind, values: Any) -> Any:
    if kind is Kind.LIST:
        lists = np.empty(len(values), object)
        for row, text in enumerate(values.to_pylist()):
            lists[row] = None if text is None else _list(text)
        return lists
    if pa.types.is_string(values.type):
        return pd.Series(unguarded(values).to_pylist(), dtype=STR)
    if pa.types.is_boolean(values.type):
        return pd.array(values.to_pylist(), dtype="boolean")
    return pd.array(values.to_pylist(), dtype="Int64") if kind is Kind.INTEGER else values.to_pandas()


def _list(text: str) -> tuple[Any, ...]:
    values = json.loads(text)
    if not isinstance(values, list):
        raise ValueError(f"{text[:60]!r} instead of a list")
    return tuple(values)

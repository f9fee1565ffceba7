"""Texts in CSV files that a spreadsheet would take for formulas, and reading the files back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from fxlive.core.dtypes import STR
from fxlive.errors import CaptureError
from fxlive.wire.channels import CHANNELS
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


_KINDS = {column.name: column.kind for channel in CHANNELS.values() for column in channel.columns}
_KINDS |= {"timestamp": Kind.TIME, "received_at": Kind.TIME}
_TYPES = {
    Kind.NUMBER: pa.float64(),
    Kind.TIME: pa.timestamp("us", "UTC"),
    Kind.KEY_INTEGER: pa.int64(),
    Kind.INTEGER: pa.int64(),
    Kind.FLAG: pa.bool_(),
}


def read_csv(file: Path) -> pd.DataFrame:
    """Read a CSV file that `export` wrote. Codes are text; values decide the type of undocumented columns.

    Raises
    ------
    CaptureError
        If the file is not one that `export` wrote.
    """
    try:
        with file.open("rb") as lines:
            names = csv.open_csv(lines).schema.names
        documented = CHANNELS[file.stem].columns if file.stem in CHANNELS else ()
        kinds = {**_KINDS, **{column.name: column.kind for column in documented}}
        types = {name: _TYPES.get(kinds[name], pa.string()) for name in names if name in kinds}
        convert = csv.ConvertOptions(
            column_types=types, strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""]
        )
        rows = csv.read_csv(file, parse_options=csv.ParseOptions(newlines_in_values=True), convert_options=convert)
    except FileNotFoundError as error:
        raise CaptureError(f"{file} cannot be read: there is no such file.") from error
    except (OSError, pa.ArrowException) as error:
        raise CaptureError(f"{file} is not a CSV file of export(): {error}. Read it with pandas.read_csv.") from error
    if "timestamp" not in names:
        raise CaptureError(f"{file} is not a CSV file of export(): no timestamp. Read it with pandas.read_csv.")
    columns = {
        name: _column(kinds.get(name), rows.column(number))
        for number, name in enumerate(unguarded(pa.array(names, pa.string())).to_pylist())
    }
    return pd.DataFrame(columns).set_index("timestamp")


def _column(kind: Kind | None, values: Any) -> Any:
    if kind is Kind.LIST:
        lists = np.empty(len(values), object)
        for row, text in enumerate(values.to_pylist()):
            lists[row] = None if text is None else tuple(json.loads(text))
        return lists
    if pa.types.is_string(values.type):
        return pd.Series(unguarded(values).to_pylist(), dtype=STR)
    if pa.types.is_boolean(values.type):
        return pd.array(values.to_pylist(), dtype="boolean")
    if kind is Kind.INTEGER:
        return pd.array(values.to_pylist(), dtype="Int64")
    return values.to_pandas().to_numpy(np.float64) if pa.types.is_null(values.type) else values.to_pandas()

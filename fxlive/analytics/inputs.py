"""Validated inputs of the analyses: columns and timestamps of a DataFrame as numpy arrays, or InvalidFrame."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fxlive.core.instruments import Instruments
from fxlive.core.progress import Progress
from fxlive.core.timestamps import NAT
from fxlive.errors import InvalidFrame, UnknownColumn, UnknownOption

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Micros = npt.NDArray[np.int64]
"""Timestamps in microseconds since 1970 UTC."""
Money = npt.NDArray[np.int64]
"""Amounts in whole millionths, `MISSING` where a value is missing."""

MILLION = 1_000_000
MISSING = np.iinfo(np.int64).min
"""Marks a missing amount among whole millionths."""

_MAX_AMOUNT = 1e12


def check_columns(frame: pd.DataFrame, name: str, *columns: str) -> None:
    """Check that `frame` is a DataFrame with unique column names that include `columns`.

    `name` is the name of the frame in error messages.

    Raises
    ------
    UnknownColumn
        If a column is missing.
    InvalidFrame
        If `frame` is not a pandas DataFrame, or two columns have the same name.
    """
    if not isinstance(frame, pd.DataFrame):
        raise InvalidFrame(
            name, f"must be a pandas DataFrame, got {_type_name(frame)}. Call compute() first if it is lazy"
        )
    for column in columns:
        if column not in frame.columns:
            raise UnknownColumn(column, name, [str(c) for c in frame.columns])
    if not frame.columns.is_unique:
        duplicate = frame.columns[frame.columns.duplicated()][0]
        raise InvalidFrame(name, f"has two columns named {duplicate!r}: rename one")


def _type_name(value: Any) -> str:
    library, name = type(value).__module__.partition(".")[0], type(value).__name__
    return name if library == "builtins" else f"{library} {name}"


def times_us(frame: pd.DataFrame, name: str) -> Micros:
    """Return a frame's index as microseconds since 1970 UTC.

    Raises
    ------
    InvalidFrame
        If the index does not consist of timestamps, has no time zone, or a timestamp is missing.
    """
    return index_us(frame.index, name)


def index_us(index: Any, name: str) -> Micros:
    """Return an index of timestamps as microseconds since 1970 UTC; raises like `times_us`."""
    if not isinstance(index, pd.DatetimeIndex):
        if not len(index):
            return np.empty(0, np.int64)
        raise InvalidFrame(
            name, f"must be indexed by timestamps, not by a {type(index).__name__}: use frame.set_index(...)"
        )
    if index.tz is None:
        raise InvalidFrame(name, "has timestamps without a time zone: add one with frame.tz_localize('UTC')")
    micros: Micros = (index if index.unit == "us" else index.as_unit("us")).asi8
    if len(micros) and micros.min() == NAT:
        raise InvalidFrame(name, "has rows without a timestamp: drop them with frame[frame.index.notna()]")
    return micros


def without_outliers(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return rows without those whose timestamp is far ahead of the others, as a session decides it.

    Rows without `received_at` are returned as they are: whether a jump is plausible depends on the time of receipt.
    """
    if "received_at" not in frame.columns or not len(frame):
        return frame
    times, progress = times_us(frame, name), Progress()
    progress.add(times, received_us(frame))
    outlier = progress.are_outliers(times)
    return frame[~outlier] if outlier.any() else frame


def received_us(frame: pd.DataFrame) -> Micros:
    """Return when the rows were received, in microseconds since 1970 UTC; the smallest int64 where it is unknown."""
    if "received_at" not in frame.columns:
        return np.full(len(frame), NAT, np.int64)
    try:
        received: Micros = pd.DatetimeIndex(pd.to_datetime(frame["received_at"], utc=True)).as_unit("us").asi8
    except (ValueError, TypeError) as error:
        raise InvalidFrame("column 'received_at'", f"must contain timestamps: {error}") from error
    return received


def floats(frame: pd.DataFrame, column: str) -> Floats:
    """Return a column as float64, NaN for missing values; raises InvalidFrame if a value is not a number."""
    try:
        values: Floats = frame[column].to_numpy(np.float64, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise InvalidFrame(f"column {column!r}", f"must contain numbers: {error}") from error
    return values


def texts(frame: pd.DataFrame, column: str) -> list[str | None]:
    """Return a column of categories or text as a list, None for missing values."""
    values = frame[column].array
    if isinstance(values, pd.Categorical):
        names: list[str | None] = [*(str(c) for c in values.categories), None]  # the code -1 selects the last entry
        return [names[code] for code in values.codes.tolist()]
    return [None if missing else str(v) for v, missing in zip(values, pd.isna(values), strict=True)]


def integers(frame: pd.DataFrame, column: str) -> list[int | None]:
    """Return a column of whole numbers as a list, None for missing values."""
    values = frame[column]
    if values.dtype == np.int64:
        return values.tolist()
    missing = values.isna().to_numpy()
    whole = values.to_numpy(np.int64, na_value=0) if not missing.all() else np.zeros(len(values), np.int64)
    return [None if m else w for w, m in zip(whole.tolist(), missing.tolist(), strict=True)]


def millionths(frame: pd.DataFrame, column: str, name: str) -> Money:
    """Return a column of money (or lots) in whole millionths, `MISSING` for missing values.

    Integer sums do not depend on the order of the terms, so the parts of a sum always add up to the whole exactly.

    Raises
    ------
    InvalidFrame
        If a value is not a number, or its size exceeds 1e12.
    """
    values = floats(frame, column)
    missing = np.isnan(values)
    if missing.any():
        values = np.where(missing, 0.0, values)
    if (np.abs(values) > _MAX_AMOUNT).any():
        largest = values[np.abs(values).argmax()]
        raise InvalidFrame(name, f"has the amount {largest:g} in {column}: at most {_MAX_AMOUNT:g} can be counted")
    whole: Money = np.rint(values * MILLION).astype(np.int64)
    if missing.any():
        whole[missing] = MISSING
    return whole


def resolve_instruments(instruments: Any) -> Instruments:
    """Return the given instruments, or the market's conventions if it is None.

    Raises
    ------
    UnknownOption
        If it is of another type, such as the dict that is an argument of ``Instruments(...)``.
    """
    if instruments is None:
        return Instruments()
    if not isinstance(instruments, Instruments):
        raise UnknownOption(
            "instruments", instruments, ("None", "fxlive.Instruments({symbol: fxlive.Instrument(...)})")
        )
    return instruments


def single_symbol(frame: pd.DataFrame, name: str) -> str | None:
    """Return the one symbol of a frame's rows, None for an empty frame.

    Raises
    ------
    InvalidFrame
        If the rows have several symbols, or a symbol is missing.
    """
    values = frame["symbol"].array
    if not len(values):
        return None
    if isinstance(values, pd.Categorical):
        codes = values.codes
        same = bool((codes == codes[0]).all()) and codes[0] >= 0
        first = values.categories[codes[0]] if same else None
    else:
        first = values[0]
        same = not pd.isna(first) and bool((values == first).all())
    if not same:
        symbols = sorted({str(s) for s in pd.unique(values)})
        raise InvalidFrame(
            name, f"must have one symbol, got {', '.join(symbols)}: use frame[frame['symbol'] == {symbols[0]!r}]"
        )
    return str(first)

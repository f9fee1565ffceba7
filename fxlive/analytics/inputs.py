"""What an analysis takes of a frame: its columns and times as arrays, or a clear word of what is wrong with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fxlive.core.instruments import Instruments
from fxlive.core.timestamps import NAT
from fxlive.errors import InvalidFrame, UnknownColumn, UnknownOption

Floats = npt.NDArray[np.float64]
Micros = npt.NDArray[np.int64]
Money = npt.NDArray[np.int64]

MILLION = 1_000_000
MISSING = np.iinfo(np.int64).min
"""What stands for a missing amount among whole millionths."""

_MOST = 1e12


def check_columns(frame: pd.DataFrame, what: str, *columns: str) -> None:
    """Raise UnknownColumn where a frame lacks one of these columns; `what` is what to call the frame."""
    if not isinstance(frame, pd.DataFrame):
        raise InvalidFrame(what, f"is a {_kind(frame)}, not a DataFrame of pandas; compute() a lazy one first")
    for column in columns:
        if column not in frame.columns:
            raise UnknownColumn(column, what, [str(c) for c in frame.columns])
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise InvalidFrame(what, f"has two columns {twice!r}: rename one")


def _kind(thing: Any) -> str:
    library, name = type(thing).__module__.partition(".")[0], type(thing).__name__
    return name if library == "builtins" else f"{library} {name}"


def times_us(frame: pd.DataFrame, what: str) -> Micros:
    """Return a frame's index as microseconds since 1970 UTC.

    Raises
    ------
    InvalidFrame
        Where the index is not of times, has no zone, or a time is missing.
    """
    return moments_us(frame.index, what)


def moments_us(index: Any, what: str) -> Micros:
    """Return an index of times as microseconds since 1970 UTC; raises as `times_us`."""
    if not isinstance(index, pd.DatetimeIndex):
        if not len(index):
            return np.empty(0, np.int64)
        raise InvalidFrame(what, f"needs an index of times, not {type(index).__name__}: see frame.set_index")
    if index.tz is None:
        raise InvalidFrame(what, "has times without a zone: say which with frame.tz_localize('UTC')")
    micros: Micros = (index if index.unit == "us" else index.as_unit("us")).asi8
    if len(micros) and micros.min() == NAT:
        raise InvalidFrame(what, "has rows without a time: drop them with frame[frame.index.notna()]")
    return micros


def floats(frame: pd.DataFrame, column: str) -> Floats:
    """Return a column as float64, NaN where a value is missing; raises InvalidFrame where one is no number."""
    try:
        values: Floats = frame[column].to_numpy(np.float64, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise InvalidFrame(f"column {column!r}", f"must hold numbers: {error}") from error
    return values


def texts(frame: pd.DataFrame, column: str) -> list[str | None]:
    """Return a column of codes or text as a list, None where a value is missing."""
    values = frame[column].array
    if isinstance(values, pd.Categorical):
        names: list[str | None] = [*(str(c) for c in values.categories), None]  # the code -1 is the last
        return [names[code] for code in values.codes.tolist()]
    return [None if missing else str(v) for v, missing in zip(values, pd.isna(values), strict=True)]


def numbers(frame: pd.DataFrame, column: str) -> list[int | None]:
    """Return a column of whole numbers as a list, None where a value is missing."""
    values = frame[column]
    if values.dtype == np.int64:
        return values.tolist()
    missing = values.isna().to_numpy()
    whole = values.to_numpy(np.int64, na_value=0) if not missing.all() else np.zeros(len(values), np.int64)
    return [None if m else w for w, m in zip(whole.tolist(), missing.tolist(), strict=True)]


def millionths(frame: pd.DataFrame, column: str, what: str) -> Money:
    """Return a column of money (or lots) in whole millionths, `MISSING` where a value is missing.

    Whole numbers add up to the same sum in any order: that is why parts always equal the whole.
    """
    values = floats(frame, column)
    missing = np.isnan(values)
    if missing.any():
        values = np.where(missing, 0.0, values)
    if (np.abs(values) > _MOST).any():
        raise InvalidFrame(what, f"holds {values[np.abs(values).argmax()]:g} in {column}: no such amount is counted")
    whole: Money = np.rint(values * MILLION).astype(np.int64)
    if missing.any():
        whole[missing] = MISSING
    return whole


def book_of(instruments: Any) -> Instruments:
    """Return the instruments that are meant: the market's conventions where it is None.

    Raises
    ------
    UnknownOption
        Where it is something else, such as the dict that belongs into ``Instruments(...)``.
    """
    if instruments is None:
        return Instruments()
    if not isinstance(instruments, Instruments):
        raise UnknownOption(
            "instruments", instruments, ("None", "fxlive.Instruments({symbol: fxlive.Instrument(...)})")
        )
    return instruments


def one_symbol(frame: pd.DataFrame, what: str) -> str | None:
    """Return the one symbol of a frame's rows, None of an empty frame.

    Raises
    ------
    InvalidFrame
        Where there are several, or a row has none.
    """
    values = frame["symbol"].array
    if not len(values):
        return None
    if isinstance(values, pd.Categorical):
        codes = values.codes
        alike = bool((codes == codes[0]).all()) and codes[0] >= 0
        first = values.categories[codes[0]] if alike else None
    else:
        first = values[0]
        alike = not pd.isna(first) and bool((values == first).all())
    if not alike:
        names = sorted({str(s) for s in pd.unique(values)})
        raise InvalidFrame(what, f"holds {', '.join(names)}: pass one, as in frame[frame['symbol'] == {names[0]!r}]")
    return str(first)

"""Replay of real quotes from a file or a DataFrame, unchanged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from fxlive.simulator.market.quotes import Quote

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

COLUMNS = ("timestamp", "symbol", "bid", "ask")
_CHUNK = 4096


class TicksError(ValueError):
    """Ticks that cannot be replayed. The text names the invalid column, row or file."""


class Replay:
    """The quotes of a CSV, .csv.gz or Parquet file, or of a DataFrame, in time order.

    The columns are timestamp (UTC; text, datetimes, or whole milliseconds since 1970), symbol, bid and ask. Others are
    ignored. Quotes of the same time keep their order. Times are truncated to milliseconds, as on the wire. Prices are
    not changed: a crossed quote stays crossed.

    Raises
    ------
    TicksError
        If the file is missing or cannot be read, if there are no quotes, or if a column or value is invalid.
    """

    def __init__(self, ticks: str | PathLike[str] | pd.DataFrame, symbols: Sequence[str] | None = None) -> None:
        frame = _read(ticks)
        missing = [column for column in COLUMNS if column not in frame.columns]
        if missing:
            raise TicksError(f"Ticks need the columns {', '.join(COLUMNS)}. Missing: {', '.join(missing)}.")
        if symbols is not None:
            frame = frame[frame["symbol"].isin(list(symbols))]
        if not len(frame):
            raise TicksError("No ticks found" + (f" for {', '.join(symbols)}." if symbols else "."))
        times = _milliseconds(frame["timestamp"])
        order = times.argsort(kind="stable")
        self._times = times[order]
        self._symbols = _symbols(frame)[order]
        self._bids = _prices(frame, "bid")[order]
        self._asks = _prices(frame, "ask")[order]

    def __len__(self) -> int:
        return len(self._times)

    @property
    def first_ms(self) -> int:
        """Market time of the first quote, milliseconds since 1970."""
        return int(self._times[0])

    @property
    def last_ms(self) -> int:
        """Market time of the last quote, milliseconds since 1970."""
        return int(self._times[-1])

    def __iter__(self) -> Iterator[list[Quote]]:
        for start in range(0, len(self), _CHUNK):
            part = slice(start, start + _CHUNK)
            yield list(
                zip(self._times[part].tolist(), self._symbols[part].tolist(), self._bids[part].tolist(),
                    self._asks[part].tolist(), strict=True)
            )  # fmt: skip


def _read(ticks: str | PathLike[str] | pd.DataFrame) -> pd.DataFrame:
    # Imported here because only a replay needs pandas, and a simulator should start quickly.
    import pandas as pd

    if isinstance(ticks, pd.DataFrame):
        return ticks.reset_index() if "timestamp" not in ticks.columns else ticks
    path = Path(ticks)
    if not path.is_file():
        raise TicksError(f"Tick file not found: {path}")
    try:
        if path.suffix.lower() in {".parquet", ".pq"}:
            return pd.read_parquet(path)
        # Read prices as text: read_csv's own number parser is sometimes wrong in the last digit (and its option for
        # exact parsing is deprecated), but the prices sent must be those in the file.
        text = {"symbol": "str", "bid": "str", "ask": "str"}
        return pd.read_csv(path, dtype=text, usecols=lambda name: name in COLUMNS)
    except Exception as error:
        raise TicksError(f"Could not read {path.name} as CSV, .csv.gz or Parquet: {error}") from error


def _milliseconds(column: pd.Series) -> np.ndarray:
    import numpy as np
    import pandas as pd

    if pd.api.types.is_integer_dtype(column.dtype):
        return column.to_numpy(np.int64)
    try:
        times = pd.DatetimeIndex(pd.to_datetime(column, utc=True, format=None if _is_time(column) else "ISO8601"))
    except (ValueError, TypeError) as error:
        raise TicksError(f"Column timestamp: a value is not a time: {error}") from error
    if times.hasnans:
        raise TicksError(f"Row {int(times.isna().argmax())}: timestamp is missing.")
    return times.as_unit("us").asi8 // 1000


def _is_time(column: pd.Series) -> bool:
    import pandas as pd

    return bool(pd.api.types.is_datetime64_any_dtype(column.dtype))


def _symbols(frame: pd.DataFrame) -> np.ndarray:
    symbols = frame["symbol"]
    if symbols.isna().any():
        raise TicksError(f"Row {int(symbols.isna().to_numpy().argmax())}: symbol is missing.")
    names = symbols.astype(object)
    # QuoteBook puts symbols into JSON without escaping.
    invalid = [name for name in names.unique() if not str(name).isprintable() or set('"\\') & set(str(name))]
    if invalid:
        raise TicksError(f"Invalid symbol {invalid[0]!r}. Use printable characters without quotes and backslashes.")
    return names.astype(str).to_numpy(object)


def _prices(frame: pd.DataFrame, column: str) -> np.ndarray:
    import numpy as np
    import pandas as pd

    values = frame[column]
    if pd.api.types.is_numeric_dtype(values.dtype):
        prices = values.to_numpy(np.float64, na_value=np.nan)
    else:
        prices = np.fromiter(map(_price, values), np.float64, len(values))
    invalid = ~np.isfinite(prices) | (prices <= 0)
    if invalid.any():
        row = int(invalid.argmax())
        raise TicksError(f"Row {row}: {column} must be a positive number, got {values.iloc[row]}.")
    return prices


def _price(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")

"""Real quotes from a file or a DataFrame, replayed as they are."""

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
    """Ticks that cannot be replayed; the text says what is wrong with them."""


class Replay:
    """The quotes of a CSV, .csv.gz or Parquet file, or of a DataFrame, in time order; crossed quotes stay crossed.

    Columns are timestamp (UTC; text, datetimes, or whole milliseconds since 1970), symbol, bid and ask; others are
    ignored. Quotes of the same time keep their order. Times are cut to the wire's milliseconds.
    """

    def __init__(self, ticks: str | PathLike[str] | pd.DataFrame, symbols: Sequence[str] | None = None) -> None:
        frame = _read(ticks)
        missing = [column for column in COLUMNS if column not in frame.columns]
        if missing:
            raise TicksError(f"ticks need the columns {', '.join(COLUMNS)}; there is no {', '.join(missing)}")
        if symbols is not None:
            frame = frame[frame["symbol"].isin(list(symbols))]
        if not len(frame):
            raise TicksError("there are no ticks" + (f" of {', '.join(symbols)}" if symbols else ""))
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
    # Only a replay needs pandas, and a simulator should start at once.
    import pandas as pd

    if isinstance(ticks, pd.DataFrame):
        return ticks.reset_index() if "timestamp" not in ticks.columns else ticks
    path = Path(ticks)
    if not path.is_file():
        raise TicksError(f"there is no file {path}")
    try:
        if path.suffix.lower() in {".parquet", ".pq"}:
            return pd.read_parquet(path)
        # Prices as text: read_csv's own parser of numbers is off in the last place now and then (and its option to be
        # exact is deprecated), but what leaves must be what is in the file.
        text = {"symbol": "str", "bid": "str", "ask": "str"}
        return pd.read_csv(path, dtype=text, usecols=lambda name: name in COLUMNS)
    except Exception as error:
        raise TicksError(f"{path.name} cannot be read as CSV, .csv.gz or Parquet: {error}") from error


def _milliseconds(column: pd.Series) -> np.ndarray:
    import numpy as np
    import pandas as pd

    if pd.api.types.is_integer_dtype(column.dtype):
        return column.to_numpy(np.int64)
    try:
        times = pd.DatetimeIndex(pd.to_datetime(column, utc=True, format=None if _is_time(column) else "ISO8601"))
    except (ValueError, TypeError) as error:
        raise TicksError(f"the column timestamp holds something that is not a time: {error}") from error
    if times.hasnans:
        raise TicksError(f"row {int(times.isna().argmax())} has no timestamp")
    return times.as_unit("us").asi8 // 1000


def _is_time(column: pd.Series) -> bool:
    import pandas as pd

    return bool(pd.api.types.is_datetime64_any_dtype(column.dtype))


def _symbols(frame: pd.DataFrame) -> np.ndarray:
    symbols = frame["symbol"]
    if symbols.isna().any():
        raise TicksError(f"row {int(symbols.isna().to_numpy().argmax())} has no symbol")
    names = symbols.astype(object)
    # Symbols go into JSON by hand.
    odd = [name for name in names.unique() if not str(name).isprintable() or set('"\\') & set(str(name))]
    if odd:
        raise TicksError(f"{odd[0]!r} is not a symbol")
    return names.astype(str).to_numpy(object)


def _prices(frame: pd.DataFrame, column: str) -> np.ndarray:
    import numpy as np
    import pandas as pd

    values = frame[column]
    if pd.api.types.is_numeric_dtype(values.dtype):
        prices = values.to_numpy(np.float64, na_value=np.nan)
    else:
        prices = np.fromiter(map(_price, values), np.float64, len(values))
    bad = ~np.isfinite(prices) | (prices <= 0)
    if bad.any():
        raise TicksError(f"row {int(bad.argmax())} has no price in the column {column}")
    return prices


def _price(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")

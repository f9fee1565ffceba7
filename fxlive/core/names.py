"""Names for SQL, columns and files that are safe, unique and not empty, made from names that the platform chose.

A platform may call a channel or a field anything: empty, `..`, a NUL, half a surrogate pair, a thousand characters.
Each function takes all names of one namespace and gives each its own safe name, so that no name replaces another. The
order decides: the first of several names that become equal keeps its spelling, the others get a number.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable

_MAX_CHARS = 120  # of a name in SQL or of a column
_MAX_BYTES = 100  # of a file name without its extension; file systems allow 255
_UNSAFE = re.compile("[\0-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_DUCKDB_VIEW = re.compile("duckdb_|sqlite_|pg_|pragma_|information_schema$", re.IGNORECASE)
_WINDOWS_DEVICES = re.compile("con|prn|aux|nul|conin|conout|(com|lpt)[0-9¹²³]", re.IGNORECASE)


def sql_names(names: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """Return the name in SQL of each table. SQL ignores case, so names that differ only by case get a number.

    So do names like those of DuckDB's own views, on which its lists of tables depend.

    Parameters
    ----------
    names
        The names, the more important ones first.
    taken
        Names in SQL that are in use.

    Examples
    --------
    >>> sql_names(["market-data", "market_data", "Market-Data", "", "a b", "gaps"], taken=["gaps"])
    ['market_data', 'market_data_2', 'Market_Data_3', '_', 'a b', 'gaps_2']
    """
    safe = [_printable(name).replace("-", "_") for name in names]
    return _distinct(safe, str, "_", [*taken, *filter(_DUCKDB_VIEW.match, safe)])


def column_names(names: Iterable[str]) -> list[str]:
    r"""Return column names that SQL, CSV and Parquet accept. Names that differ only by case get a number.

    >>> column_names(["bid", "Bid", "", "\0", "a-b"])
    ['bid', 'Bid_2', '_', '__2', 'a-b']
    """
    return _distinct(names, _printable, "_")


def file_names(names: Iterable[str]) -> list[str]:
    """Return file names without extension. No two are the same on a file system that ignores case.

    >>> file_names(["trades", "depth/L2", "depth:L2", "..", "", "CON"])
    ['trades', 'depth_L2', 'depth_L2-2', '__', '_', '_CON']
    """
    return _distinct(names, _file_name, "-")


def _printable(name: str) -> str:
    """Return a name without characters that cannot be encoded or are invisible, cut to 120 characters."""
    return _UNSAFE.sub("_", name)[:_MAX_CHARS] or "_"


def _file_name(name: str) -> str:
    characters = unicodedata.normalize("NFC", name)[:60]
    safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in characters) or "_"
    safe = safe.encode()[:_MAX_BYTES].decode("utf-8", "ignore")
    return f"_{safe}" if _WINDOWS_DEVICES.fullmatch(safe) else safe


def _distinct(names: Iterable[str], safe: Callable[[str], str], separator: str, taken: Iterable[str] = ()) -> list[str]:
    used = {_folded(name) for name in taken}
    numbers: dict[str, int] = {}  # the next one for each name, so that many equal names are not tried again and again
    chosen = []
    for name in names:
        unused = first = safe(name)
        number = numbers.get(_folded(first), 2)
        while _folded(unused) in used:
            unused = f"{first}{separator}{number}"
            number += 1
        numbers[_folded(first)] = number
        used.add(_folded(unused))
        chosen.append(unused)
    return chosen


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()

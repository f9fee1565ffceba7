"""Labels of figures: names as plotly displays them, durations, and the number of lines that are not drawn."""

from __future__ import annotations

from html import escape

import pandas as pd

MOST_LINES = 40
"""The most lines in one chart: a reader cannot tell more of them apart."""
_MAX_NAME_CHARS = 60


def shown_name(name: str) -> str:
    """Return a name for a title or legend of plotly, which renders HTML: escaped, and cut to 60 characters.

    >>> shown_name("<b>EURUSD</b>")
    '&lt;b&gt;EURUSD&lt;/b&gt;'
    """
    return escape(name if len(name) <= _MAX_NAME_CHARS else f"{name[: _MAX_NAME_CHARS - 1]}…", quote=False)


def left_out(count: int) -> str:
    """Return the note that `count` lines of a chart are not drawn; empty for 0.

    >>> left_out(1_200)
    '1,200 more not shown'
    """
    return f"{count:,} more not shown" if count else ""


def short(span: pd.Timedelta) -> str:
    """Return a duration as a whole number and a unit.

    >>> short(pd.Timedelta("15min")), short(pd.Timedelta("90s")), short(pd.Timedelta("250ms"))
    ('15min', '90s', '250ms')
    """
    for unit in ("D", "h", "min", "s", "ms"):
        if span % pd.Timedelta(1, unit) == pd.Timedelta(0):
            return f"{span // pd.Timedelta(1, unit)}{unit}"
    return str(span)

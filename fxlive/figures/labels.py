"""Words: a length of time in few characters, and how names of others are shown."""

from __future__ import annotations

from html import escape

import pandas as pd

MOST_LINES = 40
"""What a chart can tell apart."""
_MOST_CHARS = 60


def shown_name(name: str) -> str:
    """Return a name as plotly is to show it: what looks like HTML is text, and a very long one is cut.

    >>> shown_name("<b>EURUSD</b>")
    '&lt;b&gt;EURUSD&lt;/b&gt;'
    """
    return escape(name if len(name) <= _MOST_CHARS else f"{name[: _MOST_CHARS - 1]}…", quote=False)


def left_out(count: int) -> str:
    """Return what to say of so many lines that are not drawn; nothing of none."""
    return f"{count:,} more not shown" if count else ""


def short(span: pd.Timedelta) -> str:
    """Return a length of time in few characters.

    >>> short(pd.Timedelta("15min")), short(pd.Timedelta("90s")), short(pd.Timedelta("250ms"))
    ('15min', '90s', '250ms')
    """
    for unit in ("D", "h", "min", "s", "ms"):
        if span % pd.Timedelta(1, unit) == pd.Timedelta(0):
            return f"{span // pd.Timedelta(1, unit)}{unit}"
    return str(span)

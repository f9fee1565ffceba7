"""Labels of figures: texts as plotly displays them, durations, and the number of lines that are not drawn."""

from __future__ import annotations

from html import escape

import pandas as pd

from fxlive.core.shown_text import printable

MAX_LINES = 40
"""The most lines in one chart: a reader cannot tell more of them apart."""
_MAX_NAME_CHARS = 60


def plotly_text(text: object) -> str:
    """Return a text for plotly, which renders HTML in titles, legends, tick labels and hovers: escaped.

    Every text that comes from data passes through here or through `plotly_label`.

    >>> plotly_text("<a href='http://x'>s1</a>")
    "&lt;a href='http://x'&gt;s1&lt;/a&gt;"
    """
    return escape(printable(text), quote=False)


def plotly_label(name: object) -> str:
    """Return a name for a title or legend of plotly: escaped, and cut to 60 characters.

    >>> plotly_label("<b>EURUSD</b>")
    '&lt;b&gt;EURUSD&lt;/b&gt;'
    """
    text = str(name)
    return plotly_text(text if len(text) <= _MAX_NAME_CHARS else f"{text[: _MAX_NAME_CHARS - 1]}…")


def hidden_lines_note(count: int) -> str:
    """Return the note that `count` lines of a chart are not drawn; empty for 0.

    >>> hidden_lines_note(1_200)
    '1,200 more not shown'
    """
    return f"{count:,} more not shown" if count else ""


def short_duration(span: pd.Timedelta) -> str:
    """Return a duration as a whole number and a unit.

    >>> [short_duration(pd.Timedelta(span)) for span in ("15min", "90s", "0.25s")]
    ['15min', '90s', '250ms']
    """
    for unit in ("D", "h", "min", "s", "ms"):
        if span % pd.Timedelta(1, unit) == pd.Timedelta(0):
            return f"{span // pd.Timedelta(1, unit)}{unit}"
    return str(span)

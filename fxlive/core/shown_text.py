r"""Texts that people see: control characters of the platform never reach a terminal, a repr, an error or a log.

A terminal obeys escape codes (colours, a new title, text that was there before), and characters that change the
direction of writing make a name look like another one. They are shown as Python writes them: `\x1b`, `\u202e`.
"""

from __future__ import annotations

import logging
import re

_CONTROL = re.compile("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def printable(text: object) -> str:
    r"""Return a text with its control characters as escape sequences, line ends included.

    >>> printable("\x1b[31mred\n\u202egnp"), printable("Zürich 💶")
    ('\\x1b[31mred\\n\\u202egnp', 'Zürich 💶')
    """
    return _CONTROL.sub(_escaped, str(text))


def printable_lines(text: object) -> str:
    r"""Return a text of several lines with its other control characters as escape sequences.

    >>> printable_lines("one\ntwo\x07")
    'one\ntwo\\x07'
    """
    return "\n".join(map(printable, str(text).split("\n")))


def shortened(text: str, max_chars: int) -> str:
    """Return a text of at most `max_chars` characters and an ellipsis.

    >>> shortened("abcdef", 3), shortened("abc", 3)
    ('abc…', 'abc')
    """
    return text if len(text) <= max_chars else f"{text[:max_chars]}…"


def counted(count: int, noun: str) -> str:
    """Return a number and its noun, in the plural if it is not 1.

    >>> counted(1, "gap"), counted(1_200, "gap")
    ('1 gap', '1,200 gaps')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _escaped(match: re.Match[str]) -> str:
    return ascii(match[0])[1:-1]


class _PrintableRecords(logging.Filter):
    """Makes the messages of log records printable, and the tracebacks of user functions, too."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = printable(record.getMessage()), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = printable_lines(logging.Formatter().formatException(record.exc_info))
        return True


logging.getLogger("fxlive").addFilter(_PrintableRecords())

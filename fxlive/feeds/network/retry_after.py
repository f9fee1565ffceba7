"""The header ``Retry-After``: how long a server asks to wait before the next connection."""

from __future__ import annotations

import math
import re
from email.utils import parsedate_to_datetime

MAX_RETRY_AFTER_S = 600.0
"""The longest wait that is honoured. A server whose clock or unit is wrong must not stop a session for good."""

_NUMBER = re.compile(r"\d+(\.\d*)?", re.ASCII)
_UNIX_TIME_S = 1e8
_UNIX_TIME_MS = 1e11
"""From these numbers on, a number is not a wait (of three years), but a Unix time in seconds or milliseconds."""


def asked_wait_s(retry_after: str, now: float) -> float | None:
    """Return the wait in seconds that a server asks for, without a limit; None if the header has no valid value.

    Parameters
    ----------
    retry_after
        Seconds, a date as in other HTTP headers, or a Unix time in seconds or milliseconds.
    now
        The server's time in seconds since 1970. A time that has passed is a wait of 0.

    Examples
    --------
    >>> asked_wait_s("7", 0.0), asked_wait_s("1795794696", 1795794690.0), asked_wait_s("1795794696000", 1795794690.0)
    (7.0, 6.0, 6.0)
    >>> asked_wait_s("Thu, 01 Jan 1970 00:01:00 GMT", 30.0), asked_wait_s("9" * 400, 0.0), asked_wait_s("-5", 0.0)
    (30.0, inf, None)
    """
    if not _NUMBER.fullmatch(retry_after):
        time = http_time(retry_after)
        return None if time is None else max(0.0, time - now)
    number = float(retry_after)
    if number < _UNIX_TIME_S or math.isinf(number):
        return number
    return max(0.0, number / (1000.0 if number >= _UNIX_TIME_MS else 1.0) - now)


def http_time(text: str) -> float | None:
    """Return an HTTP date in seconds since 1970; None if it is not one.

    >>> http_time("Thu, 01 Jan 1970 00:01:00 GMT"), http_time("soon")
    (60.0, None)
    """
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None

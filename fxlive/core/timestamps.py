"""ISO 8601 text to microseconds since 1970 UTC, a batch at a time.

A platform writes every time in one shape, so a batch is read as one matrix of digits: 0.1 microseconds a text instead
of 0.3 and more one by one. Whatever has another shape (an offset, no fraction, a wrong date) is read singly.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

import numpy as np
import numpy.typing as npt

Micros = npt.NDArray[np.int64]

NAT = np.iinfo(np.int64).min
"""What stands for a missing time, as in numpy."""

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FEW = 8  # up to here the texts cost less one by one

# In 2024-01-01T00:00:00.000Z the digits stand here, and these are the marks between them.
_DIGITS = [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18]
_MARKS_AT = [4, 7, 10, 13, 16, 19]
_MARKS = np.frombuffer(b"--T::.", np.uint8)
_END = np.frombuffer(b"Z\n", np.uint8)
# How each digit counts towards: the date as yyyymmdd, the hour, the minute, and the second.
_WEIGHTS = np.array(
    [
        [10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 10, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 1],
    ],
    dtype=np.float64,
).T


def parse_time(text: str) -> int:
    """Return the microseconds since 1970 UTC of one ISO 8601 text; without an offset it is taken as UTC.

    Raises
    ------
    ValueError
        Where the text is no ISO 8601 date and time.

    >>> parse_time("1970-01-01T00:00:01.500Z"), parse_time("1970-01-01T01:00:00+01:00")
    (1500000, 0)
    """
    moment = datetime.fromisoformat(text[:-1] + "Z" if text.endswith("z") else text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def parse_times(texts: Sequence[str | None]) -> tuple[Micros, list[int]]:
    """Return the microseconds since 1970 UTC of each text, and the places of those that are no time.

    A missing text (None) gives NAT, as does one that is no time.

    >>> parse_times(["1970-01-01T00:00:00.001Z", None, "soon"])[1]
    [2]
    """
    if len(texts) > _FEW:
        micros = _parse_alike(texts)
        if micros is not None:
            return micros, []
    return _parse_singly(texts)


def _parse_singly(texts: Sequence[str | None]) -> tuple[Micros, list[int]]:
    micros = np.full(len(texts), NAT, np.int64)
    wrong = []
    for place, text in enumerate(texts):
        if text is not None:
            try:
                micros[place] = parse_time(text)
            except (ValueError, OverflowError):
                wrong.append(place)
    return micros, wrong


def _parse_alike(texts: Sequence[str | None]) -> Micros | None:
    """Read texts that all look like 2024-01-01T00:00:00.000Z (3 to 6 decimals); None where one looks otherwise."""
    if None in texts:
        return None
    count, width = len(texts), len(texts[0] or "")
    # With a line end behind each text, no neighbour's digit can stand in for one that is missing.
    raw = "\n".join((*texts, "")).encode("utf-8", "surrogatepass")  # type: ignore[arg-type]
    if not 24 <= width <= 27 or len(raw) != count * (width + 1):
        return None
    lines = np.frombuffer(raw, np.uint8).reshape(count, width + 1)
    chars = lines[:, :-1]
    decimals = list(range(20, width - 1))
    digits = chars[:, _DIGITS + decimals] - 48
    if (digits > 9).any() or (chars[:, _MARKS_AT] != _MARKS).any() or (lines[:, -2:] != _END).any():
        return None
    fields = digits[:, :14].astype(np.float64) @ _WEIGHTS
    fraction = digits[:, 14:].astype(np.float64) @ np.array([10.0 ** (5 - i) for i in range(len(decimals))])
    dates, hours, minutes, seconds = fields.T
    if (hours > 23).any() or (minutes > 59).any() or (seconds > 59).any():
        return None
    days = _days(dates)
    if days is None:
        return None
    within = (hours * 3600 + minutes * 60 + seconds) * 1e6 + fraction
    micros: Micros = days * 86_400_000_000 + within.astype(np.int64)
    return micros


def _days(dates: npt.NDArray[np.float64]) -> Micros | None:
    """Return the days since 1970 of dates written as the number yyyymmdd; None where one is not in the calendar."""
    if (dates == dates[0]).all():
        distinct, places = dates[:1], np.zeros(len(dates), np.intp)
    else:
        distinct, places = np.unique(dates, return_inverse=True)
    try:
        ordinals = [date(int(d) // 10_000, int(d) // 100 % 100, int(d) % 100).toordinal() for d in distinct]
    except ValueError:
        return None
    return (np.array(ordinals, np.int64) - _EPOCH_ORDINAL)[places]
